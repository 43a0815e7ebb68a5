"""The value of a policy from whole episodes: per-decision importance sampling and weighted DR.

The value is the expected return of an episode as long as it was logged, ``sum_t gamma^t r_t``. An
episode that is over keeps its last weight in later steps, with reward and values of 0: the state in
which nothing happens any more (Thomas and Brunskill 2016, section 2). So the mean weight of every
step is 1 over all episodes, and normalising step by step is right for episodes of unequal length.
"""

from dataclasses import dataclass

import numpy as np

from compagnon.errors import InputError
from compagnon.evaluation.offline.logged import Bools, Floats, Ints, LoggedDecisions
from compagnon.evaluation.offline.ratios import Ratios, by_group, mean_of


@dataclass(frozen=True, eq=False)
class Episodes:
    """Where the decisions of E episodes of up to T steps stand.

    Attributes:
        row: (E, T) of the log; that of the last decision once the episode is over.
        live: (E, T) the episode is not yet over.
        unit: (E,) the index of its unit.
    """

    row: Ints
    live: Bools
    unit: Ints

    @classmethod
    def of(cls, logged: LoggedDecisions) -> "Episodes":
        """Those of a log, in the order of their numbers."""
        order = logged.order
        first = np.flatnonzero(logged.step[order] == 0)
        length = np.diff(np.append(first, logged.rows))
        steps = np.arange(int(length.max()))
        row = order[first[:, None] + np.minimum(steps, length[:, None] - 1)]
        return cls(row, steps < length[:, None], logged.unit_index[row[:, 0]])

    @property
    def first(self) -> Ints:
        """(E,) rows of the first decisions."""
        return self.row[:, 0]

    @property
    def last(self) -> Ints:
        """(E,) rows of the last decisions."""
        return self.row[:, -1]

    def per_step(self, values: Floats) -> Floats:
        """(E, T) of (N,), 0 after the end."""
        return np.where(self.live, values[self.row], 0.0)

    def cumulative(self, weights: Floats) -> Floats:
        """(E, T) products of the weights up to each step; after the end, as at the end."""
        return np.asarray(np.cumprod(np.where(self.live, weights[self.row], 1.0), axis=1))


def pdis(logged: LoggedDecisions, weights: Floats, gamma: float) -> Ratios:
    """Per-decision importance sampling (Precup et al. 2000): ``sum_t gamma^t w_0:t r_t``.

    Unbiased. Its variance grows with the length of the episodes, up to exponentially.

    Args:
        weights: (N,) of single decisions, from `support.importance_weights`; likewise below.
        gamma: from 0 to 1.
    """
    episodes = Episodes.of(logged)
    terms = episodes.cumulative(weights) * episodes.per_step(logged.reward)
    returns = terms @ discounts(terms.shape[1], gamma)
    return mean_of(by_group(returns, episodes.unit), by_group(np.ones(len(returns)), episodes.unit))


def snpdis(logged: LoggedDecisions, weights: Floats, gamma: float) -> Ratios:
    """Its self-normalised form: at each step ``sum_i w_0:t r_t / sum_i w_0:t``."""
    episodes = Episodes.of(logged)
    cumulative = episodes.cumulative(weights)
    return Ratios(
        by_group(cumulative * episodes.per_step(logged.reward), episodes.unit),
        by_group(cumulative, episodes.unit),
        discounts(cumulative.shape[1], gamma),
    )


def wdr(
    logged: LoggedDecisions, target: Floats, weights: Floats, values: Floats, gamma: float
) -> Ratios:
    """Weighted doubly robust (Thomas and Brunskill 2016, equation 4).

    ``sum_t gamma^t (sum_i w_t (r_t - Q(s_t, a_t)) / sum_i w_t + sum_i w_t-1 V(s_t) / sum_i w_t-1)``
    with V the mean of Q under the target. Consistent whatever Q is; a good Q makes it precise.

    Args:
        target: (N, A).
        values: (N, A), Q of the target, from `fqe.cross_fitted_values`.
    """
    episodes = Episodes.of(logged)
    cumulative = episodes.cumulative(weights)
    before = np.hstack([np.ones((len(cumulative), 1)), cumulative[:, :-1]])
    taken = values[np.arange(logged.rows), logged.action]
    error = cumulative * episodes.per_step(logged.reward - taken)
    state = before * episodes.per_step((target * values).sum(axis=1))
    factor = discounts(cumulative.shape[1], gamma)
    return Ratios(
        by_group(np.hstack([error, state]), episodes.unit),
        by_group(np.hstack([cumulative, before]), episodes.unit),
        np.concatenate([factor, factor]),
    )


def discounts(steps: int, gamma: float) -> Floats:
    """(T,) ``gamma^t``.

    Raises:
        InputError: gamma is not from 0 to 1.
    """
    if not 0.0 <= gamma <= 1.0:
        raise InputError(f"gamma={gamma}: give a number from 0 to 1")
    return np.asarray(gamma ** np.arange(steps, dtype=np.float64))
