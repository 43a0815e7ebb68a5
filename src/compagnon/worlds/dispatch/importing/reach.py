"""Whether anybody could ever take a booking: its own times, the vehicles, and their shifts.

Only what no plan can mend is said to be impossible: a driver who comes straight from where the
shift begins, takes nobody else, and drives straight home is nowhere later than one with more rides.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from operator import le
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import shortest_path

from compagnon.worlds.dispatch import travel as travel_times
from compagnon.worlds.dispatch.generator import DETOUR, SPEED
from compagnon.worlds.dispatch.importing.clock import shown_at
from compagnon.worlds.dispatch.importing.matrix import Matrix
from compagnon.worlds.dispatch.importing.parsers import Point, distance_km
from compagnon.worlds.dispatch.importing.records import BookingRow, DriverRow
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.instance_parts import SEAT_TYPES, Travel

# A ride may take half as long again as the direct one, and half an hour more.
RIDE_FACTOR, RIDE_EXTRA = 1.5, 30.0
_SLACK: Final = 1e-3  # minutes; what rounding may make of a plan that is just possible
_LARGE: Final = 500  # places of a matrix whose shortest ways take too long to find
_arrival: Any = travel_times.arrival.py_func
_departure: Any = travel_times.departure.py_func


_AMBULATORY, _WHEELCHAIR = SEAT_TYPES.index("ambulatory"), SEAT_TYPES.index("wheelchair")
_ANY_DAY: Final = datetime(2001, 1, 1)  # of days whose date does not count


class End(NamedTuple):
    """Where a row begins or ends: on the map, and in the matrix."""

    point: Point
    place: str


_Between = Callable[[End, End], float]


class Trouble(NamedTuple):
    """Why a booking can never be served: the column, what is wrong there, what would be right."""

    field: str
    fault: str
    right: str


@lru_cache(maxsize=4096)
def changes_clocks(day: date, zone: tzinfo | None) -> bool:
    """Whether the clocks are put forward or back on a day."""
    begin, end = (datetime.combine(one, time(), zone) for one in (day, day + timedelta(days=1)))
    return begin.utcoffset() != end.utcoffset()


def by_the_clock(speed: NDArray[np.float64], midnight: datetime) -> NDArray[np.float64]:
    """Speeds by hour of the clock, (24,), as speeds by hours that have passed since midnight."""
    hours = [shown_at(60.0 * passed, midnight).hour for passed in range(travel_times.HOURS)]
    return speed[hours]


class Ways:
    """How long it takes from one end to another; with a matrix, by the shortest way through it.

    Args:
        direct: minutes at relative speed 1, straight.
        shortest: the same by way of anywhere.
        speed: (24,), relative speed by hour of the day.
    """

    def __init__(self, direct: _Between, shortest: _Between, speed: NDArray[np.float64]) -> None:
        self.direct, self.base = direct, shortest
        self.straight = direct is shortest
        self._speed: list[float] = speed.tolist()

    def on(self, midnight: datetime) -> "Ways":
        """The ways of one day, whose hours are those that the clock shows."""
        if not changes_clocks(midnight.date(), midnight.tzinfo):
            return self
        return Ways(self.direct, self.base, by_the_clock(np.array(self._speed), midnight))

    @classmethod
    def of_files(cls, matrix: Matrix | None, speed_kmh: float) -> "Ways":
        """Those of an import: the matrix's, or road km at a speed."""
        if matrix is not None:
            return cls._of_matrix(matrix.minutes, matrix.places, matrix.speed)
        per_km = 60.0 * DETOUR / speed_kmh

        def between(a: End, b: End) -> float:
            return per_km * distance_km(a.point, b.point)

        return cls(between, between, SPEED)

    @classmethod
    def of_day(cls, travel: Travel, halt: float = 0.0) -> "Ways":
        """Those of a day whose ends are named by the numbers of their places.

        Args:
            halt: minutes of parking, on each way to another place.
        """
        if travel.kind == "matrix":
            names = {str(k): k for k in range(travel.places)}
            minutes = travel.minutes + halt * (1.0 - np.eye(travel.places))
            return cls._of_matrix(minutes, names, travel.speed)
        per_km = 60.0 * travel.detour / travel.speed_kmh
        far = math.dist if travel.kind == "plane" else distance_km

        def between(a: End, b: End) -> float:
            return per_km * far(a.point, b.point) + (halt if a.point != b.point else 0.0)

        return cls(between, between, travel.speed)

    @classmethod
    def _of_matrix(
        cls, minutes: NDArray[np.float64], places: dict[str, int], speed: NDArray[np.float64]
    ) -> "Ways":
        # Scipy takes a 0 for "no way": let it be a way that takes next to nothing.
        short = shortest_path(np.maximum(minutes, 1e-9)) if len(minutes) <= _LARGE else minutes

        def looked_up(table: NDArray[np.float64]) -> _Between:
            return lambda a, b: float(table[places[a.place], places[b.place]])

        return cls(looked_up(minutes), looked_up(short), speed)

    def arrival(self, leave: float, base: float) -> float:
        """When a leg that begins at minute `leave` ends."""
        return float(_arrival(self._speed, leave, base))

    def departure(self, arrive: float, base: float) -> float:
        """When a leg has to begin that ends at minute `arrive`."""
        return float(_departure(self._speed, arrive, base))

    def takes_over(self, most: float, first: float, last: float, base: float) -> bool:
        """Whether a leg that begins between two minutes takes longer than so many, whenever."""
        at_once = self.arrival(first, base) - first
        return at_once > most and self.fastest(first, last, base) > most

    def fastest(self, first: float, last: float, base: float) -> float:
        """The shortest a leg takes that begins between two minutes."""
        last = max(first, min(last, first + 1440.0))
        over = math.floor(self.arrival(last, base) / 60)
        # How long it takes changes its course only where it begins or ends at a full hour.
        hours = [60.0 * hour for hour in range(math.ceil(first / 60), over + 1)]
        starts = {first, last, *hours, *(self.departure(hour, base) for hour in hours)}
        return min(self.arrival(t, base) - t for t in starts if first <= t <= last)


