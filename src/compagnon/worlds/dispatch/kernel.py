"""Dispatch, compiled: a day begins, a decision is carried out, time passes to the next one.

Each day is one row of every array in `World`; rows never touch each other, so the result does not
depend on how many threads run. Everything random was drawn before the day began. Plans that lost
a stop are settled before anybody is asked.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import streams
from compagnon.envs.kernels import kernel, kernel_entry
from compagnon.worlds.dispatch import (
    ahead,
    conditions,
    dynamics,
    generator,
    insertion,
    lifecycle,
    observe,
    plans,
    running_days,
    schedules,
    tables,
    travel,
)
from compagnon.worlds.dispatch.kpis import KPIS, write_kpis

WAIT = 0  # the action that lets time pass
# What `run` does; to play is to act, and to begin the next day where one has ended.
BEGIN, ACT, PLAY, SHOW = 0, 1, 2, 3


class KernelSettings(NamedTuple):
    """Where days come from."""

    preset: generator.Preset
    habits: generator.Habits
    days: tables.Day  # the days that are replayed; none where days are generated
    conditions: conditions.Conditions


class View(NamedTuple):
    """What is the same in every day."""

    board: int
    weights: NDArray[np.float64]  # of the cost, in the order of `insertion.Weights`
    minutes: NDArray[np.float64]  # (K, places, places), matrices of the replayed days
    km: NDArray[np.float64]  # (K, places, places)
    scale: NDArray[np.float64]  # a factor a field, `fields.scales`
    look_again: float  # minutes without news after which dispatch is asked again


class DispatchOutputs(NamedTuple):
    """What a step writes; every array is reused from step to step."""

    obs: NDArray[np.float32]  # (N, F)
    mask: NDArray[np.bool_]  # (N, A)
    reward: NDArray[np.float64]  # (N,)
    terms: NDArray[np.float64]  # (N, PARTS), of this step
    terminated: NDArray[np.bool_]  # (N,)
    elapsed: NDArray[np.int64]  # (N,), full minutes of the clock that this step passed
    final_obs: NDArray[np.float32]  # (N, F), valid where terminated
    final_kpis: NDArray[np.float64]  # (N, KPIS), valid where terminated
    scratch: NDArray[np.float64]  # (N, room for what `show` and `write_kpis` note down)


def allocate_outputs(
    worlds: running_days.RunningDays, num_fields: int, num_actions: int, board: int
) -> DispatchOutputs:
    """Zeroed outputs of the days of `worlds`, whose boards have so many places."""
    num_envs, bookings, drivers = worlds.found.shape[:3]
    room = max(plans.MAX_STOPS + insertion.COLUMNS, 2 * bookings + drivers, drivers + 3 * board)
    return DispatchOutputs(
        obs=np.zeros((num_envs, num_fields), np.float32),
        mask=np.zeros((num_envs, num_actions), np.bool_),
        reward=np.zeros(num_envs),
        terms=np.zeros((num_envs, running_days.PARTS)),
        terminated=np.zeros(num_envs, np.bool_),
        elapsed=np.zeros(num_envs, np.int64),
        final_obs=np.zeros((num_envs, num_fields), np.float32),
        final_kpis=np.zeros((num_envs, KPIS)),
        scratch=np.zeros((num_envs, room)),
    )


@kernel
def _clear(w):
    """Zero one day, but for its seeds and for what `fill` writes whole."""
    w.bookings[:], w.drivers[:], w.coordinates[:], w.place[:] = 0.0, 0.0, 0.0, 0
    w.money[:], w.status[:], w.rides[:], w.open[:], w.movable[:] = 0.0, 0, 0.0, 0, 0
    w.codes[:], w.stops[:], w.state[:], w.times[:], w.gaps[:] = 0, 0.0, 0, 0.0, 0.0
    w.found[:], w.where[:] = np.float32(0.0), np.int32(0)
    for k in range(running_days.COUNT_COLUMNS):
        if k != running_days.EPISODE:
            w.counts[k] = 0


@kernel
def fill(w, settings):
    """Write the tables of the next day of one copy; 0 everywhere else.

    A replayed day is number (seed + episode) modulo the days; a generated one has the episode's
    own seed.
    """
    episode = w.counts[running_days.EPISODE]
    _clear(w)
    w.seeds[1] = streams.episode_seed(w.seeds[0], episode)
    w.counts[running_days.EPISODE] = episode + 1
    days = settings.days
    count = days.size.shape[0]
    if count > 0:
        k = running_days.replayed(w.seeds[0], episode, count)
        tables.copy_row(days.size[k], w.size)
        tables.copy_row(days.place[k], w.place)
        tables.copy_row(days.rule[k], w.rule)
        tables.copy_row(days.speed[k], w.speed)
        tables.copy_rows(days.bookings[k], w.bookings)
        tables.copy_rows(days.drivers[k], w.drivers)
        tables.copy_rows(days.coordinates[k], w.coordinates)
    else:
        w.size[:], w.rule[:] = 0, 0.0
        generator.draw_day(w.seeds[1], settings.preset, settings.habits, running_days.day_of(w))
    conditions.draw(w.seeds[1], settings.conditions, running_days.day_of(w))
    running_days.put_in_order(w, tables.ANNOUNCE, w.calls)
    w.counts[running_days.CANCEL_COUNT] = running_days.put_in_order(w, tables.CANCEL, w.cancels)


@kernel
def begin_day(w, roads, promise):
    """Put a day whose tables stand (`fill`) at its first minute."""
    bookings, drivers = w.size[tables.BOOKINGS], w.size[tables.DRIVERS]
    tables.derive(w.bookings, bookings, roads, promise)
    w.counts[running_days.LATER] = bookings
    for b in range(w.rides.shape[0]):
        w.rides[b, running_days.ANSWERED] = -1.0
    now, end = np.inf, 0.0
    for d in range(drivers):
        now = min(now, w.drivers[d, tables.SHIFT_START])
        end = max(end, w.drivers[d, tables.SHIFT_END])
    for b in range(bookings):
        if w.bookings[b, tables.ANNOUNCE] > 0.0:
            now = min(now, w.bookings[b, tables.ANNOUNCE])
        for d in range(w.state.shape[0]):
            w.where[b, d, running_days.FOUND_FOR] = -1
    w.money[running_days.NOW] = w.money[running_days.DAY_BEGIN] = now
    w.money[running_days.DAY_END] = end
    for d in range(drivers):
        node = 2 * w.bookings.shape[0] + 2 * d
        schedules.begin(running_days.plan_of(w, d), w.drivers[d], node, roads, w.bookings, now)
    dynamics.begin_calls(w)


@kernel
def show(i, worlds, view, out, scratch):
    """Write what copy `i` shows now: insertions, mask, observation."""
    w = running_days.row(worlds, i)
    roads = running_days.roads_of(w, view.minutes, view.km)
    weights = insertion.weights_of(view.weights)
    boarded, found = scratch[: plans.MAX_STOPS], scratch[plans.MAX_STOPS :]
    observe.look(w, roads, weights, view.board, boarded, found)
    observe.write_mask(w, view.board, out.mask[i])
    observe.write_observation(w, roads, weights, view.board, view.scale, scratch, out.obs[i])


@kernel
def _cost(w):
    total = 0.0
    for part in range(running_days.PARTS):
        total += w.money[part]
    return total


@kernel
def act(w, action, roads, view, boarded, found):
    """Carry out one possible action at the present clock time, and wait where it says so.

    Args:
        boarded, found: scratch, see `observe.look`.
    """
    board, drivers = view.board, w.state.shape[0]
    weights = insertion.weights_of(view.weights)
    w.counts[running_days.DECISIONS] += 1
    w.money[running_days.C_IMPOSSIBLE] += w.money[running_days.PENDING]
    w.money[running_days.PENDING] = 0.0
    if action > drivers * board:
        b = running_days.booking_at(w, board, action - 1 - drivers * board)
        lifecycle.decline(w, b, roads, weights)
    elif action != WAIT:
        d = (action - 1) // board
        b = running_days.booking_at(w, board, (action - 1) % board)
        if w.status[b] == running_days.PLANNED:
            lifecycle.move_out(w, b, roads, weights)
        else:
            lifecycle.close(w, b, running_days.PLANNED)
        i, j = w.where[b, d, running_days.PUT_PICKUP], w.where[b, d, running_days.PUT_DROPOFF]
        w.rides[b, running_days.BY_DRIVER] = d
        now = w.money[running_days.NOW]
        if not schedules.insert(running_days.plan_of(w, d), b, i, j, roads, w.bookings, now):
            w.counts[running_days.VIOLATIONS] += 1
    dynamics.settle(w, roads)
    waits = action == WAIT
    while waits or w.counts[running_days.OPEN] == 0:
        if not waits and observe.best_move(w, roads, weights, board, boarded, found) > (
            weights.move_worth
        ):
            return
        dynamics.advance(w, roads, weights, view.look_again)
        waits = False
        if w.counts[running_days.DONE] == 1:
            return


@kernel
def act_row(i, worlds, view, actions, out, scratch):
    """Step copy `i`; what it shows then is left to `show`."""
    w = running_days.row(worlds, i)
    roads = running_days.roads_of(w, view.minutes, view.km)
    minute = np.floor(w.money[running_days.NOW])
    before = _cost(w)
    for part in range(running_days.PARTS):
        out.terms[i, part] = w.money[part]
    act(w, actions[i], roads, view, scratch[: plans.MAX_STOPS], scratch[plans.MAX_STOPS :])
    out.reward[i] = before - _cost(w)
    for part in range(running_days.PARTS):
        out.terms[i, part] -= w.money[part]
    out.elapsed[i] = np.int64(np.floor(w.money[running_days.NOW]) - minute)
    done = w.counts[running_days.DONE] == 1
    out.terminated[i] = done
    if done:
        write_kpis(w, scratch, out.final_kpis[i])


@kernel
def _begin_row(i, worlds, settings, view):
    """Begin the next day of copy `i`; what it shows is left to `show`."""
    w = running_days.row(worlds, i)
    fill(w, settings)
    travel.write_xyz(w.rule[travel.KIND], w.coordinates, w.xyz)
    travel.write_near(w.rule, w.coordinates, w.near)
    weights = insertion.weights_of(view.weights)
    begin_day(w, running_days.roads_of(w, view.minutes, view.km), weights.promise)


# One entry, because each one is compiled with all that it calls. It holds no lock of Python's, so
# that several threads may run it, each with rows of its own.
@kernel_entry
def run(what, worlds, rows, settings, view, actions, out):
    """Begin the days of some copies, or let these act, or neither; then show them.

    Args:
        what: BEGIN, ACT, PLAY or SHOW.
        rows: int64, which copies.
        actions: int64 (N,), of all copies.
    """
    if len(rows) == 0:
        return
    scratch = out.scratch[rows[0]]  # one for all, so that it stays in the cache
    count = len(rows)
    for k in range(count):
        i = rows[k]
        if k + 2 < count:
            ahead.fetch_heads(rows[k + 2], worlds, out)
        if k + 1 < count:
            ahead.fetch_plans(rows[k + 1], worlds)
        begins = what == BEGIN
        acts = what in (ACT, PLAY)
        if acts:
            act_row(i, worlds, view, actions, out, scratch)
        if k + 1 < count:
            ahead.fetch_board(rows[k + 1], worlds, view.board)
        while True:
            if begins:
                _begin_row(i, worlds, settings, view)
            show(i, worlds, view, out, scratch)
            if begins or not acts or not out.terminated[i]:
                break
            tables.copy_row(out.obs[i], out.final_obs[i])
            if what == ACT:
                break
            begins = True


@kernel
def write_kpis_of(worlds, i, scratch, out):
    """The KPIs of copy `i` so far, into (KPIS,); `scratch` as for `write_kpis`."""
    write_kpis(running_days.row(worlds, i), scratch, out)


def first_masked(mask: NDArray[np.bool_], actions: NDArray[np.int64]) -> int:
    """The first row whose action is not possible, or -1."""
    known = (actions >= 0) & (actions < mask.shape[1])
    good = known & mask[np.arange(len(actions)), np.where(known, actions, 0)]
    return -1 if good.all() else int(np.argmin(good))
