"""Cells of one row turned into numbers, points, seats and times; each bad one becomes a fault."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.spreadsheets import number_of, plain, truth_of
from compagnon.worlds.dispatch.importing.clock import Clock, WrongTimeError, moment, second_time
from compagnon.worlds.dispatch.importing.findings import Fault, Row
from compagnon.worlds.dispatch.instance_parts import SEAT_TYPES
from compagnon.worlds.dispatch.travel import EARTH_KM

Point = tuple[float, float]
AREA_KM: Final = 100.0
LONGEST_SKILL: Final = 40  # letters
CROWD_CHECKED: Final = 300
CROWD_COUNTED: Final = 20_000  # of more places, so many spread evenly stand for all
_SEAT = re.compile(r"(?:(\d{1,3})\s*[x*]?\s*)?([a-z_ -]*[a-z])")
_AND = re.compile(r"\+|,|;|&|\bet\b|\band\b")
# What else the seats are called: how French transport lists and forms name them.
_SEAT_WORDS: Final = {
    "ambulatory": (
        "vsl", "assis", "assise", "marchant", "marchante", "valide", "taxi", "tap", "sitting",
        "walking", "seat", "place assise", "ambulant", "ambulante", "vsl assis",
        "taxi conventionne", "standard", "sedan",
    ),
    "wheelchair": (
        "fauteuil", "fauteuil roulant", "fauteuil electrique", "tpmr", "pmr", "roulant",
        "wheel chair", "chair", "wav", "wc", "wch",
    ),
    "stretcher": ("amb", "ambulance", "allonge", "allongee", "couche", "couchee", "brancard",
                  "civiere", "lying", "gurney", "str"),
    "companion": ("accompagnant", "accompagnante", "accompagnateur", "accompagnatrice", "guest",
                  "escort", "attendant"),
}  # fmt: skip
_KIND: Final = {word: kind for kind, words in _SEAT_WORDS.items() for word in (kind, *words)}


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
        """100 km around the middle (median) of the places in the largest crowd.

        The crowd is that of the place with the most others within 100 km: strays do not move it,
        were they half of all. A place at 0, 0 is one that nobody filled in, and does not count.
        """
        points = []
        for row in rows:
            for end in ("pickup", "dropoff", "start"):
                lat = number_of(row.cells.get(f"{end}_lat", ""))
                lon = number_of(row.cells.get(f"{end}_lon", ""))
                if lat is not None and lon is not None and _on_earth((lat, lon)):
                    points.append((lat, lon))
        points = [point for point in points if point != (0.0, 0.0)]
        if not points:
            return cls((0.0, 0.0), 20_100.0)  # no point can be judged: each is a fault by itself
        every = np.array(points)
        some = every[_spread(len(every), CROWD_COUNTED)]
        asked = some[_spread(len(some), CROWD_CHECKED)]
        chosen = asked[int(np.argmax([np.count_nonzero(_within(some, one)) for one in asked]))]
        lat, lon = np.median(every[_within(every, chosen)], axis=0)
        return cls((float(lat), float(lon)), AREA_KM)

    def holds(self, point: Point) -> bool:
        """Whether the point lies in it."""
        return _on_earth(point) and distance_km(point, self.middle) <= self.km


@dataclass(slots=True)
class RowParser:
    """Reads the cells of one row; `good` is False once a fault was found in it."""

    file: str
    row: Row
    clock: Clock
    area: Area
    faults: list[Fault]
    tolerance: Mapping[str, tuple[float, float]] = field(default_factory=dict)
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
        found = truth_of(self.cell(column))
        if found is None:
            self.refuse(column, "is neither yes nor no", "yes or no")
        return bool(found)

    def time(
        self, column: str, day: date | None = None, after: datetime | None = None, hours: int = 12
    ) -> datetime | None:
        """A time on the clock; None for an empty cell, or one that is no time.

        Args:
            day: of a time that is written without one.
            after: the time before which it can't be. A time of the day alone goes to the next
                day then, if that is not more than `hours` later; and one that the clock shows
                twice, in the night when it is put back, is the second one.
        """
        text = self.cell(column)
        if not text:
            return None
        try:
            found = self.clock.read(text, day)
            if after is None or moment(found) >= moment(after):
                return found
            again = second_time(found)
            if again is not None and moment(again) >= moment(after):
                return again
            if day is not None and self.clock.lacks_day(text):
                next_day = self.clock.read(text, day + timedelta(days=1))
                if moment(next_day) - moment(after) <= timedelta(hours=hours):
                    return next_day
        except WrongTimeError as error:
            self.refuse(column, error.fault, error.right)
            return None
        return found

    def date(self, column: str) -> date | None:
        """A day; None for an empty cell, or one that is no day."""
        text = self.cell(column)
        if not text:
            return None
        try:
            return self.clock.day(text)
        except WrongTimeError as error:
            self.refuse(column, error.fault, error.right)
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
        if (lat, lon) == (0.0, 0.0):
            self.refuse(column, "is a place that nobody filled in", "the place's degrees", given)
            return
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

    def skills(self, column: str) -> tuple[str, ...]:
        """Skills such as ``lift + oxygen``; in small letters, and each once."""
        parts = [" ".join(plain(part).split()) for part in _AND.split(self.cell(column))]
        names = tuple(dict.fromkeys(part for part in parts if part))
        if any(len(name) > LONGEST_SKILL for name in names):
            right = "skills of a word or two, such as lift + oxygen"
            self.refuse(column, "is a text, not a list of skills", right)
        return names

    def seats(self, column: str) -> tuple[int, ...]:
        """Seats by type, such as ``2 ambulatory + wheelchair``, in the order of `SEAT_TYPES`."""
        text = self.cell(column)
        found = seats_of(text)
        if found is None:
            right = f"such as '2 ambulatory + wheelchair'; types are {', '.join(SEAT_TYPES)}"
            blank = not all(part.strip() for part in _AND.split(plain(text)))
            fault = "has no seat type" if blank else "has an unknown seat type"
            self.refuse(column, fault, right)
            return (0,) * len(SEAT_TYPES)
        if self.good and not 0 < max(found) <= 100:
            self.refuse(column, "has no seat or too many", "1 to 100 seats")
        return found


@lru_cache(maxsize=4096)
def seats_of(text: str) -> tuple[int, ...] | None:
    """Seats by type, in the order of `SEAT_TYPES`; None where a word is no type of seat."""
    found = dict.fromkeys(SEAT_TYPES, 0)
    for part in _AND.split(plain(text)):
        match = _SEAT.fullmatch(part.strip())
        word = match[2].strip() if match else ""
        kind = _KIND.get(word) or _KIND.get(word.removesuffix("s"), "")
        if not match or kind not in found:
            return None
        found[kind] += int(match[1] or 1)
    return tuple(found.values())


def _within(points: NDArray[np.float64], middle: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the points (n, 2) lie within `AREA_KM` of one of them, by the haversine."""
    p, q = np.radians(points), np.radians(middle)
    half = np.sin((p[:, 0] - q[0]) / 2) ** 2
    half += np.cos(p[:, 0]) * np.cos(q[0]) * np.sin((p[:, 1] - q[1]) / 2) ** 2
    near: NDArray[np.bool_] = 2 * EARTH_KM * np.arcsin(np.sqrt(np.minimum(1.0, half))) <= AREA_KM
    return near


def _spread(count: int, most: int) -> list[int]:
    """At most so many numbers below `count`, spread evenly."""
    return sorted({int(k) for k in np.linspace(0, count - 1, min(count, most))})


def _on_earth(point: Point) -> bool:
    return abs(point[0]) <= 90 and abs(point[1]) <= 180