@dataclass(frozen=True, slots=True)
class BookingReach:
    """What a booking's own numbers allow; minutes of its day.

    Attributes:
        ready, by: boarding begins between them, all windows and the longest ride considered.
        base: of the direct ride, at relative speed 1.
        longest: minutes on board at most.
    """

    ready: float
    by: float
    base: float
    longest: float


def longest_ride(ride: BookingRow, direct: float) -> float:
    """Minutes on board at most: what the row says, or what is usual for so long a way."""
    if not math.isnan(ride.max_ride):
        return ride.max_ride
    return min(1440.0, math.ceil(RIDE_FACTOR * direct + RIDE_EXTRA))


def times_of(ride: BookingRow, ways: Ways) -> BookingReach:
    """When the booking can be picked up, from its own row alone."""
    pickup_from, pickup_to, dropoff_from, dropoff_to = ride.windows
    first, last = _ends(ride)
    base = ways.base(first, last)
    longest = longest_ride(ride, base if ways.straight else ways.direct(first, last))
    ready = max(0.0, pickup_from, ride.announce, dropoff_from - longest - ride.boarding)
    by = pickup_to
    if dropoff_to < math.inf:
        by = min(by, ways.departure(dropoff_to, base) - ride.boarding)
    return BookingReach(ready, by, base, longest)


def own_trouble(ride: BookingRow, t: BookingReach, ways: Ways) -> Trouble | None:
    """What is impossible in the row itself, whoever drives."""
    at = ride.midnight
    _, pickup_to, dropoff_from, dropoff_to = ride.windows
    between = t.ready + ride.boarding, max(t.ready, t.by) + ride.boarding
    if ways.takes_over(t.longest + _SLACK, *between, t.base):
        shortest = ways.fastest(*between, t.base)
        fault = f"is less than the direct ride, {shortest:.0f} minutes"
        if math.isnan(ride.max_ride):
            fault = f"is empty, and the usual {t.longest:.0f} minutes are {fault[3:]}"
        return Trouble("max_ride", fault, f"at least {math.ceil(shortest)}")
    begin = max(0.0, ride.windows[0], ride.announce)
    over = ways.arrival(begin + ride.boarding, t.base)
    if dropoff_to < over - _SLACK:
        fault = f"is before the ride can end: {over - begin:.0f} minutes from {clock(begin, at)} on"
        return Trouble("dropoff_to", fault, f"{clock(over, at)} or later, or an earlier pickup")
    if t.ready > t.by + _SLACK:
        until = clock(min(pickup_to, t.by), at)
        if ride.announce >= t.ready:
            fault = f"is after the latest pickup that still arrives, {until}"
            return Trouble("booked_at", fault, "a time before the ride")
        end = clock(dropoff_from, at)
        fault = f"is so early that {t.longest:.0f} minutes on board end before {end}"
        return Trouble("pickup_to", fault, f"{clock(t.ready, at)} or later, or a longer max_ride")
    return None


