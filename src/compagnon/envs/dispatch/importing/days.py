"""Puts good rows together into days, and finds the faults that one row alone does not show."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeVar

import numpy as np

from compagnon.envs.dispatch.generator import DETOUR, SPEED
from compagnon.envs.dispatch.importing.cells import Point, distance_km
from compagnon.envs.dispatch.importing.matrix import Matrix
from compagnon.envs.dispatch.importing.rows import BookingRow, DriverRow
from compagnon.envs.dispatch.importing.sheet import Fault
from compagnon.envs.dispatch.instance import Bookings, Drivers, Instance, Travel

SPEED_KMH: Final = 30.0
# A ride may take half as long again as the direct one, and half an hour more.
RIDE_FACTOR, RIDE_EXTRA = 1.5, 30.0
_SAME_PLACE_KM: Final = 1.0
_Row = BookingRow | DriverRow
R = TypeVar("R", BookingRow, DriverRow)


@dataclass(frozen=True, slots=True)
class Files:
    """How the files are called in faults."""

    bookings: str
    drivers: str


def link_rows(
    bookings: Sequence[BookingRow], drivers: Sequence[DriverRow], files: Files, faults: list[Fault]
) -> tuple[list[BookingRow], list[DriverRow]]:
    """The rows that are good together: ids once, returns with their ride, days with drivers."""
    shifts = _unique(drivers, files.drivers, faults)
    rides = _unique(bookings, files.bookings, faults)
    days = {shift.day for shift in shifts}
    kept = []
    for ride in rides:
        if ride.day in days:
            kept.append(ride)
            continue
        faults.append(
            Fault(files.bookings, ride.line, "date", ride.day.isoformat(),
                  "is a day on which no driver has a shift", f"a shift in {files.drivers}")
        )  # fmt: skip
    return _linked(kept, files.bookings, faults), shifts


def place_rows(
    rows: Sequence[R],
    names: tuple[str, str],
    file: str,
    matrix: Matrix,
    seen: dict[str, tuple[Point, int]],
    faults: list[Fault],
) -> list[R]:
    """The rows whose two places are in the matrix; `seen` holds where each place lies."""
    kept = []
    for row in rows:
        before = len(faults)
        for name, place, point in zip(names, row.places, row.ends, strict=True):
            fault, right = _place_fault(place, point, matrix, seen, row.line)
            if fault:
                faults.append(Fault(file, row.line, f"{name}_place", place, fault, right))
        if len(faults) == before:
            kept.append(row)
    return kept


def build_days(
    bookings: Sequence[BookingRow],
    drivers: Sequence[DriverRow],
    matrix: Matrix | None,
    speed_kmh: float,
) -> list[Instance]:
    """One `Instance` for each day that has bookings, in order; ids and place names stay outside."""
    rides: dict[date, list[BookingRow]] = defaultdict(list)
    shifts: dict[date, list[DriverRow]] = defaultdict(list)
    for ride in bookings:
        rides[ride.day].append(ride)
    for shift in drivers:
        shifts[shift.day].append(shift)
    shared = _matrix_travel([*bookings, *drivers], matrix) if matrix is not None else None
    days = []
    for day in sorted(rides):
        rows: list[_Row] = [*rides[day], *shifts[day]]
        if shared is not None:
            index, travel = shared
            where = [[index[place] for place in row.places] for row in rows]
        else:
            where, travel = _sphere(rows, speed_kmh)
        n = len(rides[day])
        at = np.array(where, np.int64)
        days.append(
            Instance(
                day.isoformat(),
                _bookings(rides[day], at[:n], travel),
                _drivers(shifts[day], at[n:]),
                travel,
            )
        )
    return days


def _unique(rows: Sequence[R], file: str, faults: list[Fault]) -> list[R]:
    """The first row of each id (of a day, for drivers); which of two is right nobody can say."""
    first: dict[tuple[str, date | None], int] = {}
    kept = []
    for row in rows:
        key = row.key, row.day if isinstance(row, DriverRow) else None
        if key in first:
            what = "one shift a driver and day" if key[1] else "an id that no other row has"
            fault = f"is there already, in row {first[key]}"
            faults.append(Fault(file, row.line, "id", row.key, fault, what))
            continue
        first[key] = row.line
        kept.append(row)
    return kept


def _linked(rides: list[BookingRow], file: str, faults: list[Fault]) -> list[BookingRow]:
    """The rides whose outbound ride, if they name one, is there, on that day, and theirs alone."""
    by_key = {ride.key: ride for ride in rides}
    returns = Counter(ride.returns_from for ride in rides)
    kept = []
    for ride in rides:
        outbound = by_key.get(ride.returns_from)
        fault, right = "", "the id of a booking of that day that is no return itself"
        if not ride.returns_from:
            pass
        elif outbound is None:
            fault = "is no booking that can be used"
        elif outbound is ride:
            fault = "is the booking itself"
        elif outbound.day != ride.day:
            fault = f"is a booking of {outbound.day}"
        elif outbound.returns_from:
            fault = "is a return itself"
        elif returns[ride.returns_from] > 1:
            fault, right = "has several returns", "one return an outbound ride"
        if fault:
            faults.append(Fault(file, ride.line, "returns_from", ride.returns_from, fault, right))
        else:
            kept.append(ride)
    return kept


def _place_fault(
    place: str, point: Point, matrix: Matrix, seen: dict[str, tuple[Point, int]], line: int
) -> tuple[str, str]:
    if not place:
        return "is empty", f"a place of {matrix.file}"
    if place in matrix.broken:
        return f"cannot be used: its row of {matrix.file} has a fault", "mend that row"
    if place not in matrix.places:
        return f"is not in {matrix.file}", "a place of its first line"
    there, first = seen.setdefault(place, (point, line))
    if distance_km(there, point) > _SAME_PLACE_KM:
        where = f"{there[0]:g}, {there[1]:g}"
        return f"lies elsewhere than where it is first named ({where}, line {first})", "one place"
    return "", ""


def _matrix_travel(rows: Sequence[_Row], matrix: Matrix) -> tuple[dict[str, int], Travel]:
    """The places that the rows use, in the matrix's order; the same for every day."""
    points: dict[str, Point] = {}
    for row in rows:
        for place, point in zip(row.places, row.ends, strict=True):
            points.setdefault(place, point)
    names = sorted(points, key=matrix.places.__getitem__)
    used = [matrix.places[name] for name in names]
    coordinates = np.array([points[name] for name in names], np.float64).reshape(-1, 2)
    minutes = matrix.minutes[np.ix_(used, used)]
    if matrix.km is not None:
        km = matrix.km[np.ix_(used, used)]
    else:
        km = DETOUR * np.array(
            [[distance_km(points[a], points[b]) for b in names] for a in names], np.float64
        )
    travel = Travel("matrix", coordinates, SPEED_KMH, DETOUR, np.ones(24), minutes, km)
    return {name: k for k, name in enumerate(names)}, travel


