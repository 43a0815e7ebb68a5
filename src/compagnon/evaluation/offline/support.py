"""How much of a log speaks of a target policy: weights, effective sample size, and support."""

from typing import NamedTuple

import numpy as np

from compagnon.evaluation.offline.logged import Floats, LoggedDecisions, refuse_rows
from compagnon.evaluation.offline.ratios import by_group
from compagnon.evaluation.offline.sequential import Episodes


class Overlap(NamedTuple):
    """What stands beside an estimate.

    Attributes:
        ess: effective number of units: as many, of equal weight, would know as much (Kish 1965).
        support: the share of the target's probability, over the logged obs, on actions that the log
            could have taken.
        weighted: the share of units whose weight is not 0.
    """

    ess: float
    support: float
    weighted: float


def importance_weights(logged: LoggedDecisions, target: Floats) -> Floats:
    """(N,) the target's probability of the action that was taken, divided by its propensity.

    Args:
        target: (N, A).

    Raises:
        InputError: a propensity of 0.
    """
    refuse_rows(
        "propensity", logged.propensity <= 0.0, "what was taken had a probability above 0",
        logged.propensity,
    )  # fmt: skip
    return np.asarray(target[np.arange(logged.rows), logged.action] / logged.propensity)


def overlap(logged: LoggedDecisions, target: Floats, weights: Floats) -> Overlap:
    """The overlap of a log and a target, by the weights of whole episodes, summed over units.

    The effective size is the smaller of two. One is that of the weights that were drawn. It looks
    best where the heaviest happened not to be drawn; so the other is what the logged vectors
    predict: the square of an episode's last weight is ``1 + sum_t w_0:t-1^2 Var(w_t)`` in
    expectation, and the variance of each next weight is known, ``sum_a pi^2 / p - (sum_a pi)^2``.

    Args:
        target: (N, A).
        weights: (N,) of the decisions, from `importance_weights`.
    """
    episodes = Episodes.of(logged)
    cumulative = episodes.cumulative(weights)
    before = np.hstack([np.ones((len(cumulative), 1)), cumulative[:, :-1]])
    spread = (before**2 * episodes.per_step(_next_variance(logged, target))).sum(axis=1)
    count = by_group(np.ones(len(spread)), episodes.unit)
    squares = count**2 + by_group(spread, episodes.unit)
    predicted = float(count.sum()) ** 2 / float(squares.sum())
    of_unit = by_group(cumulative[:, -1], episodes.unit)
    return _overlap(logged, target, of_unit, predicted)


def overlap_of_rows(
    logged: LoggedDecisions, target: Floats, weights: Floats, rows: Floats
) -> Overlap:
    """The same by the weights that rows have in fitted Q evaluation.

    Such a weight is that of the state times that of the action. The former, squared, times the
    variance of the latter takes the place of what the row itself drew.

    Args:
        rows: (N,), from `fqe.fqe`.
    """
    state = np.divide(rows, weights, out=np.zeros_like(rows), where=weights > 0.0)
    unit = logged.unit_index
    of_unit = by_group(rows, unit)
    drawn = np.where(weights > 0.0, (state * (weights - 1.0)) ** 2, 0.0)
    extra = (state**2 * _next_variance(logged, target) - drawn).sum()
    squares = float((of_unit**2).sum() + max(float(extra), 0.0))
    predicted = float(of_unit.sum()) ** 2 / squares if squares > 0.0 else 0.0
    return _overlap(logged, target, of_unit, predicted)


def _overlap(logged: LoggedDecisions, target: Floats, of_unit: Floats, predicted: float) -> Overlap:
    supported = np.where(logged.probabilities > 0.0, target, 0.0)
    return Overlap(
        min(effective_size(of_unit), predicted),
        float(supported.sum() / logged.rows),
        float((of_unit != 0.0).mean()),
    )


def _next_variance(logged: LoggedDecisions, target: Floats) -> Floats:
    """(N,) the variance of each decision's weight before it was drawn."""
    possible = logged.probabilities > 0.0
    ratio = np.divide(target, logged.probabilities, out=np.zeros_like(target), where=possible)
    mean = np.where(possible, target, 0.0).sum(axis=1)
    return np.asarray(np.maximum((target * ratio).sum(axis=1) - mean**2, 0.0))


def effective_size(weights: Floats) -> float:
    """``(sum w)^2 / sum w^2``; 0 where all are 0."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0.0 else 0.0
