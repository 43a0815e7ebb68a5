"""A dispatch board as its dispatcher can describe it, and what a policy may see and do there.

A running day of the environment knows its future: who will cancel, which door will take long. A
real one does not. Here the drivers with their plans and the bookings that are known make a day
that stands at one minute, and the environment's own kernel looks at it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.worlds.dispatch import dynamics
from compagnon.worlds.dispatch import insertion as I
from compagnon.worlds.dispatch import kernel as K
from compagnon.worlds.dispatch import plan as P
from compagnon.worlds.dispatch import state as W
from compagnon.worlds.dispatch import tables as D
from compagnon.worlds.dispatch import travel as T
from compagnon.worlds.dispatch.board_parts import Aboard, Board, Driver, Place, Ride, Stop
from compagnon.worlds.dispatch.board_travel import Places
from compagnon.worlds.dispatch.fields import Layout, scales
from compagnon.worlds.dispatch.instance import SEATS, Bookings, Drivers, Instance

__all__ = ["Aboard", "Board", "BoardReader", "Driver", "Place", "Ride", "Stop"]

_PHASES: Final = {"waits": P.WAITS, "busy": P.BUSY, "drives": P.DRIVES, "off": P.OFF}
_STATUS: Final = {
    "open": W.OPEN, "later": W.LATER, "served": W.SERVED, "rejected": W.REJECTED,
    "cancelled": W.CANCELLED,
}  # fmt: skip


class BoardReader:
    """Shows boards as a policy of one layout sees them; observations in physical units.

    Args:
        layout: how many drivers and places on the board the policy knows.
        weights: of the cost, in the order of `insertion.Weights`.
    """

    def __init__(self, layout: Layout, weights: I.Weights) -> None:
        self.layout = layout
        none = np.zeros((1, 1, 1))
        self._view = K.View(
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
        if len(board.drivers) > self.layout.drivers:
            raise InputError(
                f"drivers: there are {len(board.drivers)}; this policy knows {self.layout.drivers}"
            )
        places = Places(board)
        minutes, km = (_stacked(matrix) for matrix in places.matrices.values())
        world = _stand(board, self.layout.drivers, places, minutes, km)
        out = K.allocate_outputs(world, self.layout.size, self.layout.actions)
        K.show(0, world, self._view._replace(minutes=minutes, km=km), out, out.scratch[0])
        return out.obs[0].astype(np.float64), out.mask[0]


def _stacked(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix as the only one of a stack; one entry that nobody reads where there is none."""
    return matrix[None] if matrix.size else np.zeros((1, 1, 1))


def _stand(
    board: Board,
    drivers: int,
    places: Places,
    minutes: NDArray[np.float64],
    km: NDArray[np.float64],
) -> W.RunningDays:
    """The board as a running day."""
    number = _numbers(board)
    instance = _instance(board, number, places)
    worlds = W.allocate(1, max(1, len(board.rides)), drivers)
    w = W.RunningDays(*(array[0] for array in worlds))
    day = D.Day(*(getattr(w, name) for name in D.Day._fields))
    middle = None if board.middle is None else np.array(board.middle, np.float64)
    D.write_instance(instance, day, 0, middle)
    T.write_xyz(w.rule[T.KIND], w.coordinates, w.xyz)
    T.write_near(w.rule, w.coordinates, w.near)
    roads = W.roads_for_python(w, minutes, km)
    D.derive(w.bookings, len(board.rides), roads)
    w.where[:, :, W.FOUND_FOR] = -1
    w.money[W.NOW], w.money[W.DAY_BEGIN] = board.now, board.day_begin
    last = max((driver.shift_end for driver in board.drivers), default=board.now)
    w.money[W.DAY_END] = last if board.day_end is None else board.day_end
    _place_rides(board, number, w)
    for d, driver in enumerate(board.drivers):
        _place_driver(board, d, driver, number, w)
        if driver.phase != "off":
            plan = W.plan_for_python(w, d)
            P.write_loads(plan, w.bookings)
            P.settle(plan, roads, w.bookings, board.now)
    for d in range(len(board.drivers), drivers):
        w.state[d, P.PHASE] = P.OFF
    return worlds


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
    )
    cars = Drivers(
        start=start,
        end=end,
        seats=np.array([driver.seats for driver in drivers], np.int64).reshape(-1, SEATS),
        **{
            name: of_driver(name)
            for name in ("shift_start", "shift_end", "break_from", "break_to", "break_minutes")
        },
    )
    return Instance("the board", bookings, cars, places.travel())


def _link(b: int, ride: Ride, number: dict[str, int]) -> int:
    if ride.returns_from is None:
        return -1
    return _find(number, ride.returns_from, f"rides[{b}].returns_from")


def _find(number: dict[str, int], ride: str | None, where: str) -> int:
    if ride not in number:
        raise InputError(f"{where}: there is no ride {ride!r} among the rides")
    return number[ride]


