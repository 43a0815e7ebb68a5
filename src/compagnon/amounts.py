"""Amounts of work as people write them: times such as 25s and 5m, or steps such as 2e6."""

import math
from datetime import UTC, datetime
from typing import Final, NamedTuple

from compagnon.errors import InputError

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Budget(NamedTuple):
    """A time in seconds, or a number of environment steps; the other one is None."""

    seconds: float = math.nan
    steps: int | None = None


def read_budget(text: str, option: str) -> Budget:
    """``25s``, ``5m``, ``5h`` and ``2d`` are times; ``2e6`` or ``1000 steps`` is steps.

    Raises:
        InputError: it is neither, or not above 0.
    """
    words, steps = text.lower().strip(), ""
    if words.endswith("steps"):
        words, steps = words.removesuffix("steps"), "steps"
    unit = None if steps else _SECONDS.get(words[-1:])
    try:
        value = float(words if unit is None else words[:-1])
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf or (unit is None and not 1 <= value <= 2**53):
        raise InputError(
            f"{option} {text}: give a time such as 25s, 5m or 5h, or steps such as 2e6"
        )
    return Budget(steps=int(value)) if unit is None else Budget(value * unit)


def read_moment(text: str, option: str) -> float:
    """Seconds since 1970 of ``2026-03-02``, ``2026-03-02T06:00`` (UTC), with an offset, or as such.

    Raises:
        InputError: it is no moment.
    """
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=found.tzinfo or UTC).timestamp()
    except ValueError:
        pass
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= 1e11:
        raise InputError(f"{option} {text}: give a day such as 2026-03-02, or 2026-03-02T06:00")
    return seconds


def read_time(text: str, option: str) -> float:
    """Seconds, in the words of `read_budget`.

    Raises:
        InputError: it is no time.
    """
    try:
        found = read_budget(text, option)
    except InputError:
        found = Budget(steps=0)
    if found.steps is not None:
        raise InputError(f"{option} {text}: give a time such as 90s, 20m, 2h or 7d")
    return found.seconds
