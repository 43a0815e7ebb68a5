"""What a dispatcher knows at one moment of a day: stops, drivers and open bookings for a solver.

Only what has been announced is in it. How long doors will take, who will not be there, and what
will still be asked for is left out; with foresight the last is not.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import cached_njit
from compagnon.worlds.dispatch import lifecycle, plans, running_days, tables, travel
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
        order: positions in `DaySnapshot.stops` of what stays with him, in its order; -1 is the
            first break that is to come, -2 the second.
        route: the same of all that is planned, with the rides among it that may move.
        rests: (minutes, earliest, latest) of the breaks that are to come.
        seats: (LOADS,) of the vehicle: by type, and company.
        fold, fold_seats, skills: as in `instance.Drivers`.
    """

    number: int
    start: PlannedStop
    home: PlannedStop
    seats: tuple[int, ...]
    fold: int
    fold_seats: int
    skills: int
    order: list[int] = field(default_factory=list)
    route: list[int] = field(default_factory=list)
    rests: list[tuple[float, float, float]] = field(default_factory=list)


@dataclass(slots=True)
class PlannedRide:
    """A pickup and its drop-off, positions in `DaySnapshot.stops`.

    Attributes:
        booking: its row.
        vehicle: index of the vehicle that it stays with, -1 if it may go anywhere.
        longest: minutes from the end of boarding to the drop-off, at most.
        ready, direct: from when on the pickup is waited for (inf where no begin was given), minutes
            of the direct ride.
        penalty: what it costs not to give it; where it is promised, a broken promise with it.
        needs: as in `instance_parts.Bookings`.
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


def snapshot(
    w: running_days.RunningDays,
    weights: Weights,
    roads: travel.Roads,
    free: Collection[int] = (),
    *,
    foresight: bool = False,
) -> DaySnapshot:
    """The moment of one day (`running_days.row`) as its dispatcher knows it.

    Args:
        free: planned rides that may go to another driver or place, see `movable`.
        foresight: also plan for the rides that will be announced, and for none that will be
            cancelled before its pickup window ends.
    """
    taken = DaySnapshot(float(w.money[running_days.NOW]), [], [], [])
    taking = _Taking(w, weights, roads, frozenset(free), taken)
    for d in range(int(w.size[tables.DRIVERS])):
        plan = running_days.plan_for_python(w, d)
        if (
            plan.state[plans.PHASE] != plans.OFF
            and plans.first_open(plan) < plan.state[plans.COUNT]
        ):
            taking.add_vehicle(d)
    waiting = w.open[: w.counts[running_days.OPEN]].tolist()
    if foresight:
        later = np.flatnonzero(w.status[: w.size[tables.BOOKINGS]] == running_days.LATER).tolist()
        stays = w.bookings[:, tables.CANCEL] > w.bookings[:, tables.PICKUP_BY]
        waiting = [b for b in waiting + later if stays[b]]
    for b in waiting:
        k = len(taken.stops)
        taken.stops += taking.doors(b)
        taken.rides.append(taking.ride(b, k, k + 1, -1))
    return taken


def movable(
    w: running_days.RunningDays, roads: travel.Roads, weights: Weights, most: int
) -> list[int]:
    """Planned rides that may still move, those first that their drivers set out for first."""
    found: list[tuple[float, int]] = []
    if weights.replan == 0.0:
        return []
    doors = 2 * len(w.bookings)
    for d in range(int(w.size[tables.DRIVERS])):
        plan = running_days.plan_for_python(w, d)
        for k in range(plans.first_open(plan), int(plan.state[plans.COUNT])):
            node, stop = int(plan.codes[k, plans.NODE]), plan.stops[k]
            if node < 0 or node >= doors or node % 2 == 1:
                continue
            leaves = travel.departure(roads.speed, stop[plans.START], stop[plans.LEG])
            planned = w.status[node // 2] == running_days.PLANNED
            if planned and leaves > w.money[running_days.NOW] + weights.freeze:
                found.append((float(leaves), node // 2))
    return [booking for _, booking in sorted(found)[:most]]


def _stop(w: running_days.RunningDays, node: int, earliest: float, latest: float) -> PlannedStop:
    """A stop at a booking's door."""
    row = w.bookings[node // 2]
    sign = 1 - 2 * (node % 2)
    load = tuple(sign * int(seats) for seats in row[tables.LOAD : tables.LOAD + tables.LOADS])
    service = float(row[tables.ALIGHTING if node % 2 else tables.BOARDING])
    return PlannedStop(node, service, float(earliest), float(latest), load)


@dataclass(slots=True)
class _Taking:
    """What a snapshot is taken of, and what there is of it so far."""

    w: running_days.RunningDays
    weights: Weights
    roads: travel.Roads
    free: frozenset[int]
    taken: DaySnapshot

    def doors(self, b: int) -> tuple[PlannedStop, PlannedStop]:
        """The two stops of a booking that may go anywhere."""
        row = self.w.bookings[b]
        first = row[tables.READY]
        if self.w.status[b] == running_days.LATER:
            first = max(first, row[tables.ANNOUNCE])
        return (
            _stop(self.w, 2 * b, first, row[tables.PICKUP_BY]),
            _stop(self.w, 2 * b + 1, row[tables.DROPOFF_READY], row[tables.DROPOFF_BY]),
        )

    def ride(self, b: int, pickup: int, dropoff: int, vehicle: int) -> PlannedRide:
        """A booking whose two stops stand at those positions."""
        row = self.w.bookings[b]
        penalty = lifecycle.decline_cost(self.w, b, self.roads, self.weights)
        if self.w.status[b] == running_days.PLANNED:
            penalty += self.weights.broken
        return PlannedRide(
            b, pickup, dropoff, vehicle, float(row[tables.MAX_RIDE]),
            float(row[tables.WAITS_FROM]), float(row[tables.DIRECT]), float(penalty),
            int(row[tables.NEEDS]),
        )  # fmt: skip

    def add_vehicle(self, d: int) -> None:
        """Driver `d`, with what is planned for him."""
        plan = running_days.plan_for_python(self.w, d)
        vehicle = self._vehicle(d, plan)
        where: dict[int, int] = {}
        for k in range(plans.first_open(plan), int(plan.state[plans.COUNT]) - 1):
            node, stop = int(plan.codes[k, plans.NODE]), plan.stops[k]
            if node == plans.BREAK:
                times = (stop[plans.SERVICE], stop[plans.EARLIEST], stop[plans.LIMIT])
                vehicle.rests.append((float(times[0]), float(times[1]), float(times[2])))
                vehicle.order.append(-len(vehicle.rests))
                vehicle.route.append(-len(vehicle.rests))
                continue
            dead = plan.codes[k, plans.PICKED_AT] == plans.DEAD
            where[node] = at = len(self.taken.stops)
            vehicle.route.append(at)
            if not dead and node // 2 in self.free:
                self.taken.stops.append(self.doors(node // 2)[node % 2])
            else:
                vehicle.order.append(at)
                self.taken.stops.append(self._locked(node, stop, dead, node - 1 in where))
            if not dead and node % 2 == 1 and node - 1 in where:
                index = -1 if node // 2 in self.free else len(self.taken.vehicles)
                self.taken.rides.append(self.ride(node // 2, where[node - 1], at, index))
        self.taken.vehicles.append(vehicle)

    def _locked(
        self, node: int, stop: NDArray[np.float64], dead: bool, fetched: bool
    ) -> PlannedStop:
        """A stop that stays where it is.

        Args:
            dead: it is only passed. fetched: its pickup is planned too.
        """
        earliest, latest = float(stop[plans.EARLIEST]), float(stop[plans.LIMIT])
        if dead:
            return PlannedStop(node, 0.0, earliest, latest)
        if node < 2 * len(self.w.bookings) and node % 2 == 1 and not fetched:  # on board already
            latest = min(latest, float(stop[plans.BOARDED] + stop[plans.RIDE_LIMIT]))
        return _stop(self.w, node, earliest, latest)

    def _vehicle(self, d: int, plan: plans.DriverPlan) -> Vehicle:
        count = int(plan.state[plans.COUNT])
        at, free = int(plan.state[plans.AT]), max(float(plan.times[plans.FREE]), self.taken.now)
        aboard = plan.state[plans.ABOARD : plans.ABOARD + tables.LOADS]
        if plans.first_open(plan) == 1:  # he is under way: what he does there cannot be changed
            free = float(plan.stops[0, plans.START] + plan.stops[0, plans.SERVICE])
            aboard = plan.codes[0, plans.LOAD_AFTER : plans.LOAD_AFTER + tables.LOADS]
            if plan.codes[0, plans.NODE] != plans.BREAK:
                at = int(plan.codes[0, plans.NODE])
        home = plan.stops[count - 1]
        return Vehicle(
            d,
            PlannedStop(at, 0.0, free, free, tuple(int(seats) for seats in aboard)),
            PlannedStop(int(plan.codes[count - 1, plans.NODE]), 0.0, 0.0, float(home[plans.LIMIT])),
            tuple(int(n) for n in self.w.drivers[d, tables.SEAT : tables.SEAT + tables.LOADS]),
            int(self.w.drivers[d, tables.FOLD]),
            int(self.w.drivers[d, tables.FOLD_SEATS]),
            int(self.w.drivers[d, tables.SKILLS]),
        )


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
