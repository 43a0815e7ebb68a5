"""What the description says of requests: the fields, the states and the actions of one policy."""

import math
from typing import Any, Final

import msgspec

from compagnon.policy import Schema
from compagnon.serving import wire
from compagnon.serving.reading import Reader
from compagnon.serving.worlds import action_components
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch_poc import DISPATCH_POC
from compagnon.worlds.workshop import WORKSHOP
from compagnon.worlds.workshop.state import ShopState

PLACE: Final = "#/components/schemas"


def request_schema(reader: Reader) -> dict[str, Any]:
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
        "episode": {
            "description": "what it is part of, such as a day, which explores only so often",
            "type": "string", "maxLength": 200, "pattern": "^[^\\u0000]*$",
        },
        "alternatives": {
            "description": "how many other actions the answer lists",
            "type": "integer", "minimum": 0, "maximum": wire.MAX_ALTERNATIVES, "default": 3,
        },
    }  # fmt: skip
    if reader.chooses_vectors:
        for name in ("mask_ids", "mask_bits", "alternatives"):
            del properties[name]
    if reader.states is not None:
        properties["state"] = _state(reader)
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "oneOf": _ways(reader),
    }


def _ways(reader: Reader) -> list[dict[str, Any]]:
    """Which properties go together: an observation with one mask or perhaps none, or a state."""
    if reader.chooses_vectors:
        return [{"required": ["observation"]}]
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
    kind = "Board" if reader.schema.env_id == DISPATCH else "PocState"
    return {"$ref": f"{PLACE}/{kind}", "description": "a dispatch board"}


def state_schemas(reader: Reader) -> dict[str, Any]:
    """The parts of a state that stand for themselves: those of a dispatch board."""
    if reader.schema.env_id not in (DISPATCH, DISPATCH_POC) or reader.states is None:
        return {}
    if reader.schema.env_id == DISPATCH:
        from compagnon.worlds.dispatch.board import Board

        kinds: tuple[Any, ...] = (Board,)
    else:
        from compagnon.worlds.dispatch_poc.state import PocState

        kinds = (PocState,)
    _, parts = msgspec.json.schema_components(kinds, ref_template=f"{PLACE}/{{name}}")
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


def request_example(reader: Reader) -> dict[str, Any]:
    """A request that the service answers."""
    if reader.schema.env_id == WORKSHOP:
        shop = {"time": 600, "raw": 12, "p1": 3, "p2_inter": 4, "p2": 0, "backlog_p1": 5}
        return {"state": shop, "id": "order-4711", "key": "line-1"}
    middle = {
        field.name: min(max(0.0, field.low), field.high)
        for field in reader.schema.observation.fields
    }
    if reader.chooses_vectors:
        return {"observation": middle}
    return {"observation": middle, "mask_ids": [0]}
