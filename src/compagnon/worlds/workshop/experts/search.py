"""Finds base-stock levels for a setting: random search, then steps around the best."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy.schema import Schema
from compagnon.worlds.workshop import WORKSHOP
from compagnon.worlds.workshop.constants import BATCHES, STOCK_CAP, WAIT
from compagnon.worlds.workshop.experts import rules
from compagnon.worlds.workshop.experts.rules import BaseStockLevels

MAX_TRIALS = 1_000_000
# (low, high) of each level, inclusive, in the order of BaseStockLevels. Wide: where set-ups take
# time whole stores are launched at once, and orders count what is on its way.
_LOW = np.array([5, 1, 1, 1, 1, 0, 0, 2, -20])
_HIGH = np.array([100, BATCHES, BATCHES, BATCHES, BATCHES, 60, 120, STOCK_CAP, 60])
BOUNDS: Final = (_LOW, _HIGH)


@dataclass(frozen=True)
class SearchResult:
    """The best levels, and their mean profit on weeks that the search did not see."""

    levels: BaseStockLevels
    profit: float
    trials: int


def search_base_stock(
    env_args: dict[str, Any], trials: int = 1500, seed: int = 0, weeks: int = 16
) -> SearchResult:
    """Search the nine levels for profit.

    Half of the trials are drawn uniformly; the rest change a few levels of one of the best ten.
    Candidates play the same `weeks` weeks, many at once, and only at decision points: the rule
    acts at no other time. The ten best are played again on fresh weeks, which decide.

    Args:
        env_args: the workshop's options; reward and observation are chosen here.
        trials: candidates in all, at least 1.
        seed: of the candidates; the weeks are always the same.
        weeks: how many weeks each candidate plays.

    Raises:
        InputError: a number below 1, or an option that the workshop does not have.
    """
    if trials > MAX_TRIALS:
        raise InputError(f"trials={trials}: at most {MAX_TRIALS:,}")
    if trials < 1 or weeks < 1 or seed < 0:
        raise InputError(f"trials={trials}, weeks={weeks}, seed={seed}: give at least 1, 1 and 0")
    args = {**env_args, "observation": "compact", "scaling": "physical", "decision_points": True}
    rng = np.random.default_rng(seed)
    per_round = max(1, min(128, trials // 4))
    tried = np.empty((0, 9), np.int64)
    scores = np.empty(0)
    while len(tried) < trials:
        count = min(per_round, trials - len(tried))
        if len(tried) < max(1, trials // 2):  # something must be there to change
            fresh = rng.integers(_LOW, _HIGH + 1, (count, 9))
        else:
            best = tried[np.argsort(-scores)[:10]]
            parents = best[rng.integers(len(best), size=count)]
            reach = np.maximum(1, (_HIGH - _LOW) // 8)
            moved = parents + rng.integers(-reach, reach + 1, (count, 9))
            change = rng.random((count, 9)) < 0.35
            fresh = np.clip(np.where(change, moved, parents), _LOW, _HIGH)
        scores = np.concatenate([scores, _mean_profit(args, fresh, weeks, first_seed=0)])
        tried = np.concatenate([tried, fresh])
    finalists = tried[np.argsort(-scores)[:10]]
    final = _mean_profit(args, finalists, 8 * weeks, first_seed=500_000)
    winner = finalists[int(final.argmax())]
    levels = BaseStockLevels(*(int(value) for value in winner))
    return SearchResult(levels, float(final.max()), trials)


def _mean_profit(
    env_args: dict[str, Any], levels: NDArray[np.int64], weeks: int, first_seed: int
) -> NDArray[np.float64]:
    """Mean profit of each row of `levels` over the same weeks."""
    count = len(levels)
    env = BatchEnv(WORKSHOP, env_args, count * weeks)
    env.reset(list(range(first_seed, first_seed + weeks)) * count)
    own = Schema.of(env).observation
    project = own.select(rules.NEEDED).projection_from(own, "the search")
    rows = np.repeat(levels, weeks, axis=0)
    actions = np.empty(count * weeks, np.int64)
    profit = np.full(count * weeks, np.nan)
    column = env.kpi_names.index("profit")
    while np.isnan(profit).any():
        rules.apply_many_base_stock(project(env.obs).astype(np.int64), rows, actions)
        assert env.action_mask is not None
        actions[~env.action_mask[np.arange(len(actions)), actions]] = WAIT
        step = env.step(actions)
        if step.kpis is not None:
            first = step.terminated & np.isnan(profit)
            profit[first] = step.kpis[first, column]
    return np.asarray(profit.reshape(count, weeks).mean(axis=1), np.float64)
