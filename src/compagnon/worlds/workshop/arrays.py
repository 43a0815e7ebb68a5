"""The arrays that the kernel steps: what their columns are, and what each row means."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.worlds.workshop import constants

# Columns of Shops.state (int64).
TIME, M1_TASK, M1_LEFT, M1_SETUP, M2_LEFT = 0, 1, 2, 3, 4
RAW, P1, P2_INTER, P2 = 5, 6, 7, 8
NEXT_DUE, IN_TRANSIT, BACKLOG_P1, BACKLOG_P2 = 9, 10, 11, 12
LAST_FAMILY, LAST_K, LAST_ACTION = 13, 14, 15
M1_READY_FOR, M1_DOWN, M2_DOWN, RUSH, WEEK, ELAPSED, EPISODE = 16, 17, 18, 19, 20, 21, 22
STATE_COLUMNS = 23
# Columns of Shops.money (float64), before one column a reward term (totals of the episode).
REWARD_TOTAL, LAST_REWARD, RECENT_DEMAND, TERM_TOTALS = 0, 1, 2, 3
MONEY_COLUMNS = TERM_TOTALS + len(constants.REWARD_TERMS)
NUM_TERMS = len(constants.REWARD_TERMS)
NUM_COUNTERS = len(constants.COUNTERS)
NUM_FIELDS = 32
RECENT_DEMAND_DECAY = 0.8  # a tick; the memory of recent demand is about 75 minutes

# Random streams.
DEMAND, DELIVERY, RUSH_STREAM, M1_FAILS, M1_REPAIR, M2_FAILS, M2_REPAIR = 1, 2, 3, 4, 5, 6, 7

# Reward terms and counters, by the order of their names in `rules`.
(SALES_P1, SALES_P2, RAW_COST, BACKLOG_COST, LAUNCH_BONUS, WAIT_COST, INVALID_COST) = range(7)
(
    C_DEMAND_P1, C_DEMAND_P2, C_SOLD_P1, C_SOLD_P2,
    C_OVER_RAW, C_OVER_P1, C_OVER_P2_INTER, C_OVER_P2, C_THEFT_P1, C_THEFT_P2,
    C_M1_BUSY, C_M2_BUSY, C_BACKLOG_P1, C_BACKLOG_P2, C_ORDERED, C_TRANSIT,
    C_LAUNCHES, C_WAITS, C_M1_DOWN, C_M2_DOWN, C_SETUP,
) = range(NUM_COUNTERS)  # fmt: skip


class Shops(NamedTuple):
    """The whole state of N shops; saved and restored as it stands."""

    state: NDArray[np.int64]  # (N, STATE_COLUMNS)
    money: NDArray[np.float64]  # (N, MONEY_COLUMNS)
    counters: NDArray[np.int64]  # (N, NUM_COUNTERS)
    transit: NDArray[np.int32]  # (N, IN_TRANSIT_SLOTS): raw due at minute t stands at t % slots
    seeds: NDArray[np.uint64]  # (N, 2): the env's seed, the current episode's seed


class WorkshopOutputs(NamedTuple):
    """What a step writes; every array is reused from step to step."""

    obs: NDArray[np.float32]  # (N, F)
    mask: NDArray[np.bool_]  # (N, 201)
    reward: NDArray[np.float64]  # (N,)
    terms: NDArray[np.float64]  # (N, NUM_TERMS), of this step
    terminated: NDArray[np.bool_]  # (N,)
    elapsed: NDArray[np.int64]  # (N,), minutes this step took
    final_obs: NDArray[np.float32]  # (N, F), valid where terminated
    final_money: NDArray[np.float64]  # (N, MONEY_COLUMNS), valid where terminated
    final_counters: NDArray[np.int64]  # (N, NUM_COUNTERS), valid where terminated
    final_state: NDArray[np.int64]  # (N, STATE_COLUMNS), valid where terminated


def allocate(num_envs: int, num_fields: int) -> tuple[Shops, WorkshopOutputs]:
    """Zeroed arrays for `num_envs` shops that show `num_fields` fields."""
    shops = Shops(
        state=np.zeros((num_envs, STATE_COLUMNS), np.int64),
        money=np.zeros((num_envs, MONEY_COLUMNS)),
        counters=np.zeros((num_envs, NUM_COUNTERS), np.int64),
        transit=np.zeros((num_envs, constants.IN_TRANSIT_SLOTS), np.int32),
        seeds=np.zeros((num_envs, 2), np.uint64),
    )
    outputs = WorkshopOutputs(
        obs=np.zeros((num_envs, num_fields), np.float32),
        mask=np.zeros((num_envs, constants.NUM_ACTIONS), np.bool_),
        reward=np.zeros(num_envs),
        terms=np.zeros((num_envs, NUM_TERMS)),
        terminated=np.zeros(num_envs, np.bool_),
        elapsed=np.zeros(num_envs, np.int64),
        final_obs=np.zeros((num_envs, num_fields), np.float32),
        final_money=np.zeros((num_envs, MONEY_COLUMNS)),
        final_counters=np.zeros((num_envs, NUM_COUNTERS), np.int64),
        final_state=np.zeros((num_envs, STATE_COLUMNS), np.int64),
    )
    return shops, outputs
