"""A travel-time matrix from a CSV: square, without holes, or each hole named.

The file has the columns ``measure,place`` and one column a place. A row of measure ``minutes``
holds the minutes from its place to each of the others; rows of measure ``km``, for all places or
for none, the road kilometres.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.spreadsheets import number_of
from compagnon.worlds.dispatch.importing.csv_reader import read_lines
from compagnon.worlds.dispatch.importing.findings import Fault, Findings, few

MEASURES: Final = ("minutes", "km")
MAX_PLACES: Final = 2000
_MOST: Final = {"minutes": 1440.0, "km": 2000.0}
_Lines = list[tuple[int, list[str]]]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Travel between places that have every entry.

    Attributes:
        file: its name.
        places: index of each place by its name.
        minutes: (places, places).
        km: (places, places), or None where the file has none.
        broken: places that cannot be used, because an entry of theirs is missing or wrong.
    """

    file: str
    places: dict[str, int]
    minutes: NDArray[np.float64]
    km: NDArray[np.float64] | None
    broken: frozenset[str]


def read_matrix(path: Path, findings: Findings, uses: Mapping[str, int]) -> Matrix:
    """Read a matrix; places are left out until no hole is left, those of the most holes first.

    Args:
        uses: how many rows need each place; of two places with a hole between them, and no other,
            the one that fewer need goes.

    Raises:
        InputError: the file as a whole cannot be used.
    """
    lines = read_lines(path, findings)
    header = [cell.strip() for cell in lines[0][1]]
    header[:2] = [cell.lower() for cell in header[:2]]
    names = header[2:]
    missing = [name for name in ("measure", "place") if name not in header]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)} in its first line; it should be "
            "measure,place, and then each place"
        )
    if header[:2] != ["measure", "place"] or not names or not all(names):
        raise InputError(f"{path}: the first line should be measure,place, and then each place")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path}: the place {twice} stands in the first line twice")
    if len(names) > MAX_PLACES:
        raise InputError(f"{path}: {len(names)} places; at most {MAX_PLACES}")
    tables = _tables(path.name, lines[1:], names, findings.faults)
    _check_square(path.name, tables, names, findings.faults)
    broken = _without_holes(names, tables, uses)
    if broken:
        findings.notes.append(
            f"{path.name}: left out, so that no hole is left: {few(sorted(broken))}"
        )
    good = [k for k, name in enumerate(names) if name not in broken]
    if not good:
        raise InputError(f"{path}: no place has all its minutes; the matrix should be square")
    minutes, km = (tables[measure][0][np.ix_(good, good)] for measure in MEASURES)
    places = {names[k]: at for at, k in enumerate(good)}
    return Matrix(path.name, places, minutes, km if tables["km"][1] else None, frozenset(broken))


def _tables(
    file: str, lines: _Lines, names: list[str], faults: list[Fault]
) -> dict[str, tuple[NDArray[np.float64], dict[str, int]]]:
    """For each measure the entries, NaN where there is none, and the line of each place."""
    index = {name: k for k, name in enumerate(names)}
    tables: dict[str, tuple[NDArray[np.float64], dict[str, int]]] = {
        measure: (np.full((len(names), len(names)), np.nan), {}) for measure in MEASURES
    }
    for line, cells in lines:
        measure, place = cells[0].strip().lower(), cells[1].strip() if len(cells) > 1 else ""
        if measure not in tables:
            faults.append(Fault(file, line, "measure", measure, "is not known", "minutes or km"))
            continue
        if place not in index:
            right = "a place of the first line: the matrix is square"
            faults.append(Fault(file, line, "place", place, "has a row and no column", right))
            continue
        values, seen = tables[measure]
        if place in seen:
            right = f"one row a place; line {seen[place]} has it already"
            faults.append(Fault(file, line, "place", place, "is there twice", right))
            continue
        seen[place] = line
        _fill(file, line, measure, cells[2:], names, values[index[place]], faults)
    return tables


def _fill(
    file: str,
    line: int,
    measure: str,
    cells: list[str],
    names: list[str],
    values: NDArray[np.float64],
    faults: list[Fault],
) -> None:
    """Write the good entries of one row into `values`."""
    if len(cells) > len(names):
        right = f"{len(names)}, one a place: the matrix is square"
        faults.append(Fault(file, line, "row", f"{len(cells)} entries", "has too many", right))
        return
    for k, name in enumerate(names):
        text = cells[k].strip() if k < len(cells) else ""
        value = number_of(text)
        if value is None or not 0 <= value <= _MOST[measure]:
            fault = "is missing: a hole" if not text else "is no number that can be"
            right = f"{measure} from 0 to {_MOST[measure]:g}"
            faults.append(Fault(file, line, name, text, fault, right))
            continue
        values[k] = value


def _check_square(
    file: str,
    tables: dict[str, tuple[NDArray[np.float64], dict[str, int]]],
    names: list[str],
    faults: list[Fault],
) -> None:
    for measure, (_, seen) in tables.items():
        if measure == "km" and not seen:
            continue
        for name in names:
            if name not in seen:
                right = "one row for each place of the first line: the matrix is square"
                faults.append(Fault(file, 1, name, "", f"has no row of {measure}", right))


def _without_holes(
    names: list[str],
    tables: dict[str, tuple[NDArray[np.float64], dict[str, int]]],
    uses: Mapping[str, int],
) -> set[str]:
    """The fewest places, or nearly, without which no entry is missing: a hole lies between two."""
    holes = np.isnan(tables["minutes"][0])
    if tables["km"][1]:
        holes |= np.isnan(tables["km"][0])
    out: set[str] = set()
    while holes.any():
        count = holes.sum(axis=0) + holes.sum(axis=1)
        worst = np.flatnonzero(count == count.max())
        k = int(min(worst, key=lambda place: uses.get(names[place], 0)))
        out.add(names[k])
        holes[k, :] = holes[:, k] = False
    return out
