"""What readers of states have in common: strict decoding, and the field that is wrong."""

import dataclasses
import functools
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from compagnon.errors import InputError
from compagnon.serving.refusal import NAME_LETTERS, clipped, unprocessable
from compagnon.serving.wire import explain, too_deep

_T = TypeVar("_T")
_R = TypeVar("_R")


class StateDecoder(typing.Generic[_T]):
    """Reads states of one dataclass, whose fields may be lists of dataclasses."""

    def __init__(self, kind: type[_T]) -> None:
        self._kind = kind
        self._decoder = msgspec.json.Decoder(kind)

    def read(self, state: msgspec.Raw) -> _T:
        """A state.

        Raises:
            Refusal: 422, with the field; also for one that is not known.
        """
        try:
            found = self._decoder.decode(state)
            # Dataclasses take unknown fields silently.
            _refuse_unknown(msgspec.json.decode(state), self._kind, "state")
        except msgspec.ValidationError as error:
            raise explain(error, state).under("state") from None
        except RecursionError:
            raise too_deep("state") from None
        return found


def looked_at(look: Callable[[_T], _R], state: _T, field: Callable[[str], str]) -> _R:
    """What `look` makes of a state; what it refuses is told with the field that is wrong.

    Args:
        field: where in the state a sentence about it points, such as ``.drivers[0].lat``.
    """
    try:
        return look(state)
    except InputError as error:
        raise unprocessable(f"state{field(str(error))}", str(error)) from None


def _refuse_unknown(value: dict[str, Any], kind: Any, where: str) -> None:
    known, lists = _parts(kind)
    unknown = value.keys() - known
    if unknown:
        name = clipped(min(unknown), NAME_LETTERS)
        raise unprocessable(f"{where}.{name}", f"there is no field {name!r}")
    for name, part in lists.items():
        for k, item in enumerate(value.get(name) or ()):
            _refuse_unknown(item, part, f"{where}.{name}[{k}]")


@functools.cache
def _parts(kind: Any) -> tuple[frozenset[str], dict[str, Any]]:
    """The names of a dataclass's fields, and those that are lists of dataclasses."""
    lists = {}
    for name, hint in typing.get_type_hints(kind).items():
        inner = typing.get_args(hint)
        if typing.get_origin(hint) is list and dataclasses.is_dataclass(inner[0]):
            lists[name] = inner[0]
    return frozenset(field.name for field in dataclasses.fields(kind)), lists
