"""Times of a file on one clock: all with a time zone, or all without and a zone given."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from compagnon.errors import InputError
from compagnon.spreadsheets import When, month_comes_first, when_of

RIGHT: Final = "2026-03-02T08:15+01:00"


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
        month_first: whether `3/2/2026` is the second of March.
    """

    zone: ZoneInfo | None
    zoned: bool
    month_first: bool = False

    @classmethod
    def of(cls, texts: Sequence[str], zone: ZoneInfo | None) -> "Clock":
        """The clock that most times are on.

        Raises:
            InputError: times have different offsets, and no zone says whose clock counts.
        """
        month_first = month_comes_first(texts)
        offsets: Counter[str] = Counter()
        for text, times in Counter(texts).items():
            found = _known(text, month_first)
            if found is not None and found.clock is not None:
                offsets[_offset(found.zone)] += times
        local = offsets.pop("", 0)
        if len(offsets) > 1 and zone is None:
            raise InputError(
                f"times have several offsets ({', '.join(sorted(offsets))}); give the zone whose "
                "clock counts, such as --zone Europe/Zurich"
            )
        return cls(zone, offsets.total() >= local and bool(offsets), month_first)

    def of_file(self, texts: Sequence[str]) -> "Clock":
        """The same for the times of one file, which may have zones where another has none.

        Without a zone that counts nothing would say how the two go together.
        """
        if self.zone is None:
            return self
        return replace(Clock.of(texts, self.zone), month_first=self.month_first)

    def day(self, text: str) -> date:
        """The day that a text says.

        Raises:
            WrongTimeError: it says none.
        """
        right = "a day such as 2026-03-02 or 02/03/2026"
        try:
            found = _when(text, self.month_first)
        except ValueError:
            raise WrongTimeError("is not a day of the calendar", right) from None
        if found is None or found.day is None:
            raise WrongTimeError("is not a day", right)
        if found.clock is not None and found.clock != time():  # a database's days have midnight
            raise WrongTimeError("is a time, not a day", right)
        return _in_range(found.day)

    def read(self, text: str, day: date | None = None) -> datetime:
        """The time on the clock: with the zone, if there is one, so that it is one moment.

        Args:
            day: of a time that has none of its own.

        Raises:
            WrongTimeError: it is not on the file's clock.
        """
        try:
            found = _when(text, self.month_first)
        except ValueError:
            right = f"write it as {RIGHT}"
            raise WrongTimeError("is not a day and time that there is", right) from None
        if found is None or found.clock is None:
            right = f"write it as {RIGHT}, 02/03/2026 08:15, or 08:15 beside a date"
            raise WrongTimeError("is not a time in a known form", right)
        if found.day is None and day is None:
            right = f"a column date, or the whole time, such as {RIGHT}"
            raise WrongTimeError("has no day", right)
        zoned = found.zone is not None
        if not zoned and self.zoned:
            raise WrongTimeError("has no time zone, where other rows have one", f"such as {RIGHT}")
        if not zoned and self.zone is None:
            raise WrongTimeError("has no time zone", f"write it as {RIGHT}, or give --zone")
        if zoned and not self.zoned:
            raise WrongTimeError("has a time zone, where other rows have none", "use one format")
        when = datetime.combine(_in_range(found.day or day or date.min), found.clock, found.zone)
        return self._on_the_clock(when)

    def lacks_day(self, text: str) -> bool:
        """Whether a text that was read is a time of the day alone."""
        found = _known(text, self.month_first)
        return found is not None and found.day is None

    def _on_the_clock(self, found: datetime) -> datetime:
        if self.zone is None:
            return found.replace(tzinfo=None)
        if found.tzinfo is not None:
            return found.astimezone(self.zone)
        there = found.replace(tzinfo=self.zone)
        if there.utcoffset() == there.replace(fold=1).utcoffset():
            return there  # no clock is put forward or back there
        if there.astimezone(UTC).astimezone(self.zone).replace(tzinfo=None) != found:
            raise WrongTimeError("does not exist: the clocks skip it that day", "give another time")
        return there


def moment(when: datetime) -> datetime:
    """What can be subtracted: times of one zone would be by what its clock shows."""
    return when if when.tzinfo is None else when.astimezone(UTC)


def second_time(when: datetime) -> datetime | None:
    """The other moment at which the clock shows the same, in the night when it is put back."""
    later = when.replace(fold=1)
    return later if when.tzinfo is not None and moment(later) > moment(when) else None


def midnight_of(day: date, like: datetime) -> datetime:
    """The midnight that a day begins with, in the zone of a time."""
    return datetime.combine(day, time(), like.tzinfo)


def minute_of(when: datetime, day: date) -> float:
    """Minutes that pass from the midnight of `day`, also in a night in which clocks change."""
    return (moment(when) - _begin(day, when.tzinfo)).total_seconds() / 60.0


@lru_cache(maxsize=4096)
def _begin(day: date, zone: tzinfo | None) -> datetime:
    """The moment that a day begins at."""
    return moment(datetime.combine(day, time(), zone))


def shown_at(minute: float, midnight: datetime) -> datetime:
    """What the clock shows so many minutes after a midnight."""
    there = moment(midnight) + timedelta(minutes=minute)
    return there if midnight.tzinfo is None else there.astimezone(midnight.tzinfo)


# Each cell is read twice, for the clock of the file and for the row, and many hold the same.
_when = lru_cache(maxsize=1 << 17)(when_of)


def _known(text: str, month_first: bool) -> When | None:
    try:
        return _when(text, month_first)
    except ValueError:
        return None


def _in_range(day: date) -> date:
    if not 1900 <= day.year <= 2200:
        raise WrongTimeError("is a year that cannot be", f"write it as {RIGHT}")
    return day


def _offset(zone: timezone | None) -> str:
    if zone is None:
        return ""
    minutes = round(zone.utcoffset(None).total_seconds() / 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
