"""Has a field of the observations moved away from the log that a policy was trained on?"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.evaluation.offline.logged import Floats

BINS: Final = 10


class FieldDrift(NamedTuple):
    """How far apart a field's values are in two logs.

    Attributes:
        psi: population stability index, over the reference's tenths.
        ks: the largest distance of the two cumulated shares (Kolmogorov-Smirnov).
    """

    psi: float
    ks: float


def drift_of_fields(obs: NDArray[np.float32], reference: NDArray[np.float32]) -> list[FieldDrift]:
    """Of each field of (N, F) beside (M, F).

    Raises:
        InputError: another number of fields.
    """
    if obs.shape[1:] != reference.shape[1:]:
        raise InputError(f"reference: {reference.shape[1]} fields, but obs has {obs.shape[1]}")
    return [
        FieldDrift(psi(one, other), ks(one, other))
        for one, other in zip(obs.T.astype(float), reference.T.astype(float), strict=True)
    ]


def psi(values: Floats, reference: Floats) -> float:
    """``sum_b (p_b - q_b) log(p_b / q_b)`` over bins with equal shares of the reference.

    A value that many rows share is a bin end, so it may fill a bin alone. Shares have half a row
    added to each bin, so that an empty one gives a finite figure. Below 0.1 is commonly read as no
    drift, above 0.25 as drift (Siddiqi 2006).
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = []
    for rows in (values, reference):
        # Below, at and between the edges: a constant field has a bin of its own.
        place = np.searchsorted(edges, rows, side="left") + np.searchsorted(
            edges, rows, side="right"
        )
        counted = np.bincount(place, minlength=2 * len(edges) + 1) + 0.5
        shares.append(counted / counted.sum())
    filled = (shares[0] > 0.5 / len(values)) | (shares[1] > 0.5 / len(reference))
    one, other = shares[0][filled], shares[1][filled]
    return float(((one - other) * np.log(one / other)).sum())


def ks(values: Floats, reference: Floats) -> float:
    """``max_x |F(x) - G(x)|`` of the two empirical distribution functions."""
    points = np.unique(np.concatenate([values, reference]))
    return float(
        np.abs(
            np.searchsorted(np.sort(values), points, side="right") / len(values)
            - np.searchsorted(np.sort(reference), points, side="right") / len(reference)
        ).max()
    )


def ks_threshold(units: int, reference_units: int, alarm: float) -> float:
    """The distance that true copies pass with probability `alarm` at most, about (Smirnov 1948).

    It counts units, as if all rows of one were the same: rows of a unit are not independent.
    """
    return math.sqrt(-math.log(alarm / 2) / 2 * (1 / units + 1 / reference_units))
