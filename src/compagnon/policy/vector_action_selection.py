"""How a policy of vectors is played: its own best vector, or a draw, exploring only close to it.

Greedy play takes the vector that the policy itself plays when nothing is left to chance; sampled
play draws each component from the policy's normal distribution, clipped to the bounds. With
probability `explore` greedy play draws from normal distributions around its own vector instead:
with the policy's own deviations where it has some, else with `near` times half the range of a
component.

The density of what was drawn is exact, and taken as in `vector_drawing`: a component that is
on a bound, or is exactly what greedy play takes, counts with its probability, any other with its
density a unit.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.action_selection import (
    DETERMINISTIC,
    EXPLORED,
    GREEDY,
    SAMPLED,
    Mode,
    Play,
    number,
)
from compagnon.policy.sampling import uniform
from compagnon.policy.schema import ActionSchema
from compagnon.policy.vector_sampling import NEVER, Bounds, log_normal, log_sum, normal, settled


class VectorsSaid(NamedTuple):
    """What a policy of vectors says of N observations, in the units of the action.

    Attributes:
        action: (N, D) float32, its own best vector, within the bounds.
        mean, std: (N, D) float64, of the normal distributions that sampled play draws from, before
            bounds; of a deterministic policy `action` and 0.
    """

    action: NDArray[np.float32]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]


def said_surely(action: NDArray[np.float32]) -> VectorsSaid:
    """What a policy says that leaves nothing to chance; `action` (N, D)."""
    wide = action.astype(np.float64)
    return VectorsSaid(action, wide, np.zeros_like(wide))


def said_by_normals(
    schema: ActionSchema,
    action: NDArray[np.float32],
    units: NDArray[np.float32],
    std: NDArray[np.float32],
) -> VectorsSaid:
    """What a Gaussian policy says.

    Args:
        action: (N, D), its greedy choice.
        units, std: (N, D), means and deviations in units of half the range.
    """
    middle, half = (part.astype(np.float64) for part in schema.middle_and_half())
    return VectorsSaid(action, middle + half * units.astype(np.float64), half * std)


class PlayedVector(NamedTuple):
    """One decision.

    Attributes:
        action: (D,) float32, within the bounds.
        log_density: of `action`, under what it was drawn from.
        mode, rate: see `play.Played`.
        mean, std: (D,) float64, of what the policy played from: its own vector and the deviations
            around it where it plays greedily.
    """

    action: NDArray[np.float32]
    log_density: float
    mode: Mode
    rate: float
    mean: NDArray[np.float64]
    std: NDArray[np.float64]


def played_vector(
    said: VectorsSaid, row: int, bounds: Bounds, play: Play, seed: int, rate: float
) -> PlayedVector:
    """Decide once, about row `row` of what a policy said.

    Numbers 2k + 1 and 2k + 2 of the seed draw component k, by Box and Muller (1958); number 0
    says whether this decision explores.

    Args:
        rate: the share of exploration that applies to this decision.

    Raises:
        InputError: numbers that are not finite, or nothing that says how far to explore.
    """
    if not 0.0 <= rate <= 1.0:
        raise InputError(f"explore={rate}: give a number from 0 to 1")
    mean = said.action[row].astype(np.float64) if play.name == GREEDY else said.mean[row]
    std = said.std[row]
    means, own = settled(mean, std, bounds)
    if play.name != GREEDY:
        action = _drawn(means, own, None, bounds, seed)
        sure = not any(own)
        mode: Mode = DETERMINISTIC if sure else SAMPLED
        return PlayedVector(
            np.array(action, np.float32), _log_density(action, means, own, None, bounds),
            mode, 0.0, mean, std,
        )  # fmt: skip
    greedy = [bounds.clipped(k, m) for k, m in enumerate(means)]
    around = _around(means, own, bounds, play.near) if rate else []
    if not any(around):
        return PlayedVector(np.array(greedy, np.float32), 0.0, DETERMINISTIC, 0.0, mean, std)
    explores = uniform(seed) < rate
    action = _drawn(means, around, greedy, bounds, seed) if explores else greedy
    parts = [math.log(rate) + _log_density(action, means, around, greedy, bounds)]
    if action == greedy:
        parts.append(math.log1p(-rate) if rate < 1.0 else NEVER)
    return PlayedVector(
        np.array(action, np.float32), log_sum(parts), EXPLORED if explores else SAMPLED, rate,
        mean, std,
    )  # fmt: skip


def _around(
    means: list[float], own: list[float], bounds: Bounds, near: float | None
) -> list[float]:
    """How far each component explores; 0 for one that cannot move."""
    if near is None:
        return own
    spread = [near * width / 2.0 for width in bounds.widths]
    if not all(map(math.isfinite, spread)):
        raise InputError(f"component {bounds.open} has no bounds to explore in; do without")
    return settled(means, spread, bounds)[1]


def _drawn(
    means: list[float],
    stds: list[float],
    greedy: list[float] | None,
    bounds: Bounds,
    seed: int,
) -> list[float]:
    action = []
    for k, (m, s) in enumerate(zip(means, stds, strict=True)):
        value = bounds.clipped(k, m + s * normal(number(seed, 2 * k + 1), number(seed, 2 * k + 2)))
        if (
            greedy is not None
            and s
            and value == greedy[k]
            and bounds.low[k] < value < bounds.high[k]
        ):
            value = bounds.beside(k, value)  # one point has no probability here, so none is taken
        action.append(value)
    return action


def _log_density(
    action: list[float],
    means: list[float],
    stds: list[float],
    greedy: list[float] | None,
    bounds: Bounds,
) -> float:
    """Of clipped normal draws; `greedy` holds points that count by their probability."""
    total = 0.0
    for k, (a, m, s) in enumerate(zip(action, means, stds, strict=True)):
        if not bounds.widths[k]:
            continue
        if not s:
            total += 0.0 if a == bounds.clipped(k, m) else NEVER
        elif greedy is not None and a == greedy[k] and bounds.low[k] < a < bounds.high[k]:
            return NEVER  # a single point inside has no probability under a normal draw
        else:
            total += log_normal(a, m, s, bounds.low[k], bounds.high[k])
    return total
