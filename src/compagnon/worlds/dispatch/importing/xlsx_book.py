"""The parts of an XLSX around its sheets: where each is, the texts that they share, the formats.

An XLSX is XML in a zip (ECMA-376). The standard library reads it here in a fifth of the time that
openpyxl takes, which makes an object of every cell, and formulas and merged cells are seen in the
same pass.
"""

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Final
from xml.etree import ElementTree

from compagnon.errors import InputError
from compagnon.worlds.dispatch.importing.xlsx_values import DURATION, MOMENT, NUMBER

MAX_UNPACKED: Final = 1_000_000_000
_MAIN: Final = (
    "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}",
    "{http://purl.oclc.org/ooxml/spreadsheetml/main}",
)
_RELATION_ID = re.compile(r"\{[^}]*/relationships\}id")
_BROKEN: Final = (
    zipfile.BadZipFile, ElementTree.ParseError, KeyError, IndexError, ValueError, EOFError,
    zlib.error, NotImplementedError, RuntimeError,
)  # fmt: skip
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
# Formats by number that every workbook has (section 18.8.30), and those of East Asia.
_MOMENTS: Final = frozenset((*range(14, 23), *range(27, 37), 45, 47, *range(50, 59)))
_DURATIONS: Final = frozenset((46,))
_LITERAL = re.compile(r'"[^"]*"|[\\_*].|\[(?!(?:h+|m+|s+)\])[^\]]*\]', re.IGNORECASE)
_PASSED = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)


def tags(name: str) -> frozenset[str]:
    """How the elements of a name are called, in either of the two namespaces that there are."""
    return frozenset(f"{space}{name}" for space in _MAIN)


_SHEET, _STRING, _TEXT = tags("sheet"), tags("si"), tags("t")
_SAID = _TEXT | tags("r")  # a run of letters of one format; not how they are pronounced
_SETTINGS, _FORMAT, _STYLES, _STYLE = (
    tags("workbookPr"), tags("numFmt"), tags("cellXfs"), tags("xf"),
)  # fmt: skip


class Book:
    """A workbook that is open.

    Attributes:
        sheets: the part of each sheet that has rows, by its name, in order.
        texts: those that cells name by their number.
        formats: by style, whether a number is one, a moment, or time that passes.
        since_1904: whether days are counted from 1904.
    """

    def __init__(self, packed: zipfile.ZipFile) -> None:
        self._packed = packed
        self._names = {name.casefold(): name for name in packed.namelist()}
        book = next(part for kind, part in self._relations("").values() if kind == "officeDocument")
        root = ElementTree.parse(self.open(book)).getroot()
        parts = self._relations(book)
        self.sheets: dict[str, str] = {}
        self.since_1904 = False
        for one in root.iter():
            if one.tag in _SETTINGS:
                self.since_1904 = one.get("date1904", "0") in ("1", "true")
            elif one.tag in _SHEET:
                key = next(value for name, value in one.items() if _RELATION_ID.fullmatch(name))
                kind, part = parts[key]
                if kind == "worksheet":  # a sheet that is a chart has no rows
                    self.sheets[one.attrib["name"]] = part
        others = dict(parts.values())
        self.texts = self._read_texts(others.get("sharedStrings", ""))
        self.formats = self._read_formats(others.get("styles", ""))

    def open(self, part: str) -> IO[bytes]:
        """The bytes of a part.

        Raises:
            KeyError: there is none of that name.
        """
        return self._packed.open(self._names[part.casefold()])

    def _relations(self, part: str) -> dict[str, tuple[str, str]]:
        """What a part refers to: by its key, what it is, and its name."""
        folder, name = posixpath.split(part)
        root = ElementTree.parse(self.open(posixpath.join(folder, "_rels", f"{name}.rels")))
        found = {}
        for one in root.getroot():
            kind = one.attrib["Type"].rpartition("/")[2]
            target = posixpath.normpath(posixpath.join("/", folder, one.attrib["Target"]))
            found[one.attrib["Id"]] = kind, target.lstrip("/")
        return found

    def _read_texts(self, part: str) -> list[str]:
        if part.casefold() not in self._names:
            return []
        found = []
        for _, one in ElementTree.iterparse(self.open(part)):
            if one.tag in _STRING:
                found.append(text_of(one))
                one.clear()
        return found

    def _read_formats(self, part: str) -> list[int]:
        if part.casefold() not in self._names:
            return []
        root = ElementTree.parse(self.open(part)).getroot()
        own = {
            int(one.attrib["numFmtId"]): _kind_of(one.get("formatCode", ""))
            for one in root.iter()
            if one.tag in _FORMAT
        }
        numbers = [
            int(one.get("numFmtId", "0"))
            for table in root
            if table.tag in _STYLES
            for one in table
            if one.tag in _STYLE
        ]
        return [own.get(number, _known(number)) for number in numbers]


@contextmanager
def opened(data: bytes, path: Path) -> Iterator[Book]:
    """A workbook; whatever breaks while it is read is a file that is damaged.

    Raises:
        InputError: it is no XLSX, or unpacks to more than a gigabyte.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as packed:
            unpacked = sum(one.file_size for one in packed.infolist())
            if unpacked > MAX_UNPACKED:
                raise InputError(f"{path} unpacks to {unpacked / 1e6:,.0f} MB; save it as CSV")
            try:
                book = Book(packed)
            except StopIteration:
                raise KeyError("workbook") from None
            yield book
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(
            f"{path} is a spreadsheet that cannot be read ({type(error).__name__}); save it as "
            "XLSX again, or as CSV"
        ) from None


def text_of(element: ElementTree.Element) -> str:
    """What a text says, without its formats and the spaces around it."""
    first = element[0] if len(element) == 1 else None
    if first is not None and first.tag in _TEXT:
        said = first.text or ""
    else:
        parts = [[part] if part.tag in _TEXT else part for part in element if part.tag in _SAID]
        said = "".join(one.text or "" for part in parts for one in part if one.tag in _TEXT)
    return unescaped(said).strip()


def unescaped(text: str) -> str:
    """A text without the escapes of what XML cannot hold (section 22.9.2.19)."""
    return _ESCAPED.sub(_character, text) if "_x" in text else text


def _character(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return match[0] if 0xD800 <= code < 0xE000 else chr(code)


def _known(number: int) -> int:
    if number in _DURATIONS:
        return DURATION
    return MOMENT if number in _MOMENTS else NUMBER


def _kind_of(code: str) -> int:
    """What a format makes of a positive number: its first part says."""
    shown = _LITERAL.sub("", code.partition(";")[0])
    if _PASSED.search(shown):
        return DURATION
    return MOMENT if re.search("[dmyhs]", shown, re.IGNORECASE) else NUMBER
