"""Group-sequential looks: how far out a difference must lie at each look, so that all looks
together are wrong as seldom as one test would be.

O'Brien and Fleming (1979): the k-th of K looks rejects beyond c sqrt(K / k) standard errors. The
sum that is looked at is then a Brownian motion between two constant bounds -c and c, and how often
it leaves them is integrated look by look (Armitage, McPherson and Rowe 1969).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.operations.experiments.student import normal_quantile

_PER_DEVIATION: Final = 4  # nodes of the integration in the deviation of the shortest step
_FEWEST_NODES, _MOST_NODES = 96, 4_000
_LEAST: Final = 1e-300  # that can be spent
_FURTHEST: Final = 37.0  # standard errors, beyond which a normal variable has no chance in numbers


def obrien_fleming(fractions: Sequence[float], alpha: float = 0.05) -> tuple[float, ...]:
    """The bound of each look, in standard errors, two-sided: c / sqrt(fraction).

    Args:
        fractions: of the whole information that each look has; ascending, the last one is 1. Equal
            steps are looks after equal numbers of units.
        alpha: how often any look rejects where there is no difference.

    Raises:
        InputError: fractions that are no such sequence, or alpha that is no probability.
    """
    c = obrien_fleming_constant(tuple(fractions), alpha)
    return tuple(c / math.sqrt(fraction) for fraction in fractions)


@lru_cache(maxsize=256)
def obrien_fleming_constant(fractions: tuple[float, ...], alpha: float = 0.05) -> float:
    """The c of `obrien_fleming`: 2.106 for 14 even looks at 0.05.

    Raises:
        InputError: as there.
    """
    _check(fractions, alpha)
    low = normal_quantile(1 - alpha / 2)  # of a single look
    high = low + 2.0
    while high - low > 1e-8:
        middle = (low + high) / 2
        if crossing_probabilities(fractions, middle).sum() > alpha:
            low = middle
        else:
            high = middle
    return high


def crossing_probabilities(
    fractions: Sequence[float], bound: float, drift: float = 0.0
) -> NDArray[np.float64]:
    """How often a Brownian motion is first seen outside (-bound, bound) at each look.

    With f the density of what has stayed inside up to a look, the next one's is the integral of
    f(y) phi((x - y - drift step) / sqrt(step)) / sqrt(step) over y (Armitage, McPherson and Rowe
    1969, equation 3), here at the nodes of Gauss and Legendre.

    Args:
        fractions: moments of the looks, ascending.
        drift: its mean at moment 1; the true difference in standard errors of the last look.

    Returns:
        (K, 2): below -bound, and above bound.
    """
    walk = _Walk.start()
    exits = np.empty((len(fractions), 2))
    for k, fraction in enumerate(fractions):
        exits[k] = walk.exits(fraction, bound, drift)
        if k + 1 < len(fractions):
            walk = walk.inside(fraction, bound, drift)
    return exits


def next_bound(information: Sequence[float], bounds: Sequence[float], spent: float) -> float:
    """The bound of a look, in standard errors, when it sees other information than was planned.

    Lan and DeMets (1983): by this look alpha is spent as the plan had it, whatever there is to see.
    Where everything came as planned, this is the plan's own bound.

    Args:
        information: (k,) of the looks so far and of this one, such as units; ascending.
        bounds: (k - 1,) of the looks so far, in standard errors.
        spent: how often any look may have rejected by now, this one included.

    Returns:
        infinity where nothing is left to spend.
    """
    walk = _Walk.start()
    for seen, z in zip(information, bounds, strict=False):
        fraction = seen / information[-1]
        bound = z * math.sqrt(fraction)
        spent -= float(walk.exits(fraction, bound).sum())
        walk = walk.inside(fraction, bound)
    if spent <= _LEAST or walk.exits(1.0, _FURTHEST).sum() >= spent:
        return math.inf
    low, high = 0.0, _FURTHEST
    while high - low > 1e-8:
        middle = (low + high) / 2
        if walk.exits(1.0, middle).sum() > spent:
            low = middle
        else:
            high = middle
    return high


@dataclass(frozen=True, eq=False)
class _Walk:
    """Where a Brownian motion may be that no look has yet seen outside its bounds.

    Attributes:
        at: the moment. places, mass: (n,) nodes, and the chance that each stands for.
    """

    at: float
    places: NDArray[np.float64]
    mass: NDArray[np.float64]

    @classmethod
    def start(cls) -> "_Walk":
        return cls(0.0, np.zeros(1), np.ones(1))

    def exits(self, at: float, bound: float, drift: float = 0.0) -> NDArray[np.float64]:
        """Chances, (2,), to be seen below -bound and above bound at the next moment."""
        step = at - self.at
        means = self.places + drift * step
        below = _normal_below((-bound - means) / math.sqrt(step))
        above = _normal_below((means - bound) / math.sqrt(step))
        return np.array([self.mass @ below, self.mass @ above])

    def inside(self, at: float, bound: float, drift: float = 0.0) -> "_Walk":
        """What is then still inside."""
        step = at - self.at
        nodes, weights = _legendre(int(_PER_DEVIATION * bound / math.sqrt(step)) + _FEWEST_NODES)
        gaps = (bound * nodes[:, None] - self.places - drift * step) / math.sqrt(step)
        density = np.exp(-0.5 * gaps**2) @ self.mass / math.sqrt(2 * math.pi * step)
        return _Walk(at, bound * nodes, bound * weights * density)


@lru_cache(maxsize=16)
def _legendre(nodes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points, weights = np.polynomial.legendre.leggauss(min(nodes, _MOST_NODES))
    return points, weights


@lru_cache(maxsize=256)
def detectable_drift(fractions: tuple[float, ...], alpha: float, power: float) -> float:
    """The true difference, in standard errors of the last look, that is found so often.

    A single test at the end finds 2.80 with 0.8 at 0.05; 14 looks want a little more.

    Raises:
        InputError: as `obrien_fleming`, or a power that is not between alpha and 1.
    """
    if not alpha < power < 1:
        raise InputError(f"power {power:g}: give a number between alpha, {alpha:g}, and 1")
    c = obrien_fleming_constant(fractions, alpha)
    low, high = 0.0, c + normal_quantile(power) + 1.0
    while high - low > 1e-7:
        middle = (low + high) / 2
        if crossing_probabilities(fractions, c, middle)[:, 1].sum() < power:
            low = middle
        else:
            high = middle
    return high


def _normal_below(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([0.5 * math.erfc(-one / math.sqrt(2)) for one in z])


def _check(fractions: tuple[float, ...], alpha: float) -> None:
    if not 0 < alpha < 1:
        raise InputError(f"alpha {alpha:g}: give a probability such as 0.05")
    if not fractions or fractions[0] <= 0 or abs(fractions[-1] - 1) > 1e-9:
        raise InputError("fractions: give one or more above 0, the last of which is 1")
    if any(later <= earlier for earlier, later in pairwise(fractions)):
        raise InputError("fractions: each look should have more information than the one before")
