"""Reads a CSV within bounds: its size, its encoding, its columns; what is personal stays outside.

Only the columns that are asked for leave this file. All others, names and telephone numbers among
them, are dropped here, before any row is looked at.
"""

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from compagnon.envs.written import heading, translated
from compagnon.errors import InputError
from compagnon.files import read_file
from compagnon.worlds.dispatch.importing.headings import addresses

MAX_BYTES: Final = 50_000_000
MESSAGE_FAULTS: Final = 10
_EXCEL = re.compile(r"sep=[,;\t]", re.IGNORECASE)  # how Excel is told the delimiter
# Words of a column's name that say that it is about a person. Whatever is not asked for is dropped
# all the same; the words only decide how that is said.
_PERSONAL: Final = frozenset((
    "name", "surname", "firstname", "lastname", "patient", "client", "person", "phone",
    "telephone", "tel", "mobile", "cell", "fax", "mail", "email", "address", "street",
    "house", "city", "zip", "postcode", "birth", "birthday", "dob", "age", "sex", "gender",
    "insurance", "ssn", "avs", "note", "notes", "comment", "comments", "remark", "remarks",
    "diagnosis", "nom", "prenom", "adresse", "rue", "naissance", "courriel", "portable",
    "remarque", "remarques", "motif", "secu", "prescripteur", "ald", "purpose", "customer",
    "strasse", "vorname", "nachname", "telefon",
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
    """What is said about the files.

    Attributes:
        faults: rows that can't be used.
        unservable: bookings that are used and can only be refused: nobody could take them.
        notes: about a file as a whole.
    """

    faults: list[Fault] = field(default_factory=list)
    unservable: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Row(NamedTuple):
    """One row that is not blank: its line, and the cells of the columns that were asked for."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class CsvRows:
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
    path: Path,
    words: Mapping[str, Sequence[str]],
    required: Collection[str],
    findings: Findings,
    one_of: Collection[str] = (),
) -> CsvRows:
    """The columns of a CSV that are asked for; all others are dropped, and the notes say which.

    Args:
        words: for each column that is asked for, other headings that mean it.
        required: the columns without which nothing can be read.
        one_of: columns of which one at least has to be there.

    Raises:
        InputError: the file as a whole cannot be used.
    """
    lines = read_lines(path, findings)
    given = lines[0][1]
    header = translated(given, words)
    missing = [name for name in required if name not in header]
    if one_of and not set(one_of) & set(header):
        missing.append(" nor ".join(one_of))
    if missing:
        raise InputError(_missing(path, given, header, missing, words))
    _check_once(path, header, tuple(words))
    _note_read(path, given, header, words, findings.notes)
    _note_dropped(path, [one for one in header if one not in words], findings.notes)
    places = {name: header.index(name) for name in words if name in header}
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
    return CsvRows(path.name, tuple(places), tuple(rows))


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
    if _EXCEL.fullmatch(first.strip()):
        delimiter, text = first.strip()[-1], "\n" + text.partition(first)[2].lstrip("\r\n")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num} is not CSV ({error})") from None


def _check_once(path: Path, header: Sequence[str], wanted: Sequence[str]) -> None:
    twice = [name for name in wanted if header.count(name) > 1]
    if twice:
        raise InputError(f"{path}: the column {twice[0]} stands there twice")


def _missing(
    path: Path,
    given: Sequence[str],
    header: Sequence[str],
    missing: Sequence[str],
    words: Mapping[str, Sequence[str]],
) -> str:
    """What a first line lacks, what it has, and what may be behind that."""
    lines = [f"{path}: no column {', '.join(missing)} in its first line"]
    known = _renamed(given, header, words)
    known += [name for name in header if name in words and name not in "".join(known)]
    lines.append(f"it has {', '.join(known)}" if known else "none of its headings is known")
    where = addresses(given)
    if where and any(name.endswith(("_lat", "_lon")) for name in missing):
        lines.append(
            f"{', '.join(where)}: an address is no place on a map; add the degrees of each, such "
            "as 46.2044 and 6.1432"
        )
    return "; ".join(lines) + ". Rename the columns that mean the same (docs/dispatch_data.md)"


def _renamed(
    given: Sequence[str], header: Sequence[str], words: Mapping[str, Sequence[str]]
) -> list[str]:
    pairs = zip(given, header, strict=True)
    return [
        f"{ours} ({theirs.strip()})"
        for theirs, ours in pairs
        if ours in words and heading(theirs) != ours
    ]


def few(what: Sequence[str]) -> str:
    """The first of them, and how many others there are."""
    others = len(what) - MESSAGE_FAULTS
    return ", ".join(what[:MESSAGE_FAULTS]) + (f" and {others} more" if others > 0 else "")


def listed(faults: Sequence[Fault]) -> str:
    """The first faults, one a line, and how many others there are."""
    shown = "\n  ".join(str(fault) for fault in faults[:MESSAGE_FAULTS])
    others = len(faults) - MESSAGE_FAULTS
    return f"\n  {shown}" + (f"\n  and {others} more" if others > 0 else "")


def _note_read(
    path: Path,
    given: Sequence[str],
    header: Sequence[str],
    words: Mapping[str, Sequence[str]],
    notes: list[str],
) -> None:
    renamed = _renamed(given, header, words)
    if renamed:
        notes.append(f"{path.name}: headings read as {', '.join(renamed)}")


def _note_dropped(path: Path, dropped: list[str], notes: list[str]) -> None:
    personal = [one for one in dropped if _is_personal(one)]
    others = [one for one in dropped if one and one not in personal]
    if personal:
        notes.append(f"{path.name}: personal, dropped and nowhere stored: {', '.join(personal)}")
    if others:
        notes.append(f"{path.name}: not known, dropped: {', '.join(others)}")


def _is_personal(column: str) -> bool:
    return any(word in _PERSONAL for word in column.split("_"))
