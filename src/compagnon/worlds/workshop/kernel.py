"""The workshop's rules, compiled: one minute of one shop, and N shops stepped in parallel.

Each shop is one row of every array in `Shops`; rows never touch each other, so the result does not
depend on how many threads run. Everything random is drawn by `streams` from the episode's seed.
"""

import numpy as np
from numba import prange

from compagnon.envs import streams
from compagnon.envs.kernels import cached_njit
from compagnon.worlds.workshop import constants
from compagnon.worlds.workshop.arrays import (  # fmt: skip
    BACKLOG_COST,
    BACKLOG_P1,
    BACKLOG_P2,
    C_BACKLOG_P1,
    C_BACKLOG_P2,
    C_DEMAND_P1,
    C_DEMAND_P2,
    C_LAUNCHES,
    C_M1_BUSY,
    C_M1_DOWN,
    C_M2_BUSY,
    C_ORDERED,
    C_OVER_P1,
    C_OVER_P2,
    C_OVER_P2_INTER,
    C_OVER_RAW,
    C_SETUP,
    C_SOLD_P1,
    C_SOLD_P2,
    C_THEFT_P1,
    C_THEFT_P2,
    C_TRANSIT,
    C_WAITS,
    DELIVERY,
    DEMAND,
    ELAPSED,
    EPISODE,
    IN_TRANSIT,
    INVALID_COST,
    LAST_ACTION,
    LAST_FAMILY,
    LAST_K,
    LAST_REWARD,
    LAUNCH_BONUS,
    M1_DOWN,
    M1_FAILS,
    M1_LEFT,
    M1_READY_FOR,
    M1_SETUP,
    M1_TASK,
    M2_DOWN,
    M2_LEFT,
    NEXT_DUE,
    NUM_FIELDS,
    NUM_TERMS,
    P1,
    P2,
    P2_INTER,
    RAW,
    RAW_COST,
    RECENT_DEMAND,
    RECENT_DEMAND_DECAY,
    REWARD_TOTAL,
    RUSH,
    RUSH_STREAM,
    SALES_P1,
    SALES_P2,
    TERM_TOTALS,
    TIME,
    WAIT_COST,
    WEEK,
)


@cached_njit
def begin_episode(i, shops, params):
    """Put shop `i` at minute 0 of its next episode."""
    state = shops.state[i]
    episode = state[EPISODE]
    state[:] = 0
    state[EPISODE] = episode + 1
    state[RAW] = constants.INITIAL_RAW
    state[LAST_FAMILY] = 4
    state[LAST_ACTION] = constants.WAIT
    if params.book_weeks > 0:
        week = (shops.seeds[i, 0] + np.uint64(episode)) % np.uint64(params.book_weeks)
        state[WEEK] = np.int64(week)
    shops.money[i, :] = 0.0
    shops.counters[i, :] = 0
    shops.transit[i, :] = 0
    shops.seeds[i, 1] = streams.episode_seed(shops.seeds[i, 0], episode)


@cached_njit(inline="always")
def _add(state, counters, stock, units, overflow):
    kept = min(units, constants.STOCK_CAP - state[stock])
    state[stock] += kept
    counters[overflow] += units - kept


