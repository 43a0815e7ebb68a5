"""Dispatch, compiled: a day begins, a decision is carried out, time passes to the next one.

Each day is one row of every array in `World`; rows never touch each other, so the result does not
depend on how many threads run. Everything random was drawn before the day began.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import streams
from compagnon.envs.dispatch import dynamics, generator, observe
from compagnon.envs.dispatch import insertion as I
from compagnon.envs.dispatch import plan as P
from compagnon.envs.dispatch import tables as D
from compagnon.envs.dispatch import travel as T
from compagnon.envs.dispatch import world as W
from compagnon.envs.dispatch.kpis import KPIS, write_kpis
from compagnon.envs.kernels import kernel, kernel_entry

WAIT = 0  # the action that lets time pass
BEGIN, ACT, SHOW = 0, 1, 2  # what `run` does


class Settings(NamedTuple):
    """Where days come from."""

    preset: generator.Preset
    habits: generator.Habits
    days: D.Day  # the days that are replayed; none where days are generated


class View(NamedTuple):
    """What is the same in every day."""

    board: int
    weights: NDArray[np.float64]  # of the cost, in the order of `insertion.Weights`
    minutes: NDArray[np.float64]  # (K, places, places), matrices of the replayed days
    km: NDArray[np.float64]  # (K, places, places)
    scale: NDArray[np.float64]  # a factor a field, `fields.scales`


class Outputs(NamedTuple):
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


def allocate_outputs(worlds: W.World, num_fields: int, num_actions: int) -> Outputs:
    """Zeroed outputs of the days of `worlds`."""
    num_envs, bookings, drivers = worlds.found.shape[:3]
    room = max(P.MAX_STOPS + I.COLUMNS, 2 * bookings + drivers)
    return Outputs(
        obs=np.zeros((num_envs, num_fields), np.float32),
        mask=np.zeros((num_envs, num_actions), np.bool_),
        reward=np.zeros(num_envs),
        terms=np.zeros((num_envs, W.PARTS)),
        terminated=np.zeros(num_envs, np.bool_),
        elapsed=np.zeros(num_envs, np.int64),
        final_obs=np.zeros((num_envs, num_fields), np.float32),
        final_kpis=np.zeros((num_envs, KPIS)),
        scratch=np.zeros((num_envs, room)),
    )


def fill(worlds: W.World, rows: NDArray[np.int64], settings: Settings) -> None:
    """Write the tables of the next day of the copies that `rows` (int64) lists; 0 everywhere else.

    A replayed day is number (seed + episode) modulo the days; a generated one has the episode's
    own seed.
    """
    episodes = worlds.counts[rows, W.EPISODE]
    for name, array in worlds._asdict().items():
        if name != "seeds":
            array[rows] = 0
    for i, episode in zip(rows.tolist(), episodes.tolist(), strict=True):
        worlds.seeds[i, 1] = streams.episode_seed(worlds.seeds[i, 0], episode)
    worlds.counts[rows, W.EPISODE] = episodes + 1
    parts: dict[str, Any] = worlds._asdict()
    tables = D.Day(**{name: parts[name] for name in D.Day._fields})
    count = len(settings.days.size)
    if count:
        which = [
            (int(seed) + episode) % count
            for seed, episode in zip(worlds.seeds[rows, 0].tolist(), episodes.tolist(), strict=True)
        ]
        for name, saved in settings.days._asdict().items():
            parts[name][rows] = saved[which]
    else:
        generator.draw_days(worlds.seeds, rows, settings.preset, settings.habits, tables)
    asked = np.arange(worlds.status.shape[1]) < worlds.size[rows, D.BOOKINGS, None]
    for array, column in ((worlds.calls, D.ANNOUNCE), (worlds.cancels, D.CANCEL)):
        minutes = np.where(asked, worlds.bookings[rows, :, column], np.inf)
        array[rows] = np.argsort(minutes, axis=1, kind="stable")
        if column == D.CANCEL:
            worlds.counts[rows, W.CANCEL_COUNT] = np.isfinite(minutes).sum(axis=1)


@kernel
def begin_day(w, roads):
    """Put a day whose tables stand (`fill`) at its first minute."""
    bookings, drivers = w.size[D.BOOKINGS], w.size[D.DRIVERS]
    D.derive(w.bookings, bookings, roads)
    w.counts[W.LATER] = bookings
    now, end = np.inf, 0.0
    for d in range(drivers):
        now = min(now, w.drivers[d, D.SHIFT_START])
        end = max(end, w.drivers[d, D.SHIFT_END])
    for b in range(bookings):
        if w.bookings[b, D.ANNOUNCE] > 0.0:
            now = min(now, w.bookings[b, D.ANNOUNCE])
        for d in range(w.state.shape[0]):
            w.where[b, d, W.FOUND_FOR] = -1
    w.money[W.NOW] = w.money[W.DAY_BEGIN] = now
    w.money[W.DAY_END] = end
    for d in range(drivers):
        node = 2 * w.bookings.shape[0] + 2 * d
        P.begin(W.plan_of(w, d), w.drivers[d], node, roads, w.bookings, now)
    dynamics.begin_calls(w)


@kernel
def show(i, worlds, view, out):
    """Write what copy `i` shows now: insertions, mask, observation."""
    w = W.row(worlds, i)
    roads = W.roads_of(w, view.minutes, view.km)
    weights = I.weights_of(view.weights)
    boarded, found = out.scratch[i, : P.MAX_STOPS], out.scratch[i, P.MAX_STOPS :]
    observe.look(w, roads, weights, view.board, boarded, found)
    observe.write_mask(w, view.board, out.mask[i])
    observe.write_observation(w, view.board, view.scale, out.obs[i])


@kernel
def _cost(w):
    total = 0.0
    for part in range(W.PARTS):
        total += w.money[part]
    return total


@kernel
def act(w, action, roads, view):
    """Carry out one possible action at the present clock time, and wait where it says so."""
    board, drivers = view.board, w.state.shape[0]
    weights = I.weights_of(view.weights)
    w.counts[W.DECISIONS] += 1
    if action > drivers * board:
        b = w.open[action - 1 - drivers * board]
        dynamics.withdraw(w, b, W.REJECTED, weights)
    elif action != WAIT:
        d, b = (action - 1) // board, w.open[(action - 1) % board]
        i, j = w.where[b, d, W.PUT_PICKUP], w.where[b, d, W.PUT_DROPOFF]
        dynamics.close(w, b, W.PLANNED)
        w.rides[b, W.BY_DRIVER] = d
        now = w.money[W.NOW]
        if not P.insert(W.plan_of(w, d), b, i, j, roads, w.bookings, now):
            w.counts[W.VIOLATIONS] += 1
    if action == WAIT or w.counts[W.OPEN] == 0:
        dynamics.advance(w, roads, weights)
    else:
        dynamics.settle(w, roads)


@kernel
def act_row(i, worlds, view, actions, out):
    """Step copy `i`; what it shows then is left to `show`."""
    w = W.row(worlds, i)
    roads = W.roads_of(w, view.minutes, view.km)
    minute = np.floor(w.money[W.NOW])
    before = _cost(w)
    for part in range(W.PARTS):
        out.terms[i, part] = w.money[part]
    act(w, actions[i], roads, view)
    out.reward[i] = before - _cost(w)
    for part in range(W.PARTS):
        out.terms[i, part] -= w.money[part]
    out.elapsed[i] = np.int64(np.floor(w.money[W.NOW]) - minute)
    done = w.counts[W.DONE] == 1
    out.terminated[i] = done
    if done:
        write_kpis(w, out.scratch[i], out.final_kpis[i])


# One entry, because each one is compiled with all that it calls. It holds no lock of Python's, so
# that several threads may run it, each with rows of its own.
@kernel_entry
def run(what, worlds, rows, view, actions, out):
    """Begin the days of some copies, or let these act, or neither; then show them.

    Args:
        what: BEGIN, ACT or SHOW.
        rows: int64, which copies.
        actions: int64 (N,), of all copies.
    """
    for i in rows:
        if what == ACT:
            act_row(i, worlds, view, actions, out)
        elif what == BEGIN:
            w = W.row(worlds, i)
            T.write_xyz(w.rule[T.KIND], w.coordinates, w.xyz)
            T.write_near(w.rule, w.coordinates, w.near)
            begin_day(w, W.roads_of(w, view.minutes, view.km))
        show(i, worlds, view, out)


@kernel
def write_kpis_of(worlds, i, scratch, out):
    """The KPIs of copy `i` so far, into (KPIS,); `scratch` as for `write_kpis`."""
    write_kpis(W.row(worlds, i), scratch, out)


def first_masked(mask: NDArray[np.bool_], actions: NDArray[np.int64]) -> int:
    """The first row whose action is not possible, or -1."""
    known = (actions >= 0) & (actions < mask.shape[1])
    good = known & mask[np.arange(len(actions)), np.where(known, actions, 0)]
    return -1 if good.all() else int(np.argmin(good))
