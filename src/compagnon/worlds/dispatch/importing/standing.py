"""Standing orders: a ride on some weekdays, as one booking on each of the imported days."""

import re
from collections.abc import Collection
from dataclasses import replace
from datetime import date, timedelta
from typing import Final

from compagnon.spreadsheets import plain
from compagnon.worlds.dispatch.importing import records
from compagnon.worlds.dispatch.importing.clock import Clock, WrongTimeError
from compagnon.worlds.dispatch.importing.csv_reader import CsvRows
from compagnon.worlds.dispatch.importing.findings import Fault, Findings, Row, few

MAX_DAYS: Final = 3660
_TIMES: Final = ("pickup_time", "dropoff_time", *records.BOOKING_TIMES)
_WORDS: Final = (
    ("monday", "mon", "mo", "lundi", "lun", "lu"),
    ("tuesday", "tue", "tu", "mardi", "mar", "ma"),
    ("wednesday", "wed", "we", "mercredi", "mer", "me"),
    ("thursday", "thu", "th", "jeudi", "jeu", "je"),
    ("friday", "fri", "fr", "vendredi", "ven", "ve"),
    ("saturday", "sat", "sa", "samedi", "sam"),
    ("sunday", "sun", "su", "dimanche", "dim", "di"),
)
_NUMBER: Final = {word: k for k, words in enumerate(_WORDS, 1) for word in (*words, str(k))}
_RIGHT: Final = "weekdays such as 'mo we fr', 'lu me ve' or '1,3,5', Monday being 1"


def weekdays_of(text: str) -> frozenset[int] | None:
    """The weekdays that a cell names, Monday being 1; None where a word of it is none.

    `mo-fr` are all from the one to the other.
    """
    found: set[int] = set()
    joined = re.sub(r"\s*-\s*", "-", plain(text))
    for part in re.split(r"[\s,;/+.]+", joined):
        if not part:
            continue
        first, dash, last = part.partition("-")
        begin, end = _NUMBER.get(first), _NUMBER.get(last if dash else first)
        if begin is None or end is None or end < begin:
            return None
        found.update(range(begin, end + 1))
    return frozenset(found) or None


def stands(row: Row) -> bool:
    """Whether a row is a standing order."""
    return bool(row.cells.get("weekdays"))


def expand_orders(
    sheet: CsvRows, days: Collection[date], clock: Clock, findings: Findings
) -> CsvRows:
    """The standing orders of a sheet of bookings, each once for each of the days that it is for.

    Its bookings are called by the order and the day. A way back of an order is of the same day.

    Args:
        days: that are imported: those on which somebody has a shift.
    """
    orders = {row.cells.get("id", "") for row in sheet.rows}
    rows: list[Row] = []
    idle: list[str] = []
    for row in sheet.rows:
        try:
            asked = _days_of(row, days, clock)
        except _WrongOrderError as error:
            given = row.cells.get(error.field, "")[:80]
            findings.faults.append(
                Fault(sheet.file, row.line, error.field, given, error.fault, error.right)
            )
            continue
        if not asked:
            idle.append(f"{row.cells.get('id', '')} (row {row.line})")
        rows += [Row(row.line, _on(row, day, orders)) for day in asked]
    if sheet.rows:
        findings.notes.append(
            f"{sheet.file}: {len(sheet.rows):,} standing orders are {len(rows):,} bookings on the "
            "days on which somebody has a shift, called by the order and the day"
        )
    if idle:
        findings.notes.append(
            f"{sheet.file}: standing orders for none of the imported days: {few(idle)}"
        )
    return replace(sheet, rows=tuple(rows))


class _WrongOrderError(ValueError):
    def __init__(self, field: str, fault: str, right: str) -> None:
        super().__init__(fault)
        self.field, self.fault, self.right = field, fault, right


def span_of(row: Row, clock: Clock) -> tuple[date, date]:
    """The first and the last day of an order; all there are where it has none."""
    found = []
    for name, missing in (("valid_from", date.min), ("valid_until", date.max)):
        text = row.cells.get(name, "")
        try:
            found.append(clock.day(text) if text else missing)
        except WrongTimeError as error:
            raise _WrongOrderError(name, error.fault, error.right) from None
    return found[0], found[1]


def days_of_spans(sheet: CsvRows, clock: Clock) -> set[date]:
    """All days between the two ends of orders that have both, where no shifts say which count."""
    found: set[date] = set()
    for row in sheet.rows:
        try:
            first, last = span_of(row, clock)
        except _WrongOrderError:
            continue  # said when the order is expanded
        if date.min < first <= last < date.max and (last - first).days < MAX_DAYS:
            found.update(first + timedelta(days=k) for k in range((last - first).days + 1))
    return found


def _days_of(row: Row, days: Collection[date], clock: Clock) -> list[date]:
    weekdays = weekdays_of(row.cells["weekdays"])
    if weekdays is None:
        raise _WrongOrderError("weekdays", "are no weekdays", _RIGHT)
    if row.cells.get("date"):
        right = "a date, or weekdays with valid_from and valid_until"
        raise _WrongOrderError("date", "stands beside weekdays", right)
    for name in _TIMES:
        text = row.cells.get(name, "")
        if text and name != "booked_at" and not clock.lacks_day(text):
            raise _WrongOrderError(name, "has a day, in an order for many", "a time such as 08:15")
    first, last = span_of(row, clock)
    if last < first:
        raise _WrongOrderError("valid_until", "is before valid_from", "a later day")
    return [day for day in sorted(days) if first <= day <= last and day.isoweekday() in weekdays]


def _on(row: Row, day: date, orders: Collection[str]) -> dict[str, str]:
    """The cells of the order's booking of one day."""
    cells = {name: text for name, text in row.cells.items() if name != "weekdays"}
    cells["id"] = order_id(row.cells.get("id", ""), day)
    cells["date"] = day.isoformat()
    before = cells.get("returns_from", "")
    if before in orders:
        cells["returns_from"] = order_id(before, day)
    return cells


def order_id(order: str, day: date) -> str:
    """What the booking of an order on one day is called; nothing for an order without an id."""
    return f"{order} {day.isoformat()}" if order else ""
