"""Reads a CSV within bounds: its size, its encoding, its columns; what is personal stays outside.

Only the columns that are asked for leave this file. All others, names and telephone numbers among
them, are dropped here, before any row is looked at.
"""

import csv
import io
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from compagnon.errors import InputError
from compagnon.files import read_file

MAX_BYTES: Final = 50_000_000
MESSAGE_FAULTS: Final = 10
# Words of a column's name that say that it is about a person. Whatever is not asked for is dropped
# all the same; the words only decide how that is said.
_PERSONAL: Final = frozenset((
    "name", "surname", "firstname", "lastname", "patient", "client", "person", "phone",
    "telephone", "tel", "mobile", "cell", "fax", "mail", "email", "address", "street",
    "house", "city", "zip", "postcode", "birth", "birthday", "dob", "age", "sex", "gender",
    "insurance", "ssn", "avs", "note", "notes", "comment", "comments", "remark", "remarks",
    "diagnosis", "nom", "prenom", "adresse", "rue", "naissance", "courriel", "portable",
    "remarque", "remarques", "strasse", "vorname", "nachname", "telefon",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a file that cannot be used.

    Attributes:
        file: name of the file.
        row: line of the file, the header being line 1; of a JSON file the request, from 1.
        field: the column, or ``row`` for the row as a whole.
        given: what stands there.
        fault: what is wrong with it.
        right: what would be right.
    """

    file: str
    row: int
    field: str
    given: str
    fault: str
    right: str

    def __str__(self) -> str:
        what = f" {self.given!r}" if self.given else ""
        return f"{self.file}, row {self.row}, {self.field}:{what} {self.fault}; {self.right}"


@dataclass(slots=True)
class Findings:
    """What is said about the files: faults by row, and notes about a file as a whole."""

    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Row(NamedTuple):
    """One row that is not blank: its line, and the cells of the columns that were asked for."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of one file; `columns` are those of the asked-for columns that it has."""

    file: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_bytes(path: Path) -> bytes:
    """A file, refused by its size before it is read.

    Raises:
        InputError: it is missing, larger than 50 MB, or empty.
    """
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from None
    if size > MAX_BYTES:
        raise InputError(
            f"{path} holds {size / 1e6:,.0f} MB; at most {MAX_BYTES / 1e6:.0f} MB are read. "
            "Cut it by date, and import the parts one after the other"
        )
    data = read_file(path, MAX_BYTES)
    if not data.strip():
        raise InputError(f"{path} is empty")
    return data


def read_text(path: Path, notes: list[str]) -> str:
    """A text file in UTF-8; another encoding is recognised, and said in `notes`.

    Raises:
        InputError: it is too large, empty, or no text.
    """
    data = read_bytes(path)
    if data.startswith(b"PK\x03\x04"):
        raise InputError(f"{path} is a spreadsheet; save it as CSV")
    encodings: tuple[str, ...] = ("utf-8-sig", "cp1252", "latin-1")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings = ("utf-16",)
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        if encoding != "utf-8-sig":
            notes.append(f"{path.name} is not UTF-8; it was read as {encoding}")
        return text
    raise InputError(f"{path} is not a text file; it should be a CSV in UTF-8")


def read_sheet(
    path: Path, wanted: Sequence[str], required: Collection[str], findings: Findings
) -> Sheet:
    """The wanted columns of a CSV; all others are dropped, and `findings.notes` says which.

    Raises:
        InputError: the file as a whole cannot be used.
    """
    lines = read_lines(path, findings)
    header = [_column(cell) for cell in lines[0][1]]
    check_header(path, header, required, wanted)
    _note_dropped(path, [one for one in header if one not in wanted], findings.notes)
    places = {name: header.index(name) for name in wanted if name in header}
    rows = []
    for line, cells in lines[1:]:
        if len(cells) > len(header):
            findings.faults.append(
                Fault(path.name, line, "row", f"{len(cells)} cells", "has too many cells",
                      f"{len(header)} cells as in the first line; quote text that holds commas")
            )  # fmt: skip
            continue
        cells = cells + [""] * (len(header) - len(cells))
        rows.append(Row(line, {name: cells[at].strip() for name, at in places.items()}))
    if len(lines) == 1:
        raise InputError(f"{path} has a header and no rows")
    return Sheet(path.name, tuple(places), tuple(rows))


def read_lines(path: Path, findings: Findings) -> list[tuple[int, list[str]]]:
    """Line number and cells of every line that is not blank; the delimiter is found out.

    Raises:
        InputError: the file is no CSV.
    """
    text = read_text(path, findings.notes)
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise InputError(f"{path} is empty")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num} is not CSV ({error})") from None


def check_header(
    path: Path, header: list[str], required: Collection[str], wanted: Sequence[str]
) -> None:
    """Refuse a file without the columns that it needs, or with one of them twice."""
    missing = [name for name in required if name not in header]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)} in its first line; it needs "
            f"{', '.join(required)}"
        )
    twice = [name for name in wanted if header.count(name) > 1]
    if twice:
        raise InputError(f"{path}: the column {twice[0]} stands there twice")


def listed(faults: Sequence[Fault]) -> str:
    """The first faults, one a line, and how many others there are."""
    shown = "\n  ".join(str(fault) for fault in faults[:MESSAGE_FAULTS])
    others = len(faults) - MESSAGE_FAULTS
    return f"\n  {shown}" + (f"\n  and {others} more" if others > 0 else "")


def _column(cell: str) -> str:
    return "_".join(cell.strip().lower().replace("-", " ").split())


def _note_dropped(path: Path, dropped: list[str], notes: list[str]) -> None:
    personal = [one for one in dropped if _is_personal(one)]
    others = [one for one in dropped if one and one not in personal]
    if personal:
        notes.append(f"{path.name}: personal, dropped and nowhere stored: {', '.join(personal)}")
    if others:
        notes.append(f"{path.name}: not known, dropped: {', '.join(others)}")


def _is_personal(column: str) -> bool:
    plain = unicodedata.normalize("NFKD", column).encode("ascii", "ignore").decode()
    return any(word in _PERSONAL for word in plain.split("_"))
