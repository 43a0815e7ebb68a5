"""What bookings, drivers and places are called outside a saved day, which holds numbers alone.

`data import --keep-ids FILE` writes the table, because somebody asked for it by name; without it
an itinerary counts bookings and drivers from 1, and shows places by their degrees. There are ids
and names of places in it, and nothing of a person.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from compagnon.errors import InputError
from compagnon.files import read_text, write_file
from compagnon.worlds.dispatch.importing.records import BookingRow, DriverRow
from compagnon.worlds.dispatch.instance import Instance

COLUMNS: Final = ("day", "kind", "row", "id", "from", "to")
_LARGEST: Final = 200_000_000


@dataclass
class Names:
    """By day and row: the ids of bookings and drivers, and the names of their two places."""

    ids: dict[tuple[str, str, int], str] = field(default_factory=dict)
    places: dict[tuple[str, int], str] = field(default_factory=dict)

    def booking(self, day: Instance, row: int) -> str:
        """What a booking is called."""
        return self.ids.get((day.name, "booking", row), str(row + 1))

    def driver(self, day: Instance, row: int) -> str:
        """What a driver is called."""
        return self.ids.get((day.name, "driver", row), f"D{row + 1}")

    def place(self, day: Instance, place: int) -> str:
        """A place's name, or where it lies."""
        if place < 0:
            return ""
        x, y = (float(v) for v in day.travel.coordinates[place])
        where = f"{x:.2f}, {y:.2f}" if day.travel.kind == "plane" else f"{x:.5f}, {y:.5f}"
        return self.places.get((day.name, place), "") or where

    def check(self, day: Instance) -> None:
        """Refuse names that are those of another import.

        Raises:
            InputError: a booking of the day has none.
        """
        lost = [b for b in range(len(day.bookings)) if (day.name, "booking", b) not in self.ids]
        if self.ids and lost:
            raise InputError(
                f"--ids: it does not name booking {lost[0] + 1} of {day.name}; give the file that "
                "the same import wrote"
            )


def write_names(path: Path, bookings: Iterable[BookingRow], drivers: Iterable[DriverRow]) -> None:
    """Write what rows of an import are called, in the order in which its days hold them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for kind, rows in (("booking", bookings), ("driver", drivers)):
        by_day: dict[date, list[BookingRow | DriverRow]] = defaultdict(list)
        for row in rows:
            by_day[row.day].append(row)
        for day, same in sorted(by_day.items()):
            for k, row in enumerate(same):
                writer.writerow((day.isoformat(), kind, k, row.key, *row.places))
    write_file(path, text.getvalue())


def read_names(path: Path, days: Sequence[Instance]) -> Names:
    """The names of some days.

    Raises:
        InputError: the file is not one that an import wrote.
    """
    text = read_text(path, _LARGEST, "it is written by data import --keep-ids")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise InputError(
            f"{path}: its first line should be {','.join(COLUMNS)}, as data import --keep-ids "
            "writes it"
        )
    names = Names()
    by_name = {day.name: day for day in days}
    for line, cells in enumerate(rows[1:], 2):
        if len(cells) != len(COLUMNS) or not cells[2].isdigit():
            raise InputError(f"{path}, row {line}: it should have {', '.join(COLUMNS)}")
        name, kind, row = cells[0], cells[1], int(cells[2])
        day = by_name.get(name)
        if day is None:
            continue
        names.ids[name, kind, row] = cells[3]
        part = day.bookings if kind == "booking" else day.drivers
        if row >= len(part):
            raise InputError(f"{path}, row {line}: {name} has no {kind} {row}")
        first, last = (
            (day.bookings.pickup, day.bookings.dropoff)
            if kind == "booking"
            else (day.drivers.start, day.drivers.end)
        )
        for place, said in ((int(first[row]), cells[4]), (int(last[row]), cells[5])):
            if said:
                names.places[name, place] = said
    return names
