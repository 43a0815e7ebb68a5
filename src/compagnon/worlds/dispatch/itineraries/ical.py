"""An itinerary as an iCalendar file (RFC 5545): one event a stop.

Times are in UTC where the day's zone is known, and floating (the clock on the wall) where it is
not, so that no description of a time zone has to go with them.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from compagnon.version import __version__
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.itineraries import played
from compagnon.worlds.dispatch.itineraries.clock import Calendar
from compagnon.worlds.dispatch.itineraries.names import Names
from compagnon.worlds.dispatch.itineraries.played import Itinerary, Stop

WIDTH: Final = 75  # octets of a line, section 3.1
_ESCAPED: Final = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n", "\r": ""})
_SAID: Final = {
    played.PICKUP: "Pick up", played.DROPOFF: "Drop off", played.NOBODY: "Nobody there",
    played.BREAK: "Break", played.START: "Shift begins", played.END: "Shift ends",
}  # fmt: skip


def to_ical(
    itinerary: Itinerary, day: Instance, names: Names, calendar: Calendar, stamp: datetime
) -> str:
    """The calendar of one driver's day.

    Args:
        stamp: when it is made.
    """
    driver = names.driver(day, itinerary.driver)
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:-//Compagnon//Dispatch {__version__}//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{escape(f'{driver} {calendar.day.isoformat()}')}",
    ]
    for number, stop in enumerate(itinerary.stops):
        lines += _event(stop, f"{day.name}/{driver}/{number}", day, names, calendar, stamp)
    return "".join(f"{part}\r\n" for line in (*lines, "END:VCALENDAR") for part in fold(line))


def _event(
    stop: Stop, key: str, day: Instance, names: Names, calendar: Calendar, stamp: datetime
) -> list[str]:
    said = _SAID[stop.kind]
    if stop.booking >= 0:
        said += f" {names.booking(day, stop.booking)}"
    seats = played.seats_text(stop.load)
    lines = [
        "BEGIN:VEVENT",
        f"UID:{sha256(key.encode()).hexdigest()[:32]}@compagnon",
        f"DTSTAMP:{stamp.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        f"DTSTART:{_moment(stop.begins, calendar)}",
        f"DTEND:{_moment(max(stop.ends, stop.begins + 1.0), calendar)}",
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
    utc = calendar.utc(minute)
    if utc is not None:
        return f"{utc:%Y%m%dT%H%M%SZ}"
    return f"{calendar.time(minute):%Y%m%dT%H%M%S}"


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
