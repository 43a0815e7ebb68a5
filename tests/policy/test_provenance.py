"""Where a policy comes from is kept by hashes that change with every byte, and is optional."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO as ThirdPartyPPO

import compagnon as cp
from compagnon.errors import InputError
from compagnon.files import file_sha256
from compagnon.policy import load_artefact, save_policy
from compagnon.policy.network import network_policy
from compagnon.policy.provenance import (
    DataFile,
    Parent,
    RecipeChange,
    canonical_sha256,
    data_sha256,
    env_sha256,
)
from compagnon.version import __version__
from compagnon.worlds import find_world
from compagnon.worlds.world import World
from tests.policy.networks import network, schema_of
from tests.policy.test_onnx_network import perceptron, written
from tests.rl.small import ACTIONS, BANDIT, CONTEXTS

A, B = "a" * 64, "b" * 64


# -- hashes ---------------------------------------------------------------------------------------


def test_a_tree_has_one_hash_whatever_its_order_and_another_for_any_change():
    tree = {"id": "x", "args": {"cap": math.inf, "names": ["p", "q"]}}
    same = {"args": {"names": ["p", "q"], "cap": math.inf}, "id": "x"}
    assert canonical_sha256(tree) == canonical_sha256(same)
    assert canonical_sha256(tree) != canonical_sha256({**tree, "id": "y"})
    assert env_sha256("x", {"n": 1}) != env_sha256("x", {"n": 2})


def test_data_has_the_hash_of_its_file_or_one_for_all():
    book, rule = (DataFile(role=role, path="p", sha256=A) for role in ("env.args.demand", "rule"))
    assert data_sha256([]) is None
    assert data_sha256([book]) == A
    assert data_sha256([book, rule]) == data_sha256([rule, book])
    moved = book.model_copy(update={"path": "elsewhere"})
    assert data_sha256([moved, rule]) == data_sha256([book, rule])
    other = book.model_copy(update={"sha256": B})
    assert data_sha256([other, rule]) != data_sha256([book, rule])


@pytest.mark.parametrize("given", ["", "abc", "A" * 64, "g" * 64])
def test_what_is_no_hash_is_refused(given):
    with pytest.raises(ValueError, match="sha256"):
        Parent(how="clone", name="x", sha256=given)


def test_a_change_is_told_in_words():
    change = RecipeChange(iteration=40, fields={"algorithm.gamma": (0.9, None), "data.x": (A, B)})
    said = "iteration 40: algorithm.gamma 0.9 -> nothing, data.x aaaaaaaaaaaa... -> bbbbbbbbbbbb..."
    assert change.words == said


# -- on disk --------------------------------------------------------------------------------------


def test_a_policy_keeps_it_through_saving_and_loading(tmp_path):
    policy = network(schema_of(BANDIT))
    told: dict[str, Any] = {
        "recipe_sha256": A,
        "recipe_changes": (RecipeChange(iteration=3, fields={"a.b": (1, 2)}),),
        "data": (DataFile(role="algorithm.expert", path="x.csv", sha256=B),),
        "data_sha256": B,
        "parent": Parent(how="clone", name="x", sha256=A),
    }
    provenance = policy.manifest.provenance.model_copy(update=told)
    manifest = policy.manifest.model_copy(update={"provenance": provenance})
    save_policy(network_policy(manifest, policy.weights), tmp_path / "policy")
    assert load_artefact(tmp_path / "policy").manifest.provenance == provenance
    assert cp.load_policy(tmp_path / "policy").provenance == provenance


def test_an_artefact_without_it_loads_and_one_with_a_wrong_hash_does_not(tmp_path):
    save_policy(network(schema_of(BANDIT)), tmp_path / "policy")
    file = tmp_path / "policy" / "policy.json"
    tree = json.loads(file.read_text())
    tree["provenance"] = {"recipe": "old", "seed": 1, "versions": {"compagnon": "0.0.1"}}
    file.write_text(json.dumps(tree))
    provenance = load_artefact(tmp_path / "policy").manifest.provenance
    assert (provenance.recipe, provenance.recipe_sha256, provenance.data) == ("old", None, ())
    assert (provenance.parent, provenance.recipe_changes) == (None, ())
    del tree["provenance"]
    file.write_text(json.dumps(tree))
    assert load_artefact(tmp_path / "policy").manifest.provenance.versions == {}
    tree["provenance"] = {"recipe_sha256": "no hash"}
    file.write_text(json.dumps(tree))
    with pytest.raises(InputError, match=r"policy\.json: provenance\.recipe_sha256"):
        load_artefact(tmp_path / "policy")


# -- what others trained --------------------------------------------------------------------------


def test_a_model_of_another_library_is_named_by_its_file(tmp_path):
    model = ThirdPartyPPO("MlpPolicy", "CartPole-v1", device="cpu")
    model.save(tmp_path / "theirs.zip")
    policy = cp.from_sb3(str(tmp_path / "theirs.zip"), "CartPole-v1")
    policy.save(tmp_path / "policy")
    found = cp.load_policy(tmp_path / "policy").provenance
    assert found is not None
    sha256 = file_sha256(tmp_path / "theirs.zip")
    assert found.parent == Parent(how="stable-baselines3", name="theirs", sha256=sha256)
    assert found.versions["compagnon"] == __version__
    assert found.env_sha256 == env_sha256("CartPole-v1", {})
    in_memory = cp.from_sb3(model).provenance
    assert in_memory is not None
    assert in_memory.parent is not None
    assert in_memory.parent.name == "PPO"
    other = ThirdPartyPPO("MlpPolicy", "CartPole-v1", device="cpu", seed=1)
    another = cp.from_sb3(other).provenance
    assert another is not None
    assert another.parent != in_memory.parent


def test_a_graph_of_others_is_named_by_its_bytes(tmp_path):
    file = written(tmp_path, perceptron(CONTEXTS, ACTIONS))
    found = cp.from_onnx(file, BANDIT).provenance
    assert found is not None
    assert found.parent == Parent(how="onnx", name="theirs.onnx", sha256=file_sha256(file))


def test_a_rule_has_none():
    rule = cp.load_policy(lambda obs, action_mask: np.zeros(len(obs), int), "CartPole-v1")
    assert rule.provenance is None


# -- what a world reads ---------------------------------------------------------------------------


def test_by_itself_arguments_that_are_files_are_data(tmp_path: Path):
    book = tmp_path / "book.csv"
    book.touch()
    given = {"demand": str(book), "path": book, "level": "high", "n": 3, "long": "x" * 5000}
    assert World().data_files(given) == {"demand": book, "path": book}
    assert World().data_files({"folder": str(tmp_path)}) == {}


def test_worlds_know_their_files_from_their_presets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("tight", "orders.csv", "full"):
        Path(name).touch()
    workshop = find_world("compagnon/Workshop-v0")
    assert workshop.data_files({"demand": "tight", "observation": "full"}) == {}
    assert workshop.data_files({"demand": "orders.csv"}) == {"demand": Path("orders.csv")}
    dispatch = find_world("compagnon/Dispatch-v1")
    assert dispatch.data_files({"days": "saved", "preset": "city"}) == {"days": Path("saved")}
    assert dispatch.data_files({"days": ""}) == {}


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "book").write_bytes(b"abc")
    assert file_sha256(tmp_path / "book")[:12] == "ba7816bf8f01"
    with pytest.raises(InputError, match=r"gone cannot be read \(No such file"):
        file_sha256(tmp_path / "gone")
