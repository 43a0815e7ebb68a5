"""The single environment: days worked out by hand, replayed days, and Gymnasium's own checks."""

import dataclasses

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch import plans
from compagnon.worlds.dispatch.env import DispatchEnv
from compagnon.worlds.dispatch.generator import generate
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from tests.worlds.dispatch.worlds import plane_day, random_actions


def play(env, *actions):
    """Reset, then the actions, then wait to the end; (return, kpis)."""
    env.reset(seed=0)
    total, ended, actions = 0.0, False, list(actions)
    while not ended:
        _, reward, ended, _, info = env.step(actions.pop(0) if actions else 0)
        total += reward
    return total, info["kpis"]


def test_one_ride_by_hand():
    # 10 km to the rider, who is ready at 30; boarding 2, 20 km, alighting 1, 10 km home
    day = plane_day(
        [{"pickup": 1, "dropoff": 2, "pickup_from": 30.0, "pickup_to": 60.0}],
        [{"seats": (1, 0, 0, 0)}],
        [(0, 0), (10, 0), (-10, 0)],
    )
    env = DispatchEnv(instances=[day], board=1, km=0.5)
    obs, info = env.reset(seed=0)
    assert info["action_mask"].tolist() == [True, True, True]
    names = [field.name for field in env.observation_fields]
    seen = dict(zip(names, obs.tolist(), strict=True))
    assert seen["pair0_0_added_minutes"] == 40.0
    assert seen["pair0_0_boards_in"] == 30.0
    assert seen["pair0_0_approach"] == 10.0
    assert seen["pair0_0_slack"] == 30.0
    total, kpis = play(env, 1)
    assert kpis["km"] == 40.0
    assert kpis["loaded_km"] == 20.0
    assert kpis["cost"] == 20.0 == -total
    assert kpis["served"] == 1
    assert kpis["ride_mean"] == 20.0
    assert kpis["wait_mean"] == 0.0


def test_who_names_no_begin_waits_for_nothing():
    """To be there by 600, whenever the ride begins: boarding at 500 is no wait since midnight."""
    ride = {"pickup": 1, "dropoff": 2, "pickup_to": np.inf, "dropoff_to": 600.0}
    places, driver = [(0, 0), (10, 0), (-10, 0)], {"shift_start": 490.0, "shift_end": 900.0}
    costs = {}
    for begin in (-np.inf, 400.0):
        day = plane_day([{**ride, "pickup_from": begin}], [driver], places)
        env = DispatchEnv(instances=[day], board=1, km=0.5, wait=1.0, promise=0.0)
        obs, _ = env.reset(seed=0)
        seen = dict(zip((f.name for f in env.observation_fields), obs.tolist(), strict=True))
        _, kpis = play(env, 1)
        assert kpis["served"] == 1
        costs[begin] = kpis["cost"]
        # What was planned is what it came to.
        assert seen["pair0_0_added_cost"] == pytest.approx(kpis["cost"], abs=1e-3)
    assert costs[-np.inf] == 20.0  # 40 km
    assert costs[400.0] == 20.0 + 100.0  # boarding at 500


def test_a_delay_a_wait_and_a_detour_by_hand():
    # Both at the start; the second boards after the first, and gets out before him.
    rides = [
        {"pickup": 0, "dropoff": 2, "pickup_to": 50.0, "boarding_delay": 5.0},
        {"pickup": 0, "dropoff": 1, "pickup_to": 50.0},
    ]
    day = plane_day(rides, [{}], [(0, 0), (10, 0), (20, 0)])
    env = DispatchEnv(instances=[day], board=2, wait=1.0, promise=0.0, ride=1.0, km=1.0)
    _, kpis = play(env, 1, 1)
    assert kpis["served"] == 2
    assert kpis["km"] == 40.0
    # The one who boards second waits 2 minutes, and 5 more where the first is delayed.
    assert kpis["cost_wait"] in (2.0, 7.0)
    assert kpis["cost"] == pytest.approx(40.0 + kpis["cost_wait"] + kpis["cost_ride"])
    assert kpis["violations"] == 0


def test_rejecting_an_outbound_ride_costs_its_return_too():
    rides = [
        {"dropoff_to": 100.0, "priority": 2},
        {"pickup": 1, "dropoff": 0, "linked_to": 0, "announce": 150.0, "pickup_from": 150.0},
    ]
    day = plane_day(rides, [{}], [(0, 0), (10, 0)])
    env = DispatchEnv(
        instances=[day], board=1, reject_base=30.0, reject_priority=10.0, answer_in_advance=0.0
    )
    env.reset(seed=0)
    _, reward, _, _, _ = env.step(2)
    assert reward == -(30 + 20) - (30 + 30)
    _, kpis = play(env, 0)
    assert kpis["rejected"] == 2
    assert kpis["cost"] == 110.0


