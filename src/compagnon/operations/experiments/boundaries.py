"""Group-sequential looks: how far out a difference must lie at each look, so that all looks
together are wrong as seldom as one test would be.

O'Brien and Fleming (1979): the k-th of K looks rejects beyond c sqrt(K / k) standard errors. The
sum that is looked at is then a Brownian motion between two constant bounds -c and c, and how often
it leaves them is integrated look by look (Armitage, McPherson and Rowe 1969).
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.operations.experiments.student import normal_quantile

_PER_DEVIATION: Final = 4  # nodes of the integration in the deviation of the shortest step
_FEWEST_NODES, _MOST_NODES = 96, 4_000


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
    steps = np.diff([0.0, *fractions])
    wanted = _PER_DEVIATION * bound / math.sqrt(steps.min())
    nodes, weights = np.polynomial.legendre.leggauss(
        int(min(max(wanted, _FEWEST_NODES), _MOST_NODES))
    )
    nodes, weights = bound * nodes, bound * weights
    places, mass = np.zeros(1), np.ones(1)  # where it may be, and how much of it is there
    exits = np.empty((len(steps), 2))
    for k, step in enumerate(steps):
        deviation = math.sqrt(step)
        means = places + drift * step
        exits[k, 0] = mass @ _normal_below((-bound - means) / deviation)
        exits[k, 1] = mass @ _normal_below((means - bound) / deviation)
        if k + 1 < len(steps):
            density = np.exp(-0.5 * ((nodes[:, None] - means) / deviation) ** 2)
            mass = weights * (density @ mass) / (deviation * math.sqrt(2 * math.pi))
            places = nodes
    return exits


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
