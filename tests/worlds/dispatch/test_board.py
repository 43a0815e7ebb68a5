"""A board from outside shows what the environment shows at the same moment."""

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch import tables
from compagnon.worlds.dispatch.board import Board, BoardReader
from compagnon.worlds.dispatch.env import DispatchEnv
from compagnon.worlds.dispatch.tables import read_instance
from tests.worlds.dispatch.boards import board_of
from tests.worlds.dispatch.importing.files import read as read_files
from tests.worlds.dispatch.importing.test_matrix import FLEET, MATRIX, RIDES
from tests.worlds.dispatch.worlds import rich_day

OPTIONS = {"preset": "clinic-day", "tightness": 1.5, "cancel": 0.2}


def reader_of(env):
    return BoardReader(env.layout, env.options.weights())


def read(value):
    return msgspec.json.decode(json.dumps(value, allow_nan=False), type=Board)


def moments(seed, steps, **options):
    """Moments of a day that is played by chance: the environment, its observation, its mask."""
    env = DispatchEnv(**OPTIONS, **options)
    rng = np.random.default_rng(seed)
    obs, info = env.reset(seed=seed)
    for _ in range(steps):
        yield env, obs, info["action_mask"]
        possible = np.flatnonzero(info["action_mask"][: 1 + env.layout.drivers * env.layout.board])
        obs, _, ended, _, info = env.step(int(rng.choice(possible)))
        if ended:
            return


@pytest.mark.parametrize(("seed", "rich"), [(1, False), (2, False), (3, True), (5, True)])
def test_a_board_shows_what_the_environment_shows(seed, rich):
    looked, options = 0, {"instances": [rich_day(seed)]} if rich else {}
    for k, (env, obs, mask) in enumerate(moments(seed, 200, **options)):
        if k % 4:
            continue
        found, possible = reader_of(env).look(read(board_of(env.world)))
        np.testing.assert_array_equal(possible, mask)
        np.testing.assert_allclose(found, obs, rtol=1e-5, atol=1e-3)
        looked += 1
    assert looked > 15


def changed(change, env=None):
    for moment, _, _ in moments(1, 41):
        env = moment
    value = board_of(env.world)
    change(value)
    return reader_of(env), read(value)


def with_plan(value):
    return next(driver for driver in value["drivers"] if driver["plan"])


def test_a_ride_that_is_left_out_changes_what_is_seen():
    whole, board = changed(lambda value: None)
    obs, _ = whole.look(board)
    reader, board = changed(lambda value: value["rides"].remove(open_ride(value)))
    assert (reader.look(board)[0] != obs).any()
    reader, board = changed(lambda value: value["drivers"][0].update(phase="off", plan=[]))
    assert (reader.look(board)[0] != obs).any()


def open_ride(value):
    taken = {stop.get("ride") for driver in value["drivers"] for stop in driver["plan"]}
    taken |= {ride["returns_from"] for ride in value["rides"]}  # others hang on these
    return next(
        ride for ride in value["rides"] if ride["status"] == "open" and ride["id"] not in taken
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v["rides"].append(v["rides"][0]), "twice"),
        (lambda v: with_plan(v)["plan"].append({"ride": "x", "at": "dropoff"}), "no ride 'x'"),
        (lambda v: with_plan(v)["plan"].append(
            {"ride": with_plan(v)["plan"][-1]["ride"], "at": "pickup"}), "already"),
        (lambda v: with_plan(v)["plan"].append(
            {"ride": open_ride(v)["id"], "at": "pickup"}), "never dropped off"),
        (lambda v: with_plan(v)["plan"].append(
            {"ride": open_ride(v)["id"], "at": "dropoff"}), "never picked up"),
        (lambda v: v["drivers"].extend(v["drivers"] * 40), "knows"),
        (lambda v: v["rides"][0].update(pickup=[95.0, 0.0]), "degrees"),
        (lambda v: v["rides"][0].update(priority=9), "priority of row 0"),
        (lambda v: v["drivers"][0].update(aboard=[{"ride": "y", "since": 1.0}]), "no ride 'y'"),
    ],
)  # fmt: skip
def test_boards_that_cannot_be(change, words):
    reader, board = changed(change)
    with pytest.raises(InputError, match=words):
        reader.look(board)


