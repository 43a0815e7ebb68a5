"""What somebody's own environment says arrives, copy by copy; what it must not say is named."""

import math

import numpy as np
import pytest

from compagnon.errors import FaultyEnvError
from tests.envs.own import Clock, batch_of

NOTHING = np.zeros(2, np.int64)


def test_the_time_of_an_episode_s_last_step_counts(monkeypatch):
    times = {1: {"info": {"elapsed": 5}}, 2: {"info": {"elapsed": 7}, "terminated": True}}
    longer = {k: {"info": {"elapsed": 10 + k}} for k in (0, 1, 2, 3)}
    env = batch_of(monkeypatch, Clock(times), Clock(longer))
    env.reset([0, 1])
    steps = [env.step(NOTHING) for _ in range(3)]
    assert [step.duration.tolist() for step in steps] == [[5, 11], [7, 12], [5, 13]]
    assert steps[1].terminated.tolist() == [True, False]
    assert steps[0].duration.dtype == np.int64


def test_the_time_of_the_next_episode_s_start_is_not_taken_for_it(monkeypatch):
    script = {0: {"info": {"elapsed": 99}}, 1: {"truncated": True}}
    env = batch_of(monkeypatch, Clock(script), Clock(limit=1))
    env.reset([0, 1])
    assert env.step(NOTHING).duration.tolist() == [1, 1]


def test_a_mask_told_by_one_copy_forbids_nothing_to_the_others(monkeypatch):
    script = {k: {"info": {"action_mask": np.array([1, 0, 1], np.int8)}} for k in (1, 2)}
    env = batch_of(monkeypatch, Clock(script), Clock())
    env.reset([0, 1])
    assert env.action_mask.all()
    step = env.step(NOTHING)
    assert step.action_mask.tolist() == [[True, False, True], [True, True, True]]
    assert step.next_action_mask is step.action_mask


def test_a_mask_at_the_cut_of_one_copy_is_not_the_other_s(monkeypatch):
    forbids = {"info": {"action_mask": np.array([False, True, True])}}
    script = {0: forbids, 1: {"truncated": True, "info": {"action_mask": [False, False, True]}}}
    env = batch_of(monkeypatch, Clock(script), Clock(limit=1))
    env.reset([0, 1])
    step = env.step(NOTHING)
    assert step.next_action_mask.tolist() == [[False, False, True], [True, True, True]]
    assert step.action_mask.tolist() == [[False, True, True], [True, True, True]]


def test_an_array_that_is_used_again_shows_the_end_and_then_the_start(monkeypatch):
    env = batch_of(monkeypatch, Clock(limit=2), Clock(limit=3))
    env.reset([0, 1])
    first = env.step(NOTHING)
    assert first.next_obs[:, 0].tolist() == [1, 1]
    second = env.step(NOTHING)
    assert second.next_obs[:, 0].tolist() == [2, 2]
    assert second.obs[:, 0].tolist() == [0, 2]


