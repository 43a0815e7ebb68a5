"""What a decision is: drawn inside the mask, logged as it was answered, the same when repeated."""

import numpy as np
import pytest

from compagnon.policy.action_selection import Play, PolicyOutput, nearly_best, played, unpacked
from compagnon.policy.sampling import decision_seed
from compagnon.serving.settings import ServiceSettings
from compagnon.store.log import find
from tests.serving.client import SHOP, served

FREE = {"m1_task": "idle"}


def observation(client, value=1.0):
    schema = client.parts.service.parser.schema
    return {f.name: min(max(value, f.low), f.high) for f in schema.observation.fields}


def logged(client, decision_id):
    return find(client.parts.repository.store, decision_id)


SAMPLED = {"play": "sampled", "explore": 0.05}


def masked(row):
    return np.unpackbits(np.frombuffer(row.mask, np.uint8), count=201).astype(bool)


def said(client, row):
    """What the policy says of a logged observation, asked for itself."""
    obs = np.frombuffer(row.features, np.float32)[None]
    return client.parts.service.model.policy.say(obs, masked(row)[None])


@pytest.fixture
def drawing(artefact, db):
    """A client of a service that samples and explores."""
    with served(ServiceSettings(policy=str(artefact), db=db, **SAMPLED)) as client:
        yield client


def test_an_answer_says_what_how_probable_and_what_else(client):
    answer = client.decide()
    model = client.parts.service.model
    assert answer["meaning"] == client.parts.service.codec.labels[answer["action"]]
    assert (answer["model"], answer["probability"]) == (model.sha256, 1.0)
    row = logged(client, answer["id"])
    own = said(client, row).probabilities[0]
    assert answer["action"] == int(np.where(masked(row), own, -1).argmax())
    others = answer["alternatives"]
    liked = [one["preference"] for one in others]
    assert len(others) == 3
    assert liked == sorted(liked, reverse=True)
    assert [own[one["action"]] for one in others] == pytest.approx(liked)
    assert liked[0] == pytest.approx(np.sort(own)[-2])
    assert {one["probability"] for one in others} == {0.0}
    assert answer["action"] not in [one["action"] for one in others]


def test_the_log_holds_the_whole_decision_before_it_is_answered(client):
    answer = client.decide(key="line-1", episode="monday")
    row = logged(client, answer["id"])
    probabilities = np.frombuffer(row.probabilities)
    assert probabilities.tolist() == np.eye(201)[answer["action"]].tolist()
    assert probabilities[row.action] == row.probability == answer["probability"]
    assert (row.key, row.application, row.episode) == ("line-1", "default", "monday")
    assert (row.play, row.mode, row.epsilon, row.near) == ("greedy", "deterministic", 0.0, None)
    secret = client.parts.service.draw.secret
    assert (row.secret, row.seed) == (1, decision_seed(row.id, "default", secret.value))
    record = client.get(f"/v1/decisions/{row.id}")
    assert (record["play"], record["explore"], record["episode"]) == ("greedy", 0.0, "monday")
    assert [one["action"] for one in answer["alternatives"]] == [
        action for action, _ in unpacked(row.others)
    ]


def test_what_is_drawn_from_is_logged_exactly(drawing):
    answers = [drawing.decide(id=f"d{k}", state={**SHOP, "raw": k}) for k in range(30)]
    for answer in answers:
        row = logged(drawing, answer["id"])
        probabilities, mask = np.frombuffer(row.probabilities), masked(row)
        assert probabilities.sum() == pytest.approx(1, abs=1e-12)
        assert not probabilities[~mask].any()
        own = said(drawing, row)
        near = nearly_best(own, mask[None], 0.25)[0]
        assert row.epsilon == (0.05 if near.sum() > 1 else 0.0)
        p = own.probabilities[0].astype(np.float64)
        again = (1 - row.epsilon) * p / p.sum() + row.epsilon * near / near.sum()
        np.testing.assert_allclose(probabilities, again, rtol=1e-6, atol=1e-12)
        assert probabilities[row.action] == row.probability == answer["probability"]
        assert (row.play, row.near) == ("sampled", 0.25)
        play = Play(row.play, row.epsilon, row.near)
        model = drawing.parts.service.model
        served_said = model.say(np.frombuffer(row.features, np.float32)[None], mask[None])
        assert isinstance(served_said, PolicyOutput)
        (one,) = played(served_said, mask[None], play, [row.seed])
        assert (one.action, one.mode) == (row.action, row.mode)
        assert one.probabilities.tobytes() == row.probabilities


def test_a_client_cannot_choose_the_action_by_choosing_the_id(artefact, tmp_path):
    """Neither the hash of the id nor another service's secret says what will be drawn."""
    seeds, plain = [], []
    for name in ("a", "b"):
        db = f"sqlite:///{tmp_path / name}.db"
        with served(ServiceSettings(policy=str(artefact), db=db, **SAMPLED)) as client:
            rows = [logged(client, client.decide(id=f"d{k}")["id"]) for k in range(40)]
            seeds.append([row.seed for row in rows])
            plain = [decision_seed(row.id, "default") for row in rows]
            secret = client.parts.service.draw.secret.value
            assert seeds[-1] == [decision_seed(row.id, "default", secret) for row in rows]
    assert not set(seeds[0]) & set(seeds[1])
    assert not set(seeds[0]) & set(plain)


