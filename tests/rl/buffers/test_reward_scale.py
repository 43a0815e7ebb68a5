"""Scaled rewards, against numbers worked out by hand."""

import numpy as np
import pytest

from compagnon.policy.schema import ActionSchema
from compagnon.rl.buffers.reward_scale import (
    RunningRewardScale,
    discounted_returns,
    standardised_by_trajectory,
)
from compagnon.rl.buffers.rollout import Rollout
from tests.rl.small import through_disk


def rollout_of(rewards, ends=None, discount=0.5, used=None) -> Rollout:
    rewards = np.asarray(rewards, np.float64).T  # one row a copy -> (T, N)
    rollout = Rollout(*rewards.shape, 1, ActionSchema("discrete", 2))
    rollout.rewards[:] = rewards
    rollout.discounts[:] = discount
    if ends is not None:
        rollout.dones[:] = np.asarray(ends, np.bool_).T
    if used is not None:
        rollout.used = np.asarray(used, np.bool_).T
    return rollout


# With discount 1/2: 4, then 2 + 4 / 2 = 4, which ends; then 6 anew. Before it stood 8: 4 + 8 / 2.
@pytest.mark.parametrize(("before", "wanted"), [(0.0, [4, 4, 6]), (8.0, [8, 6, 6])])
def test_discounted_returns_by_hand(before, wanted):
    rollout = rollout_of([[4, 2, 6]], [[0, 1, 0]])
    returns = np.array([before])
    traces = discounted_returns(rollout.rewards, rollout.dones, rollout.discounts, returns)
    np.testing.assert_array_equal(traces[:, 0], wanted)
    assert returns[0] == 6


def test_running_rewards_are_divided_by_the_deviation_of_the_return():
    scale = RunningRewardScale(1)
    np.testing.assert_allclose(
        scale(rollout_of([[4, 2, 6]], [[0, 1, 0]]))[:, 0], np.array([4, 2, 6]) / np.std([4, 4, 6])
    )
    # 6 / 2 + 1 = 4 goes on from before; the deviation is that of everything seen
    second = scale(rollout_of([[1, 0, 0]]))
    np.testing.assert_allclose(second[0, 0], 1 / np.std([4, 4, 6, 4, 2, 1]))


def test_an_episode_that_is_forgotten_does_not_go_on():
    scale = RunningRewardScale(1)
    scale(rollout_of([[4, 2, 6]], [[0, 1, 0]]))
    scale.forget_episodes()
    np.testing.assert_allclose(
        scale(rollout_of([[1, 0, 0]]))[0, 0], 1 / np.std([4, 4, 6, 1, 0.5, 0.25])
    )


def test_steps_that_do_not_count_are_not_taken_into_account():
    scale = RunningRewardScale(2)
    rollout = rollout_of(
        [[4, 2, 6], [1, 99, 99]], [[0, 0, 1], [1, 0, 0]], used=[[1, 1, 1], [1, 0, 0]]
    )
    for _ in range(2):  # nor do they go on into the next rollout
        scaled = scale(rollout)
        np.testing.assert_allclose(scaled[0], np.array([4, 1]) / np.std([4, 4, 8, 1]))


def test_scaling_does_not_depend_on_the_unit():
    rng = np.random.default_rng(0)
    rewards, ends = rng.normal(size=(4, 50)), rng.random((4, 50)) < 0.1
    one, other = RunningRewardScale(4), RunningRewardScale(4)
    for _ in range(3):
        np.testing.assert_allclose(
            one(rollout_of(rewards, ends)), other(rollout_of(1000 * rewards, ends))
        )


def test_a_restored_scale_goes_on_as_the_saved_one():
    rng = np.random.default_rng(1)
    first, second = (rollout_of(rng.normal(size=(3, 20))) for _ in range(2))
    scale, restored = RunningRewardScale(3), RunningRewardScale(3)
    scale(first)
    restored.load_state_dict(through_disk(scale.state_dict()))
    np.testing.assert_array_equal(restored(second), scale(second))


# The first copy plays 1, 3 to an end (mean 2, deviation 1) and then 10, 20, 30, still under way
# (mean 20, deviation sqrt(200 / 3)); the second is paid the same at every step.
def test_trajectories_are_standardised_by_themselves():
    rollout = rollout_of([[1, 3, 10, 20, 30], [1, 1, 1, 1, 1]], [[0, 1, 0, 0, 0], [0] * 5])
    standard = standardised_by_trajectory(rollout.rewards, rollout.dones)
    side = 10 / np.sqrt(200 / 3)
    np.testing.assert_allclose(standard[:, 0], [-1, 1, -side, 0, side], rtol=1e-4)
    np.testing.assert_array_equal(standard[:, 1], 0)  # a wage for lasting long teaches nothing
