"""Many copies behave as one does: the ends of episodes, what is saved, what is resumed."""

import gymnasium
import numpy as np
import pytest

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.worlds.workshop import WORKSHOP
from tests.envs.masked import COUNTER, register_counter

register_counter()
# Saved by itself; saved as it stands by us; saved by what was played, to be played again.
KINDS = pytest.mark.parametrize("env_id", [WORKSHOP, "CartPole-v1", COUNTER])
# Weeks end after few steps when most of them are skipped.
ARGS = {WORKSHOP: {"decision_points": True}, "CartPole-v1": {}, COUNTER: {}}


def choose(env: BatchEnv, rng: np.random.Generator) -> np.ndarray:
    if env.env_id == WORKSHOP:  # almost always WAIT, so that a week is over soon
        return np.where(rng.random(env.num_envs) < 0.01, 159, 200)
    return rng.integers(env.action_space.n, size=env.num_envs)


def test_cartpole_is_gymnasium_s_own():
    env = BatchEnv("CartPole-v1", {}, 3)
    env.reset([10, 11, 12])
    singles = [gymnasium.make("CartPole-v1") for _ in range(3)]
    obs = np.stack([single.reset(seed=10 + i)[0] for i, single in enumerate(singles)])
    np.testing.assert_array_equal(env.obs, obs)
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(200):
        actions = rng.integers(2, size=3)
        step = env.step(actions)
        for i, single in enumerate(singles):
            obs_i, reward, terminated, truncated, _ = single.step(int(actions[i]))
            np.testing.assert_array_equal(step.next_obs[i], obs_i)
            assert (step.reward[i], step.terminated[i]) == (reward, terminated)
            assert not truncated
            if terminated:
                ends += 1
                obs_i, _ = single.reset()
            np.testing.assert_array_equal(step.obs[i], obs_i)
    assert ends > 10
    assert env.kpi_names == ()
    assert step.kpis is None
    assert (step.duration == 1).all()
    assert step.action_mask.all()


def test_a_time_limit_truncates_and_does_not_terminate():
    env = BatchEnv("CartPole-v1", {"max_episode_steps": 5}, 2)
    env.reset([0, 1])
    for _ in range(4):
        step = env.step(np.array([0, 1]))
        assert not step.truncated.any()
    step = env.step(np.array([1, 0]))
    assert step.truncated.all()
    assert not step.terminated.any()
    assert not np.array_equal(step.next_obs, step.obs)


def test_workshop_hands_over_the_end_of_a_week_and_its_figures():
    env = BatchEnv(WORKSHOP, {"observation": "compact", "decision_points": True}, 2)
    env.reset([3, 4])
    single = gymnasium.make(WORKSHOP, observation="compact", decision_points=True)
    single.reset(seed=3)
    rng = np.random.default_rng(1)
    total, minutes = 0.0, 0
    while True:
        actions = choose(env, rng)
        step = env.step(actions)
        minutes += int(step.duration[0])
        obs, reward, terminated, _, info = single.step(int(actions[0]))
        total += reward
        np.testing.assert_array_equal(step.next_obs[0], obs)
        if terminated:
            break
        np.testing.assert_array_equal(step.obs[0], obs)
    assert minutes == 10_080
    assert step.terminated[0]
    assert step.next_obs[0, 0] == 10_080
    assert step.obs[0, 0] == 0
    kpis = dict(zip(env.kpi_names, step.kpis[0], strict=True))
    assert kpis == info["kpis"]
    assert kpis["published_reward"] == pytest.approx(total)


def test_seeds_choose_episodes():
    env = BatchEnv(WORKSHOP, {}, 2)
    env.reset([7, 7])
    for _ in range(2_000):
        step = env.step(np.full(2, 200))
    np.testing.assert_array_equal(step.obs[0], step.obs[1])
    env.reset([7, 8])
    for _ in range(2_000):
        step = env.step(np.full(2, 200))
    assert not np.array_equal(step.obs[0], step.obs[1])


def play(env: BatchEnv, rng: np.random.Generator, steps: int) -> list[np.ndarray]:
    seen = []
    for _ in range(steps):
        step = env.step(choose(env, rng))
        seen += [step.obs.copy(), step.next_obs.copy(), step.reward.copy(), step.terminated.copy()]
    return seen


@KINDS
def test_the_run_that_saved_and_the_one_that_resumes_are_the_same(env_id):
    env = BatchEnv(env_id, ARGS[env_id], 3)
    env.reset([1, 2, 3])
    rng = np.random.default_rng(0)
    for _ in range(2):  # a resumed run saves and resumes again
        play(env, rng, 700)
        state, draws = env.state_dict(), rng.bit_generator.state
        obs, mask = env.obs.copy(), env.action_mask.copy()
        went_on = play(env, rng, 700)

        env = BatchEnv(env_id, ARGS[env_id], 3)
        assert env.load_state_dict(state)
        rng.bit_generator.state = draws
        np.testing.assert_array_equal(env.obs, obs)
        np.testing.assert_array_equal(env.action_mask, mask)
        for a, b in zip(went_on, play(env, rng, 700), strict=True):
            np.testing.assert_array_equal(a, b)


