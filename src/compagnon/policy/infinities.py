"""JSON has no infinities, and a range without an end has one: they are written as words."""

import math
from typing import Any, Final

_INFINITIES: Final = {"Infinity": math.inf, "-Infinity": -math.inf}


def without_infinities(value: Any) -> Any:
    """A tree for JSON with each infinity as the word that a manifest is read from again."""
    if isinstance(value, dict):
        return {key: without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_infinities(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def with_infinities(value: Any) -> Any:
    """The tree that `without_infinities` was given."""
    if isinstance(value, dict):
        return {key: with_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_infinities(item) for item in value]
    return _INFINITIES.get(value, value) if isinstance(value, str) else value
