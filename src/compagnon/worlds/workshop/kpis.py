"""What a manager asks of a finished week, computed from the kernel's counters."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.worlds.workshop import arrays, constants

KPI_NAMES: Final = (
    "profit",
    "published_reward",
    *constants.REWARD_TERMS,
    "served_share_p1",
    "served_share_p2",
    "mean_backlog_p1",
    "mean_backlog_p2",
    "final_backlog_p1",
    "final_backlog_p2",
    "overflow",
    "theft",
    "m1_utilisation",
    "m2_utilisation",
    "mean_raw_in_transit",
    "raw_ordered",
    "launches",
    "waits",
    "m1_down_share",
    "m2_down_share",
    "setup_share",
    "demand_p1",
    "demand_p2",
)


def episode_kpis(
    state: NDArray[np.int64], money: NDArray[np.float64], counters: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The KPIs of finished (or running) episodes, float64 of shape (N, len(KPI_NAMES)).

    Args:
        state, money, counters: rows of the kernel's arrays of the same names.
    """
    terms = money[:, arrays.TERM_TOTALS :]
    count = counters.astype(np.float64)
    minutes = np.maximum(state[:, arrays.TIME], 1).astype(np.float64)
    ticks = np.maximum(state[:, arrays.TIME] // constants.TICK_MINUTES, 1).astype(np.float64)
    columns = [
        terms[:, : constants.PROFIT_TERMS].sum(axis=1),
        terms.sum(axis=1),
        *terms.T,
        count[:, arrays.C_SOLD_P1] / np.maximum(count[:, arrays.C_DEMAND_P1], 1),
        count[:, arrays.C_SOLD_P2] / np.maximum(count[:, arrays.C_DEMAND_P2], 1),
        count[:, arrays.C_BACKLOG_P1] / ticks,
        count[:, arrays.C_BACKLOG_P2] / ticks,
        state[:, arrays.BACKLOG_P1],
        state[:, arrays.BACKLOG_P2],
        count[:, arrays.C_OVER_RAW : arrays.C_OVER_P2 + 1].sum(axis=1),
        count[:, arrays.C_THEFT_P1 : arrays.C_THEFT_P2 + 1].sum(axis=1),
        count[:, arrays.C_M1_BUSY] / minutes,
        count[:, arrays.C_M2_BUSY] / minutes,
        count[:, arrays.C_TRANSIT] / minutes,
        count[:, arrays.C_ORDERED],
        count[:, arrays.C_LAUNCHES],
        count[:, arrays.C_WAITS],
        count[:, arrays.C_M1_DOWN] / minutes,
        count[:, arrays.C_M2_DOWN] / minutes,
        count[:, arrays.C_SETUP] / minutes,
        count[:, arrays.C_DEMAND_P1],
        count[:, arrays.C_DEMAND_P2],
    ]
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
