"""EnvPool's environments are Gymnasium's: step for step where they can be set, else in the mean."""

import importlib.util
import os
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from scipy import stats

from compagnon.envs import BatchEnv, make_vec
from compagnon.envs.pool import PoolVectorEnv, _fold, served_ids
from compagnon.errors import InputError
from compagnon.worlds.ball import BALL
from tests.rl.small import through_disk

IDS = tuple(served_ids())
BOX2D = tuple(env_id for env_id in IDS if env_id.startswith("LunarLander"))
CLASSIC = tuple(env_id for env_id in IDS if env_id not in BOX2D)
pytestmark = [
    pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning"),  # Box2D's import
    pytest.mark.filterwarnings("ignore:.*precision lowered by casting"),  # EnvPool by itself
]
INSTALLED = importlib.util.find_spec("envpool") is not None
# A missing package must not look like a pass where everything is meant to be there.
needs_envpool = pytest.mark.skipif(
    not INSTALLED and os.environ.get("CI", "").lower() not in ("1", "true"),
    reason="EnvPool is not installed: pip install 'compagnon[envpool]'",
)
# With which the pilot below does clearly worse, or takes clearly longer.
OTHER_GRAVITY = {"LunarLander-v3": -11.9, "LunarLanderContinuous-v3": -5.0}
every_id = pytest.mark.parametrize("env_id", IDS)


def pool(env_id, copies=4, /, **args):
    return BatchEnv(env_id, args, copies, backend="envpool")


def random_actions(env, steps, seed=0, stretch=1.0):
    env.action_space.seed(seed)
    actions = [
        np.stack([env.action_space.sample() for _ in range(env.num_envs)]) for _ in range(steps)
    ]
    return actions if stretch == 1.0 else [action * np.float32(stretch) for action in actions]


def play(env, actions):
    seen = []
    for action in actions:
        step = env.step(action)
        seen += [np.array(part) for part in step[:6] if part is not None]
    return seen


def state_of(env_id, obs):
    """The state of Gymnasium's environment that shows `obs`."""
    x = obs.astype(np.float64)
    if env_id == "Pendulum-v1":
        return np.array([np.arctan2(x[1], x[0]), x[2]])
    if env_id == "Acrobot-v1":
        return np.array([np.arctan2(x[1], x[0]), np.arctan2(x[3], x[2]), x[4], x[5]])
    return x


def along(env_id, obs, rng):
    """Actions that get somewhere: to the goal where there is one, and out of bounds."""
    if env_id == "MountainCar-v0":
        return np.where(obs[:, 1] >= 0, 2, 0)
    if env_id == "MountainCarContinuous-v0":
        return np.where(obs[:, 1:] >= 0, 1.5, -1.0).astype(np.float32)
    if env_id == "Pendulum-v1":
        return rng.uniform(-3, 3, (len(obs), 1)).astype(np.float32)
    return rng.integers(2 if env_id == "CartPole-v1" else 3, size=len(obs))


def farthest_apart(env_id, steps, changed=None, **args):
    """Largest differences of obs and reward, and the ends that differ, over single steps.

    Gymnasium's copies are set to what EnvPool shows before each step, so that what is compared is
    the rules and not how rounding grows. `changed` alters Gymnasium's environment.
    """
    env = pool(env_id, **args)
    env.reset([1, 2, 3, 4])
    singles = [gymnasium.make(env_id, **args) for _ in range(4)]
    for single in singles:
        single.reset()
        if changed:
            changed(single.unwrapped)
    rng = np.random.default_rng(0)
    obs_apart, reward_apart, ends_apart, ends = [], [], 0, [0, 0]
    for _ in range(steps):
        for single, shown in zip(singles, env.obs, strict=True):
            single.unwrapped.state = state_of(env_id, shown)
        actions = along(env_id, env.obs, rng)
        step = env.step(actions)
        for row, single in enumerate(singles):
            obs, reward, terminated, truncated, _ = single.step(actions[row])
            obs_apart.append(np.abs(obs - step.next_obs[row]).max())
            reward_apart.append(abs(reward - step.reward[row]))
            ends_apart += (terminated, truncated) != (step.terminated[row], step.truncated[row])
            ends[0] += step.terminated[row]
            ends[1] += step.truncated[row]
            if terminated or truncated:
                single.reset()
    return np.array(obs_apart), np.array(reward_apart), ends_apart, ends


