"""`data`: days of dispatch from real data, looked at, resampled, or drawn to try."""

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.arguments import Force, check_seed, flag, optional
from compagnon.errors import InputError
from compagnon.worlds.command import Command, CommandGroup
from compagnon.worlds.dispatch.layout_options import Layout

_File = Annotated[
    Path, Positional, arg(metavar="FILE", help="bookings (CSV, XLSX), or an instance")
]
_Days = Annotated[Path, Positional, arg(metavar="DAYS", help="a folder of days, or one (JSON)")]
_Drivers = Annotated[Path | None, optional("FILE", "the drivers' shifts (CSV)")]
_Matrix = Annotated[Path | None, optional("FILE", "minutes between places (CSV)")]
_Zone = Annotated[str, arg(metavar="ZONE", help="the clock that counts, such as Europe/Zurich")]
_Area = Annotated[str, optional("LAT,LON,KM", "where places lie; else 100 km around the median")]
_Speed = Annotated[float, arg(metavar="X", help="on roads without a matrix")]
_Out = Annotated[Path, arg(metavar="DIR", help="a new folder")]
_AS_KNOWN: Final = Layout()
_NEVER: Final = "Nobody could take these, were there no other ride; they can only be refused"
_Seed = Annotated[int, arg(metavar="S", help="of what is drawn")]


def import_(
    file: _File,
    /,
    drivers: _Drivers = None,
    matrix: _Matrix = None,
    out: _Out = Path("days"),
    zone: _Zone = "",
    area: _Area = "",
    speed_kmh: _Speed = 30.0,
    strict: Annotated[bool, flag("import nothing if anything is at fault")] = False,
    keep_ids: Annotated[
        Path | None, optional("FILE", "write ids and names of places, for data export")
    ] = None,
    layout: Layout = _AS_KNOWN,
) -> int:
    """Turn bookings and drivers, or a public instance, into days to replay and to train on.

    $ compagnon data import bookings.csv --drivers drivers.csv --out days
    $ compagnon data import trips.xlsx --drivers drivers.csv --guess --places places.csv
    $ compagnon data import a2-16.json --out public
    """
    from compagnon.worlds.dispatch.importing.tables import save_days

    output.claim_folder(out)
    output.claim(None, keep_ids, layout.missing)
    for option, path in (("--keep-ids", keep_ids), ("--missing", layout.missing)):
        if path is not None and out.absolute() in (path.absolute(), *path.absolute().parents):
            raise InputError(f"{option} {path} lies in --out {out}, which holds days alone")
    found = read_files(file, drivers, matrix, (zone, area, speed_kmh, strict), layout)
    if keep_ids is not None and found.rows is None:
        raise InputError(f"--keep-ids: {file} is an instance, whose requests have numbers alone")
    _show(found.faults)
    _show(found.unservable, _NEVER)
    save_days(found.days, out)
    if keep_ids is not None and found.rows is not None:
        from compagnon.worlds.dispatch.itineraries.names import write_names

        write_names(keep_ids, *found.rows)
    screen = output.console()
    for line in found.said:
        screen.print(line)
    days = len(found.days)
    screen.print(f"wrote {days} {'day' if days == 1 else 'days'} to {out}", soft_wrap=True)
    screen.print(
        f"Play them with --env compagnon/Dispatch-v1 --env-args days={out}", soft_wrap=True
    )
    return 0


def check(
    file: _File,
    /,
    drivers: _Drivers = None,
    matrix: _Matrix = None,
    zone: _Zone = "",
    area: _Area = "",
    speed_kmh: _Speed = 30.0,
    layout: Layout = _AS_KNOWN,
) -> int:
    """Read whole files, import nothing, and list all that cannot be used, or never be served.

    $ compagnon data check bookings.csv --drivers drivers.csv
    """
    found = read_files(file, drivers, matrix, (zone, area, speed_kmh, False), layout)
    _show(found.faults)
    _show(found.unservable, _NEVER)
    screen = output.console()
    for line in found.said:
        screen.print(line)
    if found.faults or found.unservable:
        count, never = len(found.faults), len(found.unservable)
        parts = [f"{count} {'fault' if count == 1 else 'faults'}"] if count else []
        if never:
            many = "booking" if never == 1 else "bookings"
            parts.append(f"{never} {many} that nobody can ever serve")
        raise InputError(f"{' and '.join(parts)} (listed above)")
    days = len(found.days)
    screen.print(f"{file}: good, {days} {'day' if days == 1 else 'days'}", soft_wrap=True)
    return 0


