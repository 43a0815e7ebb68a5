"""How long it takes to read 100,000 bookings: our own columns, a French list, an XLSX."""

import csv
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import tyro

from compagnon.worlds.dispatch.commands import read_files
from compagnon.worlds.dispatch.generator import generate
from compagnon.worlds.dispatch.importing.export import write_tables
from compagnon.worlds.dispatch.layout_options import Layout
from harness import (
    Target,
    console,
    machine,
    print_machine,
    shortened,
    table,
    targets_table,
    write_json,
)

WANTED = 20.0  # seconds for 100,000 rows
FRENCH = (
    "N° course", "Date", "Heure RDV", "Heure prise en charge", "Patient", "Type transport",
    "Adresse départ", "CP départ", "Ville départ", "Adresse arrivée", "CP arrivée",
    "Ville arrivée", "Motif",
)  # fmt: skip


@dataclass
class Settings:
    """Read generated bookings in three layouts."""

    folder: Path
    """Where the tables are written, to be read."""
    rows: int = 100_000
    """Bookings."""
    drivers: int = 12
    """Shifts a day."""
    quick: bool = False
    """A moment of each, to see that everything runs; the figures mean nothing."""
    json: Path | None = None
    """Write the figures here."""


def main(settings: Settings) -> None:
    """Write, read, print."""
    settings = shortened(settings, rows=300)
    files = written(settings)
    rows, figures = [], {}
    for name, (file, layout) in files.items():
        began, cpu = time.perf_counter(), time.process_time()
        found = read_files(file, settings.folder / "drivers.csv", None, ZONE, layout)
        taken = time.perf_counter() - began, time.process_time() - cpu
        rides = sum(len(day.bookings) for day in found.days)
        assert rides >= 0.99 * settings.rows, found.faults[:3]
        figures[name] = {"seconds": taken[0], "cpu_seconds": taken[1], "bookings": rides}
        rows.append(
            [name, f"{rides:,}", f"{len(found.days)}", f"{taken[0]:.1f}", f"{taken[1]:.1f}"]
        )
    screen = console()
    print_machine(screen, machine())
    heads = ["", "bookings", "days", "seconds", "of the processor"]
    screen.print(table("To read a table", heads, rows))
    targets = [
        Target(name, one["cpu_seconds"], WANTED, " s", at_most=True)
        for name, one in figures.items()
        if name != "XLSX"
    ]
    screen.print(targets_table(targets))
    write_json(settings.json, {"machine": machine(), "figures": figures})


ZONE = ("Europe/Zurich", "", 38.0, False)


def written(settings: Settings) -> dict[str, tuple[Path, Layout]]:
    """The three tables, with one table of drivers."""
    here = settings.folder
    days: list[tuple[date, Any]] = []
    count, day = 0, date(2020, 1, 1)
    while count < settings.rows:
        made = generate("city", len(days))
        count += len(made.bookings)
        days.append((day, made))
        day += timedelta(days=1)
    write_tables(days, here / "own", exact=False)
    with (here / "own" / "bookings.csv").open(encoding="utf-8", newline="") as file:
        bookings = list(csv.DictReader(file))[: settings.rows]
    with (here / "own" / "bookings.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(bookings[0]))
        writer.writeheader()
        writer.writerows(bookings)
    (here / "drivers.csv").write_text((here / "own" / "drivers.csv").read_text())
    french, places = as_french(bookings)
    with (here / "liste.csv").open("w", encoding="cp1252", newline="") as file:
        out = csv.writer(file, delimiter=";")
        out.writerow(FRENCH)
        out.writerows(french)
    with (here / "places.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("address", "lat", "lon"), *places])
    profile = Layout(profile=("transport-sanitaire",), places=(here / "places.csv",))
    return {
        "our own columns": (here / "own" / "bookings.csv", Layout()),
        "a French list, with places": (here / "liste.csv", profile),
        "XLSX": (as_xlsx(here / "liste.xlsx", french), profile),
    }


def as_french(rows: list[dict[str, str]]) -> tuple[list[list[str]], list[tuple[str, str, str]]]:
    """Bookings as a French list has them, and the points of its addresses."""
    rng, places, listed = Random(0), {}, []
    for row in rows:
        ends = []
        for end in ("pickup", "dropoff"):
            point = row[f"{end}_lat"], row[f"{end}_lon"]
            number = places.setdefault(point, len(places) + 1)
            ends += [f"{number} rue de l'Église", "74100", "Annemasse"]
        when = (row["pickup_from"] or row["dropoff_from"] or row["dropoff_to"])[11:16]
        kind = "TPMR" if "wheelchair" in row["seats"] else "VSL"
        day = date.fromisoformat(row["date"])
        listed.append([
            row["id"], f"{day:%d/%m/%Y}", "", when.replace(":", "h"), f"P{rng.random():.6f}", kind,
            *ends, "Dialyse",
        ])  # fmt: skip
    points = [(f"{k} rue de l'Église, 74100 Annemasse", *point) for point, k in places.items()]
    return listed, points


def as_xlsx(path: Path, rows: list[list[str]]) -> Path:
    """The same as a workbook."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Courses")
    for row in (list(FRENCH), *rows):
        sheet.append(row)
    book.save(path)
    return path


if __name__ == "__main__":
    main(tyro.cli(Settings))
