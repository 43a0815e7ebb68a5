"""Bookings, drivers and a matrix as CSV files turned into days, with a report of every bad row."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from compagnon.errors import InputError
from compagnon.files import new_directory, write_file
from compagnon.spreadsheets import has_slashes, heading
from compagnon.worlds.dispatch.importing import records
from compagnon.worlds.dispatch.importing.clock import Clock, find_zone
from compagnon.worlds.dispatch.importing.columns import BOOKINGS, DRIVERS
from compagnon.worlds.dispatch.importing.csv_reader import CsvRows, read_sheet
from compagnon.worlds.dispatch.importing.days import (
    SPEED_KMH,
    Files,
    build_days,
    link_rows,
    place_rows,
    skills_of,
)
from compagnon.worlds.dispatch.importing.findings import Fault, Findings, listed
from compagnon.worlds.dispatch.importing.fleet import FILE, read_vehicles, shifts_of
from compagnon.worlds.dispatch.importing.matrix import read_matrix
from compagnon.worlds.dispatch.importing.parsers import Area, Point, RowParser
from compagnon.worlds.dispatch.importing.places import Places, has_addresses
from compagnon.worlds.dispatch.importing.profile import KNOWN, Profile
from compagnon.worlds.dispatch.importing.reach import Ways
from compagnon.worlds.dispatch.importing.refine import (
    DAYS,
    check_day_order,
    halves_and_wholes,
    refine_rows,
)
from compagnon.worlds.dispatch.importing.standing import days_of_spans, expand_orders, stands
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.instance_checks import MAX_SKILLS


class Reading(NamedTuple):
    """How files are to be read.

    Attributes:
        zone: name of the time zone whose clock counts; empty for that of the times themselves.
        area: ``LAT,LON,KM`` of the disc that all places lie in; empty for 100 km around the median.
        speed_kmh: on roads without a matrix, at relative speed 1.
        strict: refuse files that have a fault.
        bookings, drivers: how the two tables are read.
        places: tables of addresses and their points.
        missing: where addresses without a point are listed; None for nowhere.
        vehicles: for bookings without a table of drivers, such as `3 x 2 ambulatory`.
    """

    zone: str = ""
    area: str = ""
    speed_kmh: float = SPEED_KMH
    strict: bool = False
    bookings: Profile = KNOWN
    drivers: Profile = Profile("drivers")
    places: tuple[Path, ...] = ()
    missing: Path | None = None
    vehicles: tuple[str, ...] = ()


_AS_IT_STANDS = Reading()
_ONE_TIME = frozenset(("pickup_time", "dropoff_time", "return_time"))


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What came of an import.

    Attributes:
        days: the days, by date.
        faults: everything that cannot be used, by file and row.
        notes: what was dropped, or is worth knowing about a file as a whole.
        unservable: bookings that the days hold, and that can only be refused: nobody could take
            them, were there no other ride.
        bookings, bookings_read: how many bookings the days hold, of how many rows.
        shifts, shifts_read: how many shifts of drivers, of how many rows.
        rows: the bookings and the shifts that the days hold, by their ids, in the days' order.
    """

    days: tuple[Instance, ...]
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    bookings: int
    bookings_read: int
    shifts: int
    shifts_read: int
    unservable: tuple[Fault, ...] = ()
    rows: tuple[tuple[records.BookingRow, ...], tuple[records.DriverRow, ...]] = ((), ())


