"""`export` and `bench` from the command line, and every verb that takes what they made."""

import json

import pytest

from compagnon.cli import main
from compagnon.policy import save_policy
from compagnon.worlds.workshop import WORKSHOP
from tests.policy.networks import network, schema_of
from tests.test_cli import refused

FEW = ["--states", "64", "--episodes", "2"]


@pytest.fixture
def saved(tmp_path):
    save_policy(network(schema_of("CartPole-v1"), (16,)), tmp_path / "policy")
    return tmp_path / "policy"


@pytest.fixture
def shop(tmp_path):
    """A policy of a workshop whose weeks have few decisions."""
    env_args = {"decision_points": True, "demand": "tight"}
    policy = network(schema_of(WORKSHOP, **env_args), (16,))
    provenance = policy.manifest.provenance.model_copy(update={"env_args": env_args})
    changed = policy.manifest.model_copy(update={"provenance": provenance})
    save_policy(type(policy)(changed, policy.weights), tmp_path / "shop")
    return tmp_path / "shop"


def test_export_says_what_was_checked_and_the_names_to_use(saved, tmp_path, capsys):
    file, out = tmp_path / "figures.json", tmp_path / "served"
    words = ["export", str(saved), "--int8", "--out", str(out), *FEW, "--json", str(file)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "64 real states: the same action in 64" in said
    assert "2,048 adversarial states" in said
    for name in (f"onnx:{out}", f"onnx-int8:{out}"):
        assert name in said.replace("\n", "")
    found = json.loads(file.read_text())
    assert found == json.loads((out / "export.json").read_text())
    assert found["files"]["int8"]["judged"]["verdict"] in said
    assert found["files"]["int8"]["method"] == "static"


def test_evaluate_takes_what_was_exported_where_the_policy_learnt(saved, tmp_path):
    assert main(["export", str(saved), "--int8", "--int8-method", "dynamic", *FEW]) == 0
    file = tmp_path / "figures.json"
    names = [f"onnx:{saved}", f"onnx-int8:{saved}", str(saved)]
    assert main(["evaluate", *names, "--episodes", "5", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert found["env"] == "CartPole-v1"
    by_name = {policy["name"]: policy["mean"] for policy in found["policies"]}
    assert list(by_name) == names
    assert by_name[names[0]] == by_name[names[2]]


@pytest.mark.full
def test_audit_and_watch_take_what_was_exported(shop, capsys):
    name = f"onnx:{shop}"
    assert main(["export", str(shop), *FEW]) == 0
    assert main(["audit", name, "--episodes", "1"]) == 0
    said = capsys.readouterr().out
    assert name in said.replace("\n", "")
    assert main(["watch", name, "--steps", "3", "--seed", "1"]) == 0
    assert f"{name}, seed 1" in capsys.readouterr().out.replace("\n", "")


def test_bench_prints_a_row_a_form_and_the_roadmap_s_hopes(saved, tmp_path, capsys):
    file = tmp_path / "speed.json"
    words = ["bench", str(saved), "--batches", "1", "8", "--seconds", "0.001", "--no-compile"]
    assert main([*words, "--json", str(file)]) == 0
    said = capsys.readouterr().out
    for form in ("torch eager", "numpy", "ONNX FP32", "ONNX INT8"):
        assert said.count(form) >= 2
    assert "28 ms" in said
    assert "2 to 3 times as fast" in said
    assert "made in memory" in said
    found = json.loads(file.read_text())
    assert {one["batch"] for one in found["timings"]} == {1, 8}
    assert len(found["hopes"]) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", "random"], "random has no network"),
        (["export", "expert:workshop-v2"], "expert:workshop-v2 has no network"),
        (["export", "onnx:runs/x"], "export takes the policy itself: export runs/x"),
        (["bench", "constant:0"], "constant:0 has no network"),
        (["export", "nowhere"], "no policy is called nowhere"),
        (["export", "nowhere", "--states", "0"], "--states 0: at least 1"),
        (["export", "nowhere", "--episodes", "0"], "--episodes 0: at least 1"),
        (["bench", "nowhere", "--seconds", "0"], "--seconds 0: more than 0"),
        (["bench", "nowhere", "--batches", "0"], "--batches: give whole numbers from 1 on"),
        (["evaluate", "onnx:nowhere"], "no policy is called nowhere"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_sentence(words, message, capsys):
    said = refused(capsys, *words)
    assert message in said
    assert said.count("\n") == 1


def test_what_was_not_exported_says_the_command(saved, capsys):
    said = refused(capsys, "evaluate", f"onnx:{saved}")
    assert f"make it with `compagnon export {saved}`" in said


def test_a_verb_whose_packages_are_missing_says_how_to_get_them(saved, capsys, monkeypatch):
    monkeypatch.setattr(
        "compagnon.extras.importlib.util.find_spec",
        lambda name: None if name == "onnx" else object(),
    )
    said = refused(capsys, "export", saved)
    assert "export needs onnx: pip install 'compagnon[export]'" in said