def _place_rides(board: Board, number: dict[str, int], w: W.RunningDays) -> None:
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
        for rides, becomes in ((aboard, W.ABOARD), (planned, W.PLANNED), (leaving, W.ABOARD)):
            for b in rides:
                if b in taken:
                    raise InputError(f"{where}: {board.rides[b].id!r} is with {taken[b]} already")
                taken[b] = where
                status[b] = becomes
    for b, value in enumerate(status):
        w.status[b] = value
        w.counts[value] += 1
        outbound = int(w.bookings[b, D.LINKED_TO])
        if value == W.LATER and outbound >= 0:
            w.counts[W.ON_CALL] += dynamics.awaits_call(status[outbound])
    w.counts[W.SERVED] += board.served
    w.counts[W.REJECTED] += board.rejected
    waiting = [b for b, value in enumerate(status) if value == W.OPEN]
    waiting.sort(key=lambda b: float(w.bookings[b, D.PICKUP_BY]))
    w.open[: len(waiting)] = waiting


def _place_driver(
    board: Board, d: int, driver: Driver, number: dict[str, int], w: W.RunningDays
) -> None:
    plan, where = W.plan_for_python(w, d), f"drivers[{d}]"
    node = 2 * w.bookings.shape[0] + 2 * d
    state, times = plan.state, plan.times
    state[P.AT], state[P.PHASE], state[P.SERVING] = node, _PHASES[driver.phase], P.BREAK
    times[P.FREE] = driver.free_at
    if driver.phase == "off":
        state[P.COUNT] = 0
        return
    if len(driver.plan) + 3 > P.MAX_STOPS:
        raise InputError(f"{where}.plan: at most {P.MAX_STOPS - 3} stops")
    since = {_find(number, one.ride, f"{where}.aboard"): one.since for one in driver.aboard}
    for b in since:
        for seat in range(SEATS):
            state[P.ABOARD + seat] += int(w.bookings[b, D.LOAD + seat])
    picked: dict[int, int] = {}
    for k, stop in enumerate(driver.plan):
        _write(plan, k, driver, stop, since, picked, number, w, f"{where}.plan[{k}]")
    n = len(driver.plan)
    open_ended = [board.rides[b].id for b in (*since, *picked) if b not in _left(driver, number)]
    if open_ended:
        raise InputError(f"{where}.plan: {open_ended[0]!r} is picked up and never dropped off")
    P._write_stop(plan, n, node + 1, 0.0, driver.shift_end, driver.shift_end)
    state[P.COUNT] = n + 1
    if driver.phase == "drives":
        if driver.arrives is None:
            raise InputError(f"{where}.arrives: give it for a driver who drives")
        plan.stops[0, P.START] = driver.arrives


def _left(driver: Driver, number: dict[str, int]) -> set[int]:
    return {number[stop.ride] for stop in driver.plan if stop.at == "dropoff" and stop.ride}


def _write(
    plan: P.DriverPlan, k: int, driver: Driver, stop: Stop, since: dict[int, float],
    picked: dict[int, int], number: dict[str, int], w: W.RunningDays, where: str,
) -> None:  # fmt: skip
    """Stop `k` of a plan, as `plan.insert` would have left it."""
    if stop.at == "break":
        P._write_stop(plan, k, P.BREAK, driver.break_minutes, driver.break_from, driver.break_to)
        plan.state[P.RESTS] = 1
    else:
        b = _find(number, stop.ride, f"{where}.ride")
        row = w.bookings[b]
        if stop.at == "passes" or (stop.at == "nobody" and (k or driver.phase != "drives")):
            P._write_stop(plan, k, 2 * b + (stop.at == "passes"), 0.0, 0.0, 0.0)
            P.empty(plan, k)
        elif stop.at == "dropoff":
            if b not in since and b not in picked:
                raise InputError(f"{where}: {stop.ride!r} is dropped off and never picked up")
            P._write_stop(
                plan, k, 2 * b + 1, row[D.ALIGHTING], row[D.DROPOFF_FROM], row[D.DROPOFF_BY]
            )
            plan.stops[k, P.RIDE_LIMIT] = row[D.MAX_RIDE]
            plan.stops[k, P.BOARDED] = since.get(b, 0.0)
            plan.codes[k, P.PICKED_AT] = picked.get(b, -1)
        else:
            nobody = stop.at == "nobody"
            service = 0.0 if nobody else row[D.BOARDING]
            P._write_stop(plan, k, 2 * b, service, row[D.READY], row[D.PICKUP_BY])
            if nobody:
                plan.codes[k, P.PICKED_AT] = P.DEAD
            else:
                picked[b] = k
    for column, given in (
        (P.EARLIEST, stop.earliest), (P.LIMIT, stop.limit), (P.RIDE_LIMIT, stop.ride_limit),
    ):  # fmt: skip
        if given is not None:
            plan.stops[k, column] = given
