"""Reads one sheet of an XLSX as rows of text; what a spreadsheet hides is refused by name.

A formula that was never worked out has no value, and of merged cells only the first has one: both
would be holes that nobody sees on the screen.
"""

import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from compagnon.errors import InputError
from compagnon.worlds.dispatch.importing.profile import nearest

MAX_UNPACKED: Final = 1_000_000_000
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z0-9:]+)"')
_SHOWN: Final = 3

Lines = list[tuple[int, list[str]]]


def is_xlsx(data: bytes) -> bool:
    """Whether a file begins as an XLSX does (so does any zip)."""
    return data.startswith(b"PK\x03\x04")


def read_xlsx(data: bytes, path: Path, sheet: str, notes: list[str]) -> Lines:
    """Row number and cells, as text, of every row of a sheet that is not blank.

    Days and times become ISO 8601; numbers have a decimal point; yes and no are words.

    Args:
        sheet: its name; may be empty where there is one alone.

    Raises:
        InputError: it is no XLSX, openpyxl is missing, there is no such sheet, or the sheet has
            merged cells, or formulas without a value.
    """
    with _opened(data, path, values=False) as book:
        names = [one.title for one in book.worksheets]  # a sheet that is a chart has no rows
        name = _chosen(path, names, sheet)
        if len(names) > 1:
            notes.append(f"{path.name}: read from the sheet {name}")
        _refuse_merged(data, path, name, book[name])
        rows = _rows(book[name])
        formulas = [cell for row in rows for cell in row if cell.data_type == "f"]
        if not formulas:
            return [(k, cells) for k, row in enumerate(rows, 1) if any(cells := _texts(row))]
    with _opened(data, path, values=True) as book:
        rows = _rows(book[name])
        values = {cell.coordinate: cell.value for row in rows for cell in row if _there(cell)}
    empty = [cell.coordinate for cell in formulas if cell.coordinate not in values]
    if empty:
        raise InputError(
            f"{path}, sheet {name}: formulas without a value in {_few(empty)}; open and save it in "
            "the spreadsheet, or paste the values"
        )
    notes.append(f"{path.name}: formulas are read by the values that they had when it was saved")
    return [(k, cells) for k, row in enumerate(rows, 1) if any(cells := _texts(row))]


@contextmanager
def _opened(data: bytes, path: Path, values: bool) -> Iterator[Any]:
    try:
        import openpyxl
    except ImportError:
        raise InputError(
            f"{path} is a spreadsheet, and reading it needs openpyxl: pip install "
            "'compagnon[xlsx]'; or save it as CSV"
        ) from None
    try:
        with zipfile.ZipFile(BytesIO(data)) as packed:
            unpacked = sum(one.file_size for one in packed.infolist())
        if unpacked > MAX_UNPACKED:
            raise InputError(f"{path} unpacks to {unpacked / 1e6:,.0f} MB; save it as CSV")
        book = openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=values)
    except InputError:
        raise
    except Exception as error:  # openpyxl has no error of its own for a damaged file
        raise InputError(
            f"{path} is a spreadsheet that cannot be read ({type(error).__name__}); save it as "
            "XLSX again, or as CSV"
        ) from None
    try:
        yield book
    finally:
        book.close()


def _rows(sheet: Any) -> list[Sequence[Any]]:
    """All of them: some software writes a size of the sheet that it does not have."""
    sheet.reset_dimensions()
    return list(sheet.iter_rows())


def _chosen(path: Path, names: Sequence[str], sheet: str) -> str:
    if not sheet:
        if len(names) == 1:
            return names[0]
        raise InputError(f"{path} has the sheets {', '.join(names)}; say which with --sheet NAME")
    for name in names:
        if name.strip().casefold() == sheet.strip().casefold():
            return name
    raise InputError(
        f"{path} has no sheet {sheet}{nearest(sheet, names)}; it has {', '.join(names)}"
    )


def _refuse_merged(data: bytes, path: Path, name: str, sheet: Any) -> None:
    with zipfile.ZipFile(BytesIO(data)) as packed:
        merged = _MERGED.findall(packed.read(sheet._worksheet_path))
    if merged:
        where = _few([one.decode() for one in merged])
        raise InputError(
            f"{path}, sheet {name}: merged cells in {where}; unmerge them, so that every cell has "
            "its own value"
        )


def _few(cells: Sequence[str]) -> str:
    others = len(cells) - _SHOWN
    return ", ".join(cells[:_SHOWN]) + (f" and {others} more" if others > 0 else "")


def _there(cell: Any) -> bool:
    return cell.value is not None


def _texts(row: Sequence[Any]) -> list[str]:
    cells = [_text(cell.value) for cell in row]
    while cells and not cells[-1]:
        cells.pop()  # a sheet may be formatted far to the right of what it holds
    return cells


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime):
        # A spreadsheet knows no days: its days are midnights, and its times are off by some micros.
        value = (value + timedelta(milliseconds=500)).replace(microsecond=0)
        return value.date().isoformat() if value.time() == time() else value.isoformat()
    if isinstance(value, time):
        return value.replace(microsecond=0).isoformat()
    if isinstance(value, timedelta):
        minutes = round(value.total_seconds() / 60)
        return f"{minutes // 60:02d}:{minutes % 60:02d}"
    if isinstance(value, date):
        return value.isoformat()
    return str(value).strip()
