"""What makes the world fast must change nothing: what is remembered, and threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.envs import kernels
from compagnon.worlds.dispatch import kernel, running_days
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from tests.worlds.dispatch.worlds import first_feasible, random_actions


def look_again(core):
    """Forget every insertion that was found, find all anew, and hold them against the old ones."""
    w, out = core.worlds, core.out
    obs, mask, found, where = out.obs.copy(), out.mask.copy(), w.found.copy(), w.where.copy()
    shown = [
        w.open[i, : min(core.layout.board, w.counts[i, running_days.OPEN])] for i in range(len(obs))
    ]
    w.where[..., running_days.FOUND_FOR] = -1
    rows = np.arange(len(obs))
    kernel.run(kernel.SHOW, w, rows, core.settings, core.view, np.zeros_like(rows), out)
    assert np.array_equal(mask, out.mask)
    assert np.array_equal(obs, out.obs)
    for i, bookings in enumerate(shown):
        assert np.array_equal(found[i, bookings], w.found[i, bookings])
        places = slice(running_days.PUT_PICKUP, running_days.PUT_DROPOFF + 1)
        assert np.array_equal(where[i, bookings, :, places], w.where[i, bookings, :, places])
    # So that the next comparison is with what the steps remembered, not with this look.
    w.found[...], w.where[...] = found, where


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**40),
    preset=st.sampled_from(["clinic-day", "city"]),
    tightness=st.floats(0.5, 2.0),
    delays=st.floats(0, 3),
    cancel=st.floats(0, 0.5),
    thrift=st.floats(0, 1),
)
def test_what_is_remembered_is_what_would_be_found_anew(
    seed, preset, tightness, delays, cancel, thrift
):
    env = DispatchVectorEnv(
        2, preset=preset, tightness=tightness, delay_minutes=delays, cancel=cancel
    )
    _, info = env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    for _ in range(80):
        look_again(env._core)
        mask = info["action_mask"]
        waits = rng.random() < thrift  # long idle times, too
        actions = np.zeros(2, np.int64) if waits else random_actions(mask, rng)
        if rng.random() < 0.5:
            actions = first_feasible(mask, env.layout)
        _, _, _, _, info = env.step(actions)


def test_looking_again_would_notice_what_is_out_of_date():
    env = DispatchVectorEnv(2, preset="clinic-day")
    env.reset(seed=0)
    look_again(env._core)
    env._core.worlds.found[1, env._core.worlds.open[1, 0], 2] += 1.0
    with pytest.raises(AssertionError):
        look_again(env._core)


@kernels.kernel_entry
def ask_for(table, offset):
    kernels.prefetch(table, offset)


def test_asking_for_memory_changes_none_and_may_miss():
    table = np.arange(12.0).reshape(3, 4)
    for offset in (0, 40, 4096, 2**40):  # beyond the table, too: nothing is read
        ask_for(table, offset)
    assert np.array_equal(table, np.arange(12.0).reshape(3, 4))


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_share_all_rows_and_each_once(threads, monkeypatch):
    monkeypatch.setattr(kernels.numba, "get_num_threads", lambda: threads)
    pool, seen = kernels.Threads(worth=8), []
    pool.share(lambda rows: seen.extend(rows.tolist()), np.arange(50))
    assert sorted(seen) == list(range(50))
    seen.clear()
    pool.share(lambda rows: seen.append(rows.tolist()), np.arange(7))
    assert seen == [list(range(7))]  # too few to wake anybody


def test_a_thread_that_fails_is_heard(monkeypatch):
    monkeypatch.setattr(kernels.numba, "get_num_threads", lambda: 2)

    def work(rows):
        if rows[0] > 0:
            raise ValueError("the second part")

    with pytest.raises(ValueError, match="second part"):
        kernels.Threads(worth=1).share(work, np.arange(4))


def test_the_number_of_threads_changes_no_day(monkeypatch):
    results = []
    for threads in (1, 2):
        monkeypatch.setattr(kernels.numba, "get_num_threads", lambda threads=threads: threads)
        env = DispatchVectorEnv(40, preset="clinic-day")
        obs, info = env.reset(seed=3)
        rng, shown = np.random.default_rng(0), [obs]
        for _ in range(40):
            obs, reward, _, _, info = env.step(random_actions(info["action_mask"], rng))
            shown += [obs, reward]
        results.append(shown)
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)
