"""Plays days to their ends by a rule, all of it compiled: a look-ahead needs it by the thousand."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import cached_njit, kernel, kernel_entry
from compagnon.worlds.dispatch import insertion, lifecycle, observe, plans, running_days, tables
from compagnon.worlds.dispatch import kernel as kernels
from compagnon.worlds.dispatch.core import DispatchCore
from compagnon.worlds.dispatch.experts import rules
from compagnon.worlds.dispatch.experts.numbers import Numbers
from compagnon.worlds.dispatch.experts.regret import choose

_DAY = 2880.0  # minutes; longer slack is not shown (`observe`)


def allocate_boards(drivers: int, places: int) -> rules.Boards:
    """One board on which nothing stands."""
    pairs, of_places = (1, drivers, places), (1, places)
    return rules.Boards(
        cost=np.full(pairs, rules.NEVER),
        approach=np.full(pairs, rules.NEVER),
        slack=np.zeros(pairs),
        boards_in=np.zeros(pairs),
        stops=np.zeros((1, drivers)),
        deadline=np.zeros(of_places),
        shown=np.zeros(of_places),
        behind=np.zeros(1),
        refusal=np.zeros(of_places),
        promised=np.zeros(of_places),
        answer_price=np.zeros(of_places),
        answer_left=np.zeros(of_places),
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
    if not promised:
        boards.refusal[0, place] = np.float32(lifecycle.decline_cost(w, b, roads, weights))
        boards.answer_price[0, place] = np.float32(lifecycle.answer_price(w, b, weights))
        left = _DAY
        if weights.answer_limit > 0.0:
            left = lifecycle.asked_at(w, b) + weights.answer_limit - now
        boards.answer_left[0, place] = np.float32(min(_DAY, max(0.0, left)))
    for d in range(present):
        found = w.found[b, d]
        if found[insertion.FEASIBLE] > 0.0:
            boards.cost[0, d, place] = np.float32(observe.added_cost(w, b, d))
            boards.approach[0, d, place] = found[insertion.APPROACH]
            boards.slack[0, d, place] = min(_DAY, found[insertion.SLACK])
            boards.boards_in[0, d, place] = np.float32(found[insertion.BOARDS_AT] - now)


@kernel
def _clear(boards):
    """Take off the board whatever stands there."""
    boards.stops[:] = 0.0
    drivers = boards.stops.shape[1]
    for place in range(rules.taken_places(boards, 0)):
        for d in range(drivers):
            boards.cost[0, d, place] = boards.approach[0, d, place] = rules.NEVER
            boards.slack[0, d, place] = boards.boards_in[0, d, place] = 0.0
        boards.deadline[0, place] = boards.shown[0, place] = boards.refusal[0, place] = 0.0
        boards.promised[0, place] = boards.answer_price[0, place] = 0.0
        boards.answer_left[0, place] = 0.0


@kernel
def _write_board(i, worlds, view, boards, scratch):
    """What day `i` shows to a rule now."""
    w = running_days.row(worlds, i)
    roads = running_days.roads_of(w, view.minutes, view.km)
    weights = insertion.weights_of(view.weights)
    boarded, found = scratch[: plans.MAX_STOPS], scratch[plans.MAX_STOPS :]
    observe.look(w, roads, weights, view.board, boarded, found)
    present = w.size[tables.DRIVERS]
    _clear(boards)
    boards.behind[0] = w.counts[running_days.OPEN] - min(view.board, w.counts[running_days.OPEN])
    for d in range(present):
        plan = running_days.plan_of(w, d)
        if plan.state[plans.COUNT] > plans.first_open(plan):
            boards.stops[0, d] = plan.state[plans.COUNT] - 1
    for place in range(running_days.shown_places(w, view.board)):
        _write_place(w, place, view.board, present, roads, weights, boards)


@kernel
def _rest_cost(i, worlds, view):
    """What day `i` still has to pay as things stand: the plans, and a refusal of whoever is open.

    Of minutes on board those beyond the direct ride count, as in the day's cost.
    """
    w = running_days.row(worlds, i)
    roads = running_days.roads_of(w, view.minutes, view.km)
    weights = insertion.weights_of(view.weights)
    cost, doors = 0.0, 2 * w.bookings.shape[0]
    for d in range(w.size[tables.DRIVERS]):
        plan = running_days.plan_of(w, d)
        cost += insertion.plan_cost(
            plan, roads, w.bookings, weights, w.drivers[d, tables.SHIFT_END]
        )
        for k in range(plan.state[plans.COUNT]):
            node = plan.codes[k, plans.NODE]
            if 0 <= node < doors and node % 2 == 1 and plan.codes[k, plans.PICKED_AT] != plans.DEAD:
                cost -= weights.ride * w.bookings[node // 2, tables.DIRECT]
    for k in range(w.counts[running_days.OPEN]):
        cost += lifecycle.decline_cost(w, w.open[k], roads, weights)
    return cost


@kernel_entry
def _write_rest(worlds, view, rest):
    """Minus `_rest_cost` of every day into `rest` (N,)."""
    for i in range(rest.shape[0]):
        rest[i] = -_rest_cost(i, worlds, view)


def rest_of(core: DispatchCore) -> NDArray[np.float64]:
    """What every day of `core` still earns as things stand, (N,): nobody calls any more."""
    rest = np.zeros(core.num_envs)
    _write_rest(core.worlds, core.view, rest)
    return rest


class _Shared(NamedTuple):
    """What days that look alike at first do at their first clock time: the first of them decides.

    Attributes:
        like: (N,), days of the same number have the same known past and first action.
        steps: (room, 3), scratch: an action, and the positions that it puts a ride at.
    """

    like: NDArray[np.int64]
    steps: NDArray[np.int64]


@kernel
def _note_step(i, worlds, view, action, step):
    """Write down an action of day `i` that is about to be carried out."""
    step[0], step[1], step[2] = action, -1, -1
    w = running_days.row(worlds, i)
    if 0 < action <= w.state.shape[0] * view.board:
        b = running_days.booking_at(w, view.board, (action - 1) % view.board)
        d = (action - 1) // view.board
        step[1] = w.where[b, d, running_days.PUT_PICKUP]
        step[2] = w.where[b, d, running_days.PUT_DROPOFF]


@kernel
def _repeat_step(i, worlds, view, step):
    """Get day `i` ready to do what another did that looks alike; returns the action."""
    action = step[0]
    if step[1] >= 0:
        w = running_days.row(worlds, i)
        b = running_days.booking_at(w, view.board, (action - 1) % view.board)
        d = (action - 1) // view.board
        w.where[b, d, running_days.PUT_PICKUP] = step[1]
        w.where[b, d, running_days.PUT_DROPOFF] = step[2]
    return action


@cached_njit(nogil=True)
def _play(worlds, rows, view, actions, until, rule, numbers, boards, shared, out, scratch, earned):
    """See `play`; `actions` holds the first ones, -1 for the rule's, and is written over."""
    action = np.zeros(1, np.int64)
    noted, room = 0, shared.steps.shape[0]
    for q in range(rows.shape[0]):
        i = rows[q]
        first = q == 0 or room == 0 or shared.like[i] != shared.like[rows[q - 1]]
        noted, repeated = (0, 0) if first else (noted, 0)
        clock = worlds.counts[i, running_days.CLOCK]
        earned[i] = 0.0
        while True:
            if not first and repeated < noted:
                actions[i] = _repeat_step(i, worlds, view, shared.steps[repeated])
                repeated += 1
            elif actions[i] < 0:
                _write_board(i, worlds, view, boards, scratch)
                choose(boards, rule, numbers, action)
                actions[i] = action[0]
            if first and noted < room and worlds.counts[i, running_days.CLOCK] == clock:
                _note_step(i, worlds, view, actions[i], shared.steps[noted])
                noted += 1
            kernels.act_row(i, worlds, view, actions, out, scratch)
            earned[i] += out.reward[i]
            if out.terminated[i]:
                break
            if np.floor(worlds.money[i, running_days.NOW]) >= until[i]:
                earned[i] -= _rest_cost(i, worlds, view)
                break
            actions[i] = -1


