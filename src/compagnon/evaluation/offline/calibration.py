"""Were the actions drawn from the probabilities that were logged? Tests that know the exact law.

If decision i was drawn from its logged vector p_i, then a score s_i(a) that was fixed before the
draw adds up to ``sum_i s_i(a_i)``, whose law is known: a sum of discrete variables. Which score is
chosen decides which fault is seen.
"""

import math
from typing import NamedTuple

import numpy as np

from compagnon.evaluation.offline.logged import Floats, Ints

_SWEEPS = 200


class DrawTest(NamedTuple):
    """A sum of scores beside what the logged probabilities expect.

    Attributes:
        total: ``sum_i s_i(a_i)``.
        expected: ``sum_i sum_a p_i(a) s_i(a)``.
        std: of the total, if the probabilities are true.
        p_value: of both sides: how often a true log is further from `expected`.
    """

    total: float
    expected: float
    std: float
    p_value: float


def draw_test(
    scores: Floats, probabilities: Floats, action: Ints, lattice: float = 0.0
) -> DrawTest:
    """Compare the scores of what was drawn with their law.

    The tails are those of the saddlepoint approximation (Lugannani and Rice 1980, in the form of
    Barndorff-Nielsen 1986): right to a few per cent of themselves, of rare draws too, where a
    normal law is wrong by factors. Rows of one episode are not independent, but their scores are
    martingale differences, of which the same law holds in the limit.

    Args:
        scores: (N, A), fixed before the draw; of no matter where a probability is 0.
        probabilities: (N, A), each row summing to 1.
        action: (N,).
        lattice: the step of scores that lie on one, 1 for counts; the tails are then taken half a
            step further out.
    """
    possible = probabilities > 0.0
    values = np.where(possible, scores, 0.0)
    mean = (probabilities * values).sum(axis=1)
    about = np.where(possible, values - mean[:, None], 0.0)
    std = math.sqrt(float((probabilities * about**2).sum()))
    expected = float(mean.sum())
    total = float(values[np.arange(len(action)), action].sum())
    if std <= 1e-9 * max(1.0, float(np.abs(values).max())):
        return DrawTest(total, expected, 0.0, 1.0 if abs(total - expected) < 1e-6 else 0.0)
    # Rows that leave nothing to chance add nothing but time.
    moving = np.ptp(about, axis=1) > 0.0
    inner, weight = about[moving], probabilities[moving]
    distance = total - expected
    side = math.copysign(1.0, distance)  # the smaller of both tails
    tail = _upper_tail(side * inner, weight, abs(distance) - lattice / 2)
    return DrawTest(total, expected, std, min(1.0, 2 * tail))


def _upper_tail(about: Floats, weight: Floats, distance: float) -> float:
    """P(sum of scores of mean 0 exceeds `distance`)."""
    variance = float((weight * about**2).sum())
    if abs(distance) < 0.05 * math.sqrt(variance):  # where the formula is 0 / 0
        return _normal_tail(distance / math.sqrt(variance))
    most = float(np.where(weight > 0.0, about, -np.inf).max(axis=1).sum())
    least = float(np.where(weight > 0.0, about, np.inf).min(axis=1).sum())
    if distance >= most - 1e-9 * abs(most):
        return math.exp(_log_mass_at_top(about, weight))
    if distance <= least + 1e-9 * abs(least):
        return 1.0
    tilt = _tilt(about, weight, distance, math.sqrt(variance))
    cumulant, _, curvature = _cumulants(about, weight, tilt)
    root = math.copysign(math.sqrt(max(2 * (tilt * distance - cumulant), 0.0)), tilt)
    other = tilt * math.sqrt(curvature)
    if root == 0.0 or other / root <= 0.0:
        return _normal_tail(distance / math.sqrt(variance))
    return _normal_tail(root + math.log(other / root) / root)


def _log_mass_at_top(about: Floats, weight: Floats) -> float:
    """Log probability that every row draws its greatest score."""
    top = np.where(weight > 0.0, about, -np.inf).max(axis=1, keepdims=True)
    at_top = np.where(about >= top - 1e-12, weight, 0.0).sum(axis=1)
    return float(np.log(at_top).sum())


def _tilt(about: Floats, weight: Floats, distance: float, std: float) -> float:
    """The saddlepoint: where the tilted law has `distance` as its mean. Bracketed, then Newton."""
    sign = math.copysign(1.0, distance)
    near, far = 0.0, sign / std
    for _ in range(_SWEEPS):
        if sign * (_cumulants(about, weight, far)[1] - distance) >= 0.0:
            break
        near, far = far, 2 * far
    tilt = (near + far) / 2
    for _ in range(_SWEEPS):
        _, slope, curvature = _cumulants(about, weight, tilt)
        if abs(slope - distance) <= 1e-9 * std:
            break
        if sign * (slope - distance) < 0.0:
            near = tilt
        else:
            far = tilt
        step = tilt - (slope - distance) / curvature if curvature > 0.0 else near
        inside = min(near, far) < step < max(near, far)
        tilt = step if inside else (near + far) / 2
    return tilt


def _cumulants(about: Floats, weight: Floats, tilt: float) -> tuple[float, float, float]:
    """The cumulant generating function of the sum at `tilt`, and its first two derivatives."""
    exponent = np.where(weight > 0.0, tilt * about, -np.inf)
    top = exponent.max(axis=1, keepdims=True)
    mass = weight * np.exp(exponent - top)
    total = mass.sum(axis=1)
    mean = (mass * about).sum(axis=1) / total
    second = (mass * about**2).sum(axis=1) / total
    value = float((np.log(total) + top[:, 0]).sum())
    return value, float(mean.sum()), float((second - mean**2).sum())


def _normal_tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2.0))
