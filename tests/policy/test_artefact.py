"""What was saved comes back, and whatever was changed since is refused with its name."""

import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from compagnon.errors import InputError
from compagnon.policy import artefact, load_artefact, load_policy, save_policy
from compagnon.policy.manifest import GaussianHead
from compagnon.policy.provenance import Provenance
from tests.policy.networks import network, schema_of


@pytest.fixture(params=["compagnon/Workshop-v0", "CartPole-v1"])
def policy(request):
    return network(schema_of(request.param))


@pytest.fixture
def saved(tmp_path):
    save_policy(network(schema_of()), tmp_path / "policy")
    return tmp_path / "policy"


def edit_manifest(path, change):
    file = path / artefact.MANIFEST_FILE
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))


def edit_weights(path, change, honest=True):
    """Change the weights and, if `honest`, give the manifest their hash."""
    file = path / artefact.WEIGHTS_FILE
    weights = load_file(file)
    change(weights)
    file.write_bytes(save(weights))
    if honest:
        rehash(path)


def rehash(path):
    digest = hashlib.sha256((path / artefact.WEIGHTS_FILE).read_bytes()).hexdigest()
    edit_manifest(path, lambda m: m.update(weights_sha256=digest))


def test_round_trip(policy, tmp_path):
    save_policy(policy, tmp_path / "p")
    loaded = load_artefact(tmp_path / "p")
    assert loaded.schema == policy.schema
    assert loaded.name == str(tmp_path / "p")
    assert sorted(loaded.weights) == sorted(policy.weights)
    obs = np.random.default_rng(1).normal(size=(50, len(policy.schema.observation.fields)))
    obs = obs.astype(np.float32)
    np.testing.assert_array_equal(loaded.logits(obs), policy.logits(obs))
    np.testing.assert_array_equal(loaded.act(obs), policy.act(obs))


def test_saving_twice_gives_the_same_bytes(policy, tmp_path):
    for name in ("a", "b"):
        save_policy(policy, tmp_path / name)
    for file in (artefact.MANIFEST_FILE, artefact.WEIGHTS_FILE):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_run_stands_for_its_best_policy(tmp_path):
    schema = schema_of()
    save_policy(network(schema), tmp_path / "run" / "best")
    assert load_policy(str(tmp_path / "run"), schema).name.endswith("best")


def test_a_path_that_holds_nothing(tmp_path):
    with pytest.raises(InputError, match="no such path exists"):
        load_policy(str(tmp_path / "nowhere"), schema_of())
    with pytest.raises(InputError, match=r"neither policy\.json .* nor best/"):
        load_policy(str(tmp_path), schema_of())


def flip(data):
    data[-1] ^= 1


def cut(data):
    del data[-8:]


@pytest.mark.parametrize("damage", [flip, cut])
def test_damaged_weights(saved, damage):
    file = saved / artefact.WEIGHTS_FILE
    data = bytearray(file.read_bytes())
    damage(data)
    file.write_bytes(data)
    with pytest.raises(InputError, match="SHA-256"):
        load_artefact(saved)


@pytest.mark.parametrize("file", [artefact.MANIFEST_FILE, artefact.WEIGHTS_FILE])
def test_a_missing_file(saved, file):
    (saved / file).unlink()
    with pytest.raises(InputError, match=f"has no {file}"):
        load_artefact(saved)


MANIFEST_EDITS = {
    "other env": (lambda m: m["schema"].update(env_id="CartPole-v1"), "schema does not have"),
    "other range": (lambda m: m["schema"]["observation"]["fields"][0].update(high=1), "its hash"),
    "other scaling": (lambda m: m["schema"]["observation"].update(scaling="published"), "its hash"),
    "unknown key": (lambda m: m.update(colour="red"), "colour"),
    "unknown key deep": (lambda m: m["schema"]["observation"].update(colour="red"), "colour"),
    "missing key": (lambda m: m.pop("network"), "network"),
    "wrong format": (lambda m: m.update(format=2), "format"),
    "other head": (lambda m: m["head"].update(kind="gaussian"), "head.kind"),
    "other network": (lambda m: m["network"].update(hidden=[9]), "should have shape"),
    "deeper network": (lambda m: m["network"].update(hidden=[8, 8]), "actor.1.weight"),
}


@pytest.mark.parametrize(("change", "message"), MANIFEST_EDITS.values(), ids=MANIFEST_EDITS)
def test_an_edited_manifest(saved, change, message):
    edit_manifest(saved, change)
    with pytest.raises(InputError, match=message):
        load_artefact(saved)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_manifest_that_is_no_manifest(saved, data):
    (saved / artefact.MANIFEST_FILE).write_bytes(data)
    with pytest.raises(InputError, match=artefact.MANIFEST_FILE):
        load_artefact(saved)


