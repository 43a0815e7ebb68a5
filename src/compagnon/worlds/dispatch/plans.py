"""A driver's plan as arrays: its stops in order, who is on board, and how stops come in and go out.

A new ride never changes the order of the stops that are planned already, the break among them.
Every plan ends at the place where the shift ends, at the minute it ends. When a stop begins is
found in `schedules`, which must follow whatever is changed here.

A stop may not begin after its LIMIT, which is the end of its window until a delay that nobody
chose breaks it; then the limit is what the delay made of it (`schedules.settle`).

A break is taken wherever the driver is. So a ride that falls away before one could make the next
rider late: the driver would rest where he stands, not where the ride would have ended. Where that
is so, the place stays in the plan as one that he passes, and where nobody is (`empty`): the plan
was in time with it, and is so without a soul there.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import kernel
from compagnon.worlds.dispatch import tables

MAX_STOPS: Final = 64  # of one plan at one time, break and end of shift included
EPSILON = 1e-6  # minutes; windows are kept to within this
BREAK = -1  # the node of a break, which is wherever the driver is
# Columns of a plan's whole numbers.
# PICKED_AT: position of a drop-off's pickup, -1 if on board; DEAD: a stop where nobody is left.
NODE, PICKED_AT, LOAD_AFTER = 0, 1, 2
CODE_COLUMNS = LOAD_AFTER + tables.LOADS
# Columns of a plan's times. LATEST: no start after it can keep the limits of the stops up to the
# next break. LEG: base minutes from the place before. RIDE_LIMIT and BOARDED belong to drop-offs;
# elsewhere the limit is inf. BEFORE: scratch of `settle`. HOLD: of a pickup, how late it may be put
# off so that nobody sits in a parked car.
START, SERVICE, EARLIEST, LIMIT, LATEST, LEG, READY, RIDE_LIMIT, BOARDED, BEFORE, HOLD = range(11)
STOP_COLUMNS = 11
# Columns of a driver's whole numbers. AT: the node where the driver stands or came from. SERVING:
# the node whose door he is at while BUSY. RESTS: how many breaks are to come.
AT, PHASE, COUNT, VERSION, SERVING, RESTS, ABOARD = 0, 1, 2, 3, 4, 5, 6
DIRTY = ABOARD + tables.LOADS  # 1 if stops were taken out and `settle` is still to come
DRIVER_CODES = DIRTY + 1
WAITS, BUSY, DRIVES, OFF = 0, 1, 2, 3  # phases; BUSY: at a door or on a break, until FREE
# Columns of a driver's times: free from, leaves at, next event at, left at, and when he would have
# to leave for the stops to begin as planned: before LEAVE where he holds back. BREAKS_DOWN: when
# his vehicle will break down, inf for never. BROKE_AT: when it did, 0 for not so far.
FREE, LEAVE, NEXT, LEFT, AS_PLANNED, BREAKS_DOWN, BROKE_AT = range(7)
DRIVER_TIMES = 7
# Columns of a plan's gaps: when the stop before is done (but for the first stop), and the latest
# start of the stop that a ride put in before it must still leave.
DONE, BOUND = 0, 1
GAP_COLUMNS = 2
DEAD = -2
UNKNOWN = -1.0


class DriverPlan(NamedTuple):
    """One driver's plan and state."""

    codes: NDArray[np.int32]  # (MAX_STOPS, CODE_COLUMNS)
    stops: NDArray[np.float64]  # (MAX_STOPS, STOP_COLUMNS)
    state: NDArray[np.int32]  # (DRIVER_CODES,)
    times: NDArray[np.float64]  # (DRIVER_TIMES,)
    gaps: NDArray[np.float64]  # (MAX_STOPS, GAP_COLUMNS), close together: insertions ask them first


@kernel
def write_pickup(plan, k, b, row, service):
    """Write stop `k`: the pickup of booking `b`, whose row is `row`."""
    write_stop(plan, k, 2 * b, service, row[tables.READY], row[tables.PICKUP_BY])
    plan.stops[k, READY] = row[tables.WAITS_FROM]
    plan.stops[k, HOLD] = row[tables.HOLD_BY]


@kernel
def write_stop(plan, k, node, service, earliest, limit):
    """Write stop `k`; a schedule must follow, and `settle` or `insert` see to that."""
    for column in range(CODE_COLUMNS):
        plan.codes[k, column] = 0
    plan.codes[k, NODE], plan.codes[k, PICKED_AT] = node, -1
    stop = plan.stops[k]
    stop[START], stop[SERVICE], stop[EARLIEST], stop[LIMIT] = 0.0, service, earliest, limit
    stop[LATEST], stop[LEG] = limit, 0.0 if node == BREAK else UNKNOWN
    stop[READY], stop[RIDE_LIMIT], stop[BOARDED], stop[HOLD] = earliest, np.inf, 0.0, 0.0


