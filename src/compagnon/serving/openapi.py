"""The OpenAPI description: written from the very types that requests are read with.

It is as narrow as the service: the observation's fields, their ranges, and the number of actions
are those of the policy in service.
"""

from importlib.metadata import version
from typing import Any, Final

import msgspec

from compagnon.envs.registration import DISPATCH, WORKSHOP
from compagnon.envs.workshop.state import ShopState
from compagnon.serving import wire
from compagnon.serving.reading import Reader
from compagnon.serving.refusal import Problem
from compagnon.serving.settings import Settings

_ANSWERS: Final = (
    Problem, wire.Answer, wire.BatchAnswer, wire.OutcomeAnswer, wire.DecisionRecord,
    wire.PolicyInfo, wire.Health, wire.Reloaded, wire.OutcomeRequest,
)  # fmt: skip
_REFUSALS: Final = {
    400: "the connection broke off",
    401: "no key, or an unknown one",
    403: "the key has not this scope",
    404: "there is no such decision",
    408: "the body did not end in time",
    409: "it was said before, and differently",
    413: "the body is too large",
    422: "something in the request is wrong; the field is named",
    429: "too many decisions a second for this key",
    503: "not now: see Retry-After",
}
_PLACE: Final = "#/components/schemas"
_LATER: Final = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}}


