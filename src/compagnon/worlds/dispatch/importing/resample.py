"""New days out of old ones: a bootstrap over days and over the people who ride on them.

A variant takes the number of riders and the fleet of one day, drawn at random, and each rider,
with the return that hangs on the ride, from any day, with replacement.
"""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from compagnon.errors import InputError
from compagnon.worlds.dispatch.instance import Instance, united
from compagnon.worlds.dispatch.instance_parts import Bookings, Drivers, Travel

MAX_VARIANTS = 10_000


def resample_days(days: Sequence[Instance], count: int, seed: int) -> list[Instance]:
    """Draw `count` variants of the days; the same seed gives the same ones.

    Raises:
        InputError: there is no day with a ride, or the days do not share one way to travel.
    """
    if not 1 <= count <= MAX_VARIANTS:
        raise InputError(f"--count {count}: give 1 to {MAX_VARIANTS}")
    used = united([day for day in days if len(day.bookings)])
    if not used:
        raise InputError("no day has a booking; there is nothing to draw from")
    for day in used:
        if not _same_travel(day.travel, used[0].travel):
            raise InputError(
                f"{day.name} and {used[0].name} have different travel times; "
                "resample days of one import"
            )
    riders = [(k, rider) for k, day in enumerate(used) for rider in _riders(day)]
    sizes = [len(_riders(day)) for day in used]
    rng = np.random.default_rng(seed)
    variants = []
    for number in range(count):
        host = int(rng.integers(len(used)))
        drawn = [riders[k] for k in rng.integers(len(riders), size=sizes[host])]
        variants.append(_assemble(f"variant-{seed}-{number:04d}", used, host, drawn))
    return variants


def _riders(day: Instance) -> list[list[int]]:
    """The rows of each rider: a ride, the one that goes on or returns from it, and so on."""
    linked = day.bookings.linked_to
    back = {int(outbound): row for row, outbound in enumerate(linked) if outbound >= 0}
    riders = []
    for row in np.flatnonzero(linked < 0).tolist():
        legs = [row]
        while legs[-1] in back:
            legs.append(back[legs[-1]])
        riders.append(legs)
    return riders


def _same_travel(a: Travel, b: Travel) -> bool:
    if a.kind != b.kind or not np.array_equal(a.speed, b.speed):
        return False
    if a.kind == "matrix":
        # Places are rows of the matrix, so that days can be mixed only where it is the same one.
        pairs = ((a.coordinates, b.coordinates), (a.minutes, b.minutes), (a.km, b.km))
        return all(np.array_equal(x, y) for x, y in pairs)
    return a.speed_kmh == b.speed_kmh and a.detour == b.detour


def _assemble(
    name: str, days: Sequence[Instance], host: int, drawn: list[tuple[int, list[int]]]
) -> Instance:
    travel, shift = days[host].travel, 0
    offsets = dict.fromkeys(range(len(days)), 0)
    if travel.kind != "matrix":
        order = [host, *sorted({k for k, _ in drawn} - {host})]
        for k in order:
            offsets[k] = shift
            shift += days[k].travel.places
        coordinates = np.concatenate([days[k].travel.coordinates for k in order])
        travel = Travel(
            travel.kind, coordinates, travel.speed_kmh, travel.detour, travel.speed,
            travel.minutes, travel.km,
        )  # fmt: skip
    parts: dict[str, list[np.ndarray]] = {field.name: [] for field in fields(Bookings)}
    begin = 0
    for k, rows in drawn:
        for field, pieces in parts.items():
            piece = getattr(days[k].bookings, field)[rows]
            if field in ("pickup", "dropoff"):
                piece = piece + offsets[k]
            elif field == "linked_to":
                piece = np.array([-1, *range(begin, begin + len(rows) - 1)], np.int64)
            pieces.append(piece)
        begin += len(rows)
    bookings = Bookings(**{field: np.concatenate(pieces) for field, pieces in parts.items()})
    drivers: Drivers = days[host].drivers  # the host's places come first, so its rows still hold
    return _without_idle_places(Instance(name, bookings, drivers, travel, days[host].skills))


def _without_idle_places(day: Instance) -> Instance:
    """The same day without the places that nobody goes to; a matrix stays whole."""
    if day.travel.kind == "matrix":
        return day
    b, d, travel = day.bookings, day.drivers, day.travel
    used, where = np.unique(
        np.concatenate([b.pickup, b.dropoff, d.start, d.end]), return_inverse=True
    )
    n, m = len(b), len(d)
    moved = {"pickup": where[:n], "dropoff": where[n : 2 * n]}
    homes = {"start": where[2 * n : 2 * n + m], "end": where[2 * n + m :]}
    bookings = {f.name: moved.get(f.name, getattr(b, f.name)) for f in fields(Bookings)}
    drivers = {f.name: homes.get(f.name, getattr(d, f.name)) for f in fields(Drivers)}
    roads = Travel(
        travel.kind, travel.coordinates[used], travel.speed_kmh, travel.detour, travel.speed,
        travel.minutes, travel.km,
    )  # fmt: skip
    return Instance(day.name, Bookings(**bookings), Drivers(**drivers), roads, day.skills)
