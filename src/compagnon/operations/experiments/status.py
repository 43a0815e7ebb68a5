"""How an experiment stands, in one sentence that says what to do next."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from compagnon.operations.experiments.confidence_sequence import one_sided_multiplier
from compagnon.operations.experiments.looks import Effect, Look, effect_of, require_own
from compagnon.operations.experiments.plan import DAY, HOUR, ExperimentPlan, Metric
from compagnon.operations.experiments.sample_ratio import ALPHA, sample_ratio_p_value
from compagnon.operations.experiments.units import Units

_IN_DAYS: Final = 1.5  # from so many on, the time that is left is said in days


class Verdict(StrEnum):
    """What the sentence says, for machines."""

    NOT_STARTED = "not started"
    TOO_EARLY = "too early"
    LOOK_DUE = "look due"
    SHIP = "ship"
    KEEP = "keep"
    ROLL_BACK = "roll back"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True)
class Status:
    """One verdict, and the sentence that says it.

    Attributes:
        arm: that ships, or must be rolled back.
        look: the number of the look that is due.
        harm: what made it roll back; its interval is that of the confidence sequence, whose ends
            hold at all times.
        sample_ratio_p_value: of the units' counts; see `sample_ratio`.
    """

    verdict: Verdict
    sentence: str
    sample_ratio_p_value: float
    arm: str | None = None
    look: int | None = None
    harm: Effect | None = None


def status_of(plan: ExperimentPlan, units: Units, now: float, looks: Sequence[Look] = ()) -> Status:
    """How the experiment stands, from its plan, its units and the looks that were taken.

    May be asked at any time and as often as one likes: units lost by one arm, and harm, are judged
    by what holds at all times, and the gain only by the looks. In this order: units that are
    missing make everything else worthless; harm wins over a gain; a look that decided stands.

    Args:
        units: as they are now. now: UNIX time, s. looks: taken so far, in their order.

    Raises:
        InputError: looks of another plan.
    """
    require_own(plan, looks)
    counts = units.counts(len(plan.arms))
    p_value = sample_ratio_p_value(counts, plan.shares)
    if p_value < ALPHA:
        return Status(Verdict.UNHEALTHY, _unhealthy(plan, counts), p_value)
    for metric in plan.metrics:
        for arm in range(1, len(plan.arms)):
            harm = harm_of(plan, units, metric, arm)
            if harm is not None:
                words = _roll_back(plan, metric, harm)
                return Status(Verdict.ROLL_BACK, words, p_value, harm.arm, harm=harm)
    decided = next((look for look in looks if look.decision != "go on"), None)
    if decided is not None and decided.arm is not None:
        return Status(Verdict.SHIP, _ship(plan, decided), p_value, decided.arm)
    if decided is not None:
        return Status(Verdict.KEEP, _keep(plan, decided), p_value)
    return _waiting(plan, now, looks, p_value)


def harm_of(plan: ExperimentPlan, units: Units, metric: Metric, arm: int) -> Effect | None:
    """The effect of an arm on a metric if it is surely worse than the margin; None if not.

    By a confidence sequence with one end, at the plan's alpha shared out among all metrics and arms
    that are watched: of all of them, at all times, an arm without harm is called harmful with alpha
    at most.
    """
    difference = units.difference(metric.name, arm)
    if not difference.known:
        return None
    alpha = plan.alpha_each / len(plan.metrics)
    z = one_sided_multiplier(difference.observations, alpha, plan.expected_units)
    effect = effect_of(plan, units, metric.name, arm, z, cautious=True)
    if effect is None or max(metric.sign * effect.low, metric.sign * effect.high) >= -metric.margin:
        return None
    return effect


def _waiting(plan: ExperimentPlan, now: float, looks: Sequence[Look], p_value: float) -> Status:
    planned, passed = len(plan.look_days), plan.looks_passed(now)
    if now < plan.starts_at_s:
        words = f"not started: begins in {_time(plan.starts_at_s - now)}"
        return Status(Verdict.NOT_STARTED, words, p_value)
    if passed > max((look.number for look in looks), default=0):
        words = f"look {passed} of {planned} is due: take it"
        return Status(Verdict.LOOK_DUE, words, p_value, look=passed)
    left = plan.starts_at_s + plan.look_days[-1] * DAY - now
    words = f"too early: {passed} of {planned} looks, {_time(left)} left"
    return Status(Verdict.TOO_EARLY, words, p_value)


def _unhealthy(plan: ExperimentPlan, counts: Sequence[int]) -> str:
    total = sum(counts)
    over = [count / total - share for count, share in zip(counts, plan.shares, strict=True)]
    arm = over.index(max(over))
    return (
        f"unhealthy: {100 * counts[arm] / total:.1f} % of units in arm {plan.arms[arm]}, "
        f"expected {100 * plan.shares[arm]:.3g}"
    )


def _roll_back(plan: ExperimentPlan, metric: Metric, harm: Effect) -> str:
    which = f"{harm.arm} " if len(plan.arms) > 2 else ""
    than = "the margin" if metric.margin else f"with {plan.control}"
    return f"roll back {which}now: {metric.words} worse than {than}"


def _ship(plan: ExperimentPlan, look: Look) -> str:
    which = f" {look.arm}" if len(plan.arms) > 2 else ""
    effect = look.effect(str(look.arm))
    return f"ship{which}: {effect.words if effect else ''}"


def _keep(plan: ExperimentPlan, look: Look) -> str:
    sign = plan.primary.sign
    shown = [f"{one.arm} {one.words}" if len(plan.arms) > 2 else one.words for one in look.effects]
    worse = look.effects and all(
        max(sign * one.low, sign * one.high) < -plan.primary.margin for one in look.effects
    )
    if worse:
        return f"keep {plan.control}: {plan.primary.words} worse: {', '.join(shown)}"
    if not shown:
        return f"keep {plan.control}: no units to compare by the last look"
    return f"keep {plan.control}: no gain shown in {len(plan.look_days)} looks: {', '.join(shown)}"


def _time(seconds: float) -> str:
    if seconds >= _IN_DAYS * DAY:
        return f"{seconds / DAY:.0f} days"
    hours = max(1, math.ceil(seconds / HOUR))
    return f"{hours} hour{'s' if hours > 1 else ''}"
