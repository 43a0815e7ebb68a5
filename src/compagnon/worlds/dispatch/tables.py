"""A day as the tables that the kernel reads, and back: one row a booking, a driver, a node.

The nodes of a day with room for M bookings and D drivers: booking b's pickup is node 2b and its
drop-off node 2b + 1; driver d starts at node 2M + 2d and ends at node 2M + 2d + 1.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import kernel, kernel_inline
from compagnon.worlds.dispatch import travel as travel_times
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.instance_parts import SEATS, Bookings, Drivers, Travel

# Columns of Day.bookings: as given ...
(
    PICKUP_FROM, PICKUP_TO, DROPOFF_FROM, DROPOFF_TO, BOARDING, ALIGHTING, MAX_RIDE, PRIORITY,
    ANNOUNCE, CANCEL, BOARDING_DELAY, ALIGHTING_DELAY, LINKED_TO, NO_SHOW, NEEDS, ALONE,
) = range(16)  # fmt: skip
LOAD = 16  # and three more; then company, which follows from ALONE
# ... and as follows from it (`derive`): windows as tight as they can be, the direct ride in
# minutes, the row of the return ride, or -1, from when on a pickup is waited for (inf where
# nobody said when it may begin at the earliest), and how late it may be put off for nothing else
# than that nobody sits in a parked car.
READY, PICKUP_BY, DROPOFF_READY, DROPOFF_BY, DIRECT, RETURN, WAITS_FROM, HOLD_BY = range(21, 29)
BOOKING_COLUMNS = 29
# Columns of Day.drivers.
(
    SHIFT_START, SHIFT_END, BREAK_FROM, BREAK_TO, BREAK_MINUTES, BREAK2_FROM, BREAK2_TO,
    BREAK2_MINUTES, BREAKS_DOWN_AT, REPAIR_MINUTES,
) = range(10)  # fmt: skip
SEAT = 10  # and three more, company; what follows belongs to the vehicle as well
FOLD, FOLD_SEATS, SKILLS = 15, 16, 17
DRIVER_COLUMNS = 18
# What a ride takes and a vehicle has: the seats by type, and company. Of that a vehicle has
# `COMPANY`, one who must ride alone takes all, and everybody else 1.
LOADS: Final = SEATS + 1
COMPANY: Final = 100.0
_AMBULATORY, _WHEELCHAIR = 0, 1  # as in `instance_parts.SEAT_TYPES`
# Columns of Day.size.
BOOKINGS, DRIVERS, MATRIX_ROW = 0, 1, 2
SIZE_COLUMNS = 3

_GIVEN: Final = {
    "pickup_from": PICKUP_FROM, "pickup_to": PICKUP_TO,
    "dropoff_from": DROPOFF_FROM, "dropoff_to": DROPOFF_TO,
    "boarding": BOARDING, "alighting": ALIGHTING, "max_ride": MAX_RIDE, "priority": PRIORITY,
    "announce": ANNOUNCE, "cancel": CANCEL,
    "boarding_delay": BOARDING_DELAY, "alighting_delay": ALIGHTING_DELAY,
    "linked_to": LINKED_TO, "no_show": NO_SHOW, "needs": NEEDS, "alone": ALONE,
}  # fmt: skip
_SHIFT: Final = {
    "shift_start": SHIFT_START, "shift_end": SHIFT_END, "break_from": BREAK_FROM,
    "break_to": BREAK_TO, "break_minutes": BREAK_MINUTES, "break2_from": BREAK2_FROM,
    "break2_to": BREAK2_TO, "break2_minutes": BREAK2_MINUTES,
    "fold": FOLD, "fold_seats": FOLD_SEATS, "skills": SKILLS,
}  # fmt: skip
_WHOLE: Final = ("priority", "linked_to", "needs", "fold", "fold_seats", "skills")
_TRUTHS: Final = ("no_show", "alone")


class Day(NamedTuple):
    """One day's tables, or with a leading axis those of N days."""

    size: NDArray[np.int64]  # (SIZE_COLUMNS,): bookings, drivers, which pair of matrices
    bookings: NDArray[np.float64]  # (M, BOOKING_COLUMNS)
    drivers: NDArray[np.float64]  # (D, DRIVER_COLUMNS)
    coordinates: NDArray[np.float64]  # (2M + 2D, 2)
    place: NDArray[np.int32]  # (2M + 2D,), row of the matrices
    rule: NDArray[np.float64]  # (travel_times.RULE_COLUMNS,)
    speed: NDArray[np.float64]  # (24,)
    speed_real: NDArray[np.float64]  # (24,), see `conditions`


