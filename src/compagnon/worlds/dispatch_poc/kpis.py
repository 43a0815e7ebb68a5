"""What a manager asks of a finished day, computed from the kernel's counters."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.worlds.dispatch_poc import arrays

KPI_NAMES: Final = (
    "completion",
    "reward_per_step",
    "mean_distance",
    "late_share",
    "satisfaction",
    "assignments",
    "cancellations",
    "still_open",
    "turned_away",
    "demand",
    "decisions",
    "waits",
    "invalid",
    "mean_late_minutes",
    "mean_wait",
    "workload_sd",
)


def episode_kpis(
    state: NDArray[np.int64],
    sums: NDArray[np.float64],
    still_open: NDArray[np.int64],
    given: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The KPIs of finished (or running) days, float64 of shape (N, len(KPI_NAMES)).

    Args:
        state, sums, given: rows of the kernel's arrays of the same names.
        still_open: (N,) bookings on the board that nobody was given.
    """
    count = state.astype(np.float64)
    assigned, cancelled = count[:, arrays.C_ASSIGNED], count[:, arrays.C_CANCELLED]
    served = np.maximum(assigned, 1.0)
    over = np.maximum(assigned + cancelled, 1.0)
    columns = [
        assigned / np.maximum(assigned + cancelled + still_open, 1.0),
        sums[:, arrays.REWARD] / np.maximum(count[:, arrays.TICK], 1.0),
        sums[:, arrays.KM] / served,
        count[:, arrays.C_LATE] / served,
        sums[:, arrays.GRADES] / over,
        assigned,
        cancelled,
        still_open,
        count[:, arrays.C_TURNED_AWAY],
        count[:, arrays.C_DEMAND],
        count[:, arrays.C_DECISIONS],
        count[:, arrays.C_WAITS],
        count[:, arrays.C_INVALID],
        sums[:, arrays.LATE_MINUTES] / served,
        sums[:, arrays.WAITED] / served,
        given.std(axis=1),
    ]
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
