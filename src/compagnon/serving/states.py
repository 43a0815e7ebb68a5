"""Reads the states of a world from JSON, strictly, and says which field is wrong."""

import dataclasses
import functools
import logging
import types
import typing
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy import Schema
from compagnon.serving.errors import NAME_LETTERS, ApiError, clipped, unprocessable
from compagnon.serving.schemas import Reason
from compagnon.serving.validation_errors import explain, too_deep
from compagnon.worlds import find_world
from compagnon.worlds.codec import ActionLabels, StateCodec

_logger = logging.getLogger("compagnon.serving")


class StateReader:
    """Makes observations and masks of a world's own states, by the world's own rules."""

    def __init__(self, codec: StateCodec[Any]) -> None:
        self.codec = codec
        self._decoder = msgspec.json.Decoder(codec.kind)
        # A state is not read a second time for labels that do not depend on it.
        self._labels_vary = type(codec).action_labels is not StateCodec.action_labels
        example = codec.warm_up()
        if example is not None:
            # Read as JSON, since kernels are compiled for the very types that come of that.
            self.read(msgspec.Raw(msgspec.json.encode(example)))

    def read(self, state: msgspec.Raw) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The policy's fields in physical units, (F,), and what is possible, (A,).

        Raises:
            ApiError: 422, with the field of the state.
        """
        decoded = self._decoded(state)
        try:
            return self.codec.look(decoded)
        except InputError as error:
            raise self._refusal(error) from None

    def action_labels(self, state: msgspec.Raw) -> ActionLabels | None:
        """What the actions mean in a state that was read, where that depends on it."""
        return self.codec.action_labels(self._decoded(state)) if self._labels_vary else None

    def reasons(
        self, state: msgspec.Raw, mask: NDArray[np.bool_], labels: ActionLabels
    ) -> list[Reason]:
        """What the world says of each action in a state that was read.

        Args:
            mask: (A,), what is possible there.
            labels: what the actions mean there.
        """
        decoded = self._decoded(state)
        costs = self.codec.candidate_costs(decoded)
        known = np.full(len(mask), np.nan) if costs is None else costs
        return [
            Reason(
                action,
                labels[action],
                possible,
                float(known[action]) if np.isfinite(known[action]) else None,
                None if possible else self.codec.why_impossible(decoded, action),
            )
            for action, possible in enumerate(mask.tolist())
        ]

    def _decoded(self, state: msgspec.Raw) -> Any:
        try:
            found = self._decoder.decode(state)
            # Dataclasses take unknown fields silently.
            _refuse_unknown(msgspec.json.decode(state), self.codec.kind, "state")
        except msgspec.ValidationError as error:
            if isinstance(error.__cause__, InputError):  # the dataclass looks at its own fields
                raise self._refusal(error.__cause__) from None
            raise explain(error, state).under("state") from None
        except RecursionError:
            raise too_deep("state") from None
        return found

    def _refusal(self, error: InputError) -> ApiError:
        field = self.codec.field_of(str(error))
        return unprocessable(f"state.{field}" if field else "state", str(error))


def _refuse_unknown(value: dict[str, Any], kind: Any, where: str) -> None:
    known, lists, parts = _parts(kind)
    unknown = value.keys() - known
    if unknown:
        name = clipped(min(unknown), NAME_LETTERS)
        raise unprocessable(f"{where}.{name}", f"there is no field {name!r}")
    for name, part in lists.items():
        for k, item in enumerate(value.get(name) or ()):
            _refuse_unknown(item, part, f"{where}.{name}[{k}]")
    for name, part in parts.items():
        if value.get(name) is not None:
            _refuse_unknown(value[name], part, f"{where}.{name}")


@functools.cache
def _parts(kind: Any) -> tuple[frozenset[str], dict[str, Any], dict[str, Any]]:
    """The names of a dataclass's fields; those that are lists of dataclasses, or dataclasses."""
    lists, parts = {}, {}
    for name, hint in typing.get_type_hints(kind).items():
        union = typing.get_origin(hint) in (typing.Union, types.UnionType)
        for one in typing.get_args(hint) if union else (hint,):  # there may be None instead
            inner = typing.get_args(one)
            if typing.get_origin(one) is list and dataclasses.is_dataclass(inner[0]):
                lists[name] = inner[0]
            elif dataclasses.is_dataclass(one):
                parts[name] = one
    return frozenset(field.name for field in dataclasses.fields(kind)), lists, parts


def state_reader(schema: Schema, env_args: dict[str, Any]) -> StateReader | None:
    """How states of the schema's world are read; None where there is no such way."""
    try:
        codec = find_world(schema.env_id).state_codec(schema, env_args)
    except ModuleNotFoundError as error:
        _logger.info("states are not read without %s (extra worlds)", error.name)
        return None
    return None if codec is None else StateReader(codec)
