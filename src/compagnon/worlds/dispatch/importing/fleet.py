"""Shifts for layouts that name no drivers: so many vehicles of a kind, on duty all day."""

import math
import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from compagnon.errors import InputError
from compagnon.worlds.dispatch.importing.parsers import seats_of
from compagnon.worlds.dispatch.importing.records import BookingRow, DriverRow
from compagnon.worlds.dispatch.instance_checks import LATEST_MINUTE

FILE: Final = "--vehicles"
_VEHICLES = re.compile(r"\s*(\d{1,4})\s*[x*]\s*(.+)", re.IGNORECASE)
_AFTER: Final = 120.0  # minutes after the last window within which everybody is home


def read_vehicles(texts: Sequence[str]) -> list[tuple[int, ...]]:
    """The seats of each vehicle of `"3 x 2 ambulatory + wheelchair"` and its like.

    Raises:
        InputError: one is not that.
    """
    found = []
    for text in texts:
        match = _VEHICLES.fullmatch(text)
        seats = seats_of(match[2]) if match else None
        if match is None or seats is None or not 1 <= int(match[1]) <= 1000:
            raise InputError(
                f"{FILE} {text!r}: give a number and the seats of each, such as "
                "'3 x 2 ambulatory + wheelchair'"
            )
        found += [seats] * int(match[1])
    return found


def shifts_of(vehicles: Sequence[tuple[int, ...]], rides: Sequence[BookingRow]) -> list[DriverRow]:
    """A shift a day for each vehicle: from midnight on, at the middle of that day's pickups."""
    by_day: dict[object, list[BookingRow]] = {}
    for ride in rides:
        by_day.setdefault(ride.day, []).append(ride)
    shifts = []
    for same in by_day.values():
        lat, lon = np.median(np.array([ride.ends[0] for ride in same]), axis=0)
        home = (float(lat), float(lon))
        last = max(minute for ride in same for minute in ride.windows if math.isfinite(minute))
        end = min(LATEST_MINUTE, max(1440.0, last + _AFTER))
        shifts += [
            DriverRow(
                k, f"V{k}", same[0].day, (home, home), ("", ""), (0.0, end), (0.0, 0.0, 0.0), seats
            )
            for k, seats in enumerate(vehicles, 1)
        ]
    return shifts