def test_a_return_on_call_is_announced_when_the_outbound_ride_has_ended():
    rides = [
        {"dropoff_to": 100.0},
        {"pickup": 1, "dropoff": 0, "linked_to": 0, "announce": 150.0, "pickup_from": 150.0},
    ]
    env = DispatchEnv(instances=[plane_day(rides, [{}], [(0, 0), (10, 0)])], board=1)
    env.reset(seed=0)
    obs, _, _, _, info = env.step(1)
    assert obs[0] == 150.0
    assert info["action_mask"].tolist() == [True, True, True]
    _, kpis = play(env, 1, 1)
    assert kpis["served"] == 2
    assert kpis["km"] == 20.0


def test_no_show_and_cancellation_by_hand():
    gone = plane_day([{"pickup": 1, "dropoff": 0, "no_show": True}], [{}], [(0, 0), (10, 0)])
    _, kpis = play(DispatchEnv(instances=[gone], board=1), 1)
    assert (kpis["no_show"], kpis["served"], kpis["km"]) == (1, 0, 20.0)
    ride = {"pickup": 1, "dropoff": 0, "pickup_from": 50.0}
    # cancelled before the driver leaves at 40, under way, and after boarding began
    for minute, cancelled, km in ((20.0, 1, 0.0), (45.0, 1, 20.0), (55.0, 0, 20.0)):
        day = plane_day([{**ride, "cancel": minute}], [{}], [(0, 0), (10, 0)])
        _, kpis = play(DispatchEnv(instances=[day], board=1), 1)
        assert (kpis["cancelled"], kpis["served"], kpis["km"]) == (cancelled, 1 - cancelled, km)


@pytest.mark.parametrize("why", ["no-show", "cancellation", "nothing"])
def test_a_ride_that_falls_away_before_a_break_makes_nobody_late(why):
    """Rested at 0 until 180 he would be at 80 by 260; so he goes to 70 all the same, and rests."""
    first = {"pickup_from": 60.0, "pickup_to": 70.0}
    first |= {"no-show": {"no_show": True}, "cancellation": {"cancel": 50.0}, "nothing": {}}[why]
    second = {"pickup": 2, "pickup_from": 215.0, "pickup_to": 225.0}
    rest = {"break_from": 150.0, "break_to": 200.0, "break_minutes": 30.0}
    day = plane_day([first, second], [rest], [(0, 0), (70, 0), (80, 0)])
    env = DispatchEnv(instances=[day], board=2, late=1.0)
    _, info = env.reset(seed=0)
    ended = False
    while not ended:
        pairs = info["action_mask"][1:3]
        _, _, ended, _, info = env.step(1 + int(np.argmax(pairs)) if pairs.any() else 0)
    assert info["kpis"]["cost_late"] == 0.0
    assert info["kpis"]["violations"] == 0
    # 70 to the place where he rests, 10 on to the second door, and 80 back to the first place.
    assert info["kpis"]["km"] == 160.0
    assert info["kpis"]["served"] == (2 if why == "nothing" else 1)


@pytest.mark.parametrize("why", ["no-show", "cancellation"])
def test_a_place_where_nobody_is_is_passed_only_where_somebody_would_be_late(why):
    """The second rider can wait until 400: the driver rests where he stands, and drives 80."""
    first = {"pickup_from": 60.0, "pickup_to": 70.0}
    first |= {"no-show": {"no_show": True}, "cancellation": {"cancel": 50.0}}[why]
    second = {"pickup": 2, "pickup_from": 215.0, "pickup_to": 400.0}
    rest = {"break_from": 150.0, "break_to": 200.0, "break_minutes": 30.0}
    day = plane_day([first, second], [rest], [(0, 0), (70, 0), (80, 0)])
    env = DispatchEnv(instances=[day], board=2, late=1.0)
    _, info = env.reset(seed=0)
    ended = False
    while not ended:
        pairs = info["action_mask"][1:3]
        _, _, ended, _, info = env.step(1 + int(np.argmax(pairs)) if pairs.any() else 0)
        plan = env._core.worlds.codes[0, 0, : env._core.worlds.state[0, 0, plans.COUNT]]
        assert not (plan[:, plans.PICKED_AT] == plans.DEAD)[1:].any()
    assert info["kpis"]["served"] == 1
    assert info["kpis"]["km"] == 160.0
    assert info["kpis"]["cost_wait"] > 0.0  # 45 minutes after the window began