def allocate_days(count: int, bookings: int, drivers: int) -> Day:
    """Zeroed tables for `count` days of at most so many bookings and drivers."""
    nodes = 2 * bookings + 2 * drivers
    return Day(
        size=np.zeros((count, SIZE_COLUMNS), np.int64),
        bookings=np.zeros((count, bookings, BOOKING_COLUMNS)),
        drivers=np.zeros((count, drivers, DRIVER_COLUMNS)),
        coordinates=np.zeros((count, nodes, 2)),
        place=np.zeros((count, nodes), np.int32),
        rule=np.zeros((count, travel_times.RULE_COLUMNS)),
        speed=np.ones((count, travel_times.HOURS)),
        speed_real=np.ones((count, travel_times.HOURS)),
    )


def day_row(days: Day, row: int) -> Day:
    """Views of the tables of one day."""
    return Day(*(array[row] for array in days))


def write_instance(
    instance: Instance, day: Day, matrix_row: int = 0, middle: NDArray[np.float64] | None = None
) -> None:
    """Fill one day's tables, which have room for it; derived columns are left to `derive`.

    Args:
        matrix_row: which of the stacked matrices is the day's.
        middle: (2,), coordinates of the middle of the map; by default that of the day's places.
    """
    b, d, travel = instance.bookings, instance.drivers, instance.travel
    n, m = len(b), len(day.bookings)
    day.size[:] = (n, len(d), matrix_row)
    day.bookings[:] = 0.0
    day.drivers[:] = 0.0
    for name, column in _GIVEN.items():
        day.bookings[:n, column] = getattr(b, name)
    day.bookings[:n, LOAD : LOAD + SEATS] = b.load
    for name, column in _SHIFT.items():
        day.drivers[: len(d), column] = getattr(d, name)
    day.drivers[: len(d), SEAT : SEAT + SEATS] = d.seats
    day.drivers[: len(d), SEAT + SEATS] = COMPANY
    places = np.zeros(len(day.place), np.int32)
    places[0 : 2 * n : 2], places[1 : 2 * n : 2] = b.pickup, b.dropoff
    last = 2 * m + 2 * len(d)
    places[2 * m : last : 2], places[2 * m + 1 : last : 2] = d.start, d.end
    day.place[:] = places
    day.coordinates[:] = travel.coordinates[places]
    kind = travel_times.KINDS.index(travel.kind)
    if kind == travel_times.MATRIX:
        driven = float(travel.km.sum())
        per_km, factor = (float(travel.minutes.sum()) / driven if driven > 0 else 0.0), 1.0
    else:
        per_km, factor = 60.0 * travel.detour / travel.speed_kmh, travel.detour
    if middle is None:
        middle = travel.coordinates.mean(axis=0)
    day.rule[:] = (kind, per_km, factor, *middle, 0.0)
    day.speed[:] = day.speed_real[:] = travel.speed


def read_instance(name: str, day: Day, skills: tuple[str, ...] = ()) -> Instance:
    """The day of tables that hold coordinates (not matrices), each place once.

    Args:
        skills: the names of what the tables have bits for.
    """
    n, drivers = int(day.size[BOOKINGS]), int(day.size[DRIVERS])
    m = len(day.bookings)
    nodes = np.r_[0 : 2 * n, 2 * m : 2 * m + 2 * drivers]
    points, place = np.unique(day.coordinates[nodes], axis=0, return_inverse=True)
    place = place.reshape(-1).astype(np.int64)
    b, v = day.bookings[:n], day.drivers[:drivers]
    given, shifts = (
        {k: _column(k, rows[:, c]) for k, c in columns.items()}
        for rows, columns in ((b, _GIVEN), (v, _SHIFT))
    )
    detour = float(day.rule[travel_times.KM_FACTOR])
    return Instance(
        name=name,
        bookings=Bookings(
            pickup=place[0 : 2 * n : 2],
            dropoff=place[1 : 2 * n : 2],
            load=b[:, LOAD : LOAD + SEATS].astype(np.int64),
            **given,
        ),
        drivers=Drivers(
            start=place[2 * n :: 2],
            end=place[2 * n + 1 :: 2],
            seats=v[:, SEAT : SEAT + SEATS].astype(np.int64),
            **shifts,
        ),
        travel=Travel(
            kind=travel_times.KINDS[int(day.rule[travel_times.KIND])],
            coordinates=points,
            speed_kmh=60.0 * detour / float(day.rule[travel_times.MINUTES_PER_KM]),
            detour=detour,
            speed=day.speed.copy(),
            minutes=np.zeros((0, 0)),
            km=np.zeros((0, 0)),
        ),
        skills=skills,
    )


