"""Demand from a real order book: a CSV read row by row, each bad row reported.

A file has the columns ``time,product,quantity`` (others are ignored), by these names or by those
of `WORDS`; a column of days and one of times make up a time. Times are either minutes since the
first week began, or days and times in local time, such as 2026-03-02 08:15 or 02/03/2026 8h15;
then week 1 begins on the Monday of the earliest order's week. An order of minute ``m`` counts at
the first demand that follows it, `(m // 15 + 1) * 15`.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.files import read_file
from compagnon.spreadsheets import month_comes_first, translated, when_of
from compagnon.worlds.workshop import constants

COLUMNS: Final = ("time", "product", "quantity")
# Other headings of these columns; `date` and `hour` make up `time` where there is none.
WORDS: Final = {
    "time": ("minute", "minutes", "temps", "horodatage", "date_heure", "date_et_heure", "datetime"),
    "date": ("jour", "day", "date_commande", "date_de_commande", "order_date"),
    "hour": ("heure", "heure_commande", "heure_de_commande", "order_time"),
    "product": ("produit", "article", "reference", "ref"),
    "quantity": ("quantite", "qte", "qty", "nombre", "unites", "units"),
}
PRODUCTS: Final = ("P1", "P2")
MAX_WEEKS: Final = 520
MAX_QUANTITY: Final = 10_000
MAX_WEEKLY_UNITS: Final = 100_000  # the observation's range of a backlog
_MAX_BYTES: Final = 200_000_000
_END_MINUTE: Final = MAX_WEEKS * constants.EPISODE_MINUTES
_MESSAGE_ROWS: Final = 10

_TIME_WANTED: Final = (
    "minutes since the first week began, or a date such as 2026-03-02 08:15 or 02/03/2026 8h15"
)
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
_EXCEL = re.compile(r"sep=([,;\t])", re.IGNORECASE)  # how Excel is told the delimiter
_WHOLE = re.compile(r"\+?(\d+)([.,]0+)?")
_SPACES = str.maketrans("", "", " \t\u00a0\u202f")


@dataclass(frozen=True, slots=True)
class BadRow:
    """One field of one row that cannot be used.

    Attributes:
        row: line of the file; the header is line 1.
        field: the column, or ``row`` for the row as a whole.
        given: what stands there.
        expected: what would be right.
    """

    row: int
    field: str
    given: str
    expected: str

    def __str__(self) -> str:
        where = "" if self.field == "row" else f"{self.field} "
        return f"row {self.row}: {where}{self.given!r}; expected {self.expected}"


@dataclass(frozen=True)
class OrderBook:
    """Orders counted by week, tick of 15 minutes and product."""

    demand: NDArray[np.int32]

    def weekly_demand(self) -> NDArray[np.int32]:
        """Units asked for, int32 of shape (weeks, 672, 2); column 0 is P1, column 1 is P2."""
        return self.demand


@dataclass(frozen=True)
class OrderBookReport:
    """What stands in an order book, for a person.

    Attributes:
        path: the file.
        weeks, orders: how many weeks the good rows span, and how many good rows there are.
        units: units asked for by product, of the good rows.
        first_day: the Monday on which week 1 begins, as ISO date; None for times in minutes.
        bad_rows: every field that cannot be used.
        book: what the good rows say.
    """

    path: str
    weeks: int
    orders: int
    units: dict[str, int]
    first_day: str | None
    bad_rows: tuple[BadRow, ...]
    book: OrderBook


@dataclass(frozen=True, slots=True)
class _Order:
    row: int
    time: float | datetime
    product: int
    quantity: int


def read_order_book(path: str | Path) -> OrderBook:
    """The order book in a file.

    Raises:
        InputError: the file cannot be read as a CSV of orders; the message lists the first bad
            rows and counts the others.
    """
    report = check_order_book(path)
    if report.bad_rows:
        shown = "\n  ".join(str(bad) for bad in report.bad_rows[:_MESSAGE_ROWS])
        others = len(report.bad_rows) - _MESSAGE_ROWS
        more = f"\n  and {others} more" if others > 0 else ""
        raise InputError(f"order book {path}: these rows cannot be used:\n  {shown}{more}")
    return report.book


def check_order_book(path: str | Path) -> OrderBookReport:
    """Read a whole order book and report every bad row, without stopping at the first.

    Raises:
        InputError: the file as a whole is unusable: missing, not text, without the columns, without
            orders, or spanning more than 520 weeks.
    """
    orders: list[_Order] = []
    bad: list[BadRow] = []
    dated: bool | None = None
    every = list(_rows(path, bad))
    rows = len(every)
    month_first = month_comes_first([cells[0].strip() for _, cells in every])
    for row, cells in every:
        order = _parse_row(row, cells, bad, month_first)
        if order is None:
            continue
        if dated is None:
            dated = isinstance(order.time, datetime)
        if isinstance(order.time, datetime) != dated:
            kind = "a date" if dated else "minutes"
            bad.append(BadRow(row, "time", cells[0].strip(), f"{kind}, as in the rows above"))
            continue
        orders.append(order)
    if not rows and not bad:
        raise InputError(f"order book {path}: it has a header and no orders")
    book, monday = _count(path, orders)
    totals = book.demand.sum(axis=(0, 1), dtype=np.int64)
    return OrderBookReport(
        path=str(path),
        weeks=len(book.demand),
        orders=len(orders),
        units={product: int(total) for product, total in zip(PRODUCTS, totals, strict=True)},
        first_day=None if monday is None else monday.date().isoformat(),
        bad_rows=tuple(bad),
        book=book,
    )


def _text(path: str | Path) -> str:
    """The file as text; spreadsheets save UTF-8 with a mark, UTF-16, or Windows' Latin."""
    try:
        data = read_file(Path(path), _MAX_BYTES)
    except InputError as error:
        raise InputError(f"order book {error}") from None
    if data.startswith(b"PK\x03\x04"):
        raise InputError(f"order book {path}: this is a spreadsheet; save it as CSV")
    encodings = ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise InputError(f"order book {path}: this is not a text file; it should be a CSV")


