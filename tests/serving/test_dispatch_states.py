"""A dispatch board over HTTP gets the decision that the environment's own moment gets."""

import json
import subprocess
import sys

import numpy as np
import pytest

from compagnon.serving.settings import ServiceSettings
from compagnon.serving.states import state_reader
from compagnon.store.log import find
from compagnon.worlds.dispatch.board import BoardReader
from compagnon.worlds.dispatch.env import DispatchEnv
from tests.serving.client import served
from tests.serving.support import exported
from tests.worlds.dispatch.boards import board_of
from tests.worlds.dispatch.test_board import matrix_day

OPTIONS = {"preset": "clinic-day"}


@pytest.fixture(scope="module")
def dispatch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dispatch")
    policy = exported(folder / "p", "compagnon/Dispatch-v1", env_args=OPTIONS)
    manifest = json.loads((policy / "policy.json").read_text())
    manifest["provenance"]["env_args"] = OPTIONS
    (policy / "policy.json").write_text(json.dumps(manifest))
    with served(ServiceSettings(policy=str(policy), db=f"sqlite:///{folder / 'd.db'}")) as client:
        yield client


@pytest.fixture(scope="module")
def moment():
    env = DispatchEnv(**OPTIONS)
    obs, info = env.reset(seed=3)
    for _ in range(30):
        possible = np.flatnonzero(info["action_mask"])
        obs, _, _, _, info = env.step(int(possible[len(possible) // 2]))
    return board_of(env.world), obs, info["action_mask"]


def test_the_kernels_are_compiled_before_anybody_asks(dispatch, moment, monkeypatch):
    """A reader looks, when it is made, at a board that has all of the kernels at work."""
    seen = []
    look = BoardReader.look

    def watched(reader, board):
        found = look(reader, board)
        seen.append((board, found[1]))
        return found

    monkeypatch.setattr(BoardReader, "look", watched)
    manifest = dispatch.parts.service.model.manifest
    assert state_reader(manifest.schema_, OPTIONS) is not None
    [(board, mask)] = seen
    assert board.drivers[0].plan
    assert board.drivers[0].aboard
    assert mask.sum() > 1  # an insertion was looked for, and found


@pytest.mark.slow
def test_reading_a_board_compiles_nothing(dispatch, moment, tmp_path):
    (tmp_path / "board.json").write_text(json.dumps(moment[0]))
    code = """
import gc, json, sys
import msgspec
from numba.core.dispatcher import Dispatcher
from pathlib import Path
from compagnon.policy.artefact import load_manifest
from compagnon.serving.states import state_reader

def compiled():
    return sum(len(o.signatures) for o in gc.get_objects() if isinstance(o, Dispatcher))

reader = state_reader(load_manifest(Path(sys.argv[1])).schema_, {"preset": "clinic-day"})
before = compiled()
reader.read(msgspec.Raw(open(sys.argv[2], "rb").read()))
print(before, compiled() - before)
"""
    policy = dispatch.parts.service.settings.policy
    command = [sys.executable, "-c", code, policy, tmp_path / "board.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    before, more = map(int, done.stdout.split())
    assert before > 0
    assert more == 0


def test_a_board_is_decided(dispatch, moment):
    board, obs, mask = moment
    answer = dispatch.decide(state=board, id="board")
    assert mask[answer["action"]]
    assert answer["meaning"].split()[0] in ("wait", "driver", "refuse")
    row = find(dispatch.parts.repository.store, "board")
    np.testing.assert_allclose(np.frombuffer(row.features, np.float32), obs, rtol=1e-5, atol=1e-3)
    packed = np.frombuffer(row.mask, np.uint8)
    np.testing.assert_array_equal(np.unpackbits(packed, count=len(mask)).astype(bool), mask)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("now",), "x", "state.now"),
        (("colour",), 1, "state.colour"),
        (("rides", 0, "colour"), 1, "state.rides[0].colour"),
        (("rides", 0, "priority"), 9, "state.rides[0].priority"),
        (("rides", 0, "status"), "lost", "state.rides[0].status"),
        (("rides", 0, "pickup"), [1.0], "state.rides[0].pickup"),
        (("drivers", 0, "seats"), [4, 0], "state.drivers[0].seats"),
        (("drivers", 0, "shift_end"), -1.0, "state.drivers[0].shift_end"),
        (("drivers",), [], "state"),
    ],
)
def test_the_field_of_a_board_is_named(dispatch, moment, path, value, field):
    board = json.loads(json.dumps(moment[0]))
    place = board
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert dispatch.decide(422, state=board)["field"] == field


def test_a_board_is_described(dispatch):
    found = dispatch.get("/openapi.json")["components"]["schemas"]
    assert {"Board", "Ride", "Driver", "Stop"} <= found.keys()
    assert "returns_from" in found["Ride"]["properties"]


def with_matrix(seed=3):
    """A moment of a day whose ways are a matrix: its board, and what is possible."""
    day = matrix_day(seed)
    env = DispatchEnv(**OPTIONS, instances=[day])
    obs, info = env.reset(seed=0)
    for _ in range(6):
        possible = np.flatnonzero(info["action_mask"])
        obs, _, _, _, info = env.step(int(possible[len(possible) // 2]))
    return board_of(env.world, travel=day.travel), obs, info["action_mask"]


def test_a_board_with_a_matrix_is_decided(dispatch):
    board, obs, mask = with_matrix()
    answer = dispatch.decide(state=board, id="matrix")
    assert mask[answer["action"]]
    row = find(dispatch.parts.repository.store, "matrix")
    np.testing.assert_allclose(np.frombuffer(row.features, np.float32), obs, rtol=1e-5, atol=1e-3)
    packed = np.frombuffer(row.mask, np.uint8)
    np.testing.assert_array_equal(np.unpackbits(packed, count=len(mask)).astype(bool), mask)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("minutes", 1, 2), None, "state.minutes[1][2]"),
        (("minutes", 1, 2), -1.0, "state.minutes[1][2]"),
        (("km", 0), [1.0], "state.km[0]"),
        (("minutes",), [], "state.minutes"),
        (("places", 0, "at"), [1.0], "state.places[0].at"),
        (("places", 0, "colour"), 1, "state.places[0].colour"),
        (("places", 1, "name"), "p0", "state.places[1].name"),
        (("rides", 0, "pickup"), "nowhere", "state.rides[0].pickup"),
        (("kind",), "cube", "state.kind"),
        (("kind",), "plane", "state.minutes"),
    ],
)
def test_the_field_of_a_matrix_is_named(dispatch, path, value, field):
    board = with_matrix()[0]
    place = board
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert dispatch.decide(422, state=board)["field"] == field
