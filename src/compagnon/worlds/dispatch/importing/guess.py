"""Guesses which column of somebody's table is which field, from its heading and from its cells.

A guess is shown, with a sample and how sure it is, and becomes a profile that a person can edit;
nothing is imported by one that nobody has seen.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from compagnon.errors import InputError
from compagnon.spreadsheets import heading, number_of, truth_of, when_of
from compagnon.worlds.dispatch.importing.columns import Table
from compagnon.worlds.dispatch.importing.csv_reader import read_lines
from compagnon.worlds.dispatch.importing.findings import Findings
from compagnon.worlds.dispatch.importing.parsers import LONGEST_SKILL, seats_of
from compagnon.worlds.dispatch.importing.profile import Profile, Span
from compagnon.worlds.dispatch.importing.standing import weekdays_of

LOOKED_AT: Final = 200  # rows
LEAST: Final = 0.5  # what is less sure is left to the person
_BY_CELLS: Final = 0.6
_TOLERANCE: Final = {"pickup": (15.0, 15.0), "dropoff": (30.0, 0.0)}
_STREET: Final = frozenset((
    "adresse", "address", "addr", "rue", "street", "ville", "city", "town", "cp", "zip", "commune",
    "code", "postal", "postcode", "localite", "voie", "state",
))  # fmt: skip
_ENDS: Final[Mapping[str, frozenset[str]]] = {
    "pickup": frozenset((
        "depart", "pickup", "pu", "pick", "origin", "origine", "from", "pec", "charge", "aller",
    )),
    "dropoff": frozenset((
        "arrivee", "dropoff", "do", "drop", "destination", "to", "depose", "dest",
    )),
}  # fmt: skip


class Guess(NamedTuple):
    """One field of a guess.

    Attributes:
        cells: the headings that it is read from.
        sample: what stands there in the first row that has anything.
        sure: from 0 to 1.
    """

    field: str
    cells: tuple[str, ...]
    sample: str
    sure: float


class Guessed(NamedTuple):
    """A whole guess: its fields, the columns that none of them needs, and the profile."""

    fields: tuple[Guess, ...]
    unused: tuple[str, ...]
    profile: Profile


def guess_profile(path: Path, table: Table, given: Profile) -> Guessed:
    """The profile that a table seems to need.

    Args:
        given: what is known already: its sheet, its columns, its constants.

    Raises:
        InputError: the file cannot be read, or no column of it is known.
    """
    lines = read_lines(path, Findings(), given)
    header = [cell.strip() for cell in lines[0][1]]
    rows = [cells + [""] * len(header) for _, cells in lines[1 : 1 + LOOKED_AT]]
    columns = [[row[k].strip() for row in rows] for k in range(len(header))]
    found = _matched(header, columns, table, given)
    if table.kind == "bookings":
        _add_addresses(header, columns, found)
    if not found:
        raise InputError(f"{path}: no column is known; say which they are by --map FIELD=COLUMN")
    guesses = tuple(
        Guess(name, tuple(header[k] for k in places), _sample(columns, places), sure)
        for name, (places, sure) in found.items()
    )
    used = {k for places, _ in found.values() for k in places}
    unused = tuple(cell for k, cell in enumerate(header) if cell and k not in used)
    columns_of = {**{one.field: one.cells for one in guesses}, **given.columns}
    profile = Profile(
        kind=table.kind, columns=columns_of, constants=given.constants, words=given.words,
        complete=True, tolerance={**_tolerance(columns_of), **given.tolerance}, sheet=given.sheet,
        header=given.header, encoding=given.encoding, delimiter=given.delimiter, zone=given.zone,
        source="the guess",
    )  # fmt: skip
    return Guessed(guesses, unused, profile)


def _matched(
    header: Sequence[str], columns: Sequence[Sequence[str]], table: Table, given: Profile
) -> dict[str, tuple[tuple[int, ...], float]]:
    """The surest field of each column, and the surest column of each field; in the file's order."""
    words = {**table.words, **table.extras}
    asked = [name for name in words if name not in given.columns and name not in given.constants]
    taken = {cell for cells in given.columns.values() for cell in cells}
    scores = sorted(
        (
            (_sure(header[k], columns[k], name, words[name]), -k, name)
            for k in range(len(header))
            for name in asked
            if header[k] and header[k] not in taken
        ),
        reverse=True,
    )
    found: dict[str, tuple[int, float]] = {}
    for sure, place, name in scores:
        if sure >= LEAST and name not in found and -place not in {k for k, _ in found.values()}:
            found[name] = -place, sure
    in_order = sorted(found.items(), key=lambda one: one[1][0])
    return {name: ((k,), sure) for name, (k, sure) in in_order}


