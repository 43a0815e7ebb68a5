"""A look at the primary metric: at its time, once, and with the bound that the plan gave it.

What a look said is kept with a hash of the data it saw. Asked again it says the same; with other
data, out of its time or after the last one of the plan it is refused, because each further look is
another chance to find what is not there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from compagnon.errors import InputError
from compagnon.operations.experiments.boundaries import (
    crossing_probabilities,
    next_bound,
    obrien_fleming_constant,
)
from compagnon.operations.experiments.plan import ExperimentPlan
from compagnon.operations.experiments.units import Units
from compagnon.operations.validation import explain

Decision = Literal["go on", "ship", "keep"]


@dataclass(frozen=True)
class Effect:
    """An arm less the control, of one metric.

    Attributes:
        arm, metric: of which.
        difference, low, high: of the mean figure of a unit, in the metric's own unit; an end is
            infinite where it is not known.
        relative: the same three as shares of the control's mean, where that is clearly not 0.
        z: the interval's half width in standard errors, were there many units.
        observations: pairs of units, or units of both arms.
        units: that counted, of the control and of the arm.
        left_out: units of all arms that did not count, for whatever reason.
    """

    arm: str
    metric: str
    difference: float
    low: float
    high: float
    relative: tuple[float, float, float] | None
    z: float
    observations: int
    units: tuple[int, int]
    left_out: int

    @property
    def words(self) -> str:
        """``+2.1 % (0.8 to 3.4)``, or the same in the metric's unit."""
        if self.relative is not None:
            mean, low, high = (100 * one for one in self.relative)
            return f"{mean:+.1f} % ({low:.1f} to {high:.1f})"
        if math.isinf(self.low):
            return f"{self.difference:+.3g} (interval unknown)"
        return f"{self.difference:+.3g} ({self.low:.3g} to {self.high:.3g})"


@with_config(ConfigDict(extra="forbid", ser_json_inf_nan="strings"))
@dataclass(frozen=True)
class Look:
    """What a look said.

    Attributes:
        number: from 1.
        plan_sha256, data_sha256: of the plan and of the units.
        at: when it was taken, ISO 8601 in UTC.
        effects: on the primary metric, of each arm with two units beside two of the control.
        decision: ``ship`` an arm, ``keep`` the control, or ``go on``.
        arm: that ships.
    """

    number: int
    plan_sha256: str
    data_sha256: str
    at: str
    effects: tuple[Effect, ...]
    decision: Decision
    arm: str | None = None

    def effect(self, arm: str) -> Effect | None:
        """Of an arm, if there was one."""
        return next((one for one in self.effects if one.arm == arm), None)

    def to_json(self) -> str:
        """For a log; `read_look` reads it."""
        return _ADAPTER.dump_json(self).decode()


_ADAPTER: Final = TypeAdapter(Look)


def read_look(text: str) -> Look:
    """A look from the JSON of `Look.to_json`.

    Raises:
        InputError: it is none.
    """
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        raise InputError(f"look: {explain(error)}") from None


def look_bounds(plan: ExperimentPlan) -> tuple[float, ...]:
    """The bound of each look in standard errors, by O'Brien and Fleming, if traffic is even.

    Information is counted in units that can be ready by then, as the plan says. A look that adds
    none has the bound of the one before, since it sees the same data.
    """
    c = obrien_fleming_constant(_distinct(plan), plan.alpha_each)
    return tuple(c / math.sqrt(one) if one > 0 else math.inf for one in plan.fractions)


def spent_by(plan: ExperimentPlan) -> tuple[float, ...]:
    """How often any look up to each may have rejected, of an arm without a difference."""
    distinct = _distinct(plan)
    known = dict(zip(distinct, _spent(distinct, plan.alpha_each), strict=True))
    return tuple(known.get(one, 0.0) for one in plan.fractions)


