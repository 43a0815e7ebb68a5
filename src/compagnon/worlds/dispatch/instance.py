"""One day of booked transport as plain arrays in physical units, checked, and kept as JSON.

Nothing personal is in it: places are points or rows of a matrix, bookings and drivers are numbers.
"""

import json
from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.files import read_file, write_file
from compagnon.worlds.dispatch.travel import KINDS

SEAT_TYPES: Final = ("ambulatory", "wheelchair", "stretcher", "companion")
SEATS: Final = len(SEAT_TYPES)
LATEST_MINUTE: Final = 2 * 1440.0  # a day may run past midnight, not past the next one
FORMAT: Final = "compagnon-dispatch-day-2"
FORMATS: Final = ("compagnon-dispatch-day-1", FORMAT)  # the first has no fields with a default
FOLD_SEATS: Final = 2  # that a folded wheelchair place takes away, where nobody says
MAX_SKILLS: Final = 48
SLOWEST, FASTEST = 0.05, 20.0  # relative speeds
_LARGEST_FILE: Final = 200_000_000

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def _floats() -> Floats:
    return np.zeros(0)


def _ints() -> Ints:
    return np.zeros(0, np.int64)


def _bools() -> Bools:
    return np.zeros(0, np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class Bookings:
    """The rides asked for; every array has n rows. Times are minutes since the day's midnight.

    Those with a default may be left out.

    Attributes:
        pickup, dropoff: place, an index into the places of `Travel`.
        pickup_from, pickup_to: boarding begins between them; -inf and inf where there is no limit.
        dropoff_from, dropoff_to: alighting begins between them; -inf and inf where there is none.
        load: (n, 4), seats taken, in the order of `SEAT_TYPES`.
        boarding, alighting: planned minutes at the door.
        max_ride: minutes from the end of boarding to the beginning of alighting, at most.
        priority: 1 (low) to 5 (high).
        announce: when dispatch hears of it; 0 is in advance.
        linked_to: row of the ride that this one goes on or returns from, or -1: of at most one
            other booking. It is announced at `announce`, or when that ride ends if that is later.
        no_show: nobody will be there; found out at the door.
        cancel: when it is cancelled, if nobody is on board by then; inf for never.
        boarding_delay, alighting_delay: minutes that the door takes longer than planned, at least
            0, known once the driver stands there.
        needs: the skills that the driver must have, a bit for each of `Instance.skills`; 0 without.
        alone: nobody else may be on board during the ride; not without.
    """

    pickup: Ints
    dropoff: Ints
    pickup_from: Floats
    pickup_to: Floats
    dropoff_from: Floats
    dropoff_to: Floats
    load: Ints
    boarding: Floats
    alighting: Floats
    max_ride: Floats
    priority: Ints
    announce: Floats
    linked_to: Ints
    no_show: Bools
    cancel: Floats
    boarding_delay: Floats
    alighting_delay: Floats
    needs: Ints = field(default_factory=_ints)
    alone: Bools = field(default_factory=_bools)

    def __post_init__(self) -> None:
        _fill_in(self, len(self.pickup))

    def __len__(self) -> int:
        return len(self.pickup)


@dataclass(frozen=True, slots=True, eq=False)
class Drivers:
    """The drivers with their vehicles; every array has n rows.

    Attributes:
        start, end: place, an index into the places of `Travel`.
        shift_start, shift_end: minutes since midnight; the driver is at `end` by `shift_end`.
        break_from, break_to: the break begins between them.
        break_minutes: its length; 0 for no break. Nobody is on board during a break.
        seats: (n, 4), in the order of `SEAT_TYPES`.
        skills: of driver and vehicle, a bit for each of `Instance.skills`; none without.
        fold: how many of the wheelchair places are there only if seats are folded; 0 without.
        fold_seats: ambulatory seats that each such place takes away while a wheelchair stands
            there; 2 without.
        break2_from, break2_to, break2_minutes: a second break, after the first; none without.
    """

    start: Ints
    end: Ints
    shift_start: Floats
    shift_end: Floats
    break_from: Floats
    break_to: Floats
    break_minutes: Floats
    seats: Ints
    skills: Ints = field(default_factory=_ints)
    fold: Ints = field(default_factory=_ints)
    fold_seats: Ints = field(default_factory=_ints)
    break2_from: Floats = field(default_factory=_floats)
    break2_to: Floats = field(default_factory=_floats)
    break2_minutes: Floats = field(default_factory=_floats)

    def __post_init__(self) -> None:
        _fill_in(self, len(self.start))

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True, eq=False)
class Travel:
    """How long and how far it is between two places.

    Attributes:
        kind: `sphere` (coordinates are degrees of latitude and longitude), `plane` (km, straight
            lines), or `matrix`.
        coordinates: (places, 2). With `matrix` they serve for drawing and for what a policy sees.
        speed_kmh: at relative speed 1; not used by `matrix`.
        detour: road km a straight km; not used by `matrix`.
        speed: (24,), relative speed by hour of the day.
        minutes, km: (places, places) at relative speed 1, for `matrix`; empty otherwise.
    """

    kind: str
    coordinates: Floats
    speed_kmh: float
    detour: float
    speed: Floats
    minutes: Floats
    km: Floats

    @property
    def places(self) -> int:
        """How many places there are."""
        return len(self.coordinates)


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
        _check_skills(self)
        _check_travel(self.name, self.travel)
        _check_bookings(self.name, self.bookings, self.travel.places)
        _check_drivers(self.name, self.drivers, self.travel.places)

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
            needed = [f.name for f in fields(kind) if not _has_default(f)]
            more = [f.name for f in fields(kind) if _has_default(f)]
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


