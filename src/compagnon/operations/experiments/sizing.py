"""Before the start: what effect this traffic can tell apart in so many days, from past units."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compagnon.errors import InputError
from compagnon.operations.experiments.boundaries import detectable_drift
from compagnon.operations.experiments.plan import ExperimentPlan, Switchback
from compagnon.operations.experiments.student import normal_quantile, student_equivalent

_FEWEST: Final = 4  # past units, or pairs of them
_MOST_DAYS: Final = 3_650.0


@dataclass(frozen=True)
class Detectable:
    """What a plan can find.

    Attributes:
        effect: the true difference of a unit's mean figure that is found with `power`, by the looks
            of the plan, in the metric's own unit.
        relative: the same as a share of the past mean; None where that is 0.
        fixed: what a single test at the end, without looks before it, would find: a little less.
        observations: units of all arms, or pairs of blocks, by the last look; the plan's
            `expected_units`.
        days: of the plan.
        power: how often it is found.
    """

    effect: float
    relative: float | None
    fixed: float
    observations: int
    days: float
    power: float

    @property
    def sentence(self) -> str:
        """``in 14 days this traffic can tell 1.9 % apart``."""
        size = f"{self.effect:.3g}" if self.relative is None else f"{100 * self.relative:.2g} %"
        return f"in {self.days:g} days this traffic can tell {size} apart"


@dataclass(frozen=True)
class _Past:
    """Spread and traffic: a unit's variance as an observation of the difference, and per day."""

    variance: float
    mean: float
    per_day: float

    def error(self, observations: float) -> float:
        return math.sqrt(self.variance / observations)


def minimum_detectable_effect(
    plan: ExperimentPlan,
    values: ArrayLike,
    past_days: float,
    pairs: ArrayLike | None = None,
    power: float = 0.8,
) -> Detectable:
    """The smallest true difference that the plan finds so often, were the future like the past.

    Of the figures of past units, all under one policy: with n observations the difference has the
    error e = s / sqrt(n), and the looks find `boundaries.detectable_drift` of such errors (2.86 for
    14 looks with 0.8 at 0.05, where one test finds 2.80). Few units want more, as Student's t does.

    Args:
        values: (U,) figures of past units, counted as the plan counts them.
        past_days: days in which those units began.
        pairs: (U,) the pair of each unit, for a switchback: `Units.pairs` of the past.
        power: how often it is to be found.

    Raises:
        InputError: fewer than 4 units or pairs, figures that are not finite, or no pairs given.
    """
    past = _past(plan, values, past_days, pairs)
    observations = past.per_day * plan.information_days(plan.look_days[-1])
    if observations < _FEWEST:
        raise InputError(
            f"days {plan.days:g}: {observations:.1f} units are expected; give days enough for "
            f"{_FEWEST} or more"
        )
    effect = _drift(plan, power, observations) * past.error(observations)
    single = normal_quantile(1 - plan.alpha_each / 2) + normal_quantile(power)
    relative = effect / abs(past.mean) if past.mean else None
    fixed = single * _fewer(plan, observations) * past.error(observations)
    return Detectable(effect, relative, fixed, round(observations), plan.days, power)


def days_needed(
    plan: ExperimentPlan,
    values: ArrayLike,
    past_days: float,
    effect: float,
    pairs: ArrayLike | None = None,
    power: float = 0.8,
) -> float:
    """Days of experiment in which a true difference is found so often, with as many looks.

    Args:
        effect: the difference, in the metric's own unit; its sign doesn't count.
        values, past_days, pairs, power: see `minimum_detectable_effect`.

    Returns:
        days, in whole units of the plan.

    Raises:
        InputError: as there, or more than ten years.
    """
    past = _past(plan, values, past_days, pairs)
    if not 0 < abs(effect) < math.inf:
        raise InputError(f"effect {effect:g}: give a difference other than 0")
    step = plan.unit.longest_hours / 24 if isinstance(plan.unit, Switchback) else 1 / 24
    wait = 0.0 if isinstance(plan.unit, Switchback) else plan.unit.window_hours / 24
    low, high = _FEWEST / past.per_day, _MOST_DAYS
    if not _finds(plan, past, abs(effect), power, high):
        raise InputError(f"effect {effect:g}: this traffic needs more than ten years for it")
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        if _finds(plan, past, abs(effect), power, middle):
            high = middle
        else:
            low = middle
    return math.ceil((high + wait) / step - 1e-5) * step


def _finds(plan: ExperimentPlan, past: _Past, effect: float, power: float, days: float) -> bool:
    observations = past.per_day * days
    return _drift(plan, power, observations) * past.error(observations) <= effect


def _drift(plan: ExperimentPlan, power: float, observations: float) -> float:
    known = tuple(dict.fromkeys(one for one in plan.fractions if one > 0))
    return detectable_drift(known, plan.alpha_each, power) * _fewer(plan, observations)


def _fewer(plan: ExperimentPlan, observations: float) -> float:
    """How many more errors are needed because the error is estimated from few units."""
    z = normal_quantile(1 - plan.alpha_each / 2)
    lost = 1 if isinstance(plan.unit, Switchback) else 2
    return student_equivalent(z, max(1.0, observations - lost)) / z


def _past(
    plan: ExperimentPlan, values: ArrayLike, past_days: float, pairs: ArrayLike | None
) -> _Past:
    figures = np.asarray(values, np.float64)
    if not np.isfinite(figures).all():
        raise InputError("past values: all should be finite; leave out units that are not known")
    if not past_days > 0:
        raise InputError(f"past_days {past_days:g}: give the days in which the units began")
    if not isinstance(plan.unit, Switchback):
        control, treated = plan.shares[0], min(plan.shares[1:])
        spread = figures
        factor = (1 / control + 1 / treated) * (len(figures) > 0)
    elif pairs is None:
        raise InputError(
            "pairs: a switchback is analysed in pairs; give the pair of each past unit"
        )
    else:
        spread, factor = _pair_differences(figures, np.asarray(pairs, np.int64)), 1.0
    if len(spread) < _FEWEST:
        raise InputError(f"past values: {len(spread)} units or pairs; give {_FEWEST} or more")
    variance = factor * float(np.var(spread, ddof=1))
    return _Past(variance, float(figures.mean()), len(spread) / past_days)


def _pair_differences(
    figures: NDArray[np.float64], pairs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Second less first of each pair that is whole; (U,) and (U,) -> (P,)."""
    order = np.argsort(pairs, kind="stable")
    figures, pairs = figures[order], pairs[order]
    second = np.flatnonzero((pairs[1:] == pairs[:-1]) & (pairs[1:] >= 0)) + 1
    return figures[second] - figures[second - 1]
