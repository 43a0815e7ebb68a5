"""Reads a table within bounds: its size, its encoding, its columns; what is personal stays outside.

Only the columns that are asked for leave this file. All others, names and telephone numbers among
them, are dropped here, before any row is looked at.
"""

import csv
import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from compagnon.errors import InputError
from compagnon.files import read_file
from compagnon.worlds.dispatch.importing.columns import Table, find_columns
from compagnon.worlds.dispatch.importing.findings import Fault, Findings, Row
from compagnon.worlds.dispatch.importing.profile import KNOWN, Profile
from compagnon.worlds.dispatch.importing.xlsx_reader import Lines, is_old, is_xlsx, read_xlsx

MAX_BYTES: Final = 50_000_000
_EXCEL = re.compile(r"sep=[,;\t]", re.IGNORECASE)  # how Excel is told the delimiter


@dataclass(frozen=True, slots=True)
class CsvRows:
    """The rows of one file.

    Attributes:
        columns: those of the asked-for columns that it has.
        sources: under which heading a profile says that each stands in the file.
    """

    file: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    sources: dict[str, str] = field(default_factory=dict)


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


def read_text(path: Path, data: bytes, notes: list[str], encoding: str = "") -> str:
    """What a text file says, in UTF-8; another encoding is recognised, and said in `notes`.

    Args:
        encoding: the one that it is in; empty to find out.

    Raises:
        InputError: it is no text, or not in that encoding.
    """
    encodings: tuple[str, ...] = ("utf-8-sig", "cp1252", "latin-1")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings = ("utf-16",)
    for one in (encoding,) if encoding else encodings:
        try:
            text = data.decode(one)
        except UnicodeDecodeError as error:
            if encoding:
                raise InputError(
                    f"{path} is not in {encoding} (byte {error.start:,}); give its encoding, or "
                    "leave it out to find out"
                ) from None
            continue
        if "\0" in text:
            break
        if one != "utf-8-sig" and not encoding:
            notes.append(f"{path.name} is not UTF-8; it was read as {one}")
        return text.removeprefix("\ufeff")
    raise InputError(f"{path} is not a text file; it should be a CSV in UTF-8")


def read_sheet(path: Path, table: Table, findings: Findings, profile: Profile = KNOWN) -> CsvRows:
    """The columns of a table that are asked for; all others are dropped, and the notes say which.

    Raises:
        InputError: the file as a whole cannot be used.
    """
    lines = read_lines(path, findings, profile)
    given = lines[0][1]
    columns = find_columns(path, given, table, profile, findings.notes)
    width = len(given)
    single = {name: at[0] for name, at in columns.at.items() if len(at) == 1}
    joined = {name: at for name, at in columns.at.items() if len(at) > 1}
    constants = dict(profile.constants)
    rows = []
    for line, cells in lines[1:]:
        if len(cells) > width:
            findings.faults.append(
                Fault(path.name, line, "row", f"{len(cells)} cells", "has too many cells",
                      f"{width} cells as in the first line; quote text that holds commas")
            )  # fmt: skip
            continue
        cells = cells + [""] * (width - len(cells))
        row = {name: cells[at].strip() for name, at in single.items()}
        for name, places in joined.items():
            row[name] = ", ".join(part for k in places if (part := cells[k].strip()))
        for name, value in constants.items():
            row[name] = row.get(name) or value
        rows.append(Row(line, row))
    if len(lines) == 1:
        raise InputError(f"{path} has a header and no rows")
    sources = {name: " + ".join(cells) for name, cells in profile.columns.items()}
    return CsvRows(path.name, (*columns.at, *constants), tuple(rows), sources)


def read_lines(path: Path, findings: Findings, profile: Profile = KNOWN) -> Lines:
    """Line number and cells of every line that is not blank, from that of the headings on.

    The delimiter is found out, if the profile has none; an XLSX is read by its sheet.

    Raises:
        InputError: the file is no CSV and no XLSX, or has no line of headings.
    """
    data = read_bytes(path)
    if is_xlsx(data):
        lines = read_xlsx(data, path, profile.sheet, findings.notes)
    else:
        if is_old(data):
            raise InputError(
                f"{path} is a spreadsheet of the old kind, or behind a password; save it as XLSX "
                "without one, or as CSV"
            )
        lines = _csv_lines(path, read_text(path, data, findings.notes, profile.encoding), profile)
    lines = [one for one in lines if one[0] >= profile.header]
    if not lines:
        raise InputError(f"{path} is empty" + (" from its header on" if profile.header > 1 else ""))
    return lines


def _csv_lines(path: Path, text: str, profile: Profile) -> Lines:
    begin = text.splitlines()[profile.header - 1 :] if profile.header > 1 else text.splitlines()
    first = next((line for line in begin if line.strip()), "")
    if not first:
        raise InputError(f"{path} is empty" + (" from its header on" if profile.header > 1 else ""))
    delimiter = profile.delimiter or max(",;\t|", key=first.count)
    if _EXCEL.fullmatch(first.strip()):
        delimiter, text = first.strip()[-1], "\n" + text.partition(first)[2].lstrip("\r\n")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num} is not CSV ({error})") from None