def import_tables(
    bookings: Path,
    drivers: Path | None,
    matrix: Path | None = None,
    reading: Reading = _AS_IT_STANDS,
) -> ImportReport:
    """Read the files; rows at fault are left out and reported.

    Args:
        drivers: None where `reading.vehicles` says what there is.

    Raises:
        InputError: a file as a whole cannot be used, or nothing in it; with `reading.strict`, any
            fault.
    """
    if not 1 <= reading.speed_kmh <= 200:
        raise InputError(f"--speed-kmh {reading.speed_kmh:g}: give 1 to 200")
    vehicles = _vehicles(drivers, matrix, reading)
    zone = find_zone(reading.zone or reading.bookings.zone)
    findings = Findings()
    rides = read_sheet(bookings, BOOKINGS, findings, reading.bookings)
    fleet = CsvRows(FILE, (), ())
    if drivers is not None:
        fleet = read_sheet(drivers, DRIVERS, findings, reading.drivers)
    read = len(rides.rows), len(fleet.rows)
    rides = refine_rows(rides, reading.bookings, findings)
    # A row that holds the ride back as well is two bookings.
    read = read[0] + len(rides.rows) - len({row.line for row in rides.rows}), read[1]
    fleet = refine_rows(fleet, reading.drivers, findings) if drivers is not None else fleet
    rides, fleet = _located(rides, fleet, reading, findings)
    if reading.bookings.tolerance and not _ONE_TIME & set(rides.columns):
        findings.notes.append("no column of one time was read, so the tolerance was of no use")
    check_day_order((rides, fleet))
    ride_times, shift_times = (
        _cells(sheet, (*DAYS, *names))
        for sheet, names in (
            (rides, ("pickup_time", "dropoff_time", *records.BOOKING_TIMES)),
            (fleet, records.DRIVER_TIMES),
        )
    )
    clock = Clock.of(ride_times + shift_times, zone)
    if any(has_slashes(text) for text in ride_times + shift_times):
        first = "the month, as in the USA" if clock.month_first else "the day"
        findings.notes.append(f"days such as 02/03/2026 are read with {first} first")
    if halves_and_wholes(ride_times) or halves_and_wholes(shift_times):
        findings.notes.append(
            "times with AM or PM stand beside times with neither, which are read as of 24 hours"
        )
    area = Area.parse(reading.area) if reading.area else Area.around((*rides.rows, *fleet.rows))
    ride_clock = clock.of_file(ride_times)

    def parsed(sheet: CsvRows) -> list[records.BookingRow]:
        parsers = _parsers(sheet, ride_clock, area, reading.bookings, findings)
        return [ride for ride in map(records.parse_booking, parsers) if ride]

    orders = replace(rides, rows=tuple(row for row in rides.rows if stands(row)))
    rides = replace(rides, rows=tuple(row for row in rides.rows if not stands(row)))
    good = parsed(rides)
    shifts = _shifts(_parsers(fleet, clock.of_file(shift_times), area, reading.drivers, findings))
    if orders.rows:
        days_there = {row.day for row in (good if vehicles else shifts)}
        if vehicles:
            days_there |= days_of_spans(orders, ride_clock)
        standing = expand_orders(orders, days_there, ride_clock, findings)
        read = read[0] - len(orders.rows) + len(standing.rows), read[1]
        good = sorted([*good, *parsed(standing)], key=lambda ride: ride.line)
    if vehicles:
        shifts = shifts_of(vehicles, good)
        read = read[0], len(shifts)
    _check_skills(good, shifts)
    travel = None
    names = Files(rides.file, fleet.file)
    if matrix is not None:
        travel = read_matrix(matrix, findings, _uses(good, shifts))
        seen: dict[str, tuple[Point, int]] = {}
        good = place_rows(
            good, ("pickup", "dropoff"), names.bookings, travel, seen, findings.faults
        )
        shifts = place_rows(shifts, ("start", "end"), names.drivers, travel, seen, findings.faults)
    ways = Ways.of_files(travel, reading.speed_kmh)
    good, shifts = link_rows(good, shifts, names, ways, findings)
    faults = tuple(sorted(_named(findings.faults, rides, fleet), key=lambda f: (f.file, f.row)))
    if faults and reading.strict:
        raise InputError(f"{len(faults)} faults, and --strict imports none of it:{listed(faults)}")
    if not good:
        where = f" ({reading.missing} lists addresses)" if reading.missing is not None else ""
        raise InputError(f"no booking of {bookings} can be used{where}:{listed(faults)}")
    days = tuple(build_days(good, shifts, travel, reading.speed_kmh))
    used = {ride.day for ride in good}
    idle = len({shift.day for shift in shifts} - used)
    if idle:
        findings.notes.append(
            f"{names.drivers}: {idle} days have drivers and no bookings; left out"
        )
    count = sum(shift.day in used for shift in shifts)
    return ImportReport(
        days, faults, tuple(findings.notes), len(good), read[0], count, read[1],
        tuple(sorted(findings.unservable, key=lambda fault: fault.row)),
        (tuple(good), tuple(shift for shift in shifts if shift.day in used)),
    )  # fmt: skip


