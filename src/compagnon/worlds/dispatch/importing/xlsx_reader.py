"""Reads one sheet of an XLSX as rows of text; what a spreadsheet hides is refused by name.

A formula that was never worked out has no value, and of merged cells only the first has one: both
would be holes that nobody sees on the screen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from compagnon.errors import InputError
from compagnon.worlds.dispatch.importing.profile import nearest
from compagnon.worlds.dispatch.importing.xlsx_book import Book, opened, tags, text_of, unescaped
from compagnon.worlds.dispatch.importing.xlsx_values import NUMBER, moment_text, number_text

_OLD: Final = b"\xd0\xcf\x11\xe0"
_SHOWN: Final = 3
_WIDEST: Final = 16_384  # columns that a sheet can have
_ROW, _CELL, _MERGED = tags("row"), tags("c"), tags("mergeCell")
_PARTS: Final = {tag: name for name in ("v", "f", "is") for tag in tags(name)}
_DIGITS: Final = "0123456789"

Lines = list[tuple[int, list[str]]]


def is_xlsx(data: bytes) -> bool:
    """Whether a file begins as an XLSX does (so does any zip)."""
    return data.startswith(b"PK\x03\x04")


def is_old(data: bytes) -> bool:
    """Whether a file begins as a workbook of the nineties does, or one behind a password."""
    return data.startswith(_OLD)


def read_xlsx(data: bytes, path: Path, sheet: str, notes: list[str]) -> Lines:
    """Row number and cells, as text, of every row of a sheet that is not blank.

    Days and times become ISO 8601; numbers have a decimal point; yes and no are words.

    Args:
        sheet: its name; may be empty where there is one alone.

    Raises:
        InputError: it is no XLSX, there is no such sheet, or the sheet has merged cells, or
            formulas without a value.
    """
    with opened(data, path) as book:
        name = _chosen(path, list(book.sheets), sheet)
        if len(book.sheets) > 1:
            notes.append(f"{path.name}: read from the sheet {name}")
        reader = _Reader(book)
        lines = [one for one in reader.rows(book.sheets[name]) if one[1]]
    if reader.merged:
        raise InputError(
            f"{path}, sheet {name}: merged cells in {_few(reader.merged)}; unmerge them, so that "
            "every cell has its own value"
        )
    if reader.hollow:
        raise InputError(
            f"{path}, sheet {name}: formulas without a value in {_few(reader.hollow)}; open and "
            "save it in the spreadsheet, or paste the values"
        )
    if reader.formulas:
        notes.append(
            f"{path.name}: formulas are read by the values that they had when it was saved"
        )
    return lines


@dataclass(slots=True)
class _Reader:
    """Reads the rows of a sheet, and keeps what is odd about it.

    Attributes:
        merged: the ranges of merged cells.
        formulas: how many there are.
        hollow: the cells of those that have no value.
    """

    book: Book
    merged: list[str] = field(default_factory=list)
    formulas: int = 0
    hollow: list[str] = field(default_factory=list)

    def rows(self, part: str) -> Iterator[tuple[int, list[str]]]:
        """The number of each row, from 1, and its cells up to the last that says anything."""
        number = 0
        with self.book.open(part) as file:
            for _, one in ElementTree.iterparse(file):
                if one.tag in _ROW:
                    number = int(one.get("r", number + 1))
                    yield number, self._cells(one, number)
                    one.clear()
                elif one.tag in _MERGED:
                    self.merged.append(one.attrib["ref"])

    def _cells(self, row: ElementTree.Element, number: int) -> list[str]:
        found: list[str] = []
        column = 0
        for cell in row:
            if cell.tag not in _CELL:
                continue
            where = cell.get("r", "")
            column = _column(where.rstrip(_DIGITS)) if where else column + 1
            text = self._text(cell, where or f"row {number}") if len(cell) else ""
            if text:
                found += [""] * (column - len(found))
                found[column - 1] = text
        return found

    def _text(self, cell: ElementTree.Element, where: str) -> str:
        kind = cell.get("t", "n")
        value, formula = None, False
        for part in cell:
            what = _PARTS.get(part.tag)
            if what == "v":
                value = part.text or ""
            elif what == "is":
                value = text_of(part)
            elif what == "f":
                formula = True
        if formula:
            self.formulas += 1
            # Only what is said to be a text may be an empty one.
            if value is None or (not value and kind != "str"):
                self.hollow.append(where)
        if not value:
            return ""
        if kind == "s":
            return self.book.texts[int(value)]
        if kind == "inlineStr":
            return value
        if kind == "n":
            return self._number(cell, value)
        if kind == "b":
            return "yes" if int(value) else "no"
        if kind == "d":
            return moment_text(value)
        return unescaped(value).strip()

    def _number(self, cell: ElementTree.Element, value: str) -> str:
        style = int(cell.get("s", "0"))
        formats = self.book.formats
        known = formats[style] if style < len(formats) else NUMBER
        return number_text(value, known, self.book.since_1904)


@lru_cache(maxsize=_WIDEST)
def _column(letters: str) -> int:
    """The number of a column, from 1."""
    number = 0
    for one in letters:
        number = 26 * number + ord(one) - ord("A") + 1
    if not (letters.isascii() and letters.isupper() and number <= _WIDEST):
        raise ValueError(f"{letters} is no column")
    return number


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


def _few(cells: Sequence[str]) -> str:
    others = len(cells) - _SHOWN
    return ", ".join(cells[:_SHOWN]) + (f" and {others} more" if others > 0 else "")