def _sure(cell: str, values: Sequence[str], name: str, words: Sequence[str]) -> float:
    """How sure a column is a field: as its heading is like those known, as far as its cells fit."""
    said = heading(cell)
    like = max(_alike(said, word) for word in (name, *words))
    filled = [value for value in values if value]
    if name == "seats" and filled and like < _BY_CELLS and all(map(_READS["seats"], filled)):
        return _BY_CELLS  # such words stand nowhere else, whatever is written above them
    if like < LEAST:
        return 0.0
    fits = _READS.get(_kind(name))
    if not filled:
        return 0.8 if like == 1.0 else 0.0  # nothing bears it out
    if fits is None:
        return like
    share = sum(map(fits, filled)) / len(filled)
    return like * share if share >= LEAST else 0.0


def _alike(said: str, word: str) -> float:
    if said == word:
        return 1.0
    mine, theirs = set(said.split("_")), set(word.split("_"))
    if mine == theirs:
        return 0.95
    ratio = difflib.SequenceMatcher(None, said, word).ratio()
    # A word more or less is no other meaning; only, the shorter it is, the less does it say.
    if len(theirs) > 1 and theirs <= mine:
        return 0.85
    return 0.9 * ratio if ratio > 0.8 else 0.0


def _is_time(text: str) -> bool:
    try:
        found = when_of(text)
    except ValueError:
        return bool(text)  # a month for a day: the clock of the whole file will tell
    return found is not None and found.clock is not None


def _is_day(text: str) -> bool:
    try:
        found = when_of(text)
    except ValueError:
        return True
    return found is not None and found.day is not None


def _is_degree(text: str) -> bool:
    value = number_of(text)
    return value is not None and abs(value) <= 180


def _is_count(text: str) -> bool:
    value = number_of(text)
    return value is not None and value == int(value) and 0 <= value <= 1440


_READS: Final[Mapping[str, Callable[[str], bool]]] = {
    "time": _is_time,
    "day": _is_day,
    "degree": _is_degree,
    "count": _is_count,
    "seats": lambda text: seats_of(text) is not None,
    "truth": lambda text: truth_of(text) is not None,
    "text": lambda text: not _is_time(text),
    "skills": lambda text: len(text) <= LONGEST_SKILL and not _is_time(text),
    "weekdays": lambda text: weekdays_of(text) is not None,
}
_COUNTS: Final = (
    "boarding", "alighting", "max_ride", "priority", "boarding_delay", "alighting_delay",
    "companions", "passengers", "break_minutes", "break2_minutes", "fold", "fold_seats",
)  # fmt: skip
_KINDS: Final = {
    **dict.fromkeys(_COUNTS, "count"), "date": "day", "seats": "seats", "no_show": "truth",
    "cancelled": "truth", "booked_at": "time", "cancelled_at": "time", "id": "any",
    "needs": "skills", "skills": "skills", "alone": "truth", "weekdays": "weekdays",
    "valid_from": "day", "valid_until": "day", "returns_from": "any", "shift_start": "time",
    "shift_end": "time",
}  # fmt: skip


def _kind(name: str) -> str:
    if name in _KINDS:
        return _KINDS[name]
    if name.endswith(("_lat", "_lon")):
        return "degree"
    return "text" if name.endswith(("_address", "_place")) else "time"


def _add_addresses(
    header: Sequence[str],
    columns: Sequence[Sequence[str]],
    found: dict[str, tuple[tuple[int, ...], float]],
) -> None:
    """Put an address together from street, postcode and town, where the file has no degrees."""
    for end, words in _ENDS.items():
        if f"{end}_lat" in found:
            found.pop(f"{end}_address", None)
            continue
        taken = {k for name, at in found.items() if name != f"{end}_address" for k in at[0]}
        parts = []
        for k, cell in enumerate(header):
            said = set(heading(cell).split("_"))
            of_end = said & words and not any(
                said & other for one, other in _ENDS.items() if one != end
            )
            if k not in taken and said & _STREET and of_end and any(columns[k]):
                parts.append(k)
        known = found.get(f"{end}_address")
        if known and known[0][0] not in parts:
            continue  # a column that is the whole address
        if parts:
            found[f"{end}_address"] = tuple(parts), known[1] if known else 0.8


def _sample(columns: Sequence[Sequence[str]], places: Sequence[int]) -> str:
    """The first cells that hold anything, as the field would be read."""
    for row in zip(*(columns[k] for k in places), strict=True):
        if any(row):
            return ", ".join(cell for cell in row if cell)
    return ""


def _tolerance(columns: Mapping[str, tuple[str, ...]]) -> dict[str, Span]:
    """What is usual around one time, where the table has no window."""
    found = {end: _TOLERANCE[end] for end in _TOLERANCE if f"{end}_time" in columns}
    if "return_time" in columns:
        found["pickup"] = _TOLERANCE["pickup"]
    return found
