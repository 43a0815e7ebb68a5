"""The workshop keeps Gymnasium's promises, alone and in numbers."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from compagnon.errors import InputError
from compagnon.worlds.workshop import WORKSHOP
from compagnon.worlds.workshop.env import WorkshopEnv
from compagnon.worlds.workshop.fields import FIELDS, OBSERVATION_SETS
from compagnon.worlds.workshop.options import WorkshopOptions
from compagnon.worlds.workshop.vector import WorkshopVectorEnv
from compagnon.worlds.workshop.world import WORLD

ALL = tuple(field.name for field in FIELDS)
LIVELY = {
    "demand": "tight", "setup_minutes": 7, "minutes_between_failures": 300.0,
    "calm_minutes": 400.0, "rush_factor": 2.0,
}  # fmt: skip


def play(env, seed, steps, first=None):
    """Random possible actions; everything that came out."""
    rng = np.random.default_rng(seed)
    mask = env.reset(seed=seed)[1]["action_mask"] if first is None else first
    out = []
    for _ in range(steps):
        obs, reward, terminated, truncated, info = env.step(int(rng.choice(np.flatnonzero(mask))))
        mask = info["action_mask"]
        out.append((obs, reward, terminated, info))
        assert not truncated
        if terminated:
            break
    return out


def assert_same(left, right):
    assert len(left) == len(right)
    for (obs, reward, terminated, info), other in zip(left, right, strict=True):
        np.testing.assert_array_equal(obs, other[0])
        assert (reward, terminated) == other[1:3]
        for name in ("action_mask", "elapsed", "reward_terms"):
            np.testing.assert_array_equal(info[name], other[3][name])


class TestGymnasium:
    @pytest.mark.parametrize("render_mode", [None, "rgb_array", "ansi"])
    def test_checker(self, render_mode):
        WORLD.register()
        env = gymnasium.make(WORKSHOP, render_mode=render_mode)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(env.unwrapped)

    def test_the_docstring_names_every_field_and_option(self):
        document = WorkshopEnv.__doc__
        for index, field in enumerate(FIELDS):
            assert f"| {index} | {field.name} | {field.unit} |" in document
            assert field.meaning in document
        for option in WorkshopOptions.model_fields:
            assert f"| {option} |" in document
        for term in WorkshopEnv.reward_term_names:
            assert f"| {term} |" in document

    def test_a_week_is_terminated_at_its_last_minute(self):
        env = WorkshopEnv(observation=("time",))
        out = play(env, 0, 20_000)
        assert [terminated for *_, terminated, _ in out] == [False] * 10_079 + [True]
        assert out[-1][0] == [10_080]
        assert set(out[-1][3]["kpis"]) == set(env.kpi_names)
        assert "kpis" not in out[-2][3]

    def test_steps_outside_a_week_are_refused(self):
        env = WorkshopEnv(decision_points=True, calm_factor=0.0)
        with pytest.raises(ResetNeeded):
            env.step(200)
        env.reset(seed=1)
        assert env.step(200)[2]
        with pytest.raises(ResetNeeded):
            env.step(200)
        env.reset()
        env.step(0)

    @pytest.mark.parametrize("action", [-1, 201])
    def test_an_action_that_does_not_exist_is_refused(self, action):
        env = WorkshopEnv()
        env.reset(seed=1)
        with pytest.raises(InputError, match=f"action {action} is outside 0..200"):
            env.step(action)
        envs = WorkshopVectorEnv(2)
        envs.reset(seed=1)
        with pytest.raises(InputError, match="outside"):
            envs.step(np.array([0, action]))
        with pytest.raises(InputError, match="shape"):
            envs.step(np.zeros(3, np.int64))

    @pytest.mark.parametrize("scaling", ["physical", "published"])
    def test_observations_stay_in_the_space(self, scaling):
        env = WorkshopEnv(
            observation=ALL, scaling=scaling, decision_points=True,
            **{**LIVELY, "demand": "overload", "rush_factor": 20.0},
        )  # fmt: skip
        for obs, *_ in play(env, 3, 5000):
            assert env.observation_space.contains(obs)

    def test_published_scaling_divides(self):
        physical = play(WorkshopEnv(observation="full"), 2, 300)
        published = play(WorkshopEnv(observation="full", scaling="published"), 2, 300)
        divisors = np.array([field.divisor for field in FIELDS[:23]])
        for one, other in zip(physical, published, strict=True):
            np.testing.assert_allclose(one[0] / divisors, other[0], rtol=1e-5, atol=1e-9)

    @pytest.mark.parametrize("name", list(OBSERVATION_SETS))
    def test_sets_are_columns_of_the_whole(self, name):
        whole = play(WorkshopEnv(observation=ALL, **LIVELY), 2, 300)
        some = WorkshopEnv(observation=name, **LIVELY)
        columns = [ALL.index(field.name) for field in some.observation_fields]
        for one, other in zip(whole, play(some, 2, 300), strict=True):
            np.testing.assert_array_equal(one[0][columns], other[0])


class TestSeeds:
    def test_same_seed_same_week(self):
        env = WorkshopEnv(**LIVELY)
        first = play(env, 7, 500)
        assert_same(first, play(env, 7, 500))
        assert_same(first, play(WorkshopEnv(**LIVELY), 7, 500))

    def test_another_seed_and_the_next_week_are_others(self):
        def demand(env):
            for _ in range(10_000):
                env.step(200)
            return env.kpis()["mean_backlog_p1"]

        env = WorkshopEnv()
        weeks = []
        for seed in (7, None, 8):
            env.reset(seed=seed)
            weeks.append(demand(env))
        assert len(set(weeks)) == 3
        env.reset(seed=7)
        env.reset()
        assert demand(env) == weeks[1]

    def test_without_a_seed_two_shops_differ(self):
        orders = []
        for env in (WorkshopEnv(observation=("backlog_p2",)) for _ in range(2)):
            env.reset()
            orders.append([env.step(200)[0][0] for _ in range(3000)])
        assert orders[0] != orders[1]

    def test_what_the_policy_does_moves_nothing_that_chance_decides(self):
        watched = ("time", "m1_down", "m2_down", "recent_demand")
        env = WorkshopEnv(observation=watched, **LIVELY)
        busy = np.array([obs for obs, *_ in play(env, 9, 10_080)])
        demand = {name: env.kpis()[name] for name in ("demand_p1", "demand_p2")}
        env.reset(seed=9)
        idle = np.array([env.step(200)[0] for _ in range(10_080)])
        np.testing.assert_array_equal(busy, idle)
        assert busy[:, 1:].any(axis=0).all()
        assert demand == {name: env.kpis()[name] for name in demand}

    def test_the_delay_depends_on_the_minute_alone(self):
        delays = []
        for start in (150, 199):
            env = WorkshopEnv(observation=("next_delivery",))
            env.reset(seed=2)
            if start == 199:
                env.step(4)
            else:
                env.step(200)
            delays.append(env.step(start)[0][0])
        assert delays[0] == delays[1] > 0


class TestState:
    @pytest.mark.parametrize("decision_points", [False, True])
    def test_a_restored_shop_goes_on_alike(self, decision_points):
        env = WorkshopEnv(decision_points=decision_points, **LIVELY)
        mask = play(env, 5, 700)[-1][3]["action_mask"]
        state = env.state_dict()
        first = play(env, 6, 400, mask)
        other = WorkshopEnv(decision_points=decision_points, **LIVELY)
        other.load_state_dict(state)
        assert_same(first, play(other, 6, 400, mask))
        np.testing.assert_array_equal(env.reset()[0], other.reset()[0])
        assert_same(play(env, 8, 400, mask), play(other, 8, 400, mask))

    def test_a_state_is_a_copy(self):
        env = WorkshopEnv()
        play(env, 5, 10)
        state = env.state_dict()
        before = {name: array.copy() for name, array in state.items()}
        env.step(160)
        for name, array in state.items():
            np.testing.assert_array_equal(array, before[name])
        assert any((array != before[name]).any() for name, array in env.state_dict().items())

    def test_restored_copies_go_on_alike_over_the_week_s_end(self):
        def run(envs, steps):
            return [envs.step(np.full(3, 200))[0] for _ in range(steps)]

        envs, other = (WorkshopVectorEnv(3, decision_points=True, **LIVELY) for _ in range(2))
        envs.reset(seed=3)
        run(envs, 100)
        other.load_state_dict(envs.state_dict())
        np.testing.assert_array_equal(run(envs, 2000), run(other, 2000))
        np.testing.assert_array_equal(envs.reset()[0], other.reset()[0])


class TestVector:
    @pytest.mark.parametrize("num_envs", [3, 70])  # below and above where threads begin
    def test_rows_are_single_shops(self, num_envs):
        options = {**LIVELY, "decision_points": True, "observation": ALL}
        envs = WorkshopVectorEnv(num_envs, **options)
        rows = [0, 1, num_envs - 1]
        singles = {row: WorkshopEnv(**options) for row in rows}
        obs, info = envs.reset(seed=20)
        for row, env in singles.items():
            np.testing.assert_array_equal(obs[row], env.reset(seed=20 + row)[0])
        rng = np.random.default_rng(0)
        ended = 0
        while ended < 4:
            actions = np.full(num_envs, 200)
            for row in rows:
                if rng.random() < 0.3:
                    actions[row] = rng.choice(np.flatnonzero(info["action_mask"][row]))
            obs, reward, terminated, truncated, info = envs.step(actions)
            assert not truncated.any()
            for row, env in singles.items():
                one, its_reward, its_end, _, its_info = env.step(actions[row])
                assert (reward[row], terminated[row]) == (its_reward, its_end)
                np.testing.assert_array_equal(info["reward_terms"][row], its_info["reward_terms"])
                assert info["elapsed"][row] == its_info["elapsed"]
                if its_end:
                    ended += 1
                    np.testing.assert_array_equal(info["final_obs"][row], one)
                    assert info["_final_obs"][row]
                    kpis = info["final_info"]["kpis"][row].tolist()
                    assert dict(zip(envs.kpi_names, kpis, strict=True)) == its_info["kpis"]
                    one, its_info = env.reset()
                np.testing.assert_array_equal(obs[row], one)
                np.testing.assert_array_equal(info["action_mask"][row], its_info["action_mask"])

    def test_no_row_ends_unannounced(self):
        envs = WorkshopVectorEnv(2, decision_points=True, calm_factor=0.0, observation=("time",))
        envs.reset(seed=[1, 2])
        *_, terminated, _, info = envs.step(np.array([200, 150]))
        assert terminated.tolist() == info["_final_info"].tolist() == [True, False]
        assert info["final_obs"][0] == 10_080
        *_, info = envs.step(np.array([150, 150]))
        assert "final_obs" not in info

    def test_copy_says_whether_arrays_are_reused(self):
        for copy in (True, False):
            envs = WorkshopVectorEnv(2, copy=copy, observation=("time",))
            first, info = envs.reset(seed=1)
            later = envs.step(np.full(2, 200))
            assert np.shares_memory(first, later[0]) is not copy
            assert np.shares_memory(info["action_mask"], later[4]["action_mask"]) is not copy
            assert first[0] == (0 if copy else 1)

    def test_some_rows_can_begin_again(self):
        envs = WorkshopVectorEnv(2, observation=("time",))
        envs.reset(seed=1)
        envs.step(np.full(2, 200))
        obs, _ = envs.reset(options={"reset_mask": np.array([True, False])})
        assert obs[:, 0].tolist() == [0, 1]

    def test_a_list_of_seeds_must_fit(self):
        with pytest.raises(InputError, match="3 seeds for 2"):
            WorkshopVectorEnv(2).reset(seed=[1, 2, 3])

    def test_it_needs_a_copy_and_does_not_draw(self):
        with pytest.raises(InputError, match="num_envs=0"):
            WorkshopVectorEnv(0)
        with pytest.raises(InputError, match="render"):
            WorkshopVectorEnv(1, render_mode="rgb_array")


class TestOptions:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("reward", "money"), ("demand", "quiet"), ("scaling", "log"),
            ("observation", "everything"), ("observation", ["time", "weather"]),
            ("observation", []), ("observation", ["time", "time"]),
            ("decision_points", "perhaps"), ("setup_minutes", -1), ("setup_minutes", 2.5),
            ("minutes_between_failures", -5.0), ("repair_minutes", 0.0),
            ("calm_factor", 21.0), ("rush_factor", -1.0), ("calm_minutes", -1.0),
            ("rush_minutes", 1.0), ("weather", "rain"), ("render_mode", "human"),
        ],
    )  # fmt: skip
    def test_a_bad_option_is_named(self, name, value):
        with pytest.raises(InputError, match=name):
            WorkshopEnv(**{name: value})

    def test_an_unknown_option_names_those_there_are(self):
        with pytest.raises(InputError, match="setup_minutes"):
            WorkshopEnv(setup=3)

    def test_weeks_of_a_book_follow_one_another(self, tmp_path):
        book = tmp_path / "book.csv"
        book.write_text("time,product,quantity\n0,P1,1\n10080,P1,2\n20160,P1,3\n")
        env = WorkshopEnv(demand=str(book), observation=("backlog_p1",))
        seen = []
        for seed in (4, None, None):
            env.reset(seed=seed)
            seen.append([env.step(200)[0][0] for _ in range(15)][-1])
        assert seen == [2, 3, 1]  # 4 % 3 is the second week
