"""A time zone as iCalendar describes it (RFC 5545, section 3.6.5): its clock around a few days.

A calendar that is told `08:15` in Zurich, and what Zurich's clock is, shows a driver's stop at the
right hour wherever it is opened, and still as that of Zurich.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_LONG_AGO = datetime(1970, 1, 1)
_DAYS_BEFORE = 400  # the last change of a zone that changes its clocks at all lies within them


def vtimezone(zone: ZoneInfo, first: datetime, last: datetime) -> list[str]:
    """The lines of a VTIMEZONE that holds from one moment to another.

    It has the change of clocks that came before the first moment (or none, for a zone without), and
    all between the two.
    """
    lines = ["BEGIN:VTIMEZONE", f"TZID:{zone.key}"]
    before = list(changes(zone, first - timedelta(days=_DAYS_BEFORE), first))[-1:]
    if not before:
        there = first.astimezone(zone)
        offset = _offset(zone, first)
        lines += _observance(there, _LONG_AGO, offset, offset)
    for onset in (*before, *changes(zone, first, last)):
        old, new = _offset(zone, onset - timedelta(seconds=1)), _offset(zone, onset)
        # Its begin is by the clock that is about to be put forward or back.
        lines += _observance(onset.astimezone(zone), onset + old, old, new)
    return [*lines, "END:VTIMEZONE"]


def changes(zone: ZoneInfo, first: datetime, last: datetime) -> Iterator[datetime]:
    """The moments after the first, up to the last, at which the clock is put forward or back."""
    low = first.astimezone(UTC)
    while low < last:
        high = min(low + timedelta(days=1), last.astimezone(UTC))
        if _offset(zone, low) != _offset(zone, high):
            yield _found(zone, low, high)
        low = high


def _found(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The second from which on the clock is that of `high`."""
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if _offset(zone, middle) == _offset(zone, low):
            low = middle
        else:
            high = middle
    return high


def _observance(there: datetime, begins: datetime, old: timedelta, new: timedelta) -> list[str]:
    kind = "DAYLIGHT" if there.dst() else "STANDARD"
    return [
        f"BEGIN:{kind}",
        f"DTSTART:{begins:%Y%m%dT%H%M%S}",
        f"TZOFFSETFROM:{_shown(old)}",
        f"TZOFFSETTO:{_shown(new)}",
        f"TZNAME:{there.tzname()}",
        f"END:{kind}",
    ]


def _offset(zone: ZoneInfo, when: datetime) -> timedelta:
    offset = when.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _shown(offset: timedelta) -> str:
    sign, seconds = "-" if offset < timedelta() else "+", round(abs(offset).total_seconds())
    shown = f"{sign}{seconds // 3600:02d}{seconds // 60 % 60:02d}"
    return shown + (f"{seconds % 60:02d}" if seconds % 60 else "")
