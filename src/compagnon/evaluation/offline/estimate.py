"""One call: what would this policy have earned, by each estimator, and may the answer be read?"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from compagnon.errors import InputError
from compagnon.evaluation.offline import bandit, sequential
from compagnon.evaluation.offline.fqe import cross_fitted_values, fqe
from compagnon.evaluation.offline.intervals import empirical_bernstein, studentised_bootstrap
from compagnon.evaluation.offline.logged import (
    Floats,
    LoggedDecisions,
    checked_target,
    refuse_rows,
)
from compagnon.evaluation.offline.ratios import Ratios, by_group
from compagnon.evaluation.offline.support import (
    Overlap,
    importance_weights,
    overlap,
    overlap_of_rows,
)

LEAST_ESS: Final = 50.0
LEAST_SUPPORT: Final = 0.99


class Estimate(NamedTuple):
    """What an estimator says, and whether it can be read.

    Attributes:
        name: ``ips``, ``snips``, ``dr``, ``switch-dr`` of a bandit, ``ips-bernstein`` where the
            range of the rewards is known; ``pdis``, ``snpdis``, ``wdr``, ``fqe`` of episodes.
        value: the mean return of an episode, in the unit of the rewards; or a difference of two.
        low: of the interval that holds it 95 times in 100.
        high: likewise.
        ess: effective number of units; of a difference the smaller of both, likewise below.
        support: share of the target's probability on actions that the log could have taken.
        weighted: share of units with any weight.
        evaluable: the figures may be read.
        why: a sentence: how much stands behind them, or why they may not be read.
    """

    name: str
    value: float
    low: float
    high: float
    ess: float
    support: float
    weighted: float
    evaluable: bool
    why: str


class _Part(NamedTuple):
    """One estimator's sums, what it knows of the target, and what forbids it, if anything."""

    name: str
    ratios: Ratios
    overlap: Overlap
    fault: str


def estimate(
    logged: LoggedDecisions,
    target_probabilities: ArrayLike,
    gamma: float = 1.0,
    seed: int = 0,
    reward_range: tuple[float, float] | None = None,
) -> tuple[Estimate, ...]:
    """The value of a policy by every estimator that applies, each with a 95 % interval over units.

    Args:
        logged: test it with `quality.check_quality` first.
        target_probabilities: (N, A), what the policy would play on the logged obs.
        gamma: discount of a step, from 0 to 1; of no effect in a bandit.
        seed: of folds and resamples.
        reward_range: the least and the most that a reward can be; with it a bandit's IPS has an
            interval by empirical Bernstein too, which holds for any number of units.

    Raises:
        InputError: a missing reward, a propensity of 0, or a target that does not fit the log.
    """
    target = checked_target(logged, target_probabilities, "target_probabilities")
    _need_outcomes(logged)
    parts = _parts(logged, target, gamma, seed)
    found = [_judged(part.name, part.ratios, [part], logged, seed) for part in parts]
    if reward_range is not None and logged.is_bandit:
        found.append(_bernstein(logged, target, found[0], reward_range))
    return tuple(found)


def estimate_difference(
    logged: LoggedDecisions,
    challenger: ArrayLike,
    champion: ArrayLike,
    gamma: float = 1.0,
    seed: int = 0,
) -> tuple[Estimate, ...]:
    """What the challenger is worth above the champion on the same log, paired by unit.

    The difference is an estimate of its own, with its own interval: what both have in common
    cancels unit by unit. A gate asks for its `low`. It is evaluable if both policies are.

    Args:
        challenger: (N, A), what it would play on the logged obs.
        champion: (N, A), likewise.

    Raises:
        InputError: as `estimate`.
    """
    _need_outcomes(logged)
    pair = [
        _parts(logged, checked_target(logged, target, name), gamma, seed)
        for target, name in ((challenger, "challenger"), (champion, "champion"))
    ]
    return tuple(
        _judged(one.name, one.ratios.minus(other.ratios), [one, other], logged, seed)
        for one, other in zip(*pair, strict=True)
    )


def _parts(logged: LoggedDecisions, target: Floats, gamma: float, seed: int) -> list[_Part]:
    weights = importance_weights(logged, target)
    if logged.is_bandit:
        return _of_bandit(logged, target, weights, seed)
    return _of_episodes(logged, target, weights, gamma, seed)


