"""The same question asked again, written otherwise, gets the same answer; another a conflict."""

import json

import pytest

from compagnon.serving import parsing, service
from tests.serving.client import SHOP

FIELDS = {"raw": 12.0, "p1": 3.0}


@pytest.fixture(params=["/v1/decide", "/v1/decide/batch"])
def ask(request, local):
    """Asks under one id, alone or as a batch of one: (status, answer)."""

    def asked(text):
        if request.param.endswith("batch"):
            text = f'{{"decisions":[{text}]}}'
        response = local.ask(
            "POST", request.param, content=text, headers={"content-type": "application/json"}
        )
        found = response.json()
        return response.status_code, found.get("decisions", [found])[0]

    return asked


def names(client):
    return {f.name: max(1.0, f.low) for f in client.parts.service.parser.schema.observation.fields}


def test_names_in_another_order_are_the_same_question(local, ask):
    named = names(local)
    body = {"id": "one", "observation": named, "mask_ids": [3, 7], "key": "k"}
    status, first = ask(json.dumps(body))
    assert status == 200
    turned = dict(reversed(named.items()))
    bits = "".join("1" if k in (3, 7) else "0" for k in range(201))
    for same in (
        dict(reversed(body.items())),
        {**body, "observation": turned},
        {**body, "observation": list(named.values())},
        {**body, "observation": {name: int(value) for name, value in turned.items()}},
        {**body, "mask_ids": [7, 3, 3]},
        {**body, "alternatives": 3},
    ):
        assert ask(json.dumps(same)) == (200, first)
    masked = {name: value for name, value in body.items() if name != "mask_ids"}
    assert ask(json.dumps({**masked, "mask_bits": bits}, indent=3)) == (200, first)


@pytest.mark.parametrize(
    "change",
    [{"raw": 1.0000001}, {"mask_ids": [3]}, {"key": "l"}, {"alternatives": 2}, {"state": SHOP}],
)
def test_another_question_under_the_same_id_is_a_conflict(local, ask, change):
    body = {"id": "one", "observation": names(local), "mask_ids": [3, 7], "key": "k"}
    assert ask(json.dumps(body))[0] == 200
    if "raw" in change:
        body["observation"] = {**body["observation"], **change}
    elif "state" in change:
        body = {"id": "one", "key": "k", **change}
    else:
        body |= change
    assert ask(json.dumps(body))[0] == 409


def test_a_state_in_another_order_is_the_same_question(ask):
    status, first = ask(json.dumps({"id": "one", "state": SHOP}))
    assert status == 200
    turned = dict(reversed(SHOP.items()))
    for text in (
        json.dumps({"state": turned, "id": "one"}),
        json.dumps({"id": "one", "state": turned}, indent=2),
        json.dumps({"id": "one", "state": SHOP}).replace('"raw"', '"\\u0072aw"'),
    ):
        assert ask(text) == (200, first)
    assert ask(json.dumps({"id": "one", "state": {**SHOP, "raw": 13}}))[0] == 409


def test_a_row_of_an_earlier_version_is_still_the_same_question(ask, monkeypatch):
    monkeypatch.setattr(
        service, "question_sha256", lambda request, *_: parsing.sha256_as_written(request)
    )
    text = json.dumps({"id": "old", "state": SHOP})
    status, first = ask(text)
    assert status == 200
    monkeypatch.undo()
    assert ask(text) == (200, first)
    assert ask(json.dumps({"id": "old", "state": {**SHOP, "raw": 13}}))[0] == 409


def test_whole_numbers_with_a_point_are_whole():
    read = parsing._read_state.decode
    same = ['{"a":12,"b":0}', '{"b":-0.0,"a":1.2e1}']
    assert len({parsing._encode_sorted(read(text)) for text in same}) == 1
    assert read('{"a":1.5,"b":1e300}') == {"a": 1.5, "b": 1e300}


@pytest.mark.parametrize(
    ("body", "mask", "alternatives", "now", "before"),
    [
        (b'{"observation":{"b":2,"a":1.5},"mask_ids":[0],"key":"k"}', b"\x80", 3,
         "2f56e9446f4139d5", "01b23ea31acee41c"),
        (b'{"state":{"raw":12.0,"a":[1]},"alternatives":3,"episode":"e"}', b"\x80", 3,
         "5b8885f5debbd007", "af108551b0e6f51c"),
        (b'{"state":{"raw":12},"alternatives":0}', b"\x80", 0,
         "35abfb2edaf32313", "8c4f0d2acdfd5b8e"),
        (b'{"observation":[1.5,2.0]}', None, -1, "e1451cdb99fc637c", "0cb14e5d323dfe5a"),
    ],
)  # fmt: skip
def test_the_rows_that_stand_have_the_hashes_of_their_questions(
    body, mask, alternatives, now, before
):
    request = parsing.read_decide(body)
    assert parsing.question_sha256(request, ("a", "b"), mask, alternatives).startswith(now)
    assert parsing.sha256_as_written(request).startswith(before)
