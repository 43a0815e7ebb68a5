"""The discrete pendulum is Gymnasium's pendulum, and its copies are the single one."""

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from compagnon.envs import BatchEnv, make
from compagnon.errors import InputError
from compagnon.worlds.classics import DISCRETE_PENDULUM
from compagnon.worlds.classics.discrete_pendulum import torque_levels
from tests.rl.small import through_disk


def test_gymnasiums_checker_finds_nothing():
    check_env(make(DISCRETE_PENDULUM).unwrapped, skip_render_check=True)


def test_the_torques_by_hand():
    np.testing.assert_array_equal(torque_levels(5), [-2, -1, 0, 1, 2])
    np.testing.assert_array_equal(torque_levels(2), [-2, 2])


@pytest.mark.parametrize("levels", [1, 0, -3, 1002, 2.5, "5", True, None])
def test_other_numbers_of_torques_are_refused(levels):
    with pytest.raises(InputError, match="levels="):
        torque_levels(levels)


@pytest.mark.parametrize("levels", [2, 5])
@pytest.mark.parametrize("g", [10.0, 9.81])
def test_an_action_does_what_its_torque_does_in_gymnasiums(levels, g):
    own, other = make(DISCRETE_PENDULUM, levels=levels, g=g), gymnasium.make("Pendulum-v1", g=g)
    rng, torques = np.random.default_rng(0), torque_levels(levels)
    np.testing.assert_array_equal(own.reset(seed=7)[0], other.reset(seed=7)[0])
    for step in range(200):
        action = int(rng.integers(levels))
        found, wanted = own.step(action), other.step(torques[action][None])
        np.testing.assert_array_equal(found[0], wanted[0])
        assert found[1:4] == wanted[1:4]
        assert found[3] == (step == 199)
    with pytest.raises(ResetNeeded):
        own.step(0)


def test_copies_are_single_ones_and_begin_again_within_the_step():
    env = BatchEnv(DISCRETE_PENDULUM, {}, 2)
    env.reset([3, 4])
    single = [make(DISCRETE_PENDULUM) for _ in range(2)]
    for one, seed in zip(single, (3, 4), strict=True):
        one.reset(seed=seed)
    rng = np.random.default_rng(0)
    for step in range(205):
        actions = rng.integers(5, size=2)
        found = env.step(actions)
        for copy, one in enumerate(single):
            obs, reward, _, truncated, _ = one.step(int(actions[copy]))
            np.testing.assert_array_equal(found.next_obs[copy], obs)
            assert found.reward[copy] == pytest.approx(reward, abs=1e-12)
            assert found.truncated[copy] == truncated == (step == 199)
            if truncated:
                obs, _ = one.reset()
            np.testing.assert_array_equal(found.obs[copy], obs)
    assert [field.name for field in env.fields] == ["cos_angle", "sin_angle", "angular_velocity"]


def test_a_saved_pendulum_goes_on_as_the_same_one():
    env, other = BatchEnv(DISCRETE_PENDULUM, {}, 2), BatchEnv(DISCRETE_PENDULUM, {}, 2)
    env.reset([3, 4])
    for _ in range(150):
        env.step(np.array([0, 4]))
    other.load_state_dict(through_disk(env.state_dict()))
    np.testing.assert_array_equal(other.obs, env.obs)
    for _ in range(100):
        found, wanted = other.step(np.array([1, 2])), env.step(np.array([1, 2]))
        for part, value in zip(found[:6], wanted[:6], strict=True):
            np.testing.assert_array_equal(part, value)


@pytest.mark.parametrize(
    "actions", [np.array([0, 5]), np.array([-1, 0]), np.array([0.0, 1.0]), np.array([0])]
)
def test_what_is_no_action_is_refused_before_anything_moves(actions):
    env = BatchEnv(DISCRETE_PENDULUM, {}, 2)
    env.reset([3, 4])
    before = env.obs.copy()
    with pytest.raises(InputError):
        env.step(actions)
    np.testing.assert_array_equal(env.obs, before)


def test_a_single_one_says_what_is_wrong():
    env = make(DISCRETE_PENDULUM).unwrapped
    with pytest.raises(ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    with pytest.raises(InputError, match="there are 0 to 4"):
        env.step(5)


def test_it_can_be_seen():
    env = make(DISCRETE_PENDULUM, render_mode="rgb_array")
    env.reset(seed=0)
    env.step(4)
    assert env.render().shape == (500, 500, 3)
