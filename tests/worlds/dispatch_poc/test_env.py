"""The proof of concept keeps Gymnasium's promises, alone and in numbers."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.worlds.dispatch_poc import DISPATCH_POC, arrays, constants, kernel, travel
from compagnon.worlds.dispatch_poc.env import DispatchPocEnv
from compagnon.worlds.dispatch_poc.kpis import KPI_NAMES
from compagnon.worlds.dispatch_poc.options import PocOptions
from compagnon.worlds.dispatch_poc.vector import DispatchPocVectorEnv
from compagnon.worlds.dispatch_poc.world import WORLD

LIVELY = {"observation": "pairs", "assignments_per_tick": 3, "hours": 2}


def play(env, seed, steps, mask=None):
    """Random possible actions; everything that came out."""
    rng = np.random.default_rng(seed)
    mask = env.reset(seed=seed)[1]["action_mask"] if mask is None else mask
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
        np.testing.assert_array_equal(info["action_mask"], other[3]["action_mask"])
        assert info["elapsed"] == other[3]["elapsed"]


class TestGymnasium:
    @pytest.mark.parametrize("render_mode", [None, "rgb_array"])
    @pytest.mark.parametrize("options", [{}, {"faults": True}, LIVELY])
    def test_checker(self, render_mode, options):
        WORLD.register()
        env = gymnasium.make(DISPATCH_POC, render_mode=render_mode, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(env.unwrapped)

    def test_the_published_sizes(self):
        env = DispatchPocEnv()
        assert env.observation_space.shape == (122,)
        assert env.action_space.n == 201
        assert len(env.observation_fields) == 122
        assert DispatchPocEnv(observation="pairs").observation_space.shape == (322,)
        assert DispatchPocEnv(observation="trips").observation_space.shape == (1784,)

    def test_the_docstring_names_every_field_and_option(self):
        document = DispatchPocEnv.__doc__
        shown = [
            field.name
            for observation in ("pairs", "trips")
            for field in DispatchPocEnv(
                drivers=1, slots=1, observation=observation
            ).observation_fields
        ]
        for field in shown:
            name = field.replace("driver_0", "driver_i").replace("booking_0", "booking_j")
            assert name.replace("_0_0", "_i_j") in document
        for option in PocOptions.model_fields:
            assert f"| {option} |" in document

    @pytest.mark.parametrize("scaling", ["physical", "published"])
    @pytest.mark.parametrize("faults", [False, True])
    @pytest.mark.parametrize("observation", ["pairs", "trips"])
    def test_observations_stay_in_the_space(self, scaling, faults, observation):
        env = DispatchPocEnv(observation=observation, scaling=scaling, faults=faults, hours=12)
        for obs, *_ in play(env, 3, 200):
            assert env.observation_space.contains(obs)

    def test_published_scaling_divides(self):
        physical = play(DispatchPocEnv(observation="trips"), 2, 96)
        published = play(DispatchPocEnv(observation="trips", scaling="published"), 2, 96)
        fields = DispatchPocEnv(observation="trips").observation_fields
        divisors = np.array([field.divisor for field in fields])
        for one, other in zip(physical, published, strict=True):
            np.testing.assert_allclose(one[0] / divisors, other[0], rtol=1e-5, atol=1e-7)

    def test_a_day_is_terminated_at_its_last_tick(self):
        out = play(DispatchPocEnv(), 0, 1000)
        assert [terminated for *_, terminated, _ in out] == [False] * 95 + [True]
        assert set(out[-1][3]["kpis"]) == set(KPI_NAMES)
        assert "kpis" not in out[-2][3]

    def test_several_decisions_fit_in_a_tick(self):
        elapsed = [info["elapsed"] for *_, info in play(DispatchPocEnv(**LIVELY), 4, 1000)]
        assert set(elapsed) == {0, 1}
        assert sum(elapsed) == 24 < len(elapsed)

    def test_steps_outside_a_day_are_refused(self):
        env = DispatchPocEnv(hours=1)
        with pytest.raises(ResetNeeded):
            env.step(0)
        play(env, 1, 12)
        with pytest.raises(ResetNeeded):
            env.step(0)
        env.reset()
        env.step(0)

    @pytest.mark.parametrize("action", [-1, 201])
    def test_an_action_that_does_not_exist_is_refused(self, action):
        env = DispatchPocEnv()
        env.reset(seed=1)
        with pytest.raises(InputError, match=f"action {action} is outside 0..200"):
            env.step(action)
        envs = DispatchPocVectorEnv(2)
        envs.reset(seed=1)
        with pytest.raises(InputError, match="outside"):
            envs.step(np.array([0, action]))
        with pytest.raises(InputError, match="shape"):
            envs.step(np.zeros(3, np.int64))


class TestHandWorked:
    """One driver at the centre, one booking put on the board by hand at 08:00."""

    def env(self, lat=0.0, priority=3.0, window=40.0, **options):
        env = DispatchPocEnv(drivers=2, slots=2, **options)
        env.reset(seed=0)
        days = env._core.days
        days.state[0, arrays.COUNT] = 1
        days.bookings[0, 0] = [lat, 0, -0.1, 0, priority, window, window, 0, travel.cosine(lat)]
        days.km[0, 0] = travel.kilometres(
            0.0, 0.0, travel.cosine(0.0), lat, 0.0, travel.cosine(lat)
        )
        return env

    # 0.1 degrees of latitude are 11.119 km; at 30 (1 - 0.4) = 18 km/h, 37.07 minutes.
    @pytest.mark.parametrize(
        ("lat", "priority", "window", "reward"),
        [
            (0.0, 3, 40, 50 + 10 + 15),
            (0.0, 4, 29, 50 + 10 + 20 + 15),
            (0.1, 1, 40, 50),  # 37 minutes of 40: neither near nor prompt
            (0.1, 5, 37, 50 + 20 - 5 * 0.0646),
            (0.1, 1, 20, 50 - 5 * 17.0646),
            (0.1, 1, 10, 50 - 100),
            (0.06, 1, 59, 50 + 15),  # 6.67 km, 22.2 minutes
        ],
    )
    def test_an_assignment_earns(self, lat, priority, window, reward):
        env = self.env(lat, priority, window)
        assert env.step(1)[1] == pytest.approx(reward, abs=1e-2)
        assert env._core.days.places[0, 0, :2].tolist() == [-0.1, 0]
        assert env._core.days.load[0].tolist() in ([1, 0], [0, 0])
        assert env.kpis()["assignments"] == 1

    def test_a_wait_costs_one_and_an_impossible_action_ten(self):
        env = self.env()
        assert env.step(2)[1] == -10  # slot 1 is empty
        assert self.env().step(0)[1] == -1
        env = self.env()
        env._core.days.load[0, 0] = constants.MAX_LOAD
        assert env.step(1)[1] == -10
        assert env.kpis()["invalid"] == 1

    def test_who_waits_too_long_is_cancelled(self):
        env = self.env(priority=4, window=5)
        assert env.step(0)[1] == -1 - 160
        assert env.kpis()["cancellations"] == 1
        assert env.kpis()["satisfaction"] == 1

    def test_satisfaction_falls_with_the_wait(self):
        env = self.env(0.1, 1, 40)
        env.step(1)
        assert env.kpis()["satisfaction"] == pytest.approx(5 - 37.07 / 20, abs=1e-3)

    def test_only_faults_keep_the_slot(self):
        for faults in (False, True):
            env = self.env(faults=faults)
            env.step(1)
            row = env._core.days
            assert (
                row.bookings[0, 0, arrays.TAKEN] == 1 and row.state[0, arrays.COUNT] > 0
            ) == faults

    def test_only_faults_let_the_mask_hope(self):
        # 11.119 km at 30 km/h, times 1.4, are 31.1 minutes; on the road they are 37.1.
        for faults in (False, True):
            env = self.env(0.1, 1, 35, faults=faults)
            core = env._core
            core.load_state_dict(core.state_dict())
            kernel.observe(
                core.days.state[0], core.days.places[0], core.days.load[0], core.days.order[0],
                core.days.shown[0], core.days.bookings[0], core.days.km[0], core.params,
                core._scale, core.out.obs[0], core.out.mask[0],
            )  # fmt: skip
            assert bool(core.out.mask[0, 1]) is faults
            env.step(1)
            assert env.kpis()["late_share"] == 1

    def test_without_faults_what_the_mask_allows_is_never_late(self):
        for seed in range(20):
            info = play(DispatchPocEnv(), seed, 96)[-1][3]
            assert info["kpis"]["late_share"] == info["kpis"]["invalid"] == 0


class TestOrder:
    def test_first_stands_who_can_be_reached_and_is_most_urgent(self):
        env = DispatchPocEnv(order="urgency", observation="pairs")
        names = [field.name for field in env.observation_fields]
        left = [names.index(f"booking_{j}_time_left") for j in range(20)]
        spare = np.array([[names.index(f"spare_{i}_{j}") for i in range(10)] for j in range(20)])
        lost_seen = False
        for seed in range(4):
            for obs, *_, info in play(env, seed, 96):
                mask = info["action_mask"]
                open_slots = int((obs[left] > 0).sum())
                reached = mask[1:].reshape(10, 20).any(axis=0)[:open_slots]
                assert reached.tolist() == sorted(reached, reverse=True)
                for group in (reached, ~reached):
                    ends = obs[left][:open_slots][group]
                    assert ends.tolist() == sorted(ends)
                lost_seen |= bool((~reached).any())
                nearest_first = obs[spare[0]][mask[1:].reshape(10, 20)[:, 0]]
                assert nearest_first.tolist() == sorted(nearest_first, reverse=True)
        assert lost_seen

    def test_it_is_the_same_world(self):
        """The same pairs, found by their places, earn the same and lead to the same."""
        plain, ordered = DispatchPocEnv(hours=4), DispatchPocEnv(hours=4, order="urgency")
        rng = np.random.default_rng(0)
        for seed in range(5):
            mask = plain.reset(seed=seed)[1]["action_mask"]
            its_mask = ordered.reset(seed=seed)[1]["action_mask"]
            over = False
            while not over:
                assert mask.sum() == its_mask.sum()
                action = its_action = int(rng.choice(np.flatnonzero(mask)))
                if action:
                    driver, slot = divmod(action - 1, 20)
                    days = ordered._core.days
                    at = days.order[0].tolist().index(driver)
                    its_action = 1 + at * 20 + days.shown[0].tolist().index(slot)
                    assert its_mask[its_action]
                _, reward, over, _, info = plain.step(action)
                _, its_reward, its_over, _, its_info = ordered.step(its_action)
                assert (reward, over) == (its_reward, its_over)
                mask, its_mask = info["action_mask"], its_info["action_mask"]
            assert info["kpis"] == its_info["kpis"]

    def test_the_original_knows_no_other_order(self):
        with pytest.raises(InputError, match="order='urgency' with faults=True"):
            DispatchPocEnv(order="urgency", faults=True)


class TestSeeds:
    def test_same_seed_same_day(self):
        env = DispatchPocEnv()
        first = play(env, 7, 96)
        assert_same(first, play(env, 7, 96))
        assert_same(first, play(DispatchPocEnv(), 7, 96))

    def test_another_seed_and_the_next_day_are_others(self):
        env = DispatchPocEnv()
        days = [env.reset(seed=seed)[0].tolist() for seed in (7, None, 8)]
        assert len({tuple(day) for day in days}) == 3
        env.reset(seed=7)
        assert env.reset()[0].tolist() == days[1]

    def test_what_the_policy_does_moves_nothing_that_chance_decides(self):
        asked = []
        for busy in (True, False):
            env = DispatchPocEnv(slots=100)
            if busy:
                play(env, 9, 96)
            else:
                env.reset(seed=9)
                for _ in range(96):
                    env.step(0)
            asked.append(env.kpis()["demand"])
        assert asked[0] == asked[1] > 30

    def test_a_smaller_board_meets_the_same_demand(self):
        """What is turned away is lost, and shifts nothing of what comes after it."""
        ends = []
        for slots in (2, 40):
            env = DispatchPocEnv(slots=slots, drivers=1)
            env.reset(seed=3)
            while env.step(0)[4]["elapsed"] and env._core.days.state[0, arrays.TICK] < 95:
                pass
            ends.append(env.kpis()["demand"])
        assert ends[0] == ends[1]


class TestState:
    def test_a_restored_day_goes_on_alike(self):
        env, other = DispatchPocEnv(**LIVELY), DispatchPocEnv(**LIVELY)
        mask = play(env, 5, 20)[-1][3]["action_mask"]
        state = env.state_dict()
        first = play(env, 6, 20, mask)
        other.load_state_dict(state)
        assert_same(first, play(other, 6, 20, mask))
        np.testing.assert_array_equal(env.reset()[0], other.reset()[0])

    def test_a_state_is_a_copy(self):
        env = DispatchPocEnv()
        play(env, 5, 10)
        state = env.state_dict()
        before = {name: array.copy() for name, array in state.items()}
        env.step(0)
        for name, array in state.items():
            np.testing.assert_array_equal(array, before[name])
        assert any((array != before[name]).any() for name, array in env.state_dict().items())

    def test_restored_copies_go_on_alike_over_the_day_s_end(self):
        envs = [BatchEnv(DISPATCH_POC, {"hours": 1}, 3) for _ in range(2)]
        envs[0].reset([1, 2, 3])
        envs[0].step(np.zeros(3, np.int64))
        envs[1].load_state_dict(envs[0].state_dict())
        for _ in range(30):
            steps = [env.step(env.action_mask.argmax(axis=1)) for env in envs]
            np.testing.assert_array_equal(steps[0].obs, steps[1].obs)
            np.testing.assert_array_equal(steps[0].reward, steps[1].reward)


class TestVector:
    @pytest.mark.parametrize("num_envs", [3, 300])  # below and above where threads begin
    def test_rows_are_single_days(self, num_envs):
        envs = DispatchPocVectorEnv(num_envs, **LIVELY)
        rows = [0, 1, num_envs - 1]
        singles = {row: DispatchPocEnv(**LIVELY) for row in rows}
        obs, info = envs.reset(seed=20)
        for row, env in singles.items():
            np.testing.assert_array_equal(obs[row], env.reset(seed=20 + row)[0])
        rng = np.random.default_rng(0)
        ended = 0
        while ended < 4:
            actions = np.zeros(num_envs, np.int64)
            for row in rows:
                actions[row] = rng.choice(np.flatnonzero(info["action_mask"][row]))
            obs, reward, terminated, truncated, info = envs.step(actions)
            assert not truncated.any()
            for row, env in singles.items():
                one, its_reward, its_end, _, its_info = env.step(actions[row])
                assert (reward[row], terminated[row]) == (its_reward, its_end)
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

    def test_copy_says_whether_arrays_are_reused(self):
        for copy in (True, False):
            envs = DispatchPocVectorEnv(2, copy=copy)
            first, info = envs.reset(seed=1)
            later = envs.step(np.zeros(2, np.int64))
            assert np.shares_memory(first, later[0]) is not copy
            assert np.shares_memory(info["action_mask"], later[4]["action_mask"]) is not copy

    def test_it_needs_a_copy_and_does_not_draw(self):
        with pytest.raises(InputError, match="num_envs=0"):
            DispatchPocVectorEnv(0)
        with pytest.raises(InputError, match="render"):
            DispatchPocVectorEnv(1, render_mode="rgb_array")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("drivers", 0), ("drivers", 101), ("slots", 2.5), ("hours", 17), ("hours", "long"),
        ("assignments_per_tick", 0), ("faults", "perhaps"), ("order", "alphabet"),
        ("observation", "all"),
        ("scaling", "log"), ("weather", "rain"), ("render_mode", "human"),
    ],
)  # fmt: skip
def test_a_bad_option_is_named(name, value):
    with pytest.raises(InputError, match=name):
        DispatchPocEnv(**{name: value})


def test_actions_in_words():
    assert constants.describe_action(0, 20) == "wait"
    assert constants.describe_action(22, 20) == "driver 1 to booking 1"
