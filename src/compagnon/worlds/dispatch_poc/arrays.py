"""The arrays that the kernel steps: what their columns are, and what each row means."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Columns of Days.state (int64).
TICK, COUNT, MADE, EPISODE, ELAPSED = 0, 1, 2, 3, 4
(
    C_DECISIONS, C_WAITS, C_INVALID, C_ASSIGNED, C_LATE, C_CANCELLED, C_DEMAND, C_TURNED_AWAY,
) = range(5, 13)  # fmt: skip
STATE_COLUMNS = 13
# Columns of Days.sums (float64), all of the running episode.
REWARD, KM, LATE_MINUTES, WAITED, GRADES = 0, 1, 2, 3, 4
SUMS = 5
# Columns of Days.bookings (float64).
LAT, LON, TO_LAT, TO_LON, PRIORITY, WINDOW, END, TAKEN, COSINE = 0, 1, 2, 3, 4, 5, 6, 7, 8
BOOKING_COLUMNS = 9


class Days(NamedTuple):
    """The whole state of N days; saved and restored as it stands."""

    state: NDArray[np.int64]  # (N, STATE_COLUMNS)
    sums: NDArray[np.float64]  # (N, SUMS)
    places: NDArray[np.float64]  # (N, D, 3): each driver's lat, lon, cosine of the latitude
    load: NDArray[np.int64]  # (N, D): rides a driver has
    given: NDArray[np.int64]  # (N, D): rides a driver was given since the day began
    order: NDArray[np.int64]  # (N, D): which driver is shown at each place
    shown: NDArray[np.int64]  # (N, M): which slot is shown at each place
    bookings: NDArray[np.float64]  # (N, M, BOOKING_COLUMNS), the first COUNT rows in use
    km: NDArray[np.float64]  # (N, M, D): from each driver to each open pick-up
    seeds: NDArray[np.uint64]  # (N, 2): the env's seed, the current episode's seed


class PocOutputs(NamedTuple):
    """What a step writes; every array is reused from step to step."""

    obs: NDArray[np.float32]  # (N, F)
    mask: NDArray[np.bool_]  # (N, D M + 1)
    reward: NDArray[np.float64]  # (N,)
    terminated: NDArray[np.bool_]  # (N,)
    elapsed: NDArray[np.int64]  # (N,), ticks this step took
    final_obs: NDArray[np.float32]  # (N, F), valid where terminated
    final_state: NDArray[np.int64]  # (N, STATE_COLUMNS), valid where terminated
    final_sums: NDArray[np.float64]  # (N, SUMS), valid where terminated
    final_open: NDArray[np.int64]  # (N,), bookings still open, valid where terminated
    final_given: NDArray[np.int64]  # (N, D), valid where terminated


def allocate(num_envs: int, drivers: int, slots: int, num_fields: int) -> tuple[Days, PocOutputs]:
    """Zeroed arrays for `num_envs` days."""
    days = Days(
        state=np.zeros((num_envs, STATE_COLUMNS), np.int64),
        sums=np.zeros((num_envs, SUMS)),
        places=np.zeros((num_envs, drivers, 3)),
        load=np.zeros((num_envs, drivers), np.int64),
        given=np.zeros((num_envs, drivers), np.int64),
        order=np.tile(np.arange(drivers), (num_envs, 1)),
        shown=np.tile(np.arange(slots), (num_envs, 1)),
        bookings=np.zeros((num_envs, slots, BOOKING_COLUMNS)),
        km=np.zeros((num_envs, slots, drivers)),
        seeds=np.zeros((num_envs, 2), np.uint64),
    )
    outputs = PocOutputs(
        obs=np.zeros((num_envs, num_fields), np.float32),
        mask=np.zeros((num_envs, drivers * slots + 1), np.bool_),
        reward=np.zeros(num_envs),
        terminated=np.zeros(num_envs, np.bool_),
        elapsed=np.zeros(num_envs, np.int64),
        final_obs=np.zeros((num_envs, num_fields), np.float32),
        final_state=np.zeros((num_envs, STATE_COLUMNS), np.int64),
        final_sums=np.zeros((num_envs, SUMS)),
        final_open=np.zeros(num_envs, np.int64),
        final_given=np.zeros((num_envs, drivers), np.int64),
    )
    return days, outputs
