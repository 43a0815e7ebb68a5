"""Finds base-stock levels for a setting: random search, then steps around the best."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.output import number
from compagnon.policy.schema import Schema
from compagnon.worlds.rule_search import FoundRule, search_numbers
from compagnon.worlds.workshop import WORKSHOP
from compagnon.worlds.workshop.constants import BATCHES, STOCK_CAP, WAIT
from compagnon.worlds.workshop.experts import rules
from compagnon.worlds.workshop.experts.rules import BaseStockLevels

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

    See `rule_search.search_numbers`. Candidates play many at once, and only at decision points:
    the rule acts at no other time.

    Args:
        env_args: the workshop's options; reward and observation are chosen here.
        trials, seed: of the search.
        weeks: how many weeks each candidate plays.

    Raises:
        InputError: a number below 1, or an option that the workshop does not have.
    """
    args = {**env_args, "observation": "compact", "scaling": "physical", "decision_points": True}

    def scores(tried: NDArray[np.int64], episodes: int, first_seed: int) -> NDArray[np.float64]:
        return _mean_profit(args, tried, episodes, first_seed)

    found = search_numbers(BOUNDS, scores, trials, seed, weeks)
    levels = BaseStockLevels(*(int(value) for value in found.values))
    return SearchResult(levels, found.score, found.trials)


def search_rule(env_args: Mapping[str, Any], trials: int, seed: int) -> FoundRule:
    """See `rule_search.RuleSearch`."""
    found = search_base_stock(dict(env_args), trials, seed)
    profit = f"profit {number(found.profit)} a week"
    return FoundRule(found.levels._asdict(), profit, found.trials, "expert:workshop-base-stock")


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
