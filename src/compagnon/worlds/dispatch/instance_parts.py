"""What a day of booked transport consists of: bookings, drivers and travel, as plain arrays."""

from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SEAT_TYPES: Final = ("ambulatory", "wheelchair", "stretcher", "companion")
SEATS: Final = len(SEAT_TYPES)
FOLD_SEATS: Final = 2  # that a folded wheelchair place takes away, where nobody says

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


def has_default(one: Field[Any]) -> bool:
    """Whether a field may be left out."""
    return one.default_factory is not MISSING


def _fill_in(part: Any, rows: int) -> None:
    """Let what was left out be what it is where nobody says."""
    for one in fields(part):
        if has_default(one) and rows and not len(getattr(part, one.name)):
            empty = getattr(part, one.name)
            value = FOLD_SEATS if one.name == "fold_seats" else 0
            object.__setattr__(part, one.name, np.full(rows, value, empty.dtype))
