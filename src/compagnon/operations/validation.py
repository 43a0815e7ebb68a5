"""What is wrong with a file that a person wrote, in a sentence: the key, and what it got."""

from collections.abc import Sequence

from pydantic import ValidationError

_MISSING, _UNKNOWN = "missing", ("unexpected_keyword_argument", "extra_forbidden")


def explain(error: ValidationError) -> str:
    """The first thing that is wrong."""
    first = error.errors()[0]
    where = ".".join(map(str, _written(first["loc"])))
    if first["type"] == "value_error":  # one of ours, which names its key
        return first["msg"].removeprefix("Value error, ")
    if first["type"] == _MISSING:
        return f"the key {where} is missing"
    if first["type"] in _UNKNOWN:
        return f"the key {where} is unknown; leave it out"
    return f"{where or 'tree'}: {first['msg']}, got {first.get('input')!r}"


def _written(place: Sequence[int | str]) -> Sequence[int | str]:
    """Without the kind of unit, by which pydantic finds its way and which nobody wrote."""
    return [*place[:1], *place[2:]] if tuple(place[:1]) == ("unit",) else place
