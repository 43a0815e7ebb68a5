"""Fitted Q evaluation with masks: what each decision is worth if the target decides afterwards."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.evaluation.offline.fixed_point import fixed_point, growth
from compagnon.evaluation.offline.logged import Floats, Ints, LoggedDecisions
from compagnon.evaluation.offline.ratios import Ratios, by_group, mean_of
from compagnon.evaluation.offline.ridge import (
    Coefficients,
    RidgePerAction,
    Scaler,
    flat,
    folds,
    unflat,
)
from compagnon.evaluation.offline.sequential import Episodes, discounts

FOLDS: Final = 5


class QFunction(NamedTuple):
    """Q of a target policy, linear in standardised obs for each action.

    Attributes:
        scaler: of the obs.
        coefficients: what was fitted.
        growth: what each regression multiplies the distance to Q by, about.
        converged: the values stand still. Off-policy, with features that cannot tell states apart,
            they may grow without end (Baird 1995), with a growth above 1; such values mean nothing.
    """

    scaler: Scaler
    coefficients: Coefficients
    growth: float
    converged: bool

    def predict(self, obs: NDArray[np.floating]) -> Floats:
        """(N, A) for observations (N, F)."""
        return self.coefficients.predict(self.scaler.features(obs))


class _Problem(NamedTuple):
    """Rows that say what came next: M of them.

    Attributes:
        model: the regression of these rows.
        reward: (M,).
        discount: (M,), gamma; 0 where the episode is over.
        features: (M, P), of the next obs; of no matter where the episode is over.
        target: (M, A), of the next obs.
    """

    model: RidgePerAction
    reward: Floats
    discount: Floats
    features: Floats
    target: Floats

    def bootstrapped(self, coefficients: Coefficients) -> Floats:
        """(M,) ``r + gamma sum_a pi(a | s') Q(s', a)``: over the valid actions alone, since pi is 0
        elsewhere, and by the target's whole distribution, not by its best action.
        """
        after = (self.target * coefficients.predict(self.features)).sum(axis=1)
        return np.asarray(self.reward + self.discount * after)

    def back(self, weight: Floats) -> Coefficients:
        """The transpose of `bootstrapped`, of row weights (M,), without the rewards."""
        flow = self.discount * weight
        return Coefficients(
            flow @ self.features, (self.target * flow[:, None]).T @ self.features
        )  # fmt: skip

    def step(self, coefficients: Floats) -> Floats:
        """What a regression makes of (D,) coefficients, the rewards apart."""
        given = unflat(coefficients, self.target.shape[1])
        return flat(self.model.fit(self.bootstrapped(given) - self.reward))

    def step_back(self, functional: Floats) -> Floats:
        """The transpose of `step`."""
        first, second = self.model.transpose(unflat(functional, self.target.shape[1]))
        return flat(self.back(first + second))


def fitted_q(
    logged: LoggedDecisions,
    target: Floats,
    gamma: float,
    ridge: float = 1.0,
    rows: Ints | None = None,
) -> QFunction:
    """Fit Q by regression on its own one-step targets until it stands still (Le et al. 2019).

    The regression is linear, so where it stands still is solved for (`fixed_point`).

    An episode that the log leaves before its end tells nothing about what followed its last
    decision: that row is left out. With one-hot obs and a small `ridge` this is the exact
    evaluation of the empirical Markov decision process.

    Args:
        target: (N, A) probabilities of the target on the logged obs.
        gamma: from 0 to 1; with 1, episodes must end.
        ridge: see `RidgePerAction`.
        rows: of whole episodes, to fit on; None takes all.
    """
    return _fit(logged, target, gamma, ridge, rows)[0]


def fqe(
    logged: LoggedDecisions, target: Floats, gamma: float, ridge: float = 1.0
) -> tuple[Ratios, Floats, QFunction]:
    """The value by Q alone: the mean over episodes of ``sum_a pi(a | s_0) Q(s_0, a)``.

    Its error is that of the estimating equations of the last regression (the bootstrap of Hao et
    al. 2021, linearised): a row moves the value by its temporal difference times a weight, which
    the transposed recursion gives. It holds where Q is linear in the obs, and knows nothing of the
    bias elsewhere.

    Returns:
        The estimate by unit; the (N,) weights of the rows, whose part in it is that of importance
        weights in the others; and Q.
    """
    found, problem, kept = _fit(logged, target, gamma, ridge, None)
    episodes = Episodes.of(logged)
    starts = found.scaler.features(logged.obs[episodes.first])
    chosen = target[episodes.first]
    worth = (chosen * found.coefficients.predict(starts)).sum(axis=1)
    number = len(worth)
    aim = Coefficients(starts.mean(axis=0), chosen.T @ starts / number)
    weight, first_stage = _row_weights(problem, aim, found.converged)
    aims = problem.bootstrapped(found.coefficients)
    inputs = found.scaler.features(logged.obs[kept])
    taken = found.coefficients.predict(inputs)[np.arange(len(kept)), logged.action[kept]]
    moved = np.zeros(logged.rows)
    moved[kept] = (weight - first_stage) * (aims - taken)
    moved[kept] += first_stage * (aims - inputs @ found.coefficients.shared)
    count = by_group(np.ones(number), episodes.unit)
    influence = number * by_group(moved, logged.unit_index)
    influence -= count * influence.sum() / number  # shrinking leaves a rest, which is no news
    weights = np.zeros(logged.rows)
    weights[kept] = weight * number
    return mean_of(by_group(worth, episodes.unit) + influence, count), weights, found


def cross_fitted_values(
    logged: LoggedDecisions,
    target: Floats,
    gamma: float,
    seed: int = 0,
    ridge: float = 1.0,
    count: int = FOLDS,
) -> tuple[Floats, bool]:
    """(N, A) values of Q where no unit helped to fit its own, and whether all fits converged.

    Where one did not, its rows have 0: weighted DR is then per-decision importance sampling there.
    """
    fold = folds(logged.units, count, seed)[logged.unit_index]
    values, converged = np.zeros(logged.action_mask.shape), True
    for one in range(int(fold.max()) + 1):
        inside, others = fold == one, np.flatnonzero(fold != one)
        if not len(others):
            continue
        found = fitted_q(logged, target, gamma, ridge, others)
        converged &= found.converged
        if found.converged:
            values[inside] = found.predict(logged.obs[inside])
    return values, converged


def _fit(
    logged: LoggedDecisions, target: Floats, gamma: float, ridge: float, rows: Ints | None
) -> tuple[QFunction, _Problem, Ints]:
    """Q, its regression, and the rows that it was fitted on."""
    discounts(1, gamma)  # gamma is one
    kept, following = transitions(logged, rows)
    scaler = Scaler.of(logged.obs[kept]) if len(kept) else Scaler.of(logged.obs)
    problem = _Problem(
        RidgePerAction(
            scaler.features(logged.obs[kept]), logged.action[kept], logged.actions, ridge
        ),
        logged.reward[kept],
        np.where(logged.terminated[kept], 0.0, gamma),
        scaler.features(logged.obs[following]),
        target[following],
    )
    size = (logged.actions + 1) * scaler.features(logged.obs[:1]).shape[1]
    with np.errstate(over="ignore", invalid="ignore"):
        rate = growth(problem.step, size)
        solved, stands = fixed_point(problem.step, flat(problem.model.fit(problem.reward)))
    found = unflat(solved, logged.actions)
    return QFunction(scaler, found, rate, stands and rate < 1.0), problem, kept


def transitions(logged: LoggedDecisions, rows: Ints | None = None) -> tuple[Ints, Ints]:
    """Rows of which it is known what followed, and the row that did; itself at an episode's end."""
    order = logged.order
    after = np.full(logged.rows, -1)
    same = logged.episode[order][1:] == logged.episode[order][:-1]
    after[order[:-1][same]] = order[1:][same]
    after[logged.terminated] = np.flatnonzero(logged.terminated)
    chosen = np.arange(logged.rows) if rows is None else rows
    kept = chosen[after[chosen] >= 0]
    return kept, after[kept]


def _row_weights(problem: _Problem, aim: Coefficients, converged: bool) -> tuple[Floats, Floats]:
    """(M,) the derivative of ``aim . coefficients`` by each reward, through all regressions; and
    its part through the first stage of the regression.
    """
    total = aim
    if converged:
        total = unflat(fixed_point(problem.step_back, flat(aim))[0], len(aim.own))
    first, second = problem.model.transpose(total)
    return first + second, first
