"""What a number in a cell of a spreadsheet says: a number, a moment, or time that passes."""

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final

NUMBER, MOMENT, DURATION = range(3)
_DAY: Final = 86_400
# Day 60 is a 29th of February that 1900 did not have; days after it count from here.
_1900, _1904 = date(1899, 12, 30), date(1904, 1, 1)
_FEBRUARY: Final = 60


@lru_cache(maxsize=1 << 16)
def number_text(text: str, kind: int, since_1904: bool) -> str:
    """A number as people write it: with a decimal point, or as ISO 8601, or as hours and minutes.

    Args:
        text: as it stands in the file; what is no number stays as it is.
    """
    try:
        value = float(text)
    except ValueError:
        return text
    if kind == MOMENT:
        return _moment(value, since_1904) or _plain(text, value)
    if kind == DURATION and value >= 0:
        minutes = round(value * 1440)
        return f"{minutes // 60:02d}:{minutes % 60:02d}"
    return _plain(text, value)


def moment_text(text: str) -> str:
    """A moment that is written as ISO 8601, to the second; midnight is a day."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    found = (found + timedelta(milliseconds=500)).replace(microsecond=0)
    day_alone = found.tzinfo is None and not (found.hour or found.minute or found.second)
    return found.date().isoformat() if day_alone else found.isoformat()


def _plain(text: str, value: float) -> str:
    if text.lstrip("-").isdecimal():
        return text
    return str(int(value)) if value.is_integer() else repr(value)


def _moment(value: float, since_1904: bool) -> str:
    """The day, the time, or both; empty for a number that is none of them.

    A spreadsheet knows no days: its days are midnights, and its times are off by some micros.
    """
    if not 0 <= value < 4_000_000:
        return ""
    days, seconds = divmod(round(value * _DAY), _DAY)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    if value < 1:
        return "23:59:59" if days else clock
    if days < _FEBRUARY and not since_1904:
        days += 1
    try:
        day = ((_1904 if since_1904 else _1900) + timedelta(days=days)).isoformat()
    except OverflowError:
        return ""
    return f"{day}T{clock}" if seconds else day