@needs_envpool
class TestSameRules:
    @pytest.mark.parametrize("env_id", [name for name in CLASSIC if name != "Pendulum-v1"])
    def test_a_step_leads_where_gymnasium_s_does(self, env_id):
        slow = env_id == "Acrobot-v1"
        steps, args = (150, {"max_episode_steps": 40}) if slow else (600, {})
        obs_apart, reward_apart, ends_apart, ends = farthest_apart(env_id, steps, **args)
        assert obs_apart.max() < 1e-6
        assert reward_apart.max() < 1e-5
        assert ends_apart == 0
        assert sum(ends) > 3

    def test_the_pendulum_differs_where_its_speed_is_bounded_and_nowhere_else(self):
        """There EnvPool turns it by the speed that it would have had without the bound."""
        env = pool("Pendulum-v1")
        env.reset([1, 2, 3, 4])
        single = gymnasium.make("Pendulum-v1").unwrapped
        single.reset(seed=0)
        rng = np.random.default_rng(0)
        bounded = 0
        for _ in range(1_200):
            before = env.obs.astype(np.float64)
            actions = along("Pendulum-v1", before, rng)
            step = env.step(actions)
            for row in range(4):
                single.state = state_of("Pendulum-v1", before[row])
                obs, reward, *_ = single.step(actions[row])
                assert step.reward[row] == pytest.approx(reward, abs=1e-5)
                torque = np.clip(actions[row, 0], -2, 2)
                unbounded = before[row, 2] + (15 * before[row, 1] + 3 * torque) * 0.05
                if abs(unbounded) > 8:
                    bounded += 1
                    angle = np.arctan2(before[row, 1], before[row, 0]) + unbounded * 0.05
                    obs = np.array([np.cos(angle), np.sin(angle), np.clip(unbounded, -8, 8)])
                np.testing.assert_allclose(step.next_obs[row], obs, atol=2e-6)
        assert 10 < bounded < 800

    @pytest.mark.parametrize(
        ("env_id", "name", "value"),
        [
            ("MountainCar-v0", "gravity", 0.0026),
            ("MountainCarContinuous-v0", "power", 0.0016),
            ("CartPole-v1", "gravity", 9.9),
            ("Acrobot-v1", "LINK_MASS_1", 1.01),
        ],
    )
    def test_other_rules_show(self, env_id, name, value):
        obs_apart, *_ = farthest_apart(env_id, 60, lambda env: setattr(env, name, value))
        assert obs_apart.max() > 1e-5

    @every_id
    def test_episodes_begin_alike(self, env_id):
        theirs = pool(env_id, 300)
        theirs.reset(list(range(300)))
        ours = BatchEnv(env_id, {}, 300)
        ours.reset(list(range(300)))
        for column, (left, right) in enumerate(zip(theirs.obs.T, ours.obs.T, strict=True)):
            if left.std() == right.std() == 0:
                assert left[0] == right[0]
                continue
            assert stats.ks_2samp(left, right).pvalue > 1e-4, column

    @pytest.mark.parametrize("env_id", BOX2D)
    @pytest.mark.parametrize("gravity", [-10.0, -8.0])
    def test_a_lander_falls_alike(self, env_id, gravity):
        """What Box2D keeps cannot be set, so many landers' 20 steps are compared in the mean."""
        moved = []
        for env in (pool(env_id, 100), BatchEnv(env_id, {"gravity": gravity}, 100)):
            env.reset(list(range(100)))
            start = env.obs.copy()
            for actions in random_actions(env, 20, stretch=1.3 if "Cont" in env_id else 1.0):
                step = env.step(actions)
                assert not step.terminated.any()
            moved.append((step.next_obs - start)[:, :6])
        apart = stats.ttest_ind(*moved, equal_var=False).statistic
        assert (np.abs(apart).max() < 4) == (gravity == -10.0)  # another gravity shows

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("env_id", "gravity"), [*((env_id, -10.0) for env_id in BOX2D), *OTHER_GRAVITY.items()]
    )
    def test_the_same_pilot_earns_the_same(self, env_id, gravity):
        theirs = fly(pool(env_id, 100))
        ours = fly(BatchEnv(env_id, {"gravity": gravity}, 100))
        differences = [
            abs(stats.ttest_ind(left, right, equal_var=False).statistic)
            for left, right in zip(theirs, ours, strict=True)
        ]
        assert (max(differences) < 4) == (gravity == -10.0)
        assert theirs[0].mean() > 200


