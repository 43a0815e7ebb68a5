"""OR-Tools plans what it may know, keeps what is promised, and never leaves the mask."""

import sys

import numpy as np
import pytest

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import play_episodes
from compagnon.policy import DayReader, Schema, load_policy
from compagnon.worlds.dispatch import DISPATCH, running_days
from compagnon.worlds.dispatch.core import DispatchCore
from compagnon.worlds.dispatch.experts.routing import foresee, solve
from compagnon.worlds.dispatch.experts.snapshot import leg_tables, movable, snapshot
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from tests.policy.networks import schema_of
from tests.worlds.dispatch.worlds import plane_day

ARGS = {"preset": "clinic-day"}
SHORT = "expert:dispatch-ortools:0.05"
# Two neighbourhoods, 40 km apart; every ride leads 5 km to the east.
PLACES = [(0, 0), (5, 0), (40, 0), (45, 0)]
RIDES = [
    {"pickup": 0, "dropoff": 1, "pickup_from": 60.0, "pickup_to": 80.0},
    {"pickup": 2, "dropoff": 3, "pickup_from": 60.0, "pickup_to": 80.0},
]
DRIVERS = [{"start": 2, "end": 2}, {"start": 0, "end": 0}]


def begun(rides, drivers):
    env = DispatchVectorEnv(1, instances=[plane_day(rides, drivers, PLACES)])
    env.reset(seed=0)
    return env, running_days.RunningDays(*(array[0] for array in env.world))


def roads_of(env, w):
    return running_days.roads_for_python(w, env.view.minutes, env.view.km)


def planned(env, w, seconds=0.2, free=()):
    taken = snapshot(w, env.weights, roads_of(env, w), free)
    minutes, km = leg_tables(taken, w, env.view.minutes, env.view.km)
    return solve(taken, minutes, km, env.weights, seconds)


def test_each_ride_goes_to_the_driver_who_lives_there():
    plans = planned(*begun(RIDES, DRIVERS))
    assert {(plan.booking, plan.driver) for plan in plans} == {(0, 1), (1, 0)}
    assert all(plan.boards == pytest.approx(60, abs=0.2) for plan in plans)
    assert all(plan.leaves == pytest.approx(60, abs=0.2) for plan in plans)


def test_a_ride_that_nobody_has_seats_for_is_left_out():
    rides = [RIDES[0], {**RIDES[1], "load": (0, 0, 1, 0)}]
    assert {plan.booking for plan in planned(*begun(rides, DRIVERS))} == {0}


def test_two_rides_that_do_not_fit_one_after_the_other_leave_the_cheaper_refusal():
    rides = [{**RIDES[0], "priority": 1, "pickup_to": 70.0}, {**RIDES[1], "pickup_to": 70.0}]
    plans = planned(*begun(rides, DRIVERS[:1]))
    assert [(plan.booking, plan.driver) for plan in plans] == [(1, 0)]


def promised_to_the_far_one():
    """Ride 0 is promised to driver 0, who would have to come 40 km for it."""
    env, w = begun(RIDES, DRIVERS)
    board = env.layout.board
    env.step(np.array([1 + 0 * board + int(np.flatnonzero(w.open[:2] == 0)[0])]))
    return env, w


def test_what_is_locked_stays_with_its_driver():
    env, w = promised_to_the_far_one()
    taken = snapshot(w, env.weights, roads_of(env, w))
    locked = [ride for ride in taken.rides if ride.vehicle >= 0]
    assert [(ride.booking, ride.vehicle) for ride in locked] == [(0, 0)]
    assert taken.vehicles[0].order == taken.vehicles[0].route == [0, 1]
    # Driver 0 is sent 40 km to the west; the other one's way is as far, so one of them is late.
    plans = planned(env, w)
    assert all(plan.booking == 1 for plan in plans)


def test_what_may_still_move_goes_to_whoever_is_nearer():
    env, w = promised_to_the_far_one()
    assert movable(w, roads_of(env, w), env.weights, most=8) == [0]
    taken = snapshot(w, env.weights, roads_of(env, w), [0])
    assert (taken.vehicles[0].order, taken.vehicles[0].route) == ([], [0, 1])
    (ride,) = (ride for ride in taken.rides if ride.booking == 0)
    assert (ride.vehicle, ride.penalty) == (-1, env.weights.broken + 60.0)
    plans = planned(env, w, free=[0])
    assert {(plan.booking, plan.driver) for plan in plans} == {(0, 1), (1, 0)}


def test_what_leaves_soon_does_not_move():
    # Its driver sets out at minute 20 to be there at 60; 15 minutes before that it is his.
    for freeze, free in ((15.0, [0]), (20.0, [])):
        env = DispatchVectorEnv(1, instances=[plane_day(RIDES, DRIVERS, PLACES)], freeze=freeze)
        env.reset(seed=0)
        w = running_days.RunningDays(*(array[0] for array in env.world))
        env.step(np.array([1 + 0 * env.layout.board + w.open[:2].tolist().index(0)]))
        assert movable(w, roads_of(env, w), env.weights, most=8) == free


