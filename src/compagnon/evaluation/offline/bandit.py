"""The value of a policy from single decisions: IPS, SNIPS, doubly robust, and Switch-DR.

Each function gives `Ratios` over units: its ``value`` is the estimate, `intervals` its interval.
"""

import math
from typing import Final

import numpy as np

from compagnon.evaluation.offline.logged import Floats, LoggedDecisions
from compagnon.evaluation.offline.ratios import Ratios, by_group, mean_of
from compagnon.evaluation.offline.ridge import RidgePerAction, Scaler, folds

FOLDS: Final = 5
_GRID: Final = 21  # of thresholds that Switch-DR chooses from


def ips(logged: LoggedDecisions, weights: Floats) -> Ratios:
    """Inverse propensity scoring (Horvitz and Thompson 1952): the mean of ``w r``. Unbiased.

    Args:
        weights: (N,), from `support.importance_weights`; likewise below.
    """
    return _mean(logged, weights * logged.reward)


def snips(logged: LoggedDecisions, weights: Floats) -> Ratios:
    """Self-normalised IPS (Swaminathan and Joachims 2015): ``sum w r / sum w``.

    It is never outside the range of the rewards, and moves with them when all are shifted; the
    price is a bias of the order of 1 / N.
    """
    return mean_of(_sums(logged, weights * logged.reward), _sums(logged, weights))


def dr(logged: LoggedDecisions, target: Floats, weights: Floats, predicted: Floats) -> Ratios:
    """Doubly robust (Dudik, Langford and Li 2011): ``sum_a pi(a) q(a) + w (r - q(action))``.

    Unbiased with true propensities whatever the model, if no row helped to fit its own prediction.

    Args:
        target: (N, A).
        predicted: (N, A) rewards, from `cross_fitted_rewards`.
    """
    return _mean(logged, _dr_terms(logged, target, weights, predicted))


def switch_dr(
    logged: LoggedDecisions, target: Floats, weights: Floats, predicted: Floats, tau: float
) -> Ratios:
    """Switch-DR (Wang, Agarwal and Dudik 2017): DR up to a weight of `tau`, the model above.

    Where the model stands alone it may be biased, and no interval knows by how much.
    """
    kept = np.where(weights <= tau, weights, 0.0)
    return _mean(logged, _dr_terms(logged, target, kept, predicted))


def switch_threshold(
    logged: LoggedDecisions, target: Floats, weights: Floats, predicted: Floats
) -> float:
    """The tau of Switch-DR that minimises estimated variance plus a bound of the squared bias.

    As Wang, Agarwal and Dudik (2017) choose it: the bias is at most the range of the rewards, here
    of those logged, times the target's probability of actions whose weight is above tau. The
    variance is that of the terms, summed by unit. Of equals the largest is taken. The bound is a
    cautious one: mostly it leaves Switch-DR what DR is, until single rows outweigh the log.
    """
    span = float(np.ptp(logged.reward))
    possible = logged.probabilities > 0.0
    every = np.full_like(target, np.inf)
    np.divide(target, logged.probabilities, out=every, where=possible)
    every[target == 0.0] = 0.0
    best, least = math.inf, math.inf
    for tau in threshold_candidates(weights):
        ratios = switch_dr(logged, target, weights, predicted, tau)
        error = float(ratios.values(np.ones((1, ratios.units)))[1][0])
        left_out = float(np.where(every > tau, target, 0.0).sum() / logged.rows)
        risk = error**2 + (span * left_out) ** 2
        if risk < least * (1 - 1e-12):
            best, least = tau, risk
    return best


def threshold_candidates(weights: Floats) -> list[float]:
    """Infinity, which is DR, then a geometric ladder down from just below the heaviest weight."""
    positive = weights[weights > 0.0]
    if not len(positive):
        return [math.inf]
    top = float(positive.max()) * (1 - 1e-9)
    return [math.inf, *np.geomspace(top, min(float(positive.min()), top), _GRID).tolist()]


def cross_fitted_rewards(
    logged: LoggedDecisions, seed: int = 0, ridge: float = 1.0, count: int = FOLDS
) -> Floats:
    """(N, A) expected rewards; no unit helped to fit its own (Chernozhukov et al. 2018).

    The regression is `ridge.RidgePerAction` on standardised obs, fitted on the units of the other
    folds. A log of a single unit predicts 0.

    Args:
        seed: of the folds.
        ridge: see there.
        count: of folds.
    """
    unit = logged.unit_index
    fold = folds(logged.units, count, seed)[unit]
    found = np.zeros(logged.action_mask.shape)
    for one in range(int(fold.max()) + 1):
        inside, others = fold == one, fold != one
        if not others.any():
            continue
        scaler = Scaler.of(logged.obs[others])
        model = RidgePerAction(
            scaler.features(logged.obs[others]), logged.action[others], logged.actions, ridge
        )
        fitted = model.fit(logged.reward[others])
        found[inside] = fitted.predict(scaler.features(logged.obs[inside]))
    return found


def _dr_terms(
    logged: LoggedDecisions, target: Floats, weights: Floats, predicted: Floats
) -> Floats:
    taken = predicted[np.arange(logged.rows), logged.action]
    return np.asarray((target * predicted).sum(axis=1) + weights * (logged.reward - taken))


def _sums(logged: LoggedDecisions, values: Floats) -> Floats:
    return by_group(values, logged.unit_index)


def _mean(logged: LoggedDecisions, values: Floats) -> Ratios:
    """The mean of (N,) over decisions, by unit."""
    return mean_of(_sums(logged, values), _sums(logged, np.ones(logged.rows)))
