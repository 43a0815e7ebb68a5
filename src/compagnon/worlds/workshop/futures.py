"""Draws the rest of a week anew: what is seen of a shop stays, what is hidden comes from a seed.

Hidden are what will be asked for, which machine will fail and when a delivery comes, and two things
of the present: whether a rush is on, and how long the repair of a machine still takes.
"""

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import streams
from compagnon.envs.kernels import cached_njit
from compagnon.worlds.workshop import arrays, constants

# Random streams of a future, beside those of `kernel`.
_WEEK, _RUSH, _REPAIR = range(61, 64)
_TICKS = 30  # after which a tick counts for a thousandth


@cached_njit
def rush_chance(time: int, recent: float, params: constants.ShopParams) -> float:
    """How likely a rush is on, by what was asked for lately.

    Recent demand is a mean with weights that fall by `RECENT_DEMAND_DECAY` a tick. Without a change
    its mean is m, the same mean of the rates, and its variance m / n, n = (1 + decay) / (1 -
    decay); so n times it is taken as a Poisson count of mean n m, and Bayes' rule is applied.
    """
    if params.rush_begins <= 0.0:
        return 0.0
    before = params.rush_begins / (params.rush_begins + params.rush_ends)
    decay = arrays.RECENT_DEMAND_DECAY
    rate, weight, last = 0.0, 1.0 - decay, time - time % constants.TICK_MINUTES
    for tick in range(_TICKS):
        minute = (last - tick * constants.TICK_MINUTES) % constants.MINUTES_PER_DAY
        by_day = constants.DAY_START <= minute < constants.DAY_END
        if last >= tick * constants.TICK_MINUTES:
            rate += (
                weight * constants.TICK_MINUTES * (params.day_rate if by_day else params.night_rate)
            )
        weight *= decay
    calm, rush = rate * params.calm_factor, rate * params.rush_factor
    if calm <= 0.0 or rush <= 0.0:
        return before
    n = (1.0 + decay) / (1.0 - decay)
    evidence = n * (recent * np.log(rush / calm) - (rush - calm))
    odds = before / max(1e-12, 1.0 - before) * np.exp(min(50.0, max(-50.0, evidence)))
    return float(odds / (1.0 + odds))


@cached_njit
def redraw(shops, params, weeks: int, seeds: NDArray[np.uint64]) -> None:  # type: ignore[no-untyped-def]
    """Draw all that is hidden of every shop, shop i from ``seeds[i]``.

    What an order book holds of a running week is not known before it is asked for; the rest of
    another of its weeks comes instead, where there is another one.

    Args:
        weeks: of the order book; 0 where there is none.
    """
    for i in range(seeds.shape[0]):
        state, seed = shops.state[i], seeds[i]
        shops.seeds[i, 1] = seed
        if weeks > 1:
            other = int(streams.uniform(seed, _WEEK, 0) * (weeks - 1))
            state[arrays.WEEK] = other if other < state[arrays.WEEK] else other + 1
        if params.rush_begins > 0.0:
            chance = rush_chance(state[arrays.TIME], shops.money[i, arrays.RECENT_DEMAND], params)
            state[arrays.RUSH] = 1 if streams.uniform(seed, _RUSH, 0) < chance else 0
        for machine in range(2):
            # Of a geometric time what is left is as long as the whole.
            if state[arrays.M1_DOWN + machine] > 0:
                u = streams.uniform(seed, _REPAIR, machine)
                state[arrays.M1_DOWN + machine] = streams.geometric(params.mean_repair_minutes, u)