def test_it_does_not_see_what_has_not_been_announced():
    rides = [RIDES[0], {**RIDES[1], "announce": 30.0}]
    env, w = begun(rides, DRIVERS)
    assert [ride.booking for ride in snapshot(w, env.weights, roads_of(env, w)).rides] == [0]


def test_whole_days_are_played_within_the_mask_and_better_than_at_random():
    args = {**ARGS, "tightness": 0.25}
    schema = schema_of(DISPATCH, **args)
    solver, chance = (
        play_episodes(DISPATCH, args, load_policy(name, schema), [1, 2])
        for name in (SHORT, "random")
    )
    assert (solver.kpis["violations"] == 0).all()
    assert (solver.returns > chance.returns).all()


def test_it_waits_in_copies_whose_day_is_over():
    env = BatchEnv(DISPATCH, ARGS, 1)
    env.reset([3])
    policy = load_policy(SHORT, Schema.of(env))
    assert isinstance(policy, DayReader)
    bound = policy.playing(env)
    assert isinstance(env.vec._core, DispatchCore)
    env.vec._core.reset(np.ones(1, np.bool_))  # the next day of the same seed
    assert bound.act(env.obs, env.action_mask).tolist() == [0]


def test_it_refuses_observations_alone_and_what_does_not_fit():
    env = BatchEnv(DISPATCH, ARGS, 2)
    env.reset([1, 2])
    policy = load_policy(SHORT, Schema.of(env))
    with pytest.raises(InputError, match="reads the whole day"):
        policy.act(env.obs, env.action_mask)
    with pytest.raises(InputError, match="all 2 copies"):
        policy.playing(env).act(env.obs[:1], env.action_mask[:1])
    with pytest.raises(InputError, match="plays compagnon/Dispatch-v1 only"):
        load_policy(SHORT, schema_of())
    for wrong in ("0", "x", "nan", "-1", "1e9"):
        with pytest.raises(InputError, match=r"number from 0\.01 to 3600"):
            load_policy(f"expert:dispatch-ortools:{wrong}", Schema.of(env))


def test_without_the_solver_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ortools.constraint_solver", None)
    with pytest.raises(InputError, match=r"pip install 'compagnon\[dispatch\]'"):
        load_policy("expert:dispatch-ortools", schema_of(DISPATCH, **ARGS))


@pytest.mark.parametrize("begin", [[[], []], [[2, 3], [0, 1]]])
def test_a_foreseen_day_is_counted_by_hand(begin):
    env, w = begun(RIDES, DRIVERS)
    taken = snapshot(w, env.weights, roads_of(env, w))
    legs = leg_tables(taken, w, env.view.minutes, env.view.km)
    found = foresee(taken, *legs, env.weights, 0.2, begin)
    # Each driver takes his neighbour 5 km and drives home; a km costs 0.5.
    assert (found.served, found.km) == (2, pytest.approx(20.0))
    assert found.cost == pytest.approx(10.0, abs=0.1)


def test_what_nobody_can_reach_is_refused_in_a_foreseen_day_too():
    far = {**RIDES[1], "pickup_from": 0.0, "pickup_to": 20.0}
    env, w = begun([RIDES[0], far], DRIVERS[1:])
    taken = snapshot(w, env.weights, roads_of(env, w))
    legs = leg_tables(taken, w, env.view.minutes, env.view.km)
    found = foresee(taken, *legs, env.weights, 0.2, [[]])
    assert (found.served, found.km) == (1, pytest.approx(10.0))
    assert found.cost == pytest.approx(5.0 + 60.0, abs=0.1)


def test_it_promises_all_that_it_plans_at_once_and_moves_what_was_promised_badly():
    env = BatchEnv(DISPATCH, {"instances": [plane_day(RIDES, DRIVERS, PLACES)]}, 1)
    env.reset([0])
    w = running_days.RunningDays(*(array[0] for array in env.vec.world))
    env.step(np.array([1 + 0 * env.vec.layout.board + w.open[:2].tolist().index(0)]))
    bound = load_policy("expert:dispatch-ortools:0.2", Schema.of(env)).playing(env)
    env.step(bound.act(env.obs, env.action_mask))
    assert w.rides[0, running_days.BY_DRIVER] == 1.0
    assert (w.counts[running_days.MOVES], w.money[running_days.NOW]) == (1, 0.0)
    assert bound.act(env.obs, env.action_mask).tolist() == [1 + 0 * env.vec.layout.board]


def test_who_must_get_home_is_worth_a_taxi_and_no_more():
    back = {**RIDES[1], "linked_to": 0, "pickup_from": 160.0, "pickup_to": 200.0, "announce": 1.0}
    env, w = begun([RIDES[0], back], DRIVERS)
    env.step(np.array([1 + 1 * env.layout.board]))  # the neighbour takes them there
    (ride,) = (
        ride for ride in snapshot(w, env.weights, roads_of(env, w)).rides if ride.booking == 1
    )
    assert ride.penalty == env.weights.taxi_base + 5.0 * env.weights.taxi_km
