"""Intervals for means and paired differences, by bootstrap over episodes."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 10_000
_CHUNK = 1_000


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


def bootstrap_interval(
    values: NDArray[np.float64], seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean (Efron and Tibshirani 1993, chapter 13).

    Args:
        values: (E,) one figure an episode; for a paired difference, the differences.
        seed: of the resampling, so that the same figures give the same interval.
    """
    low, high = bootstrap_intervals(values[:, None], seed, level)[0]
    return float(low), float(high)


def bootstrap_intervals(
    values: NDArray[np.float64], seed: int = 0, level: float = 0.95
) -> NDArray[np.float64]:
    """The intervals of many figures on the same resampled episodes.

    Args:
        values: (E, K) one row an episode.

    Returns:
        (K, 2) low and high of each figure's mean; NaN where there is one episode or none.
    """
    episodes, figures = values.shape
    if episodes < 2:
        return np.full((figures, 2), np.nan)
    rng = np.random.default_rng(seed)
    first = episodes * np.arange(_CHUNK)[:, None]
    # Counting how often each episode was drawn turns the means into one matrix product. Taken
    # about the first episode, equal figures give an interval of no width at all.
    about = values[0]
    means = []
    for _ in range(_RESAMPLES // _CHUNK):
        drawn = first + rng.integers(episodes, size=(_CHUNK, episodes))
        counts = np.bincount(drawn.ravel(), minlength=_CHUNK * episodes)
        means.append(counts.reshape(_CHUNK, episodes) @ (values - about) / episodes + about)
    tails = [(1 - level) / 2, (1 + level) / 2]
    return np.asarray(np.quantile(np.concatenate(means), tails, axis=0)).T


def student_interval(values: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Student's interval of the mean, for a handful of values, where a bootstrap is too narrow.

    Args:
        values: (E,) of which the mean is taken; NaN at both ends where there are fewer than two.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    half = _student_quantile(level, len(values) - 1) * error
    return mean - half, mean + half


def _student_quantile(level: float, freedom: int) -> float:
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
    return Estimate(mean, bootstrap_interval(values))


def estimate_each(columns: dict[str, NDArray[np.float64]]) -> dict[str, Estimate]:
    """`estimate` of each named (E,) column, on the same resampled episodes."""
    if not columns:
        return {}
    values = np.stack(list(columns.values()), axis=1)
    means = values.mean(axis=0)
    return {
        name: Estimate(float(mean), (float(low), float(high)))
        for name, mean, (low, high) in zip(columns, means, bootstrap_intervals(values), strict=True)
    }


def finite_or_none(value: float) -> float | None:
    """JSON has no NaN: what is unknown is null."""
    return float(value) if np.isfinite(value) else None


def interval_json(interval: tuple[float, float]) -> list[float | None]:
    """An interval as JSON; that of one episode is ``[null, null]``."""
    return [finite_or_none(end) for end in interval]