def fly(env):
    """Returns and lengths of one episode a copy, under a hand-written pilot."""
    env.reset(list(range(5_000, 5_000 + env.num_envs)))
    returns, lengths = np.zeros(env.num_envs), np.zeros(env.num_envs)
    over = np.zeros(env.num_envs, np.bool_)
    while not over.all():
        x, y, vx, vy, angle, spin, *legs = env.obs.astype(np.float64).T
        landed = (legs[0] + legs[1]) > 0
        turn = (np.clip(0.5 * x + vx, -0.4, 0.4) - angle) * 0.5 - spin
        lift = np.where(landed, -0.5 * vy, (0.55 * np.abs(x) - y) * 0.5 - 0.5 * vy)
        turn = np.where(landed, 0.0, turn)
        if env.env_id == "LunarLanderContinuous-v3":
            actions = np.stack([20 * lift - 1, -20 * turn], axis=1).clip(-1, 1).astype(np.float32)
        else:
            sideways = np.where(turn < -0.05, 3, np.where(turn > 0.05, 1, 0))
            actions = np.where((lift > np.abs(turn)) & (lift > 0.05), 2, sideways)
        step = env.step(actions)
        returns += np.where(over, 0.0, step.reward)
        lengths += ~over
        over |= step.terminated | step.truncated
    return returns, lengths