def test_seats_and_breaks_are_kept():
    chair = plane_day([{"load": (0, 2, 0, 0)}], [{}], [(0, 0), (10, 0)])
    _, info = DispatchEnv(instances=[chair], board=1).reset(seed=0)
    assert info["action_mask"].tolist() == [True, False, True]
    rest = {"break_from": 20.0, "break_to": 25.0, "break_minutes": 30.0}
    for latest, possible in ((40.0, False), (60.0, True)):
        ride = {"pickup_from": 15.0, "pickup_to": latest}
        day = plane_day([ride], [rest], [(0, 0), (10, 0)])
        _, info = DispatchEnv(instances=[day], board=1).reset(seed=0)
        assert info["action_mask"][1] == possible


def test_single_and_vector_are_the_same_day():
    single, vector = DispatchEnv(preset="clinic-day"), DispatchVectorEnv(2, preset="clinic-day")
    obs, info = single.reset(seed=8)
    many, infos = vector.reset(seed=7)
    rng = np.random.default_rng(0)
    ended = False
    while not ended:
        assert np.array_equal(obs, many[1])
        assert np.array_equal(info["action_mask"], infos["action_mask"][1])
        actions = random_actions(infos["action_mask"], rng)
        obs, reward, ended, _, info = single.step(int(actions[1]))
        many, rewards, _, _, infos = vector.step(actions)
        assert reward == rewards[1]
    assert np.array_equal(obs, infos["final_obs"][1])
    assert list(info["kpis"].values()) == infos["final_info"]["kpis"][1].tolist()


def test_saved_days_are_replayed(tmp_path):
    for seed in range(3):
        generate("clinic-day", seed).save(tmp_path / f"day{seed}.json")
    vector = DispatchVectorEnv(4, days=str(tmp_path), board=4)
    assert vector.distinct_episodes == 3
    obs, _ = vector.reset(seed=0)
    assert np.array_equal(obs[0], obs[3])
    assert not np.array_equal(obs[0], obs[1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no saved day"):
        DispatchEnv(days=str(tmp_path / "empty"))
    with pytest.raises(InputError, match="does not exist"):
        DispatchEnv(days=str(tmp_path / "nowhere"))


def test_a_matrix_day_is_the_day_of_its_distances():
    day = plane_day([{"pickup": 1, "dropoff": 2}], [{}], [(0, 0), (10, 0), (10, 5)])
    points = day.travel.coordinates
    distance = np.hypot(*(points[:, None] - points[None]).T)
    travel = dataclasses.replace(day.travel, kind="matrix", minutes=distance, km=distance)
    other = dataclasses.replace(day, travel=travel)
    results = [play(DispatchEnv(instances=[d], board=1), 1) for d in (day, other)]
    assert results[0][0] == pytest.approx(results[1][0])
    assert results[0][1]["km"] == pytest.approx(results[1][1]["km"])


def test_an_impossible_action_lets_time_pass_is_charged_and_said():
    chair = plane_day([{"load": (0, 2, 0, 0)}], [{}], [(0, 0), (10, 0)])
    told, waited = (DispatchEnv(instances=[chair], board=1) for _ in range(2))
    for env in (told, waited):
        env.reset(seed=0)
    one, two = told.step(1), waited.step(0)
    assert (one[4].pop("possible"), two[4].pop("possible")) == (False, True)
    assert np.array_equal(one[0], two[0])
    assert one[1:4] == (two[1] - 1.0, *two[2:4])
    assert one[4]["reward_terms"].sum() == pytest.approx(one[1])
    assert told.kpis()["cost_impossible"] == 1.0
    dear = DispatchEnv(instances=[chair], board=1, impossible=7.0)
    dear.reset(seed=0)
    assert dear.step(1)[1] == two[1] - 7.0
    with pytest.raises(InputError, match=r"outside 0\.\.2"):
        waited.step(3)
    vector = DispatchVectorEnv(1, instances=[chair], board=1)
    vector.reset(seed=0)
    with pytest.raises(InputError, match="not possible now"):
        vector.step(np.array([1]))


def test_the_day_is_drawn():
    env = DispatchEnv(preset="clinic-day", render_mode="rgb_array")
    env.reset(seed=1)
    frame = env.render()
    assert frame.shape == (720, 1080, 3)
    assert frame.dtype == np.uint8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "village"}, "preset"),
        ({"tightness": 9.0}, "tightness"),
        ({"no_such": 1}, "no option"),
        ({"render_mode": "human"}, "rgb_array"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        DispatchEnv(**options)