def _sphere(rows: Sequence[_Row], speed_kmh: float) -> tuple[list[list[int]], Travel]:
    index: dict[Point, int] = {}
    where = [[index.setdefault(point, len(index)) for point in row.ends] for row in rows]
    none = np.zeros((0, 0))
    travel = Travel("sphere", np.array(list(index)), speed_kmh, DETOUR, SPEED.copy(), none, none)
    return where, travel


def _bookings(rides: list[BookingRow], at: np.ndarray, travel: Travel) -> Bookings:
    keys = {ride.key: k for k, ride in enumerate(rides)}
    windows = np.array([ride.windows for ride in rides], np.float64)
    delays = np.array([ride.delays for ride in rides], np.float64)

    def floats(name: str) -> np.ndarray:
        return np.array([getattr(ride, name) for ride in rides], np.float64)

    return Bookings(
        pickup=at[:, 0].copy(),
        dropoff=at[:, 1].copy(),
        pickup_from=windows[:, 0].copy(),
        pickup_to=windows[:, 1].copy(),
        dropoff_from=windows[:, 2].copy(),
        dropoff_to=windows[:, 3].copy(),
        load=np.array([ride.load for ride in rides], np.int64),
        boarding=floats("boarding"),
        alighting=floats("alighting"),
        max_ride=np.array(
            [_max_ride(ride, at[k], travel) for k, ride in enumerate(rides)], np.float64
        ),
        priority=np.array([ride.priority for ride in rides], np.int64),
        announce=floats("announce"),
        linked_to=np.array([keys.get(ride.returns_from, -1) for ride in rides], np.int64),
        no_show=np.array([ride.no_show for ride in rides], np.bool_),
        cancel=floats("cancel"),
        boarding_delay=delays[:, 0].copy(),
        alighting_delay=delays[:, 1].copy(),
    )


def _max_ride(ride: BookingRow, at: np.ndarray, travel: Travel) -> float:
    if not math.isnan(ride.max_ride):
        return ride.max_ride
    if travel.kind == "matrix":
        direct = float(travel.minutes[at[0], at[1]])
    else:
        direct = distance_km(*ride.ends) * travel.detour * 60.0 / travel.speed_kmh
    return min(1440.0, math.ceil(RIDE_FACTOR * direct + RIDE_EXTRA))


def _drivers(shifts: list[DriverRow], at: np.ndarray) -> Drivers:
    shift = np.array([one.shift for one in shifts], np.float64)
    pause = np.array([one.pause for one in shifts], np.float64)
    return Drivers(
        start=at[:, 0].copy(),
        end=at[:, 1].copy(),
        shift_start=shift[:, 0].copy(),
        shift_end=shift[:, 1].copy(),
        break_from=pause[:, 0].copy(),
        break_to=pause[:, 1].copy(),
        break_minutes=pause[:, 2].copy(),
        seats=np.array([one.seats for one in shifts], np.int64),
    )
