"""A decision of a state with what the world says of each action, where that is asked for."""

from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.serving.errors import ApiError
from compagnon.serving.settings import ServiceSettings
from compagnon.serving.states import StateReader
from compagnon.worlds.codec import StateCodec
from tests.serving.client import SHOP, served


@dataclass
class Door:
    open: bool = False


@dataclass
class House:
    rooms: int
    front: Door
    back: Door | None = None
    others: list[Door] = field(default_factory=list)


class HouseCodec(StateCodec[House]):
    kind = House

    def look(self, state):
        if state.rooms < 1:
            raise InputError(f"rooms is {state.rooms}; it should be 1 or more")
        return np.array([float(state.rooms)]), np.array([True, state.front.open])

    def why_impossible(self, state, action):
        return None if self.look(state)[1][action] else "the front door is shut"

    def candidate_costs(self, state):
        return np.array([2.5, np.nan])


def raw(text):
    return msgspec.Raw(text.encode())


def test_each_action_has_its_cost_or_why_it_is_impossible():
    reader = StateReader(HouseCodec())
    state = raw('{"rooms": 2, "front": {"open": false}}')
    stay, leave = reader.reasons(state, reader.read(state)[1], ("stay", "leave"))
    assert (stay.meaning, stay.possible, stay.cost, stay.why) == ("stay", True, 2.5, None)
    assert (leave.action, leave.possible, leave.cost) == (1, False, None)
    assert leave.why == "the front door is shut"


@pytest.mark.parametrize(
    ("state", "where"),
    [
        ('{"rooms": 1, "front": {"colour": 1}}', "state.front.colour"),
        ('{"rooms": 1, "front": {}, "back": {"colour": 1}}', "state.back.colour"),
        ('{"rooms": 1, "front": {}, "others": [{}, {"colour": 1}]}', "state.others[1].colour"),
        ('{"rooms": 0, "front": {}}', "state.rooms"),
    ],
)
def test_what_is_wrong_is_named_wherever_it_stands(state, where):
    reader = StateReader(HouseCodec())
    assert reader.read(raw('{"rooms": 1, "front": {}, "back": null, "others": [{}]}'))
    with pytest.raises(ApiError) as refused:
        reader.read(raw(state))
    assert refused.value.field == where


def test_a_service_says_them_and_logs_the_same_decision(artefact, tmp_path):
    with served(
        ServiceSettings(policy=str(artefact), db=f"sqlite:///{tmp_path / 'd.db'}")
    ) as client:
        plain = client.decide(id="a", state=SHOP)
        told = client.decide(id="a", state=SHOP, reasons=True)
        reasons = told.pop("reasons")
        assert told == plain  # the very decision, asked for once more
        assert len(reasons) == 201
        assert all(one["possible"] == (one["why"] is None) for one in reasons)
        assert not all(one["possible"] for one in reasons)
        assert reasons[told["action"]]["possible"]
        assert reasons[told["action"]]["meaning"] == told["meaning"]
        assert client.decide(id="a", state=SHOP, reasons=False) == plain
        names = {f.name: f.low for f in client.parts.service.parser.schema.observation.fields}
        wrong = client.decide(422, observation=names, mask_ids=[0], reasons=True)
        assert wrong["field"] == "reasons"
        batch = {"decisions": [{"state": SHOP, "reasons": True}]}
        answer = client.ask("POST", "/v1/decide/batch", json=batch)
        assert (answer.status_code, answer.json()["field"]) == (422, "decisions[0].reasons")
