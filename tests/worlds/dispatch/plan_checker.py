"""Drives a played day again from nothing but its bookings, its fleet and when who boarded.

Nothing of the kernels is used: ways, hours, seats and prices are reckoned here, slowly and plainly.
For days without no-shows and cancellations, where every kilometre belongs to a ride.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from compagnon.worlds.dispatch import plans, running_days, tables, travel
from compagnon.worlds.dispatch.instance import Instance

TOLERANCE = 1e-3  # minutes
EARTH = 6371.0088


@dataclass
class Ride:
    """What became of a booking."""

    status: str
    driver: int = -1
    boards: float = math.nan
    minutes: float = math.nan  # on board
    told: float = -1.0


@dataclass
class Played:
    """A finished day: its instance, what became of each booking, and the KPIs it reported.

    `passes`: a plan held a place where nobody was, so that some kilometres belong to no ride.
    """

    day: Instance
    rides: list[Ride]
    kpis: dict[str, float]
    options: dict[str, float]
    begin: float
    passes: bool
    speed: np.ndarray  # by hour, as it was
    halt: float = 0.0  # minutes of parking
    broke: dict[int, tuple[float, float]] = field(default_factory=dict)  # from when to when


@dataclass
class Checked:
    """What is wrong with a day, in sentences; and its cost, part by part."""

    faults: list[str] = field(default_factory=list)
    cost: dict[str, float] = field(default_factory=dict)


def played(
    worlds: running_days.RunningDays, row: int, kpis: dict[str, float], options, passes: bool
) -> Played:
    """Take down the day that stands finished in a row of the arrays."""
    w = running_days.RunningDays(*(array[row].copy() for array in worlds))
    whole = tables.Day(*(getattr(w, n) for n in tables.Day._fields))
    day = tables.read_instance("played", whole, tuple(f"skill {k}" for k in range(8)))
    rides = [
        Ride(
            running_days.STATUS_NAMES[int(w.status[b])],
            int(w.rides[b, running_days.BY_DRIVER]),
            float(w.rides[b, running_days.BOARDS]),
            float(w.rides[b, running_days.RIDE]),
            float(w.rides[b, running_days.ANSWERED]),
        )
        for b in range(len(day.bookings))
    ]
    broke = {
        d: (float(at), float(at + w.drivers[d, tables.REPAIR_MINUTES]))
        for d, at in enumerate(w.times[: len(day.drivers), plans.BROKE_AT])
        if at > 0.0
    }
    begin, halt = float(w.money[running_days.DAY_BEGIN]), float(w.rule[travel.HALT])
    return Played(day, rides, kpis, options, begin, passes, w.speed_real, halt, broke)


def kilometres(day: Instance, a: int, b: int) -> float:
    """Road kilometres by the haversine formula, times the detour."""
    (lat, lon), (lat2, lon2) = np.radians(day.travel.coordinates[[a, b]])
    half = math.sin((lat2 - lat) / 2) ** 2
    half += math.cos(lat) * math.cos(lat2) * math.sin((lon2 - lon) / 2) ** 2
    return 2 * EARTH * math.asin(math.sqrt(min(1.0, half))) * day.travel.detour


def arrival(played: Played, leave: float, km: float, planned: bool = False) -> float:
    """Drive `km` from minute `leave` on and park, each hour at its own speed, real or planned."""
    day, clock = played.day, leave
    speeds = day.travel.speed if planned else played.speed
    # Parking takes longer in a slow hour, as driving does.
    left = km + (played.halt * day.travel.speed_kmh / 60.0 if km > 0 else 0.0)
    while True:
        hour = math.floor(clock / 60.0 + 1e-12)
        speed = day.travel.speed_kmh * float(speeds[hour % 24]) / 60.0
        until = 60.0 * (hour + 1)
        if left <= speed * (until - clock):
            return clock + left / speed
        left -= speed * (until - clock)
        clock = until


def departure(played: Played, arrive: float, km: float) -> float:
    """The latest minute to leave at, as planned, to be there by `arrive`: by halving."""
    low, high = arrive - 1440.0, arrive
    for _ in range(60):
        middle = (low + high) / 2
        on_time = arrival(played, middle, km, planned=True) <= arrive
        low, high = (middle, high) if on_time else (low, middle)
    return low


def check(played: Played) -> Checked:
    """Everything that a day must keep, and what it cost."""
    day, found = played.day, Checked()
    prices = played.options
    km = overtime = 0.0
    for d in range(len(day.drivers)):
        stops = _stops(played, d)
        _check_seats(found, played, d, stops)
        driven, home = _drive(found, played, d, stops)
        km += driven
        overtime += max(0.0, home - float(day.drivers.shift_end[d]))
    found.cost = dict.fromkeys(("rejected", "late", "wait", "ride", "taxi", "answer"), 0.0)
    found.cost["km"], found.cost["overtime"] = prices["km"] * km, prices["overtime"] * overtime
    for b, ride in enumerate(played.rides):
        _check_ride(found, played, b, ride)
    for part, cost in found.cost.items():
        said = played.kpis[f"cost_{part}"]
        empty = part == "km" and played.passes and cost <= said
        if abs(cost - said) > 1e-2 + 1e-4 * abs(said) and not empty:
            found.faults.append(f"{part}: reckoned {cost:.3f}, reported {said:.3f}")
    return found


def _stops(played: Played, d: int) -> list[tuple[float, float, int, int, int]]:
    """(begins, ends, place, booking, 1 pickup / -1 drop-off) of a driver, in order."""
    b, stops = played.day.bookings, []
    for k, ride in enumerate(played.rides):
        if ride.status != "served" or ride.driver != d:
            continue
        aboard = ride.boards + b.boarding[k] + b.boarding_delay[k]
        off = aboard + ride.minutes
        stops.append((ride.boards, aboard, int(b.pickup[k]), k, 1))
        stops.append((off, off + b.alighting[k] + b.alighting_delay[k], int(b.dropoff[k]), k, -1))
    return sorted(stops)


def _check_seats(found: Checked, played: Played, d: int, stops) -> None:
    load, aboard = np.zeros(4, np.int64), set()
    b, fleet = played.day.bookings, played.day.drivers
    for begins, _, _, k, sign in stops:
        load += sign * b.load[k]
        aboard ^= {k}
        seats = fleet.seats[d].copy()
        folded = max(0, load[1] - (seats[1] - fleet.fold[d]))
        seats[0] -= folded * fleet.fold_seats[d]
        if (load > seats).any() or (load < 0).any():
            found.faults.append(f"driver {d} has {load.tolist()} on board at {begins:.1f}")
        if len(aboard) > 1 and b.alone[list(aboard)].any():
            found.faults.append(f"driver {d} has somebody beside one who rides alone")
        if int(b.needs[k]) & ~int(fleet.skills[d]):
            found.faults.append(f"driver {d} has not the skills for booking {k}")


def _drive(found: Checked, played: Played, d: int, stops) -> tuple[float, float]:
    """Drive from stop to stop and home; kilometres, and when he is there."""
    day, fleet = played.day, played.day.drivers
    clock, place, km = float(fleet.shift_start[d]), int(fleet.start[d]), 0.0
    rests = [
        (float(begin[d]), float(until[d]), float(minutes[d]))
        for begin, until, minutes in (
            (fleet.break_from, fleet.break_to, fleet.break_minutes),
            (fleet.break2_from, fleet.break2_to, fleet.break2_minutes),
        )
        if minutes[d] > 0
    ]
    aboard, broke = 0, played.broke.get(d)
    for begins, ends, where, k, sign in stops:
        way = kilometres(day, place, where)
        km += way
        rested = clock
        while rests and aboard == 0 and _rests(played, rests[0], rested, way, begins):
            rested = max(rested, rests[0][0]) + rests[0][2]
            rests.pop(0)
        if broke and clock - TOLERANCE <= broke[0] < begins - TOLERANCE:
            stood = arrival(played, max(clock, broke[1]), way) <= begins + TOLERANCE
            broke = None
            if not stood:
                found.faults.append(f"driver {d} drives to booking {k} with a broken vehicle")
        if arrival(played, clock, way) > begins + TOLERANCE:
            found.faults.append(f"driver {d} is at booking {k} at {begins:.2f}, which is too early")
        if begins < clock - TOLERANCE:
            found.faults.append(f"driver {d} is at two doors at {begins:.2f}")
        clock, place, aboard = ends, where, aboard + sign
    way = kilometres(day, place, int(fleet.end[d]))
    if broke and broke[0] >= clock - TOLERANCE:  # after whatever he has rested by then
        while rests and max(clock, rests[0][0]) + rests[0][2] <= broke[0] + TOLERANCE:
            clock = max(clock, rests[0][0]) + rests.pop(0)[2]
        clock, broke = max(clock, broke[1]), None
    if broke:
        found.faults.append(f"driver {d} works with a broken vehicle")
    if rests and not _rests(played, rests[0], clock, way, math.inf):
        found.faults.append(f"driver {d} has no time for a break")
    # He leaves as late as usual speeds let him be there in time, and finds those of the day.
    end = float(fleet.shift_end[d])
    leaves = max(_leaves_at(rests, clock), departure(played, end, way))
    return km + way, max(arrival(played, leaves, way), end)


def _leaves_at(rests, clock: float) -> float:
    """When he may leave for home: after what he has not rested yet, wherever he is."""
    last = clock
    for begin, _, minutes in rests:
        last = max(last, begin) + minutes
    return last


def _rests(played: Played, rest, clock: float, way: float, until: float) -> bool:
    """Whether a break fits in between two doors, before the way or after it."""
    begin, last, minutes = rest
    before = max(clock, begin)
    late = clock + 60.0  # a delay may push a break past its window; it is taken all the same
    return before <= max(last, late) and arrival(played, before + minutes, way) <= until + TOLERANCE


def _check_ride(found: Checked, played: Played, k: int, ride: Ride) -> None:
    b, prices, cost = played.day.bookings, played.options, found.cost
    asked = max(float(b.announce[k]), played.begin)
    outbound = int(b.linked_to[k])
    if ride.told >= 0.0:
        if b.announce[k] <= 0.0:
            price = prices["answer_in_advance"]
        elif outbound >= 0 and b.announce[k] > _latest_end(played, outbound):
            price = prices["answer_on_call"]
            if played.rides[outbound].status == "served":  # he calls when he is done, if later
                asked = max(asked, _ended(played, outbound))
        else:
            price = prices["answer"]
        cost["answer"] += price * max(0.0, ride.told - asked)
    if ride.status == "rejected":
        cost["rejected"] += prices["reject_base"] + prices["reject_priority"] * b.priority[k]
    elif ride.status == "taxi":
        way = kilometres(played.day, int(b.pickup[k]), int(b.dropoff[k]))
        cost["taxi"] += prices["taxi_base"] + prices["taxi_km"] * way
    elif ride.status == "served":
        _check_served(found, played, k, ride)
    else:
        found.faults.append(f"booking {k} ended as {ride.status}")


def _ended(played: Played, k: int) -> float:
    ride, b = played.rides[k], played.day.bookings
    aboard = ride.boards + b.boarding[k] + b.boarding_delay[k]
    return float(aboard + ride.minutes + b.alighting[k] + b.alighting_delay[k])


def _check_served(found: Checked, played: Played, k: int, ride: Ride) -> None:
    b, prices, cost = played.day.bookings, played.options, found.cost
    outbound = int(b.linked_to[k])
    brought = outbound >= 0 and played.rides[outbound].status == "served"
    if brought and _ended(played, outbound) > ride.boards + TOLERANCE:
        found.faults.append(f"booking {k} rides home before it is there")
    if ride.boards < b.pickup_from[k] - TOLERANCE:
        found.faults.append(f"booking {k} boards at {ride.boards:.2f}, before its window")
    if ride.told < 0.0 or ride.told > ride.boards + TOLERANCE:
        found.faults.append(f"booking {k} boards before it is accepted")
    if ride.told < b.announce[k] - TOLERANCE:
        found.faults.append(f"booking {k} is accepted before it is asked for")
    off = ride.boards + b.boarding[k] + b.boarding_delay[k] + ride.minutes
    if off < b.dropoff_from[k] - TOLERANCE:
        found.faults.append(f"booking {k} ends before its window")
    cost["late"] += prices["late"] * max(0.0, ride.boards - float(b.pickup_to[k]))
    cost["late"] += prices["late"] * max(0.0, off - float(b.dropoff_to[k]))
    ready, direct = _ready_and_direct(played, k)
    if b.pickup_from[k] > -math.inf:
        cost["wait"] += prices["wait"] * max(0.0, ride.boards - ready - prices["promise"])
    cost["ride"] += prices["ride"] * max(0.0, ride.minutes - direct)


def _ready_and_direct(played: Played, k: int) -> tuple[float, float]:
    day, b = played.day, played.day.bookings
    ready = max(0.0, float(b.pickup_from[k]))
    ready = max(ready, float(b.dropoff_from[k] - b.max_ride[k] - b.boarding[k]))
    leaves = ready + float(b.boarding[k])
    way = kilometres(day, int(b.pickup[k]), int(b.dropoff[k]))
    return ready, arrival(played, leaves, way, planned=True) - leaves


def _latest_end(played: Played, k: int) -> float:
    """The end of the drop-off window, as tight as the ride allows."""
    day, b = played.day, played.day.bookings
    by = float(b.pickup_to[k])
    if b.dropoff_to[k] < math.inf:
        way = kilometres(day, int(b.pickup[k]), int(b.dropoff[k]))
        by = min(by, departure(played, float(b.dropoff_to[k]), way) - float(b.boarding[k]))
    return min(float(b.dropoff_to[k]), by + float(b.boarding[k]) + float(b.max_ride[k]))
