"""A regression for each action that falls back on what all actions share, where data are few.

It is a linear smoother: predictions are linear in what is fitted. So fitted Q evaluation can repeat
it without solving anything again, and its standard error follows from its transpose.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.evaluation.offline.logged import Floats, Ints


class Scaler(NamedTuple):
    """Observations as features: a constant 1, then each field standardised.

    Attributes:
        mean: (F,).
        scale: (F,), 0 for a field that is constant.
    """

    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, obs: NDArray[np.floating]) -> "Scaler":
        """That of observations (N, F)."""
        values = obs.astype(np.float64)
        std = values.std(axis=0)
        known = std > 1e-12 * np.maximum(np.abs(values).max(axis=0, initial=0.0), 1e-300)
        return cls(values.mean(axis=0), np.divide(1.0, std, out=np.zeros_like(std), where=known))

    def features(self, obs: NDArray[np.floating]) -> Floats:
        """(N, P) of observations (N, F); P = F + 1."""
        scaled = (obs - self.mean) * self.scale
        return np.hstack([np.ones((len(obs), 1)), scaled])


class Coefficients(NamedTuple):
    """What was fitted.

    Attributes:
        shared: (P,).
        own: (A, P), of each action, on top of what is shared.
    """

    shared: Floats
    own: Floats

    def predict(self, features: Floats) -> Floats:
        """(N, A) for features (N, P)."""
        return features @ (self.own + self.shared).T


class RidgePerAction:
    """Two stages of ridge regression: one of all rows, then one of each action's residuals.

    The first does not know the action. The second is shrunk towards 0, so an action that was taken
    `ridge` times or less stays near what all have in common, and one that never was stays on it.
    With one-hot features and a small `ridge` each pair of state and action has its mean.

    Args:
        features: (N, P), a constant among them.
        action: (N,).
        actions: A.
        ridge: how many rows of no effect the shrinking is worth, on standardised features.
    """

    def __init__(self, features: Floats, action: Ints, actions: int, ridge: float = 1.0) -> None:
        self._features = features
        self._penalty = ridge * np.eye(features.shape[1])
        self._all = self._smoother(features)
        self._actions = actions
        self._rows = [np.flatnonzero(action == one) for one in range(actions)]
        self._own = [self._smoother(features[rows]) for rows in self._rows]

    def _smoother(self, features: Floats) -> Floats:
        """(P, n): from what is fitted to the coefficients."""
        if not len(features):
            return features.T
        gram = features.T @ features + self._penalty
        return np.asarray(np.linalg.solve(gram, features.T), np.float64)

    def fit(self, values: Floats) -> Coefficients:
        """Fit (N,) values."""
        shared = self._all @ values
        rest = values - self._features @ shared
        own = [smoother @ rest[rows] for rows, smoother in zip(self._rows, self._own, strict=True)]
        return Coefficients(shared, np.array(own))

    def transpose(self, functional: Coefficients) -> tuple[Floats, Floats]:
        """How much each fitted row moves ``functional . coefficients``, by its two ways.

        Returns:
            (N,) through the first stage, and (N,) through the second. Their sum is the derivative.
        """
        second = np.zeros(len(self._features))
        for rows, smoother, wanted in zip(self._rows, self._own, functional.own, strict=True):
            second[rows] = wanted @ smoother
        first = (functional.shared - second @ self._features) @ self._all
        return first, second


def flat(coefficients: Coefficients) -> Floats:
    """Coefficients as one vector, (P + A P,)."""
    return np.concatenate([coefficients.shared, coefficients.own.ravel()])


def unflat(vector: Floats, actions: int) -> Coefficients:
    """The coefficients of a vector that `flat` made."""
    parts = vector.reshape(actions + 1, -1)
    return Coefficients(parts[0], parts[1:])


def folds(units: int, count: int, seed: int) -> Ints:
    """(U,) the fold of each unit, from 0; as even as can be."""
    order = np.random.default_rng(seed).permutation(units)
    return (order % max(min(count, units), 1)).astype(np.int64)