def _rows(path: str | Path, bad: list[BadRow]) -> Iterator[tuple[int, tuple[str, str, str]]]:
    """Line number and the three cells of every row that is not blank.

    A row with more cells than the header goes to `bad`: a decimal comma has split one of them.
    """
    text = _text(path)
    if not text.strip():
        raise InputError(f"order book {path}: the file is empty; it needs {','.join(COLUMNS)}")
    header_line = next(line for line in text.splitlines() if line.strip())
    delimiter = max(",;\t", key=header_line.count)
    marked = _EXCEL.fullmatch(header_line.strip())
    if marked:
        delimiter, text = marked[1], text.replace(header_line, "", 1)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = translated(cells, WORDS)
                when, product, quantity = _find_columns(path, header)
                continue
            if any(cell.strip() for cell in cells[len(header) :]):
                wanted = f"{len(header)} cells, as in the first line"
                bad.append(BadRow(reader.line_num, "row", delimiter.join(cells), wanted))
                continue
            cells += [""] * (len(header) - len(cells))
            time = " ".join(cells[place].strip() for place in when)
            yield reader.line_num, (time, cells[product], cells[quantity])
    except csv.Error as error:
        raise InputError(
            f"order book {path}: line {reader.line_num} is not CSV ({error})"
        ) from None


def _find_columns(path: str | Path, header: list[str]) -> tuple[list[int], int, int]:
    """Where the time stands (in one column, or day and time in two), the product, the quantity."""
    time = ["time"] if "time" in header else [one for one in ("date", "hour") if one in header]
    if time == ["hour"]:
        time = []
    missing = [] if time else ["time"]
    missing += [column for column in COLUMNS[1:] if column not in header]
    if missing:
        raise InputError(
            f"order book {path}: no column {' nor '.join(missing)} in its first line "
            f"{', '.join(header)!r}; it needs {','.join(COLUMNS)}"
        )
    twice = [column for column in (*time, *COLUMNS[1:]) if header.count(column) > 1]
    if twice:
        raise InputError(f"order book {path}: the column {twice[0]} stands there twice")
    places = [header.index(column) for column in time]
    return places, header.index("product"), header.index("quantity")


