"""Waiting for an answer: what it costs by kind of caller, its limit, and what is said of it."""

import numpy as np
import pytest

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import play_episodes
from compagnon.policy import Schema, load_policy
from compagnon.worlds.dispatch import DISPATCH, running_days, tables
from compagnon.worlds.dispatch.env import DispatchEnv
from compagnon.worlds.dispatch.vector import DispatchVectorEnv

PRICES = {"answer": 0.25, "answer_on_call": 0.5, "answer_in_advance": 0.0625}
DAYS = {"preset": "clinic-day", "cancel": 0.0}


def price(row, bookings):
    outbound = int(row[tables.LINKED_TO])
    if row[tables.ANNOUNCE] <= 0.0:
        return PRICES["answer_in_advance"]
    if outbound >= 0 and row[tables.ANNOUNCE] > bookings[outbound, tables.DROPOFF_BY]:
        return PRICES["answer_on_call"]
    return PRICES["answer"]


def ended(seed, name, **args):
    """The arrays of a day that a policy played to its end, and its KPIs."""
    args = {**DAYS, **args}
    env = DispatchEnv(**args)
    policy = load_policy(name, Schema.of(BatchEnv(DISPATCH, args, 1)))
    obs, info = env.reset(seed=seed)
    over = False
    while not over:
        action = policy.act(obs[None], info["action_mask"][None])[0]
        obs, _, over, _, info = env.step(action)
    return running_days.RunningDays(*(array[0] for array in env.world)), info["kpis"]


def test_without_a_price_nothing_is_charged():
    _, kpis = ended(3, "constant:0", answer=0.0, answer_on_call=0.0, answer_in_advance=0.0)
    assert kpis["cost_answer"] == 0.0
    assert kpis["answer_median"] > 0.0


@pytest.mark.parametrize("seed", range(3))
def test_each_minute_is_charged_to_those_who_wait(seed):
    """Reckoned apart, from what stands open at the begin of each step."""
    env = DispatchVectorEnv(1, **DAYS, **PRICES, look_again=7.0)
    _, info = env.reset(seed=[seed])
    rng = np.random.default_rng(seed)
    column = env.reward_term_names.index("reward_answer")
    w, charged = env.world, 0
    for _ in range(250):
        now, open_ones = w.money[0, running_days.NOW], w.status[0] == running_days.OPEN
        possible = np.flatnonzero(info["action_mask"][0])
        action = 0 if rng.random() < 0.6 else rng.choice(possible)
        rates = sum(price(row, w.bookings[0]) for row in w.bookings[0][open_ones])
        heard = w.counts[0, running_days.CALLED]
        _, _, terminated, _, info = env.step(np.array([action]))
        if terminated[0]:
            break
        stayed = (w.status[0] == running_days.OPEN) == open_ones
        if action == 0 and stayed.all() and w.counts[0, running_days.CALLED] == heard:
            minutes = w.money[0, running_days.NOW] - now
            assert info["reward_terms"][0, column] == pytest.approx(-rates * minutes, abs=1e-9)
            charged += minutes > 0
    assert charged > 5


@pytest.mark.parametrize("name", ["expert:dispatch-regret:3:hold", "constant:0", "random"])
def test_a_day_costs_what_its_callers_waited(name):
    w, kpis = ended(11, name, **PRICES)
    told = w.rides[:, running_days.ANSWERED]
    begin = w.money[running_days.DAY_BEGIN]
    total = sum(
        price(row, w.bookings) * max(0.0, at - max(row[tables.ANNOUNCE], begin))
        for row, at in zip(w.bookings, told, strict=True)
        if at >= 0.0
    )
    assert kpis["cost_answer"] == pytest.approx(total, rel=1e-6)


def test_who_is_answered_at_once_waits_for_nothing():
    _, kpis = ended(5, "expert:dispatch-insertion", **PRICES)
    assert kpis["answer_median"] == 0.0
    _, held = ended(5, "expert:dispatch-regret:3:hold", **PRICES)
    assert held["answer_median"] > 30.0
    assert held["cost_answer"] > kpis["cost_answer"]
    assert held["told_ahead_share"] < kpis["told_ahead_share"]


@pytest.mark.parametrize("limit", [1.0, 20.0, 90.0])
def test_nobody_waits_longer_than_the_limit(limit):
    w, kpis = ended(7, "expert:dispatch-regret:3:hold", answer_limit=limit)
    told = w.rides[:, running_days.ANSWERED]
    asked = np.maximum(w.bookings[:, tables.ANNOUNCE], w.money[running_days.DAY_BEGIN])
    waited = (told - asked)[told >= 0.0]
    assert waited.max() <= limit + 1e-9
    assert kpis["violations"] == 0
    _, free = ended(7, "expert:dispatch-regret:3:hold")
    assert kpis["rejected"] >= free["rejected"]


def test_whom_nobody_answers_is_refused_at_the_limit():
    w, kpis = ended(7, "constant:0", answer_limit=15.0)
    assert kpis["served"] == 0
    assert kpis["rejected"] + kpis["no_show"] + kpis["cancelled"] == kpis["generated"]
    told = w.rides[:, running_days.ANSWERED]
    first = w.bookings[:, tables.ANNOUNCE] <= 0.0
    outbound = first & (w.bookings[:, tables.LINKED_TO] < 0) & (told >= 0.0)
    assert outbound.any()
    begin = w.money[running_days.DAY_BEGIN]
    assert (told[outbound] <= begin + 15.0 + 1e-9).all()


@pytest.mark.parametrize("name", ["expert:dispatch-regret:3:opportunity", "random"])
def test_figures_of_answers_against_numpy(name):
    w, kpis = ended(21, name)
    count = int(w.size[tables.BOOKINGS])
    told, ready = w.rides[:count, running_days.ANSWERED], w.bookings[:count, tables.READY]
    asked = np.maximum(w.bookings[:count, tables.ANNOUNCE], w.money[running_days.DAY_BEGIN])
    waited = np.maximum(0.0, told - asked)[told >= 0.0]  # some are told before they would call
    assert kpis["answer_median"] == pytest.approx(np.median(waited))
    assert kpis["answer_p95"] == np.quantile(waited, 0.95, method="inverted_cdf")
    refused = w.status[:count] == running_days.REJECTED
    for key, rows in (("told_ahead_share", ~refused), ("refused_ahead_share", refused)):
        rows = rows & (told >= 0.0) & (asked <= ready - 60.0)
        ahead = (told[rows] <= ready[rows] - 60.0).mean() if rows.any() else 1.0
        assert kpis[key] == pytest.approx(ahead)


def test_prices_below_nothing_are_refused():
    with pytest.raises(InputError, match="answer_on_call"):
        DispatchVectorEnv(1, answer_on_call=-1.0)


def test_a_price_changes_nothing_but_the_cost():
    schema = Schema.of(BatchEnv(DISPATCH, DAYS, 1))
    policy = load_policy("expert:dispatch-regret:3", schema)
    free = play_episodes(DISPATCH, {**DAYS, **dict.fromkeys(PRICES, 0.0)}, policy, [1, 2])
    priced = play_episodes(DISPATCH, {**DAYS, **PRICES}, policy, [1, 2])
    assert np.allclose(free.returns - priced.returns, priced.kpis["cost_answer"])
    assert (free.kpis["served"] == priced.kpis["served"]).all()
