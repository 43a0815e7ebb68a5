"""The large neighbourhood search keeps every limit, ends no dearer than it began, and is played."""

import numpy as np
import pytest

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import play_episodes
from compagnon.policy import DayReader, Schema, load_policy
from compagnon.worlds.dispatch import DISPATCH, insertion, plans, running_days, tables
from compagnon.worlds.dispatch.experts import alns
from compagnon.worlds.dispatch.experts.alns import BEST, Tightness
from compagnon.worlds.dispatch.experts.snapshot import movable
from tests.policy.networks import schema_of
from tests.worlds.dispatch.test_ortools import DRIVERS, PLACES, RIDES
from tests.worlds.dispatch.worlds import plane_day

LOOSE = Tightness(price=0.0, minutes=15.0)
ARGS = {"preset": "clinic-day"}


def begun(args, seed=0, decisions=0):
    """A day on which a rule has decided so often, and the rides that may go anywhere."""
    env = BatchEnv(DISPATCH, args, 1)
    env.reset([seed])
    rule = load_policy("expert:dispatch-nearest", Schema.of(env))
    for _ in range(decisions):
        env.step(rule.act(env.obs, env.action_mask))
    w = running_days.RunningDays(*(array[0] for array in env.vec.world))
    roads = running_days.roads_for_python(w, env.vec.view.minutes, env.vec.view.km)
    opened = w.open[: w.counts[running_days.OPEN]].tolist()
    free = movable(w, roads, env.vec.weights, most=100)
    pool = np.array([*opened, *free], np.int64)
    penalty = np.array([60.0] * len(opened) + [1e6] * len(free))
    return env, w, roads, pool, penalty


def searched(env, pool, penalty, iterations, tightness=LOOSE, seed=3):
    """Everything that a search leaves behind."""
    found = alns.allocate(len(pool), env.vec.layout.drivers)
    costs = alns.search(
        env.vec.world, 0, env.vec.view, pool, penalty, tightness, iterations, np.uint64(seed),
        found, np.zeros((3, alns.DESTROYS + alns.REPAIRS)), np.zeros(1, np.int64),
    )  # fmt: skip
    return found, costs


def test_two_rides_change_places_where_each_stands_with_the_far_driver():
    day = plane_day(RIDES, DRIVERS, PLACES)
    env, w, *_ = begun({"instances": [day]})
    board = env.vec.layout.board
    env.step(np.array([1 + 0 * board + w.open[:2].tolist().index(0)]))
    pool, penalty = np.array([1, 0]), np.array([60.0, 1e6])
    found = alns.improve(env.vec.world, 0, env.vec.view, pool, penalty, LOOSE, 60, seed=1)
    assert found.drivers.tolist() == [0, 1]
    # Twice 5 km there and back; the direct minutes on board count in a plan, 5 of each ride.
    assert found.cost == pytest.approx(10.0 + 0.2 * 10.0)
    assert found.begun > found.cost + 1.0


def test_what_is_not_worth_it_is_left_out():
    day = plane_day(RIDES[:1], [{"start": 2, "end": 2}], PLACES)
    env, *_ = begun({"instances": [day]})
    pool = np.array([0])
    # 40 km there, 5 with the rider, 35 back.
    for refusal, driver in ((40.9, -1), (41.1, 0)):
        found = alns.improve(
            env.vec.world, 0, env.vec.view, pool, np.array([refusal]), LOOSE, 20, seed=1
        )
        assert found.drivers.tolist() == [driver]
        assert found.cost == pytest.approx(min(refusal, 0.5 * 80.0 + 0.2 * 5.0))


