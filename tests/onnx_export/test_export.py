"""An export is there whole, checked and described, or nothing was written at all."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.onnx_export import export as exporting
from compagnon.onnx_export.export import ExportSettings, export_policy
from compagnon.policy import load_artefact, load_onnx, load_policy, save_policy
from compagnon.policy.exported import read_record
from tests.onnx_export.test_parity import a_weight_off
from tests.policy.networks import network, schema_of

FEW = ExportSettings(real=64, adversarial=64, calibration=64, episodes=2)
FEW_INT8 = ExportSettings(int8=True, real=64, adversarial=64, calibration=64, episodes=2)


@pytest.fixture
def saved(tmp_path):
    save_policy(network(schema_of("CartPole-v1"), (16,)), tmp_path / "run" / "best")
    return tmp_path / "run" / "best"


def everything(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_into_the_artefact_beside_what_else_is_there(saved):
    (saved / "notes.txt").write_text("mine")
    before = everything(saved)
    made = export_policy(saved.parent, settings=FEW)  # a run stands for its best policy
    assert made.directory == saved
    after = everything(saved)
    assert set(after) - set(before) == {"policy.onnx", "export.json"}
    assert {name: after[name] for name in before} == before
    assert read_record(saved) == made.record
    assert (made.record.policy, made.record.weights_sha256) == (
        "small",
        hashlib.sha256(after["weights.safetensors"]).hexdigest(),
    )
    assert made.record.manifest_sha256 == hashlib.sha256(after["policy.json"]).hexdigest()
    described = made.record.files["fp32"]
    assert described.bytes == len(after["policy.onnx"])
    assert made.record.parity["real"]["states"] == 64
    assert made.record.parity["adversarial"]["same_action"] == 64
    assert set(made.record.versions) == {"compagnon", "onnx", "onnxruntime", "torch"}
    obs = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    np.testing.assert_array_equal(load_onnx(saved).act(obs), load_artefact(saved).act(obs))


def test_int8_is_described_and_judged_and_replaced_by_the_next_export(saved, tmp_path):
    out = tmp_path / "copy"
    made = export_policy(saved, out, FEW_INT8)
    assert sorted(everything(out)) == [
        "export.json",
        "policy.int8.onnx",
        "policy.json",
        "policy.onnx",
        "weights.safetensors",
    ]
    assert set(everything(saved)) == {"policy.json", "weights.safetensors"}
    file = made.record.files["int8"]
    assert file.method == "static"
    assert file.calibration["states"] == 64
    assert file.calibration["env_id"] == "CartPole-v1"
    assert file.judged["episodes"] == 2
    assert file.judged["verdict"].startswith("INT8 is")
    schema = schema_of("CartPole-v1")
    for name in ("onnx", "onnx-int8"):
        assert load_policy(f"{name}:{out}", schema).manifest == load_artefact(out).manifest
    export_policy(saved, out, FEW)
    assert "policy.int8.onnx" not in everything(out)
    with pytest.raises(InputError, match="--int8"):
        load_onnx(out, "int8")


def test_dynamic_int8_needs_no_calibration(saved):
    settings = ExportSettings(True, "dynamic", 64, 64, 64, 2)
    file = export_policy(saved, settings=settings).record.files["int8"]
    assert (file.method, file.calibration) == ("dynamic", {})


@pytest.mark.parametrize("where", ["build_model", "quantise"])
def test_what_fails_writes_nothing(saved, tmp_path, monkeypatch, where):
    true = getattr(exporting, where)

    def false(*args):
        if where == "quantise":
            raise InputError("no INT8 today")
        model = true(*args)
        a_weight_off(model)
        return model

    before = everything(saved)
    monkeypatch.setattr(exporting, where, false)
    for out in (None, tmp_path / "copy"):
        with pytest.raises(InputError, match=r"what torch gives|no INT8"):
            export_policy(saved, out, FEW_INT8)
    assert everything(saved) == before
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    assert {path.name for path in saved.parent.iterdir()} == {"best"}


def test_a_disk_that_fails_leaves_the_artefact_as_it_was(saved, monkeypatch):
    before = everything(saved)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", fail)
    with pytest.raises(OSError, match="No space"):
        export_policy(saved, settings=FEW)
    assert everything(saved) == before
    assert {path.name for path in saved.parent.iterdir()} == {"best"}


def test_a_link_to_an_artefact_stays_a_link(saved, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(saved)
    export_policy(link, settings=FEW)
    assert link.is_symlink()
    assert (saved / "policy.onnx").is_file()


def test_a_folder_of_something_else_is_not_replaced(saved, tmp_path):
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").write_text("meow")
    with pytest.raises(InputError, match="something else than a policy"):
        export_policy(saved, other, FEW)
    with pytest.raises(InputError, match="is a file"):
        export_policy(saved, other / "cat.jpg", FEW)
    assert everything(other) == {"cat.jpg": b"meow"}


def test_what_is_no_artefact_or_a_damaged_one(tmp_path, saved):
    with pytest.raises(InputError, match="no such path"):
        export_policy(tmp_path / "nothing", settings=FEW)
    with pytest.raises(InputError, match="holds neither"):
        export_policy(tmp_path, settings=FEW)
    (saved / "weights.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(InputError, match="was changed or damaged"):
        export_policy(saved, settings=FEW)


def test_another_environment_than_the_policy_s(saved):
    with pytest.raises(InputError, match="cannot act in"):
        export_policy(saved, settings=FEW, env=("MountainCar-v0", {}))


def test_the_same_policy_exports_to_the_same_files(saved, tmp_path):
    one, two = (export_policy(saved, tmp_path / name, FEW_INT8).directory for name in "ab")
    for name in ("policy.onnx", "policy.int8.onnx"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    records = [json.loads((folder / "export.json").read_text()) for folder in (one, two)]
    for record in records:
        record.pop("created")
    assert records[0] == records[1]
