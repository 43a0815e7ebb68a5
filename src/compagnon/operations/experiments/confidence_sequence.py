"""Intervals that hold at every look at once: what guards and rolls back may look at any time.

The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2021, arXiv
2103.06476): after t observations with deviation s the mean lies within m(t) s / sqrt(t), for all t
together as often as it says. The price is width: about 3 standard errors where one look has 1.96.
"""

import math

from compagnon.errors import InputError


def multiplier(observations: float, alpha: float, best_at: float) -> float:
    """m(t), in standard errors, so that the mean lies within at all times; two-sided.

    Their equation 7 without the deviation: sqrt((t r^2 + 1) / (t r^2) log((t r^2 + 1) / alpha^2)).

    Args:
        observations: t, units of both arms or pairs of units, since the beginning.
        alpha: how often the sequence ever misses the mean.
        best_at: the t at which it is made narrowest; must be chosen before the data.

    Raises:
        InputError: numbers that are not positive, or alpha that is no probability.
    """
    _check(observations, alpha, best_at)
    v = observations * _tuned(alpha) / best_at
    return math.sqrt((v + 1) / v * (math.log(v + 1) - 2 * math.log(alpha)))


def one_sided_multiplier(observations: float, alpha: float, best_at: float) -> float:
    """As `multiplier`, for one end alone: the mean is ever beyond that end with `alpha` at most.

    From the mixture over one half of the line: sqrt(2 (v + 1) / v log(1 + sqrt(v + 1) / (2 alpha)))
    with v = t r^2 (their appendix on one-sided sequences).

    Raises:
        InputError: as `multiplier`.
    """
    _check(observations, alpha, best_at)
    v = observations * _tuned(2 * alpha) / best_at
    return math.sqrt(2 * (v + 1) / v * math.log1p(math.sqrt(v + 1) / (2 * alpha)))


def _tuned(alpha: float) -> float:
    """t r^2 at the t where the sequence is narrowest, nearly (their appendix on tuning)."""
    a = -2 * math.log(min(alpha, 0.5))
    return a + math.log(a + 1)


def _check(observations: float, alpha: float, best_at: float) -> None:
    if not 0 < alpha < 1:
        raise InputError(f"alpha {alpha:g}: give a probability such as 0.05")
    if not (observations > 0 and best_at > 0):
        raise InputError(
            f"observations {observations:g}, best_at {best_at:g}: both should be above 0"
        )
