"""A ride that falls away makes nobody late: its place is passed where that is what keeps a plan.

Days are drawn here with tight windows and breaks, half of whose rides fall away, and no door that
takes longer than planned: nobody chose these delays, and none may come of the rest.
"""

import dataclasses
import json

import msgspec
import numpy as np
import pytest

from compagnon.worlds.dispatch import insertion, plans, running_days, schedules, tables
from compagnon.worlds.dispatch.board import Board, BoardReader
from compagnon.worlds.dispatch.core import DispatchCore
from compagnon.worlds.dispatch.env import DispatchEnv
from compagnon.worlds.dispatch.experts.snapshot import snapshot
from compagnon.worlds.dispatch.kpis import KPI_NAMES
from compagnon.worlds.dispatch.options import DispatchOptions
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from tests.worlds.dispatch.boards import board_of
from tests.worlds.dispatch.test_insertion import EVERY, compare
from tests.worlds.dispatch.worlds import first_feasible, plane_day, random_actions, recount

REST = {"break_from": 150.0, "break_to": 200.0, "break_minutes": 30.0}
FIRST = {"pickup_from": 60.0, "pickup_to": 70.0}
SECOND = {"pickup": 2, "pickup_from": 215.0, "pickup_to": 225.0}
PLACES = [(0, 0), (70, 0), (80, 0)]


