"""How somebody's table is to be read: which column is which field, in words, times and tolerances.

A profile is a TOML file that a person can edit, or one of those that ship. It is checked whole
before any row is looked at.
"""

import codecs
import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

import tomli_w

from compagnon.errors import InputError
from compagnon.files import read_text
from compagnon.spreadsheets import plain
from compagnon.worlds.dispatch.importing import headings

TABLES: Final = {
    "bookings": (*headings.BOOKINGS, *headings.BOOKING_EXTRAS),
    "drivers": (*headings.DRIVERS, *headings.DRIVER_EXTRAS),
}
INSTANCES: Final = ("cordeau", "li-lim", "dial-a-ride")  # formats that are no tables
SINCE_MIDNIGHT: Final = {"seconds": 60.0, "minutes": 1.0}
_LARGEST: Final = 100_000
_MOST_MINUTES: Final = 720.0
_AGAIN = re.compile(r"overwrite a value|declare .* twice|mutate|duplicate", re.IGNORECASE)

Span = tuple[float, float]  # minutes before and after a time


@dataclass(frozen=True, slots=True)
class Profile:
    """How one table is read; what is left out is found out from the file.

    Attributes:
        kind: `bookings`, `drivers`, or the name of an instance's format.
        columns: the headings of each field; only an address has several, put together in order.
        words: by field, what a cell says and what it means.
        constants: what a field holds in every row, where the file has no column for it.
        complete: whether headings that are not named here are dropped; otherwise those that are
            known are read as well.
        tolerance: minutes before and after `pickup_time` and `dropoff_time`.
        date_format, time_format: as in Python's `strptime`; or `seconds` or `minutes` for a
            number since midnight.
        header: the line of the headings, from 1.
        sheet: the sheet of an XLSX.
        zone: the time zone of times without one, if the command gives none.
        source: how it is called in messages.
    """

    kind: str = "bookings"
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    complete: bool = False
    tolerance: Mapping[str, Span] = field(default_factory=dict)
    encoding: str = ""
    delimiter: str = ""
    date_format: str = ""
    time_format: str = ""
    header: int = 1
    sheet: str = ""
    zone: str = ""
    source: str = ""

    def to_toml(self, comment: str = "") -> str:
        """The file that `load_profile` reads, with `comment` as its first lines."""
        head: dict[str, Any] = {"kind": self.kind}
        head |= {name: getattr(self, name) for name in _TEXTS if getattr(self, name)}
        if self.header != 1:
            head["header"] = self.header
        tables: dict[str, dict[str, Any]] = {
            "tolerance": {end: [*map(_whole, span)] for end, span in self.tolerance.items()},
            "columns": {
                name: cells[0] if len(cells) == 1 else list(cells)
                for name, cells in self.columns.items()
            },
            "constants": dict(self.constants),
            **{f"words.{name}": dict(words) for name, words in self.words.items()},
        }
        lines = [*(f"# {line}" for line in comment.splitlines()), *_lines(head)]
        for name, table in tables.items():
            if table:
                lines += ["", f"[{name}]", *_lines(table)]
        return "\n".join(lines) + "\n"


def _lines(table: Mapping[str, Any]) -> list[str]:
    """Keys and values as TOML, an array on one line: a person edits them."""
    lines = []
    for key, value in table.items():
        name = tomli_w.dumps({key: 0}).strip().removesuffix(" = 0")
        parts = [_value(one) for one in value] if isinstance(value, list) else []
        said = f"[{', '.join(parts)}]" if isinstance(value, list) else _value(value)
        lines.append(f"{name} = {said}")
    return lines


def _value(value: Any) -> str:
    return tomli_w.dumps({"v": value}).strip().removeprefix("v = ")


def _whole(minutes: float) -> float:
    return int(minutes) if minutes == int(minutes) else minutes


_TEXTS: Final = ("sheet", "encoding", "delimiter", "zone", "date_format", "time_format")
_KEYS: Final = tuple(one.name for one in fields(Profile) if one.name not in ("complete", "source"))
KNOWN: Final = Profile()  # no profile: the headings that are known


def shipped_profiles() -> list[str]:
    """The names of the profiles that come with the package."""
    folder = resources.files("compagnon.worlds.dispatch.importing") / "profiles"
    return sorted(one.name[:-5] for one in folder.iterdir() if one.name.endswith(".toml"))


def load_profile(name: str) -> Profile:
    """The profile that ships under a name, or in a TOML file.

    Raises:
        InputError: there is none, or it says what cannot be; the file, and what would be right.
    """
    shipped = shipped_profiles()
    if name in shipped:
        folder = resources.files("compagnon.worlds.dispatch.importing") / "profiles"
        return _parsed((folder / f"{name}.toml").read_text("utf-8"), name)
    path = Path(name)
    if not path.exists() and not path.suffix:
        near = nearest(name, shipped)
        raise InputError(
            f"--profile {name}: no such file, and no profile that ships{near}; there are "
            f"{', '.join(shipped)}"
        )
    return _parsed(read_text(path, _LARGEST, "a profile is TOML"), name)


