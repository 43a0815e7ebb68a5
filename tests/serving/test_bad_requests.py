"""Every request that cannot be served is refused with the field, and costs nothing."""

import asyncio
import json

import msgspec
import pytest

from compagnon.serving import app
from compagnon.serving.parsing import read_decide
from compagnon.serving.settings import ServiceSettings
from tests.serving.client import SHOP, served
from tests.serving.support import exported


def fields(client):
    schema = client.parts.service.parser.schema
    return {f.name: max(1.0, f.low) for f in schema.observation.fields}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    policy = exported(folder / "policy")
    with served(ServiceSettings(policy=str(policy), db=f"sqlite:///{folder / 'd.db'}")) as client:
        yield client


def refused(client, status, field, body, path="/v1/decide"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = client.ask("POST", path, content=content)
    assert response.status_code == status, response.text
    problem = response.json()
    assert problem["field"] == field, problem
    assert problem["error"]
    return problem["error"]


def with_field(client, **changes):
    named = {**fields(client), **changes}
    return {"observation": {k: v for k, v in named.items() if v is not None}, "mask_ids": [0]}


def test_fields(shared):
    refused(shared, 422, "observation.raw", with_field(shared, raw=None))
    refused(shared, 422, "observation.raws", with_field(shared, raws=1.0))
    refused(shared, 422, "observation.raw", with_field(shared, raw="1"))
    refused(shared, 422, "observation.raw", with_field(shared, raw=True))
    assert "0 to 50" in refused(shared, 422, "observation.raw", with_field(shared, raw=51))
    refused(shared, 422, "observation.raw", with_field(shared, raw=-1))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite(shared, value):
    text = json.dumps(with_field(shared, raw=7.25)).replace("7.25", value)
    refused(shared, 422, "observation.raw", text.encode())


def test_vectors(shared):
    vector = list(fields(shared).values())
    refused(shared, 422, "observation", {"observation": vector[:-1], "mask_ids": [0]})
    refused(shared, 422, "observation", {"observation": [*vector, 1.0], "mask_ids": [0]})
    refused(shared, 422, "observation", {"observation": [], "mask_ids": [0]})
    refused(shared, 422, "observation[1]", {"observation": [1.0, "2"], "mask_ids": [0]})
    refused(shared, 422, "observation", {"observation": "abc", "mask_ids": [0]})


def test_masks(shared):
    named = fields(shared)

    def asked(**mask):
        return {"observation": named, **mask}

    refused(shared, 422, "mask_ids", asked())
    refused(shared, 422, "mask_ids", asked(mask_ids=[]))
    refused(shared, 422, "mask_ids", asked(mask_ids=[201]))
    refused(shared, 422, "mask_ids", asked(mask_ids=[-1]))
    refused(shared, 422, "mask_ids", asked(mask_ids=[10**30]))
    refused(shared, 422, "mask_ids[0]", asked(mask_ids=[1.5]))
    refused(shared, 422, "mask_bits", asked(mask_bits="0" * 201))
    refused(shared, 422, "mask_bits", asked(mask_bits="1" * 200))
    refused(shared, 422, "mask_bits", asked(mask_bits="2" * 201))
    refused(shared, 422, "mask_bits", asked(mask_bits="é" * 201))
    refused(shared, 422, "mask_bits", asked(mask_bits="1" * 201, mask_ids=[1]))


def test_states(shared):
    def asked(**changes):
        return {"state": {**SHOP, **changes}}

    refused(shared, 422, "state.raw", asked(raw=51))
    refused(shared, 422, "state.raw", asked(raw="x"))
    refused(shared, 422, "state.raw", asked(raw=1.5))
    refused(shared, 422, "state.colour", asked(colour="red"))
    refused(shared, 422, "state.m1_task", asked(m1_task="p3"))
    refused(shared, 422, "state.m1_minutes_left", asked(m1_task="p1", m1_minutes_left=151))
    refused(shared, 422, "state.next_delivery", asked(next_delivery=5))
    refused(shared, 422, "state.raw", {"state": {"time": 1}})
    refused(shared, 422, "state", {"state": [1, 2]})
    refused(shared, 422, "state", {"state": None})
    refused(shared, 422, "state", {"state": SHOP, "observation": fields(shared)})
    refused(shared, 422, "mask_ids", {"state": SHOP, "mask_ids": [1]})
    refused(shared, 422, "observation", {})


def test_other_fields(shared):
    refused(shared, 422, "colour", {"state": SHOP, "colour": 1})
    for bad in ("", "a b", "../x", "a" * 65, "é", "-a", "a\n", 5):
        refused(shared, 422, "id", {"state": SHOP, "id": bad})
    refused(shared, 422, "key", {"state": SHOP, "key": "x" * 201})
    refused(shared, 422, "key", {"state": SHOP, "key": "a\x00b"})
    refused(shared, 422, "alternatives", {"state": SHOP, "alternatives": 21})
    refused(shared, 422, "alternatives", {"state": SHOP, "alternatives": -1})


@pytest.mark.parametrize(
    "body",
    [b"", b"nope", b"null", b"[]", b'"x"', b'{"state":', b"\xff\xfe", b'{"id":"\xff"}',
     b"[" * 50_000, b'{"state":' + b"[" * 50_000, b'{"a":' * 50_000],
    ids=repr,
)  # fmt: skip
def test_bodies_that_are_no_request(shared, body):
    response = shared.ask("POST", "/v1/decide", content=body)
    assert response.status_code == 422
    assert response.json()["field"]


def test_nested_states_of_any_depth(shared):
    body = b'{"state":{"time":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    refused(shared, 422, "body", body)


def test_batches(shared):
    path = "/v1/decide/batch"
    refused(shared, 422, "decisions", {"decisions": []}, path)
    refused(shared, 422, "decisions", {"decisions": [{"state": SHOP}] * 1025}, path)
    refused(shared, 422, "decisions[1].state.raw", {"decisions": [
        {"state": SHOP}, {"state": {**SHOP, "raw": 99}}]}, path)  # fmt: skip
    refused(shared, 422, "decisions[1].id", {"decisions": [
        {"state": SHOP, "id": "a"}, {"state": SHOP, "id": "a"}]}, path)  # fmt: skip
    refused(shared, 422, "decisions[0].colour", {"decisions": [{"colour": 1}]}, path)
    refused(shared, 422, "body", [], path)
    before = shared.parts.repository.log.committed
    refused(shared, 422, "decisions[1].state.raw", {"decisions": [
        {"state": SHOP}, {"state": {"time": 1}}]}, path)  # fmt: skip
    assert shared.parts.repository.log.committed == before  # all of a batch, or nothing


def test_bodies_that_are_too_large(shared):
    limit = shared.parts.service.settings.max_body
    refused(shared, 413, "body", b" " * (limit + 1))

    async def in_parts():
        for _ in range(limit // 1000 + 2):
            yield b" " * 1000

    response = shared.ask("POST", "/v1/decide", content=in_parts())  # its length is not said
    assert response.status_code == 413
    response = shared.ask("PUT", "/v1/outcomes/a/profit", content=b" " * 10_001)
    assert response.status_code == 413


def test_a_body_that_does_not_end_is_given_up(shared, monkeypatch):
    monkeypatch.setattr(app, "BODY_SECONDS", 0.01)

    async def slowly():
        yield b"{"
        await asyncio.sleep(5)
        yield b"}"

    response = shared.ask("POST", "/v1/decide", content=slowly())
    assert response.status_code == 408


def test_paths_and_methods(shared):
    for method, path, status in (
        ("GET", "/v1/decide", 405),
        ("DELETE", "/v1/decide/batch", 405),
        ("POST", "/v1/policy", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/decisions/none", 404),
        ("GET", "/v1/decisions/a%20b", 422),
        ("GET", "/docs", 404),
    ):
        response = shared.ask(method, path)
        assert response.status_code == status, path
        assert response.json()["error"]
        assert ("allow" in response.headers) == (status == 405)


def test_every_answer_has_the_security_headers(shared):
    for method, path in (
        ("POST", "/v1/decide"), ("GET", "/v1/policy"), ("GET", "/nothing"), ("GET", "/metrics"),
        ("GET", "/healthz"), ("PUT", "/v1/outcomes/a/b"),
    ):  # fmt: skip
        headers = shared.ask(method, path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers


def test_what_was_refused_is_not_in_the_log(shared):
    before = shared.parts.repository.log.committed
    refused(shared, 422, "state.raw", {"id": "never", "state": {**SHOP, "raw": 99}})
    assert shared.parts.repository.log.committed == before
    assert shared.ask("GET", "/v1/decisions/never").status_code == 404


def test_a_number_as_large_as_its_type_is_read(shared):
    request = read_decide(b'{"observation":{"a":1.7976931348623157e308}}')
    assert request.observation == {"a": 1.7976931348623157e308}
    assert msgspec.json.encode(request)
