"""The workshop's rules do in each state what a hand would, and earn what was published."""

import json

import numpy as np
import pytest

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import play_episodes
from compagnon.evaluation.evaluate import evaluate
from compagnon.policy import Schema, load_policy
from compagnon.worlds.workshop import WORKSHOP
from compagnon.worlds.workshop.constants import BATCHES
from compagnon.worlds.workshop.experts import experts
from compagnon.worlds.workshop.experts.rules import NEEDED, BaseStockLevels
from compagnon.worlds.workshop.experts.search import BOUNDS, search_base_stock
from tests.policy.networks import schema_of
from tests.tiers import full

WAIT = 200
SCHEMA = schema_of(observation=list(NEEDED))
V2, OVER = "expert:workshop-v2", "expert:workshop-over-producer"
LEVELS = {"order_point": 15, "order_size": 8, "p1_batch": 9, "step1_batch": 8, "step2_batch": 7,
          "p1_target": 10, "p2_target": 15, "p2_inter_cap": 12, "p1_first": 2}  # fmt: skip


def p1(k):
    return k - 1


def step1(k):
    return 49 + k


def step2(k):
    return 99 + k


def order(k):
    return 149 + k


def decide(name, **state):
    """What a policy does in a state in which everything that is not named is 0."""
    obs = np.array([[state.get(field, 0) for field in NEEDED]], np.float32)
    return int(load_policy(name, SCHEMA).act(obs)[0])


@pytest.fixture
def base_stock(tmp_path):
    file = tmp_path / "levels.json"
    file.write_text(json.dumps(LEVELS))
    return f"expert:workshop-base-stock:{file}"


# fmt: off
V2_CASES = [
    (order(10), {}),
    (order(10), {"raw": 10, "raw_in_transit": 9, "p2_inter": 3, "backlog_p2": 5}),
    (WAIT, {"raw": 10, "raw_in_transit": 10}),
    (step2(3), {"raw": 20, "p2_inter": 3, "backlog_p2": 9}),
    (step2(5), {"raw": 20, "p2_inter": 30}),
    (step1(5), {"raw": 20, "p2_inter": 3, "m2_busy": 1, "backlog_p2": 9, "backlog_p1": 9}),
    (step1(2), {"raw": 20, "backlog_p2": 2, "backlog_p1": 9}),
    (step1(1), {"raw": 1, "raw_in_transit": 40, "backlog_p2": 2}),
    (p1(4), {"raw": 20, "backlog_p1": 4}),
    (p1(5), {"raw": 20, "backlog_p1": 40, "p1": 50}),  # it does not look at what is in stock
    (WAIT, {"raw": 20, "backlog_p1": 4, "m1_busy": 1}),
    (WAIT, {"raw": 0, "raw_in_transit": 20, "backlog_p1": 4}),
]
OVER_CASES = [
    (order(50), {}),
    (order(7), {"raw": 23, "raw_in_transit": 20, "p2_inter": 5}),
    (step2(5), {"raw": 50, "p2_inter": 5}),
    (p1(3), {"raw": 50, "backlog_p1": 5, "p1": 2}),
    (step1(5), {"raw": 50, "backlog_p1": 2, "p1": 2}),
    (step1(2), {"raw": 2, "raw_in_transit": 48, "p2": 50}),
    (WAIT, {"raw": 50, "m1_busy": 1}),
]
BASE_STOCK_CASES = [
    (order(8), {"raw": 14}),
    (order(8), {"raw": 4, "raw_in_transit": 10, "p2_inter": 5}),
    (step1(8), {"raw": 15}),                            # 15 P2 wanted, 8 at most in a batch
    (step1(3), {"raw": 15, "p2": 10, "m2_busy": 1, "m2_time_left": 16}),  # 2 more are on M2
    (step1(4), {"raw": 15, "p2_inter": 8, "m2_busy": 1}),                 # the cap of 12
    (step2(7), {"raw": 15, "p2_inter": 12}),
    (step2(2), {"raw": 15, "p2_inter": 12, "p2": 48}),                    # room for 2 alone
    (p1(9), {"raw": 15, "p2_inter": 12, "p2": 50}),     # no room at all: P1 instead
    (p1(9), {"raw": 15, "backlog_p1": 3}),              # 3 > p1_first: P1 goes before P2
    (step1(8), {"raw": 15, "backlog_p1": 2}),
    (p1(6), {"raw": 15, "p1": 4, "p2": 15}),
    (p1(5), {"raw": 15, "p1": 45, "p2": 15, "backlog_p1": 60}),           # room for 5 alone
    (WAIT, {"raw": 15, "p1": 10, "p2": 15}),
    (WAIT, {"raw": 15, "m1_busy": 1}),
    (WAIT, {"raw_in_transit": 15}),
]
# fmt: on


@pytest.mark.parametrize(("action", "state"), V2_CASES)
def test_v2_by_hand(action, state):
    assert decide(V2, **state) == action


@pytest.mark.parametrize(("action", "state"), OVER_CASES)
def test_over_producer_by_hand(action, state):
    assert decide(OVER, **state) == action


@pytest.mark.parametrize(("action", "state"), BASE_STOCK_CASES)
def test_base_stock_by_hand(action, state, base_stock):
    assert decide(base_stock, **state) == action