def fleet_trouble(
    ride: BookingRow, t: BookingReach, shifts: Sequence[DriverRow], ways: Ways
) -> Trouble | None:
    """Why none of the shifts of a day could take the booking, were there no other ride."""
    at = ride.midnight
    # The first that could is enough: most days have one near the top of the list.
    if any(_fits(ride, one) and _in_time(ride, t, one, ways) for one in shifts):
        return None
    fits = [one for one in shifts if _fits(ride, one)]
    if not fits:
        roomy = [one for one in shifts if _has_seats(ride, one)]
        return _no_skills(ride, roomy) if roomy else _no_seats(ride, shifts)
    field = "pickup_to" if ride.windows[1] < math.inf else "dropoff_to"
    spans = ", ".join(
        sorted({f"{clock(s.shift[0], at)} to {clock(s.shift[1], at)}" for s in fits})[:4]
    )
    others = len(fits) < len(shifts)
    such = "such seats and skills" if ride.needs else "such seats"
    who = f"shifts with {such}" if others else "shifts"
    if all(t.by < one.shift[0] or t.ready > one.shift[1] for one in fits):
        return Trouble(field, f"is outside all {who}{_of(ride)} ({spans})", _SHIFT_RIGHT)
    start = _ends(ride)[0]
    first = min(ways.arrival(one.shift[0], ways.base(_ends(one)[0], start)) for one in fits)
    if first > t.by + _SLACK:
        fault = f"is before the first of the {who} can be there, {clock(first, at)}"
        return Trouble(field, fault, f"{clock(first, at)} or later, or an earlier shift")
    last = max(_home_by(one, ways) for one in fits)
    fault = f"leaves no time for the ride, the break and the way home in the {who} ({spans})"
    return Trouble(
        field, fault, f"a ride that ends well before {clock(last, at)}, or a longer shift"
    )


def back_too_early(back: BookingRow, outbound: BookingRow, ways: Ways) -> Trouble | None:
    """A return whose latest pickup is before its outbound ride can have ended."""
    there, home, at = times_of(outbound, ways), times_of(back, ways), back.midnight
    ends = ways.arrival(there.ready + outbound.boarding, there.base)
    ends = max(ends, outbound.windows[2]) + outbound.alighting
    if home.by >= ends - _SLACK:
        return None
    field = "pickup_to" if back.windows[1] < math.inf else "dropoff_to"
    fault = f"is before the outbound ride {outbound.key} can have ended, {clock(ends, at)}"
    return Trouble(field, fault, f"{clock(ends, at)} or later")


def clock(minute: float, midnight: datetime) -> str:
    """A minute of a day as people say it."""
    if not math.isfinite(minute):
        return "any time"
    shown = shown_at(math.floor(minute + 1e-6), midnight)
    days = (shown.date() - midnight.date()).days
    return f"{shown:%H:%M}" + (f" the day {'after' if days > 0 else 'before'}" if days else "")


def unservable(day: Instance) -> list[tuple[int, Trouble]]:
    """The bookings of a day that can only be refused: their rows, from 0, and why."""
    ways = Ways.of_day(day.travel)
    rides, shifts = _rows_of(day)
    found = []
    for k, ride in enumerate(rides):
        times = times_of(ride, ways)
        trouble = own_trouble(ride, times, ways) or fleet_trouble(ride, times, shifts, ways)
        outbound = int(day.bookings.linked_to[k])
        if trouble is None and outbound >= 0:
            trouble = back_too_early(ride, rides[outbound], ways)
        if trouble is not None:
            found.append((k, trouble))
    return found


_SHIFT_RIGHT: Final = "a time within a shift, or a shift that covers it"


def _of(ride: BookingRow) -> str:
    return "" if ride.day == date.min else f" of {ride.day}"


def _rows_of(day: Instance) -> tuple[list[BookingRow], list[DriverRow]]:
    """A saved day as rows; its ends are named by the numbers of their places."""
    b, d, points = day.bookings, day.drivers, day.travel.coordinates.tolist()

    def where(first: int, last: int) -> dict[str, Any]:
        ends = tuple(points[first]), tuple(points[last])
        return {"ends": ends, "places": (str(first), str(last))}

    rides = [
        BookingRow(
            line=k + 1, key=str(k + 1), day=date.min, dated=True,
            **where(int(b.pickup[k]), int(b.dropoff[k])),
            windows=(
                float(b.pickup_from[k]), float(b.pickup_to[k]), float(b.dropoff_from[k]),
                float(b.dropoff_to[k]),
            ),
            load=tuple(b.load[k].tolist()), boarding=float(b.boarding[k]),
            alighting=float(b.alighting[k]), max_ride=float(b.max_ride[k]),
            priority=int(b.priority[k]), announce=float(b.announce[k]), returns_from="",
            no_show=bool(b.no_show[k]), cancel=float(b.cancel[k]), delays=(0.0, 0.0), given={},
            midnight=_ANY_DAY, needs=_names(day, int(b.needs[k])), alone=bool(b.alone[k]),
        )
        for k in range(len(b))
    ]  # fmt: skip
    shifts = [
        DriverRow(
            line=k + 1, key=str(k + 1), day=date.min, **where(int(d.start[k]), int(d.end[k])),
            shift=(float(d.shift_start[k]), float(d.shift_end[k])),
            pause=(float(d.break_from[k]), float(d.break_to[k]), float(d.break_minutes[k])),
            seats=tuple(d.seats[k].tolist()), skills=_names(day, int(d.skills[k])),
            fold=int(d.fold[k]), fold_seats=int(d.fold_seats[k]),
            pause2=(float(d.break2_from[k]), float(d.break2_to[k]), float(d.break2_minutes[k])),
        )
        for k in range(len(d))
    ]  # fmt: skip
    return rides, shifts


