"""One day of booked transport, checked, and kept as JSON.

Nothing personal is in it: places are points or rows of a matrix, bookings and drivers are numbers.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from compagnon.errors import InputError
from compagnon.files import read_file, write_file
from compagnon.worlds.dispatch.instance_checks import (
    MAX_SKILLS,
    check_bookings,
    check_drivers,
    check_skills,
    check_travel,
)
from compagnon.worlds.dispatch.instance_parts import (
    SEATS,
    Bookings,
    Drivers,
    Ints,
    Travel,
    has_default,
)

FORMAT: Final = "compagnon-dispatch-day-2"
FORMATS: Final = ("compagnon-dispatch-day-1", FORMAT)  # the first has no fields with a default
_LARGEST_FILE: Final = 200_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One day.

    Args:
        name: what to call it: the day, or the file it came from.
        skills: what `Drivers.skills` and `Bookings.needs` speak of, the lowest bit first.

    Raises:
        InputError: names the field, the row (from 0), and what would be right.
    """

    name: str
    bookings: Bookings
    drivers: Drivers
    travel: Travel
    skills: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_skills(self.name, self.skills, self.bookings, self.drivers)
        check_travel(self.name, self.travel)
        check_bookings(self.name, self.bookings, self.travel.places)
        check_drivers(self.name, self.drivers, self.travel.places)

    def to_json(self) -> str:
        """The whole day as JSON text; null stands for "no limit" and "never"."""
        data: dict[str, Any] = {
            "format": FORMAT, "name": self.name, "skills": list(self.skills)
        }  # fmt: skip
        for part in ("travel", "bookings", "drivers"):
            data[part] = {
                f.name: _plain(getattr(getattr(self, part), f.name)) for f in _fields(part)
            }
        return json.dumps(data, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes, source: str = "the text") -> "Instance":
        """Read what `to_json` wrote.

        Raises:
            InputError: it is not a day, or one that cannot be.
        """
        try:
            data = json.loads(text)
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"{source} is not JSON ({error})") from None
        if not isinstance(data, dict) or data.get("format") not in FORMATS:
            raise InputError(f'{source} is not a saved day: its "format" should be {FORMAT!r}')
        skills = data.get("skills", [])
        if not isinstance(skills, list) or not all(isinstance(one, str) for one in skills):
            raise InputError(f'{source}: "skills" should be a list of names')
        parts: dict[str, Any] = {}
        for part, kind in _PARTS.items():
            values = data.get(part)
            needed = [f.name for f in fields(kind) if not has_default(f)]
            more = [f.name for f in fields(kind) if has_default(f)]
            if data["format"] != FORMAT:
                more = []
            if not isinstance(values, dict):
                values = {}
            names = set(values)
            if not names.issuperset(needed) or not names.issubset([*needed, *more]):
                beside = f", and may hold {', '.join(more)}" if more else ""
                raise InputError(
                    f"{source}: {part!r} should hold exactly {', '.join(needed)}{beside}"
                )
            parts[part] = kind(
                **{n: _array(f"{source}: {part}.{n}", n, value) for n, value in values.items()}
            )
        return cls(name=str(data.get("name", source)), **parts, skills=tuple(skills))

    def save(self, path: Path) -> None:
        """Write the day as a JSON file."""
        write_file(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> "Instance":
        """Read a day from a JSON file.

        Raises:
            InputError: it cannot be read, or is not a day.
        """
        return cls.from_json(read_file(path, _LARGEST_FILE), str(path))


def united(days: Sequence[Instance]) -> list[Instance]:
    """The same days with one list of skills, so that their bits mean the same.

    Raises:
        InputError: they name more skills than a day can hold.
    """
    names = tuple(dict.fromkeys(name for day in days for name in day.skills))
    return [day if day.skills == names else _renamed(day, names) for day in days]


def _renamed(day: Instance, names: tuple[str, ...]) -> Instance:
    def moved(bits: Ints) -> Ints:
        new = np.zeros_like(bits)
        for k, name in enumerate(day.skills):
            new |= (bits >> k & 1) << names.index(name)
        return new

    if len(names) > MAX_SKILLS:
        raise InputError(f"the days name {len(names)} skills together; at most {MAX_SKILLS}")
    bookings = replace(day.bookings, needs=moved(day.bookings.needs))
    drivers = replace(day.drivers, skills=moved(day.drivers.skills))
    return replace(day, bookings=bookings, drivers=drivers, skills=names)


_PARTS: Final[dict[str, Any]] = {"travel": Travel, "bookings": Bookings, "drivers": Drivers}
_NEVER_BEFORE: Final = ("pickup_from", "dropoff_from")  # null is -inf in these, else +inf
# null says in these "no limit", and "never".
_OPEN_ENDED: Final = ("pickup_from", "pickup_to", "dropoff_from", "dropoff_to", "cancel")
_WHOLE: Final = (
    "pickup", "dropoff", "load", "priority", "linked_to", "start", "end", "seats", "needs",
    "skills", "fold", "fold_seats",
)  # fmt: skip
_TRUTHS: Final = ("no_show", "alone")
_PAIRS: Final = {"load": SEATS, "seats": SEATS, "coordinates": 2}


def _fields(part: str) -> Any:
    return fields(_PARTS[part])


def _plain(value: Any) -> Any:
    if isinstance(value, str | float | int):
        return value
    if value.dtype == np.float64 and not np.isfinite(value).all():
        return [None if np.isinf(v) else float(v) for v in value]
    return value.tolist()


def _array(where: str, name: str, value: Any) -> Any:
    if name == "kind":
        return str(value)
    if name in ("speed_kmh", "detour"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{where} should be a number, not {value!r}")
        return float(value)
    if not isinstance(value, list):
        raise InputError(f"{where} should be a list")
    kind: Any = np.float64
    if name in _WHOLE:
        kind = np.int64
    elif name in _TRUTHS:
        kind = np.bool_
    elif name in _OPEN_ENDED:
        missing = -np.inf if name in _NEVER_BEFORE else np.inf
        value = [missing if v is None else v for v in value]
    at = _null_in(value)
    if at is not None:
        raise InputError(f"{where}{at} is null; it should be a number")
    try:
        array = np.array(value)
        if array.size and name in _WHOLE and array.dtype.kind != "i":
            raise InputError(f"{where} should hold whole numbers")
        array = array.astype(kind)
    except (ValueError, TypeError, OverflowError):
        raise InputError(f"{where} should hold numbers in rows of one length") from None
    if array.size == 0 and name in _PAIRS:
        array = array.reshape(0, _PAIRS[name])
    if array.size == 0 and name in ("minutes", "km"):
        array = array.reshape(0, 0)
    return array


def _null_in(value: Any) -> str | None:
    """Where in a list of numbers, or of lists of them, null stands first: `[3]`, `[3][0]`."""
    for k, one in enumerate(value):
        if one is None:
            return f"[{k}]"
        if isinstance(one, list):
            within = _null_in(one)
            if within is not None:
                return f"[{k}]{within}"
    return None