def describe(
    days: _Days,
    /,
    out: Annotated[Path, arg(metavar="FILE.html", help="the page")] = Path("days.html"),
    force: Force = False,
) -> int:
    """Show demand by hour, windows, distances and fleet of saved days as one page.

    $ compagnon data describe days --out days.html
    """
    output.claim(force, out)
    from compagnon.worlds.dispatch.core import load_days
    from compagnon.worlds.dispatch.report.days import render_page, summarise

    loaded = load_days(days)
    summary = summarise(loaded)
    screen = output.console()
    screen.print(output.table(("what", "figure"), summary.lines()))
    screen.print()
    output.write_text(out, render_page(str(days), summary))
    return 0


def resample(
    days: _Days,
    /,
    count: Annotated[int, arg(metavar="N", help="how many variants")] = 100,
    seed: _Seed = 0,
    out: _Out = Path("variants"),
) -> int:
    """Draw new days out of saved ones: the size and fleet of one, riders of all.

    $ compagnon data resample days --count 200 --seed 1 --out variants
    """
    from compagnon.worlds.dispatch.core import load_days
    from compagnon.worlds.dispatch.importing.resample import resample_days
    from compagnon.worlds.dispatch.importing.tables import save_days

    check_seed(seed)
    output.claim_folder(out)
    made = resample_days(load_days(days), count, seed)
    save_days(tuple(made), out)
    rides = sum(len(day.bookings) for day in made)
    output.console().print(f"wrote {count} variants with {rides:,} rides to {out}", soft_wrap=True)
    return 0


def collect(
    source: Annotated[str, arg(name="from", metavar="DATABASE_URL", help="PostgreSQL or SQLite")],
    days: Annotated[int, arg(metavar="N", help="how many days, the last one included")] = 90,
    until: Annotated[date | None, optional("DATE", "the last day; today without it")] = None,
    zone: _Zone = "",
    out: _Out = Path("collected"),
) -> int:
    """Read bookings and shifts from a database into bookings.csv and drivers.csv.

    $ compagnon data collect --from sqlite:///trips.db --days 90 --zone Europe/Zurich
    """
    from compagnon.worlds.dispatch.importing.collect import MAX_DAYS, collect_tables

    if not 1 <= days <= MAX_DAYS:
        raise InputError(f"--days {days}: give 1 to {MAX_DAYS}")
    output.claim_folder(out)
    last = until or date.today()
    found = collect_tables(source, last - timedelta(days=days - 1), last, out, zone)
    screen = output.console()
    screen.print(
        f"wrote {found.bookings:,} bookings and {found.drivers:,} shifts to {out}", soft_wrap=True
    )
    screen.print(
        f"Next: compagnon data import {out}/bookings.csv --drivers {out}/drivers.csv",
        soft_wrap=True,
    )
    return 0


def generate(
    out: Annotated[Path, Positional, arg(metavar="DIR", help="a new folder")],
    /,
    days: Annotated[int, arg(metavar="N", help="how many, Monday to Friday")] = 30,
    preset: Annotated[str, arg(metavar="NAME", help="clinic-day, city or metro")] = "clinic-day",
    start: Annotated[date, arg(metavar="DATE", help="the first day")] = date(2026, 1, 5),
    seed: _Seed = 0,
) -> int:
    """Write bookings.csv and drivers.csv drawn from a preset, to try the importer with.

    $ compagnon data generate sample --days 30 --seed 0
    """
    from compagnon.worlds.dispatch.generator import PRESETS
    from compagnon.worlds.dispatch.generator import generate as draw
    from compagnon.worlds.dispatch.importing.export import write_tables

    check_seed(seed)
    output.claim_folder(out, "DIR")
    if preset not in PRESETS:
        raise InputError(f"--preset {preset}: use {', '.join(PRESETS)}")
    if not 1 <= days <= 1000:
        raise InputError(f"--days {days}: give 1 to 1000")
    dated: list[tuple[date, Any]] = []
    day = start
    while len(dated) < days:
        if day.weekday() < 5:
            dated.append((day, draw(preset, seed + len(dated))))
        day += timedelta(days=1)
    write_tables(dated, out, exact=False)
    rides = sum(len(one.bookings) for _, one in dated)
    output.console().print(f"wrote {rides:,} bookings on {days} days to {out}", soft_wrap=True)
    return 0


class Found(NamedTuple):
    """The days of a file, its faults, what else there is to say, and what nobody can serve.

    Attributes:
        rows: bookings and drivers of a table, by their ids, in the days' order; None for an
            instance.
    """

    days: tuple[Any, ...]
    faults: tuple[Any, ...]
    said: list[str]
    unservable: tuple[Any, ...]
    rows: tuple[tuple[Any, ...], tuple[Any, ...]] | None = None