def drawn_day(seed):
    """Fourteen rides far apart, of two drivers who rest; more than half of the rides fall away."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(-80, 80, (9, 2))
    rides = []
    for _ in range(14):
        pickup, dropoff = rng.choice(9, 2, replace=False)
        begin = float(rng.uniform(60, 420))
        ride = {
            "pickup": pickup, "dropoff": dropoff, "pickup_from": begin,
            "pickup_to": begin + float(rng.uniform(2, 20)),
            "max_ride": float(rng.uniform(150, 250)),
            "announce": float(max(0.0, begin - rng.uniform(200, 400))),
        }  # fmt: skip
        falls = rng.random()
        if falls < 0.3:
            ride["no_show"] = True
        elif falls < 0.6:
            ride["cancel"] = float(rng.uniform(max(ride["announce"], begin - 60), begin))
        rides.append(ride)
    rests = [
        {"break_from": f, "break_to": f + float(rng.uniform(5, 60)), "break_minutes": 30.0}
        for f in rng.uniform(120, 300, 2).tolist()
    ]
    return plane_day(rides, rests, places.tolist(), name=f"day {seed}")


def places_where_nobody_is(worlds, row=0):
    """Of all plans, but for pickups that a driver was under way to when they were cancelled."""
    w = running_days.RunningDays(*(array[row] for array in worlds))
    inside = np.arange(plans.MAX_STOPS) < w.state[:, plans.COUNT, None]
    empty = inside & (w.codes[:, :, plans.PICKED_AT] == plans.DEAD)
    empty[:, 0] &= (w.state[:, plans.PHASE] != plans.DRIVES) | (w.codes[:, 0, plans.NODE] % 2 == 1)
    return int(empty.sum())


@pytest.mark.parametrize("how", ["first", "random"])
def test_nobody_is_late_of_what_fell_away(how):
    count = 150
    env = DispatchVectorEnv(count, instances=[drawn_day(k) for k in range(count)], board=4, late=1)
    _, info = env.reset(seed=0)
    rng = np.random.default_rng(0)
    first = np.ones(count, np.bool_)  # copies in their first day
    passed = 0
    column = [KPI_NAMES.index(name) for name in ("cost_late", "violations", "cost_overtime")]
    while first.any():
        mask = info["action_mask"].copy()
        if how == "first":
            actions = first_feasible(mask, env.layout)
        else:
            pairs = slice(1, 1 + env.layout.drivers * env.layout.board)
            mask[mask[:, pairs].any(axis=1), 0] = False  # so that plans grow
            actions = random_actions(mask, rng)
        _, _, ended, _, info = env.step(actions)
        for row in np.flatnonzero(first & ~ended):
            if places_where_nobody_is(env._core.worlds, row):
                passed += 1
                recount(env._core.worlds, row)
        for row in np.flatnonzero(first & ended):
            assert info["final_info"]["kpis"][row, column].tolist() == [0.0, 0.0, 0.0], row
        first &= ~ended
    assert passed > 10  # or nothing was put to the test


def fallen_away():
    """A driver at the door of somebody who is not there, a break and the next ride before him."""
    rides = [{**FIRST, "no_show": True}, SECOND]
    rides += [{"pickup": 1, "dropoff": 0, "pickup_from": 90.0, "pickup_to": 300.0}] * 3
    core = DispatchCore(1, DispatchOptions.parse(), [plane_day(rides, [REST], PLACES)])
    core.reset(EVERY)
    for b in (0, 1):
        waiting = core.worlds.open[0, : core.worlds.counts[0, running_days.OPEN]].tolist()
        core.step(np.array([1 + waiting.index(b)]), True)
    while core.worlds.status[0, 0] != running_days.NO_SHOW:
        core.step(np.array([0]), True)
    return core


def test_insertions_around_a_place_where_nobody_is_are_exact():
    core = fallen_away()
    assert core.worlds.codes[0, 0, :3, plans.NODE].tolist() == [1, plans.BREAK, 2]
    assert core.worlds.codes[0, 0, 0, plans.PICKED_AT] == plans.DEAD
    feasible = 0
    while (
        core.worlds.status[0, 1] == running_days.PLANNED
        and core.worlds.counts[0, running_days.OPEN]
    ):
        recount(core.worlds)
        feasible += compare(core)[0]
        core.step(np.array([0]), True)
    assert feasible > 0
    assert core.worlds.status[0, 1] >= running_days.PLANNED


def test_it_goes_once_nobody_is_late_without_it():
    """The place stays in the plan as long as it is needed, and no longer."""
    core = fallen_away()
    w = running_days.RunningDays(*(array[0] for array in core.worlds))
    roads = running_days.roads_for_python(w, core.view.minutes, core.view.km)
    plan = running_days.plan_for_python(w, 0)
    schedules.settle(plan, roads, w.bookings, w.money[running_days.NOW])
    assert places_where_nobody_is(core.worlds) == 1
    plan.stops[2, plans.LIMIT] = 270.0  # the second rider can wait
    schedules.settle(plan, roads, w.bookings, w.money[running_days.NOW])
    assert places_where_nobody_is(core.worlds) == 0
    assert plan.codes[:2, plans.NODE].tolist() == [plans.BREAK, 2]
    assert plan.stops[1, plans.START] == 260.0
    recount(core.worlds)


def test_without_the_place_the_next_rider_would_be_late():
    """What `settle` does where it is taken out all the same: it moves the limit, and is late."""
    core = fallen_away()
    w = running_days.RunningDays(*(array[0] for array in core.worlds))
    plan = running_days.plan_for_python(w, 0)
    assert plan.stops[2, plans.START] <= plan.stops[2, plans.LIMIT] == 225.0
    plans.remove(plan, 0)
    roads = running_days.roads_for_python(w, core.view.minutes, core.view.km)
    schedules.settle(plan, roads, w.bookings, w.money[running_days.NOW])
    assert plan.stops[1, plans.START] == plan.stops[1, plans.LIMIT] == 260.0


def test_a_board_says_it_and_shows_the_same():
    core = fallen_away()
    value = board_of(core.worlds)
    (driver,) = value["drivers"]
    assert driver["plan"][0] == {"ride": "r0", "at": "passes"}
    reader = BoardReader(core.layout, insertion.Weights(*core.view.weights))

    def look():
        return reader.look(msgspec.json.decode(json.dumps(value), type=Board))

    obs, mask = look()
    np.testing.assert_array_equal(mask, core.out.mask[0])
    np.testing.assert_allclose(obs, core.out.obs[0], rtol=1e-5, atol=1e-3)
    driver["plan"].pop(0)  # a board that leaves it out is another one
    assert (look()[0] != obs).any()


def test_a_solver_gets_a_stop_at_which_nobody_gets_out():
    core = fallen_away()
    w = running_days.RunningDays(*(array[0] for array in core.worlds))
    roads = running_days.roads_for_python(w, core.view.minutes, core.view.km)
    taken = snapshot(w, insertion.Weights(*core.view.weights), roads)
    (vehicle,) = taken.vehicles
    passed, rest, *_ = vehicle.order
    assert rest == -1
    assert taken.stops[passed].node == 1
    assert (taken.stops[passed].load, taken.stops[passed].service) == ((0,) * tables.LOADS, 0.0)
    assert taken.stops[passed].latest == np.inf
    assert all(passed not in (ride.pickup, ride.dropoff) for ride in taken.rides)


@pytest.mark.parametrize(("straight", "km"), [(100.0, 130.0), (25.0, 135.0)])
def test_with_a_matrix_the_pickup_is_passed_where_the_way_is_shorter_so(straight, km):
    """By hand: 10 to where the rider was to be met and 10 on to the next one, who leaves by 40.

    The straight way there takes longer, and is taken only where that is in time.
    """
    rides = [
        {"pickup": 1, "dropoff": 2, "pickup_from": 25.0, "pickup_to": 40.0, "cancel": 10.0},
        {"pickup": 2, "dropoff": 3, "pickup_to": 40.0},
    ]
    day = plane_day(rides, [{}], [(0, 0), (10, 0), (20, 0), (30, 0)])
    minutes = np.array(
        [[0, 10, straight, 90], [10, 0, 10, 90], [straight, 10, 0, 10], [100, 90, 10, 0]], float
    )
    travel = dataclasses.replace(day.travel, kind="matrix", minutes=minutes, km=minutes)
    env = DispatchEnv(instances=[dataclasses.replace(day, travel=travel)], board=2, late=1.0)
    _, info = env.reset(seed=0)
    ended = False
    while not ended:
        pairs = info["action_mask"][1:3]
        _, _, ended, _, info = env.step(1 + int(np.argmax(pairs)) if pairs.any() else 0)
    kpis = info["kpis"]
    assert (kpis["served"], kpis["cancelled"]) == (1, 1)
    assert (kpis["cost_late"], kpis["violations"]) == (0.0, 0.0)
    assert kpis["km"] == km  # 20 or the straight way there, 10 with the rider, 100 home
