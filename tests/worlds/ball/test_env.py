"""The ball keeps Gymnasium's promises and its own rules, alone and in numbers."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.worlds.ball import BALL
from compagnon.worlds.ball.env import BallEnv
from compagnon.worlds.ball.options import BallOptions
from compagnon.worlds.ball.vector import BallVectorEnv
from tests.worlds.ball.reference import ReferenceBall

STILL = np.zeros(1, np.float32)


def centre(obs):
    """A rule that keeps the ball in."""
    return -0.5 * obs


def play(env, seed, rule=centre, steps=10_000):
    obs, _ = env.reset(seed=seed)
    out = []
    for _ in range(steps):
        obs, reward, terminated, truncated, info = env.step(rule(obs))
        out.append((obs, reward, terminated, truncated, info))
        if terminated or truncated:
            break
    return out


class TestGymnasium:
    @pytest.mark.parametrize("render_mode", [None, "rgb_array", "ansi"])
    @pytest.mark.parametrize("dimension", [1, 3])
    def test_checker(self, render_mode, dimension):
        env = gymnasium.make(BALL, render_mode=render_mode, dimension=dimension)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # Pushes are in the units of positions, as in the published ball.
            warnings.filterwarnings("ignore", message=".*symmetric and normalized")
            check_env(env.unwrapped)
        assert env.spec.id == BALL

    def test_the_docstring_names_every_option(self):
        for option, field in BallOptions.model_fields.items():
            assert f"| {option} | {field.default} |" in BallEnv.__doc__
        for part in ("Description", "Action space", "Observation space", "Reward", "Start", "End",
                     "Arguments", "Version history"):  # fmt: skip
            assert f"## {part}" in BallEnv.__doc__

    def test_fields_have_names_and_ranges(self):
        fields = BallEnv(dimension=3).observation_fields
        assert [field.name for field in fields] == ["position_0", "position_1", "position_2"]
        assert {(field.low, field.high) for field in fields} == {(-10.0, 10.0)}

    def test_steps_outside_an_episode_are_refused(self):
        env = BallEnv(max_steps=1)
        with pytest.raises(ResetNeeded):
            env.step(STILL)
        env.reset(seed=0)
        env.step(STILL)
        with pytest.raises(ResetNeeded):
            env.step(STILL)
        env.reset()
        env.step(STILL)
        with pytest.raises(ResetNeeded):
            BallVectorEnv(2).step(np.zeros((2, 1)))

    def test_an_action_that_is_none_is_refused_and_moves_nothing(self):
        env = BallEnv(dimension=2)
        env.reset(seed=0)
        before = env.state_dict()
        for bad in (np.zeros(3), np.zeros((1, 2)), np.float32(0)):
            with pytest.raises(InputError, match="shape"):
                env.step(bad)
        with pytest.raises(InputError, match="not a number"):
            env.step(np.array([0.0, np.nan]))
        for name, array in env.state_dict().items():
            np.testing.assert_array_equal(array, before[name])
        envs = BallVectorEnv(3)
        envs.reset(seed=0)
        with pytest.raises(InputError, match="of copy 2 is not a number"):
            envs.step(np.array([[0.0], [1.0], [np.nan]]))


class TestRules:
    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"dimension": 3, "sigma": 0.7, "max_steps": 40, "bonus": 7.0},
            {"max_steps": 25, "terminal_bonus": True},
            {"sigma": 3.0},
        ],
    )
    def test_it_is_what_its_description_says(self, seed, options):
        env, reference = BallEnv(**options), ReferenceBall(**options)
        rng = np.random.default_rng(seed)
        for episode in range(3):
            obs, _ = env.reset(seed=seed if episode == 0 else None)
            np.testing.assert_allclose(obs, reference.reset(seed, episode), rtol=1e-6)
            while True:
                action = rng.uniform(-2.5, 2.5, len(obs))
                obs, *outcome, info = env.step(action)
                position, *expected = reference.step(action)
                np.testing.assert_allclose(obs, np.clip(position, -10, 10), rtol=1e-5, atol=1e-6)
                assert outcome == expected
                if outcome[1] or outcome[2]:
                    assert info["kpis"] == {"survived": float(expected[0] > 0)}
                    break
                assert info == {}

    def test_pushes_alone(self):
        env = BallEnv(sigma=0.0)
        start = float(env.reset(seed=0)[0][0])
        at = start
        for action, moved in ((1.5, 1.5), (-9.0, -2.0), (2.0, 2.0), (np.inf, 2.0)):
            at += moved
            assert env.step(np.array([action]))[0][0] == pytest.approx(at, rel=1e-6)

    def test_the_new_position_counts(self):
        env = BallEnv(sigma=0.0)
        at = float(env.reset(seed=0)[0][0])
        steps = int((10 - at) // 2)
        for _ in range(steps):
            obs, reward, terminated, truncated, _ = env.step(np.array([2.0]))
            assert (reward, terminated, truncated) == (1.0, False, False)
        assert 8 < obs[0] <= 10
        obs, reward, terminated, truncated, info = env.step(np.array([2.0]))
        assert (obs[0], reward, terminated, truncated) == (10.0, -10.0, True, False)
        assert info["kpis"] == {"survived": 0.0}

    def test_the_wall_itself_is_inside(self):
        env = BallEnv(sigma=0.0)
        env.reset(seed=0)
        state = env.state_dict()
        state["position"][:] = 8.0
        env.load_state_dict(state)
        assert env.step(np.array([2.0]))[1:4] == (1.0, False, False)
        assert env.step(np.array([1e-9]))[1:4] == (-10.0, True, False)

    @pytest.mark.parametrize("terminal_bonus", [False, True])
    def test_a_whole_episode_is_worth_550(self, terminal_bonus):
        env = BallEnv(sigma=0.1, terminal_bonus=terminal_bonus)
        out = play(env, 3)
        assert len(out) == 500
        assert [reward for _, reward, *_ in out] == [1.0] * 499 + [51.0]
        assert out[-1][2:4] == (terminal_bonus, not terminal_bonus)
        assert out[-1][4]["kpis"] == {"survived": 1.0}

    def test_leaving_at_the_last_step_pays_no_bonus(self):
        env = BallEnv(sigma=0.0, max_steps=1, terminal_bonus=True)
        env.reset(seed=0)
        state = env.state_dict()
        state["position"][:] = -9.0
        env.load_state_dict(state)
        *_, reward, terminated, truncated, info = env.step(np.array([-2.0]))
        assert (reward, terminated, truncated) == (-10.0, True, False)
        assert info["kpis"] == {"survived": 0.0}

    def test_any_axis_can_lose_it(self):
        for axis in range(3):
            env = BallEnv(dimension=3, sigma=0.0)
            env.reset(seed=0)
            push = np.zeros(3)
            push[axis] = -2.0
            out = play(env, 0, rule=lambda obs, push=push: push)
            assert out[-1][2]
            assert np.flatnonzero(np.abs(out[-1][0]) == 10).tolist() == [axis]

    def test_pushing_to_the_middle_is_enough_and_nothing_is_not(self):
        kept = [play(BallEnv(), seed)[-1][4]["kpis"]["survived"] for seed in range(30)]
        left = [
            play(BallEnv(), seed, rule=np.zeros_like)[-1][4]["kpis"]["survived"]
            for seed in range(30)
        ]
        assert np.mean(kept) == 1.0
        assert np.mean(left) < 0.2


class TestSeeds:
    def test_same_seed_same_episode_and_another_is_another(self):
        def positions(seed):
            return np.array([obs[0] for obs, *_ in play(BallEnv(), seed, steps=50)])

        np.testing.assert_array_equal(positions(7), positions(7))
        assert not np.array_equal(positions(7), positions(8))

    def test_what_the_policy_does_moves_nothing_that_chance_decides(self):
        def noise(rule):
            env = BallEnv(dimension=2, max_steps=100)
            before, _ = env.reset(seed=5)
            out = []
            for _ in range(20):
                action = rule(before)
                after = env.step(action)[0]
                out.append(after - before - action)
                before = after
            return np.array(out)

        some, other = noise(lambda obs: -0.2 * obs), noise(lambda obs: 0.1 - 0.9 * obs)
        np.testing.assert_allclose(some, other, atol=1e-5)
        assert some.std() > 0.5

    def test_more_axes_leave_the_first_ones_alone(self):
        small, large = BallEnv(dimension=1), BallEnv(dimension=4)
        one = [obs[0] for obs, *_ in play(small, 2, steps=40)]
        four = [obs[0] for obs, *_ in play(large, 2, steps=40)]
        np.testing.assert_array_equal(one, four)

    def test_without_a_seed_two_balls_differ(self):
        starts = []
        for env in (BallEnv(), BallEnv()):
            starts.append(float(env.reset()[0][0]))
        assert starts[0] != starts[1]

    def test_the_next_episode_follows_from_the_seed(self):
        env = BallEnv()
        first, second = env.reset(seed=1)[0], env.reset()[0]
        assert first != second
        env.reset(seed=1)
        np.testing.assert_array_equal(env.reset()[0], second)

    @pytest.mark.parametrize("seed", [-1, 2**63])
    def test_a_seed_out_of_range_is_refused(self, seed):
        with pytest.raises(InputError, match="2\\^63"):
            BallEnv().reset(seed=seed)


class TestState:
    def test_a_restored_ball_goes_on_alike(self):
        env = BallEnv(dimension=2, max_steps=60)
        env.reset(seed=4)
        for _ in range(30):
            env.step(np.zeros(2))
        state = env.state_dict()
        other = BallEnv(dimension=2, max_steps=60)
        other.load_state_dict(state)

        def on(ball):
            out = []
            for step in range(80):
                obs, *outcome, _ = ball.step(np.full(2, 0.01 * step))
                out.append((*obs.tolist(), *outcome))
                if outcome[1] or outcome[2]:
                    out.append(tuple(ball.reset()[0].tolist()))
            return out

        went_on = on(env)
        assert went_on == on(other)
        state["steps"][:] = 31  # a state that is another one goes on otherwise
        other.load_state_dict(state)
        assert went_on != on(other)

    def test_an_ended_ball_is_restored_as_ended(self):
        env = BallEnv(max_steps=1)
        env.reset(seed=0)
        env.step(STILL)
        other = BallEnv(max_steps=1)
        other.load_state_dict(env.state_dict())
        with pytest.raises(ResetNeeded):
            other.step(STILL)

    def test_copies_go_on_alike_through_batch_env(self):
        env = BatchEnv(BALL, {"dimension": 2, "max_steps": 30}, 5)
        env.reset([1, 2, 3, 4, 5])
        rng = np.random.default_rng(0)
        actions = rng.uniform(-2, 2, (120, 5, 2)).astype(np.float32)
        for action in actions[:40]:
            env.step(action)
        state, obs = env.state_dict(), env.obs.copy()
        other = BatchEnv(BALL, {"dimension": 2, "max_steps": 30}, 5)
        other.load_state_dict(state)
        np.testing.assert_array_equal(other.obs, obs)
        ends = 0
        for action in actions[40:]:
            one, two = env.step(action), other.step(action)
            for name in ("obs", "next_obs", "reward", "terminated", "truncated"):
                np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
            ends += int((one.terminated | one.truncated).sum())
        assert ends > 10


class TestVector:
    @pytest.mark.parametrize("dimension", [1, 3])
    def test_rows_are_single_balls(self, dimension):
        options = {"dimension": dimension, "max_steps": 20, "sigma": 1.5}
        envs = BallVectorEnv(4, **options)
        singles = [BallEnv(**options) for _ in range(4)]
        obs, _ = envs.reset(seed=20)
        for row, env in enumerate(singles):
            np.testing.assert_array_equal(obs[row], env.reset(seed=20 + row)[0])
        rng = np.random.default_rng(0)
        ends = {"terminated": 0, "truncated": 0}
        for _ in range(300):
            actions = rng.uniform(-2.5, 2.5, (4, dimension)).astype(np.float32)
            actions -= 0.3 * np.sign(obs)
            obs, reward, terminated, truncated, info = envs.step(actions)
            for row, env in enumerate(singles):
                one, its_reward, its_end, its_cut, its_info = env.step(actions[row])
                assert (reward[row], terminated[row]) == (its_reward, its_end)
                assert truncated[row] == its_cut
                if its_end or its_cut:
                    ends["terminated"] += its_end
                    ends["truncated"] += its_cut
                    np.testing.assert_array_equal(info["final_obs"][row], one)
                    assert info["_final_obs"][row]
                    assert info["final_info"]["kpis"][row].tolist() == [
                        its_info["kpis"]["survived"]
                    ]
                    one, _ = env.reset()
                elif "final_obs" in info:
                    assert not info["_final_obs"][row]
                np.testing.assert_array_equal(obs[row], one)
        assert min(ends.values()) > 2

    def test_batch_env_hands_over_ends_and_kpis(self):
        env = BatchEnv(BALL, {"max_steps": 3, "sigma": 0.0}, 2)
        env.reset([0, 1])
        for _ in range(2):
            step = env.step(np.zeros((2, 1)))
            assert step.kpis is None
        step = env.step(np.zeros((2, 1)))
        assert step.truncated.all()
        assert step.kpis.tolist() == [[1.0], [1.0]]
        assert env.kpi_names == ("survived",)
        assert step.action_mask is None
        assert step.next_action_mask is None
        assert not np.array_equal(step.next_obs, step.obs)
        assert (step.duration == 1).all()

    def test_copy_says_whether_arrays_are_reused(self):
        for copy in (True, False):
            envs = BallVectorEnv(2, copy=copy)
            first, _ = envs.reset(seed=1)
            later = envs.step(np.ones((2, 1)))
            assert np.shares_memory(first, later[0]) is not copy

    def test_some_rows_can_begin_again(self):
        envs = BallVectorEnv(2, sigma=0.0)
        start, _ = envs.reset(seed=1)
        envs.step(np.ones((2, 1)))
        obs, _ = envs.reset(seed=[1, None], options={"reset_mask": np.array([True, False])})
        np.testing.assert_allclose(obs, [start[0], start[1] + 1], rtol=1e-6)

    def test_a_list_of_seeds_must_fit(self):
        with pytest.raises(InputError, match="3 seeds for 2"):
            BallVectorEnv(2).reset(seed=[1, 2, 3])

    def test_it_needs_a_copy_and_does_not_draw(self):
        with pytest.raises(InputError, match="num_envs=0"):
            BallVectorEnv(0)
        with pytest.raises(InputError, match="render"):
            BallVectorEnv(1, render_mode="rgb_array")


class TestOptions:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("dimension", 0), ("dimension", 65), ("dimension", 1.5), ("sigma", -0.1),
            ("sigma", float("nan")), ("sigma", float("inf")), ("max_steps", 0),
            ("bonus", float("inf")), ("bonus", "much"), ("terminal_bonus", "perhaps"),
            ("gravity", 9.81),
        ],
    )  # fmt: skip
    def test_a_bad_option_is_named(self, name, value):
        with pytest.raises(InputError, match=name):
            BallEnv(**{name: value})
        with pytest.raises(InputError, match=name):
            BatchEnv(BALL, {name: value}, 2)

    def test_a_render_mode_that_is_none_is_refused(self):
        with pytest.raises(InputError, match="render_mode='human': use rgb_array or ansi"):
            BallEnv(render_mode="human")

    def test_an_unknown_option_names_those_there_are(self):
        with pytest.raises(InputError, match="the ball has no option 'dim'; it has dimension"):
            BallEnv(dim=3)

    @settings(max_examples=30, deadline=None)
    @given(
        dimension=st.integers(1, 64),
        sigma=st.floats(0, 1_000),
        max_steps=st.integers(1, 50),
        bonus=st.floats(-1e6, 1e6),
        seed=st.integers(0, 2**63 - 1),
    )
    def test_observations_stay_in_the_space(self, dimension, sigma, max_steps, bonus, seed):
        env = BallEnv(dimension=dimension, sigma=sigma, max_steps=max_steps, bonus=bonus)
        out = play(env, seed)
        assert len(out) <= max_steps
        for obs, *_ in out:
            assert env.observation_space.contains(obs)
