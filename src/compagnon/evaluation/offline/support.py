"""How much of a log speaks of a target policy: weights, effective sample size, and support."""

from typing import NamedTuple

import numpy as np

from compagnon.evaluation.offline.logged import Floats, LoggedDecisions, refuse_rows
from compagnon.evaluation.offline.ratios import by_group


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
    """The overlap of a log and a target.

    Args:
        target: (N, A).
        weights: (N,) of the decisions, in a bandit; of the episodes at their last step, elsewhere,
            and 0 at the others; those of a unit are summed.
    """
    of_unit = by_group(weights, logged.unit_index)
    return Overlap(
        effective_size(of_unit),
        float(np.where(logged.probabilities > 0.0, target, 0.0).sum() / logged.rows),
        float((of_unit != 0.0).mean()),
    )


def effective_size(weights: Floats) -> float:
    """``(sum w)^2 / sum w^2``; 0 where all are 0."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0.0 else 0.0
