"""Everything that N running days consist of, in arrays: saved and restored as they stand."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import kernel
from compagnon.worlds.dispatch import insertion, plans, tables, travel

# What has become of a booking. LATER: dispatch has not heard of it yet.
# TAXI: somebody else drives, for who must get home.
LATER, OPEN, PLANNED, ABOARD, SERVED, REJECTED, CANCELLED, NO_SHOW, TAXI = range(9)
STATUS_NAMES: Final = (
    "later", "open", "planned", "on_board", "served", "rejected", "cancelled", "no_show", "taxi",
)  # fmt: skip
STATUSES = len(STATUS_NAMES)
# Parts of the cost, in the order of World.money.
COST_PARTS: Final = (
    "rejected", "late", "wait", "ride", "km", "overtime", "answer", "taxi", "promise", "move",
    "impossible",
)  # fmt: skip
(
    C_REJECTED, C_LATE, C_WAIT, C_RIDE, C_KM, C_OVERTIME, C_ANSWER, C_TAXI, C_PROMISE, C_MOVE,
    C_IMPOSSIBLE,
) = range(len(COST_PARTS))  # fmt: skip
PARTS = len(COST_PARTS)
# What each takes from the reward; `rejected` and `km` by themselves are KPIs, of rides and of ways.
REWARD_TERMS: Final = tuple(f"reward_{part}" for part in COST_PARTS)
# Columns of World.money: the cost's parts, then the clock and what was driven. PENDING: what the
# next decision costs because an impossible one was asked for.
NOW, KM, LOADED_KM, OVERTIME, DAY_BEGIN, DAY_END, PENDING = range(PARTS, PARTS + 7)
MONEY_COLUMNS = PARTS + 7
# Columns of World.counts; the first ones count the bookings by status. ON_CALL: the returns not
# heard of yet whose outbound ride is (`lifecycle.awaits_call`). MOVES: rides that were given to
# another driver or place. BROKEN: promises that could not be kept. SHOWN: planned rides that the
# board shows after the open ones.
(
    EPISODE, CALLED, CANCEL_COUNT, CANCELS_SEEN, DONE, VIOLATIONS, DECISIONS, CLOCK, ON_CALL,
    MOVES, BROKEN, SHOWN,
) = range(STATUSES, STATUSES + 12)  # fmt: skip
COUNT_COLUMNS = STATUSES + 12
# Columns of World.rides. ANSWERED: the minute at which the caller was told, -1 until then.
# BOARDS: the minute at which boarding began. MOVED_AT: the number of the clock time at which it was
# moved last, counted from 1. Of a planned ride LEAVES_AT is when its driver sets out for it, and
# SAVES what its plan would cost less without it.
(
    WAIT, LATE_PICKUP, LATE_DROPOFF, RIDE, EXCESS, BY_DRIVER, ANSWERED, BOARDS, MOVED_AT,
    LEAVES_AT, SAVES,
) = range(11)  # fmt: skip
RIDE_COLUMNS = 11
# Columns of World.where: positions of the best insertion, the plan's version it was found for, and
# the number of the clock time (`counts`' CLOCK) at which it was found or known to hold still.
PUT_PICKUP, PUT_DROPOFF, FOUND_FOR, FOUND_AT = 0, 1, 2, 3
WHERE_COLUMNS = 4


class RunningDays(NamedTuple):
    """N days under way, or with the leading axis taken off one of them (`row`)."""

    size: NDArray[np.int64]  # these eight as in `tables.Day`
    bookings: NDArray[np.float64]
    drivers: NDArray[np.float64]
    coordinates: NDArray[np.float64]
    place: NDArray[np.int32]
    rule: NDArray[np.float64]
    speed: NDArray[np.float64]
    speed_real: NDArray[np.float64]
    xyz: NDArray[np.float64]  # (N, nodes, 3)
    near: NDArray[np.float64]  # (N, nodes, 2), km east and north of the middle
    money: NDArray[np.float64]  # (N, MONEY_COLUMNS)
    counts: NDArray[np.int64]  # (N, COUNT_COLUMNS)
    status: NDArray[np.int64]  # (N, M)
    rides: NDArray[np.float64]  # (N, M, RIDE_COLUMNS)
    open: NDArray[np.int64]  # (N, M), the open bookings, earliest deadline first
    movable: NDArray[np.int64]  # (N, M), planned ones that the board shows, soonest to leave first
    calls: NDArray[np.int64]  # (N, M), the bookings in the order of their announcement
    cancels: NDArray[np.int64]  # (N, M), those to be cancelled, in that order
    codes: NDArray[np.int32]  # (N, D, MAX_STOPS, CODE_COLUMNS), these five as in `plan.Plan`
    stops: NDArray[np.float64]  # (N, D, MAX_STOPS, STOP_COLUMNS)
    state: NDArray[np.int32]  # (N, D, DRIVER_CODES)
    times: NDArray[np.float64]  # (N, D, DRIVER_TIMES)
    gaps: NDArray[np.float64]  # (N, D, MAX_STOPS, GAP_COLUMNS)
    found: NDArray[np.float32]  # (N, M, D, insertion.COLUMNS)
    where: NDArray[np.int32]  # (N, M, D, WHERE_COLUMNS)
    spare_codes: NDArray[np.int32]  # these five: a plan to try things on, as one driver's
    spare_stops: NDArray[np.float64]
    spare_state: NDArray[np.int32]
    spare_times: NDArray[np.float64]
    spare_gaps: NDArray[np.float64]
    seeds: NDArray[np.uint64]  # (N, 2): the env's seed, the current episode's seed


def allocate(count: int, bookings: int, drivers: int) -> RunningDays:
    """Zeroed arrays for `count` days of at most so many bookings and drivers."""
    n, m, d = count, bookings, drivers
    nodes = 2 * m + 2 * d
    return RunningDays(
        *tables.allocate_days(n, m, d),
        xyz=np.zeros((n, nodes, 3)),
        near=np.zeros((n, nodes, 2)),
        money=np.zeros((n, MONEY_COLUMNS)),
        counts=np.zeros((n, COUNT_COLUMNS), np.int64),
        status=np.zeros((n, m), np.int64),
        rides=np.zeros((n, m, RIDE_COLUMNS)),
        open=np.zeros((n, m), np.int64),
        movable=np.zeros((n, m), np.int64),
        calls=np.zeros((n, m), np.int64),
        cancels=np.zeros((n, m), np.int64),
        codes=np.zeros((n, d, plans.MAX_STOPS, plans.CODE_COLUMNS), np.int32),
        stops=np.zeros((n, d, plans.MAX_STOPS, plans.STOP_COLUMNS)),
        state=np.zeros((n, d, plans.DRIVER_CODES), np.int32),
        times=np.zeros((n, d, plans.DRIVER_TIMES)),
        gaps=np.zeros((n, d, plans.MAX_STOPS, plans.GAP_COLUMNS)),
        found=np.zeros((n, m, d, insertion.COLUMNS), np.float32),
        where=np.zeros((n, m, d, WHERE_COLUMNS), np.int32),
        spare_codes=np.zeros((n, plans.MAX_STOPS, plans.CODE_COLUMNS), np.int32),
        spare_stops=np.zeros((n, plans.MAX_STOPS, plans.STOP_COLUMNS)),
        spare_state=np.zeros((n, plans.DRIVER_CODES), np.int32),
        spare_times=np.zeros((n, plans.DRIVER_TIMES)),
        spare_gaps=np.zeros((n, plans.MAX_STOPS, plans.GAP_COLUMNS)),
        seeds=np.zeros((n, 2), np.uint64),
    )


@kernel
def row(worlds, i):
    """Views of day `i`."""
    return RunningDays(
        worlds.size[i], worlds.bookings[i], worlds.drivers[i], worlds.coordinates[i],
        worlds.place[i], worlds.rule[i], worlds.speed[i], worlds.speed_real[i], worlds.xyz[i],
        worlds.near[i],
        worlds.money[i], worlds.counts[i], worlds.status[i], worlds.rides[i], worlds.open[i],
        worlds.movable[i], worlds.calls[i], worlds.cancels[i], worlds.codes[i], worlds.stops[i],
        worlds.state[i], worlds.times[i], worlds.gaps[i], worlds.found[i], worlds.where[i],
        worlds.spare_codes[i], worlds.spare_stops[i], worlds.spare_state[i],
        worlds.spare_times[i], worlds.spare_gaps[i], worlds.seeds[i],
    )  # fmt: skip


@kernel
def day_of(w):
    """The tables of one day."""
    return tables.Day(
        w.size, w.bookings, w.drivers, w.coordinates, w.place, w.rule, w.speed, w.speed_real
    )


@kernel
def put_in_order(w, column, order):
    """Write the bookings into `order` (M,) by a column of minutes, the first of equal ones first.

    Returns:
        How many minutes are finite.
    """
    finite = 0
    for b in range(w.size[tables.BOOKINGS]):
        minute, k = w.bookings[b, column], b
        while k > 0 and w.bookings[order[k - 1], column] > minute:
            order[k] = order[k - 1]
            k -= 1
        order[k] = b
        finite += 1 if minute < np.inf else 0
    for b in range(w.size[tables.BOOKINGS], order.shape[0]):
        order[b] = b
    return finite


@kernel
def replayed(seed, episode, count):
    """Which of `count` saved days a copy plays as its `episode`-th, the first being number 0."""
    return np.int64((seed + np.uint64(episode)) % np.uint64(count))


@kernel
def plan_of(w, d):
    """The plan of driver `d` of one day."""
    return plans.DriverPlan(w.codes[d], w.stops[d], w.state[d], w.times[d], w.gaps[d])


@kernel
def spare_plan(w):
    """The plan of one day to try things on."""
    return plans.DriverPlan(
        w.spare_codes, w.spare_stops, w.spare_state, w.spare_times, w.spare_gaps
    )


@kernel
def booking_at(w, board, place):
    """The booking at a place of the board: the open ones, then planned ones that may move."""
    shown = min(board, w.counts[OPEN])
    return w.open[place] if place < shown else w.movable[place - shown]


@kernel
def shown_places(w, board):
    """How many places of the board are taken."""
    return min(board, w.counts[OPEN]) + w.counts[SHOWN]


@kernel
def roads_of(w, minutes, km):
    """The ways of one day; `minutes` and `km` are all days' matrices, (K, places, places)."""
    k = w.size[tables.MATRIX_ROW]
    return travel.Roads(w.xyz, w.place, w.rule, w.speed, w.speed_real, minutes[k], km[k])


# For Python: there, what a kernel returned would be released though nobody holds it.
plan_for_python, roads_for_python = plan_of.py_func, roads_of.py_func
