"""An itinerary as an iCalendar file (RFC 5545): one event a stop.

Times are those of the day's zone where it is known, with a description of its clock, and floating
(the clock on the wall) where it is not.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from compagnon.version import __version__
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.itineraries.clock import Calendar
from compagnon.worlds.dispatch.itineraries.names import Names
from compagnon.worlds.dispatch.itineraries.played import Itinerary, Stop
from compagnon.worlds.dispatch.itineraries.vtimezone import vtimezone
from compagnon.worlds.dispatch.itineraries.words import WORDS, Language, Words

WIDTH: Final = 75  # octets of a line, section 3.1
_ESCAPED: Final = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n", "\r": ""})


def to_ical(
    itinerary: Itinerary,
    day: Instance,
    names: Names,
    calendar: Calendar,
    stamp: datetime,
    language: Language = "en",
) -> str:
    """The calendar of one driver's day.

    Args:
        stamp: when it is made.
    """
    driver = names.driver(day, itinerary.driver)
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:-//Compagnon//Dispatch {__version__}//{language.upper()}",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{escape(f'{driver} {calendar.day.isoformat()}')}",
    ]
    if calendar.zone is not None:
        first, last = itinerary.stops[0].begins, itinerary.stops[-1].ends
        lines += vtimezone(calendar.zone, calendar.time(first), calendar.time(last + 1.0))
    for number, stop in enumerate(itinerary.stops):
        key = f"{day.name}/{driver}/{number}"
        lines += _event(stop, key, day, names, calendar, stamp, WORDS[language])
    return "".join(f"{part}\r\n" for line in (*lines, "END:VCALENDAR") for part in fold(line))


def _event(
    stop: Stop,
    key: str,
    day: Instance,
    names: Names,
    calendar: Calendar,
    stamp: datetime,
    words: Words,
) -> list[str]:
    said = words.stops[stop.kind]
    if stop.booking >= 0:
        said += f" {names.booking(day, stop.booking)}"
    seats = words.load(stop.load)
    lines = [
        "BEGIN:VEVENT",
        f"UID:{sha256(key.encode()).hexdigest()[:32]}@compagnon",
        f"DTSTAMP:{stamp.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        f"DTSTART{_moment(stop.begins, calendar)}",
        f"DTEND{_moment(max(stop.ends, stop.begins + 1.0), calendar)}",
        f"SUMMARY:{escape(said)}",
    ]
    if seats:
        lines.append(f"DESCRIPTION:{escape(seats)}")
    if stop.place >= 0:
        lines.append(f"LOCATION:{escape(names.place(day, stop.place))}")
        if day.travel.kind != "plane":
            lat, lon = (float(v) for v in day.travel.coordinates[stop.place])
            lines.append(f"GEO:{lat:.6f};{lon:.6f}")
    return [*lines, "TRANSP:OPAQUE", "END:VEVENT"]


def _moment(minute: float, calendar: Calendar) -> str:
    """A time, from behind the property's name on."""
    when = calendar.time(minute)
    if calendar.zone is None:
        return f":{when:%Y%m%dT%H%M%S}"
    if when.fold:  # the clock shows it for the second time, and would be taken for the first
        return f":{when.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    return f";TZID={calendar.zone.key}:{when:%Y%m%dT%H%M%S}"


def escape(text: str) -> str:
    """A text as a value, section 3.3.11."""
    plain = "".join(one for one in text if one >= " " or one == "\n")
    return plain.translate(_ESCAPED)


def fold(line: str) -> Iterable[str]:
    """A line of at most 75 octets and its continuations, never through a character."""
    part, room = "", WIDTH
    for one in line:
        size = len(one.encode())
        if size > room:
            yield part
            part, room = " ", WIDTH - 1
        part, room = part + one, room - size
    yield part


def default_stamp() -> datetime:
    """Now, to the second."""
    return datetime.now(UTC).replace(microsecond=0)
