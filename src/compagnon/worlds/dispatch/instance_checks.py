"""What a day must be like before anybody plays it: every value within its range, links that lead.

Each check raises an `InputError` that names the field, the row (from 0), and what would be right.
"""

from dataclasses import fields
from typing import Any, Final

import numpy as np

from compagnon.errors import InputError
from compagnon.worlds.dispatch.instance_parts import (
    SEAT_TYPES,
    SEATS,
    Bookings,
    Bools,
    Drivers,
    Ints,
    Travel,
)
from compagnon.worlds.dispatch.travel import KINDS

LATEST_MINUTE: Final = 2 * 1440.0  # a day may run past midnight, not past the next one
MAX_SKILLS: Final = 48
SLOWEST, FASTEST = 0.05, 20.0  # relative speeds


def _refuse(where: str, name: str, bad: Any, values: Any, right: str) -> None:
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        shown = np.asarray(values)[row]
        raise InputError(f"{where}: {name} of row {row} is {shown.tolist()}; {right}")


def _check_shapes(where: str, part: Any, rows: int) -> None:
    for one in fields(part):
        array = getattr(part, one.name)
        shape = (rows, SEATS) if one.name in ("load", "seats") else (rows,)
        if array.shape != shape:
            raise InputError(f"{where}: {one.name} has shape {array.shape}; it should be {shape}")
        if array.dtype == np.float64:
            _refuse(where, one.name, np.isnan(array), array, "it should be a number")


def check_skills(name: str, skills: tuple[str, ...], bookings: Bookings, drivers: Drivers) -> None:
    """The names, and whether every bit has one."""
    where, count = f"{name}, skills", len(skills)
    if count > MAX_SKILLS:
        raise InputError(f"{where}: there are {count}; at most {MAX_SKILLS}")
    for k, one in enumerate(skills):
        if not one or one in skills[:k]:
            raise InputError(f"{where}: {one!r} should be a name of its own")
    for part, label in ((bookings, "needs"), (drivers, "skills")):
        bits = getattr(part, label)
        place = f"{name}, {'bookings' if label == 'needs' else 'drivers'}"
        right = f"a bit for each of the {count} skills of the day: 0 to {2**count - 1}"
        if bits.shape == (len(part),):
            _refuse(place, label, (bits < 0) | (bits >= 2**count), bits, right)


def check_travel(name: str, travel: Travel) -> None:
    """The places, and how long and far it is between them."""
    where = f"{name}, travel"
    if travel.kind not in KINDS:
        raise InputError(f"{where}: kind={travel.kind!r}; use {', '.join(KINDS)}")
    points = travel.coordinates
    if points.ndim != 2 or points.shape[1] != 2:
        raise InputError(
            f"{where}: coordinates of shape {points.shape}; they should be (places, 2)"
        )
    _refuse(where, "coordinates", ~np.isfinite(points).all(axis=1), points, "they should be finite")
    if travel.kind == "sphere":
        outside = (np.abs(points[:, 0]) > 90) | (np.abs(points[:, 1]) > 180)
        right = "they should be degrees, latitude (-90 to 90) before longitude (-180 to 180)"
        _refuse(where, "coordinates", outside, points, right)
    speed = travel.speed
    if speed.shape != (24,) or not ((speed >= SLOWEST) & (speed <= FASTEST)).all():
        right = f"24 relative speeds from {SLOWEST:g} to {FASTEST:g}, by hour"
        raise InputError(f"{where}: speed should be {right}")
    if travel.kind == "matrix":
        for label, matrix in (("minutes", travel.minutes), ("km", travel.km)):
            if matrix.shape != (travel.places, travel.places):
                n = travel.places
                raise InputError(
                    f"{where}: {label} has shape {matrix.shape}; it should be ({n}, {n})"
                )
            bad = ~(np.isfinite(matrix) & (matrix >= 0))
            _refuse(where, label, bad, matrix, "it should hold finite numbers from 0")
    elif not (0 < travel.speed_kmh <= 1000 and 1 <= travel.detour <= 10):
        raise InputError(f"{where}: speed_kmh should be 0 to 1000 and detour 1 to 10")


