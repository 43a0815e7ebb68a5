"""When each stop of a driver's plan begins, and when the driver leaves for the first one.

The schedule is the earliest one: a stop begins as soon as the driver can be there, but not before
its window. A driver waits where he stands and leaves just in time, so that until then the plan may
still change; a stop that he is under way to is locked. An insertion never makes anybody later than
the window, or than a delay that nobody chose already did.

Plans are made as early as they can be; a driver who would wait with riders on board at the next
door waits before he fetches them instead, but for `CUSHION` minutes (the forward slack of Cordeau
and Laporte 2003, as far as nothing but pickups moves). What is planned does not change by that.
"""

import numpy as np

from compagnon.envs.kernels import kernel
from compagnon.worlds.dispatch import tables, travel
from compagnon.worlds.dispatch.plans import (
    ABOARD,
    AS_PLANNED,
    AT,
    BEFORE,
    BOARDED,
    BOUND,
    BREAK,
    BREAKS_DOWN,
    BUSY,
    COUNT,
    DEAD,
    DIRTY,
    DONE,
    DRIVES,
    EARLIEST,
    EPSILON,
    FREE,
    HOLD,
    LATEST,
    LEAVE,
    LEFT,
    LEG,
    LIMIT,
    LOAD_AFTER,
    NEXT,
    NODE,
    OFF,
    PHASE,
    PICKED_AT,
    RESTS,
    RIDE_LIMIT,
    SERVICE,
    SERVING,
    START,
    UNKNOWN,
    VERSION,
    WAITS,
    first_open,
    is_pickup,
    make_room,
    remove,
    write_empty,
    write_pickup,
    write_stop,
)

CUSHION = 8.0  # minutes that a driver who holds back is early all the same; doors may take long


@kernel
def begin(plan, driver, start_node, roads, bookings, now):
    """The plan of a driver whose shift has not begun: the breaks, if any, and the way home.

    The driver's state and times are all 0 before.
    """
    n = 0
    if driver[tables.BREAK_MINUTES] > 0.0:
        first, last = driver[tables.BREAK_FROM], driver[tables.BREAK_TO]
        write_stop(plan, n, BREAK, driver[tables.BREAK_MINUTES], first, last)
        n += 1
    if driver[tables.BREAK2_MINUTES] > 0.0:
        first, last = driver[tables.BREAK2_FROM], driver[tables.BREAK2_TO]
        write_stop(plan, n, BREAK, driver[tables.BREAK2_MINUTES], first, last)
        n += 1
    plan.state[RESTS] = n
    write_stop(plan, n, start_node + 1, 0.0, driver[tables.SHIFT_END], driver[tables.SHIFT_END])
    plan.state[AT], plan.state[COUNT], plan.state[SERVING] = start_node, n + 1, BREAK
    plan.times[FREE] = driver[tables.SHIFT_START]
    plan.times[BREAKS_DOWN] = np.inf
    if driver[tables.REPAIR_MINUTES] > 0.0:
        plan.times[BREAKS_DOWN] = driver[tables.BREAKS_DOWN_AT]
    # An end that cannot be reached within the shift is reached late, as after a delay.
    settle(plan, roads, bookings, now)


@kernel
def schedule(plan, roads, now):
    """Begin every stop as early as possible; write latest starts, and when to leave.

    Returns:
        Whether no ride takes longer than its limit.
    """
    codes, stops, state = plan.codes, plan.stops, plan.state
    n, at = state[COUNT], state[AT]
    clock = max(plan.times[FREE], now)
    kept = True
    for k in range(n):
        node, stop = codes[k, NODE], stops[k]
        if node != BREAK:
            if stop[LEG] < 0.0:
                stop[LEG] = travel.base_minutes(roads, at, node)
            at = node
        if k > 0 or state[PHASE] != DRIVES:  # a driver under way arrives when he arrives
            stop[START] = max(travel.arrival(roads.speed, clock, stop[LEG]), stop[EARLIEST])
        if stop[RIDE_LIMIT] < np.inf:
            picked = codes[k, PICKED_AT]
            if picked >= 0:
                stop[BOARDED] = stops[picked, START] + stops[picked, SERVICE]
            kept &= stop[START] - stop[BOARDED] <= stop[RIDE_LIMIT] + EPSILON
        clock = stop[START] + stop[SERVICE]
    for k in range(n - 1, -1, -1):
        stop = stops[k]
        stop[LATEST] = stop[LIMIT]
        if k < n - 1 and codes[k + 1, NODE] == BREAK:
            # What follows a break says nothing here: a ride before it changes where it is taken.
            stop[LATEST] = min(stop[LIMIT], stops[k + 1, LIMIT] - stop[SERVICE])
        elif k < n - 1:
            leave = travel.departure(roads.speed, stops[k + 1, LATEST], stops[k + 1, LEG])
            stop[LATEST] = min(stop[LIMIT], leave - stop[SERVICE])
    _write_leave(plan, roads, now)
    return kept


