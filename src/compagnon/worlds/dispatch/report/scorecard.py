"""What a dispatcher wants to know of each policy, figure by figure; never one number for all.

Every figure is a mean over the same days. Differences from the first policy are paired by day and
have 95 % intervals. Parts of the cost add up to the cost, the others stand alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

import numpy as np

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import decisions
from compagnon.evaluation.evaluate import Evaluation
from compagnon.evaluation.labels import KpiLabel
from compagnon.evaluation.statistics import Estimate, estimate_each
from compagnon.policy import Policy
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch.core import load_days
from compagnon.worlds.dispatch.labels import CARD
from compagnon.worlds.dispatch.options import DispatchOptions

SMALL_DAY: Final = 6  # bookings; larger days are not tried in every way
_WARM_UP = 5  # decisions before the clock counts


@dataclass(frozen=True)
class ScoreLine:
    """A figure of every policy.

    Attributes:
        values: one a policy. differences: from the first policy, one for each later one.
    """

    figure: KpiLabel
    values: list[Estimate]
    differences: list[Estimate]


@dataclass(frozen=True)
class DecisionTimes:
    """Milliseconds of single decisions on one board."""

    mean: float
    p95: float
    most: float
    decisions: int


def scorecard(evaluation: Evaluation) -> dict[str, list[ScoreLine]]:
    """The card of an evaluation on dispatch: heading -> its lines.

    Raises:
        InputError: another environment.
    """
    if evaluation.env != DISPATCH:
        raise InputError(f"the scorecard is that of {DISPATCH}, not of {evaluation.env}")
    kpis = [score.results.kpis for score in evaluation.scores]
    names = [figure.kpi for figures in CARD.values() for figure in figures]
    values = [estimate_each({name: own[name] for name in names}) for own in kpis]
    differences = [
        estimate_each({name: own[name] - kpis[0][name] for name in names}) for own in kpis[1:]
    ]
    return {
        heading: [
            ScoreLine(
                figure,
                [own[figure.kpi] for own in values],
                [own[figure.kpi] for own in differences],
            )
            for figure in figures
        ]
        for heading, figures in CARD.items()
    }


def decision_times(policy: Policy, env_args: dict[str, Any], seed: int) -> DecisionTimes:
    """How long each decision of one day takes, one board at a time.

    Args:
        policy: bound to the environment's schema.
    """
    env = BatchEnv(DISPATCH, env_args, 1)
    env.reset([seed])
    clock = _Stopwatch(policy)
    for _ in decisions(env, clock.of(env)):
        pass
    taken = 1000 * np.array(clock.taken[_WARM_UP:] or clock.taken)
    return DecisionTimes(
        float(taken.mean()), float(np.percentile(taken, 95)), float(taken.max()), len(taken)
    )


class _Stopwatch:
    """A policy that notes how long it thinks."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self.name = policy, policy.name
        self.taken: list[float] = []

    def of(self, env: BatchEnv) -> Policy:
        """The policy for these copies; see `DayReader`."""
        playing = getattr(self._policy, "playing", None)
        if playing is not None:
            self._policy = playing(env)
        return self

    def act(self, *args: Any) -> Any:
        """The policy's choice."""
        start = perf_counter()
        action = self._policy.act(*args)
        self.taken.append(perf_counter() - start)
        return action


def cheapest_days(
    env_args: dict[str, Any], seeds: Sequence[int], max_steps: int = 50_000
) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """The clairvoyant bound of each day: what it costs at least, knowing all that will happen.

    Args:
        seeds: of the days that are replayed; seed s plays day number s modulo their number.

    Returns:
        (days,), or None where days are not replayed or are too large to try everything.
    """
    from compagnon.worlds.dispatch.experts.clairvoyant import best_day

    options = DispatchOptions.parse(**env_args)
    if not options.days:
        return None
    from pathlib import Path

    days = load_days(Path(options.days))
    chosen = [days[seed % len(days)] for seed in seeds]
    if any(len(day.bookings) > SMALL_DAY for day in chosen):
        return None
    try:
        return np.array([best_day(day, options, max_steps).cost for day in chosen])
    except InputError:  # few bookings, and yet too many ways through the day
        return None