def describe(reader: Reader, settings: Settings) -> dict[str, Any]:
    """The whole description, OpenAPI 3.1."""
    _, schemas = msgspec.json.schema_components(_ANSWERS, ref_template=f"{_PLACE}/{{name}}")
    for schema in schemas.values():
        schema.get("properties", {}).pop("additionalProperties", None)
    schemas["OutcomeRequest"]["additionalProperties"] = False
    schemas["OutcomeRequest"]["properties"]["time"]["anyOf"][0].update(minimum=0, maximum=1e11)
    schemas["DecideRequest"] = _request(reader)
    if reader.schema.env_id == DISPATCH and reader.states is not None:
        schemas |= _board_schemas()
    schemas["BatchRequest"] = {
        "type": "object",
        "required": ["decisions"],
        "additionalProperties": False,
        "properties": {
            "decisions": {
                "type": "array",
                "minItems": 1,
                "maxItems": wire.MAX_BATCH,
                "items": {"$ref": f"{_PLACE}/DecideRequest"},
            }
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Compagnon: decisions",
            "version": version("compagnon"),
            "description": f"Decisions for {reader.schema.env_id}, application "
            f"{settings.application!r}.",
        },
        "paths": _paths(reader),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths(reader: Reader) -> dict[str, Any]:
    example = request_example(reader)
    unnamed = {name: value for name, value in example.items() if name != "id"}
    identity = {
        "name": "decision_id", "in": "path", "required": True,
        "schema": {"type": "string", "pattern": wire.ID_PATTERN},
    }  # fmt: skip
    name = {
        "name": "name", "in": "path", "required": True,
        "schema": {"type": "string", "pattern": wire.NAME_PATTERN},
    }  # fmt: skip
    deciding = (400, 401, 403, 408, 409, 413, 422, 429, 503)
    return {
        "/v1/decide": {
            "post": _operation(
                "Decide once", "DecideRequest", "Answer", deciding, example=example
            )
        },
        "/v1/decide/batch": {
            "post": _operation(
                "Decide many times", "BatchRequest", "BatchAnswer", deciding,
                example={"decisions": [example, unnamed]},
            )
        },
        "/v1/outcomes/{decision_id}/{name}": {
            "put": _operation(
                "Say what came of a decision", "OutcomeRequest", "OutcomeAnswer",
                (400, 401, 403, 404, 408, 409, 413, 422, 503), [identity, name], {"value": 12.5},
            )
        },
        "/v1/decisions/{decision_id}": {
            "get": _operation(
                "A decision as it was logged", None, "DecisionRecord",
                (401, 403, 404, 422, 503), [identity],
            )
        },
        "/v1/policy": {"get": _operation("What is in service", None, "PolicyInfo", (401, 403))},
        "/v1/admin/reload": {
            "post": _operation(
                "Look for another model now", None, "Reloaded", (401, 403, 409, 503)
            )
        },
        "/healthz": {"get": _operation("Is the process alive", None, "Health", (), key=False)},
        "/readyz": {"get": _operation("Can it decide now", None, "Health", (503,), key=False)},
        "/metrics": {"get": _metrics()},
        "/openapi.json": {"get": _openapi()},
    }  # fmt: skip


def _operation(
    summary: str,
    takes: str | None,
    gives: str,
    refuses: tuple[int, ...],
    parameters: list[dict[str, Any]] | None = None,
    example: Any = None,
    key: bool = True,
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "operationId": summary.lower().replace(" ", "_"),
        "responses": {"200": _response("it was done", gives)},
    }
    for status in refuses:
        # A service that is not ready says why in the form of its health.
        form = "Health" if gives == "Health" else "Problem"
        response = _response(_REFUSALS[status], form)
        if status in (429, 503):
            response["headers"] = _LATER
        operation["responses"][str(status)] = response
    if parameters:
        operation["parameters"] = parameters
    if takes:
        content: dict[str, Any] = {"schema": {"$ref": f"{_PLACE}/{takes}"}}
        if example is not None:
            content["examples"] = {"one": {"value": example}}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    if key:
        operation["security"] = [{"key": []}, {}]
    return operation


def _response(words: str, form: str) -> dict[str, Any]:
    schema = {"$ref": f"{_PLACE}/{form}"}
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _metrics() -> dict[str, Any]:
    operation = _operation("Counters for Prometheus", None, "Problem", (401, 403))
    operation["responses"]["200"] = {
        "description": "text that Prometheus reads",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
    return operation


def _openapi() -> dict[str, Any]:
    operation = _operation("This description", None, "Problem", (401, 403))
    content = {"application/json": {"schema": {"type": "object"}}}
    operation["responses"]["200"] = {"description": "OpenAPI 3.1", "content": content}
    return operation


def _request(reader: Reader) -> dict[str, Any]:
    """What `wire.DecideRequest` takes, for this policy."""
    numbers, actions = _numbers(reader), reader.schema.action.n
    properties: dict[str, Any] = {
        "observation": {
            "description": "the fields by name, in physical units, or all of them in their order",
            "oneOf": [
                {
                    "type": "object",
                    "required": list(reader.names),
                    "additionalProperties": False,
                    "properties": dict(zip(reader.names, numbers, strict=True)),
                },
                {"type": "array", "prefixItems": numbers,
                 "minItems": len(numbers), "maxItems": len(numbers)},
            ],
        },
        "mask_ids": {
            "description": "the actions that are possible",
            "type": "array", "minItems": 1,
            "items": {"type": "integer", "minimum": 0, "maximum": actions - 1},
        },
        "mask_bits": {
            "description": "the same as one 0 or 1 an action; at least one is 1",
            "type": "string", "minLength": actions, "maxLength": actions, "pattern": "^[01]+$",
        },
        "id": {
            "description": "yours, so that asking again gives the same decision; else we make one",
            "type": "string", "pattern": wire.ID_PATTERN,
        },
        "key": {
            "description": "what an experiment splits by, such as a customer",
            "type": "string", "maxLength": 200, "pattern": "^[^\\u0000]*$",
        },
        "alternatives": {
            "description": "how many other actions the answer lists",
            "type": "integer", "minimum": 0, "maximum": wire.MAX_ALTERNATIVES, "default": 3,
        },
    }  # fmt: skip
    ways = _ways(reader)
    if reader.states is not None:
        properties["state"] = _state(reader)
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "oneOf": ways,
    }


def _ways(reader: Reader) -> list[dict[str, Any]]:
    """Which properties go together: an observation with one mask or perhaps none, or a state."""
    ways = [
        _exactly(["observation", "mask_ids"], ["mask_bits", "state"]),
        _exactly(["observation", "mask_bits"], ["mask_ids", "state"]),
    ]
    if not reader.needs_mask:
        ways.append(_exactly(["observation"], ["mask_ids", "mask_bits", "state"]))
    if reader.states is not None:
        ways.append(_exactly(["state"], ["observation", "mask_ids", "mask_bits"]))
    return ways


def _exactly(present: list[str], absent: list[str]) -> dict[str, Any]:
    return {
        "required": present,
        "not": {"anyOf": [{"required": [name]} for name in absent]},
    }


def _numbers(reader: Reader) -> list[dict[str, Any]]:
    """What each field of an observation may be."""
    return [
        {
            "type": "number",
            "description": f"{one.meaning} ({one.unit})" if one.unit else one.meaning,
            "minimum": low,
            "maximum": high,
        }
        for one, low, high in zip(
            reader.schema.observation.fields, reader.low.tolist(), reader.high.tolist(), strict=True
        )
    ]


def _state(reader: Reader) -> dict[str, Any]:
    if reader.schema.env_id == WORKSHOP:
        _, parts = msgspec.json.schema_components((ShopState,))
        shop: dict[str, Any] = {**parts["ShopState"], "additionalProperties": False}
        shop.pop("title", None)
        shop["description"] = "a shop; the fields and the mask follow from it"
        return shop
    return {"$ref": f"{_PLACE}/Board", "description": "a dispatch board"}


def _board_schemas() -> dict[str, Any]:
    """The parts of a dispatch board."""
    from compagnon.envs.dispatch.board import Board

    _, parts = msgspec.json.schema_components((Board,), ref_template=f"{_PLACE}/{{name}}")
    for part in parts.values():
        part["additionalProperties"] = False
    return parts


def request_example(reader: Reader) -> dict[str, Any]:
    """A request that the service answers."""
    if reader.schema.env_id == WORKSHOP:
        shop = {"time": 600, "raw": 12, "p1": 3, "p2_inter": 4, "p2": 0, "backlog_p1": 5}
        return {"state": shop, "id": "order-4711", "key": "line-1"}
    middle = {
        field.name: min(max(0.0, field.low), field.high)
        for field in reader.schema.observation.fields
    }
    return {"observation": middle, "mask_ids": [0]}
