"""Writes days as the tables that the importer reads: for samples, and for spreadsheets."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from compagnon.errors import InputError
from compagnon.files import new_directory, write_file
from compagnon.worlds.dispatch.importing.records import BOOKING_COLUMNS, DRIVER_COLUMNS, WINDOWS
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.instance_parts import SEAT_TYPES, Travel

DatedDay = tuple[date, Instance]
_OFFSET: Final = "+01:00"
_RARE: Final = (
    "needs", "skills", "alone", "fold", "fold_seats", "break2_from", "break2_to", "break2_minutes",
)  # fmt: skip


def write_tables(days: Sequence[DatedDay], folder: Path, exact: bool = True) -> None:
    """Write ``bookings.csv``, ``drivers.csv`` and, for days with one, ``matrix.csv``.

    Args:
        days: each with its date; days with a matrix share it.
        exact: keep times to the microsecond and coordinates as they are; otherwise whole seconds
            and five decimals (about a metre).

    Raises:
        InputError: a day lies on a plane, which has no latitudes; or matrices differ; or the folder
            holds something.
    """
    first = days[0][1].travel
    for _, day in days:
        if day.travel.kind == "plane":
            raise InputError(f"{day.name}: a day on a plane has no latitudes to write")
        same = day.travel.minutes.tolist() == first.minutes.tolist()
        if day.travel.kind != first.kind or not same:
            raise InputError(f"{day.name}: its travel times are not those of {days[0][1].name}")
    write = _Writer(exact)
    used = _used(days)
    rides = (row for when, day in days for row in write.bookings(when, day))
    shifts = (row for when, day in days for row in write.drivers(when, day))
    with new_directory(folder) as fresh:
        write_file(fresh / "bookings.csv", _csv(_columns(BOOKING_COLUMNS, first, used), rides))
        write_file(fresh / "drivers.csv", _csv(_columns(DRIVER_COLUMNS, first, used), shifts))
        if first.kind == "matrix":
            write_file(fresh / "matrix.csv", _matrix(first))


def _matrix(travel: Travel) -> str:
    places = [_place(k) for k in range(travel.places)]
    tables = {"minutes": travel.minutes.tolist(), "km": travel.km.tolist()}
    rows = (
        {"measure": measure, "place": place, **dict(zip(places, row, strict=True))}
        for measure, table in tables.items()
        for place, row in zip(places, table, strict=True)
    )
    return _csv(("measure", "place", *places), rows)


class _Writer:
    def __init__(self, exact: bool) -> None:
        self.exact = exact

    def bookings(self, when: date, day: Instance) -> Iterable[dict[str, Any]]:
        b = day.bookings
        for k in range(len(b)):
            linked = int(b.linked_to[k])
            yield {
                "id": _ride(when, k),
                "date": when.isoformat(),
                **self._point(day, "pickup", int(b.pickup[k])),
                **self._point(day, "dropoff", int(b.dropoff[k])),
                **{name: self._time(when, float(getattr(b, name)[k])) for name in WINDOWS},
                "seats": _seats(b.load[k].tolist()),
                "boarding": self._number(b.boarding[k]),
                "alighting": self._number(b.alighting[k]),
                "max_ride": self._number(b.max_ride[k]),
                "priority": int(b.priority[k]),
                "booked_at": self._time(when, float(b.announce[k])) if b.announce[k] else "",
                "returns_from": _ride(when, linked) if linked >= 0 else "",
                "no_show": "yes" if b.no_show[k] else "",
                "cancelled_at": self._time(when, float(b.cancel[k])),
                "boarding_delay": self._number(b.boarding_delay[k]),
                "alighting_delay": self._number(b.alighting_delay[k]),
                "needs": _skills(day, int(b.needs[k])),
                "alone": "yes" if b.alone[k] else "",
            }

    def drivers(self, when: date, day: Instance) -> Iterable[dict[str, Any]]:
        d = day.drivers
        for k in range(len(d)):
            row = {
                "id": f"D{k + 1:02d}",
                "date": when.isoformat(),
                **self._point(day, "start", int(d.start[k])),
                **self._point(day, "end", int(d.end[k])),
                "seats": _seats(d.seats[k].tolist()),
                "skills": _skills(day, int(d.skills[k])),
                "fold": int(d.fold[k]),
                "fold_seats": int(d.fold_seats[k]),
            }
            times = ["shift_start", "shift_end"]
            for which in ("break", "break2"):
                minutes = getattr(d, f"{which}_minutes")[k]
                if minutes:
                    row[f"{which}_minutes"] = self._number(minutes)
                    times += [f"{which}_from", f"{which}_to"]
            yield row | {name: self._time(when, float(getattr(d, name)[k])) for name in times}

    def _point(self, day: Instance, end: str, place: int) -> dict[str, Any]:
        lat, lon = (float(v) for v in day.travel.coordinates[place])
        if not self.exact:
            lat, lon = round(lat, 5), round(lon, 5)
        named = {f"{end}_place": _place(place)} if day.travel.kind == "matrix" else {}
        return {f"{end}_lat": lat, f"{end}_lon": lon, **named}

    def _time(self, when: date, minute: float) -> str:
        if not math.isfinite(minute):
            return ""
        shown = datetime.combine(when, time()) + timedelta(minutes=minute)
        if not self.exact:
            shown = shown.replace(microsecond=0)
        return shown.isoformat() + _OFFSET

    def _number(self, value: float) -> float:
        return float(value) if self.exact else round(float(value), 2)


def _columns(columns: Sequence[str], travel: Travel, used: set[str]) -> list[str]:
    with_places = travel.kind == "matrix"
    there = [one for one in columns if one not in _RARE or one in used]
    return [one for one in there if with_places or not one.endswith("_place")]


def _used(days: Sequence[DatedDay]) -> set[str]:
    """Which of the columns that few tables have say anything."""
    found: set[str] = set()
    for _, day in days:
        b, d = day.bookings, day.drivers
        for names, says in (
            (("needs", "skills"), b.needs.any() or d.skills.any()),
            (("alone",), b.alone.any()),
            (("fold", "fold_seats"), d.fold.any()),
            (("break2_from", "break2_to", "break2_minutes"), d.break2_minutes.any()),
        ):
            found.update(names if says else ())
    return found


def _skills(day: Instance, bits: int) -> str:
    return " + ".join(name for k, name in enumerate(day.skills) if bits >> k & 1)


def _ride(when: date, row: int) -> str:
    return f"{when:%y%m%d}-{row + 1:03d}"


def _place(place: int) -> str:
    return f"P{place + 1}"


def _seats(counts: list[int]) -> str:
    parts = [
        kind if count == 1 else f"{count} {kind}"
        for kind, count in zip(SEAT_TYPES, counts, strict=True)
        if count
    ]
    return " + ".join(parts)


def _csv(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
