"""People accept, override and lock; what they said stands beside what the policy wanted."""

import pytest

from compagnon.policy.manifest import GaussianHead
from compagnon.serving.settings import ServiceSettings
from compagnon.store import verifying
from tests.serving.client import served
from tests.serving.support import exported


def say(client, decision_id, status=200, **body):
    response = client.ask("PUT", f"/v1/decisions/{decision_id}/override", json=body)
    assert response.status_code == status, response.text
    return response.json()


def other_than(answer):
    return 0 if answer["action"] else 1


def test_an_override_is_told_beside_the_decision(client):
    answer = client.decide(id="a")
    action = other_than(answer)
    said = say(client, "a", verdict="overridden", action=action, reason="ill", person="anna")
    labels = client.parts.service.codec.labels
    assert said == {
        "id": "a", "verdict": "overridden", "action": action, "meaning": labels[action],
        "reason": "ill", "person": "anna", "time": said["time"],
    }  # fmt: skip
    record = client.get("/v1/decisions/a")
    assert (record["action"], record["probability"]) == (answer["action"], 1.0)
    assert record["human"] == said
    assert (
        say(client, "a", verdict="overridden", action=action, reason="ill", person="anna") == said
    )
    assert say(client, "a", 409, verdict="locked")["field"] == "verdict"
    assert verifying.verify(client.parts.repository.store).faults == []


def test_who_accepts_or_locks_keeps_the_action(client):
    answer = client.decide(id="a")
    client.decide(id="b")
    client.decide(id="c")
    assert say(client, "a", verdict="accepted", time=5.0)["action"] == answer["action"]
    assert say(client, "b", verdict="locked", person="boris")["verdict"] == "locked"
    assert client.get("/v1/decisions/c")["human"] is None


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"verdict": "overridden", "reason": "x"}, 422, "action"),
        ({"verdict": "overridden", "action": 201, "reason": "x"}, 422, "action"),
        ({"verdict": "overridden", "action": -1, "reason": "x"}, 422, "action"),
        ({"verdict": "overridden", "action": {"torque": 1.0}, "reason": "x"}, 422, "action"),
        ({"verdict": "overridden", "action": None, "reason": "x"}, 422, "action"),
        ({"verdict": "accepted", "action": 3}, 422, "action"),
        ({"verdict": "denied"}, 422, "verdict"),
        ({"verdict": "accepted", "reason": "x" * 1001}, 422, "reason"),
        ({"verdict": "accepted", "reason": "a\0b"}, 422, "reason"),
        ({"verdict": "accepted", "person": "a\0b"}, 422, "person"),
        ({"verdict": "accepted", "time": -1}, 422, "time"),
        ({"verdict": "accepted", "time": 1e12}, 422, "time"),
        ({"verdict": "accepted", "more": 1}, 422, "more"),
        ({}, 422, "verdict"),
    ],
)
def test_what_cannot_be_names_the_field_and_keeps_nothing(local, body, status, field):
    local.decide(id="a")
    assert say(local, "a", status, **body)["field"] == field
    assert local.get("/v1/decisions/a")["human"] is None


def test_an_override_needs_a_reason_and_another_action(local):
    answer = local.decide(id="a")
    refused = say(local, "a", 422, verdict="overridden", action=other_than(answer))
    assert refused["field"] == "reason"
    refused = say(local, "a", 422, verdict="overridden", action=answer["action"], reason="x")
    assert "that is what the policy chose" in refused["error"]


def test_a_decision_that_is_not_there_or_not_ours_is_404(artefact, sqlite):
    with served(ServiceSettings(policy=str(artefact), db=sqlite)) as client:
        assert say(client, "nobody", 404, verdict="accepted")["field"] == "id"
        client.decide(id="a")
    other = ServiceSettings(policy=str(artefact), db=sqlite, application="another")
    with served(other) as client:
        assert say(client, "a", 404, verdict="accepted")["field"] == "id"


def test_a_vector_is_overridden_by_the_names_of_its_components(tmp_path, sqlite):
    policy = exported(tmp_path / "ball", "compagnon/Ball-v0", head=GaussianHead())
    with served(ServiceSettings(policy=str(policy), db=sqlite)) as client:
        names = [one["name"] for one in client.get("/v1/policy")["components"]]
        schema = client.parts.service.parser.schema
        client.decide(id="a", observation=dict.fromkeys(schema.observation.names, 0.0))
        instead = dict.fromkeys(names, 0.25)
        said = say(client, "a", verdict="overridden", action=instead, reason="by hand")
        assert said["action"] == instead
        assert client.get("/v1/decisions/a")["human"]["meaning"] == said["meaning"]
        for wrong in (3, {names[0] + "x": 1.0}, {**instead, "more": 1.0}):
            assert say(client, "a", 422, verdict="overridden", action=wrong, reason="x")
