"""The proof of concept's rules, compiled: one decision of one day, and N days stepped in parallel.

Each day is one row of every array in `Days`; rows never touch each other, so the result does not
depend on how many threads run. Everything random is drawn by `streams` from the episode's seed, the
tick, and the number of the booking or driver, so two policies meet the same demand.
"""

import numpy as np
from numba import prange

from compagnon.envs import streams
from compagnon.envs.kernels import cached_njit
from compagnon.worlds.dispatch_poc import constants
from compagnon.worlds.dispatch_poc.arrays import (
    BOOKING_COLUMNS,
    C_ASSIGNED,
    C_CANCELLED,
    C_DECISIONS,
    C_DEMAND,
    C_INVALID,
    C_LATE,
    C_TURNED_AWAY,
    C_WAITS,
    COSINE,
    COUNT,
    ELAPSED,
    END,
    EPISODE,
    GRADES,
    KM,
    LAT,
    LATE_MINUTES,
    LON,
    MADE,
    PRIORITY,
    REWARD,
    TAKEN,
    TICK,
    TO_LAT,
    TO_LON,
    WAITED,
    WINDOW,
)
from compagnon.worlds.dispatch_poc.outlook import reward_of, write_trips
from compagnon.worlds.dispatch_poc.travel import (
    believed_minutes_a_km,
    cosine,
    demand,
    kilometres,
    minutes_a_km,
    traffic,
)

# Random streams; index tick * _A_TICK + number for what belongs to a booking.
_COMES, _HOW_MANY, _PLACE, _PRIORITY, _WINDOW, _RIDES = 1, 2, 3, 7, 8, 16
_A_TICK = 8
_LAST = 1e6  # what puts a booking or driver behind all the others


@cached_njit(inline="always")
def _whole(low, high, u):
    return low + int(u * (high - low + 1))


@cached_njit
def _bookings_come(state, places, bookings, km, seed):
    """Draw this tick's bookings, and put on the board those that find a free slot."""
    tick = state[TICK]
    u = streams.uniform(seed, _HOW_MANY, tick)
    if tick == 0:
        coming = _whole(constants.FIRST_BOOKINGS[0], constants.FIRST_BOOKINGS[1], u)
    elif streams.uniform(seed, _COMES, tick) < demand(tick):
        coming = _whole(constants.MORE_BOOKINGS[0], constants.MORE_BOOKINGS[1], u)
    else:
        return
    for number in range(coming):
        state[C_DEMAND] += 1
        if state[COUNT] >= bookings.shape[0]:
            state[C_TURNED_AWAY] += 1
            continue
        j = state[COUNT]
        state[COUNT] += 1
        index = tick * _A_TICK + number
        for axis in range(4):
            u = streams.uniform(seed, _PLACE + axis, index)
            bookings[j, axis] = constants.REACH * (2.0 * u - 1.0)
        priority = _whole(1, constants.PRIORITIES, streams.uniform(seed, _PRIORITY, index))
        u = streams.uniform(seed, _WINDOW, index)
        if priority >= constants.URGENT:
            window = _whole(constants.URGENT_WINDOW[0], constants.URGENT_WINDOW[1], u)
        else:
            window = _whole(constants.WINDOW[0], constants.WINDOW[1], u)
        bookings[j, PRIORITY] = priority
        bookings[j, WINDOW] = window
        bookings[j, END] = tick * constants.TICK_MINUTES + window
        bookings[j, TAKEN] = 0.0
        lat, lon, cos_lat = bookings[j, LAT], bookings[j, LON], cosine(bookings[j, LAT])
        bookings[j, COSINE] = cos_lat
        for d in range(places.shape[0]):
            km[j, d] = kilometres(places[d, 0], places[d, 1], places[d, 2], lat, lon, cos_lat)


# Rows are moved number by number: views of them cost as much again as the step itself.
@cached_njit(inline="always")
def _remove(state, bookings, km, slot):
    """Free a slot; those after it move up, so that the board stays in its order."""
    last = state[COUNT] - 1
    for j in range(slot, last):
        for column in range(BOOKING_COLUMNS):
            bookings[j, column] = bookings[j + 1, column]
        for d in range(km.shape[1]):
            km[j, d] = km[j + 1, d]
    state[COUNT] = last


