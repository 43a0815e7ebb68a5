"""A travel-time matrix from a CSV: square, without holes, or each hole named.

The file has the columns ``measure,place`` and one column a place. A row of measure ``minutes``
holds the minutes from its place to each of the others; rows of measure ``km``, for all places or
for none, the road kilometres.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.dispatch.importing.cells import number_of
from compagnon.envs.dispatch.importing.sheet import (
    Fault,
    Findings,
    check_header,
    read_lines,
)
from compagnon.errors import InputError

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


def read_matrix(path: Path, findings: Findings) -> Matrix:
    """Read a matrix; a place with a fault is left out, and the others stay.

    Raises:
        InputError: the file as a whole cannot be used.
    """
    lines = read_lines(path, findings)
    header = [cell.strip() for cell in lines[0][1]]
    header[:2] = [cell.lower() for cell in header[:2]]
    check_header(path, header[:2], ("measure", "place"), ())
    names = header[2:]
    if header[:2] != ["measure", "place"] or not names or not all(names):
        raise InputError(f"{path}: the first line should be measure,place, and then each place")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path}: the place {twice} stands in the first line twice")
    if len(names) > MAX_PLACES:
        raise InputError(f"{path}: {len(names)} places; at most {MAX_PLACES}")
    broken: set[str] = set()
    tables = _tables(path.name, lines[1:], names, findings.faults, broken)
    _check_square(path.name, tables, names, findings.faults, broken)
    good = [k for k, name in enumerate(names) if name not in broken]
    if not good:
        raise InputError(f"{path}: no place has all its minutes; the matrix should be square")
    minutes, km = (tables[measure][0][np.ix_(good, good)] for measure in MEASURES)
    places = {names[k]: at for at, k in enumerate(good)}
    return Matrix(path.name, places, minutes, km if tables["km"][1] else None, frozenset(broken))


def _tables(
    file: str, lines: _Lines, names: list[str], faults: list[Fault], broken: set[str]
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
        if not _fill(file, line, measure, cells[2:], names, values[index[place]], faults):
            broken.add(place)
    return tables


def _fill(
    file: str,
    line: int,
    measure: str,
    cells: list[str],
    names: list[str],
    values: NDArray[np.float64],
    faults: list[Fault],
) -> bool:
    """Write the entries of one row into `values`; whether all of them are good."""
    before = len(faults)
    if len(cells) > len(names):
        right = f"{len(names)}, one a place: the matrix is square"
        faults.append(Fault(file, line, "row", f"{len(cells)} entries", "has too many", right))
        return False
    for k, name in enumerate(names):
        text = cells[k].strip() if k < len(cells) else ""
        value = number_of(text)
        if value is None or not 0 <= value <= _MOST[measure]:
            fault = "is missing: a hole" if not text else "is no number that can be"
            right = f"{measure} from 0 to {_MOST[measure]:g}"
            faults.append(Fault(file, line, name, text, fault, right))
            continue
        values[k] = value
    return len(faults) == before


def _check_square(
    file: str,
    tables: dict[str, tuple[NDArray[np.float64], dict[str, int]]],
    names: list[str],
    faults: list[Fault],
    broken: set[str],
) -> None:
    for measure, (_, seen) in tables.items():
        if measure == "km" and not seen:
            continue
        for name in names:
            if name not in seen:
                right = "one row for each place of the first line: the matrix is square"
                faults.append(Fault(file, 1, name, "", f"has no row of {measure}", right))
                broken.add(name)
