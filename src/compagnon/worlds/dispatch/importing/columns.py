"""Which column of a table is which field: by a profile, or by the headings that are known.

What nobody asked for is dropped here, and what is missing is named with all that may be behind it.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from compagnon.errors import InputError
from compagnon.spreadsheets import heading, translated
from compagnon.worlds.dispatch.importing import headings, records
from compagnon.worlds.dispatch.importing.profile import Profile, nearest

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
# What stands in for a column that is not there.
_INSTEAD: Final = {
    **{f"{end}_{part}": f"{end}_address" for end in ("pickup", "dropoff", "start")
       for part in ("lat", "lon")},
    "pickup_to": "pickup_time", "dropoff_to": "dropoff_time", "seats": "passengers",
}  # fmt: skip


class Table(NamedTuple):
    """What is asked for of one file.

    Attributes:
        kind: `bookings` or `drivers`.
        words: for each column that is asked for, other headings that mean it.
        extras: fields that layouts have beside them, with other headings.
        needs: the columns without which nothing can be read.
        one_of: columns of which one at least has to be there.
    """

    kind: str
    words: Mapping[str, Sequence[str]]
    extras: Mapping[str, Sequence[str]]
    needs: Collection[str]
    one_of: Collection[str] = ()


BOOKINGS: Final = Table(
    "bookings", headings.BOOKINGS, headings.BOOKING_EXTRAS, records.BOOKING_NEEDS,
    ("pickup_to", "dropoff_to"),
)  # fmt: skip
DRIVERS: Final = Table("drivers", headings.DRIVERS, headings.DRIVER_EXTRAS, records.DRIVER_NEEDS)


class Columns(NamedTuple):
    """Where each field stands in a row; several places are an address's parts."""

    at: dict[str, tuple[int, ...]]
    header: tuple[str, ...]  # the first line, by our names where they have one


def find_columns(
    path: Path, given: Sequence[str], table: Table, profile: Profile, notes: list[str]
) -> Columns:
    """The columns of a file that are asked for.

    Raises:
        InputError: names the column that is missing, not there, or there twice.
    """
    at, taken = _mapped(path, given, profile)
    header = [heading(cell) for cell in given]
    if not profile.complete:
        header = translated(given, {**table.words, **dict.fromkeys(table.extras, ())})
        for name in (*table.words, *table.extras):
            places = [k for k, one in enumerate(header) if one == name and k not in taken]
            if name in at or name in profile.constants or not places:
                continue
            if len(places) > 1:
                raise InputError(f"{path}: the column {name} stands there twice")
            at[name] = (places[0],)
    _check_missing(path, given, at, table, profile)
    if not (profile.complete or profile.columns):
        _without_addresses(at)
    _note(path, given, header, at, notes)
    return Columns(at, tuple(header))


def _mapped(
    path: Path, given: Sequence[str], profile: Profile
) -> tuple[dict[str, tuple[int, ...]], set[int]]:
    at = {
        name: tuple(_place(path, given, cell, profile.source) for cell in cells)
        for name, cells in profile.columns.items()
    }
    return at, {k for places in at.values() for k in places}


def _place(path: Path, given: Sequence[str], cell: str, source: str) -> int:
    same = [k for k, one in enumerate(given) if one.strip() == cell.strip()]
    same = same or [k for k, one in enumerate(given) if heading(one) == heading(cell) != ""]
    if not same:
        shown = [one.strip() for one in given if one.strip()]
        raise InputError(
            f"{path} has no column {cell!r}, which {source} asks for{nearest(cell, shown)}; "
            f"it has {', '.join(shown)}"
        )
    if len(same) > 1:
        raise InputError(f"{path}: the column {cell!r} stands there twice")
    return same[0]


def _without_addresses(at: dict[str, tuple[int, ...]]) -> None:
    """Where the file has degrees, nobody asked for its addresses."""
    for end in ("pickup", "dropoff", "start", "end"):
        if f"{end}_lat" in at and f"{end}_lon" in at:
            at.pop(f"{end}_address", None)


def _check_missing(
    path: Path,
    given: Sequence[str],
    at: Mapping[str, tuple[int, ...]],
    table: Table,
    profile: Profile,
) -> None:
    there = {*at, *profile.constants}
    needed = [name for name in table.needs if name != "id" or not _mapping(profile)]
    missing = [name for name in needed if name not in there and _INSTEAD.get(name) not in there]
    if table.one_of and not any({name, _INSTEAD.get(name)} & there for name in table.one_of):
        missing.append(" nor ".join(table.one_of))
    if not missing:
        return
    lines = [f"{path}: no column {', '.join(missing)} in its first line"]
    known = [f"{name} ({_joined(given, places)})" for name, places in at.items()]
    lines.append(f"it has {', '.join(known)}" if known else "none of its headings is known")
    where = headings.addresses(given)
    if where and any(name.endswith(("_lat", "_lon")) for name in missing):
        lines.append(
            f"{', '.join(where)}: an address is no place on a map; add the degrees of each, such "
            "as 46.2044 and 6.1432, or give --places with the addresses as pickup_address and "
            "dropoff_address"
        )
    raise InputError(
        "; ".join(lines) + ". Say which columns they are by --map or --guess, what they always are "
        "by --set, or rename them (docs/dispatch_data.md)"
    )


def _mapping(profile: Profile) -> bool:
    return bool(profile.complete or profile.columns or profile.constants)


def _joined(given: Sequence[str], places: Sequence[int]) -> str:
    return " + ".join(given[k].strip() for k in places)


def _note(
    path: Path,
    given: Sequence[str],
    header: Sequence[str],
    at: Mapping[str, tuple[int, ...]],
    notes: list[str],
) -> None:
    renamed = [
        f"{name} ({_joined(given, places)})"
        for name, places in at.items()
        if len(places) > 1 or heading(given[places[0]]) != name
    ]
    if renamed:
        notes.append(f"{path.name}: headings read as {', '.join(renamed)}")
    used = {k for places in at.values() for k in places}
    dropped = [name for k, name in enumerate(header) if k not in used]
    personal = [one for one in dropped if _is_personal(one)]
    others = [one for one in dropped if one and one not in personal]
    if personal:
        notes.append(f"{path.name}: personal, dropped and nowhere stored: {', '.join(personal)}")
    if others:
        notes.append(f"{path.name}: not known, dropped: {', '.join(others)}")


def _is_personal(column: str) -> bool:
    return any(word in _PERSONAL for word in column.split("_"))