def nearest(word: str, known: Iterable[str]) -> str:
    """`, did you mean ...?` where something known is near; else nothing."""
    close = {plain(one): one for one in known}
    found = difflib.get_close_matches(plain(word), close, 1, 0.6)
    return f" (did you mean {close[found[0]]}?)" if found else ""


def check_field(name: str, kind: str, where: str) -> None:
    """Refuse a field that a table does not have.

    Raises:
        InputError: names it, and the nearest that there is.
    """
    known = TABLES[kind]
    if name not in known:
        raise InputError(
            f"{where}: {name} is no field of {kind}{nearest(name, known)}; "
            f"there are {', '.join(known)}"
        )


def with_columns(
    bookings: Profile, drivers: Profile, pairs: Sequence[str], constants: Sequence[str]
) -> tuple[Profile, Profile]:
    """Profiles of the two tables, with what `--map` and `--set` say put on top.

    Args:
        pairs: `FIELD=HEADING`, or `drivers.FIELD=HEADING`; an address has several headings with a
            plus between them.

    Raises:
        InputError: names the pair that cannot be.
    """
    mapped = _pairs(pairs, "--map", "pickup_time=Heure")
    fixed = _pairs(constants, "--set", "seats=ambulatory")
    made = []
    for kind, base in (("bookings", bookings), ("drivers", drivers)):
        columns = {
            name: _parts(name, value, f"--map {name}={value}")
            for (table, name), value in mapped.items()
            if table == kind
        }
        values = {name: value for (table, name), value in fixed.items() if table == kind}
        made.append(
            replace(
                base,
                columns={**base.columns, **columns},
                constants={**base.constants, **values},
                source=base.source or "--map",
            )
        )
    return made[0], made[1]


def read_tolerance(texts: Sequence[str]) -> dict[str, Span]:
    """`--tolerance 15`, or `pickup=15 dropoff=30`, or `pickup=0,10` (before and after).

    Raises:
        InputError: it is none of these.
    """
    found: dict[str, Span] = {}
    for text in texts:
        end, equals, value = text.rpartition("=")
        parts = value.split(",")
        try:
            minutes = [float(part) for part in parts]
        except ValueError:
            minutes = []
        if (equals and end not in _ENDS) or not 1 <= len(minutes) <= 2:
            raise InputError(
                f"--tolerance {text}: give minutes, such as 15, pickup=15, dropoff=30, or "
                "pickup=0,10 for before and after"
            )
        for one in (end,) if equals else _ENDS:
            if one in found:
                raise InputError(f"--tolerance: {one} is given twice")
            found[one] = _span(minutes if len(minutes) > 1 else minutes[0], one, "--tolerance")
    return found


_ENDS: Final = ("pickup", "dropoff")


def _pairs(pairs: Sequence[str], option: str, example: str) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name or not value:
            raise InputError(f"{option}: {pair!r} is not FIELD=COLUMN, such as {example}")
        kind, dot, rest = name.partition(".")
        key = (kind, rest) if dot else ("bookings", name)
        if key[0] not in TABLES:
            raise InputError(f"{option}: {name}: the tables are bookings and drivers")
        check_field(key[1], key[0], option)
        if key in found:
            two = f"two {'columns' if option == '--map' else 'values'}"
            raise InputError(
                f"{option}: {key[1]} is given {two}, {found[key]} and {value}; give it one"
            )
        found[key] = value
    return found


def _parts(name: str, value: str, where: str) -> tuple[str, ...]:
    cells = tuple(part.strip() for part in value.split("+")) if "address" in name else (value,)
    if not all(cells):
        raise InputError(f"{where}: a heading is empty")
    return cells


def _parsed(text: str, source: str) -> Profile:
    where = f"profile {source}"
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(_broken(text, where, str(error))) from None
    unknown = [key for key in data if key not in _KEYS]
    if unknown:
        raise InputError(
            f"{where}: {unknown[0]} is not known{nearest(unknown[0], _KEYS)}; "
            f"there are {', '.join(_KEYS)}"
        )
    kind = data.get("kind")
    if kind not in (*TABLES, *INSTANCES):
        raise InputError(f'{where}: kind should be "bookings" or "drivers", not {kind!r}')
    if kind in INSTANCES:
        return Profile(kind, source=source)
    header = data.get("header", 1)
    if isinstance(header, bool) or not isinstance(header, int) or not 1 <= header <= 1000:
        raise InputError(f"{where}: header is the line of the headings, 1 to 1000, not {header!r}")
    return Profile(
        kind=kind,
        columns=_columns(data.get("columns"), kind, where),
        words=_words(data.get("words", {}), kind, where),
        constants=_constants(data.get("constants", {}), kind, where),
        complete=True,
        tolerance=_tolerances(data.get("tolerance", {}), where),
        header=header,
        source=source,
        **_texts(data, where),
    )


