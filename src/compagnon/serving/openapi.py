"""The OpenAPI description: written from the very types that requests are read with.

It is as narrow as the service: the observation's fields, their ranges, and the number of actions
are those of the policy in service.
"""

from importlib.metadata import version
from typing import Any, Final

import msgspec

from compagnon.serving import schemas, vector_schemas
from compagnon.serving.errors import ErrorResponse
from compagnon.serving.openapi_requests import (
    PLACE,
    narrowed_vectors,
    request_example,
    request_schema,
    state_schemas,
)
from compagnon.serving.parsing import RequestParser
from compagnon.serving.settings import ServiceSettings

# A database may hold decisions of other services too, so a record is described in both forms.
_ANSWERS: Final = (
    ErrorResponse, schemas.OutcomeAnswer, schemas.DecisionRecord, vector_schemas.VectorRecord,
    schemas.Health, schemas.Reloaded, schemas.OutcomeRequest,
)  # fmt: skip
_ACTIONS: Final = (schemas.DecideAnswer, schemas.BatchAnswer, schemas.PolicyInfo)
_VECTORS: Final = (
    vector_schemas.VectorAnswer,
    vector_schemas.VectorBatchAnswer,
    vector_schemas.VectorPolicyInfo,
)
_RECORDS: Final = (schemas.DecisionRecord, vector_schemas.VectorRecord)
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


def describe(parser: RequestParser, settings: ServiceSettings) -> dict[str, Any]:
    """The whole description, OpenAPI 3.1."""
    kinds = _VECTORS if parser.chooses_vectors else _ACTIONS
    _, components = msgspec.json.schema_components(
        (*_ANSWERS, *kinds), ref_template=f"{PLACE}/{{name}}"
    )
    for schema in components.values():
        schema.get("properties", {}).pop("additionalProperties", None)
    components["OutcomeRequest"]["additionalProperties"] = False
    components["OutcomeRequest"]["properties"]["time"]["anyOf"][0].update(minimum=0, maximum=1e11)
    components["DecideRequest"] = request_schema(parser)
    components |= state_schemas(parser)
    if parser.chooses_vectors:
        narrowed_vectors(parser.schema, components)
    components["BatchRequest"] = {
        "type": "object",
        "required": ["decisions"],
        "additionalProperties": False,
        "properties": {
            "decisions": {
                "type": "array",
                "minItems": 1,
                "maxItems": schemas.MAX_BATCH,
                "items": {"$ref": f"{PLACE}/DecideRequest", "not": {"required": ["reasons"]}},
            }
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Compagnon: decisions",
            "version": version("compagnon"),
            "description": f"Decisions for {parser.schema.env_id}, application "
            f"{settings.application!r}.",
        },
        "paths": _paths(parser),
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths(parser: RequestParser) -> dict[str, Any]:
    example = request_example(parser)
    unnamed = {name: value for name, value in example.items() if name != "id"}
    identity = {
        "name": "decision_id", "in": "path", "required": True,
        "schema": {"type": "string", "pattern": schemas.ID_PATTERN},
    }  # fmt: skip
    name = {
        "name": "name", "in": "path", "required": True,
        "schema": {"type": "string", "pattern": schemas.NAME_PATTERN},
    }  # fmt: skip
    one, many, about = (
        kind.__name__ for kind in (_VECTORS if parser.chooses_vectors else _ACTIONS)
    )
    deciding = (400, 401, 403, 408, 409, 413, 415, 422, 429, 503)
    return {
        "/v1/decide": {
            "post": _operation(
                "Decide once", "DecideRequest", one, deciding, example=example
            )
        },
        "/v1/decide/batch": {
            "post": _operation(
                "Decide many times", "BatchRequest", many, deciding,
                example={"decisions": [example, unnamed]},
            )
        },
        "/v1/outcomes/{decision_id}/{name}": {
            "put": _operation(
                "Say what came of a decision", "OutcomeRequest", "OutcomeAnswer",
                (400, 401, 403, 404, 408, 409, 413, 415, 422, 503), [identity, name],
                {"value": 12.5},
            )
        },
        "/v1/decisions/{decision_id}": {
            "get": _operation(
                "A decision as it was logged", None, "Record",
                (400, 401, 403, 404, 422, 503), [identity],
            )
        },
        "/v1/policy": {"get": _operation("What is in service", None, about, (400, 401, 403))},
        "/v1/admin/reload": {
            "post": _operation(
                "Look for another model now", None, "Reloaded", (400, 401, 403, 409, 503)
            )
        },
        "/healthz": {
            "get": _operation("Is the process alive", None, "Health", (400, 403), key=False)
        },
        "/readyz": {
            "get": _operation("Can it decide now", None, "Health", (400, 403, 503), key=False)
        },
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
        form = "Health" if gives == "Health" and status == 503 else "ErrorResponse"
        response = _response(_REFUSALS[status], form)
        if status in (429, 503):
            response["headers"] = _LATER
        operation["responses"][str(status)] = response
    if parameters:
        operation["parameters"] = parameters
    if takes:
        content: dict[str, Any] = {"schema": {"$ref": f"{PLACE}/{takes}"}}
        if example is not None:
            content["examples"] = {"one": {"value": example}}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    if key:
        operation["security"] = [{"key": []}, {}]
    return operation


def _response(words: str, form: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": f"{PLACE}/{form}"}
    if form == "Record":
        schema = {"anyOf": [{"$ref": f"{PLACE}/{kind.__name__}"} for kind in _RECORDS]}
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _metrics() -> dict[str, Any]:
    operation = _operation("Counters for Prometheus", None, "ErrorResponse", (400, 401, 403))
    operation["responses"]["200"] = {
        "description": "text that Prometheus reads",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
    return operation


def _openapi() -> dict[str, Any]:
    operation = _operation("This description", None, "ErrorResponse", (400, 401, 403))
    content = {"application/json": {"schema": {"type": "object"}}}
    operation["responses"]["200"] = {"description": "OpenAPI 3.1", "content": content}
    return operation