def _parse_row(
    row: int, cells: tuple[str, str, str], bad: list[BadRow], month_first: bool
) -> _Order | None:
    """The order of one row; None if any of its fields went to `bad`."""
    before = len(bad)
    time_text, product_text, quantity_text = (cell.strip() for cell in cells)
    time = _parse_time(row, time_text, bad, month_first)
    product = product_text.upper().translate(_SPACES)
    if product not in PRODUCTS:
        bad.append(BadRow(row, "product", product_text, "P1 or P2"))
    whole = _WHOLE.fullmatch(quantity_text.translate(_SPACES))
    digits = whole[1].lstrip("0") if whole else ""
    quantity = int(digits) if 0 < len(digits) <= 6 else 0
    if not 1 <= quantity <= MAX_QUANTITY:
        wanted = f"a whole number from 1 to {MAX_QUANTITY}"
        bad.append(BadRow(row, "quantity", quantity_text, wanted))
    if len(bad) > before or time is None:
        return None
    return _Order(row, time, PRODUCTS.index(product), quantity)


def _parse_time(
    row: int, text: str, bad: list[BadRow], month_first: bool
) -> float | datetime | None:
    plain = text.translate(_SPACES)
    if _NUMBER.fullmatch(plain):
        minutes = float(plain.replace(",", "."))
        if 0 <= minutes < _END_MINUTE:
            return minutes
        wanted = f"minutes since the first week began, from 0 to {_END_MINUTE - 1}"
        bad.append(BadRow(row, "time", text, wanted))
        return None
    try:
        found = when_of(text, month_first)
        if found is not None and found.day is not None:
            time = datetime.combine(found.day, found.clock or clock_time(), found.zone)
        else:
            time = datetime.fromisoformat(text)
    except ValueError:
        bad.append(BadRow(row, "time", text, _TIME_WANTED))
        return None
    if time.tzinfo is not None:
        # The shop's day and night rates are by its own clock; guessing its zone would shift them.
        bad.append(BadRow(row, "time", text, "the shop's local time, without a time zone"))
        return None
    return time


def _count(path: str | Path, orders: list[_Order]) -> tuple[OrderBook, datetime | None]:
    """Orders summed by (week, tick, product), and the first Monday of a dated book."""
    if not orders:
        return OrderBook(np.zeros((0, constants.TICKS_PER_EPISODE, 2), np.int32)), None
    dates = [order.time for order in orders if isinstance(order.time, datetime)]
    if dates:
        day = min(dates).replace(hour=0, minute=0, second=0, microsecond=0)
        # Minutes by subtraction, so that year 1 cannot underflow the calendar.
        before = day.weekday() * constants.MINUTES_PER_DAY
        minutes = [int((time - day).total_seconds() // 60) + before for time in dates]
        monday = day - timedelta(days=day.weekday()) if day.toordinal() > 7 else day
    else:
        minutes = [int(order.time) for order in orders if isinstance(order.time, float)]
        monday = None
    last = max(range(len(orders)), key=minutes.__getitem__)
    weeks = minutes[last] // constants.EPISODE_MINUTES + 1
    if weeks > MAX_WEEKS:
        first = min(range(len(orders)), key=minutes.__getitem__)
        raise InputError(
            f"order book {path}: it spans {weeks} weeks, from {_when(orders[first])} to "
            f"{_when(orders[last])}; at most {MAX_WEEKS} weeks"
        )
    ticks = np.array(minutes) // constants.TICK_MINUTES
    products = np.array([order.product for order in orders])
    units = np.array([order.quantity for order in orders], np.int64)
    demand = np.zeros((weeks, constants.TICKS_PER_EPISODE, 2), np.int64)
    np.add.at(demand, (*np.divmod(ticks, constants.TICKS_PER_EPISODE), products), units)
    weekly = demand.sum(axis=1)
    if weekly.max() > MAX_WEEKLY_UNITS:
        week, product = np.unravel_index(int(weekly.argmax()), weekly.shape)
        raise InputError(
            f"order book {path}: {weekly.max()} {PRODUCTS[product]} are asked for in week "
            f"{int(week) + 1}; at most {MAX_WEEKLY_UNITS}"
        )
    return OrderBook(demand.astype(np.int32)), monday


def _when(order: _Order) -> str:
    if isinstance(order.time, datetime):
        return f"{order.time.isoformat(' ')} (row {order.row})"
    return f"minute {order.time:.0f} (row {order.row})"