@needs_envpool
class TestSameConventions:
    @every_id
    def test_spaces_are_gymnasium_s_and_nothing_warns(self, env_id):
        gymnasium.make(env_id)  # Box2D's own import warns, once
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            env = pool(env_id)
            env.reset([1, 2, 3, 4])
            env.step(random_actions(env, 1)[0])
        ours = BatchEnv(env_id, {}, 4)
        assert env.vec.single_observation_space == ours.vec.single_observation_space
        assert env.vec.single_action_space == ours.vec.single_action_space
        assert env.vec.observation_space == ours.vec.observation_space
        assert env.vec.action_space == ours.vec.action_space
        assert env.fields == ours.fields
        assert env.vec.spec.id == env_id

    def test_steps_have_the_same_shapes_and_types(self):
        for env_id in IDS:
            steps = []
            for env in (pool(env_id), BatchEnv(env_id, {}, 4)):
                env.reset([1, 2, 3, 4])
                steps.append(env.step(random_actions(env, 1)[0]))
            for left, right in zip(*steps, strict=True):
                if right is None:
                    assert left is None
                else:
                    assert (left.dtype, left.shape) == (right.dtype, right.shape)

    @every_id
    def test_an_ended_episode_is_followed_by_the_next_at_once(self, env_id):
        import envpool

        env = pool(env_id, 3, max_episode_steps=7)
        env.reset([1, 2, 3])
        # EnvPool by itself shows the same, but begins the next episode a step late.
        itself = envpool.make_gymnasium(
            env_id, num_envs=3, seed=[_fold(seed) for seed in (1, 2, 3)], max_episode_steps=7
        )
        np.testing.assert_array_equal(env.obs, itself.reset()[0])
        starts = {env.obs.tobytes()}
        for number, actions in enumerate(random_actions(env, 28), 1):
            step = env.step(actions)
            np.testing.assert_array_equal(step.next_obs, itself.step(actions)[0])
            assert step.truncated.all() == (number % 7 == 0)
            assert not step.terminated.any()
            if number % 7 == 0:
                assert not np.array_equal(step.next_obs, step.obs)
                np.testing.assert_array_equal(step.obs, itself.step(actions)[0])
                starts.add(step.obs.tobytes())
            else:
                np.testing.assert_array_equal(step.next_obs, step.obs)
        assert len(starts) == 5

    def test_ends_come_one_by_one(self):
        """A row that ends does not disturb the others."""
        together = pool("CartPole-v1", 3)
        together.reset([1, 2, 3])
        alone = [pool("CartPole-v1", 1) for _ in range(3)]
        for seed, env in enumerate(alone, 1):
            env.reset([seed])
        ends = 0
        for actions in random_actions(together, 200):
            step = together.step(actions)
            ends += int(step.terminated.sum())
            for row, env in enumerate(alone):
                one = env.step(actions[row : row + 1])
                np.testing.assert_array_equal(one.obs[0], step.obs[row])
                np.testing.assert_array_equal(one.next_obs[0], step.next_obs[row])
                assert one.terminated[0] == step.terminated[row]
        assert ends > 10

    def test_an_end_at_the_very_last_step_is_both_as_with_gymnasium(self):
        """EnvPool alone says that such an episode was cut short, and a learner would bootstrap."""

        def ends(backend, limit):
            env = BatchEnv("CartPole-v1", {"max_episode_steps": limit}, 1, backend=backend)
            env.reset([5])
            for number in range(1, 100):
                step = env.step(np.ones(1, np.int64))
                if step.terminated[0] or step.truncated[0]:
                    return number, bool(step.terminated[0]), bool(step.truncated[0])
            raise AssertionError

        for backend in ("gymnasium", "envpool"):
            falls, *_ = ends(backend, 100)
            assert ends(backend, falls) == (falls, True, True)
            assert ends(backend, falls - 1) == (falls - 1, False, True)
            assert ends(backend, falls + 1) == (falls, True, False)

    def test_what_was_handed_out_is_not_written_into(self):
        env = pool("MountainCar-v0", 2)
        env.reset([1, 2])
        step = env.step(np.array([2, 2]))
        before = step.next_obs.copy()
        env.step(np.array([0, 0]))
        np.testing.assert_array_equal(step.next_obs, before)


