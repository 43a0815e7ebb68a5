"""Intervals of off-policy estimates: studentised bootstrap over units, empirical Bernstein."""

import math
from typing import Final

import numpy as np

from compagnon.errors import InputError
from compagnon.evaluation.offline.logged import Floats
from compagnon.evaluation.offline.ratios import Ratios
from compagnon.evaluation.statistics import FEWEST, student_quantile

RESAMPLES: Final = 2_000
MOST_GROUPS: Final = 1_000  # of units, in a resample
_CHUNK: Final = 250
_LEAST_ERROR: Final = 0.15  # of the standard error, in a resample that counts


def studentised_bootstrap(
    ratios: Ratios, level: float = 0.95, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """The interval of an estimate by resampling whole units (Efron and Tibshirani 1993, 12.5).

    Each resample gives an estimate and, by linearisation, its own standard error; the quantiles of
    ``t* = (estimate* - estimate) / error*`` take the place of Student's. As in
    `evaluation.statistics`, each end is the further one of this and Student's interval.

    Resamples of nearly no spread have no t that means anything, and do not count. Below `FEWEST`
    units Student's quantiles stand alone. More than `MOST_GROUPS` units are first put together at
    random into so many groups: their sums are as independent, and what matters to the interval
    (variance, and skewness over the root of the number) stays the same.

    Args:
        seed: of the resampling and of the groups.

    Returns:
        Low and high; NaN of a single unit.
    """
    if ratios.units < 2:
        return math.nan, math.nan
    whole, own_error = ratios.values(np.ones((1, ratios.units)))
    value, error = float(whole[0]), float(own_error[0])
    if error <= 1e-12 * abs(value):
        return value, value
    below = above = student_quantile(level, ratios.units - 1)
    if ratios.units >= FEWEST:
        low, high = _resampled_t(ratios, level, np.random.default_rng(seed), resamples)
        below, above = max(below, high), max(above, -low)
    return value - below * error, value + above * error


def empirical_bernstein(
    values: Floats, low: float, high: float, level: float = 0.95
) -> tuple[float, float]:
    """An interval of a mean that holds for any n, and any law within the bounds.

    Maurer and Pontil (2009), theorem 11: of n independent values in [0, 1], with sample variance V,
    the mean is within ``sqrt(2 V log(2 / d) / n) + 7 log(2 / d) / (3 (n - 1))`` below the truth
    with probability 1 - d. Both sides share what may fail, so ``d = (1 - level) / 2``.

    Args:
        values: (U,) one figure a unit: a sum over it, for instance.
        low: of what a unit's figure can be, whatever happens: not the least that was seen.
        high: likewise.

    Returns:
        Low and high, kept within the bounds.

    Raises:
        InputError: fewer than two units, or a figure outside the bounds.
    """
    count = len(values)
    if count < 2:
        raise InputError(f"values: {count} of them; an interval needs two units at least")
    slack = 1e-9 * (high - low)
    if not low < high or values.min() < low - slack or values.max() > high + slack:
        raise InputError(
            f"values: from {values.min():g} to {values.max():g}, outside the bounds {low:g} to "
            f"{high:g}; give bounds that no unit can leave"
        )
    width = high - low
    logarithm = math.log(4.0 / (1.0 - level))
    variance = float(values.var(ddof=1)) / width**2
    half = math.sqrt(2 * variance * logarithm / count) + 7 * logarithm / (3 * (count - 1))
    mean = float(values.mean())
    return max(mean - half * width, low), min(mean + half * width, high)


def _counts(rng: np.random.Generator, resamples: int, units: int) -> Floats:
    """How often each unit was drawn, (resamples, units)."""
    drawn = rng.integers(units, size=(resamples, units))
    drawn += units * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * units)
    return counts.reshape(resamples, units).astype(np.float64)


def _resampled_t(
    ratios: Ratios, level: float, rng: np.random.Generator, resamples: int
) -> tuple[float, float]:
    """Quantiles of t among resampled units; 0 where too few resamples tell."""
    if ratios.units > MOST_GROUPS:
        ratios = ratios.grouped(rng.permutation(ratios.units) % MOST_GROUPS)
    whole, own_error = ratios.values(np.ones((1, ratios.units)))
    found = []
    for start in range(0, resamples, _CHUNK):
        counts = _counts(rng, min(_CHUNK, resamples - start), ratios.units)
        estimates, errors = ratios.values(counts)
        good = errors > _LEAST_ERROR * own_error
        found.append((estimates[good] - whole) / errors[good])
    t = np.concatenate(found)
    if len(t) < resamples // 2:
        return 0.0, 0.0
    low, high = np.quantile(t, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
