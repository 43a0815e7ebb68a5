"""Plays shops on by a rule, all of it compiled: what a look-ahead needs by the thousand."""

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import Threads, cached_njit
from compagnon.worlds.workshop import arrays, constants, kernel
from compagnon.worlds.workshop.core import WorkshopCore
from compagnon.worlds.workshop.experts import rules as experts
from compagnon.worlds.workshop.experts.experts import WorkshopRule

_THREADS = Threads(worth=32)  # two days of a shop are a third of a millisecond


@cached_njit
def _see(state, x):  # type: ignore[no-untyped-def]
    """What every rule sees, in the order of `experts.NEEDED`."""
    x[experts.RAW] = state[arrays.RAW]
    x[experts.IN_TRANSIT] = state[arrays.IN_TRANSIT]
    x[experts.P1] = state[arrays.P1]
    x[experts.P2_INTER] = state[arrays.P2_INTER]
    x[experts.P2] = state[arrays.P2]
    x[experts.BACKLOG_P1] = state[arrays.BACKLOG_P1]
    x[experts.BACKLOG_P2] = state[arrays.BACKLOG_P2]
    x[experts.M1_BUSY] = 1 if state[arrays.M1_TASK] != constants.IDLE else 0
    x[experts.M2_BUSY] = 1 if state[arrays.M2_LEFT] > 0 else 0
    x[experts.M2_LEFT] = state[arrays.M2_LEFT]


@cached_njit
def _possible(state, action):  # type: ignore[no-untyped-def]
    """Whether an action is, as `kernel.write_mask` says it."""
    if action >= constants.ORDER_START:
        return True
    size = action % constants.BATCHES + 1
    if action >= constants.STEP2_START:
        free = state[arrays.M2_LEFT] == 0 and state[arrays.M2_DOWN] == 0
        return free and size <= state[arrays.P2_INTER]
    free = state[arrays.M1_TASK] == constants.IDLE and state[arrays.M1_DOWN] == 0
    return free and size <= state[arrays.RAW]


@cached_njit(nogil=True)
def _finish(shops, rows, params, book, first, rule, levels, horizon, terms, earned):  # type: ignore[no-untyped-def]
    x = np.zeros(len(experts.NEEDED), np.int64)
    for i in rows:
        state, action = shops.state[i], first[i]
        end = min(state[arrays.TIME] + horizon, constants.EPISODE_MINUTES)
        while state[arrays.TIME] < end:
            earned[i] += kernel.play(
                state, shops.money[i], shops.counters[i], shops.transit[i], shops.seeds[i, 1],
                params, book, action, terms,
            )  # fmt: skip
            _see(state, x)
            action = experts.by_number(rule, x, levels)
            if not _possible(state, action):
                action = constants.WAIT


def finish(
    core: WorkshopCore, first: NDArray[np.int64], below: WorkshopRule, horizon: int
) -> NDArray[np.float64]:
    """What every shop of `core` earns in `horizon` minutes: its first action, then the rule.

    The shops stand there then, and what they show is not written.

    Args:
        first: (N,), possible actions.

    Returns:
        (N,) float64.
    """
    earned, actions = np.zeros(core.num_envs), np.ascontiguousarray(first, np.int64)

    def work(rows: NDArray[np.int64]) -> None:
        _finish(
            core.shops, rows, core.params, core.book, actions, below.number, below.levels, horizon,
            np.zeros(len(constants.REWARD_TERMS)), earned,
        )  # fmt: skip

    _THREADS.share(work, np.arange(core.num_envs))
    return earned
