"""When a stop is, on a calendar: the date of a day, and the zone whose clock its minutes are."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from compagnon.errors import InputError
from compagnon.worlds.dispatch.importing.clock import find_zone, shown_at
from compagnon.worlds.dispatch.instance import Instance


@dataclass(frozen=True)
class Calendar:
    """Turns minutes of a day into times.

    Attributes:
        zone: None for the clock on the wall, wherever that is.
    """

    day: date
    zone: ZoneInfo | None = None

    @classmethod
    def of(cls, day: Instance, given: date | None, zone: str) -> "Calendar":
        """That of a saved day, whose name is its date unless another is given.

        Raises:
            InputError: neither says a date, or there is no such zone.
        """
        try:
            when = given or date.fromisoformat(day.name)
        except ValueError:
            raise InputError(
                f"{day.name} is no date; say which day it is by --date, such as --date 2026-03-02"
            ) from None
        return cls(when, find_zone(zone))

    def time(self, minute: float) -> datetime:
        """The time at a minute, to the full minute before it: with the zone, if there is one."""
        return shown_at(float(int(minute // 1)), datetime.combine(self.day, time(), self.zone))

    def utc(self, minute: float) -> datetime | None:
        """The same in UTC; None without a zone."""
        return self.time(minute).astimezone(UTC) if self.zone else None

    def clock(self, minute: float) -> str:
        """`08:15`, with a plus a day for the night after."""
        shown = self.time(minute)
        days = (shown.date() - self.day).days
        return f"{shown:%H:%M}" + (f" +{days}" if days > 0 else "")