@cached_njit(inline="always")
def _launch(state, transit, seed, params, action, terms, counters):
    """Carry out one action; an impossible launch changes nothing but the reward."""
    k = action % constants.BATCHES + 1
    if action >= constants.WAIT:
        terms[WAIT_COST] -= constants.WAIT_COST
        counters[C_WAITS] += 1
        state[LAST_FAMILY] = 4
        state[LAST_K] = 0
    elif action >= constants.ORDER_START:
        terms[RAW_COST] -= constants.RAW_COST * k
        counters[C_ORDERED] += k
        spread = 2 * constants.DELIVERY_SPREAD + 1
        u = streams.uniform(seed, DELIVERY, state[TIME])
        due = state[TIME] + constants.DELIVERY_MINUTES - constants.DELIVERY_SPREAD + int(u * spread)
        transit[due % constants.IN_TRANSIT_SLOTS] += k
        if state[IN_TRANSIT] == 0 or due < state[NEXT_DUE]:
            state[NEXT_DUE] = due
        state[IN_TRANSIT] += k
        state[LAST_FAMILY] = 3
        state[LAST_K] = k
    elif action >= constants.STEP2_START:
        if state[M2_LEFT] == 0 and state[M2_DOWN] == 0 and state[P2_INTER] >= k:
            state[P2_INTER] -= k
            state[M2_LEFT] = k * constants.STEP2_MINUTES
            terms[LAUNCH_BONUS] += constants.STEP2_LAUNCH_BONUS * k
            counters[C_LAUNCHES] += 1
        else:
            terms[INVALID_COST] -= constants.INVALID_COST
        state[LAST_FAMILY] = 2
        state[LAST_K] = k
    else:
        task = constants.MAKES_P1 if action < constants.STEP1_START else constants.MAKES_STEP1
        if state[M1_TASK] == constants.IDLE and state[M1_DOWN] == 0 and state[RAW] >= k:
            state[RAW] -= k
            state[M1_TASK] = task
            state[M1_LEFT] = k * (
                constants.P1_MINUTES if task == constants.MAKES_P1 else constants.STEP1_MINUTES
            )
            if state[M1_READY_FOR] != task and state[M1_READY_FOR] != constants.IDLE:
                state[M1_SETUP] = params.setup_minutes
            state[M1_READY_FOR] = task
            bonus = (
                constants.P1_LAUNCH_BONUS
                if task == constants.MAKES_P1
                else constants.STEP1_LAUNCH_BONUS
            )
            terms[LAUNCH_BONUS] += bonus * k
            counters[C_LAUNCHES] += 1
        else:
            terms[INVALID_COST] -= constants.INVALID_COST
        state[LAST_FAMILY] = task - 1
        state[LAST_K] = k
    state[LAST_ACTION] = action


@cached_njit(inline="always")
def _work(state, counters):
    """Advance M1, then M2, by one minute; True if a machine came free or M2 can now begin."""
    event = False
    if state[M1_TASK] != constants.IDLE and state[M1_DOWN] == 0:
        counters[C_M1_BUSY] += 1
        if state[M1_SETUP] > 0:
            state[M1_SETUP] -= 1
            counters[C_SETUP] += 1
        else:
            state[M1_LEFT] -= 1
            if state[M1_TASK] == constants.MAKES_P1:
                if state[M1_LEFT] % constants.P1_MINUTES == 0:
                    _add(state, counters, P1, 1, C_OVER_P1)
            elif state[M1_LEFT] % constants.STEP1_MINUTES == 0:
                _add(state, counters, P2_INTER, 1, C_OVER_P2_INTER)
                # An idle M2 that gets something to do is as good as a machine come free.
                event |= state[M2_LEFT] == 0
            if state[M1_LEFT] == 0:
                state[M1_TASK] = constants.IDLE
                event = True
    if state[M2_LEFT] > 0 and state[M2_DOWN] == 0:
        counters[C_M2_BUSY] += 1
        state[M2_LEFT] -= 1
        if state[M2_LEFT] % constants.STEP2_MINUTES == 0:
            _add(state, counters, P2, 1, C_OVER_P2)
        event |= state[M2_LEFT] == 0
    return event


@cached_njit(inline="always")
def _deliver(state, transit, counters):
    """Receive what is due this minute; True if something came."""
    if state[IN_TRANSIT] == 0 or state[NEXT_DUE] != state[TIME]:
        return False
    slot = state[TIME] % constants.IN_TRANSIT_SLOTS
    units = transit[slot]
    transit[slot] = 0
    state[IN_TRANSIT] -= units
    _add(state, counters, RAW, units, C_OVER_RAW)
    if state[IN_TRANSIT] > 0:
        due = state[TIME] + 1
        while transit[due % constants.IN_TRANSIT_SLOTS] == 0:
            due += 1
        state[NEXT_DUE] = due
    else:
        state[NEXT_DUE] = 0
    return True


