"""The clairvoyant expert plays the cheapest day, and with seconds a good one of any size."""

import numpy as np
import pytest

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import play_episodes
from compagnon.policy import DayReader, Schema, load_policy
from compagnon.worlds.dispatch import DISPATCH, running_days, tables
from compagnon.worlds.dispatch.experts import clairvoyant as clairvoyant_module
from compagnon.worlds.dispatch.experts.clairvoyant import best_day, clairvoyant
from compagnon.worlds.dispatch.experts.snapshot import snapshot
from tests.policy.networks import schema_of
from tests.worlds.dispatch.test_clairvoyant import DRIVERS, PLACES, RIDES, TIME
from tests.worlds.dispatch.worlds import plane_day

NAME = "expert:dispatch-clairvoyant"
RULES = ("nearest", "earliest", "least-loaded", "insertion", "regret", "matching")
LATER = {"pickup_from": 150.0, "pickup_to": 180.0}
THIRD = {"pickup": 1, "dropoff": 2, "pickup_from": 70.0, "announce": 20.0}
NEAR = [(0, 0), (5, 0), (20, 0), (25, 0)]
ALONE = DRIVERS[1:]


def days():
    """Small days: an ordinary one, then three with something that a rule does not know of."""
    dearer = {**RIDES[1], "priority": 5, "announce": 30.0}
    short = {**RIDES[1], "pickup_to": 65.0, "announce": 30.0}
    missed = [{**RIDES[0], "no_show": True}, {**RIDES[1], "linked_to": 0, **LATER}, THIRD]
    return [
        plane_day([*RIDES, THIRD], DRIVERS, PLACES),
        plane_day([{**RIDES[0], "priority": 1}, dearer], ALONE, NEAR),
        plane_day([{**RIDES[0], "cancel": 50.0}, short], ALONE, NEAR),
        plane_day(missed, DRIVERS, PLACES),
    ]


def batch(instances, copies):
    return BatchEnv(DISPATCH, {"instances": instances}, copies)


def costs(name, instances, **options):
    """What each day costs, played by a policy in copies that stand side by side."""
    env = batch(instances, len(instances))
    args = {"instances": instances, **options}
    policy = load_policy(name, Schema.of(env))
    return -play_episodes(DISPATCH, args, policy, list(range(len(instances)))).returns


def test_it_plays_the_cheapest_day_and_no_rule_is_cheaper():
    small = days()
    cheapest = costs(NAME, small)
    assert cheapest == pytest.approx([best_day(day).cost for day in small])
    others = np.array([costs(f"expert:dispatch-{rule}", small) for rule in RULES])
    assert (others >= cheapest - 1e-9).all()
    # One ride refused and 50 km; one that is cancelled, unanswered, at minute 50, and 50 km.
    assert cheapest[1:3] == pytest.approx([40.0 + 25.0, 25.0 + 50 * 0.01])
    assert (others > cheapest + 1.0).any(axis=0).tolist() == [False, True, True, True]


def test_a_plan_that_is_not_the_cheapest_would_be_dearer(monkeypatch):

    found = clairvoyant_module.best_rest

    def worse(core):
        begin, refuse = core.state_dict(), core.layout.actions - core.layout.board
        core.step(np.array([refuse]), False)
        best = found(core)
        core.load_state_dict(begin)
        return clairvoyant_module.BestDay(best.cost, [refuse, *best.actions])

    small = days()[:1]
    cheapest = costs(NAME, small)
    monkeypatch.setattr(clairvoyant_module, "best_rest", worse)
    assert costs(NAME, small)[0] > cheapest[0] + 1.0


def test_it_goes_on_from_where_the_copies_stand():
    env = batch(days()[:1], 1)
    env.reset([0])
    env.step(np.zeros(1, np.int64))
    before = env.vec.state_dict()
    bound = clairvoyant(Schema.of(env)).playing(env)
    after = env.vec.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert env.action_mask[0, bound.act(env.obs, env.action_mask)[0]]


def test_it_refuses_a_large_day_a_strange_one_and_one_played_by_others():
    env = batch([plane_day([RIDES[0]] * 13, DRIVERS, PLACES)], 1)
    env.reset([0])
    policy = clairvoyant(Schema.of(env))
    assert isinstance(policy, DayReader)
    with pytest.raises(InputError, match=r"13 bookings is too large .* at most 12"):
        policy.playing(env)
    with pytest.raises(InputError, match="reads the whole day"):
        policy.act(env.obs, env.action_mask)
    with pytest.raises(InputError, match="plays compagnon/Dispatch-v1 only"):
        clairvoyant(schema_of())
    with pytest.raises(InputError, match=r"number from 0\.01 to 3600"):
        clairvoyant(Schema.of(env), "soon")
    env = batch(days()[:1], 1)
    env.reset([0])
    bound = clairvoyant(Schema.of(env)).playing(env)
    with pytest.raises(InputError, match="all 1 copies"):
        bound.act(env.obs[:0], env.action_mask[:0])
    env.step(np.array([env.vec.layout.actions - env.vec.layout.board]))  # refuses the first
    with pytest.raises(InputError, match="has not played what was planned"):
        bound.act(env.obs, env.action_mask)


def test_with_foresight_the_later_rides_are_planned_and_the_cancelled_are_not():
    rides = [RIDES[0], {**RIDES[1], "announce": 30.0}, {**RIDES[1], "cancel": 50.0}]
    env = batch([plane_day(rides, DRIVERS, PLACES)], 1)
    env.reset([0])
    w = running_days.RunningDays(*(array[0] for array in env.vec.world))
    assert w.counts[running_days.LATER] == 1
    roads = running_days.roads_for_python(w, env.vec.view.minutes, env.vec.view.km)
    known, foreseen = (
        {ride.booking for ride in snapshot(w, env.vec.weights, roads, foresight=foresight).rides}
        for foresight in (False, True)
    )
    assert (known, foreseen) == ({0, 2}, {0, 1})
    assert w.bookings[2, tables.CANCEL] < w.bookings[2, tables.PICKUP_BY]


@pytest.mark.full
def test_with_seconds_it_plays_any_day_and_is_no_cheaper_than_the_cheapest():
    small = days()
    free = dict.fromkeys(("answer", "answer_on_call", "answer_in_advance"), 0.0)  # it answers late
    cheapest, planned = costs(NAME, small, **free), costs(f"{NAME}:0.1", small, **free)
    assert (planned >= cheapest - 1e-9).all()
    assert planned[1:3] == pytest.approx(cheapest[1:3])
    # It keeps the driver for the ride that will be asked for at his door; without foresight he is
    # on his way to the other one, 25 km off, by then.
    away = {"pickup": 3, "dropoff": 2, "priority": 1, **TIME}
    here = {**RIDES[0], "pickup_to": 65.0, "priority": 5, "announce": 50.0}
    apart = [plane_day([away, here], ALONE, NEAR)]
    both = (costs(NAME, apart, **free), costs(f"{NAME}:0.1", apart, **free))
    assert both[0] == both[1] == pytest.approx([40.0 + 5.0])
    assert costs("expert:dispatch-ortools:0.1", apart) > 45.0 + 1.0