def _names(day: Instance, bits: int) -> tuple[str, ...]:
    return tuple(name for k, name in enumerate(day.skills) if bits >> k & 1)


def _ends(row: BookingRow | DriverRow) -> tuple[End, End]:
    (first, last), (here, there) = row.ends, row.places
    return End(first, here), End(last, there)


def _fits(ride: BookingRow, shift: DriverRow) -> bool:
    return _has_seats(ride, shift) and set(ride.needs) <= set(shift.skills)


def _has_seats(ride: BookingRow, shift: DriverRow) -> bool:
    folded = max(0, ride.load[_WHEELCHAIR] - (shift.seats[_WHEELCHAIR] - shift.fold))
    sits = ride.load[_AMBULATORY] <= shift.seats[_AMBULATORY] - shift.fold_seats * folded
    return sits and all(map(le, ride.load, shift.seats))


def _no_seats(ride: BookingRow, shifts: Sequence[DriverRow]) -> Trouble:
    most = [max(one.seats[k] for one in shifts) for k in range(len(SEAT_TYPES))]
    lacks = [k for k, asked in enumerate(ride.load) if asked > most[k]]
    if not lacks:
        fault = f"is more than any one vehicle{_of(ride)} has, taken together"
        return Trouble("seats", fault, "a vehicle with all of these seats, or several bookings")
    k = lacks[0]
    there = f"at most {most[k]} {SEAT_TYPES[k]}" if most[k] else f"no {SEAT_TYPES[k]}"
    right = f"a vehicle of {ride.load[k]} {SEAT_TYPES[k]} in the drivers' file"
    if most[k]:
        right += f", or bookings of at most {most[k]}"
    return Trouble("seats", f"is more than any vehicle{_of(ride)} has: {there}", right)


def _no_skills(ride: BookingRow, shifts: Sequence[DriverRow]) -> Trouble:
    """Why none of the shifts that have the seats will do: a skill that nobody has, or several."""
    booking, those = f"booking {ride.key}{_of(ride)}", "with the seats" if ride.needs else ""
    for name in ride.needs:
        if not any(name in one.skills for one in shifts):
            fault = f"{booking} needs {name}, which no driver {those} has"
            return Trouble("needs", fault, f"{name} among the skills of a driver")
    fault = f"{booking} needs {' and '.join(ride.needs)}, which no one driver {those} has together"
    return Trouble("needs", fault, "a driver with all of these skills")


def _home_by(shift: DriverRow, ways: Ways) -> float:
    """When the driver has to be home: at the shift's end, or as soon as the way takes."""
    return max(shift.shift[1], ways.arrival(shift.shift[0], ways.base(*_ends(shift))))


def _in_time(ride: BookingRow, t: BookingReach, shift: DriverRow, ways: Ways) -> bool:
    if shift.shift[0] > t.by + _SLACK:
        return False  # also without the way there
    (pickup, dropoff), (start, end) = _ends(ride), _ends(shift)
    begins = max(ways.arrival(shift.shift[0], ways.base(start, pickup)), t.ready)
    rests = [pause for pause in (shift.pause, shift.pause2) if pause[2]]
    # With breaks there are several ways: the ride before, between or after them.
    for before in range(len(rests) + 1):
        rested = -math.inf
        for break_from, _, minutes in rests[:before]:
            rested = max(rested, break_from) + minutes
        boards = max(begins, rested)
        if boards > t.by + _SLACK:
            continue
        aboard = boards + ride.boarding
        if ways.takes_over(t.longest + _SLACK, aboard, t.by + ride.boarding, t.base):
            continue
        done = max(ways.arrival(aboard, t.base), ride.windows[2]) + ride.alighting
        late = False
        for break_from, break_to, minutes in rests[before:]:
            late |= done > break_to + _SLACK
            done = max(done, break_from) + minutes
        if late:
            continue
        home = ways.arrival(done, ways.base(dropoff, end))
        if home <= shift.shift[1] + _SLACK or home <= _home_by(shift, ways) + _SLACK:
            return True
    return False
