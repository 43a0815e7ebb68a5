"""The bench times every form it names, leaves out what it cannot run, and says so."""

import pytest

from compagnon.onnx_export import bench as benching
from compagnon.onnx_export.bench import (
    COMPILED,
    EAGER,
    FP32,
    INT8,
    NUMPY,
    Bench,
    Timing,
    bench,
    has_compiler,
)
from compagnon.onnx_export.export import ExportSettings, export_policy
from compagnon.policy import save_policy
from tests.policy.networks import network, schema_of

FORMS = {EAGER, NUMPY, FP32, INT8}


@pytest.fixture
def saved(tmp_path):
    save_policy(network(schema_of("CartPole-v1"), (16,)), tmp_path / "p")
    return tmp_path / "p"


def test_every_form_at_every_batch_size(saved, monkeypatch):
    monkeypatch.setattr(benching, "has_compiler", lambda: False)
    found = bench(saved, batches=(1, 4), seconds=0.001)
    assert {(one.form, one.batch) for one in found.timings} == {
        (form, batch) for form in FORMS for batch in (1, 4)
    }
    for one in found.timings:
        assert 0 < one.p50_us <= one.p99_us
        assert one.calls >= 50
        assert one.per_second == pytest.approx(one.batch * 1e6 / one.p50_us)
    weights = (saved / "weights.safetensors").stat().st_size
    assert (found.sizes[EAGER], found.sizes[NUMPY]) == (weights, weights)
    assert any("needs a C++ compiler" in note for note in found.notes)
    assert sum("made in memory" in note for note in found.notes) == 2
    assert len(found.as_json()["timings"]) == 8


def test_exported_files_are_what_is_timed(saved):
    export_policy(saved, settings=ExportSettings(True, "static", 64, 64, 64, 2))
    found = bench(saved, batches=(1,), seconds=0.001, compiled=False)
    assert found.notes == []
    assert found.sizes[INT8] == (saved / "policy.int8.onnx").stat().st_size


def test_a_compiler_that_fails_is_said_and_the_rest_is_timed(saved, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Python.h: no such file\nand much more")

    monkeypatch.setattr(benching.torch, "compile", fail)
    monkeypatch.setattr(benching, "has_compiler", lambda: True)
    found = bench(saved, batches=(1,), seconds=0.001)
    assert found.timing(COMPILED, 1) is None
    said = "torch.compile is left out, it does not work here: Python.h: no such file"
    assert said in found.notes


def test_has_compiler_looks_where_cxx_points(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert not has_compiler()
    compiler = tmp_path / "my-c++"
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", "my-c++")
    assert has_compiler()


@pytest.mark.slow
def test_torch_compile_is_timed_where_there_is_a_compiler(saved):
    if not has_compiler():
        pytest.skip("there is no C++ compiler")
    found = bench(saved, batches=(1, 8), seconds=0.01)
    assert found.timing(COMPILED, 8) is not None


def test_the_roadmap_s_hopes_by_hand():
    timings = [
        Timing(EAGER, 1, 60.0, 90.0, 50),
        Timing(FP32, 1, 20.0, 25.0, 50),
        Timing(INT8, 1, 10.0, 15.0, 50),
        Timing(EAGER, 64, 60.0, 90.0, 50),
        Timing(FP32, 64, 40.0, 90.0, 50),
        Timing(INT8, 64, 80.0, 90.0, 50),
    ]
    found = Bench("it", timings, {FP32: 4000, INT8: 1000, EAGER: 4000})
    said = [(hope.what, hope.measured) for hope in found.hopes]
    assert said == [
        ("time of a decision", "0.02 ms, 99 of 100 within 0.025 ms"),
        ("ONNX against torch", "3.00 times at 1, 1.50 times at 64"),
        ("INT8 against FP32", "2.00 times at 1, 0.50 times at 64"),
        ("INT8 against FP32", "4.0 times"),
        ("batches against single decisions", "32.0 times at 64"),
    ]
    only_many = Bench("it", [Timing(FP32, 8, 1.0, 1.0, 50)], {FP32: 1, INT8: 1})
    assert only_many.hopes[-1].measured == "not measured"