@cached_njit(inline="always")
def _tick(state, money, seed, params, book, terms, counters):
    """Every 15 minutes: demand, sales, backlog penalty. True if anything was asked or sold."""
    tick = state[TIME] // constants.TICK_MINUTES - 1
    if params.rush_begins > 0.0:
        u = streams.uniform(seed, RUSH_STREAM, tick)
        if state[RUSH] == 0:
            state[RUSH] = 1 if u < params.rush_begins else 0
        else:
            state[RUSH] = 0 if u < params.rush_ends else 1
    if params.book_weeks > 0:
        asked_p1 = book[state[WEEK], tick, 0]
        asked_p2 = book[state[WEEK], tick, 1]
    else:
        minute = state[TIME] % constants.MINUTES_PER_DAY
        by_day = minute >= constants.DAY_START and minute < constants.DAY_END
        rate = params.day_rate if by_day else params.night_rate
        rate *= params.rush_factor if state[RUSH] == 1 else params.calm_factor
        asked = streams.poisson(constants.TICK_MINUTES * rate, streams.uniform(seed, DEMAND, tick))
        asked_p1 = int(constants.P1_SHARE * asked)
        asked_p2 = asked - asked_p1
    state[BACKLOG_P1] += asked_p1
    state[BACKLOG_P2] += asked_p2
    sold_p1 = min(state[P1], state[BACKLOG_P1])
    sold_p2 = min(state[P2], state[BACKLOG_P2])
    state[P1] -= sold_p1
    state[BACKLOG_P1] -= sold_p1
    state[P2] -= sold_p2
    state[BACKLOG_P2] -= sold_p2
    terms[SALES_P1] += constants.P1_PRICE * sold_p1
    terms[SALES_P2] += constants.P2_PRICE * sold_p2
    terms[BACKLOG_COST] -= constants.BACKLOG_COST * (state[BACKLOG_P1] + state[BACKLOG_P2])
    counters[C_DEMAND_P1] += asked_p1
    counters[C_DEMAND_P2] += asked_p2
    counters[C_SOLD_P1] += sold_p1
    counters[C_SOLD_P2] += sold_p2
    counters[C_BACKLOG_P1] += state[BACKLOG_P1]
    counters[C_BACKLOG_P2] += state[BACKLOG_P2]
    asked_now = asked_p1 + asked_p2
    money[RECENT_DEMAND] += (1.0 - RECENT_DEMAND_DECAY) * (asked_now - money[RECENT_DEMAND])
    return asked_now + sold_p1 + sold_p2 > 0


@cached_njit(inline="always")
def _breakdowns(state, seed, params, counters):
    """Failures and repairs, which come by the clock whatever the machines do; True on a change."""
    changed = False
    for machine in range(2):
        down = M1_DOWN + machine
        if state[down] > 0:
            counters[C_M1_DOWN + machine] += 1
            state[down] -= 1
            changed |= state[down] == 0
        else:
            fails = M1_FAILS + 2 * machine
            if streams.uniform(seed, fails, state[TIME]) < params.failure_probability:
                u = streams.uniform(seed, fails + 1, state[TIME])
                state[down] = streams.geometric(params.mean_repair_minutes, u)
                changed = True
    return changed


