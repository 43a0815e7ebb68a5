"""A travel-time matrix from a CSV: square, without holes, or each hole named.

The file has the columns ``measure,place`` and one column a place. A row of measure ``minutes``
holds the minutes from its place to each of the others; rows of measure ``km``, for all places or
for none, the road kilometres.

With a third column ``hour`` (0 to 23) there is a row of minutes for each place and hour. Travel
has one matrix and a relative speed by hour, so what the hours have in common is found, and said
how far off it is: a leg from a to b that takes m(h) minutes at hour h has base(a, b) / speed(h),
where the logarithm of the speed is minus the mean over all legs of log m(h) - mean of log m, and
base is the geometric mean of m over the hours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.spreadsheets import number_of
from compagnon.worlds.dispatch.importing.csv_reader import read_lines
from compagnon.worlds.dispatch.importing.findings import Fault, Findings, few
from compagnon.worlds.dispatch.instance_checks import FASTEST, SLOWEST
from compagnon.worlds.dispatch.travel import HOURS

MEASURES: Final = ("minutes", "km")
MAX_PLACES: Final = 2000
MAX_HOURLY_PLACES: Final = 500  # 24 matrices of so many fit into 50 MB
_MOST: Final = {"minutes": 1440.0, "km": 2000.0}
_LEADING: Final = ("measure", "place", "hour")
_AT: Final = "minutes at hour "
_Lines = list[tuple[int, list[str]]]
_Table = tuple[NDArray[np.float64], dict[str, int]]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Travel between places that have every entry.

    Attributes:
        file: its name.
        places: index of each place by its name.
        minutes: (places, places).
        km: (places, places), or None where the file has none.
        broken: places that cannot be used, because an entry of theirs is missing or wrong.
        speed: (24,), relative speed by hour; 1 where the file has no hours.
    """

    file: str
    places: dict[str, int]
    minutes: NDArray[np.float64]
    km: NDArray[np.float64] | None
    broken: frozenset[str]
    speed: NDArray[np.float64] = field(default_factory=lambda: np.ones(HOURS))


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
    header[:3] = [cell.lower() if cell.lower() in _LEADING else cell for cell in header[:3]]
    lead = 3 if "hour" in header[:3] else 2
    names = header[lead:]
    missing = [name for name in ("measure", "place") if name not in header]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)} in its first line; it should be "
            "measure,place, and then each place"
        )
    if set(header[:lead]) != set(_LEADING[:lead]) or not names or not all(names):
        raise InputError(f"{path}: the first line should be measure,place, and then each place")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path}: the place {twice} stands in the first line twice")
    most = MAX_PLACES if lead == 2 else MAX_HOURLY_PLACES
    if len(names) > most:
        hourly = "" if lead == 2 else " with minutes by the hour"
        raise InputError(f"{path}: {len(names)} places; at most {most}{hourly}")
    tables = _tables(path.name, lines[1:], header[:lead], names, findings.faults)
    hours = sorted(measure for measure in tables if measure not in MEASURES)
    if lead == 3:
        _check_hours(path, hours, tables)
    _check_square(path.name, tables, names, findings.faults)
    broken = _without_holes(names, tables, uses)
    if broken:
        findings.notes.append(
            f"{path.name}: left out, so that no hole is left: {few(sorted(broken))}"
        )
    good = [k for k, name in enumerate(names) if name not in broken]
    if not good:
        raise InputError(f"{path}: no place has all its minutes; the matrix should be square")
    kept = {measure: values[np.ix_(good, good)] for measure, (values, _) in tables.items()}
    places = {names[k]: at for at, k in enumerate(good)}
    km = kept["km"] if tables["km"][1] else None
    if lead == 2:
        return Matrix(path.name, places, kept["minutes"], km, frozenset(broken))
    by_hour = np.array([kept[hour] for hour in hours])
    minutes, speed = fit_hours(by_hour)
    _check_speed(path, speed)
    findings.notes.append(_how_far_off(path.name, list(places), by_hour, minutes, speed))
    return Matrix(path.name, places, minutes, km, frozenset(broken), speed)