def save_days(days: tuple[Instance, ...], folder: Path) -> None:
    """Write each day as ``NAME.json`` into a folder that is new or empty.

    Raises:
        InputError: the folder holds something already.
    """
    check_folder(folder)
    with new_directory(folder) as fresh:
        for day in days:
            write_file(fresh / f"{day.name}.json", day.to_json())


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds something: two imports should not mix.

    Raises:
        InputError: it does, or is no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is not a folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"--out {folder} is not empty; give a new folder")


def _uses(rides: Sequence[records.BookingRow], shifts: Sequence[records.DriverRow]) -> Counter[str]:
    """How many rows need each place; without that of a shift, all rides of the driver are lost."""
    uses = Counter(place for ride in rides for place in ride.places)
    for shift in shifts:
        uses.update(dict.fromkeys(shift.places, 1 + len(rides)))
    return uses


def _vehicles(drivers: Path | None, matrix: Path | None, reading: Reading) -> list[tuple[int, ...]]:
    if drivers is None and not reading.vehicles:
        raise InputError(
            "bookings need the shifts of the drivers: --drivers drivers.csv, or --vehicles "
            "'3 x 2 ambulatory + wheelchair'"
        )
    if reading.vehicles and (drivers is not None or matrix is not None):
        other = "--drivers" if drivers is not None else "--matrix"
        raise InputError(f"{FILE} and {other} cannot go together; leave one out")
    return read_vehicles(reading.vehicles)


def _located(
    rides: CsvRows, fleet: CsvRows, reading: Reading, findings: Findings
) -> tuple[CsvRows, CsvRows]:
    """The rows with the points of their addresses; what has none is listed in a file."""
    asked = has_addresses(rides.columns), has_addresses(fleet.columns)
    if not reading.places and reading.missing is None:
        for sheet, names in zip((rides, fleet), asked, strict=True):
            if names:
                raise InputError(
                    f"{sheet.file}: {names[0]} is an address; give --places with the points of "
                    "addresses, and --missing FILE to list those that are still to be found"
                )
        return rides, fleet
    if not any(asked):
        given = "--places" if reading.places else "--missing"
        findings.notes.append(f"no column of an address was read, so {given} was of no use")
        return rides, fleet
    places = Places()
    for path in reading.places:
        places.read(path, findings)
    told = ", ".join(path.name for path in reading.places) or "--places (none given)"
    filled = (
        places.fill(rides, ("pickup", "dropoff"), findings.faults, told),
        places.fill(fleet, ("start", "end"), findings.faults, told),
    )
    findings.notes.append("addresses are looked up, and nowhere stored")
    if places.missing:
        count = len(places.missing)
        many = f"{count:,} {'address has' if count == 1 else 'addresses have'} no point"
        if reading.missing is not None:
            places.write_missing(reading.missing)
            many += f"; see {reading.missing}: fill in lat and lon, and give it as --places too"
        else:
            many += "; --missing FILE lists them"
        findings.notes.append(many)
    return filled


def _named(faults: Sequence[Fault], *sheets: CsvRows) -> list[Fault]:
    """Faults with the heading of the person's own file, where that is another than our name."""
    sources = {sheet.file: sheet.sources for sheet in sheets}
    named = []
    for fault in faults:
        source = sources.get(fault.file, {}).get(fault.field, "")
        if source and heading(source) != fault.field:
            fault = replace(fault, field=f"{fault.field} ({source})")
        named.append(fault)
    return named


def _cells(sheet: CsvRows, columns: Sequence[str]) -> list[str]:
    return [row.cells.get(name, "") for row in sheet.rows for name in columns]


def _parsers(
    sheet: CsvRows, clock: Clock, area: Area, profile: Profile, findings: Findings
) -> list[RowParser]:
    return [
        RowParser(sheet.file, row, clock, area, findings.faults, profile.tolerance)
        for row in sheet.rows
    ]


def _shifts(fleet: Sequence[RowParser]) -> list[records.DriverRow]:
    return [shift for shift in map(records.parse_driver, fleet) if shift]


def _check_skills(rides: Sequence[records.BookingRow], shifts: Sequence[records.DriverRow]) -> None:
    """Refuse what cannot be a list of skills: a text that says something else in each row.

    Raises:
        InputError: there are more than a day can hold.
    """
    names = skills_of(rides, shifts)
    if len(names) > MAX_SKILLS:
        raise InputError(
            f"needs and skills name {len(names)} different skills, such as {names[0]!r} and "
            f"{names[-1]!r}; at most {MAX_SKILLS}: are they texts?"
        )