def export(
    days: _Days,
    /,
    policy: Annotated[
        str, arg(metavar="POLICY", help="who decides (see `compagnon policies`)")
    ] = "expert:dispatch-regret",
    day: Annotated[
        tuple[str, ...], optional("NAME...", "days to play, such as 2026-03-02; else all")
    ] = (),
    format: Annotated[
        tuple[str, ...], arg(metavar="KIND...", help="csv, xlsx, ics (calendars), html (to print)")
    ] = ("csv", "ics", "html"),
    ids: Annotated[
        Path | None, optional("FILE", "names of bookings and places: data import --keep-ids")
    ] = None,
    on: Annotated[
        date | None, arg(name="date", metavar="DATE", help="of a day whose name is none")
    ] = None,
    zone: _Zone = "",
    lang: Annotated[
        Literal["en", "fr"], arg(help="of calendars and manifests; tables are the same in all")
    ] = "en",
    out: _Out = Path("itineraries"),
) -> int:
    """Write what a policy would have each driver do: tables, calendars, a manifest to print.

    $ compagnon data export days --day 2026-03-02 --policy expert:dispatch-regret
    $ compagnon data export days --policy runs/mine --format xlsx --zone Europe/Zurich
    $ compagnon data export days --format html ics --zone Europe/Paris --lang fr
    """
    output.claim_folder(out)
    from compagnon.worlds.dispatch.itineraries.files import Options, write_itineraries
    from compagnon.worlds.dispatch.itineraries.ical import default_stamp
    from compagnon.worlds.dispatch.itineraries.names import Names, read_names
    from compagnon.worlds.dispatch.itineraries.played import play_days

    with output.busy("playing"):
        found = play_days(policy, days, day)
    names = read_names(ids, [one.day for one in found]) if ids is not None else Names()
    count = write_itineraries(found, out, Options(format, names, default_stamp(), on, zone, lang))
    screen = output.console()
    for one in found:
        rides = sum(itinerary.rides for itinerary in one.itineraries)
        screen.print(
            f"{one.day.name}: {rides} of {len(one.day.bookings)} rides by "
            f"{len(one.itineraries)} drivers",
            soft_wrap=True,
        )
    screen.print(f"wrote {count} {'file' if count == 1 else 'files'} to {out}", soft_wrap=True)
    return 0


def read_files(
    file: Path,
    drivers: Path | None,
    matrix: Path | None,
    how: tuple[str, str, float, bool],
    layout: Layout,
) -> Found:
    """What is in the files.

    Args:
        how: zone, area, speed in km/h, and whether any fault is too many.

    Raises:
        InputError: the files cannot be used.
    """
    from compagnon.worlds.dispatch.importing import public, text_instances
    from compagnon.worlds.dispatch.importing.profile import INSTANCES
    from compagnon.worlds.dispatch.importing.tables import Reading, import_tables

    if layout.missing is not None:
        output.claim(None, layout.missing)
    rides, fleet = layout.profiles()
    kind = rides.kind if rides.kind in INSTANCES else text_instances.kind_of(file)
    if kind:
        layout.refuse_beside(kind)
        if rides.kind not in INSTANCES and layout.profile:
            raise InputError(f"--profile {layout.profile[0]}: {file} is an instance, and no table")
        if drivers is not None or matrix is not None:
            raise InputError(f"{file} holds its own drivers; leave --drivers and --matrix out")
        days, faults, said = (
            public.read_any(file, how[3])
            if kind == "dial-a-ride"
            else text_instances.read_instance(file, kind)
        )
        return Found(days, faults, said, tuple(public.unservable_faults(days, file.name)))
    layout.refuse_useless(file, drivers)
    reading = Reading(*how, rides, fleet, layout.places, layout.missing, layout.vehicles)
    report = import_tables(file, drivers, matrix, layout.learnt(reading, file, drivers))
    left = report.bookings_read - report.bookings, report.shifts_read - report.shifts
    said = [
        *report.notes,
        f"{report.bookings:,} of {report.bookings_read:,} bookings, {left[0]:,} left out; "
        f"{report.shifts:,} of {report.shifts_read:,} shifts, {left[1]:,} left out",
    ]
    return Found(report.days, report.faults, said, report.unservable, report.rows)


def _show(faults: tuple[Any, ...], title: str = "") -> None:
    if faults:
        if title:
            output.console().print(title, soft_wrap=True)
        rows = [(f.file, str(f.row), f.field, f.given, f"{f.fault}; {f.right}") for f in faults]
        heads = ("file", "row", "field", "given", "fault, and what would be right")
        output.console().print(output.table(heads, rows, numbers=False))


_WORLDS: Final = ("worlds", ("numba",))
COMMANDS: Final = {
    "data": CommandGroup(
        "Bookings and drivers of a real fleet, as days to replay.",
        {
            "import": Command(import_, *_WORLDS),
            "check": Command(check, *_WORLDS),
            "describe": Command(describe, *_WORLDS),
            "export": Command(export, *_WORLDS),
            "resample": Command(resample, *_WORLDS),
            "collect": Command(collect, "collect", ("sqlalchemy", "numba")),
            "generate": Command(generate, *_WORLDS),
        },
    ),
}
