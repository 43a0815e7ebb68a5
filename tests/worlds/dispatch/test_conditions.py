"""Traffic, late riders, breakdowns and parking: by hand, by their distributions, and at random."""

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch import plans, running_days, schedules, tables, travel
from compagnon.worlds.dispatch.board import BoardReader
from compagnon.worlds.dispatch.env import DispatchEnv
from compagnon.worlds.dispatch.generator import generate
from compagnon.worlds.dispatch.kpis import KPI_NAMES
from compagnon.worlds.dispatch.options import DispatchOptions
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from tests.worlds.dispatch.boards import board_of
from tests.worlds.dispatch.test_board import read
from tests.worlds.dispatch.test_fleets import environment
from tests.worlds.dispatch.test_insertion import compare
from tests.worlds.dispatch.test_travel import roads, rule
from tests.worlds.dispatch.worlds import plane_day, random_actions, recount, rich_day

# 10 km to the rider, who is ready at 30, then 20 km, and 10 km home; a km takes a minute.
PLACES = [(0, 0), (10, 0), (-10, 0)]
RIDE = {"pickup": 1, "dropoff": 2, "pickup_from": 30.0, "pickup_to": 60.0}
ROUGH = {
    "traffic_day": 0.15, "traffic_hour": 0.2, "late_ready": 0.3, "breakdown": 0.4,
    "halt_minutes": 2.0,
}  # fmt: skip


def to_the_end(env, action=1):
    """Take one action, then wait; the KPIs."""
    _, _, ended, _, info = env.step(action)
    while not ended:
        _, _, ended, _, info = env.step(0)
    return info["kpis"]


def drives(env):
    return env.world.state[0, 0, plans.PHASE] == plans.DRIVES


def test_slow_traffic_is_known_when_a_driver_sets_out():
    """At half the speed: he leaves at 20 as planned, is there at 40, and at 82 at the other end."""
    second = {**RIDE, "announce": 25.0, "pickup_from": 300.0, "pickup_to": 360.0}
    env = environment(plane_day([RIDE, second], [{}], PLACES), board=2, promise=0.0)
    env.reset(seed=0)
    env.world.speed_real[0] = 0.5
    obs, _, _, _, _ = env.step(1)
    assert obs[0] == 25.0  # the second call; he is under way
    assert drives(env)
    assert env.world.stops[0, 0, :2, plans.START].tolist() == [40.0, 62.0]  # 20 km, as planned
    kpis = to_the_end(env, 0)
    assert kpis["wait_mean"] == 10.0
    assert kpis["ride_mean"] == 40.0
    assert kpis["cost_late"] == 0.0
    assert kpis["violations"] == 0


def test_a_delay_by_traffic_is_a_fact_that_moves_limits():
    env = environment(plane_day([{**RIDE, "pickup_to": 35.0}], [{}], PLACES), board=1, late=1.0)
    env.reset(seed=0)
    env.world.speed_real[0] = 0.5
    kpis = to_the_end(env)
    assert kpis["cost_late"] == 5.0
    assert kpis["violations"] == 0


def test_fast_traffic_gains_minutes_but_nobody_boards_before_the_window():
    env = environment(plane_day([RIDE], [{}], PLACES), board=1)
    env.reset(seed=0)
    env.world.speed_real[0] = 2.0
    kpis = to_the_end(env)
    assert kpis["wait_mean"] == 0.0  # there at 25, and ready at 30
    assert kpis["ride_mean"] == 10.0
    assert kpis["violations"] == 0


@pytest.mark.parametrize(("longest", "begins"), [(17.0, 42.0), (40.0, 37.0)])
def test_who_is_early_waits_where_a_ride_would_get_too_long(longest, begins):
    """There at 37 instead of 42: the next one gets in at 55 to 57, the first gets out at 59."""
    rides = [
        {"pickup": 1, "dropoff": 3, "pickup_to": 50.0, "max_ride": longest},
        {"pickup": 2, "dropoff": 3, "pickup_from": 55.0, "pickup_to": 55.0},
    ]
    day = plane_day(rides, [{"shift_start": 32.0}], [(0, 0), (10, 0), (12, 0), (14, 0)])
    env = environment(day, board=2)
    env.reset(seed=0)
    plan, w = plan_of(env), day_of(env)
    ways = running_days.roads_for_python(w, env._core.view.minutes, env._core.view.km)
    schedules.insert(plan, 0, 0, 0, ways, w.bookings, 0.0)
    schedules.insert(plan, 1, 1, 2, ways, w.bookings, 0.0)
    assert plan.codes[:4, plans.NODE].tolist() == [0, 2, 1, 3]
    assert plan.stops[:3, plans.START].tolist() == [42.0, 55.0, 59.0]
    w.speed_real[:] = 2.0
    schedules.set_out(plan, ways, 32.0)
    assert plan.stops[0, plans.START] == begins