@pytest.mark.parametrize("name", [V2, full(OVER), full("expert:workshop-base-stock:tight")])
def test_the_view_makes_no_difference(name):
    views = [
        {"observation": observation, "scaling": scaling}
        for observation in ("full", "compact", list(NEEDED))
        for scaling in ("physical", "published")
    ]
    envs = [BatchEnv(WORKSHOP, {"demand": "overload", **view}, 2) for view in views]
    policies = [load_policy(name, Schema.of(env)) for env in envs]
    for env in envs:
        env.reset([1, 2])
    for _ in range(3_000):
        choices = [
            policy.act(env.obs, env.action_mask) for env, policy in zip(envs, policies, strict=True)
        ]
        for choice in choices[1:]:
            np.testing.assert_array_equal(choice, choices[0])
        for env in envs:
            env.step(choices[0])


def test_a_view_without_the_inputs_is_refused():
    with pytest.raises(InputError, match=r"needs the observation fields raw_in_transit, .*compact"):
        load_policy(V2, schema_of(observation=["time", "raw"]))


def weeks(name, count=40, **env_args):
    env_args = {"decision_points": True, **env_args}
    policy = load_policy(name, schema_of(**env_args))
    return play_episodes(WORKSHOP, env_args, policy, list(range(count)))


@pytest.mark.parametrize("setting", ["published", "tight"])
def test_base_stock_loses_no_unit(setting):
    kpis = weeks(f"expert:workshop-base-stock:{setting}", demand=setting).kpis
    assert kpis["overflow"].sum() == 0
    assert kpis["invalid_cost"].sum() == 0
    assert kpis["served_share_p2"].mean() > 0.9


@pytest.mark.full
def test_the_over_producer_games_the_reward_and_loses_money():
    gamed, honest = (weeks(name, decision_points=False).kpis for name in (OVER, V2))
    assert 19_500 < gamed["published_reward"].mean() < 20_500
    assert 12_500 < honest["published_reward"].mean() < 13_700
    assert gamed["profit"].mean() < honest["profit"].mean()
    assert gamed["overflow"].mean() > 300
    assert honest["overflow"].mean() < 10


def test_shipped_levels_are_what_they_should_be():
    assert set(experts.shipped_levels()) >= {"published", "tight"}


LEVEL_EDITS = {
    "missing": ({"p1_first": None}, "expected an object with the keys order_point"),
    "text": ({"order_size": "8"}, "order_size='8' should be a whole number"),
    "half": ({"order_size": 8.5}, "order_size=8.5 should be a whole number"),
    "truth": ({"p1_target": True}, "p1_target=True should be a whole number"),
    "no batch": ({"p1_batch": 0}, "p1_batch=0 should be between 1 and 50"),
    "large batch": ({"step2_batch": 51}, "step2_batch=51 should be between 1 and 50"),
}


@pytest.mark.parametrize(("edit", "message"), LEVEL_EDITS.values(), ids=LEVEL_EDITS)
def test_levels_that_cannot_be(edit, message, tmp_path):
    levels = {key: value for key, value in {**LEVELS, **edit}.items() if value is not None}
    file = tmp_path / "levels.json"
    file.write_text(json.dumps(levels))
    with pytest.raises(InputError, match=message):
        experts.load_levels(str(file))


def test_levels_that_are_no_levels(tmp_path):
    with pytest.raises(InputError, match=r"neither a setting \(.*tight.*\) nor a file"):
        experts.load_levels("loose")
    file = tmp_path / "levels.json"
    for data in (b"{", b"\xff\xfe\x00"):
        file.write_bytes(data)
        with pytest.raises(InputError, match=r"levels\.json"):
            experts.load_levels(str(file))


@pytest.mark.slow
def test_the_search_finds_levels_as_good_as_those_that_ship():
    found = search_base_stock({}, trials=160, seed=3, weeks=4)
    assert found.trials == 160
    name = "expert:workshop-base-stock"
    shipped = weeks(name).kpis["profit"].mean()
    policy = load_policy(name, schema_of(decision_points=True))
    policy.levels = found.levels
    args = {"decision_points": True}
    tuned = play_episodes(WORKSHOP, args, policy, list(range(40))).kpis["profit"].mean()
    assert tuned > shipped - 75


def test_the_search_tries_every_batch_and_all_that_ships():
    # Bounds that are too narrow make a weak rule, and a weak rule flatters whatever is compared.
    low, high = (dict(zip(BaseStockLevels._fields, bound, strict=True)) for bound in BOUNDS)
    for name in ("order_size", "p1_batch", "step1_batch", "step2_batch"):
        assert (low[name], high[name]) == (1, BATCHES)
    for setting, levels in experts.shipped_levels().items():
        for name, level in levels._asdict().items():
            assert low[name] <= level <= high[name], (setting, name)


def test_the_search_refuses_what_makes_no_sense():
    with pytest.raises(InputError, match="trials=0"):
        search_base_stock({}, trials=0)
    with pytest.raises(InputError, match="colour"):
        search_base_stock({"colour": "red"}, trials=4)


@pytest.mark.full
def test_the_search_is_repeatable():
    first, second = (search_base_stock({}, trials=6, seed=1, weeks=1) for _ in range(2))
    assert first == second


def test_v2_earns_the_same_at_decision_points_as_minute_by_minute():
    shop = {"demand": "tight", "setup_minutes": 20, "minutes_between_failures": 1440}
    by_minute, by_decision = (
        evaluate([V2], WORKSHOP, {**shop, "decision_points": points}, episodes=6).scores[0].results
        for points in (False, True)
    )
    assert by_decision.returns == pytest.approx(by_minute.returns, abs=1e-6)
    assert by_decision.lengths.max() < by_minute.lengths.min() / 3
