"""The OpenAPI description, made of the routes, and of the structures that requests are read with.

It is as narrow as the service: the observation's fields, their ranges, and the number of actions
are those of the policy in service.
"""

import math
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import msgspec

from compagnon.serving import schemas
from compagnon.serving.codec import ActionCodec, VectorCodec
from compagnon.serving.errors import ErrorResponse
from compagnon.serving.parsing import RequestParser
from compagnon.serving.settings import ServiceSettings
from compagnon.store.keys import Scope

PLACE: Final = "#/components/schemas"
RECORDS: Final = (schemas.DecisionRecord, schemas.VectorRecord)
_DECIDING: Final = (400, 401, 403, 408, 409, 413, 415, 422, 429, 503)
_REFUSALS: Final = {
    400: "the connection broke off, or the head is not as it should be",
    401: "no key, or an unknown one",
    403: "the key has not this scope, or this is not the place to ask from",
    404: "there is no such decision",
    408: "the body did not end in time",
    409: "it was said before, and differently",
    413: "the body is too large",
    415: "the body does not say that it is JSON",
    422: "something in the request is wrong; the field is named",
    429: "too many decisions a second for this key",
    503: "not now: see Retry-After",
}
_LATER: Final = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}}
_GIVEN: Final = {"text/plain": "text that Prometheus reads", "application/json": "OpenAPI 3.1"}
_IN_PATH: Final = {"decision_id": schemas.ID_PATTERN, "name": schemas.NAME_PATTERN}


class Operation(NamedTuple):
    """One route, as it is answered and described.

    Attributes:
        endpoint: the name of the method of `app.Routes` that answers it.
        scope: of the key that it asks for; None for none.
        takes: the structure of its body.
        gives: that of its answer: a structure, `answer`, `batch` or `policy` for the one that fits
            the policy in service, or a media type.
        refuses: with which statuses.
    """

    method: str
    path: str
    endpoint: str
    summary: str
    scope: Scope | None
    takes: type | None
    gives: Any
    refuses: tuple[int, ...]


OPERATIONS: Final = (
    Operation(
        "POST", "/v1/decide", "decide", "Decide once", "decide",
        schemas.DecideRequest, "answer", _DECIDING,
    ),
    Operation(
        "POST", "/v1/decide/batch", "decide_batch", "Decide many times", "decide",
        schemas.BatchRequest, "batch", _DECIDING,
    ),
    Operation(
        "PUT", "/v1/outcomes/{decision_id}/{name}", "outcome", "Say what came of a decision",
        "outcomes", schemas.OutcomeRequest, schemas.OutcomeAnswer,
        (400, 401, 403, 404, 408, 409, 413, 415, 422, 503),
    ),
    Operation(
        "PUT", "/v1/decisions/{decision_id}/override", "override",
        "Say what a person made of a decision", "outcomes",
        schemas.OverrideRequest, schemas.OverrideAnswer,
        (400, 401, 403, 404, 408, 409, 413, 415, 422, 503),
    ),
    Operation(
        "GET", "/v1/decisions/{decision_id}", "decision", "A decision as it was logged", "decide",
        None, "record", (400, 401, 403, 404, 422, 503),
    ),
    Operation(
        "GET", "/v1/policy", "policy", "What is in service", "decide",
        None, "policy", (400, 401, 403),
    ),
    Operation(
        "POST", "/v1/admin/reload", "reload", "Look for another model now", "admin",
        None, schemas.Reloaded, (400, 401, 403, 409, 503),
    ),
    Operation(
        "GET", "/openapi.json", "openapi", "This description", "decide",
        None, "application/json", (400, 401, 403),
    ),
    Operation(
        "GET", "/healthz", "alive", "Is the process alive", None,
        None, schemas.Health, (400, 403),
    ),
    Operation(
        "GET", "/readyz", "ready", "Can it decide now", None,
        None, schemas.Health, (400, 403, 503),
    ),
    Operation(
        "GET", "/metrics", "metrics", "Counters for Prometheus", "admin",
        None, "text/plain", (400, 401, 403),
    ),
)  # fmt: skip