def _column(name: str, values: NDArray[np.float64]) -> Any:
    if name in _TRUTHS:
        return values > 0
    return values.astype(np.int64) if name in _WHOLE else values.copy()


@kernel
def derive(bookings, count, roads, promise):
    """Tighten the windows as far as the ride itself allows, and link each ride to its return.

    A ride of at most `max_ride` minutes that may not end before `dropoff_from` may not begin before
    that either, and so on (Cordeau 2006, section 5.2): no feasible plan is lost.

    Args:
        promise: minutes after the begin of its window that a pickup may take at no cost.
    """
    for b in range(count):
        row = bookings[b]
        base = travel_times.base_minutes(roads, 2 * b, 2 * b + 1)
        boarding, longest = row[BOARDING], row[MAX_RIDE]
        ready, by = row[PICKUP_FROM], row[PICKUP_TO]
        row[READY] = max(0.0, ready, row[DROPOFF_FROM] - longest - boarding)
        row[WAITS_FROM] = row[READY] if ready > -np.inf else np.inf
        if row[DROPOFF_TO] < np.inf:
            by = min(by, travel_times.departure(roads.speed, row[DROPOFF_TO], base) - boarding)
        row[PICKUP_BY] = by
        row[HOLD_BY] = max(row[READY], min(by, row[WAITS_FROM] + promise))
        first = travel_times.arrival(roads.speed, row[READY] + boarding, base)
        row[DIRECT] = first - row[READY] - boarding
        row[DROPOFF_READY] = max(row[DROPOFF_FROM], first)
        row[DROPOFF_BY] = min(row[DROPOFF_TO], by + boarding + longest)
        row[RETURN] = -1.0
        row[LOAD + SEATS] = COMPANY if row[ALONE] > 0.0 else 1.0
    for b in range(count):
        outbound = int(bookings[b, LINKED_TO])
        if outbound >= 0:
            bookings[outbound, RETURN] = b


@kernel_inline
def suits(seats, row):
    """Whether an empty vehicle, and its driver, can take a booking.

    Args:
        seats: of a driver's row, from SEAT on.
    """
    if int(row[NEEDS]) & ~int(seats[SKILLS - SEAT]):
        return False
    for seat in range(LOADS):
        if row[LOAD + seat] > seats[seat]:
            return False
    return folded(row[LOAD + _AMBULATORY], row[LOAD + _WHEELCHAIR], seats)


@kernel_inline
def folded(ambulatory, wheelchairs, seats):
    """Whether so many sit beside so many wheelchairs, for which seats may have to be folded.

    Each wheelchair beyond the places that are always there takes `fold_seats` seats away. With
    fewer wheelchairs this says less than that there are so many seats.
    """
    each = seats[FOLD_SEATS - SEAT]
    always = seats[_WHEELCHAIR] - seats[FOLD - SEAT]
    return ambulatory + each * wheelchairs <= seats[_AMBULATORY] + each * always


@kernel
def holds(load, seats):
    """Whether a vehicle has room for a load, (LOADS,)."""
    for seat in range(LOADS):
        if load[seat] > seats[seat]:
            return False
    return folded(load[_AMBULATORY], load[_WHEELCHAIR], seats)


@kernel
def copy_row(source, target):
    """Copy what stands in an array of one axis into another."""
    for k in range(source.shape[0]):
        target[k] = source[k]


@kernel
def copy_rows(source, target):
    """Copy the rows of a table."""
    for k in range(source.shape[0]):
        copy_row(source[k], target[k])