def day_of(env):
    return running_days.RunningDays(*(array[0] for array in env.world))


def plan_of(env):
    return running_days.plan_for_python(day_of(env), 0)


def test_who_is_there_before_the_road_allows_is_counted():
    later = {**RIDE, "announce": 25.0, "pickup_from": 300.0, "pickup_to": 360.0}
    env = environment(plane_day([RIDE, later], [{}], PLACES), board=2)
    env.reset(seed=0)
    env.world.speed_real[0] = 0.5
    env.step(1)
    assert drives(env)
    env.world.stops[0, 0, 0, plans.START] = env.world.times[0, 0, plans.NEXT] = 35.0
    assert to_the_end(env, 0)["violations"] > 0


@pytest.mark.parametrize("saved", [False, True])
def test_traffic_has_a_day_and_its_hours(saved):
    count = 400
    of_day, of_hour = 0.3, 0.1
    env = DispatchVectorEnv(
        count, preset="clinic-day", traffic_day=of_day, traffic_hour=of_hour,
        instances=[generate("clinic-day", 1)] if saved else None,
    )  # fmt: skip
    env.reset(seed=list(range(count)))
    logs = np.log(env.world.speed_real / env.world.speed)
    hours = logs - logs.mean(axis=1, keepdims=True)
    assert hours.std() == pytest.approx(of_hour, rel=0.05)
    assert logs.mean(axis=1).std() == pytest.approx(of_day, rel=0.1)
    assert abs(logs.mean()) < 0.05


def test_without_traffic_speeds_are_what_is_planned_bit_by_bit():
    env = DispatchVectorEnv(4, preset="clinic-day", late_ready=0.5, breakdown=0.5)
    env.reset(seed=0)
    assert np.array_equal(env.world.speed, env.world.speed_real)


def test_parking_is_paid_once_for_two_riders_at_one_door():
    """10 km and 4 minutes to a door where two get in, and 20 and 4 to where both get out."""
    ride = {**RIDE, "boarding": 1.0, "alighting": 1.0}
    env = environment(
        plane_day([ride, ride], [{}], PLACES), board=2, halt_minutes=4.0, km=1.0, wait=0.0,
        ride=0.0,
    )  # fmt: skip
    obs, _ = env.reset(seed=0)
    names = [one.name for one in env.observation_fields]
    seen = dict(zip(names, obs.tolist(), strict=True))
    assert seen["pair0_0_boards_in"] == 30.0
    assert seen["pair0_0_approach"] == 14.0
    assert seen["pair0_0_added_minutes"] == 40.0  # of driving: there, on and home
    assert seen["pair0_0_added_cost"] == 40.0  # km
    env.step(1)
    w = env.world
    place = int(np.flatnonzero(w.open[0, :1] >= 0)[0])
    i, j = w.where[0, w.open[0, place], 0, :2]
    assert (i, j) in ((0, 1), (1, 1), (1, 2), (0, 2))
    assert w.found[0, w.open[0, place], 0, 2] == 0.0  # costs nothing more
    kpis = to_the_end(env)
    assert (kpis["km"], kpis["served"], kpis["violations"]) == (40.0, 2, 0)
    # 30 to 32 both get in, 20 minutes and 4 to park; both get out: whoever sits longest has 25 or
    # 26 minutes, and nobody parks twice.
    assert kpis["ride_mean"] <= 25.5


def test_going_by_way_of_a_third_place_never_takes_less_with_parking():
    rng = np.random.default_rng(0)
    points = rng.integers(0, 3, (30, 2)).astype(float)
    way = roads(travel.PLANE, points)._replace(rule=rule(travel.PLANE, 2.0, 1.0, halt=3.0))
    legs = np.array([[travel.base_minutes(way, a, b) for b in range(30)] for a in range(30)])
    assert (legs[:, None, :] <= legs[:, :, None] + legs[None] + 1e-9).all()
    same = (points[:, None] == points[None]).all(axis=2)
    assert (legs[same] == 0.0).all()
    assert (legs[~same] >= 3.0 + 2.0).all()
    matrix = way._replace(
        rule=rule(travel.MATRIX, 0.0, 1.0, halt=3.0), place=np.array([0, 1, 1], np.int32),
        minutes=np.array([[0.0, 7.0], [9.0, 0.0]]),
    )  # fmt: skip
    assert [travel.base_minutes(matrix, a, b) for a, b in ((0, 1), (2, 0), (1, 2))] == [10, 12, 0]