@needs_envpool
class TestSeeds:
    @every_id
    def test_the_same_seed_is_the_same_run_whatever_the_threads(self, env_id):
        runs = []
        for threads in (1, 1, 2, 3):
            env = pool(env_id, 6, num_threads=threads, max_episode_steps=40)
            env.reset(list(range(6)))
            stretch = 1.3 if env.action_mask is None else 1.0
            runs.append(play(env, random_actions(env, 120, stretch=stretch)))
        for other in runs[1:]:
            for left, right in zip(runs[0], other, strict=True):
                np.testing.assert_array_equal(left, right)

    def test_a_seed_is_an_episode_in_any_row(self):
        env = pool("LunarLander-v3", 3)
        env.reset([7, 8, 7])
        np.testing.assert_array_equal(env.obs[0], env.obs[2])
        assert not np.array_equal(env.obs[0], env.obs[1])
        first = env.obs.copy()
        play(env, random_actions(env, 5))
        env.reset([8, 7, 2**62])
        np.testing.assert_array_equal(env.obs[:2], first[[1, 0]])

    def test_large_seeds_are_told_apart(self):
        env = pool("MountainCar-v0", 4)
        env.reset([1, 1 + 2**31, 1 + 2**32, 1 + 2**40])
        assert len(set(env.obs[:, 0].tolist())) == 4

    def test_reset_without_a_seed(self):
        starts = []
        for _ in range(2):
            env = PoolVectorEnv("MountainCar-v0", 2)
            starts.append(env.reset()[0])
        assert not np.array_equal(*starts)
        with pytest.raises(InputError, match="give each a seed, or none"):
            env.reset(seed=[1, None])
        with pytest.raises(InputError, match="3 seeds for 2"):
            env.reset(seed=[1, 2, 3])

    def test_a_resumed_run_is_the_same_run(self):
        """What was played is played again; to save it changes nothing in the run that goes on."""
        env, undisturbed = pool("LunarLanderContinuous-v3", 3), pool("LunarLanderContinuous-v3", 3)
        env.reset([1, 2, 3])
        undisturbed.reset([1, 2, 3])
        actions = random_actions(env, 200)  # episodes end on the way
        play(env, actions)
        play(undisturbed, actions)
        state = through_disk(env.state_dict())
        went_on = play(env, actions)
        other = pool("LunarLanderContinuous-v3", 3)
        assert other.load_state_dict(state)
        for left, right in zip(went_on, play(other, actions), strict=True):
            np.testing.assert_array_equal(left, right)
        for left, right in zip(went_on, play(undisturbed, actions), strict=True):
            np.testing.assert_array_equal(left, right)

    def test_what_does_not_lead_where_it_led_is_noticed(self):
        env = pool("LunarLanderContinuous-v3", 2)
        env.reset([1, 2])
        play(env, random_actions(env, 20))
        state = env.state_dict()
        state["state"]["actions"][3] *= 0.5
        assert not pool("LunarLanderContinuous-v3", 2).load_state_dict(state)


class TestRefused:
    @pytest.mark.parametrize("env_id", ["Blackjack-v1", "BipedalWalker-v3", BALL])
    def test_an_environment_it_does_not_serve(self, env_id):
        with pytest.raises(
            InputError, match=f"'envpool' does not serve {env_id}; it serves Acrobot"
        ):
            BatchEnv(env_id, {}, 1, backend="envpool")

    def test_a_name_that_is_none(self):
        with pytest.raises(InputError, match="did you mean CartPole-v1"):
            pool("CartPole")
        with pytest.raises(InputError, match="backend='jax': use gymnasium or envpool"):
            BatchEnv("CartPole-v1", {}, 1, backend="jax")

    def test_without_the_package_one_sentence_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "envpool", None)  # as if it were not installed
        with pytest.raises(InputError, match=r"pip install 'compagnon\[envpool\]'"):
            pool("CartPole-v1")

    @needs_envpool
    @pytest.mark.parametrize(
        ("env_id", "args", "words"),
        [
            ("LunarLander-v3", {"gravity": -9.0}, "no argument gravity .*max_episode_steps"),
            ("Pendulum-v1", {"g": 9.81}, "no argument g "),
            ("CartPole-v1", {"max_episode_steps": 0}, "max_episode_steps=0"),
            ("CartPole-v1", {"max_episode_steps": 2.5}, "max_episode_steps=2.5"),
            ("CartPole-v1", {"num_threads": 0}, "num_threads=0"),
            ("CartPole-v1", {"num_envs": 3}, "num_envs is not yours to choose"),
        ],
    )
    def test_an_argument_it_does_not_take(self, env_id, args, words):
        with pytest.raises(InputError, match=words):
            pool(env_id, 2, **args)

    @needs_envpool
    def test_actions_that_are_none(self):
        env = pool("MountainCar-v0", 2)
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step(np.zeros(2, np.int64))
        env.reset([0, 1])
        for bad in (np.array([0, 3]), np.array([-1, 0])):
            with pytest.raises(InputError, match=r"outside 0\.\.2"):
                env.step(bad)
        with pytest.raises(InputError, match="shape"):
            env.step(np.zeros(3, np.int64))

    def test_nothing_is_chosen_by_what_is_installed(self):
        assert not isinstance(make_vec("CartPole-v1", 2), PoolVectorEnv)
        assert BatchEnv("CartPole-v1", {}, 2).backend == "gymnasium"