@cached_njit
def minute(state, money, counters, transit, seed, params, book, action, terms):
    """One minute of one shop, in the order of the rules; True if it ends at a decision point."""
    _launch(state, transit, seed, params, action, terms, counters)
    event = _work(state, counters)
    event |= _deliver(state, transit, counters)
    counters[C_TRANSIT] += state[IN_TRANSIT]
    state[TIME] += 1
    if state[TIME] % constants.TICK_MINUTES == 0:
        event |= _tick(state, money, seed, params, book, terms, counters)
    if state[TIME] % constants.MINUTES_PER_DAY == constants.THEFT_MINUTE:
        kept_p1 = int(constants.THEFT_KEPT * state[P1])
        kept_p2 = int(constants.THEFT_KEPT * state[P2])
        counters[C_THEFT_P1] += state[P1] - kept_p1
        counters[C_THEFT_P2] += state[P2] - kept_p2
        state[P1] = kept_p1
        state[P2] = kept_p2
    if params.failure_probability > 0.0:
        event |= _breakdowns(state, seed, params, counters)
    return event


@cached_njit
def write_fields(state, money, values):
    """Every field in physical units, in the order of `fields.FIELDS`."""
    time = state[TIME]
    minute_of_day = time % constants.MINUTES_PER_DAY
    values[0] = time
    values[1] = 1.0 if state[M1_TASK] != constants.IDLE else 0.0
    values[2] = state[M1_LEFT] + state[M1_SETUP]
    values[3] = 1.0 if state[M2_LEFT] > 0 else 0.0
    values[4] = state[M2_LEFT]
    values[5] = state[RAW]
    values[6] = state[P1]
    values[7] = state[P2_INTER]
    values[8] = state[P2]
    values[9] = state[NEXT_DUE] - time if state[IN_TRANSIT] > 0 else 0.0
    values[10] = state[BACKLOG_P1]
    values[11] = state[BACKLOG_P2]
    values[12] = state[IN_TRANSIT]
    values[13] = state[LAST_FAMILY]
    values[14] = state[LAST_K]
    values[15] = state[LAST_ACTION]
    values[16] = minute_of_day
    values[17] = constants.P1_PRICE * state[BACKLOG_P1]
    values[18] = constants.P2_PRICE * state[BACKLOG_P2]
    risky = minute_of_day >= constants.THEFT_MINUTE - 60 and minute_of_day < constants.THEFT_MINUTE
    values[19] = 1.0 if risky else 0.0
    values[20] = money[REWARD_TOTAL]
    values[21] = money[LAST_REWARD]
    values[22] = constants.TICK_MINUTES - time % constants.TICK_MINUTES
    values[23] = state[M1_TASK]
    p1_left = (state[M1_LEFT] + constants.P1_MINUTES - 1) // constants.P1_MINUTES
    step1_left = (state[M1_LEFT] + constants.STEP1_MINUTES - 1) // constants.STEP1_MINUTES
    values[24] = p1_left if state[M1_TASK] == constants.MAKES_P1 else 0.0
    values[25] = step1_left if state[M1_TASK] == constants.MAKES_STEP1 else 0.0
    values[26] = (state[M2_LEFT] + constants.STEP2_MINUTES - 1) // constants.STEP2_MINUTES
    values[27] = state[M1_READY_FOR]
    values[28] = 1.0 if state[M1_DOWN] > 0 else 0.0
    values[29] = 1.0 if state[M2_DOWN] > 0 else 0.0
    values[30] = money[RECENT_DEMAND]
    values[31] = constants.EPISODE_MINUTES - time


@cached_njit
def write_mask(state, mask):
    """The actions that are possible now, bool of shape (201,)."""
    m1_free = state[M1_TASK] == constants.IDLE and state[M1_DOWN] == 0
    m2_free = state[M2_LEFT] == 0 and state[M2_DOWN] == 0
    p1_last = state[RAW] if m1_free else 0
    step2_last = state[P2_INTER] if m2_free else 0
    mask[: constants.STEP1_START] = False
    mask[:p1_last] = True
    mask[constants.STEP1_START : constants.STEP2_START] = False
    mask[constants.STEP1_START : constants.STEP1_START + p1_last] = True
    mask[constants.STEP2_START : constants.ORDER_START] = False
    mask[constants.STEP2_START : constants.STEP2_START + step2_last] = True
    mask[constants.ORDER_START :] = True


