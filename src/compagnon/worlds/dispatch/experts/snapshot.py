"""What a dispatcher knows at one moment of a day: stops, drivers and open bookings for a solver.

Only what has been announced is in it. How long doors will take, who will not be there, and what
will still be asked for is left out; with foresight the last is not.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import cached_njit
from compagnon.worlds.dispatch import plans, running_days, tables, travel
from compagnon.worlds.dispatch.insertion import Weights


@dataclass(slots=True)
class PlannedStop:
    """One place where something is to be done. Times are minutes of the day.

    Attributes:
        node: of the day's tables.
        service: planned minutes at the door.
        earliest, latest: when it may begin.
        load: (LOADS,) taken (pickup) or freed (drop-off): seats by type, and company.
    """

    node: int
    service: float
    earliest: float
    latest: float
    load: tuple[int, ...] = (0,) * tables.LOADS


@dataclass(slots=True)
class Vehicle:
    """A driver who can still be sent.

    Attributes:
        number: of the driver.
        start: where and when he is free to be sent; `earliest` is the minute.
        home: where the shift ends; `latest` is the minute.
        order: positions in `Snapshot.stops` of what is planned, in its order; -1 is the first
            break that is to come, -2 the second.
        rests: (minutes, earliest, latest) of the breaks that are to come.
        seats: (LOADS,) of the vehicle: by type, and company.
        fold, fold_seats, skills: as in `instance.Drivers`.
        finishes: when the next stop of his plan will be done, inf without one.
    """

    number: int
    start: PlannedStop
    home: PlannedStop
    seats: tuple[int, ...]
    fold: int
    fold_seats: int
    skills: int
    order: list[int] = field(default_factory=list)
    rests: list[tuple[float, float, float]] = field(default_factory=list)
    finishes: float = np.inf


@dataclass(slots=True)
class PlannedRide:
    """A pickup and its drop-off, positions in `Snapshot.stops`.

    Attributes:
        booking: its row.
        vehicle: index of the vehicle that it is planned for, -1 if it is open.
        longest: minutes from the end of boarding to the drop-off, at most.
        ready, direct: from when on the pickup is waited for (inf where no begin was given), minutes
            of the direct ride.
        penalty: what it costs not to give it.
        needs: as in `instance.Bookings`.
    """

    booking: int
    pickup: int
    dropoff: int
    vehicle: int
    longest: float
    ready: float
    direct: float
    penalty: float
    needs: int


@dataclass(slots=True)
class DaySnapshot:
    """One moment of one day."""

    now: float
    stops: list[PlannedStop]
    vehicles: list[Vehicle]
    rides: list[PlannedRide]


def snapshot(w: running_days.RunningDays, weights: Weights, foresight: bool = False) -> DaySnapshot:
    """The moment of one day (`world.row`) as its dispatcher knows it.

    Args:
        foresight: also plan for the rides that will be announced, and for none that will be
            cancelled before its pickup window ends.
    """
    taken = DaySnapshot(float(w.money[running_days.NOW]), [], [], [])
    for d in range(int(w.size[tables.DRIVERS])):
        plan = running_days.plan_for_python(w, d)
        if (
            plan.state[plans.PHASE] != plans.OFF
            and plans.first_open(plan) < plan.state[plans.COUNT]
        ):
            _add_vehicle(taken, w, d, weights)
    waiting = w.open[: w.counts[running_days.OPEN]].tolist()
    if foresight:
        later = np.flatnonzero(w.status[: w.size[tables.BOOKINGS]] == running_days.LATER).tolist()
        stays = w.bookings[:, tables.CANCEL] > w.bookings[:, tables.PICKUP_BY]
        waiting = [b for b in waiting + later if stays[b]]
    for b in waiting:
        row = w.bookings[b]
        k = len(taken.stops)
        first = row[tables.READY]
        if w.status[b] == running_days.LATER:
            first = max(first, row[tables.ANNOUNCE])
        taken.stops.append(_stop(w, 2 * b, first, row[tables.PICKUP_BY]))
        taken.stops.append(_stop(w, 2 * b + 1, row[tables.DROPOFF_READY], row[tables.DROPOFF_BY]))
        taken.rides.append(_ride(w, b, k, k + 1, -1, weights))
    return taken


def _stop(w: running_days.RunningDays, node: int, earliest: float, latest: float) -> PlannedStop:
    """A stop at a booking's door."""
    row = w.bookings[node // 2]
    sign = 1 - 2 * (node % 2)
    load = tuple(sign * int(seats) for seats in row[tables.LOAD : tables.LOAD + tables.LOADS])
    service = float(row[tables.ALIGHTING if node % 2 else tables.BOARDING])
    return PlannedStop(node, service, float(earliest), float(latest), load)


def _ride(
    w: running_days.RunningDays, b: int, pickup: int, dropoff: int, vehicle: int, weights: Weights
) -> PlannedRide:
    row = w.bookings[b]
    penalty, leg = 0.0, b
    while leg >= 0:  # who is not taken there is not taken back
        penalty += weights.reject_base + weights.reject_priority * w.bookings[leg, tables.PRIORITY]
        leg = int(w.bookings[leg, tables.RETURN])
    return PlannedRide(
        b, pickup, dropoff, vehicle, float(row[tables.MAX_RIDE]), float(row[tables.WAITS_FROM]),
        float(row[tables.DIRECT]), float(penalty), int(row[tables.NEEDS]),
    )  # fmt: skip


def _add_vehicle(taken: DaySnapshot, w: running_days.RunningDays, d: int, weights: Weights) -> None:
    plan = running_days.plan_for_python(w, d)
    count, doors = int(plan.state[plans.COUNT]), 2 * len(w.bookings)
    at, free = int(plan.state[plans.AT]), max(float(plan.times[plans.FREE]), taken.now)
    aboard = plan.state[plans.ABOARD : plans.ABOARD + tables.LOADS]
    first = plans.first_open(plan)
    if first == 1:  # he is under way: what he does there cannot be changed
        free = float(plan.stops[0, plans.START] + plan.stops[0, plans.SERVICE])
        aboard = plan.codes[0, plans.LOAD_AFTER : plans.LOAD_AFTER + tables.LOADS]
        if plan.codes[0, plans.NODE] != plans.BREAK:
            at = int(plan.codes[0, plans.NODE])
    home = plan.stops[count - 1]
    vehicle = Vehicle(
        d,
        PlannedStop(at, 0.0, free, free, tuple(int(seats) for seats in aboard)),
        PlannedStop(int(plan.codes[count - 1, plans.NODE]), 0.0, 0.0, float(home[plans.LIMIT])),
        tuple(int(seats) for seats in w.drivers[d, tables.SEAT : tables.SEAT + tables.LOADS]),
        int(w.drivers[d, tables.FOLD]),
        int(w.drivers[d, tables.FOLD_SEATS]),
        int(w.drivers[d, tables.SKILLS]),
    )
    if plan.state[plans.PHASE] == plans.BUSY:
        vehicle.finishes = float(plan.times[plans.FREE])
    elif count > 1:
        vehicle.finishes = float(plan.stops[0, plans.START] + plan.stops[0, plans.SERVICE])
    where: dict[int, int] = {}
    for k in range(first, count - 1):
        node, stop = int(plan.codes[k, plans.NODE]), plan.stops[k]
        if node == plans.BREAK:
            vehicle.rests.append(
                (
                    float(stop[plans.SERVICE]),
                    float(stop[plans.EARLIEST]),
                    float(stop[plans.LIMIT]),
                )
            )
            vehicle.order.append(-len(vehicle.rests))
            continue
        latest = float(stop[plans.LIMIT])
        if plan.codes[k, plans.PICKED_AT] == plans.DEAD:  # a place to pass, where nobody is
            vehicle.order.append(len(taken.stops))
            taken.stops.append(PlannedStop(node, 0.0, float(stop[plans.EARLIEST]), latest))
            continue
        if node < doors and node % 2 == 1 and node - 1 not in where:  # on board already
            latest = min(latest, float(stop[plans.BOARDED] + stop[plans.RIDE_LIMIT]))
        where[node] = len(taken.stops)
        vehicle.order.append(len(taken.stops))
        taken.stops.append(_stop(w, node, float(stop[plans.EARLIEST]), latest))
        if node % 2 == 1 and node - 1 in where:
            at_pickup = where[node - 1]
            index = len(taken.vehicles)
            taken.rides.append(_ride(w, node // 2, at_pickup, where[node], index, weights))
    taken.vehicles.append(vehicle)


@cached_njit
def legs(nodes, leaves, earliest, roads, minutes, km):
    """Minutes and kilometres from each of `nodes` (n,) to each, into (n, n).

    A leg takes as long as at the hour at which it can be driven first: after `leaves` (n,) of the
    one place, and just in time for `earliest` (n,) of the other.
    """
    n = len(nodes)
    for a in range(n):
        for b in range(n):
            base = travel.base_minutes(roads, nodes[a], nodes[b])
            leave = max(leaves[a], earliest[b] - base)
            minutes[a, b] = travel.arrival(roads.speed, leave, base) - leave
            km[a, b] = travel.road_km(roads, nodes[a], nodes[b])


def leg_tables(
    taken: DaySnapshot,
    w: running_days.RunningDays,
    minutes: NDArray[np.float64],
    km: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Minutes and kilometres between all stops, then all starts, then all homes, (n, n) each.

    Args:
        minutes, km: the matrices of the replayed days, as the kernel has them.
    """
    stops = [
        *taken.stops, *(v.start for v in taken.vehicles), *(v.home for v in taken.vehicles),
    ]  # fmt: skip
    n = len(stops)
    earliest = np.array([max(stop.earliest, taken.now) for stop in stops])
    leaves = earliest + np.array([stop.service for stop in stops])
    took, driven = np.zeros((n, n)), np.zeros((n, n))
    nodes = np.array([stop.node for stop in stops], np.int64)
    legs(nodes, leaves, earliest, running_days.roads_for_python(w, minutes, km), took, driven)
    return took, driven