def fit_hours(
    by_hour: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Base minutes (n, n) and relative speeds (24,) of minutes by hour, (24, n, n)."""
    moves = (by_hour > 0).all(axis=0)
    logs = np.log(by_hour[:, moves])
    speed = np.ones(len(by_hour))
    if logs.size:
        speed = np.exp((logs.mean(axis=0) - logs).mean(axis=1))
    base = (by_hour * speed[:, None, None]).mean(axis=0)
    base[moves] = np.exp(logs.mean(axis=0))
    return base, speed


def _check_speed(path: Path, speed: NDArray[np.float64]) -> None:
    for hour, relative in enumerate(speed.tolist()):
        if not SLOWEST <= relative <= FASTEST:
            raise InputError(
                f"{path}: hour {hour} is {relative:.3g} times as fast as the mean of all hours; "
                f"{SLOWEST:g} to {FASTEST:g} times can be"
            )


def _how_far_off(
    file: str,
    names: list[str],
    by_hour: NDArray[np.float64],
    base: NDArray[np.float64],
    speed: NDArray[np.float64],
) -> str:
    fitted = base / speed[:, None, None]
    off = np.abs(fitted - by_hour)
    hour, a, b = (int(k) for k in np.unravel_index(off.argmax(), off.shape))
    return (
        f"{file}: the 24 hours are kept as one matrix and a speed by hour, which is at most "
        f"{off[hour, a, b]:.1f} minutes off ({fitted[hour, a, b]:.1f} instead of "
        f"{by_hour[hour, a, b]:.1f} from {names[a]} to {names[b]} at hour {hour}), and "
        f"{off.mean():.1f} on average"
    )


def _check_hours(path: Path, hours: list[str], tables: Mapping[str, _Table]) -> None:
    """Refuse a matrix by hour that lacks an hour.

    Raises:
        InputError: names the hours.
    """
    lost = [one.removeprefix(_AT) for one in hours if not tables[one][1]]
    if lost:
        which = f"hours {', '.join(lost)}" if len(lost) > 1 else f"hour {lost[0]}"
        raise InputError(f"{path}: no minutes for {which}; a matrix by hour has all of 00 to 23")


def _tables(
    file: str, lines: _Lines, lead: list[str], names: list[str], faults: list[Fault]
) -> dict[str, _Table]:
    """For each measure the entries, NaN where there is none, and the line of each place.

    Minutes by the hour are a measure for each hour.
    """
    index = {name: k for k, name in enumerate(names)}
    hourly = "hour" in lead
    measures = [*(f"{_AT}{hour:02d}" for hour in range(HOURS)), "km"] if hourly else MEASURES
    tables: dict[str, _Table] = {
        measure: (np.full((len(names), len(names)), np.nan), {}) for measure in measures
    }
    for line, cells in lines:
        told = dict(zip(lead, [cell.strip() for cell in cells] + [""] * len(lead), strict=False))
        measure, place = told["measure"].lower(), told["place"]
        if measure not in MEASURES:
            faults.append(Fault(file, line, "measure", measure, "is not known", "minutes or km"))
            continue
        if hourly:
            found = _hour(measure, told["hour"])
            if found is None:
                right = "0 to 23 for minutes, and nothing for km"
                faults.append(
                    Fault(file, line, "hour", told["hour"], "is no hour of the day", right)
                )
                continue
            measure = found
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
        _fill(file, line, measure, cells[len(lead) :], names, values[index[place]], faults)
    return tables


def _hour(measure: str, text: str) -> str | None:
    """The measure of a row of a matrix by hour."""
    if measure == "km":
        return None if text else measure
    value = number_of(text.removesuffix(":00").removesuffix("h"))
    if value is None or value != int(value) or not 0 <= value < HOURS:
        return None
    return f"{_AT}{int(value):02d}"


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
        most = _MOST["km" if measure == "km" else "minutes"]
        if value is None or not 0 <= value <= most:
            fault = "is missing: a hole" if not text else "is no number that can be"
            right = f"{measure} from 0 to {most:g}"
            faults.append(Fault(file, line, name, text, fault, right))
            continue
        values[k] = value


def _check_square(
    file: str,
    tables: Mapping[str, _Table],
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
    tables: Mapping[str, _Table],
    uses: Mapping[str, int],
) -> set[str]:
    """The fewest places, or nearly, without which no entry is missing: a hole lies between two."""
    holes = np.zeros((len(names), len(names)), np.bool_)
    for measure, (values, seen) in tables.items():
        if measure != "km" or seen:
            holes |= np.isnan(values)
    out: set[str] = set()
    while holes.any():
        count = holes.sum(axis=0) + holes.sum(axis=1)
        worst = np.flatnonzero(count == count.max())
        k = int(min(worst, key=lambda place: uses.get(names[place], 0)))
        out.add(names[k])
        holes[k, :] = holes[:, k] = False
    return out
