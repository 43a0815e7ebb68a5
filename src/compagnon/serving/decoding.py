"""How a body is read strictly: it becomes what `schemas` says, or 422 and the name of the field.

Finding that name happens after the fast reading has failed; it takes time and memory in proportion
to the body, and of a large body the byte alone is told.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET

from compagnon.serving import schemas
from compagnon.serving.errors import WHOLE, ApiError, unprocessable

# Up to here the entry that is wrong is looked for in Python; a decoder names the byte anyhow.
NAMED_BYTES: Final = 50_000

_T = TypeVar("_T")
_decide = msgspec.json.Decoder(schemas.DecideRequest)
_batch = msgspec.json.Decoder(schemas.BatchRequest)
_outcome = msgspec.json.Decoder(schemas.OutcomeRequest)


def read_decide(body: bytes) -> schemas.DecideRequest:
    """Read the body of one decision.

    Raises:
        ApiError: 422, with the field.
    """
    return _checked(_read(_decide, body))


def read_batch(body: bytes) -> list[schemas.DecideRequest]:
    """Read the body of a batch; 1 to `schemas.MAX_BATCH` decisions, no id twice.

    Raises:
        ApiError: 422, with the field.
    """
    return _checked_all(_read(_batch, body).decisions)


def _checked_all(decisions: list[schemas.DecideRequest]) -> list[schemas.DecideRequest]:
    if not 1 <= len(decisions) <= schemas.MAX_BATCH:
        raise unprocessable(
            "decisions",
            f"a batch holds 1 to {schemas.MAX_BATCH:,} decisions, not {len(decisions):,}",
        )
    seen: set[str] = set()
    for place, request in enumerate(decisions):
        try:
            _checked(request)
        except ApiError as refusal:
            raise refusal.under(f"decisions[{place}]") from None
        if request.reasons is not UNSET:
            raise unprocessable(
                f"decisions[{place}].reasons", "reasons are given for one decision at a time"
            )
        if request.id is not UNSET:
            if request.id in seen:
                raise unprocessable(f"decisions[{place}].id", f"{request.id} stands there twice")
            seen.add(request.id)
    return decisions


def read_outcome(body: bytes) -> schemas.OutcomeRequest:
    """Read the body of an outcome.

    Raises:
        ApiError: 422, with the field.
    """
    return _read(_outcome, body)


def check_id(text: str, field: str = "id") -> str:
    """A decision's id, or 422."""
    if not schemas.ID.match(text):
        raise unprocessable(
            field, "an id is 1 to 64 letters, digits and . _ : - and begins with a letter or digit"
        )
    return text


def check_name(text: str, field: str = "name") -> str:
    """An outcome's name, or 422."""
    if not schemas.NAME.match(text):
        raise unprocessable(
            field, "a name is 1 to 64 letters, digits and . _ - and begins with a letter or digit"
        )
    return text


def _checked(request: schemas.DecideRequest) -> schemas.DecideRequest:
    if request.id is not UNSET:
        check_id(request.id)
    for name in ("key", "episode"):
        if "\x00" in getattr(request, name):
            raise unprocessable(name, "it may not hold the character of code 0")
    return request


def _read(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise explain(error, body) from None
    except RecursionError:
        raise too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        path = _not_finite(body)
        if path is not None:
            raise unprocessable(path, "it is no finite number, which JSON does not know") from None
        raise unprocessable(WHOLE, f"it is not JSON ({error})") from None


def too_deep(field: str = WHOLE) -> ApiError:
    """The refusal of what is nested deeper than can be read."""
    return unprocessable(field, "it is nested too deeply")


_AT: Final = " - at `"
_NAMED = re.compile(r"(?:unknown|missing required) field `(.*)`", re.DOTALL)
Step = str | int


def explain(error: msgspec.ValidationError, body: bytes | msgspec.Raw) -> ApiError:
    """The refusal for what a decoder found wrong: its sentence, and the field by name."""
    said, path = _parted(str(error))
    named = _NAMED.search(said)
    if named:
        path = f"{path}.{named[1]}" if path else named[1]
    elif path.endswith("[...]"):
        path = _culprit(path.removesuffix("[...]"), body)
    return unprocessable(path or WHOLE, said.replace("`", ""))


def _parted(message: str) -> tuple[str, str]:
    """A decoder's message -> its sentence and the path that it ends with, or an empty one.

    The path names fields of ours alone, so that the last mark begins it: what a client wrote stands
    in the sentence, and may look like anything.
    """
    said, mark, path = message.rpartition(_AT)
    path = path.removeprefix("key in ")
    whole = path.startswith("$") and path.find("`") == len(path) - 1
    if not mark or not whole or (_NAMED.search(message) and not _NAMED.search(said)):
        return message, ""
    return said, path[1:-1].lstrip(".")


def _culprit(path: str, body: bytes | msgspec.Raw) -> str:
    """Which entry of the list or mapping at `path` is no finite number."""
    if len(body) > NAMED_BYTES:
        return path
    try:
        value = json.loads(bytes(body))
        for step in re.findall(r"[^.\[\]]+", path):
            value = value[int(step)] if isinstance(value, list) else value[step]
        for step, item in _entries(value):
            number = isinstance(item, int | float) and not isinstance(item, bool)
            if not number or not abs(item) <= sys.float_info.max:
                return path + _in_words([step])
    except (RecursionError, LookupError, ValueError, TypeError):
        pass
    return path


def _not_finite(body: bytes) -> str | None:
    """Where the first NaN or infinity stands in what is JSON but for that; None for no such.

    Only the way to where it is now is kept, and put into words once: a body of many zeros under a
    long name costs no more than its own length.
    """
    if len(body) > NAMED_BYTES:
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    way: list[Step] = []
    waiting = [iter(_entries([value]))]
    while waiting:
        for step, item in waiting[-1]:
            if isinstance(item, float):
                if item - item != 0:
                    return _in_words([*way, step][1:]).lstrip(".") or WHOLE
            elif isinstance(item, dict | list):
                way.append(step)
                waiting.append(iter(_entries(item)))
                break
        else:
            waiting.pop()
            if way:
                way.pop()
    return None


def _entries(value: Any) -> Iterable[tuple[Step, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def _in_words(way: Sequence[Step]) -> str:
    """``.state.rides[3]``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in way)
