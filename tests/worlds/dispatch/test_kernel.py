"""What must hold at every decision: conservation, no violation, the reward is the cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.errors import InputError
from compagnon.worlds.dispatch import plans, running_days
from compagnon.worlds.dispatch import tables as day_tables
from compagnon.worlds.dispatch.kpis import KPI_NAMES, gini, satisfaction
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from tests.worlds.dispatch.worlds import first_feasible, random_actions, recount

ENDS = ("served", "rejected", "cancelled", "no_show", "taxis")  # of a booking


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**40),
    tightness=st.floats(0.3, 2.5),
    delays=st.floats(0, 3),
    no_show=st.floats(0, 0.4),
    cancel=st.floats(0, 0.6),
)
def test_every_ride_is_somewhere_and_nothing_is_violated(seed, tightness, delays, no_show, cancel):
    env = DispatchVectorEnv(
        2, preset="clinic-day", tightness=tightness, delay_minutes=delays, no_show=no_show,
        cancel=cancel,
    )  # fmt: skip
    _, info = env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    for _ in range(60):
        for row in range(2):
            recount(env._core.worlds, row)
        obs, _, _, _, info = env.step(random_actions(info["action_mask"], rng))
        assert (obs >= env.single_observation_space.low).all()
        assert (obs <= env.single_observation_space.high).all()


@pytest.mark.parametrize("preset", ["clinic-day", "city"])
def test_the_return_is_minus_the_cost(preset):
    env = DispatchVectorEnv(4, preset=preset)
    _, info = env.reset(seed=11)
    rng = np.random.default_rng(0)
    returns, checked = np.zeros(4), 0
    while checked < 8:
        _, reward, ended, _, info = env.step(random_actions(info["action_mask"], rng))
        returns += reward
        assert info["reward_terms"].sum(axis=1) == pytest.approx(reward, abs=1e-9)
        for row in np.flatnonzero(ended):
            kpis = dict(zip(KPI_NAMES, info["final_info"]["kpis"][row], strict=True))
            assert kpis["cost"] == pytest.approx(-returns[row], abs=1e-8)
            parts = [kpis[f"cost_{part}"] for part in running_days.COST_PARTS]
            assert kpis["cost"] == pytest.approx(sum(parts))
            assert kpis["generated"] == sum(kpis[name] for name in ENDS)
            assert kpis["violations"] == 0
            returns[row] = 0.0
            checked += 1


@pytest.mark.parametrize("what", ["a load", "a gap", "a call"])
def test_the_recount_sees_what_was_not_kept_up(what):
    env = DispatchVectorEnv(1, preset="clinic-day")
    _, info = env.reset(seed=3)
    w = env._core.worlds
    while not (w.codes[0, :, 1, plans.LOAD_AFTER] > 0).any():
        _, _, _, _, info = env.step(first_feasible(info["action_mask"], env.layout))
    recount(w)
    d = int(np.argmax(w.codes[0, :, 1, plans.LOAD_AFTER]))
    if what == "a load":
        w.codes[0, d, 1, plans.LOAD_AFTER] -= 1
    elif what == "a gap":
        w.gaps[0, d, 1, plans.DONE] += 1.0
    else:
        w.counts[0, running_days.ON_CALL] += 1
    with pytest.raises(AssertionError):
        recount(w)


def test_two_policies_meet_the_same_day():
    days = []
    for policy in ("random", "wait"):
        env = DispatchVectorEnv(1, preset="clinic-day")
        _, info = env.reset(seed=4)
        rng = np.random.default_rng(1)
        for _ in range(30):
            mask = info["action_mask"]
            actions = random_actions(mask, rng) if policy == "random" else np.zeros(1, int)
            _, _, ended, _, info = env.step(actions)
            if ended.any():
                break
            days.append((policy, env._core.worlds.bookings.copy()))
    first = days[0][1]
    assert all(np.array_equal(tables, first) for _, tables in days)


@pytest.mark.parametrize("num_envs", [3, 40])
def test_a_day_goes_on_where_it_was_saved(num_envs):
    env = DispatchVectorEnv(num_envs, preset="clinic-day")
    _, info = env.reset(seed=9)
    rng = np.random.default_rng(2)
    for _ in range(25):
        _, _, _, _, info = env.step(random_actions(info["action_mask"], rng))
    again = DispatchVectorEnv(num_envs, preset="clinic-day")
    again.load_state_dict(env.state_dict())
    for _ in range(40):
        actions = random_actions(info["action_mask"], rng)
        one, other = env.step(actions), again.step(actions)
        info = one[4]
        for a, b in zip(one[:4], other[:4], strict=True):
            assert np.array_equal(a, b)
        assert np.array_equal(info["action_mask"], other[4]["action_mask"])
    mine, theirs = env.state_dict(), again.state_dict()
    assert all(np.array_equal(mine[name], theirs[name]) for name in mine)


def test_a_masked_action_is_refused_and_nothing_moves():
    env = DispatchVectorEnv(2, preset="clinic-day")
    _, info = env.reset(seed=1)
    masked = int(np.flatnonzero(~info["action_mask"][1])[0])
    before = env.state_dict()
    for wrong in (masked, -1, env.single_action_space.n):
        with pytest.raises(InputError, match=r"of copy 1 is (not possible|outside)"):
            env.step(np.array([0, wrong]))
    after = env.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_the_counter_sees_a_stop_after_its_limit_and_a_jump():
    for column, shift in ((plans.LIMIT, -400.0), (plans.START, -30.0)):
        env = DispatchVectorEnv(1, preset="clinic-day")
        _, info = env.reset(seed=6)
        worlds = env._core.worlds
        while not (worlds.state[0, :, plans.PHASE] == plans.DRIVES).any():
            _, _, _, _, info = env.step(first_feasible(info["action_mask"], env.layout))
        d = int(np.flatnonzero(worlds.state[0, :, plans.PHASE] == plans.DRIVES)[0])
        worlds.stops[0, d, 0, column] += shift
        before = int(worlds.counts[0, running_days.VIOLATIONS])
        while worlds.state[0, d, plans.PHASE] == plans.DRIVES:
            _, _, _, _, info = env.step(np.zeros(1, int))
        assert worlds.counts[0, running_days.VIOLATIONS] > before


def test_satisfaction_and_gini_by_hand():
    assert satisfaction(0.0, 0.0, 0.0) == 5.0
    assert satisfaction(15.0, 45.0, 30.0) == pytest.approx(2.0)
    assert satisfaction(600.0, 0.0, 0.0) == 1.0
    assert gini(np.array([3.0, 3.0, 3.0])) == 0.0
    assert gini(np.array([0.0, 0.0, 4.0, 0.0])) == pytest.approx(0.75)


@pytest.mark.slow
def test_a_million_random_decisions_break_nothing():
    env = DispatchVectorEnv(128, preset="city", copy=False)
    _, info = env.reset(seed=0)
    rng = np.random.default_rng(0)
    decisions = violations = 0
    while decisions < 1_000_000:
        _, _, ended, _, info = env.step(random_actions(info["action_mask"], rng))
        decisions += 128
        violations += int(env._core.worlds.counts[:, running_days.VIOLATIONS].sum())
        if ended.any():
            kpis = info["final_info"]["kpis"][ended]
            violations += int(kpis[:, KPI_NAMES.index("violations")].sum())
            ends = [KPI_NAMES.index(name) for name in ENDS]
            assert np.array_equal(kpis[:, KPI_NAMES.index("generated")], kpis[:, ends].sum(axis=1))
        counts = env._core.worlds.counts
        assert np.array_equal(
            counts[:, :8].sum(axis=1), env._core.worlds.size[:, day_tables.BOOKINGS]
        )
    assert violations == 0