@kernel
def first_open(plan):
    """The first position before which something may be inserted."""
    return 1 if plan.state[PHASE] == DRIVES else 0


@kernel
def write_loads(plan, bookings):
    """Write who is on board after every stop; `insert` and `lighten` keep it so."""
    codes, state = plan.codes, plan.state
    for seat in range(tables.LOADS):
        load = state[ABOARD + seat]
        for k in range(state[COUNT]):
            node = codes[k, NODE]
            if 0 <= node < 2 * bookings.shape[0]:
                seats = int(bookings[node // 2, tables.LOAD + seat])
                if codes[k, PICKED_AT] == DEAD:
                    seats = 0
                load += seats if node % 2 == 0 else -seats
            codes[k, LOAD_AFTER + seat] = load


@kernel
def is_pickup(plan, k):
    """Whether somebody gets in at stop `k`; the way home is no pickup, and has no HOLD."""
    node = plan.codes[k, NODE]
    return plan.stops[k, HOLD] > 0.0 and node % 2 == 0 and plan.codes[k, PICKED_AT] != DEAD


@kernel
def copy_plan(source, target):
    """Copy a plan, as far as it goes, into another."""
    for k in range(source.state[COUNT]):
        for column in range(CODE_COLUMNS):
            target.codes[k, column] = source.codes[k, column]
        for column in range(STOP_COLUMNS):
            target.stops[k, column] = source.stops[k, column]
        for column in range(GAP_COLUMNS):
            target.gaps[k, column] = source.gaps[k, column]
    for column in range(DRIVER_CODES):
        target.state[column] = source.state[column]
    for column in range(DRIVER_TIMES):
        target.times[column] = source.times[column]


@kernel
def empty(plan, k):
    """Leave of stop `k` the place alone, where nobody is any more; `settle` must follow.

    Who was to get in or out there must have been taken off what is on board, see `lighten`.
    """
    write_empty(plan, k, plan.codes[k, NODE])


@kernel
def write_empty(plan, k, node):
    """Write stop `k` as a place that is passed, and where nobody is."""
    plan.codes[k, NODE], plan.codes[k, PICKED_AT] = node, DEAD
    stop = plan.stops[k]
    stop[START], stop[SERVICE], stop[EARLIEST], stop[LIMIT] = 0.0, 0.0, -np.inf, np.inf
    stop[READY], stop[RIDE_LIMIT], stop[BOARDED], stop[BEFORE] = 0.0, np.inf, 0.0, 0.0
    stop[HOLD] = 0.0


@kernel
def _copy_stop(plan, source, target):
    # Column by column: slices would compile, and run, much more slowly.
    for column in range(CODE_COLUMNS):
        plan.codes[target, column] = plan.codes[source, column]
    for column in range(STOP_COLUMNS):
        plan.stops[target, column] = plan.stops[source, column]


@kernel
def remove(plan, k):
    """Take stop `k` out of the plan; `settle` must follow."""
    codes = plan.codes
    n = plan.state[COUNT]
    for q in range(k, n - 1):
        _copy_stop(plan, q + 1, q)
    plan.state[COUNT] = n - 1
    for q in range(n - 1):
        if codes[q, PICKED_AT] == k:
            codes[q, PICKED_AT] = -1
        elif codes[q, PICKED_AT] > k:
            codes[q, PICKED_AT] -= 1
    _forget_leg(plan, k)


@kernel
def _forget_leg(plan, k):
    """The leg to the first place from position `k` on begins somewhere else now."""
    while k < plan.state[COUNT] and plan.codes[k, NODE] == BREAK:
        k += 1
    if k < plan.state[COUNT]:
        plan.stops[k, LEG] = UNKNOWN


@kernel
def make_room(plan, k):
    """Move stop `k` and all behind it one position on; `k` is to be written."""
    codes = plan.codes
    n = plan.state[COUNT]
    for q in range(n, k, -1):
        _copy_stop(plan, q - 1, q)
    plan.state[COUNT] = n + 1
    for q in range(k + 1, n + 1):
        if codes[q, PICKED_AT] >= k:
            codes[q, PICKED_AT] += 1
    _forget_leg(plan, k + 1)


@kernel
def lighten(plan, row, pickup, dropoff):
    """Take a booking's seats off what is on board from one stop to the one before another."""
    for k in range(pickup, dropoff):
        for seat in range(tables.LOADS):
            plan.codes[k, LOAD_AFTER + seat] -= int(row[tables.LOAD + seat])


@kernel
def position(plan, node):
    """Where somebody gets in or out at a node, or -1; a place only passed does not count."""
    for k in range(plan.state[COUNT]):
        if plan.codes[k, NODE] == node and plan.codes[k, PICKED_AT] != DEAD:
            return k
    return -1
