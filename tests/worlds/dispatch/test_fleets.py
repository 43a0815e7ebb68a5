"""Skills, riders who ride alone, seats that convert, second breaks and trips of several legs."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch import plans, running_days, tables
from compagnon.worlds.dispatch.core import DispatchCore
from compagnon.worlds.dispatch.env import DispatchEnv
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.options import DispatchOptions
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from tests.worlds.dispatch.test_insertion import EVERY, compare
from tests.worlds.dispatch.worlds import has_room, plane_day, random_actions, recount, rich_day

LINE = [(0, 0), (10, 0), (4, 0), (6, 0)]
AWAY = {"pickup": 0, "dropoff": 1, "pickup_to": 0.0, "boarding": 0.0}
ON_THE_WAY = {"pickup": 2, "dropoff": 3, "pickup_from": 4.0, "pickup_to": 5.0, "boarding": 0.0}


def environment(day, **options):
    """Nothing but the ride itself counts: no plan moves, and nobody orders a taxi."""
    return DispatchEnv(instances=[day], replan=False, taxi=False, **options)


def pairs_of(env, info):
    """Which drivers (rows) can take the bookings on the board (columns)."""
    layout = env.layout
    pairs = info["action_mask"][1 : 1 + layout.drivers * layout.board]
    return pairs.reshape(layout.drivers, layout.board)


def test_only_who_has_the_skills_can_drive():
    rides = [{"needs": 0}, {"needs": 2}, {"needs": 3}]
    drivers = [{"skills": 0}, {"skills": 2}, {"skills": 7}]
    day = plane_day(rides, drivers, LINE, skills=("lift", "oxygen", "child seat"))
    env = environment(day, board=3)
    _, info = env.reset(seed=0)
    order = env.world.open[0, :3].tolist()
    possible = {b: pairs_of(env, info)[:, place].tolist() for place, b in enumerate(order)}
    assert possible == {0: [True] * 3, 1: [False, True, True], 2: [False, False, True]}


def test_who_drives_without_the_skill_is_counted():
    env = environment(plane_day([{"needs": 1}], [{"skills": 1}], LINE, skills=("lift",)), board=1)
    env.reset(seed=0)
    env.world.drivers[0, 0, tables.SKILLS] = 0.0
    _, _, _, _, info = env.step(1)
    assert info["kpis"]["violations"] == 1


@pytest.mark.parametrize(
    ("first", "second", "together"), [(0, 0, True), (1, 0, False), (0, 1, False)]
)
def test_nobody_else_rides_with_who_rides_alone(first, second, together):
    """The second boards at 4 and gets out at 6, while the first is driven from 0 to 10."""
    rides = [{**AWAY, "alone": bool(first)}, {**ON_THE_WAY, "alone": bool(second)}]
    core = DispatchCore(1, DispatchOptions.parse(replan=False), [plane_day(rides, [{}], LINE)])
    core.reset(EVERY)
    compare(core)
    assert core.out.mask[0, 1:3].all()
    core.step(np.array([1]), True)  # the earliest deadline comes first
    assert bool(core.out.mask[0, 1]) == together
    compare(core)


def test_who_is_not_alone_is_counted():
    env = environment(plane_day([AWAY, ON_THE_WAY], [{}], LINE), board=2)
    env.reset(seed=0)
    env.step(1)
    env.world.bookings[0, 1, tables.LOAD + tables.LOADS - 1] = tables.COMPANY
    _, _, _, _, info = env.step(1)
    assert info["kpis"]["violations"] == 1


def test_a_wheelchair_place_that_is_folded_takes_seats_away():
    """3 seats and 2 wheelchair places, of which one is made of 2 seats: by hand, then all cases."""
    row = np.zeros(tables.DRIVER_COLUMNS)
    row[tables.SEAT : tables.SEAT + tables.LOADS] = (3, 2, 0, 1, tables.COMPANY)
    row[[tables.FOLD, tables.FOLD_SEATS]] = 1, 2
    holds = {
        (a, w): tables.holds(np.array([a, w, 0, 0, 2]), row[tables.SEAT :])
        for a, w in itertools.product(range(5), range(4))
    }
    assert [a for a in range(5) if holds[a, 1]] == [0, 1, 2, 3]
    assert [a for a in range(5) if holds[a, 2]] == [0, 1]
    assert not any(holds[a, 3] for a in range(5))
    for a, w, seats, places, fold, each in itertools.product(
        range(5), range(4), range(4), range(3), range(3), range(4)
    ):
        if fold <= places:
            row[tables.SEAT : tables.SEAT + 2] = seats, places
            row[[tables.FOLD, tables.FOLD_SEATS]] = fold, each
            load = np.array([a, w, 0, 0, 1])
            assert tables.holds(load, row[tables.SEAT :]) == has_room(load, row)


@pytest.mark.parametrize(("fold", "possible"), [(0, True), (1, False)])
def test_seats_that_convert_by_hand(fold, possible):
    """Two seats and a wheelchair place; folded, there is room for one or for the other."""
    sitting, chair = {**AWAY, "load": (1, 0, 0, 0)}, {**ON_THE_WAY, "load": (0, 1, 0, 0)}
    day = plane_day([sitting, chair], [{"seats": (2, 1, 0, 0), "fold": fold}], LINE)
    core = DispatchCore(1, DispatchOptions.parse(replan=False), [day])
    core.reset(EVERY)
    core.step(np.array([1]), True)
    assert bool(core.out.mask[0, 1]) == possible
    compare(core)


def test_two_breaks_are_taken_in_their_order():
    """Rests at 100 and at 200; between them there is time for a ride of 40 minutes, not for 90."""
    rests = {
        "break_from": 100.0, "break_to": 110.0, "break_minutes": 30.0,
        "break2_from": 200.0, "break2_to": 210.0, "break2_minutes": 15.0,
    }  # fmt: skip
    short = {"pickup": 0, "dropoff": 2, "pickup_from": 135.0, "pickup_to": 150.0}
    long = {**short, "dropoff": 1, "pickup_to": 160.0}
    day = plane_day([short, long], [rests], [(0, 0), (90, 0), (40, 0)])
    env = environment(day, board=2)
    _, info = env.reset(seed=0)
    assert pairs_of(env, info)[0].tolist() == [True, False]
    assert env.world.state[0, 0, plans.RESTS] == 2
    env.step(1)
    codes, stops = env.world.codes[0, 0], env.world.stops[0, 0]
    assert codes[:5, plans.NODE].tolist() == [plans.BREAK, 0, 1, plans.BREAK, 5]
    assert stops[:4, plans.START].tolist() == [100.0, 135.0, 177.0, 200.0]
    assert stops[:4, plans.SERVICE].tolist() == [30.0, 2.0, 1.0, 15.0]
    _, _, ended, _, info = env.step(0)
    while not ended:
        _, _, ended, _, info = env.step(0)
    assert env.world.state[0, 0, plans.RESTS] == 0
    assert info["kpis"]["violations"] == 0
    assert (info["kpis"]["served"], info["kpis"]["rejected"]) == (1, 1)


def trip(legs, **first):
    """There and on and on, an hour apart; each leg but the first is called for."""
    rides = [{"pickup": 0, "dropoff": 1, "pickup_to": 20.0, "priority": 2, **first}]
    for k in range(1, legs):
        begin = 200.0 * k
        rides.append(
            {
                "pickup": k % 2, "dropoff": 1 - k % 2, "linked_to": k - 1, "announce": begin,
                "pickup_from": begin, "pickup_to": begin + 60.0, "max_ride": 30.0,
            }
        )  # fmt: skip
    return plane_day(rides, [{"shift_end": 1000.0}], [(0, 0), (10, 0)])


def test_every_leg_of_a_trip_hangs_on_the_one_before():
    env = environment(trip(4), board=1, reject_base=30.0, reject_priority=10.0)
    env.reset(seed=0)
    assert env.world.counts[0, running_days.ON_CALL] == 3
    recount(env.world)
    _, reward, _, _, info = env.step(2)
    assert reward == -(30 + 20) - 3 * (30 + 30)
    assert info["kpis"]["rejected"] == 4


def test_a_trip_goes_on_when_the_leg_before_has_ended():
    env = environment(trip(3), board=1)
    env.reset(seed=0)
    clocks = []
    for action in (1, 1, 2):  # there, on, and the last leg is refused
        obs, _, ended, _, info = env.step(action)
        recount(env.world)
        clocks.append(obs[0])
    assert clocks[:2] == [200.0, 400.0]
    while not ended:
        _, _, ended, _, info = env.step(0)
    assert [info["kpis"][k] for k in ("served", "rejected", "violations")] == [2, 1, 0]


@pytest.mark.parametrize("why", ["no_show", "cancel"])
def test_who_does_not_go_does_not_go_on(why):
    first = {"no_show": True} if why == "no_show" else {"cancel": 1.0, "pickup_from": 15.0}
    env = environment(trip(4, **first), board=1)
    env.reset(seed=0)
    _, _, ended, _, info = env.step(1)
    while not ended:
        _, _, ended, _, info = env.step(0)
    gone = {"no_show": [1, 3], "cancel": [0, 4]}[why]
    assert [info["kpis"][k] for k in ("no_show", "cancelled")] == gone


def test_a_trip_that_never_begins_is_refused():
    day = trip(4)
    for ring in ([2, 0, 1, -1], [-1, 3, 1, 2], [1, 0, -1, -1]):
        with pytest.raises(InputError, match=r"linked_to of row [01] .* a trip has a first leg"):
            dataclasses.replace(
                day, bookings=dataclasses.replace(day.bookings, linked_to=np.array(ring))
            )


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("bookings", {"needs": 8}, "needs of row 0 is 8; a bit for each of the 3 skills"),
        ("drivers", {"skills": -1}, "skills of row 0 is -1"),
        ("drivers", {"fold": 3}, "fold of row 0 is 3; it should be 0 to the wheelchair places"),
        ("drivers", {"fold_seats": 101}, "fold_seats of row 0"),
        ("drivers", {"break2_minutes": 10.0, "break_minutes": 0.0}, "the first break is"),
        ("drivers", {"break2_minutes": 10.0, "break2_to": 2000.0}, "second break should lie"),
        ("drivers", {"break2_minutes": 10.0, "break2_from": 0.0}, "come after the first"),
    ],
)
def test_a_bad_value_is_named(part, values, message):
    day = rich_day(1)
    whole = getattr(day, part)
    columns = {name: getattr(whole, name).copy() for name in values}
    for name, value in values.items():
        columns[name][0] = value
    with pytest.raises(InputError, match=message):
        dataclasses.replace(day, **{part: dataclasses.replace(whole, **columns)})


def test_skills_have_names_of_their_own():
    day = rich_day(1)
    with pytest.raises(InputError, match="'lift' should be a name of its own"):
        dataclasses.replace(day, skills=("lift", "lift", "oxygen"))


def test_a_saved_day_keeps_it_all_and_an_old_one_is_still_read():
    day = rich_day(2)
    again = Instance.from_json(day.to_json())
    assert again.to_json() == day.to_json()
    assert again.skills == day.skills
    days = tables.allocate_days(1, len(day.bookings) + 3, len(day.drivers) + 1)
    tables.write_instance(day, tables.day_row(days, 0))
    back = tables.read_instance(day.name, tables.day_row(days, 0), day.skills)
    assert back.to_json() == day.to_json()
    data = json.loads(plane_day([{}], [{}], LINE).to_json())
    data["format"] = "compagnon-dispatch-day-1"
    del data["skills"]
    for part, names in (
        ("bookings", ("needs", "alone")),
        ("drivers", ("skills", "fold", "fold_seats", "break2_from", "break2_to", "break2_minutes")),
    ):
        with pytest.raises(InputError, match="should hold exactly"):
            Instance.from_json(json.dumps(data))
        for name in names:
            del data[part][name]
    old = Instance.from_json(json.dumps(data))
    assert old.drivers.fold_seats.tolist() == [2]
    assert old.bookings.alone.tolist() == [False]
    data["format"] = "compagnon-dispatch-day-2"  # what has a default may be left out
    assert Instance.from_json(json.dumps(data)).to_json() == old.to_json()


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.full)])
def test_on_rich_days_the_mask_is_exact(seed):
    days = [rich_day(seed + k, tightness=1.2) for k in range(2)]
    core = DispatchCore(1, DispatchOptions.parse(preset="clinic-day", cancel=0.15), days)
    core.seed(np.array([seed], np.uint64), EVERY)
    core.reset(EVERY)
    rng, total = np.random.default_rng(seed), np.zeros(2, int)
    for _ in range(60):
        total += compare(core)
        recount(core.worlds)
        mask = core.out.mask.copy()
        if mask[0, 1:33].any():
            mask[0, 33:] = False  # so that plans grow
        core.step(random_actions(mask, rng), True)
    assert (total > 100).all()


def test_rich_days_break_nothing():
    env = DispatchVectorEnv(8, instances=[rich_day(k) for k in range(8)])
    _, info = env.reset(seed=0)
    rng, seen = np.random.default_rng(0), np.zeros(3, int)
    for _ in range(80):
        for row in range(8):
            recount(env._core.worlds, row)
        w = env._core.worlds
        riding = w.status == running_days.ABOARD
        alone, needs = w.bookings[..., tables.ALONE] > 0, w.bookings[..., tables.NEEDS] > 0
        trips = w.bookings[..., tables.LINKED_TO] > 0
        seen += [(riding & one).sum() for one in (alone, needs, trips)]
        _, _, _, _, info = env.step(random_actions(info["action_mask"], rng))
    assert (seen > 0).all()
