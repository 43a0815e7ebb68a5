"""Public static instances in text: dial-a-ride as Cordeau writes it, pickup and delivery as Li-Lim.

Formats: Cordeau and Laporte 2003 (a line of vehicles, requests, longest route, capacity, longest
ride; then a line a node: id, x, y, service, load, window); Li and Lim 2001 (a line of vehicles,
capacity, speed; then a line a task: id, x, y, demand, ready, due, service, its pickup, its
delivery). A plane with Euclidean travel times; all is known in advance.
"""

import math
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Final

from compagnon.errors import InputError
from compagnon.worlds.dispatch.importing.csv_reader import read_bytes, read_text
from compagnon.worlds.dispatch.importing.findings import Fault
from compagnon.worlds.dispatch.importing.public import PublicInstance, Request
from compagnon.worlds.dispatch.instance import Instance

_HEADS: Final = {5: "cordeau", 3: "li-lim"}
_NODES: Final = {"cordeau": 7, "li-lim": 9}
_MOST_SEATS: Final = 100
_LONGEST: Final = 1440.0  # minutes of a day; a longer horizon has its unit changed
_PEEKED: Final = 4096

Numbers = list[float]
_Read = tuple[tuple[Instance, ...], tuple[Fault, ...], list[str]]


def kind_of(path: Path) -> str:
    """The format of an instance, by its name and first line; empty for a table."""
    if path.suffix.lower() == ".json":
        return "dial-a-ride"
    try:
        with path.open("rb") as file:
            begin = file.read(_PEEKED)
    except (OSError, ValueError):
        return ""  # whoever reads it says so
    lines = [line.split() for line in begin.decode("latin-1").splitlines() if line.strip()]
    if len(lines) < 2 or not all(map(_is_number, lines[0])):
        return ""
    kind = _HEADS.get(len(lines[0]), "")
    return kind if kind and len(lines[1]) == _NODES[kind] else ""


def read_instance(path: Path, kind: str) -> _Read:
    """The day in a text instance, no faults, and what there is to say.

    Raises:
        InputError: it is not of that format; the line that is not, and what would be right.
    """
    lines = _lines(path, kind)
    read = _cordeau if kind == "cordeau" else _li_lim
    found, said = read(path, lines)
    return (found.day(),), (), said


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _lines(path: Path, kind: str) -> list[tuple[int, Numbers]]:
    text = read_text(path, read_bytes(path), [])
    lines = [(k, line.split()) for k, line in enumerate(text.splitlines(), 1) if line.strip()]
    heads = {name: width for width, name in _HEADS.items()}
    for at, (k, cells) in enumerate(lines):
        wanted = _NODES[kind] if at else heads[kind]
        if len(cells) != wanted or not all(map(_is_number, cells)):
            what = "a node" if at else "the first line"
            raise InputError(
                f"{path}, line {k}: {what} of the format {kind} has {wanted} numbers, not "
                f"{' '.join(cells)[:60]!r}"
            )
    return [(k, [float(cell) for cell in cells]) for k, cells in lines]