def _broken(text: str, where: str, reason: str) -> str:
    """What is wrong with a file that is no TOML; a field given twice is said as such."""
    if not _AGAIN.search(reason):
        return f"{where} is not TOML ({reason})"
    line = re.search(r"at line (\d+)", reason)  # none where it is the last
    lines = [one.strip() for one in text.rstrip().splitlines()]
    lines = lines[: int(line[1])] if line else lines
    said, at = lines[-1], f"{where}, line {len(lines)}"
    if said.startswith("["):
        return f"{at}: the table {said} stands there twice; put the two together"
    quoted = re.search(r"key '([^']+)'", reason)  # of a table on one line
    name = quoted[1] if quoted else said.partition("=")[0].strip().strip("\"'")
    table = next((one for one in reversed(lines) if one.startswith("[")), "") or said
    if "words" in table:
        return f"{at}: {name} is given two meanings; a word has one"
    if "columns" in table:
        return f"{at}: {name} is given two columns; a field has one"
    return f"{at}: {name} stands there twice; give it once"


def _texts(data: Mapping[str, Any], where: str) -> dict[str, str]:
    found = {name: data[name] for name in _TEXTS if name in data}
    for name, value in found.items():
        if not isinstance(value, str):
            raise InputError(f"{where}: {name} should be a text, not {value!r}")
    try:
        codecs.lookup(found.get("encoding", "utf-8") or "utf-8")
    except LookupError:
        raise InputError(
            f"{where}: encoding {found['encoding']!r} is not known; utf-8, cp1252 and latin-1 are"
        ) from None
    if len(found.get("delimiter", ";")) != 1:
        raise InputError(f"{where}: delimiter should be one character, such as ;")
    return found


def _table(value: Any, name: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: [{name}] should be a table")
    return value


def _columns(value: Any, kind: str, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict) or not value:
        raise InputError(f'{where}: it needs a table [columns], such as pickup_time = "Heure"')
    found = {}
    for name, given in value.items():
        check_field(name, kind, f"{where}, columns")
        cells = given if isinstance(given, list) else [given]
        if not cells or not all(isinstance(one, str) and one.strip() for one in cells):
            raise InputError(f"{where}, columns: {name} should be a heading of the file")
        if len(cells) > 1 and "address" not in name:
            raise InputError(
                f"{where}, columns: {name} is given two columns, {cells[0]} and {cells[1]}; "
                "only an address is put together from several"
            )
        found[name] = tuple(cells)
    return found


def _words(value: Any, kind: str, where: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, words in _table(value, "words", where).items():
        check_field(name, kind, f"{where}, words")
        found[name] = {}
        for word, meant in _table(words, f"words.{name}", where).items():
            if isinstance(meant, bool) or not isinstance(meant, str | int | float):
                raise InputError(f"{where}, words.{name}: {word} should mean a text")
            same = plain(word)
            if found[name].setdefault(same, str(meant)) != str(meant):
                raise InputError(f"{where}, words.{name}: {word} is given two meanings")
    return found


def _constants(value: Any, kind: str, where: str) -> dict[str, str]:
    found = {}
    for name, given in _table(value, "constants", where).items():
        check_field(name, kind, f"{where}, constants")
        if isinstance(given, bool):
            given = "yes" if given else "no"
        found[name] = str(given)
    return found


def _tolerances(value: Any, where: str) -> dict[str, Span]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = dict.fromkeys(_ENDS, value)
    found = {}
    for end, given in _table(value, "tolerance", where).items():
        if end not in _ENDS:
            raise InputError(f"{where}, tolerance: {end} is not known; pickup and dropoff are")
        found[end] = _span(given, end, f"{where}, tolerance")
    return found


def _span(given: Any, end: str, where: str) -> Span:
    """Minutes before and after. One number is both for a pickup; nobody is late for a drop-off."""
    parts: Collection[Any] = given if isinstance(given, list) else (given,)
    numbers = [float(one) for one in parts if isinstance(one, int | float) and one == one]
    if len(numbers) != len(parts) or not 1 <= len(numbers) <= 2:
        raise InputError(f"{where}: {end} should be minutes, or minutes before and after")
    if not all(0 <= one <= _MOST_MINUTES for one in numbers):
        raise InputError(f"{where}: {end} is 0 to {_MOST_MINUTES:g} minutes")
    before = numbers[0]
    after = numbers[1] if len(numbers) > 1 else before if end == "pickup" else 0.0
    return before, after