def check_bookings(name: str, b: Bookings, places: int) -> None:
    """Places, windows, minutes and links of the bookings."""
    where, n = f"{name}, bookings", len(b)
    _check_shapes(where, b, n)
    for label, at in (("pickup", b.pickup), ("dropoff", b.dropoff)):
        _refuse(where, label, (at < 0) | (at >= places), at, f"places are 0 to {places - 1}")
    for end in ("pickup", "dropoff"):
        begin, finish = getattr(b, f"{end}_from"), getattr(b, f"{end}_to")
        _refuse(where, f"{end}_to", finish < begin, finish, f"it should not be before {end}_from")
        beyond = np.isfinite(begin) & (np.abs(begin) > LATEST_MINUTE)
        _refuse(where, f"{end}_from", beyond, begin, f"it should be within {LATEST_MINUTE:.0f}")
    open_ended = ~np.isfinite(b.pickup_to) & ~np.isfinite(b.dropoff_to)
    _refuse(where, "pickup_to", open_ended, b.pickup_to, "one of the two windows must end")
    for label, minutes, most in (
        ("boarding", b.boarding, 240),
        ("alighting", b.alighting, 240),
        ("boarding_delay", b.boarding_delay, 240),
        ("alighting_delay", b.alighting_delay, 240),
        ("max_ride", b.max_ride, 1440),
        ("announce", b.announce, LATEST_MINUTE),
    ):
        bad = ~((minutes >= 0) & (minutes <= most))
        _refuse(where, label, bad, minutes, f"it should be 0 to {most:.0f} minutes")
    _refuse(where, "cancel", b.cancel < 0, b.cancel, "it should be a minute of the day, or inf")
    _refuse(where, "priority", (b.priority < 1) | (b.priority > 5), b.priority, "use 1 to 5")
    bad_load = (b.load < 0).any(axis=1) | (b.load > 100).any(axis=1)
    _refuse(where, "load", bad_load, b.load, "seats are 0 to 100")
    linked = b.linked_to
    bad_link = (linked < -1) | (linked >= n) | (linked == np.arange(n))
    _refuse(where, "linked_to", bad_link, linked, "use -1, or the row of another booking")
    outbound = linked[linked >= 0]
    twice = (linked >= 0) & (np.bincount(outbound, minlength=n)[linked] > 1)
    _refuse(where, "linked_to", twice, linked, "an outbound ride has one return")
    _refuse(where, "linked_to", _in_a_ring(linked), linked, "a trip has a first leg")


def _in_a_ring(linked: Ints) -> Bools:
    """Which bookings never come to a first leg, however far back their links are followed."""
    at = linked.copy()
    for _ in range(len(linked).bit_length()):  # each look goes twice as far back as the last
        at = np.where(at >= 0, at[at], at)
    ring: Bools = at >= 0
    return ring


def check_drivers(name: str, d: Drivers, places: int) -> None:
    """Places, shifts, breaks and seats of the drivers."""
    where = f"{name}, drivers"
    if not len(d):
        raise InputError(f"{where}: there should be at least one")
    _check_shapes(where, d, len(d))
    for label, at in (("start", d.start), ("end", d.end)):
        _refuse(where, label, (at < 0) | (at >= places), at, f"places are 0 to {places - 1}")
    late = ~((d.shift_start >= 0) & (d.shift_end > d.shift_start) & (d.shift_end <= LATEST_MINUTE))
    right = f"it should be after shift_start, and both within 0 to {LATEST_MINUTE:.0f}"
    _refuse(where, "shift_end", late, d.shift_end, right)
    _refuse(where, "break_minutes", ~((d.break_minutes >= 0) & (d.break_minutes <= 480)),
            d.break_minutes, "it should be 0 to 480")  # fmt: skip
    has = d.break_minutes > 0
    bad = has & ~(
        (d.break_from >= d.shift_start)
        & (d.break_to >= d.break_from)
        & (d.break_to + d.break_minutes <= d.shift_end)
    )
    _refuse(where, "break_from", bad, d.break_from, "the break should lie within the shift")
    _refuse(where, "seats", ((d.seats < 0) | (d.seats > 100)).any(axis=1), d.seats, "use 0 to 100")
    wheelchairs = d.seats[:, SEAT_TYPES.index("wheelchair")]
    right = "it should be 0 to the wheelchair places of the vehicle"
    _refuse(where, "fold", (d.fold < 0) | (d.fold > wheelchairs), d.fold, right)
    each = d.fold_seats
    _refuse(where, "fold_seats", (each < 0) | (each > 100), each, "use 0 to 100")
    _check_second_break(where, d)


def _check_second_break(where: str, d: Drivers) -> None:
    minutes, has = d.break2_minutes, d.break2_minutes > 0
    _refuse(where, "break2_minutes", ~((minutes >= 0) & (minutes <= 480)), minutes, "use 0 to 480")
    alone = has & ~(d.break_minutes > 0)
    _refuse(where, "break2_minutes", alone, minutes, "the first break is break_minutes")
    bad = has & ~((d.break2_to >= d.break2_from) & (d.break2_to + minutes <= d.shift_end))
    right = "the second break should lie within the shift"
    _refuse(where, "break2_from", bad, d.break2_from, right)
    early = has & ((d.break2_from < d.break_from) | (d.break2_to < d.break_to + d.break_minutes))
    right = "the second break should come after the first, and leave time for it"
    _refuse(where, "break2_from", early, d.break2_from, right)