@lru_cache(maxsize=64)
def _spent(fractions: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    c = obrien_fleming_constant(fractions, alpha)
    return tuple(crossing_probabilities(fractions, c).sum(axis=1).cumsum().tolist())


def _distinct(plan: ExperimentPlan) -> tuple[float, ...]:
    return tuple(dict.fromkeys(one for one in plan.fractions if one > 0))


def take_look(
    plan: ExperimentPlan, number: int, units: Units, now: float, taken: Sequence[Look] = ()
) -> Look:
    """Look at the primary metric, as planned.

    Args:
        number: from 1. units: as they are now. now: UNIX time, s.
        taken: the looks of this plan so far, in their order.

    Returns:
        the look; the one in `taken` where it was taken with the same data.

    Raises:
        InputError: a look that the plan does not have, before its time, after the next one's, after
            a decision, with other data than the first time; or looks of another plan.
    """
    require_own(plan, taken)
    data = units.sha256()
    before = next((look for look in taken if look.number == number), None)
    if before is not None:
        if before.data_sha256 != data:
            raise InputError(
                f"look {number} was taken at {before.at} with other data (sha256 "
                f"{before.data_sha256[:12]}, now {data[:12]}); what it said then stands"
            )
        return before
    _require_due(plan, number, now, taken)
    spent = spent_by(plan)[number - 1]
    effects = tuple(
        effect
        for arm in range(1, len(plan.arms))
        if (effect := _look_at(plan, units, arm, spent, taken)) is not None
    )
    decision, arm = _decide(plan, effects, number == len(plan.look_days))
    at = datetime.fromtimestamp(now, UTC).isoformat()
    return Look(number, plan.sha256(), data, at, effects, decision, arm)


def _look_at(
    plan: ExperimentPlan, units: Units, arm: int, spent: float, taken: Sequence[Look]
) -> Effect | None:
    """The effect of an arm on the primary metric, with the bound that is left for it."""
    seen: list[Effect] = []
    for look in taken:
        one = look.effect(plan.arms[arm])
        most = seen[-1].observations if seen else 0
        if one is not None and math.isfinite(one.z) and one.observations > most:
            seen.append(one)
    now = units.difference(plan.primary.name, arm).observations
    if seen and now <= seen[-1].observations:  # nothing new, so no new chance to be wrong
        z = seen[-1].z
    else:
        information = [float(one.observations) for one in seen] + [float(now)]
        z = next_bound(information, [one.z for one in seen], spent) if now else math.inf
    return effect_of(plan, units, plan.primary.name, arm, z)


def effect_of(
    plan: ExperimentPlan, units: Units, metric: str, arm: int, z: float, cautious: bool = False
) -> Effect | None:
    """The effect of an arm with an interval of z standard errors; None without two units each.

    Args:
        cautious: see `Difference.interval`; such an effect has no share of the control's mean.
    """
    difference = units.difference(metric, arm)
    if not difference.known:
        return None
    finite = math.isfinite(z)
    low, high = difference.interval(z, cautious) if finite else (-math.inf, math.inf)
    return Effect(
        plan.arms[arm],
        metric,
        difference.mean,
        low,
        high,
        difference.relative(z) if finite and not cautious else None,
        z,
        difference.observations,
        difference.units,
        sum(units.left_out(metric).values()),
    )


def _decide(
    plan: ExperimentPlan, effects: Sequence[Effect], last: bool
) -> tuple[Decision, str | None]:
    sign, margin = plan.primary.sign, plan.primary.margin
    better = [one for one in effects if min(sign * one.low, sign * one.high) > -margin]
    worse = [one for one in effects if max(sign * one.low, sign * one.high) < -margin]
    if better:
        return "ship", max(better, key=lambda one: sign * one.difference).arm
    if last or len(worse) == len(plan.arms) - 1:
        return "keep", None
    return "go on", None


def require_own(plan: ExperimentPlan, taken: Sequence[Look]) -> None:
    """Looks belong to this very plan.

    Raises:
        InputError: one does not.
    """
    sha256 = plan.sha256()
    for look in taken:
        if look.plan_sha256 != sha256:
            raise InputError(
                f"look {look.number} was taken under another plan (sha256 "
                f"{look.plan_sha256[:12]}, this one is {sha256[:12]}); a plan does not change"
            )


def _require_due(plan: ExperimentPlan, number: int, now: float, taken: Sequence[Look]) -> None:
    planned = len(plan.look_days)
    if not 1 <= number <= planned:
        raise InputError(
            f"look {number}: the plan has {planned} looks, and one more would be wrong more often "
            f"than {plan.alpha:g}; lay down a new plan for new data"
        )
    decided = next((look for look in taken if look.decision != "go on"), None)
    if decided is not None:
        raise InputError(
            f"look {number}: look {decided.number} decided ({decided.decision}); nothing is left "
            "to look at"
        )
    passed = plan.looks_passed(now)
    if number > passed:
        raise InputError(
            f"look {number} is planned for {plan.look_at(number).isoformat()}; wait until then"
        )
    if number < passed:
        raise InputError(f"look {number} was missed; look {passed} is due, with the data of today")
