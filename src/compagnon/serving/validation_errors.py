"""Which field of a body is wrong: it is looked for after the fast reading has failed.

That takes time and memory in proportion to the body, and of a large body the byte alone is told.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from compagnon.serving.errors import WHOLE, ApiError, unprocessable

# Up to here the entry that is wrong is looked for in Python; a decoder names the byte anyhow.
NAMED_BYTES: Final = 50_000


def explain_text(error: Exception, body: bytes) -> ApiError:
    """The refusal of what is no JSON."""
    path = _not_finite(body)
    if path is not None:
        return unprocessable(path, "it is no finite number, which JSON does not know")
    return unprocessable(WHOLE, f"it is not JSON ({error})")


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