@cached_njit
def observe(state, money, obs, mask, fields, scale):
    """Write one shop's observation and mask."""
    values = np.empty(NUM_FIELDS)
    write_fields(state, money, values)
    for j in range(fields.shape[0]):
        obs[j] = values[fields[j]] * scale[j]
    write_mask(state, mask)


@cached_njit
def play(state, money, counters, transit, seed, params, book, action, terms):
    """One step of one shop, a minute or with decision points as many as WAIT lasts; its reward."""
    terms[:] = 0.0
    start = state[TIME]
    event = minute(state, money, counters, transit, seed, params, book, action, terms)
    if params.decision_points and action == constants.WAIT:
        while not event and state[TIME] < constants.EPISODE_MINUTES:
            event = minute(state, money, counters, transit, seed, params, book, action, terms)
    reward = 0.0
    for t in range(NUM_TERMS):
        money[TERM_TOTALS + t] += terms[t]
        if t < constants.PROFIT_TERMS or not params.profit_reward:
            reward += terms[t]
    money[REWARD_TOTAL] += reward
    money[LAST_REWARD] = reward
    state[ELAPSED] = state[TIME] - start
    return reward


@cached_njit
def step_row(
    i, state, money, counters, transit, seed, params, book, action, terms, fields, scale,
    obs, mask, reward, elapsed, terminated,
):  # fmt: skip
    """Step shop `i`, given as views of its rows, and write its outputs; True if its week is over.

    Views rather than `Shops` and `WorkshopOutputs`: handing those through calls costs as much
    again as the step itself.
    """
    reward[i] = play(state, money, counters, transit, seed, params, book, action, terms)
    elapsed[i] = state[ELAPSED]
    done = state[TIME] >= constants.EPISODE_MINUTES
    terminated[i] = done
    observe(state, money, obs, mask, fields, scale)
    return done


@cached_njit
def end_episode(i, shops, params, fields, scale, out, autoreset):
    """Keep what the finished week of shop `i` showed last, and begin the next one if asked to."""
    out.final_obs[i, :] = out.obs[i]
    out.final_money[i, :] = shops.money[i]
    out.final_counters[i, :] = shops.counters[i]
    out.final_state[i, :] = shops.state[i]
    if autoreset:
        begin_episode(i, shops, params)
        observe(shops.state[i], shops.money[i], out.obs[i], out.mask[i], fields, scale)


@cached_njit
def step_serial(shops, params, book, actions, fields, scale, out, autoreset):
    """Step every shop on the calling thread."""
    for i in range(actions.shape[0]):
        # One call and nothing else: statements spread over a parallel body may be reordered.
        if step_row(
            i, shops.state[i], shops.money[i], shops.counters[i], shops.transit[i],
            shops.seeds[i, 1], params, book, actions[i], out.terms[i], fields, scale,
            out.obs[i], out.mask[i], out.reward, out.elapsed, out.terminated,
        ):  # fmt: skip
            end_episode(i, shops, params, fields, scale, out, autoreset)


@cached_njit(parallel=True)
def step_parallel(shops, params, book, actions, fields, scale, out, autoreset):
    """Step every shop, shared among numba's threads."""
    for i in prange(actions.shape[0]):
        # One call and nothing else: statements spread over a parallel body may be reordered.
        if step_row(
            i, shops.state[i], shops.money[i], shops.counters[i], shops.transit[i],
            shops.seeds[i, 1], params, book, actions[i], out.terms[i], fields, scale,
            out.obs[i], out.mask[i], out.reward, out.elapsed, out.terminated,
        ):  # fmt: skip
            end_episode(i, shops, params, fields, scale, out, autoreset)


@cached_njit
def reset_rows(shops, params, fields, scale, out, rows):
    """Begin a new episode in each shop that `rows` (bool, (N,)) selects."""
    for i in range(rows.shape[0]):
        if rows[i]:
            begin_episode(i, shops, params)
            observe(shops.state[i], shops.money[i], out.obs[i], out.mask[i], fields, scale)
