"""Where a repeated linear step stands still, without repeating it thousands of times."""

from collections.abc import Callable
from typing import Final

import numpy as np

from compagnon.evaluation.offline.logged import Floats

Step = Callable[[Floats], Floats]
BASIS: Final = 40  # directions before a restart
RESTARTS: Final = 25
TOLERANCE: Final = 1e-9  # of what is left, beside the constant
_WARM_UP: Final = 40  # steps of the power method before its growth is read
_READ: Final = 40


def fixed_point(step: Step, constant: Floats) -> tuple[Floats, bool]:
    """x such that ``x = constant + step(x)``, by restarted GMRES (Saad and Schultz 1986).

    Repeating the step takes as many rounds as an episode has decisions, times the digits wanted;
    this takes as many as the step has ways to go.

    Args:
        step: linear, (D,) to (D,).
        constant: (D,).

    Returns:
        x, and whether it is one, to `TOLERANCE`.
    """
    found = constant.copy()
    wanted = TOLERANCE * max(float(np.linalg.norm(constant)), 1e-300)
    for _ in range(RESTARTS):
        rest = constant + step(found) - found
        size = float(np.linalg.norm(rest))
        if not np.isfinite(size):
            return found, False
        if size <= wanted:
            return found, True
        found = found + _correction(step, rest, size, wanted)
    return found, float(np.linalg.norm(constant + step(found) - found)) <= wanted


def growth(step: Step, size: int) -> float:
    """By how much each repetition multiplies what is left: below 1 if repeating comes to an end.

    The power method from a drawn direction; an estimate of the spectral radius.
    """
    vector = np.random.default_rng(0).normal(size=size)
    logarithm = 0.0
    for repetition in range(_WARM_UP + _READ):
        vector = step(vector)
        norm = float(np.linalg.norm(vector))
        if norm == 0.0 or not np.isfinite(norm):
            return norm
        vector = vector / norm
        if repetition >= _WARM_UP:
            logarithm += float(np.log(norm))
    return float(np.exp(logarithm / _READ))


def _correction(step: Step, rest: Floats, size: float, wanted: float) -> Floats:
    """What minimises ``|rest - (x - step(x))|`` among the directions that the step itself gives."""
    basis = [rest / size]
    products = np.zeros((BASIS + 1, BASIS))
    goal = np.zeros(BASIS + 1)
    goal[0] = size
    used = 0
    for column in range(BASIS):
        vector = basis[column] - step(basis[column])
        for _ in range(2):  # once more, for what rounding left
            for row, other in enumerate(basis):
                share = float(other @ vector)
                products[row, column] += share
                vector = vector - share * other
        length = float(np.linalg.norm(vector))
        products[column + 1, column] = length
        used = column + 1
        system = products[: used + 1, :used]
        weights = np.linalg.lstsq(system, goal[: used + 1], rcond=None)[0]
        left = float(np.linalg.norm(goal[: used + 1] - system @ weights))
        if left <= 0.5 * wanted or length <= 1e-14 * size:
            break
        basis.append(vector / length)
    return np.asarray(np.stack(basis[:used], axis=1) @ weights)
