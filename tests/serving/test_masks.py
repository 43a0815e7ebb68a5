"""Whether a question must say what is possible is the policy's own record, not a list of worlds."""

import json

import pytest

from compagnon.envs import BatchEnv
from compagnon.policy import Schema, load_artefact
from compagnon.serving.models import open_model
from compagnon.serving.settings import ServiceSettings
from tests.envs.masked import COUNTER, register_counter
from tests.policy.networks import schema_of
from tests.serving.client import served
from tests.serving.support import add_onnx, exported

register_counter()
HERE = {"obs_0": 4.0}


def rewritten(path, change):
    """An artefact whose manifest somebody changed, its ONNX file made anew."""
    file = path / "policy.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))
    return path


def test_an_environment_that_gives_masks_is_served_with_masks(tmp_path, sqlite):
    path = exported(tmp_path / "counter", COUNTER)
    assert load_artefact(path).manifest.schema_.masked is True
    with served(ServiceSettings(policy=str(path), db=sqlite)) as client:
        refused = client.decide(422, observation=HERE)
        assert refused["field"] == "mask_ids"
        body = {"decisions": [{"observation": HERE, "mask_ids": [0, 2]}, {"observation": HERE}]}
        response = client.ask("POST", "/v1/decide/batch", json=body)
        assert (response.status_code, response.json()["field"]) == (422, "decisions[1].mask_ids")
        for _ in range(5):
            assert client.decide(observation=HERE, mask_ids=[0, 2])["action"] in (0, 2)
        assert client.get("/v1/policy")["mask_required"] is True
        ways = client.get("/openapi.json")["components"]["schemas"]["DecideRequest"]["oneOf"]
        assert ["observation"] not in [way["required"] for way in ways]


def test_one_that_gives_none_is_served_without(tmp_path, sqlite):
    path = exported(tmp_path / "cart", "CartPole-v1")
    assert load_artefact(path).manifest.schema_.masked is False
    with served(ServiceSettings(policy=str(path), db=sqlite)) as client:
        assert client.decide(observation=[0.0, 0.0, 0.0, 0.0])["action"] in (0, 1)
        assert client.get("/v1/policy")["mask_required"] is False


def test_vectors_have_nothing_to_mask():
    assert schema_of("Pendulum-v1").masked is False


@pytest.mark.parametrize(("env_id", "needs"), [(None, True), ("CartPole-v1", False)])
def test_policies_from_before_it_was_recorded_load_as_they_were(
    tmp_path, sqlite, caplog, env_id, needs
):
    path = exported(tmp_path / "old", *([env_id] if env_id else []))
    recorded = load_artefact(path).manifest.schema_sha256
    add_onnx(rewritten(path, lambda manifest: manifest["schema"].pop("masked")))
    manifest = open_model(path).manifest
    assert manifest.schema_.masked is None
    assert manifest.schema_.needs_mask is needs
    assert manifest.schema_sha256 == recorded  # so that the two can take each other's place
    with served(ServiceSettings(policy=str(path), db=sqlite)):
        assert ("saved before it was recorded whether" in caplog.text) is not needs


def test_the_hash_says_where_masks_are_not_what_was_known_before():
    assert schema_of(COUNTER).sha256() != _without_masks(schema_of(COUNTER)).sha256()
    assert schema_of().sha256() != _without_masks(schema_of()).sha256()


def test_a_manifest_that_denies_its_masks_is_refused(tmp_path, sqlite):
    from compagnon.errors import InputError

    path = exported(tmp_path / "counter", COUNTER)
    rewritten(path, lambda manifest: manifest["schema"].update(masked=False))
    with pytest.raises(InputError, match="the schema does not have its hash"):
        open_model(path)


def test_asking_an_environment_that_has_begun_leaves_it_where_it_is():
    env = BatchEnv(COUNTER, {}, 2)
    env.reset([5, 6])
    env.step(env.action_mask.argmax(axis=1))
    before = env.obs.copy()
    assert Schema.of(env).masked is True
    assert env.obs.tolist() == before.tolist()


def _without_masks(schema):
    return Schema(schema.env_id, schema.observation, schema.action, masked=False)
