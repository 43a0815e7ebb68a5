"""Futures of a day: all that dispatch knows stays; of the rest nothing is kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.worlds.dispatch import kernel, plans, running_days, tables
from compagnon.worlds.dispatch.generator import generate
from compagnon.worlds.dispatch.vector import DispatchVectorEnv

CACHES = ("found", "where", "obs", "mask")  # what is found anew when it is looked for
ROUGH = {
    "traffic_day": 0.2, "traffic_hour": 0.2, "late_ready": 0.3, "breakdown": 0.5,
    "halt_minutes": 2.0,
}  # fmt: skip
SAVED = [generate("clinic-day", seed) for seed in (11, 12, 13)]


def played(steps, seed, num_envs=2, **args):
    """Copies of one day after some decisions drawn at random, the same in each."""
    env = DispatchVectorEnv(num_envs, **{"preset": "clinic-day", **args})
    _, info = env.reset(seed=[seed] * num_envs)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        possible = np.flatnonzero(info["action_mask"][0])
        weights = np.where(possible == 0, 3.0, 1.0)
        action = rng.choice(possible, p=weights / weights.sum())
        if env.world.counts[0, running_days.DONE]:
            break
        _, _, _, _, info = env.step(np.full(num_envs, action))
    return env


def seeds(*numbers):
    return np.array(numbers, np.uint64)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(0, 90), seed=st.integers(0, 10_000), replayed=st.booleans(),
    rough=st.booleans(),
)  # fmt: skip
def test_all_that_is_seen_stays(steps, seed, replayed, rough):
    args = ROUGH if rough else {}
    env = played(steps, seed, instances=SAVED if replayed else None, **args)
    before = env.state_dict()
    env.redraw(seeds(1, 2))
    env.world.where[..., running_days.FOUND_FOR] = -1
    core = env._core
    core._run(kernel.SHOW, core._all, core._all)
    after = env.state_dict()
    assert np.array_equal(after["obs"], before["obs"])
    assert np.array_equal(after["mask"], before["mask"])
    # When a vehicle will break down nobody knows, nor what happens next.
    unseen = [plans.BREAKS_DOWN, plans.NEXT] if rough else []
    for state in (before, after):
        state["times"][..., unseen] = 0.0
    for name in ("money", "codes", "stops", "state", "times", "rides"):
        assert np.array_equal(after[name], before[name]), name
    known = before["status"] != running_days.LATER
    for k in range(2):
        rows = np.flatnonzero(known[k][: before["size"][k, tables.BOOKINGS]])
        for column in (tables.PICKUP_FROM, tables.PICKUP_TO, tables.DROPOFF_TO, tables.PRIORITY):
            assert np.array_equal(
                after["bookings"][k, rows, column], before["bookings"][k, rows, column]
            )


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(0, 90), seed=st.integers(0, 10_000), replayed=st.booleans(),
    rough=st.booleans(),
)  # fmt: skip
@pytest.mark.full
def test_nothing_of_the_true_future_is_left(steps, seed, replayed, rough):
    """From two different ends of one day the same seed draws the same future, bit for bit."""
    args = ROUGH if rough else {}
    env = played(steps, seed, instances=SAVED if replayed else None, **args)
    env.redraw(seeds(1, 2))
    env.redraw(seeds(3, 3))
    for name, array in env.state_dict().items():
        if name not in CACHES:
            assert np.array_equal(array[0], array[1], equal_nan=True), name


def test_different_seeds_draw_different_futures():
    env = played(5, 3, num_envs=16)
    env.redraw(np.arange(16, dtype=np.uint64))
    calls = {tuple(row[:, tables.ANNOUNCE]) for row in env.world.bookings}
    assert len(calls) == 16


def test_a_future_is_a_day_like_others():
    """At the begin of days: as many rides, returns and cancellations come as days have."""
    env = DispatchVectorEnv(400, preset="clinic-day")
    env.reset(seed=list(range(400)))

    def figures():
        w = env.world
        there = np.arange(w.bookings.shape[1]) < w.size[:, tables.BOOKINGS, None]
        there &= np.isfinite(w.bookings[..., tables.ANNOUNCE])
        later = there & (w.status == running_days.LATER)
        rows = w.bookings[there]
        calls = w.bookings[..., tables.ANNOUNCE][later]
        now = w.money[:, running_days.NOW, None]
        cancelled = w.bookings[..., tables.CANCEL]
        to_come = np.isfinite(cancelled) & (cancelled > now) & there
        return np.array(
            [
                there.sum() / 400,
                later.sum() / 400,
                calls.mean(),
                100 * to_come.sum() / there.sum(),
                100 * (rows[:, tables.NO_SHOW] > 0).mean(),
                rows[:, tables.BOARDING_DELAY].mean(),
            ]
        )

    true = figures()
    env.redraw(np.arange(1_000, 1_400, dtype=np.uint64))
    drawn = figures()
    assert drawn[:2] == pytest.approx(true[:2], abs=0.8)  # rides a day
    assert drawn[2] == pytest.approx(true[2], abs=12.0)  # minute of a call
    assert drawn[3:] == pytest.approx(true[3:], abs=0.7)  # per cent, per cent, minutes


def test_a_day_goes_on_without_a_fault_in_any_future():
    env = played(40, 9, num_envs=64)
    env.redraw(np.arange(64, dtype=np.uint64))
    rng = np.random.default_rng(0)
    info, ended, kpis = env.observe()[1], np.zeros(64, np.bool_), []
    names = list(env.kpi_names)
    while not ended.all():
        actions = [rng.choice(np.flatnonzero(mask)) for mask in info["action_mask"]]
        _, _, terminated, _, info = env.step(np.array(actions))
        for k in np.flatnonzero(terminated & ~ended):
            kpis.append(info["final_info"]["kpis"][k])
        ended |= terminated
    kpis = np.array(kpis)
    assert (kpis[:, names.index("violations")] == 0).all()
    ends = ("served", "rejected", "cancelled", "no_show", "taxis")
    parts = [names.index(name) for name in ends]
    assert np.array_equal(kpis[:, names.index("generated")], kpis[:, parts].sum(axis=1))


def test_one_saved_day_alone_foretells_no_call():
    env = played(10, 0, instances=SAVED[:1])
    env.redraw(seeds(5, 6))
    w = env.world
    later = w.status[0] == running_days.LATER
    alone = later & (w.bookings[0, :, tables.LINKED_TO] < 0)
    assert not np.isfinite(w.bookings[0, alone, tables.ANNOUNCE]).any()


def test_what_happens_to_a_saved_day_is_not_learnt_from_itself():
    """No-shows of ways back and the times of calls, of days that tell nothing of each other."""
    odd = generate("clinic-day", 21)
    odd.bookings.no_show[:] = True
    odd.bookings.boarding_delay[:] = 77.0
    others = [generate("clinic-day", seed) for seed in (22, 23)]
    for days in ([odd], [odd, *others]):
        env = DispatchVectorEnv(4, instances=days)
        env.reset(seed=[0, 0, 0, 0])
        env.redraw(seeds(1, 2, 3, 4))
        w = env.world
        known = np.flatnonzero(np.isfinite(w.bookings[0, :, tables.ANNOUNCE]))
        known = known[w.status[0, known] <= running_days.PLANNED]
        assert len(known) > 5
        assert (w.bookings[:, known, tables.BOARDING_DELAY] < 7.0).all()
        back = known[w.bookings[0, known, tables.LINKED_TO] >= 0]
        assert len(back)
        assert (w.bookings[:, back, tables.NO_SHOW] == 0.0).all()


def test_the_hours_that_were_driven_stay_and_tell_of_those_to_come():
    """A day at half the speed, whose hours differ little: it goes on at about half the speed."""
    env = played(5, 4, num_envs=300, traffic_day=0.5, traffic_hour=0.1)
    w = env.world
    begin = w.money[0, running_days.DAY_BEGIN]
    while w.money[0, running_days.NOW] < begin + 180.0:
        env.step(np.zeros(300, np.int64))
    now = w.money[0, running_days.NOW]
    w.speed_real[:] = 0.5 * w.speed
    w.state[..., plans.PHASE] = np.where(  # nobody knows more than the hour
        w.state[..., plans.PHASE] == plans.DRIVES, plans.WAITS, w.state[..., plans.PHASE]
    )
    env.redraw(np.arange(300, dtype=np.uint64))
    first, last = int(begin // 60), int(np.ceil(now / 60.0)) - 1
    logs = np.log(w.speed_real / w.speed)
    past = np.arange(first, last + 1)
    assert np.allclose(logs[:, past], np.log(0.5))
    n, of_day, of_hour = len(past), 0.25, 0.01
    factor = n * np.log(0.5) * of_day / (n * of_day + of_hour)
    spread = of_day * of_hour / (n * of_day + of_hour) + of_hour
    later = logs[:, last + 1 : 24]
    assert later.mean() == pytest.approx(factor, abs=0.02)
    assert later.std() == pytest.approx(np.sqrt(spread), rel=0.1)


def test_who_knows_when_he_will_be_there_knows_the_hours_until_then():
    env = played(60, 2, num_envs=40, traffic_hour=0.3)
    w = env.world
    before, start = w.speed_real.copy(), w.stops[:, :, 0, plans.START].copy()
    driving = (w.state[..., plans.PHASE] == plans.DRIVES) & (
        w.codes[:, :, 0, plans.NODE] != plans.BREAK
    )
    assert driving.any()
    env.redraw(np.arange(40, dtype=np.uint64))
    assert np.array_equal(w.stops[:, :, 0, plans.START], start)
    now = w.money[0, running_days.NOW]
    changed = (w.speed_real != before).any(axis=0)
    begin = int(w.money[0, running_days.DAY_BEGIN] // 60)
    assert not changed[begin : int(np.ceil(now / 60))].any()
    assert changed[20:].all()


def test_a_breakdown_to_come_is_drawn_for_what_is_left_of_the_shift():
    env = played(40, 3, num_envs=600, breakdown=0.5)
    w = env.world
    now = w.money[0, running_days.NOW]
    w.times[..., plans.BROKE_AT] = 0.0
    w.times[:, 0, plans.BROKE_AT] = now - 30.0  # one of them had his
    env.redraw(np.arange(600, dtype=np.uint64))
    at, drivers = w.times[..., plans.BREAKS_DOWN], w.drivers
    begin, end = drivers[0, :, tables.SHIFT_START], drivers[0, :, tables.SHIFT_END]
    share = np.clip((end - np.maximum(begin, now)) / (end - begin), 0.0, 1.0)
    chance = 0.5 * share / (1.0 - 0.5 * (1.0 - share))
    comes = np.isfinite(at)
    out = w.state[0, :, plans.PHASE] != plans.OFF
    assert comes[:, 1:][:, out[1:]].mean(axis=0) == pytest.approx(chance[1:][out[1:]], abs=0.06)
    assert (at[comes] > now).all()


def test_rough_days_go_on_without_a_fault_in_any_future():
    env = played(40, 9, num_envs=64, **ROUGH)
    env.redraw(np.arange(64, dtype=np.uint64))
    rng = np.random.default_rng(0)
    info, ended, names = env.observe()[1], np.zeros(64, np.bool_), list(env.kpi_names)
    while not ended.all():
        actions = [rng.choice(np.flatnonzero(mask)) for mask in info["action_mask"]]
        _, _, terminated, _, info = env.step(np.array(actions))
        for k in np.flatnonzero(terminated & ~ended):
            assert info["final_info"]["kpis"][k][names.index("violations")] == 0
        ended |= terminated
