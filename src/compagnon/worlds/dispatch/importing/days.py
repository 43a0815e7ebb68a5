"""Puts good rows together into days, and finds the faults that one row alone does not show."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final, TypeVar

import numpy as np

from compagnon.worlds.dispatch.generator import DETOUR, SPEED
from compagnon.worlds.dispatch.importing.findings import Fault, Findings, few
from compagnon.worlds.dispatch.importing.matrix import Matrix
from compagnon.worlds.dispatch.importing.parsers import Point, distance_km
from compagnon.worlds.dispatch.importing.reach import (
    Trouble,
    Ways,
    back_too_early,
    by_the_clock,
    fleet_trouble,
    longest_ride,
    own_trouble,
    times_of,
)
from compagnon.worlds.dispatch.importing.records import BookingRow, DriverRow
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.instance_checks import LATEST_MINUTE
from compagnon.worlds.dispatch.instance_parts import Bookings, Drivers, Travel

SPEED_KMH: Final = 30.0
_SAME_PLACE_KM: Final = 1.0
_Row = BookingRow | DriverRow
R = TypeVar("R", BookingRow, DriverRow)


@dataclass(frozen=True, slots=True)
class Files:
    """How the files are called in faults."""

    bookings: str
    drivers: str


def link_rows(
    bookings: Sequence[BookingRow],
    drivers: Sequence[DriverRow],
    files: Files,
    ways: Ways,
    findings: Findings,
) -> tuple[list[BookingRow], list[DriverRow]]:
    """The rows that are good together: ids once, shifts apart, rides on days with shifts.

    A return stays with its ride. A ride after midnight without a date goes to the day before, if
    only the shifts of that day reach it.
    """
    shifts = _apart(drivers, files.drivers, findings.faults)
    rides = _unique(bookings, files.bookings, findings.faults)
    by_day: dict[date, list[DriverRow]] = defaultdict(list)
    for shift in shifts:
        by_day[shift.day].append(shift)
    kept: dict[str, BookingRow] = {}
    # Rides before those that go on from them, which follow them into the night.
    for ride in sorted(rides, key=_legs_before({ride.key: ride for ride in rides})):
        placed = _on_its_day(ride, kept.get(ride.returns_from), by_day, files, ways, findings)
        if placed is not None:
            kept[ride.key] = placed
    moved = [ride for ride in rides if ride.key in kept and kept[ride.key].day != ride.day]
    if moved:
        shown = few([f"{ride.key} (row {ride.line}, {ride.day})" for ride in moved])
        findings.notes.append(
            f"{files.bookings}: asked for after midnight without a date, and taken for rides of "
            f"the day before, whose shifts alone reach them: {shown}. A date says otherwise"
        )
    in_order = [kept[ride.key] for ride in rides if ride.key in kept]
    return _linked(in_order, files.bookings, ways, findings), shifts


def _on_its_day(
    ride: BookingRow,
    outbound: BookingRow | None,
    shifts: Mapping[date, Sequence[DriverRow]],
    files: Files,
    ways: Ways,
    findings: Findings,
) -> BookingRow | None:
    """The ride on a day on which somebody could take it, if there is one; what is wrong is noted.

    Returns:
        None if the row can't be used.
    """
    here_ways = ways.on(ride.midnight)
    times = times_of(ride, here_ways)
    broken = own_trouble(ride, times, here_ways)
    here = shifts.get(ride.day, ())
    if broken is None and not here:
        fault = "is a day on which no driver has a shift"
        broken = Trouble("date", fault, f"a shift in {files.drivers}")
    trouble = broken or fleet_trouble(ride, times, here, here_ways)
    if (not ride.dated and trouble is not None) or _follows(ride, outbound):
        before = ride.on_the_day_before()
        there = shifts.get(before.day, ())
        first = next(minute for minute in before.windows if math.isfinite(minute))
        last = min(before.windows[1], before.windows[3])
        night = last <= LATEST_MINUTE and any(first <= shift.shift[1] for shift in there)
        if night:
            then = ways.on(before.midnight)
            times = times_of(before, then)
            if not (own_trouble(before, times, then) or fleet_trouble(before, times, there, then)):
                return before
    if trouble is None:
        return ride
    given = ride.day.isoformat() if trouble.field == "date" else ride.given.get(trouble.field, "")
    found = Fault(files.bookings, ride.line, trouble.field, given, trouble.fault, trouble.right)
    if broken:
        findings.faults.append(found)
        return None
    findings.unservable.append(found)
    return ride


def _follows(ride: BookingRow, outbound: BookingRow | None) -> bool:
    """Whether a return without a date hangs on a ride of the day before."""
    return outbound is not None and not ride.dated and outbound.day == ride.day - timedelta(days=1)


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
    skills = skills_of(bookings, drivers)
    days = []
    for day in sorted(rides):
        rows: list[_Row] = [*rides[day], *shifts[day]]
        if shared is not None:
            index, travel = shared
            speed = by_the_clock(travel.speed, rides[day][0].midnight)
            travel = replace(travel, speed=speed)
            where = [[index[place] for place in row.places] for row in rows]
        else:
            where, travel = _sphere(rows, speed_kmh, rides[day][0].midnight)
        n = len(rides[day])
        at = np.array(where, np.int64)
        days.append(
            Instance(
                day.isoformat(),
                _bookings(rides[day], at[:n], travel, skills),
                _drivers(shifts[day], at[n:], skills),
                travel,
                skills,
            )
        )
    return days


def skills_of(bookings: Sequence[BookingRow], drivers: Sequence[DriverRow]) -> tuple[str, ...]:
    """All skills that rows name, in order: those of every day of an import."""
    named = [*(ride.needs for ride in bookings), *(shift.skills for shift in drivers)]
    return tuple(sorted({one for names in named for one in names}))


def _bits(named: Sequence[tuple[str, ...]], skills: tuple[str, ...]) -> np.ndarray:
    return np.array([sum(1 << skills.index(one) for one in names) for names in named], np.int64)


def _unique(rows: Sequence[BookingRow], file: str, faults: list[Fault]) -> list[BookingRow]:
    """The first row of each id; which of two is right nobody can say."""
    first: dict[str, int] = {}
    kept = []
    for row in rows:
        if row.key in first:
            fault = f"is there already, in row {first[row.key]}"
            faults.append(
                Fault(file, row.line, "id", row.key, fault, "an id that no other row has")
            )
            continue
        first[row.key] = row.line
        kept.append(row)
    return kept


def _apart(rows: Sequence[DriverRow], file: str, faults: list[Fault]) -> list[DriverRow]:
    """The shifts of a driver that do not overlap, nor reach into one of the next day.

    Several shifts of a day are several rows of the day.
    """
    kept: dict[tuple[str, int], list[DriverRow]] = defaultdict(list)
    for row in rows:
        day = row.day.toordinal()
        for other in (one for near in (day - 1, day, day + 1) for one in kept[row.key, near]):
            later = 1440 * (row.day - other.day).days  # minutes from one midnight to the other
            if row.shift[0] + later < other.shift[1] and other.shift[0] < row.shift[1] + later:
                right = "shifts of a driver that do not overlap"
                if (row.day, row.shift) == (other.day, other.shift):
                    fault = f"is there already, in row {other.line}, with the same shift"
                    faults.append(Fault(file, row.line, "id", row.key, fault, right))
                else:
                    fault = f"overlaps the shift of {row.key} in row {other.line}"
                    faults.append(Fault(file, row.line, "shift_start", row.given, fault, right))
                break
        else:
            kept[row.key, day].append(row)
    good = {row.line for same in kept.values() for row in same}
    return [row for row in rows if row.line in good]


def _linked(rides: list[BookingRow], file: str, ways: Ways, findings: Findings) -> list[BookingRow]:
    """The rides whose ride before, if they name one, is there and on that day.

    One ride hangs on another. A second return of one ride stays as a ride of its own: its window
    says when it is due.
    """
    by_key = {ride.key: ride for ride in rides}
    legs_before = _legs_before(by_key)
    first: dict[str, BookingRow] = {}
    returns = [ride for ride in rides if ride.returns_from]
    for ride in sorted(returns, key=lambda one: times_of(one, ways).by):
        first.setdefault(ride.returns_from, ride)
    kept: dict[str, BookingRow] = {}
    alone = []
    for ride in sorted(rides, key=legs_before):
        ring = legs_before(ride) > len(rides)
        outbound = by_key.get(ride.returns_from) if ring else kept.get(ride.returns_from)
        outbound = ride if ride.returns_from == ride.key else outbound
        trouble = None
        field, right = "returns_from", "the id of a booking of that day"
        if not ride.returns_from:
            pass
        elif outbound is None:
            trouble = Trouble(field, "is no booking that can be used", right)
        elif outbound is ride:
            trouble = Trouble(field, "is the booking itself", right)
        elif outbound.day != ride.day:
            trouble = Trouble(field, f"is a booking of {outbound.day}", right)
        elif outbound.returns_from == ride.key:
            trouble = Trouble(field, "is the return of this booking", right)
        elif ring:
            trouble = Trouble(field, "goes on from this booking, by way of others", right)
        else:
            trouble = back_too_early(ride, outbound, ways.on(ride.midnight))
        if trouble:
            given = ride.given.get(trouble.field, "")
            findings.faults.append(
                Fault(file, ride.line, trouble.field, given, trouble.fault, trouble.right)
            )
            continue
        if outbound is not None and first[outbound.key] is not ride:
            alone.append(ride)
            ride = replace(ride, returns_from="")
        kept[ride.key] = ride
    if alone:
        shown = few([f"{ride.key} (row {ride.line})" for ride in alone])
        findings.notes.append(
            f"{file}: a second return of one ride is a ride of its own, held by its windows "
            f"alone: {shown}"
        )
    return [kept[ride.key] for ride in rides if ride.key in kept]


def _legs_before(by_key: Mapping[str, BookingRow]) -> Callable[[BookingRow], int]:
    """How many legs of its trip come before a ride; more than there are rides if it is a ring."""
    known: dict[str, int] = {}

    def count(ride: BookingRow) -> int:
        way = [ride.key]
        while way[-1] not in known:
            before = by_key.get(by_key[way[-1]].returns_from)
            if before is None:
                known[way[-1]] = 0
            elif before.key in way:
                known[way[-1]] = len(by_key) + 1
            else:
                way.append(before.key)
        for k in range(len(way) - 2, -1, -1):
            known[way[k]] = known[way[k + 1]] + 1
        return known[ride.key]

    return count


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
    travel = Travel("matrix", coordinates, SPEED_KMH, DETOUR, matrix.speed, minutes, km)
    return {name: k for k, name in enumerate(names)}, travel


def _sphere(
    rows: Sequence[_Row], speed_kmh: float, midnight: datetime
) -> tuple[list[list[int]], Travel]:
    index: dict[Point, int] = {}
    where = [[index.setdefault(point, len(index)) for point in row.ends] for row in rows]
    none = np.zeros((0, 0))
    speed = by_the_clock(SPEED, midnight)
    travel = Travel("sphere", np.array(list(index)), speed_kmh, DETOUR, speed, none, none)
    return where, travel


def _bookings(
    rides: list[BookingRow], at: np.ndarray, travel: Travel, skills: tuple[str, ...]
) -> Bookings:
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
        announce=np.maximum(0.0, floats("announce")),
        linked_to=np.array([keys.get(ride.returns_from, -1) for ride in rides], np.int64),
        no_show=np.array([ride.no_show for ride in rides], np.bool_),
        cancel=np.maximum(0.0, floats("cancel")),
        boarding_delay=delays[:, 0].copy(),
        alighting_delay=delays[:, 1].copy(),
        needs=_bits([ride.needs for ride in rides], skills),
        alone=np.array([ride.alone for ride in rides], np.bool_),
    )


def _max_ride(ride: BookingRow, at: np.ndarray, travel: Travel) -> float:
    if travel.kind == "matrix":
        return longest_ride(ride, float(travel.minutes[at[0], at[1]]))
    return longest_ride(ride, distance_km(*ride.ends) * travel.detour * 60.0 / travel.speed_kmh)


def _drivers(shifts: list[DriverRow], at: np.ndarray, skills: tuple[str, ...]) -> Drivers:
    shift = np.array([one.shift for one in shifts], np.float64)
    pause = np.array([one.pause for one in shifts], np.float64)
    pause2 = np.array([one.pause2 for one in shifts], np.float64)
    return Drivers(
        start=at[:, 0].copy(),
        end=at[:, 1].copy(),
        shift_start=shift[:, 0].copy(),
        shift_end=shift[:, 1].copy(),
        break_from=pause[:, 0].copy(),
        break_to=pause[:, 1].copy(),
        break_minutes=pause[:, 2].copy(),
        seats=np.array([one.seats for one in shifts], np.int64),
        skills=_bits([one.skills for one in shifts], skills),
        fold=np.array([one.fold for one in shifts], np.int64),
        fold_seats=np.array([one.fold_seats for one in shifts], np.int64),
        break2_from=pause2[:, 0].copy(),
        break2_to=pause2[:, 1].copy(),
        break2_minutes=pause2[:, 2].copy(),
    )