def _has_default(one: Field[Any]) -> bool:
    return one.default_factory is not MISSING


def _fill_in(part: Any, rows: int) -> None:
    """Let what was left out be what it is where nobody says."""
    for one in fields(part):
        if _has_default(one) and rows and not len(getattr(part, one.name)):
            empty = getattr(part, one.name)
            value = FOLD_SEATS if one.name == "fold_seats" else 0
            object.__setattr__(part, one.name, np.full(rows, value, empty.dtype))


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


def _refuse(where: str, name: str, bad: Any, values: Any, right: str) -> None:
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        shown = np.asarray(values)[row]
        raise InputError(f"{where}: {name} of row {row} is {shown.tolist()}; {right}")


def _check_shapes(where: str, part: Any, rows: int) -> None:
    for one in fields(part):
        array = getattr(part, one.name)
        shape = (rows, SEATS) if one.name in ("load", "seats") else (rows,)
        if array.shape != shape:
            raise InputError(f"{where}: {one.name} has shape {array.shape}; it should be {shape}")
        if array.dtype == np.float64:
            _refuse(where, one.name, np.isnan(array), array, "it should be a number")


def _check_skills(day: Instance) -> None:
    """The names, and whether every bit has one."""
    where, count = f"{day.name}, skills", len(day.skills)
    if count > MAX_SKILLS:
        raise InputError(f"{where}: there are {count}; at most {MAX_SKILLS}")
    for k, one in enumerate(day.skills):
        if not one or one in day.skills[:k]:
            raise InputError(f"{where}: {one!r} should be a name of its own")
    for part, label in ((day.bookings, "needs"), (day.drivers, "skills")):
        bits = getattr(part, label)
        place = f"{day.name}, {'bookings' if label == 'needs' else 'drivers'}"
        right = f"a bit for each of the {count} skills of the day: 0 to {2**count - 1}"
        if bits.shape == (len(part),):
            _refuse(place, label, (bits < 0) | (bits >= 2**count), bits, right)


def _check_travel(name: str, travel: Travel) -> None:
    where = f"{name}, travel"
    if travel.kind not in KINDS:
        raise InputError(f"{where}: kind={travel.kind!r}; use {', '.join(KINDS)}")
    points = travel.coordinates
    if points.ndim != 2 or points.shape[1] != 2:
        raise InputError(
            f"{where}: coordinates of shape {points.shape}; they should be (places, 2)"
        )
    _refuse(where, "coordinates", ~np.isfinite(points).all(axis=1), points, "they should be finite")
    if travel.kind == "sphere":
        outside = (np.abs(points[:, 0]) > 90) | (np.abs(points[:, 1]) > 180)
        right = "they should be degrees, latitude (-90 to 90) before longitude (-180 to 180)"
        _refuse(where, "coordinates", outside, points, right)
    speed = travel.speed
    if speed.shape != (24,) or not ((speed >= SLOWEST) & (speed <= FASTEST)).all():
        right = f"24 relative speeds from {SLOWEST:g} to {FASTEST:g}, by hour"
        raise InputError(f"{where}: speed should be {right}")
    if travel.kind == "matrix":
        for label, matrix in (("minutes", travel.minutes), ("km", travel.km)):
            if matrix.shape != (travel.places, travel.places):
                n = travel.places
                raise InputError(
                    f"{where}: {label} has shape {matrix.shape}; it should be ({n}, {n})"
                )
            bad = ~(np.isfinite(matrix) & (matrix >= 0))
            _refuse(where, label, bad, matrix, "it should hold finite numbers from 0")
    elif not (0 < travel.speed_kmh <= 1000 and 1 <= travel.detour <= 10):
        raise InputError(f"{where}: speed_kmh should be 0 to 1000 and detour 1 to 10")


