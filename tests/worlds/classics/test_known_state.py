"""Gymnasium's classic environments are saved as they stand, and nothing else is by this means."""

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.wrappers import TimeLimit

from compagnon.envs import BatchEnv, known_state
from compagnon.errors import InputError
from compagnon.rl.checkpoint import load_state, save_state

FIVE = (
    "Acrobot-v1",
    "CartPole-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Pendulum-v1",
)
# Some steps in, so that copies stand at different moments of their episodes when they are saved.
BEFORE, AFTER, LIMIT = 130, 260, 27
each_of_the_five = pytest.mark.parametrize("env_id", FIVE)


def actions_for(env, steps, seed=0):
    env.action_space.seed(seed)
    return [
        np.array([env.action_space.sample() for _ in range(env.num_envs)]) for _ in range(steps)
    ]


def play(env, actions):
    """Everything that came out."""
    seen = []
    for action in actions:
        step = env.step(action)
        seen += [
            np.array(part)
            for part in (step.obs, step.next_obs, step.reward, step.terminated, step.truncated)
        ]
    return seen


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def saved_midway(env_id, num_envs=3, args=None):
    env = BatchEnv(env_id, args or {"max_episode_steps": LIMIT}, num_envs)
    env.reset(list(range(num_envs)))
    actions = actions_for(env, BEFORE + AFTER)
    play(env, actions[:BEFORE])
    return env, env.state_dict(), actions[BEFORE:]


@each_of_the_five
def test_a_restored_run_is_the_run_that_was_saved(env_id, tmp_path):
    env, state, actions = saved_midway(env_id)
    save_state(tmp_path / "state", state)
    obs = env.obs.copy()
    went_on = play(env, actions)
    assert any(part.any() for part in went_on[4::5])  # episodes ended on the way

    fresh = BatchEnv(env_id, env.env_args, env.num_envs)
    fresh.load_state_dict(load_state(tmp_path / "state"))
    np.testing.assert_array_equal(fresh.obs, obs)
    assert same(went_on, play(fresh, actions))
    # One that has played since, and is in the middle of something else, is put back as well.
    env.load_state_dict(state)
    assert same(went_on, play(env, actions))


@each_of_the_five
def test_saving_changes_nothing(env_id):
    env, _, actions = saved_midway(env_id)
    other, _, _ = saved_midway(env_id)
    for action in actions:
        env.state_dict()
        assert same(play(env, [action]), play(other, [action]))


@each_of_the_five
def test_episodes_are_gymnasium_s_own_after_a_restart(env_id):
    env, state, _ = saved_midway(env_id, 1)
    env.load_state_dict(state)
    single = gymnasium.make(env_id, max_episode_steps=LIMIT)
    single.reset(seed=0)
    for index, action in enumerate(actions_for(env, BEFORE + AFTER)):
        obs, reward, terminated, truncated, _ = single.step(action[0])
        if index >= BEFORE:
            step = env.step(action)
            np.testing.assert_array_equal(step.next_obs[0], obs)
            assert (step.reward[0], step.truncated[0]) == (reward, truncated)
        if terminated or truncated:
            single.reset()


def breaches():
    def nudge_state(copy):
        copy["state"] = copy["state"] * 1.01

    def move_clock(copy):
        copy["elapsed_steps"] = [LIMIT - 1]

    def other_draws(copy):
        rng = np.random.default_rng(99)
        copy["rng"] = rng.bit_generator.state

    return [nudge_state, move_clock, other_draws]


@each_of_the_five
@pytest.mark.parametrize("breach", breaches(), ids=lambda breach: breach.__name__)
def test_whatever_is_restored_wrongly_shows(env_id, breach):
    env, state, actions = saved_midway(env_id)
    went_on = play(env, actions)
    breach(state["classic"]["copies"][1])
    env.load_state_dict(state)
    assert not same(went_on, play(env, actions))


def test_precision_is_part_of_the_state():
    """A state goes on in the precision it has, which changes after the first step."""
    env = BatchEnv("MountainCarContinuous-v0", {}, 2)
    env.reset([0, 1])
    kinds = []
    for action in actions_for(env, 2):
        kinds.append([copy["state"].dtype for copy in env.state_dict()["classic"]["copies"]])
        env.step(action)
    assert kinds == [[np.float64] * 2, [np.float32] * 2]
    state = env.state_dict()
    env.load_state_dict(state)
    assert env.vec.envs[0].unwrapped.state.dtype == np.float32


def test_gymnasium_s_own_buffers_are_those_of_the_moment():
    env = BatchEnv("CartPole-v1", {"max_episode_steps": 5}, 3)
    env.reset([0, 1, 2])
    play(env, actions_for(env, 5))  # the last step ended every episode
    state, vec = env.state_dict(), env.vec
    fresh = BatchEnv("CartPole-v1", {"max_episode_steps": 5}, 3)
    fresh.load_state_dict(state)
    np.testing.assert_array_equal(fresh.vec._observations, vec._observations)
    np.testing.assert_array_equal(np.stack(fresh.vec._env_obs), np.stack(vec._env_obs))
    for name in ("_terminations", "_truncations", "_autoreset_envs"):
        np.testing.assert_array_equal(getattr(fresh.vec, name), getattr(vec, name))
    assert fresh.vec._autoreset_envs.all()
    # What was saved is not what Gymnasium now writes into.
    saved = state["classic"]["obs"].copy()
    play(fresh, actions_for(fresh, 3))
    np.testing.assert_array_equal(state["classic"]["obs"], saved)


def test_what_draws_and_what_counts_comes_back_too():
    env = BatchEnv("Pendulum-v1", {}, 1)
    env.reset([0])
    env.step(np.array([[1.5]], np.float32))
    state = env.state_dict()
    assert state["classic"]["copies"][0]["extras"] == {"last_u": 1.5}
    env.step(np.array([[-1.0]], np.float32))
    env.load_state_dict(state)
    assert env.vec.envs[0].unwrapped.last_u == 1.5


def test_a_fresh_environment_has_nothing_to_save():
    env = BatchEnv("CartPole-v1", {}, 2)
    with pytest.raises(InputError, match=r"CartPole-v1 .* before its first reset"):
        env.state_dict()


def test_a_state_of_another_number_of_copies_is_refused():
    env, state, _ = saved_midway("CartPole-v1", 3)
    with pytest.raises(ValueError, match="zip"):
        BatchEnv("CartPole-v1", env.env_args, 2).load_state_dict(state)


class Heavier(CartPoleEnv):
    """Keeps something that `known_state` knows nothing of."""


class Counting(gymnasium.Wrapper):
    """A wrapper that `known_state` knows nothing of."""


def copies_of(make):
    return gymnasium.vector.SyncVectorEnv([make, make])


@pytest.mark.parametrize(
    ("make", "known"),
    [
        (CartPoleEnv, True),
        (lambda: TimeLimit(CartPoleEnv(), 9), True),
        (Heavier, False),
        (lambda: Counting(CartPoleEnv()), False),
        (lambda: TimeLimit(Counting(CartPoleEnv()), 9), False),
    ],
)
def test_only_what_is_known_through_and_through_is_saved_so(make, known):
    assert known_state.can_be_saved(copies_of(make)) is known
    assert not known_state.can_be_saved(object())
