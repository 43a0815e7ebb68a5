"""What the description says of requests: the fields, the states and the actions of one policy."""

import math
from typing import Any, Final

import msgspec

from compagnon.policy import Schema
from compagnon.serving import schemas
from compagnon.serving.actions import action_components
from compagnon.serving.parsing import RequestParser
from compagnon.worlds.codec import StateCodec

PLACE: Final = "#/components/schemas"


def request_schema(parser: RequestParser) -> dict[str, Any]:
    """What `schemas.DecideRequest` takes, for this policy."""
    numbers, actions = _numbers(parser), parser.schema.action.n
    properties: dict[str, Any] = {
        "observation": {
            "description": "the fields by name, in physical units, or all of them in their order",
            "oneOf": [
                {
                    "type": "object",
                    "required": list(parser.names),
                    "additionalProperties": False,
                    "properties": dict(zip(parser.names, numbers, strict=True)),
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
            "type": "string", "pattern": schemas.ID_PATTERN,
        },
        "key": {
            "description": "what an experiment splits by, such as a customer",
            "type": "string", "maxLength": 200, "pattern": "^[^\\u0000]*$",
        },
        "episode": {
            "description": "what it is part of, such as a day, which explores only so often",
            "type": "string", "maxLength": 200, "pattern": "^[^\\u0000]*$",
        },
        "alternatives": {
            "description": "how many other actions the answer lists",
            "type": "integer", "minimum": 0, "maximum": schemas.MAX_ALTERNATIVES, "default": 3,
        },
        "reasons": {
            "description": "say of each action what it costs beside the others, or why it is "
            "impossible; of a state, and not in a batch",
            "type": "boolean",
        },
    }  # fmt: skip
    if parser.chooses_vectors:
        for name in ("mask_ids", "mask_bits", "alternatives"):
            del properties[name]
    if parser.states is None:
        del properties["reasons"]
    else:
        properties["state"] = _state(parser)
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "oneOf": _ways(parser),
    }


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
    return [
        {
            "type": "number",
            "description": f"{one.meaning} ({one.unit})" if one.unit else one.meaning,
            "minimum": low,
            "maximum": high,
        }
        for one, low, high in zip(
            parser.schema.observation.fields, parser.low.tolist(), parser.high.tolist(), strict=True
        )
    ]


def _state(parser: RequestParser) -> dict[str, Any]:
    """A state that is one flat dataclass stands where it is asked for; others by reference."""
    assert parser.states is not None
    codec = parser.states.codec
    parts, name = _state_parts(codec), codec.kind.__name__
    if len(parts) > 1:
        return {"$ref": f"{PLACE}/{name}", "description": codec.description}
    flat: dict[str, Any] = parts[name]
    flat.pop("title", None)
    flat["description"] = codec.description
    return flat


def state_schemas(parser: RequestParser) -> dict[str, Any]:
    """The parts of a state that stand for themselves: a state with dataclasses in it, and those."""
    parts = {} if parser.states is None else _state_parts(parser.states.codec)
    return parts if len(parts) > 1 else {}


def _state_parts(codec: StateCodec[Any]) -> dict[str, Any]:
    _, parts = msgspec.json.schema_components((codec.kind,), ref_template=f"{PLACE}/{{name}}")
    for part in parts.values():
        part["additionalProperties"] = False
    return parts


def narrowed_vectors(schema: Schema, schemas: dict[str, Any]) -> None:
    """Let the answers name the components of this policy's vectors, with their bounds."""
    numbers = {}
    for one in action_components(schema):
        number: dict[str, Any] = {"type": "number", "description": one.unit or one.name}
        if math.isfinite(one.low):
            number["minimum"] = one.low
        if math.isfinite(one.high):
            number["maximum"] = one.high
        numbers[one.name] = number
    vector = {
        "type": "object",
        "required": list(numbers),
        "additionalProperties": False,
        "properties": numbers,
    }
    for name in ("action", "greedy"):
        schemas["VectorAnswer"]["properties"][name] = vector


def request_example(parser: RequestParser) -> dict[str, Any]:
    """A request that the service answers."""
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
