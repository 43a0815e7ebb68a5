"""Addresses turned into points by a table that the person brings; what it lacks is listed.

No address leaves the machine: whoever has none of the points lists them, has them found elsewhere,
and gives the list back with its two columns filled in.
"""

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from compagnon.errors import InputError
from compagnon.files import write_file
from compagnon.spreadsheets import heading, number_of, translated
from compagnon.worlds.dispatch.importing.csv_reader import CsvRows, read_lines
from compagnon.worlds.dispatch.importing.findings import Fault, Findings
from compagnon.worlds.dispatch.importing.parsers import Point, distance_km

_SAME_KM: Final = 0.05
_WORDS: Final = {
    "name": ("nom", "lieu", "place", "id", "node_index", "locationid", "location_id", "code"),
    "address": ("adresse", "full_address", "adresse_complete"),
    "lat": ("latitude", "pos_y", "y"),
    "lon": ("longitude", "lng", "long", "pos_x", "x"),
}


@dataclass(slots=True)
class Places:
    """Points by name and by address; capitals, accents, spaces and punctuation do not count.

    Attributes:
        points: by key.
        rows: file and row that a key's point stands in.
        names: by key, the name that a place has besides its address.
        missing: addresses without a point: how they are written, and how many rows need them.
    """

    points: dict[str, Point] = field(default_factory=dict)
    rows: dict[str, tuple[str, int]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    missing: dict[str, tuple[str, int]] = field(default_factory=dict)

    def read(self, path: Path, findings: Findings) -> None:
        """Take in a table with the columns `name` or `address`, `lat` and `lon`.

        Rows without a point are passed over: they are still to be found.

        Raises:
            InputError: a column is missing, or a place has two points; both rows are named.
        """
        lines = read_lines(path, findings)
        header = translated(lines[0][1], _WORDS)
        named = [k for k, name in enumerate(header) if name in ("name", "address")]
        lacks = [name for name in ("lat", "lon") if name not in header]
        if lacks or not named:
            lacks += [] if named else ["name nor address"]
            raise InputError(
                f"{path}: no column {', '.join(lacks)} in its first line; places have a name or "
                "an address, lat and lon"
            )
        at = header.index("lat"), header.index("lon")
        for line, cells in lines[1:]:
            cells = [cell.strip() for cell in cells] + [""] * (len(header) - len(cells))
            given = [cells[k] for k in at]
            if not any(given):
                continue
            lat, lon = (number_of(text) for text in given)
            if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180:
                shown = ", ".join(given)
                fault = "is no place on earth"
                right = "degrees, such as 46.2044 and 6.1432"
                findings.faults.append(Fault(path.name, line, "lat", shown, fault, right))
                continue
            called = next((cells[k] for k in named if header[k] == "name" and cells[k]), "")
            for k in named:
                if cells[k]:
                    self._put(cells[k], (lat, lon), path.name, line)
                    self.names.setdefault(_key(cells[k]), called)

    def _put(self, name: str, point: Point, file: str, line: int) -> None:
        key = _key(name)
        known = self.points.setdefault(key, point)
        if known is not point and distance_km(known, point) > _SAME_KM:
            first, row = self.rows[key]
            raise InputError(
                f"{file}, row {line}: {name!r} has another point ({point[0]:g}, {point[1]:g}) than "
                f"in {first}, row {row} ({known[0]:g}, {known[1]:g}); a place has one"
            )
        self.rows.setdefault(key, (file, line))

    def fill(self, sheet: CsvRows, ends: Sequence[str], faults: list[Fault], told: str) -> CsvRows:
        """The rows with the degrees of their addresses; those without are left out and noted.

        Args:
            ends: `pickup` and `dropoff`, or `start` and `end`.
            told: the files of the places, for messages.
        """
        asked = [end for end in ends if f"{end}_address" in sheet.columns]
        if not asked:
            return sheet
        kept = []
        for row in sheet.rows:
            lost = False
            for end in asked:
                cells = row.cells
                address = cells.get(f"{end}_address", "")
                if cells.get(f"{end}_lat") and cells.get(f"{end}_lon"):
                    continue
                point = self.points.get(_key(address)) if address else None
                if point is not None:
                    cells[f"{end}_lat"], cells[f"{end}_lon"] = repr(point[0]), repr(point[1])
                    if not cells.get(f"{end}_place"):
                        cells[f"{end}_place"] = self.names.get(_key(address), "")
                elif end != "end" or address:
                    lost = True
                    self._miss(address)
                    fault = f"is not among the places of {told}" if address else "is empty"
                    right = "a row of its own there" if address else "an address"
                    faults.append(
                        Fault(sheet.file, row.line, f"{end}_address", address[:80], fault, right)
                    )
            if not lost:
                kept.append(row)
        columns = (*sheet.columns, *(f"{end}_{part}" for end in asked for part in ("lat", "lon")))
        return CsvRows(sheet.file, tuple(dict.fromkeys(columns)), tuple(kept), sheet.sources)

    def _miss(self, address: str) -> None:
        if address:
            key = _key(address)
            written, rows = self.missing.get(key, (address, 0))
            self.missing[key] = written, rows + 1

    def write_missing(self, path: Path) -> None:
        """List the addresses without a point, most needed first, as a table to be filled in."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("address", "lat", "lon", "rows"))
        for address, rows in sorted(self.missing.values(), key=lambda one: (-one[1], one[0])):
            writer.writerow((address, "", "", rows))
        write_file(path, text.getvalue())


def has_addresses(columns: Collection[str]) -> list[str]:
    """The fields of a table that are addresses."""
    return [name for name in columns if name.endswith("_address")]


@lru_cache(maxsize=1 << 16)
def _key(name: str) -> str:
    return heading(name) or name.strip().casefold()