def _check_bookings(name: str, b: Bookings, places: int) -> None:
    where, n = f"{name}, bookings", len(b)
    _check_shapes(where, b, n)
    for label, at in (("pickup", b.pickup), ("dropoff", b.dropoff)):
        _refuse(where, label, (at < 0) | (at >= places), at, f"places are 0 to {places - 1}")
    for end in ("pickup", "dropoff"):
        begin, finish = getattr(b, f"{end}_from"), getattr(b, f"{end}_to")
        _refuse(where, f"{end}_to", finish < begin, finish, f"it should not be before {end}_from")
        beyond = np.isfinite(begin) & (np.abs(begin) > LATEST_MINUTE)
        _refuse(where, f"{end}_from", beyond, begin, f"it should be within {LATEST_MINUTE:.0f}")
    open_ended = ~np.isfinite(b.pickup_to) & ~np.isfinite(b.dropoff_to)
    _refuse(where, "pickup_to", open_ended, b.pickup_to, "one of the two windows must end")
    for label, minutes, most in (
        ("boarding", b.boarding, 240),
        ("alighting", b.alighting, 240),
        ("boarding_delay", b.boarding_delay, 240),
        ("alighting_delay", b.alighting_delay, 240),
        ("max_ride", b.max_ride, 1440),
        ("announce", b.announce, LATEST_MINUTE),
    ):
        bad = ~((minutes >= 0) & (minutes <= most))
        _refuse(where, label, bad, minutes, f"it should be 0 to {most:.0f} minutes")
    _refuse(where, "cancel", b.cancel < 0, b.cancel, "it should be a minute of the day, or inf")
    _refuse(where, "priority", (b.priority < 1) | (b.priority > 5), b.priority, "use 1 to 5")
    bad_load = (b.load < 0).any(axis=1) | (b.load > 100).any(axis=1)
    _refuse(where, "load", bad_load, b.load, "seats are 0 to 100")
    linked = b.linked_to
    bad_link = (linked < -1) | (linked >= n) | (linked == np.arange(n))
    _refuse(where, "linked_to", bad_link, linked, "use -1, or the row of another booking")
    outbound = linked[linked >= 0]
    twice = (linked >= 0) & (np.bincount(outbound, minlength=n)[linked] > 1)
    _refuse(where, "linked_to", twice, linked, "an outbound ride has one return")
    _refuse(where, "linked_to", _in_a_ring(linked), linked, "a trip has a first leg")


def _in_a_ring(linked: Ints) -> Bools:
    """Which bookings never come to a first leg, however far back their links are followed."""
    at = linked.copy()
    for _ in range(len(linked).bit_length()):  # each look goes twice as far back as the last
        at = np.where(at >= 0, at[at], at)
    ring: Bools = at >= 0
    return ring


def _check_drivers(name: str, d: Drivers, places: int) -> None:
    where = f"{name}, drivers"
    if not len(d):
        raise InputError(f"{where}: there should be at least one")
    _check_shapes(where, d, len(d))
    for label, at in (("start", d.start), ("end", d.end)):
        _refuse(where, label, (at < 0) | (at >= places), at, f"places are 0 to {places - 1}")
    late = ~((d.shift_start >= 0) & (d.shift_end > d.shift_start) & (d.shift_end <= LATEST_MINUTE))
    right = f"it should be after shift_start, and both within 0 to {LATEST_MINUTE:.0f}"
    _refuse(where, "shift_end", late, d.shift_end, right)
    _refuse(where, "break_minutes", ~((d.break_minutes >= 0) & (d.break_minutes <= 480)),
            d.break_minutes, "it should be 0 to 480")  # fmt: skip
    has = d.break_minutes > 0
    bad = has & ~(
        (d.break_from >= d.shift_start)
        & (d.break_to >= d.break_from)
        & (d.break_to + d.break_minutes <= d.shift_end)
    )
    _refuse(where, "break_from", bad, d.break_from, "the break should lie within the shift")
    _refuse(where, "seats", ((d.seats < 0) | (d.seats > 100)).any(axis=1), d.seats, "use 0 to 100")
    wheelchairs = d.seats[:, SEAT_TYPES.index("wheelchair")]
    right = "it should be 0 to the wheelchair places of the vehicle"
    _refuse(where, "fold", (d.fold < 0) | (d.fold > wheelchairs), d.fold, right)
    each = d.fold_seats
    _refuse(where, "fold_seats", (each < 0) | (each > 100), each, "use 0 to 100")
    _check_second_break(where, d)


def _check_second_break(where: str, d: Drivers) -> None:
    minutes, has = d.break2_minutes, d.break2_minutes > 0
    _refuse(where, "break2_minutes", ~((minutes >= 0) & (minutes <= 480)), minutes, "use 0 to 480")
    alone = has & ~(d.break_minutes > 0)
    _refuse(where, "break2_minutes", alone, minutes, "the first break is break_minutes")
    bad = has & ~((d.break2_to >= d.break2_from) & (d.break2_to + minutes <= d.shift_end))
    right = "the second break should lie within the shift"
    _refuse(where, "break2_from", bad, d.break2_from, right)
    early = has & ((d.break2_from < d.break_from) | (d.break2_to < d.break_to + d.break_minutes))
    right = "the second break should come after the first, and leave time for it"
    _refuse(where, "break2_from", early, d.break2_from, right)