@KINDS
def test_what_was_saved_does_not_change_afterwards(env_id):
    env = BatchEnv(env_id, ARGS[env_id], 2)
    env.reset([1, 2])
    state = env.state_dict()
    obs = env.obs.copy()
    play(env, np.random.default_rng(0), 100)
    env.load_state_dict(state)
    np.testing.assert_array_equal(env.obs, obs)


def test_observations_that_are_no_vectors_are_refused():
    env_id = "test/Words-v0"
    gymnasium.register(env_id, entry_point=Words)
    with pytest.raises(InputError, match="test/Words-v0: obs is Text"):
        BatchEnv(env_id, {}, 1)
    del gymnasium.registry[env_id]


class Words(gymnasium.Env):
    observation_space = gymnasium.spaces.Text(5)
    action_space = gymnasium.spaces.Discrete(2)


def test_vector_actions_have_no_mask():
    env = BatchEnv("Pendulum-v1", {}, 2)
    env.reset([0, 1])
    assert env.action_mask is None
    step = env.step(np.zeros((2, 1), np.float32))
    assert step.action_mask is None
    assert step.obs.dtype == np.float32
    assert [field.name for field in env.fields] == ["obs_0", "obs_1", "obs_2"]


class TestNextActionMask:
    """The mask of the state that the action led to, which is not always the one to act in next."""

    def forbidden(self, mask):
        return [np.flatnonzero(~row).tolist() for row in mask]

    def test_within_an_episode_it_is_the_mask_to_act_with(self):
        env = BatchEnv(COUNTER, {"limit": 10}, 3)
        env.reset([0, 1, 2])
        for _ in range(5):
            step = env.step(np.zeros(3, np.int64))
            assert step.next_action_mask is step.action_mask  # and costs nothing
            counts = step.next_obs[:, 0].astype(int)
            assert self.forbidden(step.next_action_mask) == [[c % 3] for c in counts]

    def test_a_truncated_episode_shows_the_mask_of_its_end(self):
        env = BatchEnv(COUNTER, {"limit": 4}, 6)
        env.reset(list(range(6)))
        differed = False
        for number in range(1, 41):
            step = env.step(np.zeros(6, np.int64))
            assert step.truncated.all() == (number % 4 == 0)
            for mask, obs in ((step.next_action_mask, step.next_obs), (step.action_mask, step.obs)):
                assert self.forbidden(mask) == [[int(c) % 3] for c in obs[:, 0]]
            differed |= not np.array_equal(step.next_action_mask, step.action_mask)
        assert differed

    def test_an_end_without_a_mask_allows_everything(self):
        env = BatchEnv(COUNTER, {"limit": 2, "tells_end": False}, 2)
        env.reset([0, 1])
        env.step(np.zeros(2, np.int64))
        step = env.step(np.zeros(2, np.int64))
        assert step.truncated.all()
        assert step.next_action_mask.all()
        assert not step.action_mask.all()

    def test_rows_that_go_on_keep_theirs_while_others_end(self):
        env = BatchEnv(COUNTER, {"limit": 3, "deadly": True}, 2)
        env.reset([0, 1])
        env.step(np.array([2, 0]))  # from here on the second copy is a step ahead
        ends = []
        for _ in range(30):
            step = env.step(np.zeros(2, np.int64))
            ends.append(step.truncated.tolist())
            assert self.forbidden(step.next_action_mask) == [
                [int(c) % 3] for c in step.next_obs[:, 0]
            ]
        assert [True, False] in ends
        assert [False, True] in ends

    def test_masks_of_other_steps_are_left_alone(self):
        env = BatchEnv(COUNTER, {"limit": 1}, 2)
        env.reset([0, 1])
        first = env.step(np.zeros(2, np.int64))
        acting = first.action_mask.copy()
        first.next_action_mask[:] = False
        np.testing.assert_array_equal(env.action_mask, acting)

    def test_what_has_no_mask_allows_everything_or_has_none(self):
        env = BatchEnv("CartPole-v1", {"max_episode_steps": 1}, 2)
        env.reset([0, 1])
        assert env.step(np.zeros(2, np.int64)).next_action_mask.all()
        env = BatchEnv("Pendulum-v1", {"max_episode_steps": 1}, 2)
        env.reset([0, 1])
        assert env.step(np.zeros((2, 1), np.float32)).next_action_mask is None


@pytest.mark.parametrize("name", ["copy", "num_envs", "backend", "batch"])
def test_what_this_class_decides_is_no_argument(name):
    with pytest.raises(InputError, match=f"{name} is not yours to choose here"):
        BatchEnv(WORKSHOP, {name: 2}, 1)
