"""Plays days to their ends by a rule, all of it compiled: a look-ahead needs it by the thousand."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import cached_njit, kernel
from compagnon.worlds.dispatch import dynamics, insertion, observe, plans, running_days, tables
from compagnon.worlds.dispatch import kernel as kernels
from compagnon.worlds.dispatch.core import DispatchCore
from compagnon.worlds.dispatch.experts import rules
from compagnon.worlds.dispatch.experts.experts import CompiledRule

_DAY = 2880.0  # minutes; longer slack is not shown (`observe`)


def allocate_boards(drivers: int, places: int) -> rules.Boards:
    """One board, zeroed."""
    pairs, of_places = (1, drivers, places), (1, places)
    return rules.Boards(
        cost=np.zeros(pairs),
        approach=np.zeros(pairs),
        slack=np.zeros(pairs),
        boards_in=np.zeros(pairs),
        stops=np.zeros((1, drivers)),
        deadline=np.zeros(of_places),
        shown=np.zeros(of_places),
        behind=np.zeros(1),
        refusal=np.zeros(of_places),
        promised=np.zeros(of_places),
    )


@kernel
def _write_place(w, place, board, present, roads, weights, boards):
    """One place of the board, with the numbers that an observation of it would round to."""
    b, now = running_days.booking_at(w, board, place), w.money[running_days.NOW]
    row = w.bookings[b]
    boards.shown[0, place] = 1.0
    boards.deadline[0, place] = np.float32(row[tables.PICKUP_BY] - now)
    promised = w.status[b] == running_days.PLANNED
    boards.promised[0, place] = 1.0 if promised else 0.0
    boards.refusal[0, place] = 0.0
    if not promised:
        boards.refusal[0, place] = np.float32(dynamics.decline_cost(w, b, roads, weights))
    for d in range(present):
        found = w.found[b, d]
        if found[insertion.FEASIBLE] > 0.0:
            boards.cost[0, d, place] = np.float32(observe.added_cost(w, b, d))
            boards.approach[0, d, place] = found[insertion.APPROACH]
            boards.slack[0, d, place] = min(_DAY, found[insertion.SLACK])
            boards.boards_in[0, d, place] = np.float32(found[insertion.BOARDS_AT] - now)


@kernel
def _write_board(i, worlds, view, boards, scratch):
    """What day `i` shows to a rule now."""
    w = running_days.row(worlds, i)
    roads = running_days.roads_of(w, view.minutes, view.km)
    weights = insertion.weights_of(view.weights)
    boarded, found = scratch[: plans.MAX_STOPS], scratch[plans.MAX_STOPS :]
    observe.look(w, roads, weights, view.board, boarded, found)
    present = w.size[tables.DRIVERS]
    boards.cost[:], boards.approach[:] = rules.NEVER, rules.NEVER
    boards.slack[:], boards.boards_in[:] = 0.0, 0.0
    boards.deadline[:], boards.shown[:], boards.stops[:] = 0.0, 0.0, 0.0
    boards.refusal[:], boards.promised[:] = 0.0, 0.0
    boards.behind[0] = w.counts[running_days.OPEN] - min(view.board, w.counts[running_days.OPEN])
    for d in range(present):
        plan = running_days.plan_of(w, d)
        if plan.state[plans.COUNT] > plans.first_open(plan):
            boards.stops[0, d] = plan.state[plans.COUNT] - 1
    for place in range(running_days.shown_places(w, view.board)):
        _write_place(w, place, view.board, present, roads, weights, boards)


@cached_njit(nogil=True)
def _finish(worlds, rows, view, actions, rule, k, boards, out, scratch, earned):
    """See `finish`; `actions` holds the first ones, and is written over."""
    action = np.zeros(1, np.int64)
    for q in range(rows.shape[0]):
        i = rows[q]
        earned[i] = 0.0
        while True:
            kernels.act_row(i, worlds, view, actions, out, scratch)
            earned[i] += out.reward[i]
            if out.terminated[i]:
                break
            _write_board(i, worlds, view, boards, scratch)
            rules.choose(boards, rule, k, action)
            rules.make_way(boards, action)
            actions[i] = action[0]


def finish(core: DispatchCore, first: NDArray[np.int64], below: CompiledRule) -> Any:
    """What every day of `core` earns from here on: its first action, then the rule to the end.

    The days stand at their ends then, and what they show is not written.

    Args:
        first: (N,), possible actions.

    Returns:
        (N,) float64.
    """
    earned = np.zeros(core.num_envs)
    actions = np.ascontiguousarray(first, np.int64).copy()

    def work(share: NDArray[np.int64]) -> None:
        if len(share):
            _finish(
                core.worlds, share, core.view, actions, below.rule, below.k,
                allocate_boards(core.layout.drivers, core.layout.board), core.out,
                np.zeros_like(core.out.scratch[0]), earned,
            )  # fmt: skip

    core.share(work)
    return earned