def matrix_day(seed=5):
    """A generated day whose ways are a matrix, as irregular as roads are."""
    env = DispatchEnv(preset="clinic-day")
    env.reset(seed=seed)
    day = read_instance(
        "day", tables.Day(*(getattr(env.world, name)[0] for name in tables.Day._fields))
    )
    rng = np.random.default_rng(seed)
    n = day.travel.places
    shape = rng.uniform(3.0, 25.0, (n, n))
    np.fill_diagonal(shape, 0.0)
    travel = replace(
        day.travel, kind="matrix", minutes=shape, km=0.5 * shape * rng.uniform(0.8, 1.2, (n, n))
    )
    return replace(day, travel=travel)


def imported_day(folder):
    """A day of files with a matrix, by the importer."""
    (day,) = read_files(folder, RIDES, FLEET, MATRIX).days
    return day


@pytest.mark.parametrize("which", ["generated", "imported"])
def test_a_board_with_a_matrix_shows_what_the_environment_shows(which, tmp_path):
    day = matrix_day() if which == "generated" else imported_day(tmp_path)
    assert day.travel.kind == "matrix"
    env = DispatchEnv(instances=[day])
    reader = reader_of(env)
    rng = np.random.default_rng(2)
    obs, info = env.reset(seed=0)
    looked = assigned = 0
    for step in range(120):
        if step % 3 == 0:
            board = read(board_of(env.world, travel=day.travel))
            found, possible = reader.look(board)
            np.testing.assert_array_equal(possible, info["action_mask"])
            np.testing.assert_allclose(found, obs, rtol=1e-5, atol=1e-3)
            looked += 1
        pairs = np.flatnonzero(info["action_mask"][: 1 + env.layout.drivers * env.layout.board])
        action = int(rng.choice(pairs))
        assigned += action > 0
        obs, _, ended, _, info = env.step(action)
        if ended:
            break
    assert looked >= (10 if which == "generated" else 2)
    assert assigned > 0


def test_other_minutes_change_what_is_possible():
    day = matrix_day()
    env = DispatchEnv(instances=[day])
    _, info = env.reset(seed=0)
    value = board_of(env.world, travel=day.travel)
    value["minutes"] = (np.array(value["minutes"]) * 50).clip(0, 1440).tolist()
    _, possible = reader_of(env).look(read(value))
    assert possible.sum() < info["action_mask"].sum()


def named(value):
    value["rides"][0]["pickup"] = "nowhere"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (named, r"rides\[0\].pickup: there is no place 'nowhere'"),
        (lambda v: v["rides"][0].update(pickup=[46.2, 6.1]), r"rides\[0\].pickup: with a matrix"),
        (lambda v: v["drivers"][0].update(end=-1), r"drivers\[0\].end: it is -1; places are 0 to"),
        (lambda v: v["drivers"][0].update(at=9999), r"drivers\[0\].at: it is 9999"),
        (lambda v: v["minutes"].pop(), r"minutes: it has \d+ rows; it should have \d+"),
        (lambda v: v["km"][2].pop(), r"km\[2\]: it has \d+ numbers"),
        (lambda v: v["minutes"][1].__setitem__(3, -1.0), r"minutes\[1\]\[3\]: it is -1"),
        (lambda v: v["km"][1].__setitem__(3, 1e9), r"km\[1\]\[3\]: it is 1e\+09; it"),
        (lambda v: v.update(km=[]), "km: it has 0 rows"),
        (lambda v: v["places"][1].update(name="p0"), r"places\[1\].name: 'p0' stands there twice"),
        (lambda v: v.update(places=[]), "places: a matrix needs a list"),
        (lambda v: v.update(places=v["places"] + [
            {"name": f"q{k}", "at": [46.0, 6.0]} for k in range(250)]), "a board may list 250"),
        (lambda v: v.update(kind="sphere"), 'minutes: give kind "matrix"'),
    ],
)  # fmt: skip
def test_matrices_that_cannot_be(change, words):
    day = matrix_day()
    env = DispatchEnv(instances=[day])
    env.reset(seed=0)
    value = board_of(env.world, travel=day.travel)
    change(value)
    with pytest.raises(InputError, match=words):
        reader_of(env).look(read(value))


def test_places_may_be_named_without_a_matrix():
    whole, board = changed(lambda value: None)
    obs, mask = whole.look(board)

    def name(value):
        at = value["rides"][0]["pickup"]
        value["places"] = [{"name": "clinic", "at": at}]
        for ride in value["rides"]:
            ride["pickup"] = "clinic" if ride["pickup"] == at else ride["pickup"]

    reader, board = changed(name)
    found, possible = reader.look(board)
    np.testing.assert_array_equal(possible, mask)
    np.testing.assert_array_equal(found, obs)
