"""Reads outcomes from a table that another system wrote: late, doubled and out of order.

A file is looked at whole before anything of it is written, and each outcome is written once,
however often the file is brought again.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from compagnon.errors import InputError
from compagnon.files import read_file
from compagnon.spreadsheets import number_of, translated, when_of
from compagnon.store import Store, outcomes
from compagnon.store.outcomes import LATEST, Given, UnknownDecision

_MOST: Final = 500_000_000  # bytes
_NAMED: Final = 20  # faults
_PAGE: Final = 1000  # outcomes of one transaction
_THOUSANDS: Final = re.compile(r"[+-]?\d{1,3},\d{3}")
_WORDS: Final[Mapping[str, Sequence[str]]] = {
    "decision_id": ("decision", "id", "identifiant", "decision_identifiant"),
    "name": ("outcome", "metric", "nom", "resultat", "indicateur"),
    "value": ("valeur", "amount", "montant"),
    "time": ("when", "date", "heure", "moment", "date_heure"),
}
_NEEDED: Final = ("decision_id", "name", "value")


@dataclass(frozen=True)
class Imported:
    """What became of the rows of a file.

    Attributes:
        created: new ones. same: those that stood there, with the same value.
        late: new ones that came after their metric's time.
        conflicts: rows whose outcome stands there with another value, which stays; the first ones.
        unknown: rows whose decision is not there, or another application's; the first ones.
        refused: how many rows are in the last two.
        fresh: names that nobody had defined, and that have a window of a week now.
    """

    created: int
    same: int
    late: int
    conflicts: tuple[str, ...]
    unknown: tuple[str, ...]
    refused: int
    fresh: tuple[str, ...] = ()


def read_outcomes(path: Path, zone: str = "UTC") -> list[tuple[int, Given]]:
    """The outcomes of a table, with the line that each stands in.

    Columns are ``decision_id``, ``name``, ``value`` and perhaps ``time`` (seconds since 1970, or a
    day and a time of `zone`), under these names or common French or English ones, in any order;
    others are left alone.

    Raises:
        InputError: the file, the line and the field, of the first faults; nothing else is said.
    """
    place = _zone(zone)
    lines, mark = _lines(path)
    try:
        return _read(path, lines, mark, place)
    except csv.Error as error:
        raise InputError(f"{path}, line {lines.line_num}: {error}; is a quote left open?") from None


def _read(path: Path, lines: Any, mark: str, zone: tzinfo) -> list[tuple[int, Given]]:
    """The outcomes of a reader of CSV, `mark` between cells."""
    first = next(lines, None)
    if first is None:
        raise InputError(f"{path} is empty; its first line should name decision_id, name, value")
    columns = translated(first, _WORDS)
    for name in _NEEDED:
        if columns.count(name) != 1:
            seen = "stands there twice" if name in columns else "is missing"
            raise InputError(f"{path}: column {name} {seen}; there are {', '.join(first)}")
    found: list[tuple[int, Given]] = []
    faults: list[str] = []
    number = lines.line_num
    for cells in lines:
        begins, number = number + 1, lines.line_num  # a cell may go over several lines
        if not any(cell.strip() for cell in cells):
            continue
        row = {name: cell.strip() for name, cell in zip(columns, cells, strict=False)}
        try:
            found.append((begins, _given(row, mark, zone)))
        except InputError as error:
            faults.append(f"line {begins}: {error}")
    if faults:
        more = f"; and {len(faults) - _NAMED:,} more" if len(faults) > _NAMED else ""
        raise InputError(f"{path}: " + "; ".join(faults[:_NAMED]) + more)
    return found


def _lines(path: Path) -> tuple[Any, str]:
    """A reader, and what stands between cells."""
    data = read_file(path, _MOST)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")  # as spreadsheets of Windows write
    head = text.partition("\n")[0]
    mark = max(",;\t", key=head.count)
    return csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True), mark


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"--zone {name}: give a name such as Europe/Paris") from None


def _given(row: Mapping[str, str], mark: str, zone: tzinfo) -> Given:
    value = number_of(row.get("value", ""))
    if mark == "," and _THOUSANDS.fullmatch(row.get("value", "")):
        raise InputError(
            f"value {row['value']!r} could be thousands or a decimal comma: write it with a point, "
            "or with semicolons between the cells"
        )
    if not row.get("decision_id"):
        raise InputError("decision_id is empty")
    if value is None or not math.isfinite(value):
        raise InputError(f"value {row.get('value', '')!r} is no number")
    made = Given(row["decision_id"], row.get("name", ""), value, _time(row.get("time", ""), zone))
    outcomes.check(made)
    return made


def _time(text: str, zone: tzinfo) -> float | None:
    if not text:
        return None
    seconds = number_of(text)
    if seconds is not None:
        return seconds
    try:
        when = when_of(text)
    except ValueError:
        when = None
    if when is None or when.day is None or when.clock is None:
        raise InputError(f"time {text!r}: give seconds since 1970, or a day and a time")
    moment = datetime.combine(when.day, when.clock, when.zone or zone)
    return min(max(moment.timestamp(), -1.0), LATEST + 1.0)


def import_outcomes(
    store: Store,
    given: Sequence[tuple[int, Given]],
    application: str | None = None,
    watch: Callable[[int], object] = lambda _: None,
) -> Imported:
    """Write what `read_outcomes` gave, each once; a thousand in a transaction.

    Broken off in the middle, the file can be brought again: what was written is ``same`` then.

    Args:
        application: whose decisions they must be of; anybody's if it is None.
        watch: is told how many were written.
    """
    counts: Counter[str] = Counter()
    conflicts: list[str] = []
    unknown: list[str] = []
    fresh = {one.name for _, one in given} - outcomes.defined(store)
    for start in range(0, len(given), _PAGE):
        part = given[start : start + _PAGE]
        wanted = [one._replace(application=application) for _, one in part]
        for (line, one), result in zip(part, outcomes.put_each(store, wanted), strict=True):
            if isinstance(result, UnknownDecision):
                counts["refused"] += 1
                unknown.append(f"line {line}: there is no decision {one.decision_id!r}")
            elif result.status == "conflict":
                counts["refused"] += 1
                stands = result.outcome.value
                conflicts.append(
                    f"line {line}: {one.name} of {one.decision_id} is {stands:g} already, not "
                    f"{one.value:g}"
                )
            else:
                counts[result.status] += 1
                counts["late"] += result.status == "created" and result.outcome.late
        watch(start + len(part))
    return Imported(
        counts["created"], counts["same"], counts["late"],
        tuple(conflicts[:_NAMED]), tuple(unknown[:_NAMED]), counts["refused"],
        tuple(sorted(fresh & outcomes.defined(store))),
    )  # fmt: skip
