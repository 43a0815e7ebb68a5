"""How a vector is drawn, and the exact density of what was drawn.

A policy of vectors gives each component a normal distribution, clipped to its bounds; one whose
deviation is 0, or below float32's step at the mean, is sure. What the service plays of it stands in
`vector_play`. `draw_vector` is how it played before: with probability epsilon the whole vector was
drawn uniformly within the bounds. Logs of that time are replayed with it.

Clipping piles probability up on the bounds, and a sure policy piles all of it up on its own
action. So the density is taken with respect to lengths inside the bounds and to points there: a
component that is exactly on a bound, or exactly what a sure policy plays, counts with its
probability, any other with its density a unit. Ratios of two such densities are what importance
weights need. It is a function of the vector alone, so another policy can be asked about it.

Everything is computed one component after the other, in float64, with the C library's `log`,
`exp`, `cos` and `erfc`: on one machine the same to the last bit, in a batch or alone.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compagnon.errors import InputError
from compagnon.policy.sampling import uniform

_STEP: Final = 0x9E3779B97F4A7C15  # SplitMix64's own, from one number to the next
_MASK64: Final = 2**64 - 1
_TINY: Final = 2.0**-54  # makes a number in (0, 1) of one in [0, 1)
_LOG_ROOT: Final = 0.5 * math.log(2.0 * math.pi)
NEVER: Final = -math.inf  # the logarithm of no density
_LARGEST: Final = 3e38  # below float32's own largest


class Bounds:
    """The bounds of a vector's components, (D,), as float32 holds them.

    Args:
        low, high: infinite where there is none.
    """

    def __init__(self, low: ArrayLike, high: ArrayLike) -> None:
        low32, high32 = np.asarray(low, np.float32), np.asarray(high, np.float32)
        self.low: list[float] = low32.astype(np.float64).tolist()
        self.high: list[float] = high32.astype(np.float64).tolist()
        up, down = np.float32(np.inf), np.float32(-np.inf)
        # The outermost numbers strictly inside; what is drawn inside never lands on a bound.
        self._first: list[float] = np.nextafter(low32, up).astype(np.float64).tolist()
        self._last: list[float] = np.nextafter(high32, down).astype(np.float64).tolist()
        self.widths = [high - low for low, high in zip(self.low, self.high, strict=True)]
        # Of the uniform part; components that cannot move have no width to divide by.
        self.log_volume = sum(math.log(width) for width in self.widths if width > 0)

    @property
    def open(self) -> int | None:
        """The first component without both bounds; None when all have them."""
        return next((k for k, width in enumerate(self.widths) if math.isinf(width)), None)

    def clipped(self, k: int, value: float) -> float:
        """What component `k` plays for a value: a bound, or a float32 strictly inside."""
        if value <= self.low[k]:
            return self.low[k]
        if value >= self.high[k]:
            return self.high[k]
        return self.inside(k, value)

    def inside(self, k: int, value: float) -> float:
        """The nearest float32 that is strictly inside; a component without width has one value."""
        if not self.widths[k]:
            return self.low[k]
        first, last = self._first[k], self._last[k]
        return min(max(float(np.float32(min(max(value, first), last))), first), last)

    def beside(self, k: int, value: float) -> float:
        """The float32 next to a value, if that is strictly inside; else the value itself."""
        up = float(np.nextafter(np.float32(value), np.float32(np.inf)))
        if up <= self._last[k]:
            return up
        down = float(np.nextafter(np.float32(value), np.float32(-np.inf)))
        return down if down >= self._first[k] else value


class Drawn(NamedTuple):
    """A vector that was drawn.

    Attributes:
        action: (D,) float32, within the bounds.
        log_density: of `action`, under the mixture.
    """

    action: NDArray[np.float32]
    log_density: float


def draw_vector(
    mean: ArrayLike, std: ArrayLike, bounds: Bounds, epsilon: float, seed: int
) -> Drawn:
    """The vector that a seed gives.

    The first number of the seed says whether this decision explores, two more a component say
    where: a normal draw by Box and Muller (1958), or one of them a uniform draw.

    Args:
        mean, std: (D,), in the units of the bounds; a deviation is at least 0.
        epsilon: from 0 to 1; above 0 every component needs both bounds.
        seed: from `drawing.decision_seed`.

    Raises:
        InputError: numbers that are not finite, or an epsilon that cannot be.
    """
    means, stds = _checked(mean, std, bounds, epsilon)
    explores = uniform(seed) < epsilon
    action = []
    for k, (m, s) in enumerate(zip(means, stds, strict=True)):
        first = uniform((seed + (2 * k + 1) * _STEP) & _MASK64)
        second = uniform((seed + (2 * k + 2) * _STEP) & _MASK64)
        if explores:
            action.append(bounds.inside(k, bounds.low[k] + bounds.widths[k] * first))
        else:
            action.append(bounds.clipped(k, m + s * normal(first, second)))
    density = _log_density(action, means, stds, bounds, epsilon)
    return Drawn(np.array(action, np.float32), density)


def log_density(
    action: ArrayLike, mean: ArrayLike, std: ArrayLike, bounds: Bounds, epsilon: float
) -> float:
    """The log density of any vector (D,) under the mixture; -inf for what is never played."""
    means, stds = _checked(mean, std, bounds, epsilon)
    given = np.asarray(action, np.float32).astype(np.float64).tolist()
    return _log_density(given, means, stds, bounds, epsilon)


def _checked(
    mean: ArrayLike, std: ArrayLike, bounds: Bounds, epsilon: float
) -> tuple[list[float], list[float]]:
    if not 0.0 <= epsilon <= 1.0:
        raise InputError(f"epsilon={epsilon}: give a number from 0 to 1")
    if epsilon and bounds.open is not None:
        raise InputError(
            f"epsilon={epsilon}: component {bounds.open} has no bounds to explore in; use 0"
        )
    return settled(mean, std, bounds)


def settled(mean: ArrayLike, std: ArrayLike, bounds: Bounds) -> tuple[list[float], list[float]]:
    """Means and deviations as they are drawn from: a deviation that float32 cannot show is 0.

    Raises:
        InputError: numbers that are not finite, or too few or many.
    """
    means: list[float] = np.asarray(mean, np.float64).tolist()
    stds: list[float] = np.asarray(std, np.float64).tolist()
    if len(means) != len(bounds.low) or len(stds) != len(means):
        raise InputError(f"mean and std: give {len(bounds.low)} numbers each")
    if not all(map(math.isfinite, means)) or not all(0.0 <= s < math.inf for s in stds):
        raise InputError("mean and std: they should be finite, and no deviation below 0")
    steps = np.spacing(np.abs(np.clip(means, -_LARGEST, _LARGEST)).astype(np.float32)).tolist()
    return means, [0.0 if s < step else s for s, step in zip(stds, steps, strict=True)]


def _log_density(
    action: list[float], means: list[float], stds: list[float], bounds: Bounds, epsilon: float
) -> float:
    own, inside = 0.0, True
    for k, (a, m, s) in enumerate(zip(action, means, stds, strict=True)):
        if not bounds.widths[k]:
            own, inside = (own, inside) if a == bounds.low[k] else (NEVER, False)
            continue
        on_bound = a <= bounds.low[k] or a >= bounds.high[k]
        is_own = not s and a == bounds.clipped(k, m)
        inside = inside and not on_bound and not is_own
        own += _log_component(a, m, s, bounds, k, is_own)
    parts = []
    if epsilon < 1.0 and own > NEVER:
        parts.append(math.log1p(-epsilon) + own)
    if epsilon > 0.0 and inside:
        parts.append(math.log(epsilon) - bounds.log_volume)
    return log_sum(parts)


def log_sum(parts: list[float]) -> float:
    """The logarithm of a sum of at most two numbers, of whose logarithms `parts` holds some."""
    parts = [part for part in parts if part > NEVER]
    if len(parts) < 2:
        return parts[0] if parts else NEVER
    high, low = max(parts), min(parts)
    return high + math.log1p(math.exp(low - high))


def normal(first: float, second: float) -> float:
    """A normal number of two uniform ones (Box and Muller, 1958)."""
    return math.sqrt(-2.0 * math.log(first + _TINY)) * math.cos(2.0 * math.pi * second)


def _log_component(a: float, m: float, s: float, bounds: Bounds, k: int, is_own: bool) -> float:
    """Of one component of the policy's own draw: a probability on a bound, a density inside."""
    if not s:
        return 0.0 if is_own else NEVER
    return log_normal(a, m, s, bounds.low[k], bounds.high[k])


def log_normal(a: float, m: float, s: float, low: float, high: float) -> float:
    """Of a clipped normal draw: a probability on a bound, a density inside."""
    if a < low or a > high:
        return NEVER
    if a in (low, high):
        beyond = (m - low) / s if a == low else (high - m) / s
        mass = 0.5 * math.erfc(beyond / math.sqrt(2.0))
        return math.log(mass) if mass else NEVER
    z = (a - m) / s
    return -0.5 * z * z - math.log(s) - _LOG_ROOT
