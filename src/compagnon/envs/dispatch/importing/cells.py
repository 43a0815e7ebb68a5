"""Cells of one row turned into numbers, points, seats and times; each bad one becomes a fault."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np

from compagnon.envs.dispatch.importing.clock import Clock, WrongTimeError
from compagnon.envs.dispatch.importing.sheet import Fault, Row
from compagnon.envs.dispatch.instance import SEAT_TYPES
from compagnon.envs.dispatch.travel import EARTH_KM
from compagnon.errors import InputError

Point = tuple[float, float]
AREA_KM: Final = 100.0
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?")
_SEAT = re.compile(r"(?:(\d{1,3})\s*[x*]?\s*)?([a-z_ -]*[a-z])")
_YES, _NO = ("yes", "true", "1", "y"), ("", "no", "false", "0", "n")


def number_of(text: str) -> float | None:
    """The number that a text is, with a decimal point or comma; None if it is none."""
    return float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else None


def distance_km(a: Point, b: Point) -> float:
    """Great-circle distance of two points in degrees."""
    p, q = math.radians(a[0]), math.radians(b[0])
    half = math.sin((p - q) / 2) ** 2
    half += math.cos(p) * math.cos(q) * math.sin(math.radians(a[1] - b[1]) / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(half)))


@dataclass(frozen=True, slots=True)
class Area:
    """A disc that every place lies in.

    Attributes:
        middle: latitude and longitude in degrees.
        km: its radius.
    """

    middle: Point
    km: float

    @classmethod
    def parse(cls, text: str) -> "Area":
        """Read ``LAT,LON,KM``.

        Raises:
            InputError: it is not that.
        """
        parts = [number_of(part.strip()) for part in text.split(",")]
        numbers = [part for part in parts if part is not None]
        if len(parts) != 3 or len(numbers) != 3 or not _on_earth((numbers[0], numbers[1])):
            raise InputError(f"--area {text}: give LAT,LON,KM, such as 46.2,6.14,80")
        if not 0 < numbers[2] <= 20_000:
            raise InputError(f"--area {text}: the radius is more than 0 and at most 20000 km")
        return cls((numbers[0], numbers[1]), numbers[2])

    @classmethod
    def around(cls, rows: Iterable[Row]) -> "Area":
        """100 km around the middle (median) of the pickups: a few strays do not move it."""
        points = []
        for row in rows:
            lat = number_of(row.cells.get("pickup_lat", ""))
            lon = number_of(row.cells.get("pickup_lon", ""))
            if lat is not None and lon is not None and _on_earth((lat, lon)):
                points.append((lat, lon))
        if not points:
            return cls((0.0, 0.0), 20_100.0)  # no point can be judged: each is a fault by itself
        lat, lon = np.median(np.array(points), axis=0)
        return cls((float(lat), float(lon)), AREA_KM)

    def holds(self, point: Point) -> bool:
        """Whether the point lies in it."""
        return _on_earth(point) and distance_km(point, self.middle) <= self.km


@dataclass(slots=True)
class Reader:
    """Reads the cells of one row; `good` is False once a fault was found in it."""

    file: str
    row: Row
    clock: Clock
    area: Area
    faults: list[Fault]
    good: bool = True

    def cell(self, column: str) -> str:
        """The text of a cell; empty where the file has no such column."""
        return self.row.cells.get(column, "")

    def refuse(self, column: str, fault: str, right: str, given: str | None = None) -> None:
        """Note a fault of this row."""
        self.good = False
        shown = self.cell(column) if given is None else given
        self.faults.append(Fault(self.file, self.row.line, column, shown[:80], fault, right))

    def number(self, column: str, low: float, high: float, default: float) -> float:
        """A number from `low` to `high`; `default` for an empty cell."""
        text = self.cell(column)
        if not text:
            return default
        value = number_of(text)
        if value is None or not low <= value <= high:
            fault = "is not a number" if value is None else "is out of range"
            self.refuse(column, fault, f"a number from {low:g} to {high:g}")
            return default
        return value

    def whole(self, column: str, low: int, high: int, default: int) -> int:
        """A whole number; `default` for an empty cell."""
        value = self.number(column, low, high, default)
        if value != int(value):
            self.refuse(column, "is not a whole number", f"a whole number from {low} to {high}")
        return int(value)

    def truth(self, column: str) -> bool:
        """Yes or no; no for an empty cell."""
        text = self.cell(column).lower()
        if text not in _YES + _NO:
            self.refuse(column, "is neither yes nor no", "yes or no")
        return text in _YES

    def time(self, column: str) -> datetime | None:
        """A time on the clock; None for an empty cell, or one that is no time."""
        text = self.cell(column)
        if not text:
            return None
        try:
            return self.clock.read(text)
        except WrongTimeError as error:
            self.refuse(column, error.fault, error.right)
            return None

    def date(self, column: str) -> date | None:
        """A day; None for an empty cell, or one that is no day."""
        text = self.cell(column)
        if not text:
            return None
        try:
            if len(text) != 10:
                raise ValueError
            return date.fromisoformat(text)
        except ValueError:
            self.refuse(column, "is not a day", "a day such as 2026-03-02")
            return None

    def point(self, end: str) -> Point:
        """The latitude and longitude of `end`; NaN where there is a fault."""
        columns = f"{end}_lat", f"{end}_lon"
        values = [number_of(self.cell(column)) for column in columns]
        for column, value in zip(columns, values, strict=True):
            if value is None:
                empty = "is empty" if not self.cell(column) else "is not a number"
                self.refuse(column, empty, "degrees, such as 46.2044 and 6.1432")
        lat, lon = values
        if lat is None or lon is None:
            return math.nan, math.nan
        if not self.area.holds((lat, lon)):
            self._refuse_point(columns[0], lat, lon)
        return lat, lon

    def _refuse_point(self, column: str, lat: float, lon: float) -> None:
        given = f"{lat:g}, {lon:g}"
        if self.area.holds((lon, lat)):
            right = f"latitude {lon:g}, longitude {lat:g}"
            self.refuse(column, "has latitude and longitude swapped", right, given)
            return
        if not _on_earth((lat, lon)):
            right = "latitude from -90 to 90, longitude from -180 to 180"
            self.refuse(column, "is not a place on earth", right, given)
            return
        middle = self.area.middle
        far = distance_km((lat, lon), middle)
        right = f"a place within {self.area.km:g} km of {middle[0]:.3f}, {middle[1]:.3f} (--area)"
        self.refuse(column, f"lies outside the area, {far:,.0f} km off", right, given)

    def seats(self, column: str) -> tuple[int, ...]:
        """Seats by type, such as ``2 ambulatory + wheelchair``, in the order of `SEAT_TYPES`."""
        found = dict.fromkeys(SEAT_TYPES, 0)
        right = f"such as '2 ambulatory + wheelchair'; types are {', '.join(SEAT_TYPES)}"
        text = self.cell(column).lower()
        for part in text.split("+"):
            match = _SEAT.fullmatch(part.strip())
            kind = match[2].strip() if match else ""
            if kind not in found:
                fault = "has an unknown seat type" if part.strip() else "has no seat type"
                self.refuse(column, fault, right)
                break
            found[kind] += int(match[1] or 1) if match else 0
        if self.good and not 0 < max(found.values()) <= 100:
            self.refuse(column, "has no seat or too many", "1 to 100 seats")
        return tuple(found.values())


def _on_earth(point: Point) -> bool:
    return abs(point[0]) <= 90 and abs(point[1]) <= 180
