"""The difference of two arms, from one figure a unit: its error, its interval and its p-value.

A unit is what was randomised, so it is the only thing that counts as an observation. Ten decisions
of one customer are one customer, and a morning of a zone is one morning.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.operations.experiments.student import (
    normal_two_sided,
    student_equivalent,
    student_two_sided,
)

FEW: Final = 12  # units of the smaller arm, or pairs; with fewer, no law of their mean is assumed
_EXACT: Final = 20_000  # permutations that are all gone through; of more, so many are drawn
_CHUNK: Final = 1_000
_UNKNOWN: Final = (-math.inf, math.inf)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Difference:
    """Treated less control, of one figure a unit.

    Attributes:
        control, treated: (N,) and (M,) figures; in pairs, (N,) both, the i-th of each together.
        paired: whether they are.
    """

    control: Floats
    treated: Floats
    paired: bool = False

    def __post_init__(self) -> None:
        if self.paired and len(self.control) != len(self.treated):
            raise InputError("paired figures: both arms should have as many")
        if not (np.isfinite(self.control).all() and np.isfinite(self.treated).all()):
            raise InputError("figures of units: all should be finite; leave out what is unknown")

    @property
    def units(self) -> tuple[int, int]:
        """How many of the control and of the treated arm."""
        return len(self.control), len(self.treated)

    @property
    def observations(self) -> int:
        """Pairs, or units of both arms: the clock of a confidence sequence."""
        return len(self.control) if self.paired else sum(self.units)

    @property
    def known(self) -> bool:
        """There are two units of each arm, so there is a difference and an error."""
        return min(self.units) >= 2

    @cached_property
    def mean(self) -> float:
        """Of treated less that of control; NaN where an arm has no unit."""
        if not min(self.units):
            return math.nan
        return float(self.treated.mean() - self.control.mean())

    @cached_property
    def error(self) -> float:
        """Standard error of the mean: of the pairs' differences, or Welch's."""
        if not self.known:
            return math.nan
        return math.sqrt(sum(self._squared_errors))

    @property
    def freedom(self) -> float:
        """Degrees of freedom: pairs less 1, or those of Welch (1947) and Satterthwaite."""
        if self.paired:
            return len(self.control) - 1.0
        parts = self._squared_errors
        weights = sum(
            part**2 / (size - 1)
            for part, size in zip(parts, (len(self.control), len(self.treated)), strict=True)
        )
        return sum(parts) ** 2 / weights if weights else math.inf

    @property
    def cautious_error(self) -> float:
        """The larger one of Welch's error and of that with one deviation for both arms.

        A small arm that has seen no rare event yet seems to have no spread, and looked at all the
        time it would be believed. In arms of one size, and in pairs, both errors are the same.
        """
        if self.paired or not self.known:
            return self.error
        sizes = self.units
        spread = sum(
            (size - 1) * _variance(one)
            for size, one in zip(sizes, (self.control, self.treated), strict=True)
        ) / (sum(sizes) - 2)
        return max(self.error, math.sqrt(spread * (1 / sizes[0] + 1 / sizes[1])))

    def interval(self, z: float = 1.959964, cautious: bool = False) -> tuple[float, float]:
        """The interval that misses the true difference as often as a normal variable exceeds z.

        Student's, with as many standard errors as `student_equivalent` says. With fewer than `FEW`
        units in an arm, or pairs, it is that of the permutation test.

        Args:
            cautious: count with `cautious_error`, for what is looked at all the time.

        Returns:
            low and high; infinite where nothing can be said, as of units that are all equal.
        """
        if not self.known or self.error == 0:
            return _UNKNOWN
        if self.few:
            return permutation_interval(self, normal_two_sided(z))
        error = self.cautious_error if cautious else self.error
        half = student_equivalent(z, self.freedom) * error
        return self.mean - half, self.mean + half

    def p_value(self) -> float:
        """Of no difference, two-sided; 1 where nothing can be said."""
        if not self.known or self.error == 0:
            return 1.0
        if self.few:
            return permutation_p_value(self)
        return student_two_sided(abs(self.mean) / self.error, self.freedom)

    def relative(self, z: float = 1.959964) -> tuple[float, float, float] | None:
        """The difference as a share of the control's mean, with the interval of Fieller (1954).

        It counts that the control's mean is itself uncertain, and lies on the same side of 0 as
        `interval`: r is inside where treated less (1 + r) control may have mean 0.

        Returns:
            share, low, high; None where the control's mean may be 0, or with few units.
        """
        if not self.known or self.few or self.error == 0:
            return None
        t = student_equivalent(z, self.freedom)
        a, b = float(self.treated.mean()), float(self.control.mean())
        va, vb = (_variance(one) / len(one) for one in (self.treated, self.control))
        vab = _covariance(self.treated, self.control) / len(self.control) if self.paired else 0.0
        # Of the quadratic in the ratio: q ratio^2 - 2 p ratio + r <= 0.
        q, p, r = b * b - t * t * vb, a * b - t * t * vab, a * a - t * t * va
        if q <= 0:
            return None
        half = math.sqrt(max(0.0, p * p - q * r)) / q
        ends = (p / q - half - 1, p / q + half - 1)
        share = a / b - 1
        # Of a negative mean, more is a smaller ratio; a share is of its size.
        return (share, *ends) if b > 0 else (-share, -ends[1], -ends[0])

    @property
    def few(self) -> bool:
        """So few units that the permutation test speaks."""
        return min(self.units) < FEW

    @cached_property
    def _squared_errors(self) -> list[float]:
        if self.paired:
            return [_variance(self.treated - self.control) / len(self.control)]
        return [_variance(one) / len(one) for one in (self.control, self.treated)]


def permutation_interval(
    difference: Difference, alpha: float, seed: int = 0
) -> tuple[float, float]:
    """The shifts that the permutation test does not reject, with alpha / 2 on each side.

    No search is needed. In pairs, the test rejects a shift by how many subsets of the pairs have a
    mean difference below it (the typical values of Hartigan 1969); between two arms, by how many
    exchanges of m units have mean treated less mean control below it.

    Args:
        alpha: how often it misses the true shift, at most.
        seed: of the permutations, where there are too many to go through.

    Returns:
        low and high; infinite where there are too few units to reject anything.
    """
    if alpha / 2 * (_EXACT + 1) < 1:  # no number of permutations here could tell
        return _UNKNOWN
    values = _typical_values(difference, seed)
    rank = math.floor(alpha / 2 * (len(values) + 1) + 1e-9)
    if rank < 1:
        return _UNKNOWN
    values.sort()
    return float(values[rank - 1]), float(values[-rank])


def permutation_p_value(difference: Difference, shift: float = 0.0, seed: int = 0) -> float:
    """Two-sided p-value of the permutation test of a shift; see `permutation_interval`."""
    values = _typical_values(difference, seed)
    scale = 1e-9 * (abs(difference.mean) + abs(shift))  # equal but for rounding
    below = 1 + int((values <= shift + scale).sum())
    above = 1 + int((values >= shift - scale).sum())
    return min(1.0, 2 * min(below, above) / (len(values) + 1))


def _typical_values(difference: Difference, seed: int) -> Floats:
    """One value for each permutation but the one that is there."""
    rng = np.random.default_rng(seed)
    if difference.paired:
        return _subset_means(difference.treated - difference.control, rng)
    return _exchange_means(difference.control, difference.treated, rng)


def _subset_means(figures: Floats, rng: np.random.Generator) -> Floats:
    """Means of the subsets of figures (N,), all or `_EXACT` drawn; none of the empty one."""
    pairs = len(figures)
    if 2**pairs - 1 <= _EXACT:
        chosen = (np.arange(1, 2**pairs)[:, None] >> np.arange(pairs)) & 1
    else:
        chosen = rng.integers(2, size=(_EXACT, pairs))
        chosen = chosen[chosen.any(axis=1)]
    means: Floats = chosen @ figures / chosen.sum(axis=1)
    return means


def _exchange_means(control: Floats, treated: Floats, rng: np.random.Generator) -> Floats:
    """Mean of the treated that leave their arm less that of the controls that take their place."""
    size = len(control) + len(treated)
    figures = np.concatenate([control, treated])
    was = np.arange(size) >= len(control)
    found = []
    if math.comb(size, len(treated)) <= _EXACT:
        places = list(itertools.combinations(range(size), len(treated)))
        now = np.zeros((len(places), size), np.bool_)
        np.put_along_axis(now, np.array(places), True, axis=1)
        found = [_exchanged(figures, was, now)]
    else:
        for _ in range(_EXACT // _CHUNK):
            now = rng.permuted(np.tile(was, (_CHUNK, 1)), axis=1)
            found.append(_exchanged(figures, was, now))
    return np.concatenate(found)


def _exchanged(figures: Floats, was: NDArray[np.bool_], now: NDArray[np.bool_]) -> Floats:
    left, came = was & ~now, now & ~was
    moved = left.sum(axis=1)
    left, came, moved = left[moved > 0], came[moved > 0], moved[moved > 0]
    means: Floats = (left @ figures - came @ figures) / moved
    return means


def _variance(values: Floats) -> float:
    """With n - 1; exactly 0 where all are equal."""
    return float(np.var(values - values[0], ddof=1))


def _covariance(one: Floats, other: Floats) -> float:
    return float(np.cov(one, other, ddof=1)[0, 1])