@kernel
def write_gaps(plan, roads):
    """Write between which minutes a ride fits in before each stop.

    Past its latest start, a stop makes a later one too late. Only where detours are never shorter
    (not in every matrix) and the next leg stays the same is that a bound.
    """
    metric = roads.rule[travel.KIND] != travel.MATRIX
    done = 0.0
    for k in range(plan.state[COUNT]):
        stop, gap = plan.stops[k], plan.gaps[k]
        gap[DONE] = done
        gap[BOUND] = stop[LATEST] if metric and plan.codes[k, NODE] != BREAK else stop[LIMIT]
        done = stop[START] + stop[SERVICE]


@kernel
def _write_leave(plan, roads, now):
    """When to leave for the first stop, as late as its start allows; and the next event."""
    state, times, stops = plan.state, plan.times, plan.stops
    if state[PHASE] == OFF or state[COUNT] == 0:
        times[NEXT] = np.inf
        return
    leave = max(times[FREE], now)
    if stops[0, START] == stops[0, EARLIEST]:
        leave = max(leave, travel.departure(roads.speed, stops[0, START], stops[0, LEG]))
    times[AS_PLANNED] = leave
    if state[PHASE] != DRIVES:
        held = _held_start(plan, roads)
        if held > stops[0, START]:
            leave = max(leave, travel.departure(roads.speed, held, stops[0, LEG]))
    times[LEAVE] = leave
    write_next(plan)


@kernel
def write_next(plan):
    """When something happens to a driver who is not home yet."""
    times, phase = plan.times, plan.state[PHASE]
    if phase == WAITS:  # he leaves, or cannot
        times[NEXT] = min(times[LEAVE], max(times[FREE], times[BREAKS_DOWN]))
    elif phase == BUSY:
        times[NEXT] = times[FREE]
    else:
        times[NEXT] = plan.stops[0, START]


@kernel
def _held_start(plan, roads):
    """When the first stop begins if its pickups, up to the next other stop, are put off.

    Nothing behind them begins later.
    """
    stops = plan.stops
    last = 0
    while last < plan.state[COUNT] and is_pickup(plan, last):
        last += 1
    if last == 0 or last == plan.state[COUNT]:
        return stops[0, START]
    following, spare = stops[last, START], CUSHION
    for k in range(last - 1, -1, -1):
        stop = stops[k]
        leave = travel.departure(roads.speed, following, stops[k + 1, LEG])
        room = leave - stop[SERVICE] - stop[START] - spare
        following, spare = stop[START], 0.0
        if room > 0.0:
            following += min(room, max(0.0, stop[HOLD] - following))
    return following


@kernel
def holds_back(plan, now):
    """Whether the driver stands where he could have left by `now` for the plan as it is written."""
    state = plan.state
    return state[PHASE] == WAITS and state[COUNT] > 0 and plan.times[AS_PLANNED] < now


@kernel
def set_out(plan, roads, now):
    """Leave for the first stop; from now on it is known when he is there.

    `settle` must follow where that is not when he was to be. Who is early waits with a rider's
    boarding if somebody would then ride longer than allowed.
    """
    plan.state[PHASE] = DRIVES
    plan.times[LEFT] = now
    stop = plan.stops[0]
    if plan.codes[0, NODE] != BREAK:
        planned = stop[START]
        begins = max(stop[EARLIEST], travel.arrival(roads.speed_real, now, stop[LEG]))
        if abs(begins - planned) > EPSILON:
            stop[START] = begins
            if begins < planned and not schedule(plan, roads, now):
                stop[START] = planned
            plan.state[DIRTY] = 1
    plan.times[NEXT] = stop[START]