def test_who_is_not_ready_holds_up_the_way_back_alone():
    count = 300
    plain = DispatchVectorEnv(count, preset="clinic-day")
    late = DispatchVectorEnv(count, preset="clinic-day", late_ready=0.25, late_ready_minutes=20.0)
    for env in (plain, late):
        env.reset(seed=list(range(count)))
    more = late.world.bookings[..., tables.BOARDING_DELAY]
    more = more - plain.world.bookings[..., tables.BOARDING_DELAY]
    there = np.arange(more.shape[1]) < plain.world.size[:, tables.BOOKINGS, None]
    back = there & (plain.world.bookings[..., tables.LINKED_TO] >= 0)
    assert (more[~back] == 0.0).all()
    assert (more[back] > 0.0).mean() == pytest.approx(0.25, abs=0.02)
    waits = more[back & (more > 0.0)]
    assert waits.max() == pytest.approx(60.0)
    assert waits.mean() == pytest.approx(20.0 * (1 - np.exp(-3.0)), abs=1.5)  # capped at 60
    others = [k for k in range(tables.BOOKING_COLUMNS) if k != tables.BOARDING_DELAY]
    assert np.array_equal(late.world.bookings[..., others], plain.world.bookings[..., others])


def broken_down(env, minute, repair):
    """Let driver 0's vehicle break down at a minute of a day that has just begun."""
    env.world.drivers[0, 0, tables.REPAIR_MINUTES] = repair
    env.world.times[0, 0, plans.BREAKS_DOWN] = minute
    schedules.write_next(plan_of(env))


@pytest.mark.parametrize(
    ("minute", "broke", "wait", "ride"),
    [
        (5.0, 5.0, 15.0, 20.0),  # he stands, from 5 to 35, and is there at 45
        (25.0, 32.0, 0.0, 50.0),  # under way; once the rider is in, both wait until 62
        (52.5, 53.0, 0.0, 20.0),  # after the ride, which ends at 53
    ],
)
def test_a_breakdown_by_hand(minute, broke, wait, ride):
    env = environment(plane_day([RIDE], [{}], PLACES), board=1)
    env.reset(seed=0)
    broken_down(env, minute, 30.0)
    kpis = to_the_end(env)
    assert (kpis["wait_mean"], kpis["ride_mean"]) == (wait, ride)
    assert (kpis["violations"], kpis["served"], kpis["km"]) == (0, 1, 40.0)
    assert env.world.times[0, 0, plans.BROKE_AT] == broke


def test_a_breakdown_is_news_and_nobody_knows_of_it_before():
    later = {**RIDE, "pickup_from": 300.0, "pickup_to": 330.0, "announce": 3.0}
    day = plane_day([RIDE, later], [{"seats": (1, 0, 0, 0)}], PLACES)
    shown = {}
    for minute in (100.0, np.inf):
        env = environment(day, board=2, look_again=1000.0)
        env.reset(seed=0)
        broken_down(env, minute, 30.0)
        obs, _, _, _, _ = env.step(1)
        shown[minute] = [obs]
        while obs[0] < 90.0 and len(shown[minute]) < 20:
            obs, _, _, _, _ = env.step(0)
            shown[minute].append(obs)
    assert shown[100.0][-1][0] == 100.0
    for one, other in zip(shown[100.0][:-1], shown[np.inf], strict=False):
        assert np.array_equal(one, other)
    names = [one.name for one in env.observation_fields]
    assert shown[100.0][-1][names.index("driver0_free_in")] == 30.0


def test_breakdowns_come_as_often_as_they_should_and_in_the_shift():
    count = 500
    env = DispatchVectorEnv(count, preset="clinic-day", breakdown=0.3, repair_minutes=45.0)
    env.reset(seed=list(range(count)))
    at, drivers = env.world.times[..., plans.BREAKS_DOWN], env.world.drivers
    comes = np.isfinite(at)
    assert comes.mean() == pytest.approx(0.3, abs=0.03)
    share = (at - drivers[..., tables.SHIFT_START]) / 570.0
    assert share[comes].min() > 0.0
    assert share[comes].max() < 1.0
    assert share[comes].mean() == pytest.approx(0.5, abs=0.04)
    assert drivers[..., tables.REPAIR_MINUTES][comes].mean() == pytest.approx(45.0, abs=4.0)


@pytest.mark.parametrize("rich", [False, True])
def test_rough_days_break_nothing(rich):
    days = [rich_day(k) for k in range(4)] if rich else None
    env = DispatchVectorEnv(4, preset="clinic-day", instances=days, replan=False, **ROUGH)
    _, info = env.reset(seed=5)
    rng, broke = np.random.default_rng(0), 0
    for _ in range(100):
        for row in range(4):
            recount(env._core.worlds, row)
        broke += (env.world.times[..., plans.BROKE_AT] > 0.0).sum()
        _, _, _, _, info = env.step(random_actions(info["action_mask"], rng))
    assert broke > 0


