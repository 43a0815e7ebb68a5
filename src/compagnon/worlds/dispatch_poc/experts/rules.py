"""The proof of concept's short rules, compiled: each looks at every possible pair of a board."""

from typing import NamedTuple

import numpy as np
from numba import prange
from numpy.typing import NDArray

from compagnon.envs.kernels import cached_njit
from compagnon.worlds.dispatch_poc.travel import cosine, kilometres

NEAREST, EARLIEST, LEAST_LOADED = 0, 1, 2
NEVER = 1e6  # kilometres, of a pair that is not possible


class PocBoards(NamedTuple):
    """What the rules see of B boards, in physical units; degrees are from the centre.

    Attributes:
        drivers: (B, N, 4) lat, lon, available, load.
        bookings: (B, M, 4) lat, lon, priority (0 for an empty slot), minutes left.
        a_km: (B,) minutes that a kilometre takes.
    """

    drivers: NDArray[np.float64]
    bookings: NDArray[np.float64]
    a_km: NDArray[np.float64]


@cached_njit(parallel=True)
def distances(boards: PocBoards, mask: NDArray[np.bool_], km: NDArray[np.float64]) -> None:
    """Write the kilometres of each possible pair into `km` (B, N, M), and `NEVER` elsewhere.

    Args:
        mask: (B, N M + 1) what is possible; (0, 0) to find it by the rules of the mended world.
    """
    slots = boards.bookings.shape[1]
    for b in prange(boards.drivers.shape[0]):
        for j in range(slots):
            lat, lon, left = (
                boards.bookings[b, j, 0], boards.bookings[b, j, 1], boards.bookings[b, j, 3],
            )  # fmt: skip
            is_open = boards.bookings[b, j, 2] > 0.0
            cos_lat = cosine(lat)
            for d in range(boards.drivers.shape[1]):
                km[b, d, j] = NEVER
                if not is_open or (mask.shape[0] > 0 and not mask[b, 1 + d * slots + j]):
                    continue
                at, on = boards.drivers[b, d, 0], boards.drivers[b, d, 1]
                far = kilometres(at, on, cosine(at), lat, lon, cos_lat)
                if mask.shape[0] == 0 and (
                    boards.drivers[b, d, 2] == 0.0 or far * boards.a_km[b] > left
                ):
                    continue
                km[b, d, j] = far


@cached_njit
def best_pairs(
    boards: PocBoards, km: NDArray[np.float64], rule: int, actions: NDArray[np.int64]
) -> None:
    """The pair that each board's rule likes best, as an action; 0 where none is possible.

    The nearest pair; or the booking whose window ends first, with its nearest driver; or the
    drivers with the fewest rides, and the nearest pair among theirs. The first of equals wins.
    """
    drivers, slots = km.shape[1], km.shape[2]
    for b in range(km.shape[0]):
        actions[b] = 0
        first, second = np.inf, np.inf
        for d in range(drivers):
            for j in range(slots):
                far = km[b, d, j]
                if far >= NEVER:
                    continue
                key = 0.0
                if rule == EARLIEST:
                    key = boards.bookings[b, j, 3]
                elif rule == LEAST_LOADED:
                    key = boards.drivers[b, d, 3]
                if key < first or (key == first and far < second):
                    first, second = key, far
                    actions[b] = 1 + d * slots + j