@kernel
def _move_limits(plan):
    """Let the limits that are broken follow the facts; True if latest starts must be found anew."""
    moved = False
    for k in range(plan.state[COUNT]):
        stop = plan.stops[k]
        if stop[START] > stop[LIMIT]:
            stop[LIMIT] = stop[START]
            moved = True
        if stop[RIDE_LIMIT] < np.inf:
            stop[RIDE_LIMIT] = max(stop[RIDE_LIMIT], stop[START] - stop[BOARDED])
    return moved


@kernel
def _take_out_empty(plan, roads, now):
    """Take out the places where nobody is, but those without which somebody would be later.

    A plan was in time with them, or as late as delays made it: the driver leaves nobody there, and
    goes on at once.
    """
    codes, stops, state = plan.codes, plan.stops, plan.state
    k, node, allowed = first_open(plan), BREAK, 0.0  # `node`: of the place that is out on trial
    while True:
        while node == BREAK and k < state[COUNT] and codes[k, PICKED_AT] != DEAD:
            k += 1
        if k == state[COUNT]:
            return
        schedule(plan, roads, now)
        late = 0.0
        for q in range(state[COUNT]):
            late += max(0.0, stops[q, START] - stops[q, LIMIT])
        if node == BREAK:
            node, allowed = codes[k, NODE], late
            remove(plan, k)
        elif late > allowed + EPSILON:
            make_room(plan, k)
            write_empty(plan, k, node)
            stops[k, LEG] = UNKNOWN
            for seat in range(tables.LOADS):
                before = codes[k - 1, LOAD_AFTER + seat] if k > 0 else state[ABOARD + seat]
                codes[k, LOAD_AFTER + seat] = before
            k, node = k + 1, BREAK
        else:
            node = BREAK


@kernel
def settle(plan, roads, bookings, now):
    """Plan again after what nobody chose: a delay, a cancellation, a no-show.

    Where a ride would get too long because its pickup came earlier, pickups keep their old times.
    Whatever is broken after that moves its limit: the delay is a fact.
    """
    codes, stops, state = plan.codes, plan.stops, plan.state
    for k in range(state[COUNT]):
        stops[k, BEFORE] = stops[k, START]
    _take_out_empty(plan, roads, now)
    n = state[COUNT]
    # One call in a loop: compiled into every place where it is called, a schedule takes long.
    for attempt in range(3):
        kept = schedule(plan, roads, now)
        if attempt == 0 and not kept:
            for k in range(first_open(plan), n):
                node, dead = codes[k, NODE], codes[k, PICKED_AT] == DEAD
                if 0 <= node < 2 * bookings.shape[0] and node % 2 == 0 and not dead:
                    stops[k, EARLIEST] = max(stops[k, EARLIEST], stops[k, BEFORE])
        elif not _move_limits(plan):
            break
    write_gaps(plan, roads)
    state[DIRTY] = 0
    state[VERSION] += 1


@kernel
def insert(plan, b, i, j, roads, bookings, now):
    """Put booking `b` in: pickup before the stop now at `i`, drop-off before the one at `j` >= i.

    Returns:
        Whether the new schedule keeps every limit, found again from nothing but the stops.
    """
    row = bookings[b]
    codes = plan.codes
    make_room(plan, j)
    write_stop(
        plan, j, 2 * b + 1, row[tables.ALIGHTING], row[tables.DROPOFF_FROM], row[tables.DROPOFF_BY]
    )
    plan.stops[j, RIDE_LIMIT] = row[tables.MAX_RIDE]
    make_room(plan, i)
    write_pickup(plan, i, b, row, row[tables.BOARDING])
    codes[j + 1, PICKED_AT] = i
    for seat in range(tables.LOADS):
        seats = int(row[tables.LOAD + seat])
        before = codes[i - 1, LOAD_AFTER + seat] if i > 0 else plan.state[ABOARD + seat]
        codes[i, LOAD_AFTER + seat] = before + seats
        for k in range(i + 1, j + 1):
            codes[k, LOAD_AFTER + seat] += seats
        codes[j + 1, LOAD_AFTER + seat] = codes[j, LOAD_AFTER + seat] - seats
    kept = schedule(plan, roads, now)
    write_gaps(plan, roads)
    plan.state[VERSION] += 1
    return kept & limits_kept(plan)


@kernel
def limits_kept(plan):
    """Whether no stop of the plan begins after its limit."""
    for k in range(plan.state[COUNT]):
        if plan.stops[k, START] > plan.stops[k, LIMIT] + EPSILON:
            return False
    return True
