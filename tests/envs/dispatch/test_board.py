"""A board from outside shows what the environment shows at the same moment."""

import json

import msgspec
import numpy as np
import pytest

from compagnon.envs.dispatch.board import Board, BoardReader
from compagnon.envs.dispatch.env import DispatchEnv
from compagnon.errors import InputError
from tests.envs.dispatch.boards import board_of

OPTIONS = {"preset": "clinic-day", "tightness": 1.5, "cancel": 0.2}


def reader_of(env):
    return BoardReader(env.layout, env.options.weights())


def read(value):
    return msgspec.json.decode(json.dumps(value, allow_nan=False), type=Board)


def moments(seed, steps):
    """Moments of a day that is played by chance: the environment, its observation, its mask."""
    env = DispatchEnv(**OPTIONS)
    rng = np.random.default_rng(seed)
    obs, info = env.reset(seed=seed)
    for _ in range(steps):
        yield env, obs, info["action_mask"]
        possible = np.flatnonzero(info["action_mask"][: 1 + env.layout.drivers * env.layout.board])
        obs, _, ended, _, info = env.step(int(rng.choice(possible)))
        if ended:
            return


@pytest.mark.parametrize("seed", [1, 2])
def test_a_board_shows_what_the_environment_shows(seed):
    looked = 0
    for k, (env, obs, mask) in enumerate(moments(seed, 200)):
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
