"""A dispatch board as its dispatcher can describe it, and what a policy may see and do there.

A running day of the environment knows its future: who will cancel, which door will take long. A
real one does not. Here the drivers with their plans and the bookings that are known make a day
that stands at one minute, and the environment's own kernel looks at it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.worlds.dispatch import (
    insertion,
    kernel,
    lifecycle,
    plans,
    running_days,
    schedules,
    tables,
    travel,
)
from compagnon.worlds.dispatch.board_parts import Aboard, Board, Driver, Place, Ride, Stop
from compagnon.worlds.dispatch.board_travel import Places
from compagnon.worlds.dispatch.conditions import LONGEST_HALT
from compagnon.worlds.dispatch.fields import Layout, scales
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.instance_parts import SEATS, Bookings, Drivers

__all__ = ["Aboard", "Board", "BoardReader", "Driver", "Place", "Ride", "Stop"]

_PHASES: Final = {
    "waits": plans.WAITS,
    "busy": plans.BUSY,
    "drives": plans.DRIVES,
    "off": plans.OFF,
}
_STATUS: Final = {
    "open": running_days.OPEN,
    "later": running_days.LATER,
    "served": running_days.SERVED,
    "rejected": running_days.REJECTED,
    "cancelled": running_days.CANCELLED,
    "taxi": running_days.TAXI,
}
_BREAKS: Final = (
    ("break_minutes", "break_from", "break_to"), ("break2_minutes", "break2_from", "break2_to"),
)  # fmt: skip
_SHIFT: Final = ("shift_start", "shift_end", *(name for names in _BREAKS for name in names))


class BoardReader:
    """Shows boards as a policy of one layout sees them; observations in physical units.

    Args:
        layout: how many drivers and places on the board the policy knows.
        weights: of the cost, in the order of `insertion.Weights`.
    """

    def __init__(self, layout: Layout, weights: insertion.Weights) -> None:
        self.layout = layout
        self._promise = weights.promise
        none = np.zeros((1, 1, 1))
        self._view = kernel.View(
            board=layout.board,
            weights=np.array(weights),
            minutes=none,
            km=none,
            scale=scales("physical"),
            look_again=np.inf,  # a board stands still
        )

    def look(self, board: Board) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The observation, (layout.size,), and the mask, (layout.actions,).

        Raises:
            InputError: names what of the board cannot be.
        """
        _, out = self._show(board)
        return out.obs[0].astype(np.float64), out.mask[0]

    def booking_at(self, board: Board, place: int) -> int:
        """Which of the board's rides stands at a place that is taken."""
        worlds, _ = self._show(board)
        w = running_days.RunningDays(*(array[0] for array in worlds))
        shown = min(self.layout.board, int(w.counts[running_days.OPEN]))
        return int(w.open[place] if place < shown else w.movable[place - shown])

    def _show(self, board: Board) -> tuple[running_days.RunningDays, kernel.DispatchOutputs]:
        if len(board.drivers) > self.layout.drivers:
            raise InputError(
                f"drivers: there are {len(board.drivers)}; this policy knows {self.layout.drivers}"
            )
        places = Places(board)
        minutes, km = (_stacked(matrix) for matrix in places.matrices.values())
        world = _stand(board, self.layout.drivers, places, minutes, km, self._promise)
        out = kernel.allocate_outputs(
            world, self.layout.size, self.layout.actions, self.layout.board
        )
        kernel.show(0, world, self._view._replace(minutes=minutes, km=km), out, out.scratch[0])
        return world, out


