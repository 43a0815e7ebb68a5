"""Times of a file on one clock: ISO 8601, all with a time zone, or all without and a zone given."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from compagnon.errors import InputError

RIGHT: Final = "2026-03-02T08:15+01:00"
_ISO = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,6})?)?(?P<zone>Z|[+-]\d\d:?\d\d)?",
    re.IGNORECASE,
)


class WrongTimeError(ValueError):
    """A time that cannot be used: what is wrong, and what would be right."""

    def __init__(self, fault: str, right: str) -> None:
        super().__init__(fault)
        self.fault, self.right = fault, right


def find_zone(name: str) -> ZoneInfo | None:
    """The time zone of that name; None for no name.

    Raises:
        InputError: there is no such zone.
    """
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise InputError(
            f"--zone {name}: no such time zone; give one such as Europe/Zurich"
        ) from None


@dataclass(frozen=True, slots=True)
class Clock:
    """How the times of the files are read.

    Attributes:
        zone: the zone that times are turned into, or that times without one are in.
        zoned: whether most times have a zone of their own.
    """

    zone: ZoneInfo | None
    zoned: bool

    @classmethod
    def of(cls, texts: Iterable[str], zone: ZoneInfo | None) -> "Clock":
        """The clock that most times are on.

        Raises:
            InputError: times have different offsets, and no zone says whose clock counts.
        """
        offsets: Counter[str] = Counter()
        for text in texts:
            match = _ISO.fullmatch(text)
            if match:
                offsets[_offset(match["zone"])] += 1
        local = offsets.pop("", 0)
        if len(offsets) > 1 and zone is None:
            raise InputError(
                f"times have several offsets ({', '.join(sorted(offsets))}); give the zone whose "
                "clock counts, such as --zone Europe/Zurich"
            )
        return cls(zone, offsets.total() >= local and bool(offsets))

    def read(self, text: str) -> datetime:
        """The time on the clock, without a zone.

        Raises:
            WrongTimeError: it is not on the file's clock.
        """
        match = _ISO.fullmatch(text)
        if not match:
            raise WrongTimeError("is not in the format of ISO 8601", f"write it as {RIGHT}")
        zoned = match["zone"] is not None
        if not zoned and self.zoned:
            raise WrongTimeError("has no time zone, where other rows have one", f"such as {RIGHT}")
        if not zoned and self.zone is None:
            raise WrongTimeError("has no time zone", f"write it as {RIGHT}, or give --zone")
        if zoned and not self.zoned:
            raise WrongTimeError("has a time zone, where other rows have none", "use one format")
        try:
            found = datetime.fromisoformat(text.upper().replace(",", "."))
        except ValueError:
            raise WrongTimeError("is not a day of the calendar", f"write it as {RIGHT}") from None
        if not 1900 <= found.year <= 2200:
            raise WrongTimeError("is a year that cannot be", f"write it as {RIGHT}")
        return self._on_the_clock(found)

    def _on_the_clock(self, found: datetime) -> datetime:
        if self.zone is None:
            return found.replace(tzinfo=None)
        if found.tzinfo is not None:
            return found.astimezone(self.zone).replace(tzinfo=None)
        there = found.replace(tzinfo=self.zone).astimezone(UTC).astimezone(self.zone)
        if there.replace(tzinfo=None) != found:
            raise WrongTimeError("does not exist: the clocks skip it that day", "give another time")
        return found


def minute_of(when: datetime, day: date) -> float:
    """Minutes since midnight of `day`, by the clock on the wall."""
    return (when - datetime.combine(day, time())).total_seconds() / 60.0


def _offset(zone: str | None) -> str:
    if zone is None:
        return ""
    return "+00:00" if zone in "Zz" else f"{zone[:3]}:{zone[-2:]}"
