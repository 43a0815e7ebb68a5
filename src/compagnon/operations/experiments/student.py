"""Student's t for any degrees of freedom, and how many standard errors stand for a normal bound.

Services run without scipy; Welch's test wants broken degrees of freedom and early looks want tails
of 1e-15, neither of which `compagnon.evaluation.statistics` has.
"""

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Final

_MANY: Final = 1e4  # degrees of freedom, from which the expansion below is exact to 1e-7
_TINY: Final = 1e-300


def normal_quantile(probability: float) -> float:
    """z such that a standard normal variable is below it so often."""
    return NormalDist().inv_cdf(probability)


def normal_two_sided(z: float) -> float:
    """P(\\|Z\\| > z), right in the far tail too."""
    return math.erfc(z / math.sqrt(2))


def student_two_sided(t: float, freedom: float) -> float:
    """P(\\|T\\| > t) of Student's variable, any `freedom` above 0 (DLMF 8.17, Student's t)."""
    if math.isinf(t):
        return 0.0
    return _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


@lru_cache(maxsize=4096)
def student_equivalent(z: float, freedom: float) -> float:
    """The t that Student's variable exceeds as often as a normal one exceeds z, on both sides.

    A bound of z standard errors is right where the error is known. Where it is estimated with few
    degrees of freedom, this many of them give the same error: 1.96 becomes 2.23 with 10.

    Returns:
        infinity where that is further out than numbers reach.
    """
    if freedom > _MANY:  # Cornish and Fisher (Abramowitz and Stegun 1964, 26.7.5)
        return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    wanted = normal_two_sided(z)
    if wanted < _TINY:
        return math.inf
    low, high = 0.0, max(1.0, z)
    while student_two_sided(high, freedom) > wanted:
        low, high = high, 2 * high
        if math.isinf(high * high):
            return math.inf
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        if student_two_sided(middle, freedom) > wanted:
            low = middle
        else:
            high = middle
    return high


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b), by its continued fraction (DLMF 8.17.22), from the side where that is short."""
    if x <= 0.0 or x >= 1.0:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    logarithm += a * math.log(x) + b * math.log1p(-x)
    # 1 + d1 / (1 + d2 / (1 + ...)) from its front (Lentz), with ratios of neighbouring terms.
    fraction, upper, lower = 1.0, 1.0, 0.0
    for n in range(1, 10_000):
        m = n // 2
        if n % 2:
            term = -(a + m) * (a + b + m) * x / ((a + n - 1) * (a + n))
        else:
            term = m * (b - m) * x / ((a + n - 1) * (a + n))
        lower = 1 / (1 + term * lower)
        upper = 1 + term / upper
        fraction *= upper * lower
        if abs(upper * lower - 1) < 1e-15:
            break
    return math.exp(logarithm) / (a * fraction)
