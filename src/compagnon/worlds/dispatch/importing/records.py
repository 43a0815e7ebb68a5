"""What one row of bookings or drivers says, checked: windows, seats, links within the row alone."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final

from compagnon.worlds.dispatch.generator import ALIGHTING, BOARDING
from compagnon.worlds.dispatch.importing.clock import midnight_of, minute_of, moment
from compagnon.worlds.dispatch.importing.parsers import Point, RowParser
from compagnon.worlds.dispatch.instance_checks import LATEST_MINUTE
from compagnon.worlds.dispatch.instance_parts import FOLD_SEATS, SEAT_TYPES

PLACES: Final = ("pickup", "dropoff")
WINDOWS: Final = ("pickup_from", "pickup_to", "dropoff_from", "dropoff_to")
BOOKING_NEEDS: Final = ("id", "pickup_lat", "pickup_lon", "dropoff_lat", "dropoff_lon", "seats")
BOOKING_COLUMNS: Final = (
    *BOOKING_NEEDS, "date", *WINDOWS, "boarding", "alighting", "max_ride", "priority", "booked_at",
    "returns_from", "no_show", "cancelled_at", "boarding_delay", "alighting_delay",
    "pickup_place", "dropoff_place", "needs", "alone",
)  # fmt: skip
BOOKING_TIMES: Final = (*WINDOWS, "booked_at", "cancelled_at")
DRIVER_NEEDS: Final = ("id", "shift_start", "shift_end", "start_lat", "start_lon", "seats")
DRIVER_COLUMNS: Final = (
    *DRIVER_NEEDS, "date", "end_lat", "end_lon", "break_from", "break_to", "break_minutes",
    "start_place", "end_place", "skills", "fold", "fold_seats", "break2_from", "break2_to",
    "break2_minutes",
)  # fmt: skip
DRIVER_TIMES: Final = (
    "shift_start", "shift_end", "break_from", "break_to", "break2_from", "break2_to"
)  # fmt: skip
_QUOTED: Final = ("seats", *WINDOWS, "booked_at", "max_ride", "returns_from", "needs")
_WHEELCHAIR: Final = SEAT_TYPES.index("wheelchair")
_DAY_RIGHT: Final = "a time within the day, or in the night after it"


@dataclass(frozen=True, slots=True)
class BookingRow:
    """One booking; minutes count from midnight of `day`, NaN in `max_ride` means the default.

    What was known or cancelled before the day has a minute below 0; in advance is -inf.
    """

    line: int
    key: str
    day: date
    dated: bool  # the day is written; otherwise it is that of the first time
    ends: tuple[Point, Point]
    places: tuple[str, str]
    windows: tuple[float, float, float, float]
    load: tuple[int, ...]
    boarding: float
    alighting: float
    max_ride: float
    priority: int
    announce: float
    returns_from: str
    no_show: bool
    cancel: float
    delays: tuple[float, float]
    given: Mapping[str, str]  # the cells that faults may quote
    midnight: datetime  # that the day begins with, in the zone that counts
    needs: tuple[str, ...] = ()
    alone: bool = False

    def on_the_day_before(self) -> "BookingRow":
        """The same ride as one of the night that the day before ends with."""
        before = midnight_of(self.day - timedelta(days=1), self.midnight)
        apart = minute_of(self.midnight, before.date())
        begin, until, arrive, latest = (minute + apart for minute in self.windows)
        return replace(
            self, day=self.day - timedelta(days=1), windows=(begin, until, arrive, latest),
            announce=self.announce + apart, cancel=self.cancel + apart, midnight=before,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DriverRow:
    """One shift of a driver; minutes count from midnight of `day`.

    A pause begins between two minutes, and lasts so many; 0 for none.
    """

    line: int
    key: str
    day: date
    ends: tuple[Point, Point]
    places: tuple[str, str]
    shift: tuple[float, float]
    pause: tuple[float, float, float]
    seats: tuple[int, ...]
    given: str = ""  # the cell of shift_start, which faults may quote
    skills: tuple[str, ...] = ()
    fold: int = 0
    fold_seats: int = FOLD_SEATS
    pause2: tuple[float, float, float] = (0.0, 0.0, 0.0)


def parse_booking(reader: RowParser) -> BookingRow | None:
    """The booking of one row; None if any of its fields is at fault."""
    key = _key(reader)
    ends = reader.point("pickup"), reader.point("dropoff")
    load = reader.seats("seats")
    day = reader.date("date")
    times = _booking_times(reader, day)
    if not reader.good:
        return None
    known = [when for name in WINDOWS if (when := times[name]) is not None]
    dated = day is not None
    if times["pickup_to"] is None and times["dropoff_to"] is None:
        reader.refuse("pickup_to", "no window ends", "give pickup_to or dropoff_to")
        return None
    day = day or known[0].date()
    windows = _windows(reader, times, day)
    announce = _minute(times["booked_at"], day, -math.inf)
    # Windows may end after the last ride that can be asked for; a call after them is no booking.
    if announce > min(windows[1], windows[3]):
        reader.refuse("booked_at", "is after the window's end", "a time before the ride")
    kind = next((k for k in range(3) if load[k]), 0)
    row = BookingRow(
        line=reader.row.line,
        key=key,
        day=day,
        dated=dated,
        ends=ends,
        places=(reader.cell("pickup_place"), reader.cell("dropoff_place")),
        windows=windows,
        load=load,
        boarding=reader.number("boarding", 0, 240, float(BOARDING[kind])),
        alighting=reader.number("alighting", 0, 240, float(ALIGHTING[kind])),
        max_ride=reader.number("max_ride", 0, 1440, math.nan),
        priority=reader.whole("priority", 1, 5, 3),
        announce=announce,
        returns_from=reader.cell("returns_from"),
        no_show=reader.truth("no_show"),
        cancel=_minute(times["cancelled_at"], day, math.inf),
        delays=_delays(reader),
        given={name: reader.cell(name) for name in _QUOTED},
        midnight=midnight_of(day, known[0]),
        needs=reader.skills("needs"),
        alone=reader.truth("alone"),
    )  # fmt: skip
    return row if reader.good else None


def parse_driver(reader: RowParser) -> DriverRow | None:
    """The shift of one row; None if any of its fields is at fault."""
    key = _key(reader)
    start = reader.point("start")
    has_end = bool(reader.cell("end_lat") or reader.cell("end_lon"))
    ends = start, reader.point("end") if has_end else start
    seats = reader.seats("seats")
    for name in ("shift_start", "shift_end"):
        if not reader.cell(name):
            reader.refuse(
                name, "is empty: the driver has no shift", "when the shift begins and ends"
            )
    day = reader.date("date")
    begin = reader.time("shift_start", day)
    end = reader.time("shift_end", day, begin, hours=20)
    times: dict[str, datetime | None] = {}
    for which in ("break", "break2"):
        rest = reader.time(f"{which}_from", day, begin, hours=20)
        times[f"{which}_from"] = rest
        times[f"{which}_to"] = reader.time(f"{which}_to", day, rest or begin, hours=20)
    if not reader.good or begin is None or end is None:
        return None
    day = day or begin.date()
    shift = minute_of(begin, day), minute_of(end, day)
    if shift[1] <= shift[0]:
        reader.refuse("shift_end", "is not after shift_start", "a later time")
    elif shift[0] < 0 or shift[1] > LATEST_MINUTE:
        reader.refuse("shift_end", f"is not a shift of {day}", _DAY_RIGHT)
    if not reader.good:
        return None
    pause = _pause(reader, times, day, shift, "break")
    pause2 = _pause(reader, times, day, shift, "break2")
    _check_order(reader, pause, pause2)
    places = reader.cell("start_place"), reader.cell("end_place") or reader.cell("start_place")
    given = reader.cell("shift_start")
    row = DriverRow(
        reader.row.line, key, day, ends, places, shift, pause, seats, given,
        skills=reader.skills("skills"),
        fold=reader.whole("fold", 0, seats[_WHEELCHAIR], 0),
        fold_seats=reader.whole("fold_seats", 0, 100, FOLD_SEATS),
        pause2=pause2,
    )  # fmt: skip
    return row if reader.good else None


def _booking_times(reader: RowParser, day: date | None) -> dict[str, datetime | None]:
    """The times of a booking; one without a day of its own comes after those before it."""
    begin, until = _around(
        reader, "pickup", reader.time("pickup_time", day),
        reader.time("pickup_from", day), lambda after: reader.time("pickup_to", day, after),
    )  # fmt: skip
    arrive, latest = _around(
        reader, "dropoff", reader.time("dropoff_time", day, begin or until),
        reader.time("dropoff_from", day, begin or until),
        lambda after: reader.time("dropoff_to", day, after or begin or until),
    )  # fmt: skip
    return {
        "pickup_from": begin,
        "pickup_to": until,
        "dropoff_from": arrive,
        "dropoff_to": latest,
        "booked_at": reader.time("booked_at", day),
        "cancelled_at": reader.time("cancelled_at", day),
    }


def _around(
    reader: RowParser,
    end: str,
    when: datetime | None,
    begin: datetime | None,
    until: Callable[[datetime | None], datetime | None],
) -> tuple[datetime | None, datetime | None]:
    """The window at one end: as it is written, and where it is not, around the one time."""
    if when is None:
        return begin, until(begin)
    if end not in reader.tolerance:
        right = f"minutes around it, such as --tolerance {end}=15"
        reader.refuse(f"{end}_time", "is one time, and no window", right)
        return begin, None
    before, after = (timedelta(minutes=minutes) for minutes in reader.tolerance[end])
    begin = begin or _shifted(when, -before)
    return begin, until(begin) or _shifted(when, after)


def _shifted(when: datetime, by: timedelta) -> datetime:
    """So much earlier or later in time that passes, also when clocks change."""
    there = moment(when) + by
    return there if when.tzinfo is None else there.astimezone(when.tzinfo)


def _delays(reader: RowParser) -> tuple[float, float]:
    return reader.number("boarding_delay", 0, 240, 0), reader.number("alighting_delay", 0, 240, 0)


def _key(reader: RowParser) -> str:
    key = reader.cell("id")
    if not key:
        reader.refuse("id", "is empty", "a number or word that no other row has")
    return key


def _minute(when: datetime | None, day: date, missing: float) -> float:
    return missing if when is None else minute_of(when, day)


def _windows(
    reader: RowParser, times: Mapping[str, datetime | None], day: date
) -> tuple[float, float, float, float]:
    missing = (-math.inf, math.inf, -math.inf, math.inf)
    found = [_minute(times[name], day, none) for name, none in zip(WINDOWS, missing, strict=True)]
    for name, minute in zip(WINDOWS, found, strict=True):
        if math.isfinite(minute) and not -LATEST_MINUTE / 2 <= minute <= LATEST_MINUTE:
            reader.refuse(name, f"does not belong to {day}", _DAY_RIGHT)
    for k, end in enumerate(PLACES):
        begin, finish = found[2 * k], found[2 * k + 1]
        if finish < begin:
            right = f"a time after {end}_from, {reader.cell(f'{end}_from')}"
            reader.refuse(f"{end}_to", "ends the window before it begins", right)
    if found[3] < found[0]:
        right = f"a time after pickup_from, {reader.cell('pickup_from')}"
        reader.refuse("dropoff_to", "is before the pickup", right)
    return found[0], found[1], found[2], found[3]


def _pause(
    reader: RowParser,
    times: Mapping[str, datetime | None],
    day: date,
    shift: tuple[float, float],
    which: str,
) -> tuple[float, float, float]:
    minutes = reader.number(f"{which}_minutes", 0, 480, 0)
    if not minutes:
        nothing = shift[0] if which == "break" else 0.0
        return nothing, nothing, 0.0
    begin = _minute(times[f"{which}_from"], day, shift[0])
    until = _minute(times[f"{which}_to"], day, shift[1] - minutes)
    if not shift[0] <= begin <= until or until + minutes > shift[1]:
        right = "a break that begins and ends within the shift"
        reader.refuse(f"{which}_from", "is not a break within the shift", right)
    return begin, until, minutes


def _check_order(
    reader: RowParser, first: tuple[float, float, float], second: tuple[float, float, float]
) -> None:
    """The second break comes after the first, and leaves time for it."""
    if not second[2]:
        return
    if not first[2]:
        right = "the minutes of the first break in break_minutes"
        reader.refuse("break2_minutes", "is a second break without a first", right)
    elif second[0] < first[0] or second[1] < first[1] + first[2]:
        right = "a second break that begins, and may begin, after the first"
        reader.refuse("break2_from", "is not after the first break", right)
