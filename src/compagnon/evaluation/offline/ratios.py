"""Estimators as sums of ratios of unit sums: one form for values, errors, paired differences."""

from dataclasses import dataclass

import numpy as np

from compagnon.evaluation.offline.logged import Floats, Ints


@dataclass(frozen=True, eq=False)
class Ratios:
    """``sum_k coefficient_k * sum_u numerator_uk / sum_u denominator_uk`` over U units.

    A mean has a count as its denominator, a self-normalised estimator a sum of weights, and one
    that is normalised step by step has a column for each step. The difference of two estimates on
    the same log is again such a sum, paired by unit, with the columns of both.

    Attributes:
        numerator: (U, K) sums over each unit.
        denominator: (U, K); a column that sums to 0 counts as 0.
        coefficient: (K,).
    """

    numerator: Floats
    denominator: Floats
    coefficient: Floats

    @property
    def units(self) -> int:
        """U."""
        return len(self.numerator)

    @property
    def value(self) -> float:
        """The estimate."""
        return float(self.values(np.ones((1, self.units)))[0][0])

    def values(self, counts: Floats) -> tuple[Floats, Floats]:
        """The estimate where unit u counts ``counts[b, u]`` times, and its linearisation.

        The standard error is that of the influence function (Huber 1967; for ratios Cochran 1977,
        section 6): of unit u, ``sum_k c_k (numerator_uk - ratio_k denominator_uk) / mean
        denominator_k``.

        Args:
            counts: (B, U).

        Returns:
            (B,) the estimates, and (B,) their standard errors.
        """
        top, below = counts @ self.numerator, counts @ self.denominator
        weighed = below != 0.0
        inverse = np.divide(1.0, below, out=np.zeros_like(below), where=weighed)
        scaled = inverse * self.coefficient
        ratio = top * inverse
        # Of every resample and unit at once; (B, U).
        influence = scaled @ self.numerator.T - (scaled * ratio) @ self.denominator.T
        drawn = counts.sum(axis=1)
        variance = np.einsum("bu,bu,bu->b", counts, influence, influence)
        error = np.sqrt(variance * drawn / np.maximum(drawn - 1.0, 1.0))
        return (top * scaled).sum(axis=1), error

    def minus(self, other: "Ratios") -> "Ratios":
        """The difference from another estimate of the same units, paired by unit."""
        return Ratios(
            np.hstack([self.numerator, other.numerator]),
            np.hstack([self.denominator, other.denominator]),
            np.concatenate([self.coefficient, -other.coefficient]),
        )

    def grouped(self, group: Ints) -> "Ratios":
        """With units put together; `group` (U,) says which into which, from 0."""
        return Ratios(
            by_group(self.numerator, group), by_group(self.denominator, group), self.coefficient
        )


def mean_of(total: Floats, count: Floats) -> Ratios:
    """The mean of what unit u has `count[u]` of, adding up to `total[u]`; both (U,)."""
    return Ratios(total[:, None], count[:, None], np.ones(1))


def by_group(values: Floats, group: Ints) -> Floats:
    """Sums of (N,) or (N, K) values over groups 0 to G - 1: (G,) or (G, K)."""
    groups = int(group.max()) + 1
    if values.ndim == 1:
        return np.asarray(np.bincount(group, weights=values, minlength=groups), np.float64)
    columns = [np.bincount(group, weights=column, minlength=groups) for column in values.T]
    return np.stack(columns, axis=1)
