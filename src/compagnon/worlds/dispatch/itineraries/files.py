"""Itineraries as files: a table (CSV), a workbook (XLSX), calendars and a manifest, each whole."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from compagnon.errors import InputError
from compagnon.files import new_directory, write_file
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.itineraries.clock import Calendar
from compagnon.worlds.dispatch.itineraries.ical import to_ical
from compagnon.worlds.dispatch.itineraries.manifest import to_html
from compagnon.worlds.dispatch.itineraries.names import Names
from compagnon.worlds.dispatch.itineraries.played import Itinerary, PlayedDay, seats_text
from compagnon.worlds.dispatch.itineraries.words import Language

FORMATS: Final = ("csv", "xlsx", "ics", "html")
COLUMNS: Final = (
    "day", "driver", "stop", "what", "begins", "ends", "booking", "place", "lat", "lon", "seats",
)  # fmt: skip
_STARTS_A_FORMULA: Final = ("=", "+", "-", "@")


@dataclass(frozen=True)
class Options:
    """How itineraries are written.

    Attributes:
        day: the date of a day whose name says none.
        zone: whose clock its minutes are; empty if that does not matter.
        stamp: when the calendars are made.
        language: of calendars and manifests; tables are the same in all.
    """

    formats: Sequence[str]
    names: Names
    stamp: datetime
    day: date | None = None
    zone: str = ""
    language: Language = "en"


def write_itineraries(days: Sequence[PlayedDay], folder: Path, options: Options) -> int:
    """Write the days into a folder that is new or empty; how many files there are.

    Raises:
        InputError: a format is not known, a day has no date, or openpyxl is missing.
    """
    unknown = [one for one in options.formats if one not in FORMATS]
    if unknown or not options.formats:
        raise InputError(f"--format {' '.join(unknown)}: use {', '.join(FORMATS)}")
    made: dict[str, str | bytes] = {}
    for one in days:
        options.names.check(one.day)
        calendar = Calendar.of(one.day, options.day, options.zone)
        stem = _file_name(one.day.name)
        if "csv" in options.formats:
            made[f"{stem}.csv"] = to_csv(one, options.names, calendar)
        if "xlsx" in options.formats:
            made[f"{stem}.xlsx"] = to_xlsx(one, options.names, calendar)
        if "html" in options.formats:
            made[f"{stem}.html"] = to_html(one, options.names, calendar, options.language)
        if "ics" in options.formats:
            for itinerary in one.itineraries:
                name = _file_name(options.names.driver(one.day, itinerary.driver))
                text = to_ical(
                    itinerary, one.day, options.names, calendar, options.stamp, options.language
                )
                # Several shifts of a driver are several itineraries of one name.
                number = f"-{itinerary.driver + 1}" if f"{stem}-{name}.ics" in made else ""
                made[f"{stem}-{name}{number}.ics"] = text
    with new_directory(folder) as fresh:
        for name, data in made.items():
            write_file(fresh / name, data)
    return len(made)


def to_csv(played: PlayedDay, names: Names, calendar: Calendar) -> str:
    """All drivers' stops, a row each."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for itinerary in played.itineraries:
        for row in rows_of(itinerary, played.day, names, calendar):
            writer.writerow([_harmless(cell) for cell in row])
    return text.getvalue()


def to_xlsx(played: PlayedDay, names: Names, calendar: Calendar) -> bytes:
    """A workbook with a sheet a driver.

    Raises:
        InputError: openpyxl is missing.
    """
    try:
        import openpyxl
    except ImportError:
        raise InputError(
            "an XLSX needs openpyxl: pip install 'compagnon[xlsx]'; or leave xlsx out of --format"
        ) from None
    book = openpyxl.Workbook()
    book.remove(book.active)
    for itinerary in played.itineraries:
        sheet = book.create_sheet(_sheet_name(names.driver(played.day, itinerary.driver)))
        rows = [list(COLUMNS), *rows_of(itinerary, played.day, names, calendar)]
        for k, row in enumerate(rows, 1):
            for column, value in enumerate(row, 1):
                cell = sheet.cell(k, column, value)
                if isinstance(value, str):
                    cell.data_type = "s"  # an id that begins with "=" is no formula
        sheet.freeze_panes = "A2"
        for column, width in enumerate((11, 10, 6, 10, 9, 9, 16, 36, 11, 11, 28)):
            sheet.column_dimensions[chr(ord("A") + column)].width = width
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def rows_of(
    itinerary: Itinerary, day: Instance, names: Names, calendar: Calendar
) -> list[list[Any]]:
    """The rows of one driver, in the order of `COLUMNS`."""
    rows: list[list[Any]] = []
    for number, stop in enumerate(itinerary.stops, 1):
        where: list[Any] = ["", ""]
        if stop.place >= 0:
            where = [round(float(v), 6) for v in day.travel.coordinates[stop.place]]
        rows.append([
            calendar.day.isoformat(), names.driver(day, itinerary.driver), number, stop.kind,
            calendar.clock(stop.begins), calendar.clock(stop.ends),
            names.booking(day, stop.booking) if stop.booking >= 0 else "",
            names.place(day, stop.place), *where, seats_text(stop.load),
        ])  # fmt: skip
    return rows


def _harmless(cell: Any) -> Any:
    """A text that a spreadsheet would take for a formula, with the sign that it is none."""
    if isinstance(cell, str) and cell.startswith(_STARTS_A_FORMULA):
        return f"'{cell}"
    return cell


def _file_name(name: str) -> str:
    kept = "".join(one if one.isalnum() or one in "-_." else "-" for one in name)
    return kept.strip(".")[:80] or "day"


def _sheet_name(name: str) -> str:
    return "".join("-" if one in "[]:*?/\\'" else one for one in name)[:31] or "driver"