def play(
    core: DispatchCore,
    rule: int,
    numbers: Numbers,
    first: NDArray[np.int64] | None = None,
    minutes: float = np.inf,
    *,
    moves: bool = True,
    alike: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """What every day of `core` earns from here on by a rule.

    The days stand where play ended then, and what they show is not written.

    Args:
        rule, numbers: see `regret.choose`.
        first: (N,), possible actions that are taken before the rule decides.
        minutes: after which play ends, and the rest of a day is reckoned as it is planned then
            (`rest_of`); without it, at the day's end.
        moves: whether the rule moves planned rides; to look for moves takes most of the time.
        alike: (N,), days of the same number differ in nothing that dispatch knows. Until time
            passes the rule does the same in all of them, so it is asked in one.

    Returns:
        (N,).
    """
    earned = np.zeros(core.num_envs)
    actions = np.full(core.num_envs, -1) if first is None else first.astype(np.int64)
    until = np.floor(core.worlds.money[:, running_days.NOW]) + minutes
    view, room = core.view, 0
    rows = np.arange(core.num_envs)
    like = rows
    if alike is not None and not moves:  # where rides move, more changes than their places
        _, like = np.unique(np.stack([alike, actions]), axis=1, return_inverse=True)
        rows, room = np.argsort(like, kind="stable"), core.worlds.found.shape[1]
    if not moves:
        weights = core.view.weights.copy()
        weights[insertion.Weights._fields.index("replan")] = 0.0
        view = view._replace(weights=weights)

    def work(share: NDArray[np.int64]) -> None:
        if len(share):
            _play(
                core.worlds, share, view, actions, until, rule, numbers,
                allocate_boards(core.layout.drivers, core.layout.board),
                _Shared(like, np.zeros((room, 3), np.int64)), core.out,
                np.zeros_like(core.out.scratch[0]), earned,
            )  # fmt: skip

    core.share(work, rows)
    return earned