def test_the_secret_outlives_the_service(artefact, db):
    settings = ServiceSettings(policy=str(artefact), db=db, **SAMPLED)
    with served(settings) as client:
        first, secret = client.decide(id="a"), client.parts.service.draw.secret
    with served(settings) as client:
        assert client.decide(id="a") == first
        assert client.parts.service.draw.secret == secret


def test_an_action_that_is_masked_is_never_taken(client):
    for _ in range(50):
        answer = client.decide(observation=observation(client), mask_ids=[3, 77], alternatives=20)
        assert answer["action"] in (3, 77)
        assert {one["action"] for one in answer["alternatives"]} <= {3, 77}


def test_the_ways_to_say_the_same_give_the_same_decision(client):
    named = observation(client)
    bits = "".join("1" if action in (3, 77) else "0" for action in range(201))
    vector = list(named.values())
    answers = [
        client.decide(id="one", observation=named, mask_ids=[3, 77]),
        logged(client, "one"),
        client.decide(id="two", observation=vector, mask_bits=bits),
    ]
    one, two = logged(client, "one"), logged(client, "two")
    assert (one.features, one.mask, one.probabilities) == (
        two.features, two.mask, two.probabilities,
    )  # fmt: skip
    assert answers[0]["probability"] in np.frombuffer(one.probabilities)


def test_a_repeated_id_gives_the_same_answer(client):
    first = client.decide(id="a", alternatives=5)
    assert client.decide(id="a", alternatives=5) == first
    assert client.get("/v1/decisions/a")["action"] == first["action"]


def test_a_repeated_id_with_another_body_is_a_conflict(client):
    first = client.decide(id="a")
    before = logged(client, "a")
    problem = client.decide(409, id="a", state={**SHOP, "raw": 13})
    assert problem["field"] == "id"
    after = logged(client, "a")
    assert (after.features, after.mask, after.action) == (
        before.features,
        before.mask,
        before.action,
    )
    assert client.decide(id="a") == first


def test_a_batch_decides_like_one_at_a_time(client):
    bodies = [{"id": f"b{k}", "state": {**SHOP, "raw": k, "time": 15 * k}} for k in range(30)]
    response = client.ask("POST", "/v1/decide/batch", json={"decisions": bodies})
    assert response.status_code == 200, response.text
    together = response.json()["decisions"]
    assert [one["id"] for one in together] == [body["id"] for body in bodies]
    # Asked again one by one, they are found in the log; under new ids, they are made again.
    assert [client.decide(**body) for body in bodies] == together
    for k, body in enumerate(bodies):
        client.decide(**{**body, "id": f"c{k}"})
        alone, batch = logged(client, f"c{k}"), logged(client, f"b{k}")
        assert alone.probabilities == batch.probabilities


def test_a_batch_with_a_conflict_says_which(client):
    client.decide(id="b1")
    bodies = [{"id": "b0", "state": SHOP}, {"id": "b1", "state": {**SHOP, "raw": 2}}]
    response = client.ask("POST", "/v1/decide/batch", json={"decisions": bodies})
    assert response.status_code == 409
    assert response.json()["field"] == "decisions[1].id"


def test_the_draws_follow_the_probabilities(artefact, sqlite):
    settings = ServiceSettings(policy=str(artefact), db=sqlite, play="sampled", explore=0.3)
    with served(settings) as local:
        named = observation(local)
        bodies = [{"observation": named, "mask_ids": [3, 77, 200]} for _ in range(1000)]
        counts = np.zeros(201)
        for _ in range(3):
            response = local.ask("POST", "/v1/decide/batch", json={"decisions": bodies})
            for one in response.json()["decisions"]:
                counts[one["action"]] += 1
        row = logged(local, one["id"])
        expected = 3000 * np.frombuffer(row.probabilities)
        assert (np.abs(counts - expected) < 5 * np.sqrt(expected + 1)).all()


def test_fast_mode_sees_a_repeated_id_too(artefact, db):
    settings = ServiceSettings(policy=str(artefact), db=db, mode="fast")
    with served(settings) as client:
        first = client.decide(id="a")
        assert client.decide(id="a") == first
        assert client.decide(409, id="a", state={**SHOP, "raw": 13})["field"] == "id"
        body = {"decisions": [{"id": "a", "state": SHOP}, {"state": SHOP}]}
        response = client.ask("POST", "/v1/decide/batch", json=body)
        assert response.json()["decisions"][0] == first
    with served(settings) as client:  # what was pending at the end was written
        assert client.decide(id="a") == first


def test_another_application_draws_otherwise(artefact, tmp_path):
    seeds = set()
    for name in ("shop-a", "shop-b"):
        db = f"sqlite:///{tmp_path / name}.db"
        with served(
            ServiceSettings(policy=str(artefact), db=db, application=name, **SAMPLED)
        ) as client:
            client.decide(id="a")
            seeds.add(logged(client, "a").seed)
    assert len(seeds) == 2


def test_sampled_without_exploration_the_policy_s_own_probabilities_are_logged(artefact, sqlite):
    with served(ServiceSettings(policy=str(artefact), db=sqlite, play="sampled")) as client:
        row = logged(client, client.decide()["id"])
        own = said(client, row).probabilities[0]
        np.testing.assert_allclose(np.frombuffer(row.probabilities), own, rtol=1e-6)
