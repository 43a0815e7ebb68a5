"""Finds the numbers of the regret rule for a setting: the least cost over many days."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.output import number
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch.experts import rules
from compagnon.worlds.dispatch.experts.finishing import play
from compagnon.worlds.dispatch.experts.numbers import KINDS, SEARCHED, TUNED, Numbers
from compagnon.worlds.rule_search import FoundRule, search_numbers

DAYS: Final = 128
# Days that no table shows: those that all candidates play, and those that decide.
FIRST_SEEDS: Final = (5_000_000, 5_500_000)
_LOW: Final = np.array([one.low for one in SEARCHED.values()])
_STEP: Final = np.array([one.step for one in SEARCHED.values()])
_STEPS: Final = np.array([round((one.high - one.low) / one.step) for one in SEARCHED.values()])


def search_rule(env_args: Mapping[str, Any], trials: int, seed: int, days: int = DAYS) -> FoundRule:
    """Search `numbers.SEARCHED`, see `rule_search.search_numbers`.

    The kinds that have a name, and the tuned rules, are tried first.
    """
    schema_args = {**env_args, "scaling": "physical"}
    env = BatchEnv(DISPATCH, schema_args, 8 * days)

    def scores(tried: NDArray[np.int64], episodes: int, first_seed: int) -> NDArray[np.float64]:
        batch = env if episodes > days else few
        batch.reset(list(range(first_seed, first_seed + episodes)))
        begun = batch.vec.state_dict()
        found = np.empty(len(tried))
        for k, steps in enumerate(tried):
            batch.vec.load_state_dict(begun)
            found[k] = play(batch.vec.core, rules.REGRET, numbers_of(steps)).mean()
        return found

    few = BatchEnv(DISPATCH, schema_args, days)
    known = np.array([steps_of(numbers) for numbers in (*KINDS.values(), *TUNED.values())])
    bounds = (np.zeros(len(_STEPS), np.int64), _STEPS)
    found = search_numbers(bounds, scores, trials, seed, days, FIRST_SEEDS, known)
    values = numbers_of(found.values)._asdict()
    cost = f"cost {number(-found.score)} a day"
    return FoundRule(values, cost, found.trials, "expert:dispatch-regret")


def numbers_of(steps: NDArray[np.int64]) -> Numbers:
    """The numbers that lie so many steps above the lowest ones."""
    return Numbers(*np.round(_LOW + _STEP * steps, 6).tolist())


def steps_of(numbers: Numbers) -> NDArray[np.int64]:
    """The steps nearest to some numbers."""
    steps = np.rint((np.array(numbers) - _LOW) / _STEP).astype(np.int64)
    return np.clip(steps, 0, _STEPS)
