"""The compiled kernel does what the rules say, minute by minute, whatever is played."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compagnon.envs import streams
from compagnon.worlds.workshop.constants import REWARD_TERMS
from compagnon.worlds.workshop.env import WorkshopEnv
from compagnon.worlds.workshop.fields import FIELDS
from compagnon.worlds.workshop.kpis import KPI_NAMES
from tests.tiers import full
from tests.worlds.workshop.reference import ReferenceShop, Rules, geometric, mix, poisson, uniform

ALL = tuple(field.name for field in FIELDS)
FACTORS = {"published": 1.0, "tight": 2.0, "overload": 3.0}
INEXACT = {"reward_total", "last_reward", "recent_demand"}
LIVELY = {
    "demand": "overload", "setup_minutes": 7, "minutes_between_failures": 300.0,
    "repair_minutes": 20.0, "calm_minutes": 200.0, "rush_minutes": 300.0, "rush_factor": 2.0,
    "calm_factor": 0.8,
}  # fmt: skip


def pair(seed, rules=None, **options):
    """The environment and the reference under the same options."""
    env = WorkshopEnv(observation=ALL, **options)
    plain = {name: value for name, value in options.items() if name != "demand"}
    factor = FACTORS[options.get("demand", "published")]
    return env, ReferenceShop(seed, rules=rules, demand_factor=factor, **plain)


def choose(rng, style, shop):
    """An action in a style: anything, anything possible, work and order much, or waiting a lot."""
    possible = np.flatnonzero(shop.mask())
    if style == "anything":
        return int(rng.integers(201))
    if style == "possible":
        return int(rng.choice(possible))
    if style == "patient" and rng.random() < 0.9:
        return 200
    work = possible[possible < 150]
    if len(work) and rng.random() < 0.8:
        return int(rng.choice(work))
    chance = 0.15 if style == "hoard" else 0.01
    return 150 + int(rng.integers(50)) if rng.random() < chance else 200


def difference(env, shop, seed, style, steps):
    """Play both; the first thing on which they differ, or None."""
    rng = np.random.default_rng(seed)
    obs, info = env.reset(seed=seed)
    shop.begin()
    found = compare(obs, info["action_mask"], shop)
    for _ in range(steps):
        if found:
            return found
        action = choose(rng, style, shop)
        obs, reward, terminated, truncated, info = env.step(action)
        expected, over, elapsed, terms = shop.step(action)
        found = compare(obs, info["action_mask"], shop)
        if not np.isclose(reward, expected, rtol=1e-12, atol=1e-9):
            found = found or f"minute {shop.time}: reward {reward}, not {expected}"
        if not np.allclose(info["reward_terms"], [terms[n] for n in REWARD_TERMS], atol=1e-9):
            found = found or f"minute {shop.time}: terms {info['reward_terms']}, not {terms}"
        if (terminated, truncated, info["elapsed"]) != (over, False, elapsed):
            found = found or f"minute {shop.time}: ends or lasts otherwise"
        if over:
            break
    kpis, expected_kpis = env.kpis(), shop.kpis()
    assert tuple(kpis) == tuple(expected_kpis) == KPI_NAMES
    for name, value in expected_kpis.items():
        if not np.isclose(kpis[name], value, rtol=1e-9, atol=1e-7):
            found = found or f"{name} {kpis[name]}, not {value}"
    return found


def compare(obs, mask, shop):
    for value, (name, expected) in zip(obs.tolist(), shop.fields().items(), strict=True):
        close = abs(value - expected) <= 1e-5 * max(1.0, abs(expected))
        if value != expected and not (name in INEXACT and close):
            return f"minute {shop.time}: {name} {value}, not {expected}"
    return None if mask.tolist() == shop.mask() else f"minute {shop.time}: another mask"


def test_the_fields_stand_in_the_same_order():
    shop = ReferenceShop(0)
    shop.begin()
    assert tuple(shop.fields()) == ALL


options = st.fixed_dictionaries(
    {},
    optional={
        "reward": st.sampled_from(["published", "profit"]),
        "demand": st.sampled_from(list(FACTORS)),
        "decision_points": st.booleans(),
        "setup_minutes": st.integers(0, 60),
        "minutes_between_failures": st.sampled_from([0.0, 0.5, 30.0, 200.0, 2000.0]),
        "repair_minutes": st.sampled_from([1.0, 5.0, 60.0]),
        "calm_factor": st.sampled_from([0.0, 0.5, 1.0]),
        "rush_factor": st.sampled_from([1.0, 3.0, 20.0]),
        "calm_minutes": st.sampled_from([0.0, 10.0, 120.0, 600.0]),
        "rush_minutes": st.sampled_from([15.0, 120.0, 600.0]),
    },
)


@pytest.mark.full
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    options=options,
    seed=st.integers(0, 2**64 - 1),
    style=st.sampled_from(["anything", "possible", "busy", "hoard", "patient"]),
)
def test_kernel_follows_the_rules(options, seed, style):
    env, shop = pair(seed, **options)
    assert difference(env, shop, seed, style, steps=700) is None


@pytest.mark.parametrize("style", ["busy", full("hoard")])
@pytest.mark.parametrize("decision_points", [full(False), True])
def test_a_whole_lively_week_follows_the_rules(style, decision_points):
    env, shop = pair(11, decision_points=decision_points, **LIVELY)
    assert difference(env, shop, 11, style, steps=10_080) is None
    assert shop.time == 10_080


def test_the_next_week_of_a_seed_follows_the_rules():
    env, shop = pair(5, **LIVELY)
    env.reset(seed=5)
    env.reset()
    shop.episode = 1
    shop.begin()
    for _ in range(3000):
        obs = env.step(200)[0]
        shop.step(200)
    assert compare(obs, env.step(200)[4]["action_mask"], shop) is None


WRONG = {
    "cap": 49, "first_raw": 9, "p1_minutes": 4, "step1_minutes": 11, "step2_minutes": 14,
    "delivery": 121, "delivery_spread": 1, "tick": 14, "theft_at": 1436, "theft_kept": 0.8,
    "day_from": 495, "day_to": 1185, "day_rate": 0.11, "night_rate": 0.03, "p1_share": 0.6,
    "p1_price": 3.0, "p2_price": 19.0, "raw_cost": 2.0, "backlog_cost": 0.03, "p1_bonus": 0.6,
    "step1_bonus": 6.0, "step2_bonus": 14.0, "wait_cost": 0.1, "invalid_cost": 0.9,
    "demand_memory": 0.7, "demand_stream": 8, "delivery_stream": 8, "rush_stream": 8,
    "m1_fails_stream": 8, "m1_repair_stream": 8, "m2_fails_stream": 8, "m2_repair_stream": 8,
}  # fmt: skip


def test_every_number_of_the_rules_is_put_to_the_test():
    assert set(WRONG) == set(Rules.__dataclass_fields__)


@pytest.mark.parametrize("name", WRONG)
def test_the_comparison_catches_a_wrong_number(name):
    rules = replace(Rules(), **{name: WRONG[name]})
    env, shop = pair(11, rules, **LIVELY)
    styles = ("hoard", "anything")
    assert any(difference(env, shop, 11, style, steps=4000) for style in styles)


@pytest.mark.parametrize(
    ("option", "value"),
    [("setup_minutes", 8), ("repair_minutes", 22.0), ("minutes_between_failures", 250.0),
     ("calm_minutes", 300.0), ("rush_minutes", 100.0), ("rush_factor", 1.5),
     ("calm_factor", 1.0), ("demand", "tight"), ("reward", "profit"),
     ("decision_points", True)],
)  # fmt: skip
def test_the_comparison_catches_an_ignored_option(option, value):
    env, _ = pair(11, **{**LIVELY, option: value})
    _, shop = pair(11, **LIVELY)
    assert difference(env, shop, 11, "hoard", steps=4000)


class TestStreams:
    """Random numbers are a pure function of (seed, stream, index)."""

    def test_mix_is_splitmix64(self):
        # The first two outputs of SplitMix64 from state 0, as its authors' code prints them.
        assert int(streams.mix(np.uint64(0))) == 0xE220A8397B1DCDAF == mix(0)
        assert mix(0x9E3779B97F4A7C15) == 0x6E789E6AA1B965F4

    @given(st.integers(0, 2**64 - 1), st.integers(0, 9), st.integers(0, 20_000))
    @settings(max_examples=50, deadline=None)
    def test_uniform_is_the_documented_one(self, seed, stream, index):
        assert streams.uniform(np.uint64(seed), stream, index) == uniform(seed, stream, index)

    @given(st.floats(0.0, 90.0), st.floats(0.0, 0.999999))
    @settings(max_examples=50, deadline=None)
    def test_poisson_is_the_quantile(self, mean, u):
        assert streams.poisson(mean, u) == poisson(mean, u)

    def test_moments(self):
        draws = [streams.uniform(np.uint64(3), 1, i) for i in range(20_000)]
        assert np.mean(draws) == pytest.approx(0.5, abs=0.01)
        assert np.mean([poisson(1.5, u) for u in draws]) == pytest.approx(1.5, abs=0.03)
        assert np.var([poisson(1.5, u) for u in draws]) == pytest.approx(1.5, abs=0.05)
        assert np.mean([geometric(20.0, u) for u in draws]) == pytest.approx(20.0, abs=0.5)
        assert min(geometric(20.0, u) for u in draws) == 1