FAULTS = {
    "observation": ({2: {"obs": math.nan}}, "the observation obs_0 is nan"),
    "end": ({2: {"obs": math.inf, "terminated": True}}, "the observation obs_0 is inf"),
    "reward": ({2: {"reward": -math.inf}}, "the reward is -inf"),
    "no number": ({2: {"reward": "much"}}, "the reward is 'much'"),
    "elapsed": ({2: {"info": {"elapsed": -1}}}, r"info\['elapsed'\] is -1"),
    "part": ({2: {"info": {"elapsed": 1.5}}}, r"info\['elapsed'\] is 1.5; it should be a whole"),
    "time": ({2: {"info": {"elapsed": math.nan}}}, r"info\['elapsed'\] is nan"),
    "mask": ({2: {"info": {"action_mask": [0, 0, 0]}}}, "the action mask allows no action"),
    "size": (
        {2: {"info": {"action_mask": [1, 1]}}},
        r"the action mask has shape \(2,\); it should have 3",
    ),
    "cut": (
        {2: {"info": {"action_mask": [0, 0, 0]}, "truncated": True}},
        "the action mask allows no action",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_an_environment_must_not_say_is_named(monkeypatch, name):
    script, words = FAULTS[name]
    env = batch_of(monkeypatch, Clock(limit=3), Clock(script))
    env.reset([40, 41])
    env.step(NOTHING)
    place = r"test/Own-v0, copy 1 \(begun with seed 41\), step 2 of its episode: "
    with pytest.raises(FaultyEnvError, match=place + words):
        env.step(NOTHING)


def test_steps_are_counted_from_the_copy_s_own_start(monkeypatch):
    script = {2: {"obs": math.nan}}
    env = batch_of(monkeypatch, Clock(limit=1), Clock(limit=1))
    env.reset([0, 1])
    env.step(NOTHING)
    clock = env.vec.envs[1].unwrapped
    clock.script, clock.limit = script, 9
    env.step(NOTHING)
    with pytest.raises(FaultyEnvError, match=r"copy 1 .*, step 2 of its episode"):
        env.step(NOTHING)


def test_a_start_that_is_no_number_is_named(monkeypatch):
    env = batch_of(monkeypatch, Clock({0: {"obs": math.nan}}))
    with pytest.raises(FaultyEnvError, match="step 0 of its episode: the observation obs_0"):
        env.reset([3])


def test_a_terminated_episode_may_leave_nothing_to_choose(monkeypatch):
    script = {1: {"info": {"action_mask": [0, 0, 0]}, "terminated": True}}
    env = batch_of(monkeypatch, Clock(script), Clock(script))
    env.reset([0, 1])
    assert env.step(NOTHING).terminated.all()


class Business(Clock):
    """Names its figures; `sales` is a term without a KPI of its own."""

    kpi_names = ("profit", "waste")
    reward_term_names = ("sales", "waste")


def business(*profits: float) -> Business:
    script = {
        k: {"info": {"reward_terms": {"waste": -1.0, "sales": p}}} for k, p in enumerate(profits, 1)
    }
    script[len(profits)]["info"]["kpis"] = {"waste": -2.5, "profit": sum(profits)}
    return Business(script, limit=len(profits))


def test_figures_and_terms_of_single_environments_arrive(monkeypatch):
    env = batch_of(monkeypatch, business(3.0, 4.0), business(10.0))
    assert env.reward_term_names == ("sales", "waste")
    assert env.kpi_names == ("profit", "waste", "sales")  # terms without a KPI are summed
    env.reset([0, 1])
    first, second = env.step(NOTHING), env.step(NOTHING)
    assert first.kpis[1].tolist() == [10.0, -2.5, 10.0]
    assert second.kpis[0].tolist() == [7.0, -2.5, 7.0]
    assert second.kpis[1].tolist() == [10.0, -2.5, 10.0]  # of this episode alone


def test_figures_that_are_promised_and_do_not_come_are_named(monkeypatch):
    env = batch_of(monkeypatch, Business({1: {"info": {"reward_terms": [1.0, 2.0]}}}, limit=1))
    env.reset([0])
    with pytest.raises(FaultyEnvError, match=r"info\['kpis'\] is missing.*last step"):
        env.step(NOTHING[:1])
    env = batch_of(monkeypatch, Business({1: {"info": {"reward_terms": {"sales": 1}}}}))
    env.reset([0])
    with pytest.raises(FaultyEnvError, match=r"info\['reward_terms'\] has no 'waste'"):
        env.step(NOTHING[:1])


def test_figures_that_nobody_named_beforehand_are_taken_as_they_come(monkeypatch):
    script = {2: {"info": {"kpis": {"sold": 4}}, "terminated": True}}
    env = batch_of(monkeypatch, Clock(script), Clock())
    env.reset([0, 1])
    assert env.kpi_names == ()
    env.step(NOTHING)
    step = env.step(NOTHING)
    assert env.kpi_names == ("sold",)
    assert step.kpis[0].tolist() == [4.0]
    assert np.isnan(step.kpis[1]).all()


class Named(Business):
    """Names its figures when an episode ends, one of them as a term of its reward is called."""

    kpi_names = ()


def test_a_figure_that_is_named_at_the_end_as_a_term_is_counts_once(monkeypatch):
    terms = {"reward_terms": {"waste": -1.0, "sales": 3.0}}
    ends = {"info": {**terms, "kpis": {"waste": -2.5, "served": 4.0}}}
    env = batch_of(monkeypatch, Named({1: {"info": terms}, 2: ends}, limit=2))
    env.reset([0])
    assert env.kpi_names == ("sales", "waste")  # so far
    env.step(NOTHING[:1])
    for _ in range(2):
        step = env.step(NOTHING[:1])
        assert env.kpi_names == ("waste", "served", "sales")
        assert step.kpis.tolist() == [[-2.5, 4.0, 6.0]]  # its own figure, and the sum of the rest
        env.step(NOTHING[:1])


def test_where_the_end_names_every_term_nothing_is_summed(monkeypatch):
    terms = {"reward_terms": {"waste": -1.0, "sales": 3.0}}
    ends = {"info": {**terms, "kpis": {"sales": 9.0, "waste": 8.0}}}
    env = batch_of(monkeypatch, Named({1: ends}, limit=1), Named({1: {"info": terms}}, limit=1))
    env.reset([0, 1])
    step = env.step(NOTHING)
    assert env.kpi_names == ("sales", "waste")
    assert step.kpis[0].tolist() == [9.0, 8.0]
    assert np.isnan(step.kpis[1]).all()  # this copy says neither


def test_numbers_whose_squares_are_too_large_are_numbers(monkeypatch):
    env = batch_of(monkeypatch, Clock({1: {"obs": 3e38, "reward": -1e300}}))
    env.reset([0])
    step = env.step(NOTHING[:1])
    assert step.obs[0, 0] == np.float32(3e38)
    assert step.reward[0] == -1e300
    assert step.action_mask.all()
