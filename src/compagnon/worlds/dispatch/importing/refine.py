"""Rows of a layout turned into rows of the importer's own columns, still as text.

Here the words of a profile are understood, its formats of days and times, a return that stands in
its outbound ride's row, and counts of riders; all of it before a cell is looked at as a value.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from compagnon.errors import InputError
from compagnon.spreadsheets import number_of, plain, truth_of, when_of
from compagnon.worlds.dispatch.importing import records
from compagnon.worlds.dispatch.importing.csv_reader import CsvRows
from compagnon.worlds.dispatch.importing.findings import Fault, Findings, Row
from compagnon.worlds.dispatch.importing.profile import SINCE_MIDNIGHT, Profile

_TIMES: Final = (
    "pickup_time", "dropoff_time", "return_time", *records.BOOKING_TIMES, *records.DRIVER_TIMES,
)  # fmt: skip
DAYS: Final = ("date", "valid_from", "valid_until")
_HALF: Final = re.compile(r"\d\s?[ap]\.?m\.?$", re.IGNORECASE)
_MORNING: Final = re.compile(r"(?:^|[T ])(?:0?[1-9]|1[0-2])\s?[:hH.]\s?\d\d\b(?!\.)")
_RETURN: Final = "-R"
_MOST: Final = 100
_SWAPPED: Final = ("lat", "lon", "address", "place")


class _WrongCellError(ValueError):
    def __init__(self, field: str, fault: str, right: str) -> None:
        super().__init__(fault)
        self.field, self.fault, self.right = field, fault, right


def refine_rows(sheet: CsvRows, profile: Profile, findings: Findings) -> CsvRows:
    """The rows with the importer's own columns; one with a cell that no format fits is left out."""
    steps = _steps(sheet, profile)
    numbered = "id" not in sheet.columns
    rows: list[Row] = []
    gone = 0
    for row in sheet.rows:
        cells = dict(row.cells)
        if numbered:
            cells["id"] = f"row {row.line}"
        try:
            for step in steps:
                step(cells)
            if "cancelled" in cells and _truth(cells, "cancelled"):
                gone += 1
                continue
            back = _return_of(cells)
        except _WrongCellError as error:
            given = row.cells.get(error.field, "")[:80]
            findings.faults.append(
                Fault(sheet.file, row.line, error.field, given, error.fault, error.right)
            )
            continue
        rows.append(Row(row.line, cells))
        if back is not None:
            rows.append(Row(row.line, back))
    if numbered:
        findings.notes.append(f"{sheet.file}: no column of ids; bookings are called by their row")
    if gone:
        many = "row is" if gone == 1 else "rows are"
        findings.notes.append(f"{sheet.file}: {gone:,} {many} cancelled, and left out")
    return replace(sheet, columns=_columns(sheet, rows), rows=tuple(rows))


def check_day_order(sheets: tuple[CsvRows, ...]) -> None:
    """Refuse days with slashes of which some have the day first, and some the month.

    Raises:
        InputError: names a row of each.
    """
    found: dict[str, str] = {}
    for sheet in sheets:
        names = [name for name in (*DAYS, *_TIMES) if name in sheet.columns]
        for row in sheet.rows:
            for name in names:
                text = row.cells.get(name, "")
                parts = text.partition(" ")[0].split("/") if "/" in text else ()
                if len(parts) != 3 or not all(part.isdigit() for part in parts[:2]):
                    continue
                first, second = int(parts[0]), int(parts[1])
                order = "day" if 12 < first <= 31 else "month" if 12 < second <= 31 else ""
                if order:
                    said = f"{row.cells[name]} ({sheet.file}, row {row.line})"
                    found.setdefault(order, said)
    if len(found) == 2:
        raise InputError(
            f"days are written in two ways: {found['day']} has the day first, {found['month']} the "
            "month; use one, or say which by date_format in a profile"
        )


def halves_and_wholes(times: Iterable[str]) -> bool:
    """Whether some times have AM or PM, and others before one in the afternoon have neither."""
    different = set(times)
    if not any(_HALF.search(text) for text in different):
        return False
    return any(_MORNING.search(text) and not _HALF.search(text) for text in different)


def _columns(sheet: CsvRows, rows: list[Row]) -> tuple[str, ...]:
    found = dict.fromkeys(sheet.columns)
    for row in rows[:1]:
        found.update(dict.fromkeys(row.cells))
    return tuple(found)