def _cordeau(path: Path, lines: Sequence[tuple[int, Numbers]]) -> tuple[PublicInstance, list[str]]:
    vehicles, asked, route, capacity, ride = lines[0][1]
    nodes = lines[1:]
    # The first line counts requests, or in older files the nodes of all of them.
    n = next((m for m in (int(asked), int(asked) // 2) if len(nodes) in (2 * m + 1, 2 * m + 2)), 0)
    if not n:
        raise InputError(
            f"{path}: {len(nodes)} nodes; {asked:g} requests have {2 * int(asked) + 2}, one more "
            "for each depot"
        )
    _check_head(path, vehicles, capacity)
    requests = [
        _request(path, nodes[k], nodes[n + k], nodes[k][1][4], (3, 5, 6)) for k in range(1, n + 1)
    ]
    depot = nodes[0][1]
    horizon = max(depot[6], *(one.delivery_window[1] for one in requests))
    found = PublicInstance(
        path.stem, int(vehicles), int(capacity), ride, route, horizon, (depot[1], depot[2]),
        tuple(requests), (),
    )  # fmt: skip
    said = [
        f"{path.name}: {n} requests, {vehicles:g} vehicles of {capacity:g} seats, rides of at most "
        f"{ride:g} minutes, all known in advance",
        f"its longest route, {route:g} minutes, is not imposed: a shift is the planning horizon, "
        f"{horizon:g}",
    ]
    return found, said


def _li_lim(path: Path, lines: Sequence[tuple[int, Numbers]]) -> tuple[PublicInstance, list[str]]:
    vehicles, capacity, _ = lines[0][1]
    _check_head(path, vehicles, capacity)
    depot = lines[1][1]
    nodes = {int(cells[0]): (k, cells) for k, cells in lines[1:]}
    loads = [int(cells[3]) for _, cells in nodes.values() if cells[3] > 0]
    unit = reduce(math.gcd, loads, int(capacity))
    rounded = int(capacity) // unit > _MOST_SEATS
    unit = math.ceil(capacity / _MOST_SEATS) if rounded else unit
    pace = max(1.0, math.ceil(depot[5] / _LONGEST))  # units of the file to a minute
    requests = []
    for k, cells in nodes.values():
        if cells[3] <= 0:
            continue
        there = nodes.get(int(cells[8]))
        if there is None or int(there[1][7]) != int(cells[0]):
            raise InputError(
                f"{path}, line {k}: task {cells[0]:g} says that {cells[8]:g} is its delivery, and "
                "that is none of it"
            )
        load = math.ceil(cells[3] / unit)
        requests.append(_request(path, (k, cells), there, load, (6, 4, 5), pace))
    if not requests:
        raise InputError(f"{path}: no task has a demand above 0, so there is no pickup")
    horizon = depot[5] / pace
    found = PublicInstance(
        path.stem, int(vehicles), int(capacity) // unit, horizon, horizon, horizon,
        (depot[1] / pace, depot[2] / pace), tuple(requests), (),
    )  # fmt: skip
    said = [
        f"{path.name}: {len(requests)} requests, {vehicles:g} vehicles of {capacity:g}, no longest "
        "ride, all known in advance"
    ]
    if unit > 1:
        said.append(
            f"{unit} of its load are a seat" + (", each load rounded up" if rounded else "")
        )
    if pace > 1:
        said.append(f"{pace:g} of its units of time and way are a minute, so that a day holds it")
    return found, said


def _check_head(path: Path, vehicles: float, capacity: float) -> None:
    for name, value in (("vehicles", vehicles), ("capacity", capacity)):
        if not 1 <= value <= 100_000 or value != int(value):
            raise InputError(f"{path}, line 1: {name} is {value:g}; a whole number from 1")


def _request(
    path: Path,
    pickup: tuple[int, Numbers],
    delivery: tuple[int, Numbers],
    load: float,
    at: tuple[int, int, int],
    pace: float = 1.0,
) -> Request:
    """One request of two nodes; `at` says where service and the window stand in a node's line."""
    service, ready, due = at
    if load != int(load) or not 1 <= load <= _MOST_SEATS:
        raise InputError(f"{path}, line {pickup[0]}: load is {load:g}; 1 to {_MOST_SEATS} seats")
    for line, cells in (pickup, delivery):
        if cells[due] < cells[ready]:
            raise InputError(
                f"{path}, line {line}: the window ends at {cells[due]:g}, before it begins at "
                f"{cells[ready]:g}"
            )
    (_, p), (_, d) = pickup, delivery
    return Request(
        int(p[0]), (p[1] / pace, p[2] / pace), (d[1] / pace, d[2] / pace),
        (p[ready] / pace, p[due] / pace), (d[ready] / pace, d[due] / pace),
        p[service] / pace, d[service] / pace, int(load), 0.0,
    )  # fmt: skip