@pytest.mark.parametrize("decisions", [0, 9, 30])
def test_every_limit_is_kept_and_the_cost_is_that_of_the_plans(decisions):
    env, w, roads, pool, penalty = begun(ARGS, 11, decisions)
    tightness = Tightness(price=15.0, minutes=15.0)
    found, (start, cost) = searched(env, pool, penalty, 150, tightness)
    weights, driver = env.vec.weights, found.driver[BEST]
    total, doors = penalty[driver < 0].sum(), 2 * len(w.bookings)
    assert cost <= start
    assert (driver[penalty > 1e5] >= 0).all()
    for d in range(env.vec.layout.drivers):
        plan = plans.DriverPlan(
            *(array[BEST, d] for array in (found.codes, found.stops, found.state, found.times,
                                           found.gaps))
        )  # fmt: skip
        before = running_days.plan_for_python(w, d)
        count, aboard = int(plan.state[plans.COUNT]), plan.state[plans.ABOARD : plans.ABOARD + 4]
        aboard, clock, tight = aboard.copy(), -np.inf, 0.0
        mine = {int(b) for b, who in zip(pool, driver, strict=True) if who == d}
        kept = {
            int(node) // 2
            for node in before.codes[: before.state[plans.COUNT], plans.NODE]
            if 0 <= node < doors
        } - set(pool.tolist())
        nodes = [int(node) for node in plan.codes[:count, plans.NODE] if 0 <= node < doors]
        assert {node // 2 for node in nodes} == mine | kept
        for k in range(count):
            node, stop = int(plan.codes[k, plans.NODE]), plan.stops[k]
            assert stop[plans.START] >= clock - 1e-9
            assert stop[plans.START] <= stop[plans.LIMIT] + 1e-6
            clock = stop[plans.START] + stop[plans.SERVICE]
            if 0 <= node < doors and plan.codes[k, plans.PICKED_AT] != plans.DEAD:
                load = w.bookings[node // 2, tables.LOAD : tables.LOAD + 4].astype(int)
                aboard += load if node % 2 == 0 else -load
                assert (aboard <= w.drivers[d, tables.SEAT : tables.SEAT + 4]).all()
                if node % 2 == 1:
                    spare = [stop[plans.LIMIT] - stop[plans.START]]
                    if node - 1 in nodes:
                        at = plan.codes[:count, plans.NODE].tolist().index(node - 1)
                        assert at < k
                        spare.append(plan.stops[at, plans.LIMIT] - plan.stops[at, plans.START])
                    tight += 15.0 * np.exp(-max(0.0, min(spare)) / 15.0)
        assert not aboard.any()
        shift_end = w.drivers[d, tables.SHIFT_END]
        total += insertion.plan_cost(plan, roads, w.bookings, weights, shift_end) + tight
    assert cost == pytest.approx(total)


def test_a_search_leaves_the_day_as_it_is_and_is_the_same_again():
    env, _, _, pool, penalty = begun(ARGS, 11, 9)
    before = env.vec.state_dict()
    first, second, other = (searched(env, pool, penalty, 80, seed=seed)[0] for seed in (3, 3, 4))
    after = env.vec.state_dict()
    for name, array in before.items():
        if not name.startswith("spare"):
            np.testing.assert_array_equal(array, after[name], err_msg=name)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first.key, other.key)


def test_more_iterations_find_no_dearer_plans_and_mostly_cheaper_ones():
    env, _, _, pool, penalty = begun(ARGS, 12, 0)
    costs = [searched(env, pool, penalty, n)[1] for n in (1, 400)]
    assert costs[1][1] < costs[0][0] - 1.0


def test_whole_days_are_played_within_the_mask_and_better_than_at_random():
    args = {**ARGS, "tightness": 0.25}
    schema = schema_of(DISPATCH, **args)
    planner, chance = (
        play_episodes(DISPATCH, args, load_policy(name, schema), [1, 2])
        for name in ("expert:dispatch-alns:30", "random")
    )
    assert (planner.kpis["violations"] == 0).all()
    assert (planner.returns > chance.returns).all()
    alone = play_episodes(DISPATCH, args, load_policy("expert:dispatch-alns:30", schema), [2])
    assert alone.returns[0] == planner.returns[1]


@pytest.mark.full
def test_planning_beats_inserting():
    schema = schema_of(DISPATCH, **ARGS)
    seeds = list(range(5_200_000, 5_200_012))
    planner, rule = (
        play_episodes(DISPATCH, ARGS, load_policy(f"expert:dispatch-{name}", schema), seeds)
        for name in ("alns:100", "insertion")
    )
    assert planner.returns.mean() > rule.returns.mean() + 10.0
    assert (planner.kpis["broken_promises"] == 0).all()


def test_it_refuses_observations_alone_and_what_does_not_fit():
    env = BatchEnv(DISPATCH, ARGS, 2)
    env.reset([1, 2])
    policy = load_policy("expert:dispatch-alns", Schema.of(env))
    assert isinstance(policy, DayReader)
    with pytest.raises(InputError, match="reads the whole day"):
        policy.act(env.obs, env.action_mask)
    with pytest.raises(InputError, match="all 2 copies"):
        policy.playing(env).act(env.obs[:1], env.action_mask[:1])
    for wrong in ("0", "x", "-1", "1.5", "99999999"):
        with pytest.raises(InputError, match="whole number from 1 to 1000000"):
            load_policy(f"expert:dispatch-alns:{wrong}", Schema.of(env))