def _steps(sheet: CsvRows, profile: Profile) -> list[Callable[[dict[str, str]], None]]:
    """What is done to each row, in order."""
    steps: list[Callable[[dict[str, str]], None]] = []
    if profile.words:
        steps.append(lambda cells: _say(cells, profile.words))
    if profile.date_format:
        steps.append(lambda cells: _days(cells, profile.date_format))
    if profile.time_format in SINCE_MIDNIGHT:
        unit = SINCE_MIDNIGHT[profile.time_format]
        steps.append(lambda cells: _since_midnight(cells, unit, profile.time_format))
    elif profile.time_format:
        steps.append(lambda cells: _formatted(cells, profile.time_format))
    if {"passengers", "companions"} & set(sheet.columns):
        steps.append(_count)
    return steps


def _say(cells: dict[str, str], words: Mapping[str, Mapping[str, str]]) -> None:
    for name, meanings in words.items():
        text = cells.get(name)
        if text is not None:
            cells[name] = meanings.get(plain(text), text)


def _days(cells: dict[str, str], form: str) -> None:
    for name in DAYS:
        text = cells.get(name, "")
        if text:
            cells[name] = _parsed(text, form, name).date().isoformat()


def _formatted(cells: dict[str, str], form: str) -> None:
    dated = any(code in form for code in ("%d", "%j", "%x", "%c"))
    for name in _TIMES:
        text = cells.get(name, "")
        if text:
            found = _parsed(text, form, name)
            cells[name] = found.isoformat() if dated else found.time().isoformat()


def _parsed(text: str, form: str, name: str) -> datetime:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        example = datetime(2026, 3, 2, 8, 15).strftime(form)
        what = "day" if name in DAYS else "time"
        fault = f"is not a {what} as the profile says ({form})"
        raise _WrongCellError(name, fault, f"such as {example}") from None


def _since_midnight(cells: dict[str, str], unit: float, form: str) -> None:
    """Seconds or minutes since the midnight of the row's day; past 24 h they are the next day's."""
    for name in _TIMES:
        text = cells.get(name, "")
        if not text:
            continue
        value = number_of(text)
        if value is None or not 0 <= value / unit <= 2880:
            raise _WrongCellError(name, f"is no number of {form} since midnight", "such as 29700")
        passed = timedelta(minutes=value / unit)
        day = when_of(cells.get("date", ""))
        if day is None or day.day is None:
            right = "a column date, or one day for all by --set date=2026-03-02"
            raise _WrongCellError(name, "has no day", right)
        midnight = datetime.combine(day.day, datetime.min.time())
        cells[name] = (midnight + passed).isoformat()


def _count(cells: dict[str, str]) -> None:
    """Riders of one kind, and who goes with them, as seats."""
    riders = _whole(cells, "passengers")
    seats = cells.get("seats", "") or ("ambulatory" if "passengers" in cells else "")
    if riders and seats and not seats[0].isdigit() and "+" not in seats:
        seats = f"{riders} {seats}"
    beside = _whole(cells, "companions")
    cells["seats"] = f"{seats} + {beside} companion" if beside else seats


def _whole(cells: Mapping[str, str], name: str) -> int:
    text = cells.get(name, "")
    value = number_of(text) if text else 0.0
    if value is None or value != int(value) or not 0 <= value <= _MOST:
        raise _WrongCellError(name, "is no number of people", f"a whole number from 0 to {_MOST}")
    return int(value)


def _truth(cells: Mapping[str, str], name: str) -> bool:
    found = truth_of(cells[name])
    if found is None:
        raise _WrongCellError(name, "is neither yes nor no", f"yes or no, or [words.{name}]")
    return found


def _return_of(cells: dict[str, str]) -> dict[str, str] | None:
    """The ride back that a row names by `return_time`: the other way round, from then on."""
    when = cells.pop("return_time", "")
    if not when:
        return None
    back = {
        name: text
        for name, text in cells.items()
        if name not in (*records.BOOKING_TIMES, "pickup_time", "dropoff_time")
    }
    for part in _SWAPPED:
        there, home = f"pickup_{part}", f"dropoff_{part}"
        if there in cells or home in cells:
            back[there], back[home] = cells.get(home, ""), cells.get(there, "")
    back["id"] = cells["id"] + _RETURN
    back["returns_from"] = cells["id"]
    back["pickup_time"] = when
    return back