@cached_njit
def _assign(state, sums, places, load, given, bookings, km, faults, driver, slot):
    """Give a booking to a driver, who is at its drop-off from then on; the reward."""
    minutes = km[slot, driver] * minutes_a_km(state[TICK])
    now = state[TICK] * constants.TICK_MINUTES
    late = max(0.0, now + minutes - bookings[slot, END])
    reward = reward_of(
        km[slot, driver], minutes, bookings[slot, PRIORITY], bookings[slot, WINDOW]
    ) - min(constants.LATE_AT_MOST, constants.LATE_A_MINUTE * late)
    waited = now - (bookings[slot, END] - bookings[slot, WINDOW]) + minutes
    state[C_ASSIGNED] += 1
    state[C_LATE] += 1 if late > 0.0 else 0
    sums[KM] += km[slot, driver]
    sums[LATE_MINUTES] += late
    sums[WAITED] += waited
    lost = constants.GRADE_A_WAITED_MINUTE * waited + constants.GRADE_A_LATE_MINUTE * late
    sums[GRADES] += max(1.0, 5.0 - lost)
    load[driver] += 1
    given[driver] += 1
    lat, lon = bookings[slot, TO_LAT], bookings[slot, TO_LON]
    cos_lat = cosine(lat)
    places[driver, 0] = lat
    places[driver, 1] = lon
    places[driver, 2] = cos_lat
    if faults:
        bookings[slot, TAKEN] = 1.0
    else:
        _remove(state, bookings, km, slot)
    for j in range(state[COUNT]):
        km[j, driver] = kilometres(
            lat, lon, cos_lat, bookings[j, LAT], bookings[j, LON], bookings[j, COSINE]
        )
    return reward