def _of_bandit(logged: LoggedDecisions, target: Floats, weights: Floats, seed: int) -> list[_Part]:
    known = overlap(logged, target, weights)
    predicted = bandit.cross_fitted_rewards(logged, seed)
    tau = bandit.switch_threshold(logged, target, weights, predicted)
    return [
        _Part("ips", bandit.ips(logged, weights), known, ""),
        _Part("snips", bandit.snips(logged, weights), known, ""),
        _Part("dr", bandit.dr(logged, target, weights, predicted), known, ""),
        _Part("switch-dr", bandit.switch_dr(logged, target, weights, predicted, tau), known, ""),
    ]


def _of_episodes(
    logged: LoggedDecisions, target: Floats, weights: Floats, gamma: float, seed: int
) -> list[_Part]:
    episodes = sequential.Episodes.of(logged)
    known = overlap(logged, target, weights)
    values, _ = cross_fitted_values(logged, target, gamma, seed)
    by_q, q_weights, found = fqe(logged, target, gamma)
    return [
        _Part("pdis", sequential.pdis(logged, weights, gamma), known, ""),
        _Part("snpdis", sequential.snpdis(logged, weights, gamma), known, ""),
        _Part("wdr", sequential.wdr(logged, target, weights, values, gamma), known, ""),
        _Part(
            "fqe",
            by_q,
            overlap_of_rows(logged, target, weights, q_weights),
            _fault_of_q(found.converged, int((~logged.terminated[episodes.last]).sum()), episodes),
        ),
    ]


def _fault_of_q(converged: bool, cut: int, episodes: sequential.Episodes) -> str:
    if not converged:
        return "its values do not converge on these observations"
    if cut:
        return (
            f"{cut:,} of {len(episodes.unit):,} episodes are not over where the log ends, and Q "
            "values what would have followed, which the other estimators leave out"
        )
    return ""


def _judged(
    name: str, ratios: Ratios, parts: list[_Part], logged: LoggedDecisions, seed: int
) -> Estimate:
    low, high = studentised_bootstrap(ratios, seed=seed)
    ess = min(part.overlap.ess for part in parts)
    support = min(part.overlap.support for part in parts)
    weighted = min(part.overlap.weighted for part in parts)
    fault = next((part.fault for part in parts if part.fault), "")
    if support < LEAST_SUPPORT:
        fault = (
            f"only {100 * support:.1f} % of what the target would play could have been logged; "
            f"{100 * LEAST_SUPPORT:g} % are needed"
        )
    elif ess < LEAST_ESS:
        fault = (
            f"the {logged.units:,} units are worth {ess:.1f} of the target's own; "
            f"{LEAST_ESS:g} are needed"
        )
    elif not math.isfinite(ratios.value) and not fault:
        fault = "its value is not finite"
    good = f"the {logged.units:,} units are worth {ess:.0f} of the target's own"
    why = f"not evaluable: {fault}" if fault else good
    return Estimate(name, ratios.value, low, high, ess, support, weighted, not fault, why)


def _bernstein(
    logged: LoggedDecisions, target: Floats, ips: Estimate, reward_range: tuple[float, float]
) -> Estimate:
    """IPS with an interval by unit sums, whose bounds are those of the heaviest weight."""
    least, most = reward_range
    outside = (logged.reward < least) | (logged.reward > most)
    refuse_rows("reward", outside, f"reward_range says {least:g} to {most:g}", logged.reward)
    possible = logged.probabilities > 0.0
    heaviest = float((target[possible] / logged.probabilities[possible]).max())
    share = logged.units / logged.rows
    unit = logged.unit_index
    sums = share * by_group(importance_weights(logged, target) * logged.reward, unit)
    bound = share * heaviest * float(np.bincount(unit).max())
    low, high = min(least, 0.0) * bound, max(most, 0.0) * bound
    if logged.units < 2 or not low < high:
        return ips._replace(name="ips-bernstein", low=math.nan, high=math.nan)
    low, high = empirical_bernstein(sums, low, high)
    return ips._replace(name="ips-bernstein", low=low, high=high)


def _need_outcomes(logged: LoggedDecisions) -> None:
    missing = np.isnan(logged.reward)
    if missing.any():
        raise InputError(
            f"reward, row {int(missing.argmax())}: missing, as are {int(missing.sum()):,} in all; "
            "wait until they are there, or take LoggedDecisions.observed() if they are missing by "
            "chance"
        )