def set_nan(weights):
    weights["actor.0.bias"][0] = np.nan


def transpose(weights):
    weights["actor.0.weight"] = np.ascontiguousarray(weights["actor.0.weight"].T)


def zero_std(weights):
    weights["scaler.std"][3] = 0


def other_type(weights):
    weights["actor.0.bias"] = weights["actor.0.bias"].astype(np.int64)


WEIGHT_EDITS = {
    "NaN": (set_nan, "actor.0.bias holds numbers that are not finite"),
    "wrong shape": (transpose, "actor.0.weight should have shape"),
    "missing": (lambda w: w.pop("scaler.mean"), "scaler.mean should have shape"),
    "no deviation": (zero_std, "scaler.std should be above 0"),
    "whole numbers": (other_type, "actor.0.bias should be float32"),
}


@pytest.mark.parametrize(("change", "message"), WEIGHT_EDITS.values(), ids=WEIGHT_EDITS)
def test_weights_that_cannot_be_used_whatever_their_hash(saved, change, message):
    edit_weights(saved, change)
    with pytest.raises(InputError, match=message):
        load_artefact(saved)


def test_weights_that_are_no_tensors_whatever_their_hash(saved):
    (saved / artefact.WEIGHTS_FILE).write_bytes(b"hello, this is not a file of tensors")
    rehash(saved)
    with pytest.raises(InputError, match=artefact.WEIGHTS_FILE):
        load_artefact(saved)


def test_another_environment_is_refused_by_name(saved):
    with pytest.raises(InputError, match=r"made for compagnon/Workshop-v0 .* CartPole-v1"):
        load_policy(str(saved), schema_of("CartPole-v1"))
    with pytest.raises(InputError, match="last_family"):
        load_policy(str(saved), schema_of(observation="compact"))


def test_a_save_that_fails_leaves_the_old_policy(saved, monkeypatch):
    before = (saved / artefact.MANIFEST_FILE).read_bytes()
    policy = network(schema_of(), hidden=(4,))

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("pathlib.Path.write_text", fail)  # the weights are written, then this
    with pytest.raises(OSError, match="disk is full"):
        save_policy(policy, saved)
    monkeypatch.undo()
    assert (saved / artefact.MANIFEST_FILE).read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]
    load_artefact(saved)


def test_outputs_that_overflow_are_refused():
    policy = network(schema_of("CartPole-v1"))
    weights = {**policy.weights, "actor.1.weight": np.full((2, 8), 1e38, np.float32)}
    policy = replace(policy, weights=weights)
    with np.errstate(all="ignore"), pytest.raises(InputError, match="row 0 are not finite"):
        policy.act(np.ones((1, 4), np.float32))


class TestRangesWithoutEnds:
    """JSON has no infinities: they are written as words, and what was written before is read."""

    def endless(self):
        policy = network(schema_of("MountainCarContinuous-v0"), head=GaussianHead())
        manifest = policy.manifest
        schema = manifest.schema_
        fields = tuple(
            replace(field, low=-math.inf, high=math.inf) for field in schema.observation.fields
        )
        schema = replace(schema, observation=replace(schema.observation, fields=fields))
        provenance = Provenance(env_args={"cap": math.inf, "name": "x", "levels": [-math.inf, 1]})
        update = {"schema_": schema, "schema_sha256": schema.sha256(), "provenance": provenance}
        return replace(policy, manifest=manifest.model_copy(update=update))

    def test_what_is_written_is_json(self, tmp_path):
        policy = self.endless()
        save_policy(policy, tmp_path / "p")

        def refuse(word):
            raise AssertionError(f"{word} is not JSON")

        tree = json.loads(
            (tmp_path / "p" / artefact.MANIFEST_FILE).read_text(), parse_constant=refuse
        )
        assert tree["schema"]["observation"]["fields"][0]["low"] == "-Infinity"
        loaded = load_artefact(tmp_path / "p").manifest
        assert loaded.schema_ == policy.manifest.schema_
        assert loaded.provenance.env_args == policy.manifest.provenance.env_args

    def test_what_was_written_before_is_read(self, tmp_path):
        policy = self.endless()
        save_policy(policy, tmp_path / "p")
        file = tmp_path / "p" / artefact.MANIFEST_FILE
        old = file.read_text().replace('"-Infinity"', "-Infinity").replace('"Infinity"', "Infinity")
        assert old != file.read_text()
        file.write_text(old)
        assert load_artefact(tmp_path / "p").manifest.schema_ == policy.manifest.schema_
