"""To refuse a body costs work and memory in proportion to it, and what is told back is short."""

import importlib.util
import json
import sys
from pathlib import Path

import msgspec
import pytest

from compagnon.serving import parsing, validation_errors
from compagnon.serving.errors import ApiError
from compagnon.serving.states import state_reader
from compagnon.worlds.workshop import WORKSHOP
from tests.policy.networks import schema_of
from tests.serving.client import SHOP

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("refusals", BENCHMARKS / "refusals.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["refusals"] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(BENCHMARKS))
        sys.modules.pop("refusals", None)


@pytest.mark.full
def test_bodies_of_every_shape_are_refused_within_their_own_size(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["refusals.py", "--quick"])
    assert script.main() == 0
    assert "more than linear" not in capsys.readouterr().out


def test_a_refusal_that_copies_the_path_for_each_item_would_be_seen(script):
    def careless(body):
        paths = [
            f"{name}[{k}]"
            for name, items in json.loads(body)["state"].items()
            for k, _ in enumerate(items)
        ]
        raise ApiError(422, "it is wrong", paths[-1])

    body = b'{"state":{"' + b"K" * 2000 + b'":[' + b"0," * 2000 + b"0]}}"
    assert "bytes of memory" in script.too_much([script.cost(careless, body, 1)])
    quick, slow = script.Cost(10_000, 422, 10.0, 0), script.Cost(100_000, 422, 1000.0, 0)
    assert "1,000 ms at 100,000" in script.too_much([quick, slow])
    assert script.too_much([quick, script.Cost(100_000, 422, 150.0, 0)]) is None


def refused(body, read=parsing.read_decide):
    with pytest.raises(ApiError) as found:
        read(body)
    assert found.value.status == 422
    problem = json.loads(found.value.body())
    return problem["field"], problem["error"]


def test_what_a_client_named_is_told_back_in_short():
    for letter in (b"K", b"\\u0001", "é".encode()):
        field, error = refused(b'{"' + letter * 100_000 + b'":1}')
        assert len(field) <= 200
        assert len(error) <= 1000
    assert refused(b'{"%s":1}' % (b"x" * 60))[0] == "x" * 60


def test_a_name_that_looks_like_a_path_is_not_taken_for_one():
    field, error = refused(b'{" - at `$.key":1}')
    assert field == " - at `$.key"
    assert error.startswith("Object contains unknown field")


def test_half_a_letter_in_a_name_can_be_told_back():
    assert refused(b'{"\\ud800":NaN}') == ("?", "it is no finite number, which JSON does not know")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"NaN", "body"),
        (b'{"mask_ids":[1,NaN]}', "mask_ids[1]"),
        (b'{"state":{"a":[{},[[0]],{"b":[1,Infinity]}],"c":NaN}}', "state.a[2].b[1]"),
        (b'{"state":{"a":[[],{}]},"alternatives":NaN}', "alternatives"),
        (b'{"a":1,"a":-1e999}', "a"),
    ],
)
def test_where_a_number_that_is_not_finite_stands(body, field):
    assert refused(body)[0] == field


def test_of_a_large_body_the_byte_is_told():
    field, error = refused(b'{"state":[' + b"0," * validation_errors.NAMED_BYTES + b"NaN]}")
    assert field == "body"
    assert f"(byte {10 + 2 * validation_errors.NAMED_BYTES})" in error
    assert refused(b'{"observation":{"a":' + b"9" * 400 + b',"b":1}}')[0] == "observation.a"
    large = b",".join(b'"k%d":0' % k for k in range(validation_errors.NAMED_BYTES // 7))
    assert refused(b'{"observation":{' + large + b',"b":"x"}}')[0] == "observation"


def test_a_state_of_any_depth_is_read_or_refused():
    reader = state_reader(schema_of(WORKSHOP), {})
    text = json.dumps(SHOP)[:-1]
    for depth in range(400, 1200, 7):  # somewhere there is the deepest that one decoder can read
        state = msgspec.Raw(f'{text},"x":{"[" * depth}{"]" * depth}}}'.encode())
        with pytest.raises(ApiError) as found:
            reader.read(state)
        assert found.value.status == 422
