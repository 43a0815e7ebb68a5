"""Intervals of means and paired differences that hold 95 times in 100, of a dozen episodes too."""

import math
import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FEWEST: Final = 8  # episodes, for a bootstrap
_LEAST_SPREAD: Final = 0.03  # of the variance; of resamples that count, at least
_RESAMPLES: Final = 10_000
_CHUNK: Final = 1_000


@dataclass(frozen=True)
class Estimate:
    """A mean over episodes and the interval that holds it 95 times in 100.

    The interval of a single episode is unknown: both ends are NaN.
    """

    mean: float
    ci95: tuple[float, float]

    @property
    def rises(self) -> bool:
        """The whole interval is above 0."""
        return self.ci95[0] > 0

    @property
    def falls(self) -> bool:
        """The whole interval is below 0."""
        return self.ci95[1] < 0

    def as_json(self) -> dict[str, object]:
        """``{"mean", "ci95"}``, with null for what is unknown."""
        return {"mean": finite_or_none(self.mean), "ci95": interval_json(self.ci95)}


def mean_interval(
    values: NDArray[np.float64], level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """The interval that holds the mean, wide enough for a dozen episodes; see `mean_intervals`.

    Args:
        values: (E,) one figure an episode; for a paired difference, the differences.
        seed: of the resampling, so that the same figures give the same interval.
    """
    low, high = mean_intervals(values[:, None], level, seed)[0]
    return float(low), float(high)


def mean_intervals(
    values: NDArray[np.float64], level: float = 0.95, seed: int = 0
) -> NDArray[np.float64]:
    """The intervals of many figures on the same resampled episodes.

    Each end is the further one of two: Student's, which is right for figures that lie evenly
    around their mean and for those with far outliers, and that of the studentised bootstrap
    (Efron and Tibshirani 1993, section 12.5), which is right for figures that lean to one side.
    Which of them an episode's figures are, a dozen of them cannot tell. Below `FEWEST` episodes
    the bootstrap has too few different resamples, and Student's stands alone.

    Args:
        values: (E, K) one row an episode.

    Returns:
        (K, 2) low and high of each figure's mean; NaN where there is one episode or none.
    """
    episodes, figures = values.shape
    if episodes < 2:
        return np.full((figures, 2), np.nan)
    # Taken about the first episode, equal figures give an interval of no width at all.
    about = values - values[0]
    shift = about.mean(axis=0)
    means = values[0] + shift
    about = about - shift
    error = about.std(axis=0, ddof=1) / math.sqrt(episodes)
    half = student_quantile(level, episodes - 1)
    below = np.full(figures, half)
    above = below.copy()
    if episodes >= FEWEST:
        low, high = _resampled_t(about, level, seed)
        below, above = np.fmax(below, high), np.fmax(above, -low)
    return np.stack([means - below * error, means + above * error], axis=1)


def _resampled_t(
    about: NDArray[np.float64], level: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quantiles of Student's t among resampled episodes, of figures (E, K) whose mean is 0.

    A resample in which nearly all figures are equal has no t that means anything, and does not
    count: with figures that are mostly 0 a few such would make the interval a hundred times wider.
    """
    episodes = len(about)
    rng = np.random.default_rng(seed)
    first = episodes * np.arange(_CHUNK)[:, None]
    squares = about**2
    least = _LEAST_SPREAD * squares.mean(axis=0)
    found = []
    for _ in range(_RESAMPLES // _CHUNK):
        # Counting how often each episode was drawn turns the means into one matrix product.
        drawn = first + rng.integers(episodes, size=(_CHUNK, episodes))
        counts = np.bincount(drawn.ravel(), minlength=_CHUNK * episodes)
        counts = counts.reshape(_CHUNK, episodes)
        mean = counts @ about / episodes
        variance = counts @ squares / episodes - mean**2
        variance = np.where(variance > least, variance, np.nan)
        found.append(mean * np.sqrt((episodes - 1) / variance))
    tails = [(1 - level) / 2, (1 + level) / 2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a figure that is the same in all episodes
        low, high = np.nanquantile(np.concatenate(found), tails, axis=0)
    return low, high


def student_quantile(level: float, freedom: int) -> float:
    """t such that Student's variable is within -t and t so often: a bisection over its angle."""
    low, high = 0.0, math.pi / 2
    for _ in range(100):
        middle = (low + high) / 2
        if _student_within(middle, freedom) < level:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan(low)


def _student_within(angle: float, freedom: int) -> float:
    """P(|T| < sqrt(freedom) tan(angle)) (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(2 + odd, freedom + 1, 2):
        total += term
        term *= cosine**2 * (k - 1) / k
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def estimate(values: NDArray[np.float64]) -> Estimate:
    """Mean and interval of one figure an episode, (E,); NaN of nothing."""
    mean = float(values.mean()) if len(values) else float("nan")
    return Estimate(mean, mean_interval(values))


def estimate_each(columns: dict[str, NDArray[np.float64]]) -> dict[str, Estimate]:
    """`estimate` of each named (E,) column, on the same resampled episodes."""
    if not columns:
        return {}
    values = np.stack(list(columns.values()), axis=1)
    means = values.mean(axis=0)
    return {
        name: Estimate(float(mean), (float(low), float(high)))
        for name, mean, (low, high) in zip(columns, means, mean_intervals(values), strict=True)
    }


def finite_or_none(value: float) -> float | None:
    """JSON has no NaN: what is unknown is null."""
    return float(value) if np.isfinite(value) else None


def interval_json(interval: tuple[float, float]) -> list[float | None]:
    """An interval as JSON; that of one episode is ``[null, null]``."""
    return [finite_or_none(end) for end in interval]