@cached_njit
def decide(state, sums, places, load, given, order, shown, bookings, km, params, action):
    """Carry out one action; its reward, and whether it was a wait."""
    state[C_DECISIONS] += 1
    if action == 0:
        state[C_WAITS] += 1
        return -constants.WAIT_COST, True
    driver = order[(action - 1) // bookings.shape[0]]
    slot = shown[(action - 1) % bookings.shape[0]]
    if slot >= state[COUNT] or bookings[slot, TAKEN] > 0.0 or load[driver] >= constants.MAX_LOAD:
        state[C_INVALID] += 1
        return -constants.INVALID_COST, False
    reward = _assign(state, sums, places, load, given, bookings, km, params.faults, driver, slot)
    return reward, False


@cached_njit
def pass_tick(state, sums, places, load, bookings, km, seed):
    """Five minutes: bookings come, others are cancelled, rides end; the reward."""
    state[TICK] += 1
    state[MADE] = 0
    _bookings_come(state, places, bookings, km, seed)
    reward = 0.0
    j = 0
    while j < state[COUNT]:
        over = bookings[j, END] <= state[TICK] * constants.TICK_MINUTES
        if over and bookings[j, TAKEN] == 0.0:
            reward -= constants.CANCELLED * bookings[j, PRIORITY]
            state[C_CANCELLED] += 1
            sums[GRADES] += 1.0
            _remove(state, bookings, km, j)
        else:
            j += 1
    for d in range(load.shape[0]):
        if load[d] > 0 and streams.uniform(seed, _RIDES + d, state[TICK]) < constants.RIDE_ENDS:
            load[d] -= 1
    return reward


@cached_njit
def count_open(state, bookings):
    """Bookings on the board that nobody was given."""
    found = 0
    for j in range(state[COUNT]):
        if bookings[j, TAKEN] == 0.0:
            found += 1
    return found


@cached_njit
def final_bonus(state, sums, given, bookings):
    """What the day as a whole earns."""
    bonus = 0.0
    assigned = state[C_ASSIGNED]
    if np.std(given) < constants.EVEN_SD:
        bonus += constants.EVEN_BONUS
    accepted = assigned + state[C_CANCELLED] + count_open(state, bookings)
    if accepted > 0:
        bonus += constants.COMPLETION_BONUS * assigned / accepted
    if assigned > 0:
        if sums[KM] / assigned < constants.NEAR_KM:
            bonus += constants.NEAR_BONUS
        if state[C_LATE] / assigned > constants.LATE_SHARE:
            bonus -= constants.LATE_SHARE_COST
    return bonus


@cached_njit
def _put_in_order(state, load, bookings, km, a_km, order, shown):
    """Bookings that a driver reaches first, by their ends; drivers by the way to the first one."""
    now = state[TICK] * constants.TICK_MINUTES
    open_bookings = state[COUNT]
    for j in range(open_bookings):
        key = _later_if_lost(j, now, load, bookings, km, a_km)
        at = j
        while at > 0 and _later_if_lost(shown[at - 1], now, load, bookings, km, a_km) > key:
            shown[at] = shown[at - 1]
            at -= 1
        shown[at] = j
    for j in range(open_bookings, shown.shape[0]):
        shown[j] = j
    for d in range(order.shape[0]):
        far = _further_if_busy(d, shown[0], open_bookings, load, km)
        at = d
        while at > 0 and _further_if_busy(order[at - 1], shown[0], open_bookings, load, km) > far:
            order[at] = order[at - 1]
            at -= 1
        order[at] = d


@cached_njit(inline="always")
def _later_if_lost(j, now, load, bookings, km, a_km):
    left = bookings[j, END] - now
    for d in range(load.shape[0]):
        if load[d] < constants.MAX_LOAD and km[j, d] * a_km <= left:
            return left
    return left + _LAST


@cached_njit(inline="always")
def _further_if_busy(d, first, open_bookings, load, km):
    far = km[first, d] if open_bookings > 0 else 0.0
    return far if load[d] < constants.MAX_LOAD else far + _LAST


@cached_njit
def observe(state, places, load, order, shown, bookings, km, params, scale, obs, mask):
    """Write one day's observation and mask."""
    drivers, slots = load.shape[0], bookings.shape[0]
    now = state[TICK] * constants.TICK_MINUTES
    a_km = believed_minutes_a_km(state[TICK], params.faults)
    if params.by_urgency:
        _put_in_order(state, load, bookings, km, a_km, order, shown)
    for at in range(drivers):
        d = order[at]
        obs[4 * at] = places[d, 0] * scale[4 * at]
        obs[4 * at + 1] = places[d, 1] * scale[4 * at + 1]
        obs[4 * at + 2] = 1.0 if load[d] < constants.MAX_LOAD else 0.0
        obs[4 * at + 3] = load[d] * scale[4 * at + 3]
    base = 4 * drivers
    for rank in range(state[COUNT]):
        at = base + 4 * rank
        j = shown[rank]
        obs[at] = bookings[j, LAT] * scale[at]
        obs[at + 1] = bookings[j, LON] * scale[at + 1]
        obs[at + 2] = bookings[j, PRIORITY] * scale[at + 2]
        obs[at + 3] = max(0.0, bookings[j, END] - now) * scale[at + 3]
    obs[base + 4 * state[COUNT] : base + 4 * slots] = 0.0
    at = base + 4 * slots
    obs[at] = now * scale[at]
    obs[at + 1] = traffic(state[TICK])
    mask[:] = False
    mask[0] = True
    obs[at + 2 :] = 0.0
    for rank in range(state[COUNT]):
        j = shown[rank]
        if bookings[j, TAKEN] > 0.0:
            continue
        left = bookings[j, END] - now
        for place in range(drivers):
            d = order[place]
            minutes = km[j, d] * a_km
            if minutes <= left and load[d] < constants.MAX_LOAD:
                mask[1 + place * slots + rank] = True
                if params.pairs:
                    pair = at + 2 + place * slots + rank
                    obs[pair] = (left - minutes) * scale[pair]
    if params.trips:
        write_trips(
            state, places, load, order, shown, bookings, km, params.ticks, a_km, scale, obs, mask,
            at + 2,
        )  # fmt: skip


@cached_njit
def begin_episode(i, days):
    """Put day `i` at 08:00 of its next episode."""
    state = days.state[i]
    episode = state[EPISODE]
    state[:] = 0
    state[EPISODE] = episode + 1
    days.sums[i, :] = 0.0
    days.places[i, :, :] = 0.0
    days.places[i, :, 2] = cosine(0.0)
    days.load[i, :] = 0
    days.given[i, :] = 0
    days.seeds[i, 1] = streams.episode_seed(days.seeds[i, 0], episode)
    _bookings_come(state, days.places[i], days.bookings[i], days.km[i], days.seeds[i, 1])


@cached_njit
def step_row(
    i, state, sums, places, load, given, order, shown, bookings, km, seed, params, action, scale,
    obs, mask, reward, elapsed, terminated,
):  # fmt: skip
    """Step day `i`, given as views of its rows, and write its outputs; True if it is over."""
    earned, waits = decide(
        state, sums, places, load, given, order, shown, bookings, km, params, action
    )
    state[MADE] += 1
    state[ELAPSED] = 0
    if waits or state[MADE] >= params.assignments_per_tick:
        earned += pass_tick(state, sums, places, load, bookings, km, seed)
        state[ELAPSED] = 1
    done = state[TICK] >= params.ticks
    if done:
        earned += final_bonus(state, sums, given, bookings)
    sums[REWARD] += earned
    reward[i] = earned
    elapsed[i] = state[ELAPSED]
    terminated[i] = done
    observe(state, places, load, order, shown, bookings, km, params, scale, obs, mask)
    return done


@cached_njit
def end_episode(i, days, params, scale, out, autoreset):
    """Keep what the finished day `i` showed last, and begin the next one if asked to."""
    out.final_obs[i, :] = out.obs[i]
    out.final_state[i, :] = days.state[i]
    out.final_sums[i, :] = days.sums[i]
    out.final_open[i] = count_open(days.state[i], days.bookings[i])
    out.final_given[i, :] = days.given[i]
    if autoreset:
        begin_episode(i, days)
        observe(
            days.state[i], days.places[i], days.load[i], days.order[i], days.shown[i],
            days.bookings[i], days.km[i], params, scale, out.obs[i], out.mask[i],
        )  # fmt: skip


@cached_njit
def step_serial(days, params, actions, scale, out, autoreset):
    """Step every day on the calling thread."""
    for i in range(actions.shape[0]):
        # One call and nothing else: statements spread over a parallel body may be reordered.
        if step_row(
            i, days.state[i], days.sums[i], days.places[i], days.load[i], days.given[i],
            days.order[i], days.shown[i], days.bookings[i], days.km[i], days.seeds[i, 1], params,
            actions[i], scale, out.obs[i], out.mask[i], out.reward, out.elapsed, out.terminated,
        ):  # fmt: skip
            end_episode(i, days, params, scale, out, autoreset)


@cached_njit(parallel=True)
def step_parallel(days, params, actions, scale, out, autoreset):
    """Step every day, shared among numba's threads."""
    for i in prange(actions.shape[0]):
        # One call and nothing else: statements spread over a parallel body may be reordered.
        if step_row(
            i, days.state[i], days.sums[i], days.places[i], days.load[i], days.given[i],
            days.order[i], days.shown[i], days.bookings[i], days.km[i], days.seeds[i, 1], params,
            actions[i], scale, out.obs[i], out.mask[i], out.reward, out.elapsed, out.terminated,
        ):  # fmt: skip
            end_episode(i, days, params, scale, out, autoreset)


@cached_njit
def reset_rows(days, params, scale, out, rows):
    """Begin a new episode in each day that `rows` (bool, (N,)) selects."""
    for i in range(rows.shape[0]):
        if rows[i]:
            begin_episode(i, days)
            observe(
                days.state[i], days.places[i], days.load[i], days.order[i], days.shown[i],
                days.bookings[i], days.km[i], params, scale, out.obs[i], out.mask[i],
            )  # fmt: skip
