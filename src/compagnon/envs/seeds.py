"""Which seed each env of a vector environment begins with; the same rule for all of ours."""

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError


def check_seed(seed: int) -> None:
    """Raise InputError unless `seed` fits the kernels' 64 bits."""
    if not 0 <= seed < 2**63:
        raise InputError(f"seed={seed}: give a whole number from 0 to 2^63 - 1")


def spread_seeds(seed: int | list[int | None] | None, num_envs: int) -> list[int | None]:
    """One seed an env: env i gets ``seed + i``, ``seed[i]``, or None for its next episode.

    Raises:
        InputError: a seed out of range, or a list of another length.
    """
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, int | np.integer):
        seeds: list[int | None] = [int(seed) + i for i in range(num_envs)]
    else:
        seeds = [None if value is None else int(value) for value in seed]
    if len(seeds) != num_envs:
        raise InputError(f"seed: {len(seeds)} seeds for {num_envs} environments")
    for value in seeds:
        if value is not None:
            check_seed(value)
    return seeds


def seeds_to_set(
    seeds: list[int | None],
    rows: NDArray[np.bool_],
    seeded: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The seeds that the selected envs begin with, and which envs those are.

    Args:
        seeds: from `spread_seeds`.
        rows: (N,), the envs that begin an episode.
        seeded: (N,), the envs that have had a seed; the others draw one from `rng`.

    Returns:
        Seeds uint64 (N,), and bool (N,): the envs that take theirs.
    """
    values = rng.integers(2**62, size=len(seeds)).astype(np.uint64)
    fresh = rows & ~seeded
    for row, seed in enumerate(seeds):
        if seed is not None and rows[row]:
            values[row] = seed
            fresh[row] = True
    return values, fresh
