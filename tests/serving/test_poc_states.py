"""A proof-of-concept board over HTTP gets the decision that the environment's own tick gets."""

import json

import numpy as np
import pytest

from compagnon.serving.settings import ServiceSettings
from compagnon.store.log import find
from compagnon.worlds.dispatch_poc import DISPATCH_POC
from compagnon.worlds.dispatch_poc.env import DispatchPocEnv
from tests.serving.client import served
from tests.serving.support import exported
from tests.worlds.dispatch_poc.states import state_of

OPTIONS = {"drivers": 4, "slots": 8, "observation": "pairs", "order": "urgency"}


@pytest.fixture(scope="module")
def poc(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poc")
    policy = exported(folder / "p", DISPATCH_POC, env_args=OPTIONS)
    with served(ServiceSettings(policy=str(policy), db=f"sqlite:///{folder / 'd.db'}")) as client:
        yield client


def moments(steps):
    env = DispatchPocEnv(**OPTIONS)
    obs, info = env.reset(seed=3)
    for _ in range(steps):
        yield state_of(env._core.days), obs, info["action_mask"], env._core.days
        possible = np.flatnonzero(info["action_mask"])
        obs, _, _, _, info = env.step(int(possible[len(possible) // 2]))


@pytest.mark.full
def test_a_board_is_decided_step_by_step(poc):
    named = 0
    for k, (state, obs, mask, days) in enumerate(moments(40)):
        answer = poc.decide(state=state, id=f"m{k}")
        row = find(poc.parts.repository.store, f"m{k}")
        np.testing.assert_allclose(np.frombuffer(row.features, np.float32), obs, rtol=1e-5)
        packed = np.frombuffer(row.mask, np.uint8)
        np.testing.assert_array_equal(np.unpackbits(packed, count=len(mask)).astype(bool), mask)
        for one in (answer, *answer["alternatives"]):
            place, rank = divmod(one["action"] - 1, OPTIONS["slots"])
            words = "wait"
            if one["action"]:
                words = f"driver d{days.order[0, place]} takes booking b{days.shown[0, rank]}"
                named += 1
            assert one["meaning"] == words
        assert poc.decide(state=state, id=f"m{k}") == answer
    assert named > 20


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("time",), 7, "state.time"),
        (("time",), "x", "state.time"),
        (("colour",), 1, "state.colour"),
        (("drivers", 0, "colour"), 1, "state.drivers[0].colour"),
        (("drivers", 0, "load"), 9, "state.drivers[0].load"),
        (("bookings", 0, "lat"), 48.0, "state.bookings[0].lat"),
        (("bookings", 0, "priority"), 2.5, "state.bookings[0].priority"),
        (("bookings",), [], None),
    ],
)
def test_the_field_of_a_board_is_named(poc, path, value, field):
    state = json.loads(json.dumps(next(moments(1))[0]))
    place = state
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    answer = poc.decide(200 if field is None else 422, state=state)
    assert answer.get("field") == field


def test_a_board_is_described(poc):
    found = poc.get("/openapi.json")["components"]["schemas"]
    assert {"PocState", "PocDriver", "PocBooking"} <= found.keys()
    assert found["PocState"]["additionalProperties"] is False