def _stacked(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix as the only one of a stack; one entry that nobody reads where there is none."""
    return matrix[None] if matrix.size else np.zeros((1, 1, 1))


def _stand(
    board: Board,
    drivers: int,
    places: Places,
    minutes: NDArray[np.float64],
    km: NDArray[np.float64],
    promise: float,
) -> running_days.RunningDays:
    """The board as a running day."""
    number = _numbers(board)
    instance = _instance(board, number, places)
    worlds = running_days.allocate(1, max(1, len(board.rides)), drivers)
    w = running_days.RunningDays(*(array[0] for array in worlds))
    day = tables.Day(*(getattr(w, name) for name in tables.Day._fields))
    middle = None if board.middle is None else np.array(board.middle, np.float64)
    tables.write_instance(instance, day, 0, middle)
    w.rule[travel.HALT] = _halt_minutes(board)
    travel.write_xyz(w.rule[travel.KIND], w.coordinates, w.xyz)
    travel.write_near(w.rule, w.coordinates, w.near)
    roads = running_days.roads_for_python(w, minutes, km)
    tables.derive(w.bookings, len(board.rides), roads, promise)
    w.where[:, :, running_days.FOUND_FOR] = -1
    w.money[running_days.NOW], w.money[running_days.DAY_BEGIN] = board.now, board.day_begin
    last = max((driver.shift_end for driver in board.drivers), default=board.now)
    w.money[running_days.DAY_END] = last if board.day_end is None else board.day_end
    _place_rides(board, number, w)
    for d, driver in enumerate(board.drivers):
        _place_driver(board, d, driver, number, w)
        if driver.phase != "off":
            plan = running_days.plan_for_python(w, d)
            plans.write_loads(plan, w.bookings)
            schedules.settle(plan, roads, w.bookings, board.now)
    for d in range(len(board.drivers), drivers):
        w.state[d, plans.PHASE] = plans.OFF
    return worlds


def _halt_minutes(board: Board) -> float:
    if not 0 <= board.halt_minutes <= LONGEST_HALT:
        raise InputError(f"halt_minutes: it is {board.halt_minutes:g}; use 0 to {LONGEST_HALT:g}")
    return board.halt_minutes


def _numbers(board: Board) -> dict[str, int]:
    number: dict[str, int] = {}
    for b, ride in enumerate(board.rides):
        if ride.id in number:
            raise InputError(f"rides[{b}].id: {ride.id!r} stands there twice")
        number[ride.id] = b
    return number


def _instance(board: Board, number: dict[str, int], places: Places) -> Instance:
    """The day that the board is a moment of, checked like any other."""
    rides, drivers = board.rides, board.drivers
    n = len(rides)
    ways = [
        (places.find(ride.pickup, f"rides[{b}].pickup"),
         places.find(ride.dropoff, f"rides[{b}].dropoff"))
        for b, ride in enumerate(rides)
    ]  # fmt: skip
    ends = [
        (places.find(driver.at, f"drivers[{d}].at"), places.find(driver.end, f"drivers[{d}].end"))
        for d, driver in enumerate(drivers)
    ]
    pickup, dropoff = np.array(ways, np.int64).reshape(n, 2).T
    start, end = np.array(ends, np.int64).reshape(len(drivers), 2).T

    def column(name: str, missing: float = 0.0) -> NDArray[np.float64]:
        given = [getattr(ride, name) for ride in rides]
        return np.array([missing if one is None else one for one in given], np.float64)

    def of_driver(name: str) -> NDArray[np.float64]:
        return np.array([getattr(driver, name) for driver in drivers], np.float64)

    named = [*(driver.skills for driver in drivers), *(ride.needs for ride in rides)]
    skills = tuple(dict.fromkeys(one for names in named for one in names))
    bits = {name: 1 << k for k, name in enumerate(skills)}
    never = np.full(n, np.inf)
    bookings = Bookings(
        pickup=pickup,
        dropoff=dropoff,
        pickup_from=column("pickup_from", -np.inf),
        pickup_to=column("pickup_to", np.inf),
        dropoff_from=column("dropoff_from", -np.inf),
        dropoff_to=column("dropoff_to", np.inf),
        load=np.array([ride.seats for ride in rides], np.int64).reshape(n, SEATS),
        boarding=column("boarding"),
        alighting=column("alighting"),
        max_ride=column("max_ride"),
        priority=np.array([ride.priority for ride in rides], np.int64),
        announce=column("announced"),
        linked_to=np.array([_link(b, ride, number) for b, ride in enumerate(rides)], np.int64),
        no_show=np.zeros(n, np.bool_),
        cancel=never,
        boarding_delay=np.zeros(n),
        alighting_delay=np.zeros(n),
        needs=np.array([sum(bits[one] for one in set(ride.needs)) for ride in rides], np.int64),
        alone=np.array([ride.alone for ride in rides], np.bool_),
    )
    cars = Drivers(
        start=start,
        end=end,
        seats=np.array([driver.seats for driver in drivers], np.int64).reshape(-1, SEATS),
        skills=np.array([sum(bits[one] for one in set(who.skills)) for who in drivers], np.int64),
        fold=np.array([driver.fold for driver in drivers], np.int64),
        fold_seats=np.array([driver.fold_seats for driver in drivers], np.int64),
        **{name: of_driver(name) for name in _SHIFT},
    )
    return Instance("the board", bookings, cars, places.travel(), skills)


def _link(b: int, ride: Ride, number: dict[str, int]) -> int:
    if ride.returns_from is None:
        return -1
    return _find(number, ride.returns_from, f"rides[{b}].returns_from")


def _find(number: dict[str, int], ride: str | None, where: str) -> int:
    if ride not in number:
        raise InputError(f"{where}: there is no ride {ride!r} among the rides")
    return number[ride]


def _place_rides(board: Board, number: dict[str, int], w: running_days.RunningDays) -> None:
    """What has become of each ride; the open ones in the order of their deadlines."""
    status = [_STATUS[ride.status] for ride in board.rides]
    taken: dict[int, str] = {}
    for d, driver in enumerate(board.drivers):
        where = f"drivers[{d}]"
        aboard = [_find(number, one.ride, f"{where}.aboard") for one in driver.aboard]
        planned = [
            _find(number, stop.ride, f"{where}.plan") for stop in driver.plan if stop.at == "pickup"
        ]
        leaving = [] if driver.alighting is None else [
            _find(number, driver.alighting, f"{where}.alighting")
        ]  # fmt: skip
        for rides, becomes in (
            (aboard, running_days.ABOARD),
            (planned, running_days.PLANNED),
            (leaving, running_days.ABOARD),
        ):
            for b in rides:
                if b in taken:
                    raise InputError(f"{where}: {board.rides[b].id!r} is with {taken[b]} already")
                taken[b] = where
                status[b] = becomes
                w.rides[b, running_days.BY_DRIVER] = d
    for b, value in enumerate(status):
        w.status[b] = value
        w.rides[b, running_days.MOVED_AT] = 1.0 if board.rides[b].moved else 0.0
        w.counts[value] += 1
    for b, value in enumerate(status):
        if value == running_days.LATER:
            w.counts[running_days.ON_CALL] += lifecycle.on_call(w, b)
    w.counts[running_days.SERVED] += board.served
    w.counts[running_days.REJECTED] += board.rejected
    waiting = [b for b, value in enumerate(status) if value == running_days.OPEN]
    waiting.sort(key=lambda b: float(w.bookings[b, tables.PICKUP_BY]))
    w.open[: len(waiting)] = waiting


def _place_driver(
    board: Board, d: int, driver: Driver, number: dict[str, int], w: running_days.RunningDays
) -> None:
    plan, where = running_days.plan_for_python(w, d), f"drivers[{d}]"
    node = 2 * w.bookings.shape[0] + 2 * d
    state, times = plan.state, plan.times
    state[plans.AT], state[plans.PHASE], state[plans.SERVING] = (
        node,
        _PHASES[driver.phase],
        plans.BREAK,
    )
    times[plans.FREE], times[plans.BREAKS_DOWN] = driver.free_at, np.inf
    if driver.phase == "off":
        state[plans.COUNT] = 0
        return
    if len(driver.plan) + 3 > plans.MAX_STOPS:
        raise InputError(f"{where}.plan: at most {plans.MAX_STOPS - 3} stops")
    since = {_find(number, one.ride, f"{where}.aboard"): one.since for one in driver.aboard}
    for b in since:
        for seat in range(tables.LOADS):
            state[plans.ABOARD + seat] += int(w.bookings[b, tables.LOAD + seat])
    picked: dict[int, int] = {}
    rests = _rests(driver, where)
    for k, stop in enumerate(driver.plan):
        if stop.at == "break":
            plans.write_stop(plan, k, plans.BREAK, *rests[state[plans.RESTS]])
            state[plans.RESTS] += 1
            _mend(plan.stops[k], stop)
            continue
        _write(plan, k, driver, stop, since, picked, number, w, f"{where}.plan[{k}]")
    n = len(driver.plan)
    open_ended = [board.rides[b].id for b in (*since, *picked) if b not in _left(driver, number)]
    if open_ended:
        raise InputError(f"{where}.plan: {open_ended[0]!r} is picked up and never dropped off")
    plans.write_stop(plan, n, node + 1, 0.0, driver.shift_end, driver.shift_end)
    state[plans.COUNT] = n + 1
    if driver.phase == "drives":
        if driver.arrives is None:
            raise InputError(f"{where}.arrives: give it for a driver who drives")
        plan.stops[0, plans.START] = driver.arrives


def _left(driver: Driver, number: dict[str, int]) -> set[int]:
    return {number[stop.ride] for stop in driver.plan if stop.at == "dropoff" and stop.ride}


def _write(
    plan: plans.DriverPlan, k: int, driver: Driver, stop: Stop, since: dict[int, float],
    picked: dict[int, int], number: dict[str, int], w: running_days.RunningDays, where: str,
) -> None:  # fmt: skip
    """Stop `k` of a plan, but for breaks, as `plan.insert` would have left it."""
    b = _find(number, stop.ride, f"{where}.ride")
    row = w.bookings[b]
    if stop.at == "passes" or (stop.at == "nobody" and (k or driver.phase != "drives")):
        plans.write_stop(plan, k, 2 * b + (stop.at == "passes"), 0.0, 0.0, 0.0)
        plans.empty(plan, k)
    elif stop.at == "dropoff":
        if b not in since and b not in picked:
            raise InputError(f"{where}: {stop.ride!r} is dropped off and never picked up")
        plans.write_stop(
            plan,
            k,
            2 * b + 1,
            row[tables.ALIGHTING],
            row[tables.DROPOFF_FROM],
            row[tables.DROPOFF_BY],
        )
        plan.stops[k, plans.RIDE_LIMIT] = row[tables.MAX_RIDE]
        plan.stops[k, plans.BOARDED] = since.get(b, 0.0)
        plan.codes[k, plans.PICKED_AT] = picked.get(b, -1)
    else:
        nobody = stop.at == "nobody"
        service = 0.0 if nobody else row[tables.BOARDING]
        plans.write_pickup(plan, k, b, row, service)
        if nobody:
            plan.codes[k, plans.PICKED_AT] = plans.DEAD
        else:
            picked[b] = k
    _mend(plan.stops[k], stop)


def _mend(row: NDArray[np.float64], stop: Stop) -> None:
    """Put in what is no longer what the booking, or the shift, says."""
    for column, given in (
        (plans.EARLIEST, stop.earliest),
        (plans.LIMIT, stop.limit),
        (plans.RIDE_LIMIT, stop.ride_limit),
    ):
        if given is not None:
            row[column] = given


def _rests(driver: Driver, where: str) -> list[tuple[float, ...]]:
    """Minutes, begin and end of the breaks in the plan: of two, the last is never the first."""
    planned = sum(stop.at == "break" for stop in driver.plan)
    breaks = [tuple(getattr(driver, name) for name in names) for names in _BREAKS]
    known = breaks if breaks[1][0] > 0 else breaks[:1]
    if planned > len(known):
        raise InputError(
            f"{where}.plan: it has {planned} breaks; break_minutes and break2_minutes tell of "
            f"{len(known)}"
        )
    return known[len(known) - planned :]