def drawn(rng):
    """Options drawn at random: each is off in half of the cases."""
    most = {
        "traffic_day": 0.4, "traffic_hour": 0.4, "late_ready": 1.0, "breakdown": 1.0,
        "halt_minutes": 8.0, "delay_minutes": 3.0, "cancel": 0.4, "no_show": 0.3,
    }  # fmt: skip
    options = {name: float(rng.uniform(0.0, high)) for name, high in most.items()}
    options = {name: value for name, value in options.items() if rng.random() < 0.5}
    options["replan"], options["taxi"] = bool(rng.random() < 0.5), bool(rng.random() < 0.7)
    if "late_ready" in options:
        options["late_ready_minutes"] = float(rng.uniform(1.0, 60.0))
    if "breakdown" in options:
        options["repair_minutes"] = float(rng.uniform(1.0, 240.0))
    return options


def play_at_random(decisions, seed, num_envs, steps, exact):
    """Rich and plain days under options drawn at random; how many decisions were taken.

    Args:
        exact: how many times each environment's mask is held against all insertions one by one.
    """
    rng, taken, kpis = np.random.default_rng(seed), 0, []
    violations, four = KPI_NAMES.index("violations"), ("served", "rejected", "cancelled", "no_show")
    ended_as = [KPI_NAMES.index(name) for name in (*four, "taxis")]
    while taken < decisions:
        days = None
        tightness = float(rng.uniform(0.7, 2.0))
        if rng.random() < 0.7:
            begin = int(rng.integers(10_000))
            days = [rich_day(begin + k, tightness=tightness) for k in range(min(num_envs, 16))]
        env = DispatchVectorEnv(num_envs, preset="clinic-day", instances=days, **drawn(rng))
        _, info = env.reset(seed=int(rng.integers(2**32)))
        for step in range(steps):
            mask = info["action_mask"].copy()
            pairs = slice(1, 1 + env.layout.drivers * env.layout.board)
            grow = mask[:, pairs].any(axis=1) & (rng.random(num_envs) < 0.7)
            mask[grow, pairs.stop :] = False  # so that plans grow
            _, _, ended, _, info = env.step(random_actions(mask, rng))
            taken += num_envs
            if exact and step % max(1, steps // exact) == 0:
                compare(env.core)
                recount(env.core.worlds, int(rng.integers(num_envs)))
            kpis += list(info["final_info"]["kpis"][ended]) if ended.any() else []
            counts = env.world.counts
            assert (counts[:, running_days.VIOLATIONS] == 0).all()
            assert np.array_equal(
                counts[:, : running_days.STATUSES].sum(axis=1), env.world.size[:, tables.BOOKINGS]
            )
    figures = np.array(kpis)
    assert len(figures)
    assert (figures[:, violations] == 0).all()
    assert np.array_equal(
        figures[:, KPI_NAMES.index("generated")], figures[:, ended_as].sum(axis=1)
    )
    return taken


def test_random_decisions_under_random_options_break_nothing():
    assert play_at_random(6_000, seed=1, num_envs=8, steps=150, exact=5) >= 6_000


@pytest.mark.slow
def test_a_million_random_decisions_under_random_options_break_nothing():
    assert play_at_random(1_000_000, seed=2, num_envs=64, steps=400, exact=20) >= 1_000_000


def test_the_same_seed_is_the_same_rough_day():
    env = DispatchVectorEnv(3, preset="clinic-day", **ROUGH)
    env.reset(seed=[7, 7, 8])
    w = env.world
    for array in (w.speed_real, w.drivers, w.bookings):
        assert np.array_equal(array[0], array[1])
        assert not np.array_equal(array[0], array[2])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"late_ready_minutes": 20.0}, "late_ready_minutes says nothing with late_ready=0"),
        ({"repair_minutes": 20.0}, "repair_minutes says nothing with breakdown=0"),
        ({"traffic_day": 2.0}, "traffic_day"),
        ({"halt_minutes": -1.0}, "halt_minutes"),
    ],
)
def test_options_that_cannot_be(arguments, words):
    with pytest.raises(InputError, match=words):
        DispatchOptions.parse(**arguments)
    DispatchOptions.parse(late_ready=0.1, late_ready_minutes=20.0)


def test_a_board_knows_of_parking():
    env = DispatchEnv(preset="clinic-day", halt_minutes=5.0)
    obs, info = env.reset(seed=1)
    reader = BoardReader(env.layout, env.options.weights())
    found, possible = reader.look(read(board_of(env.world)))
    np.testing.assert_array_equal(possible, info["action_mask"])
    np.testing.assert_allclose(found, obs, rtol=1e-5, atol=1e-3)
    other, _ = reader.look(read({**board_of(env.world), "halt_minutes": 0.0}))
    assert (other != found).any()
    with pytest.raises(InputError, match="halt_minutes: it is 99"):
        reader.look(read({**board_of(env.world), "halt_minutes": 99.0}))
