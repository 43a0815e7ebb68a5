"""Futures of a week: what is seen of a shop stays, and of what is hidden nothing is kept."""

import numpy as np
import pytest

from compagnon.worlds.workshop import arrays, kernel
from compagnon.worlds.workshop.futures import rush_chance
from compagnon.worlds.workshop.vector import WorkshopVectorEnv

VOLATILE = {
    "decision_points": True, "demand": "tight", "minutes_between_failures": 400.0,
    "repair_minutes": 60.0, "calm_factor": 0.75, "rush_factor": 2.5, "calm_minutes": 1440.0,
    "rush_minutes": 720.0,
}  # fmt: skip


def played(num_envs, steps, seed=0, **args):
    """Shops of different weeks after some random decisions."""
    env = WorkshopVectorEnv(num_envs, **{**VOLATILE, **args})
    _, info = env.reset(seed=list(range(seed, seed + num_envs)))
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        mask = info["action_mask"]
        actions = (rng.random(mask.shape) * mask).argmax(axis=1)
        _, _, _, _, info = env.step(np.where(rng.random(num_envs) < 0.7, 200, actions))
    return env


def shown(env):
    """What the shops show, looked at anew."""
    core = env.core
    for i in range(env.num_envs):
        kernel.observe(
            core.shops.state[i], core.shops.money[i], core.out.obs[i], core.out.mask[i],
            core._columns, core._scale,
        )  # fmt: skip
    return core.out.obs.copy(), core.out.mask.copy()


def test_all_that_is_seen_stays():
    env = played(64, 200)
    obs, mask = shown(env)
    assert (env.core.shops.state[:, arrays.M1_DOWN] > 0).any()
    assert (env.core.shops.state[:, arrays.RUSH] == 1).any()
    env.redraw(np.arange(64, dtype=np.uint64))
    after = shown(env)
    assert np.array_equal(after[0], obs)
    assert np.array_equal(after[1], mask)


def test_nothing_of_what_is_hidden_is_left():
    """Shops that look alike and are not go on alike, whatever they hid."""
    env = played(64, 200)
    twin = played(64, 200)
    state = twin.core.shops.state
    state[:, arrays.RUSH] = 1 - state[:, arrays.RUSH]
    for down in (arrays.M1_DOWN, arrays.M2_DOWN):
        state[:, down] += 500 * (state[:, down] > 0)
    twin.core.shops.seeds[:, 1] += np.uint64(12345)
    assert np.array_equal(shown(twin)[0], shown(env)[0])
    for one in (env, twin):
        one.redraw(np.arange(64, dtype=np.uint64))
    for name, array in env.core.shops._asdict().items():
        assert np.array_equal(array, getattr(twin.core.shops, name)), name


@pytest.mark.full
def test_a_rush_is_thought_as_likely_as_it_is():
    """Of shops with much the same recent demand, so many are in a rush."""
    env = played(3_000, 500, seed=7)
    shops, params = env.core.shops, env.core.params
    rush = shops.state[:, arrays.RUSH] == 1
    thought = np.array([
        rush_chance(int(state[arrays.TIME]), float(money[arrays.RECENT_DEMAND]), params)
        for state, money in zip(shops.state, shops.money, strict=True)
    ])  # fmt: skip
    assert thought.mean() == pytest.approx(rush.mean(), abs=0.03)
    for low, high, off in ((0.0, 0.2, 0.05), (0.2, 0.8, 0.2), (0.8, 1.01, 0.08)):
        inside = (thought >= low) & (thought < high)
        assert inside.sum() > 100
        assert rush[inside].mean() == pytest.approx(thought[inside].mean(), abs=off)


def test_without_rushes_there_is_none():
    env = played(8, 20, calm_minutes=0.0)
    assert rush_chance(600, 50.0, env.core.params) == 0.0
    env.redraw(np.arange(8, dtype=np.uint64))
    assert (env.core.shops.state[:, arrays.RUSH] == 0).all()


@pytest.mark.full
def test_a_repair_takes_as_long_as_repairs_do():
    env = played(2_000, 150, seed=3)
    down = env.core.shops.state[:, arrays.M1_DOWN] > 0
    assert down.sum() > 100
    env.redraw(np.arange(2_000, dtype=np.uint64))
    left = env.core.shops.state[down, arrays.M1_DOWN]
    assert left.min() >= 1
    assert left.mean() == pytest.approx(60.0, rel=0.25)