def describe(
    parser: RequestParser, codec: ActionCodec, settings: ServiceSettings
) -> dict[str, Any]:
    """The whole description, OpenAPI 3.1."""
    types = codec.responses
    named = {one for each in OPERATIONS for one in (each.takes, each.gives)}
    structures = {one for one in named if isinstance(one, type)} | {ErrorResponse, *RECORDS, *types}
    _, components = msgspec.json.schema_components(
        sorted(structures, key=lambda one: one.__name__), ref_template=f"{PLACE}/{{name}}"
    )
    _narrow_request(components["DecideRequest"], parser)
    # Reasons are those of one decision at a time.
    items = components["BatchRequest"]["properties"]["decisions"]["items"]
    items["not"] = {"required": ["reasons"]}
    if parser.states is not None:
        components |= _state_parts(parser)[1]
    if isinstance(codec, VectorCodec):
        _narrow_answer(components["VectorAnswer"], codec)
    paths: dict[str, Any] = {}
    for one in OPERATIONS:
        described = _operation(one, types._asdict(), _example(one, parser))
        paths.setdefault(one.path, {})[one.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Compagnon: decisions",
            "version": version("compagnon"),
            "description": f"Decisions for {parser.schema.env_id}, application "
            f"{settings.application!r}.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


# ------------------------------------------------------------------ routes


def _operation(one: Operation, types: dict[str, type], example: Any) -> dict[str, Any]:
    done = _GIVEN.get(one.gives, "it was done")
    responses = {"200": _response(done, _content(one.gives, types))}
    for status in one.refuses:
        # A service that is not ready says why in the form of its health.
        healthy = one.gives is schemas.Health and status == 503
        form = _content(schemas.Health if healthy else ErrorResponse, types)
        responses[str(status)] = _response(_REFUSALS[status], form)
        if status in (429, 503):
            responses[str(status)]["headers"] = _LATER
    operation: dict[str, Any] = {
        "summary": one.summary,
        "operationId": one.summary.lower().replace(" ", "_"),
        "responses": responses,
    }
    parameters = [
        {
            "name": name, "in": "path", "required": True,
            "schema": {"type": "string", "pattern": pattern},
        }
        for name, pattern in _IN_PATH.items()
        if f"{{{name}}}" in one.path
    ]  # fmt: skip
    if parameters:
        operation["parameters"] = parameters
    if one.takes is not None:
        content: dict[str, Any] = {"schema": _reference(one.takes)}
        content["examples"] = {"one": {"value": example}}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    if one.scope is not None:
        operation["security"] = [{"key": []}, {}]
    return operation


def _response(words: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": words, "content": content}


def _content(gives: Any, types: dict[str, type]) -> dict[str, Any]:
    schema: dict[str, Any]
    if gives == "text/plain":
        return {"text/plain": {"schema": {"type": "string"}}}
    if gives == "application/json":
        schema = {"type": "object"}
    elif gives == "record":  # a database may hold decisions of other services too
        schema = {"anyOf": [_reference(kind) for kind in RECORDS]}
    else:
        schema = _reference(types.get(gives, gives))
    return {"application/json": {"schema": schema}}


def _reference(structure: type) -> dict[str, Any]:
    return {"$ref": f"{PLACE}/{structure.__name__}"}


# ------------------------------------------------------------------ as narrow as the policy


def _narrow_request(request: dict[str, Any], parser: RequestParser) -> None:
    """Let a `DecideRequest` be one of this policy: its fields, its actions, its states."""
    numbers, actions = _numbers(parser), parser.schema.action.n
    properties = request["properties"]
    del properties["observation"]["anyOf"]
    properties["observation"]["oneOf"] = [
        {
            "type": "object",
            "required": list(parser.names),
            "additionalProperties": False,
            "properties": dict(zip(parser.names, numbers, strict=True)),
        },
        {
            "type": "array", "prefixItems": numbers,
            "minItems": len(numbers), "maxItems": len(numbers),
        },
    ]  # fmt: skip
    properties["mask_ids"]["items"] |= {"minimum": 0, "maximum": actions - 1}
    properties["mask_bits"] |= {"minLength": actions, "maxLength": actions}
    if parser.chooses_vectors:
        for name in ("mask_ids", "mask_bits", "alternatives"):
            del properties[name]
    if parser.states is None:
        del properties["state"], properties["reasons"]
    else:
        properties["state"] = _state_parts(parser)[0]
    request["oneOf"] = _ways(parser)


def _ways(parser: RequestParser) -> list[dict[str, Any]]:
    """Which properties go together: an observation with one mask or perhaps none, or a state."""
    if parser.chooses_vectors:
        return [{"required": ["observation"]}]
    ways = [
        _exactly(["observation", "mask_ids"], ["mask_bits", "state", "reasons"]),
        _exactly(["observation", "mask_bits"], ["mask_ids", "state", "reasons"]),
    ]
    if not parser.needs_mask:
        ways.append(_exactly(["observation"], ["mask_ids", "mask_bits", "state", "reasons"]))
    if parser.states is not None:
        ways.append(_exactly(["state"], ["observation", "mask_ids", "mask_bits"]))
    return ways


def _exactly(present: list[str], absent: list[str]) -> dict[str, Any]:
    return {
        "required": present,
        "not": {"anyOf": [{"required": [name]} for name in absent]},
    }


def _numbers(parser: RequestParser) -> list[dict[str, Any]]:
    """What each field of an observation may be."""
    fields = parser.schema.observation.fields
    return [
        {
            "type": "number",
            "description": f"{one.meaning} ({one.unit})" if one.unit else one.meaning,
            "minimum": low,
            "maximum": high,
        }
        for one, low, high in zip(fields, parser.low.tolist(), parser.high.tolist(), strict=True)
    ]


def _state_parts(parser: RequestParser) -> tuple[dict[str, Any], dict[str, Any]]:
    """How a state is asked for, and the parts that stand for themselves.

    One that is a single flat dataclass stands where it is asked for; others stand by reference.
    """
    assert parser.states is not None
    codec = parser.states.codec
    _, parts = msgspec.json.schema_components((codec.kind,), ref_template=f"{PLACE}/{{name}}")
    for part in parts.values():
        part["additionalProperties"] = False
    if len(parts) > 1:
        return {**_reference(codec.kind), "description": codec.description}, parts
    flat = parts[codec.kind.__name__]
    flat.pop("title", None)
    return {**flat, "description": codec.description}, {}


def _narrow_answer(answer: dict[str, Any], codec: VectorCodec) -> None:
    """Let an answer name the components of this policy's vectors, with their bounds."""
    numbers = {}
    for one in codec.components:
        number: dict[str, Any] = {"type": "number", "description": one.unit or one.name}
        if math.isfinite(one.low):
            number["minimum"] = one.low
        if math.isfinite(one.high):
            number["maximum"] = one.high
        numbers[one.name] = number
    for name in ("action", "greedy"):
        answer["properties"][name] = {
            "type": "object",
            "required": list(numbers),
            "additionalProperties": False,
            "properties": numbers,
        }


# ------------------------------------------------------------------ examples


def request_example(parser: RequestParser) -> dict[str, Any]:
    """A request for one decision that the service answers."""
    if parser.states is not None and parser.states.codec.example is not None:
        state = dict(parser.states.codec.example)
        return {"state": state, "id": "order-4711", "key": "line-1"}
    middle = {
        field.name: min(max(0.0, field.low), field.high)
        for field in parser.schema.observation.fields
    }
    if parser.chooses_vectors:
        return {"observation": middle}
    return {"observation": middle, "mask_ids": [0]}


def _example(one: Operation, parser: RequestParser) -> Any:
    """A body that a route answers."""
    if one.takes is schemas.OutcomeRequest:
        return {"value": 12.5}
    example = request_example(parser)
    if one.takes is schemas.BatchRequest:
        unnamed = {name: value for name, value in example.items() if name != "id"}
        return {"decisions": [example, unnamed]}
    return example
