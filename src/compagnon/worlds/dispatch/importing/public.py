"""The public dial-a-ride instances (JSON), dynamic and static: their structure, and as a day.

Format: requests with time windows, service times, a load and the time at which they become known
(Berbeglia, Cordeau and Laporte 2012), on a plane with Euclidean travel times.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeGuard

import numpy as np

from compagnon.errors import InputError
from compagnon.worlds.dispatch.importing.csv_reader import read_bytes
from compagnon.worlds.dispatch.importing.findings import Fault, listed
from compagnon.worlds.dispatch.importing.reach import unservable
from compagnon.worlds.dispatch.instance import FORMATS, Instance
from compagnon.worlds.dispatch.instance_parts import SEATS, Bookings, Drivers, Travel

_NUMBERS: Final = (
    "pickup_lower_tw", "pickup_upper_tw", "pickup_service_time", "delivery_lower_tw",
    "delivery_upper_tw", "delivery_service_time", "load", "arrival_time",
)  # fmt: skip
_HEAD: Final = (
    "number_of_vehicles", "vehicle_capacity", "max_ride_time", "max_route_time", "planing_horizon",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as in the file; times in minutes, places in units of a minute's travel."""

    id: int
    pickup: tuple[float, float]
    delivery: tuple[float, float]
    pickup_window: tuple[float, float]
    delivery_window: tuple[float, float]
    pickup_service: float
    delivery_service: float
    load: int
    arrival_time: float


@dataclass(frozen=True, slots=True)
class PublicInstance:
    """A whole file. `max_route_time` has no place in a day: a shift is the planning horizon."""

    name: str
    vehicles: int
    capacity: int
    max_ride_time: float
    max_route_time: float
    horizon: float
    depot: tuple[float, float]
    requests: tuple[Request, ...]
    faults: tuple[Fault, ...]

    def day(self) -> Instance:
        """The instance as a day: straight lines at a unit a minute, no delays, one seat type."""
        n, m, asked = len(self.requests), self.vehicles, self.requests
        points = [self.depot, *(r.pickup for r in asked), *(r.delivery for r in asked)]
        load = np.zeros((n, SEATS), np.int64)
        load[:, 0] = [r.load for r in asked]
        seats = np.zeros((m, SEATS), np.int64)
        seats[:, 0] = self.capacity

        def floats(values: Sequence[float | tuple[float, float]]) -> np.ndarray:
            return np.array(values, np.float64)

        return Instance(
            name=self.name,
            bookings=Bookings(
                pickup=np.arange(1, n + 1),
                dropoff=np.arange(n + 1, 2 * n + 1),
                pickup_from=floats([r.pickup_window[0] for r in asked]),
                pickup_to=floats([r.pickup_window[1] for r in asked]),
                dropoff_from=floats([r.delivery_window[0] for r in asked]),
                dropoff_to=floats([r.delivery_window[1] for r in asked]),
                load=load,
                boarding=floats([r.pickup_service for r in asked]),
                alighting=floats([r.delivery_service for r in asked]),
                max_ride=np.full(n, self.max_ride_time),
                priority=np.full(n, 3),
                announce=floats([r.arrival_time for r in asked]),
                linked_to=np.full(n, -1),
                no_show=np.zeros(n, np.bool_),
                cancel=np.full(n, np.inf),
                boarding_delay=np.zeros(n),
                alighting_delay=np.zeros(n),
            ),
            drivers=Drivers(
                start=np.zeros(m, np.int64),
                end=np.zeros(m, np.int64),
                shift_start=np.zeros(m),
                shift_end=np.full(m, self.horizon),
                break_from=np.zeros(m),
                break_to=np.zeros(m),
                break_minutes=np.zeros(m),
                seats=seats,
            ),
            travel=Travel(
                "plane", floats(points), 60.0, 1.0, np.ones(24), np.zeros((0, 0)), np.zeros((0, 0))
            ),
        )


def read_public(path: Path, strict: bool = False) -> PublicInstance:
    """Read a public instance; requests at fault are left out and reported.

    Raises:
        InputError: the file is not one, or no request of it can be used; with `strict`, any fault.
    """
    data = read_json(path)
    head, requests = data.get("static_info"), data.get("requests")
    if not isinstance(head, dict) or not isinstance(requests, list):
        raise InputError(f"{path}: a dial-a-ride instance has static_info and requests")
    travel = head.get("travel_time_between_nodes", "EuclideanDistance")
    if travel != "EuclideanDistance":
        raise InputError(f"{path}: travel_time_between_nodes={travel!r}; use EuclideanDistance")
    vehicles, capacity, ride, route, horizon = (_head(path, head, name) for name in _HEAD)
    depot = _point(head.get("depot_location"))
    if depot is None:
        raise InputError(f"{path}: static_info.depot_location should have x_coord and y_coord")
    faults: list[Fault] = []
    if is_static(requests):
        requests = [{**one, "arrival_time": 0} for one in requests]
    read = [_request(path.name, row, one, faults) for row, one in enumerate(requests, 1)]
    good = _first_of_each(path.name, read, faults)
    if faults and strict:
        raise InputError(f"{len(faults)} faults, and --strict imports none of it:{listed(faults)}")
    if not good:
        raise InputError(f"{path}: no request can be used:{listed(faults)}")
    name = str(head.get("instance", path.stem))
    return PublicInstance(
        name, int(vehicles), int(capacity), ride, route, horizon, depot, tuple(good), tuple(faults)
    )


def is_static(requests: Sequence[Any]) -> bool:
    """Whether all requests are known in advance: none says when it becomes known."""
    return bool(requests) and all(
        isinstance(one, dict) and "arrival_time" not in one for one in requests
    )


def read_any(
    path: Path, strict: bool = False
) -> tuple[tuple[Instance, ...], tuple[Fault, ...], list[str]]:
    """The day in a JSON file, a public instance or a saved day; its faults; what there is to say.

    Raises:
        InputError: it is neither.
    """
    data = read_json(path)
    if data.get("format") in FORMATS:
        return (Instance.load(path),), (), [f"{path.name}: a saved day"]
    if "static_info" not in data:
        raise InputError(
            f"{path} is neither a dial-a-ride instance (static_info, requests) nor a saved day"
        )
    found = read_public(path, strict)
    day = dataclasses.replace(found.day(), name=found.name.replace("/", "-"))
    said = [
        f"{found.name}: {len(found.requests)} requests, {found.vehicles} vehicles of "
        f"{found.capacity} seats, rides of at most {found.max_ride_time:g} minutes",
        f"its longest route, {found.max_route_time:g} minutes, is not imposed: "
        f"a shift is the planning horizon, {found.horizon:g}",
    ]
    return (day,), found.faults, said


def unservable_faults(days: Sequence[Instance], file: str) -> list[Fault]:
    """The bookings of days in a JSON file that can only be refused; rows count from 1."""
    return [
        Fault(file, row + 1, trouble.field, "", trouble.fault, trouble.right)
        for day in days
        for row, trouble in unservable(day)
    ]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        InputError: it is too large, empty, or no JSON object.
    """
    data = read_bytes(path)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} should hold a JSON object")
    return found


def _head(path: Path, head: dict[str, Any], name: str) -> float:
    value = head.get(name)
    most = 1000 if name in _HEAD[:2] else 2880
    whole = not isinstance(value, float) or value.is_integer() or name not in _HEAD[:2]
    if not _is_number(value) or not 0 < value <= most or not whole:
        raise InputError(f"{path}: static_info.{name} is {_as_json(value)}; a number up to {most}")
    return float(value)


def _request(file: str, row: int, one: Any, faults: list[Fault]) -> Request | None:
    before = len(faults)

    def refuse(field: str, given: Any, fault: str, right: str) -> None:
        faults.append(Fault(file, row, field, _as_json(given), fault, right))

    if not isinstance(one, dict):
        refuse("row", one, "is no request", "an object")
        return None
    for name in ("id", *_NUMBERS):
        value = one.get(name)
        if not _is_number(value) or (name not in ("id", "load") and not 0 <= value <= 2880):
            refuse(name, value, "is no number that can be", "a number from 0 to 2880")
    for name in ("id", "load"):
        value = one.get(name)
        if _is_number(value) and (value != int(value) or not 0 <= value <= 10**9):
            refuse(name, value, "is not a whole number from 0", "a whole number")
    if _is_number(one.get("load")) and not 1 <= one["load"] <= 100:
        refuse("load", one["load"], "is out of range", "1 to 100 seats")
    points = {name: _point(one.get(name)) for name in ("pickup_location", "delivery_location")}
    for name, point in points.items():
        if point is None:
            refuse(name, one.get(name), "is no place", "x_coord and y_coord, as numbers")
    pickup, delivery = points["pickup_location"], points["delivery_location"]
    if len(faults) > before or pickup is None or delivery is None:
        return None
    for end in ("pickup", "delivery"):
        begin, finish = one[f"{end}_lower_tw"], one[f"{end}_upper_tw"]
        if finish < begin:
            right = f"at least {end}_lower_tw, {begin}"
            refuse(f"{end}_upper_tw", finish, "ends the window before it begins", right)
        if one[f"{end}_service_time"] > 240:
            refuse(f"{end}_service_time", one[f"{end}_service_time"], "is too long", "up to 240")
    if len(faults) > before:
        return None
    return Request(
        int(one["id"]), pickup, delivery,
        (float(one["pickup_lower_tw"]), float(one["pickup_upper_tw"])),
        (float(one["delivery_lower_tw"]), float(one["delivery_upper_tw"])),
        float(one["pickup_service_time"]), float(one["delivery_service_time"]),
        int(one["load"]), float(one["arrival_time"]),
    )  # fmt: skip


def _first_of_each(file: str, read: list[Request | None], faults: list[Fault]) -> list[Request]:
    first: dict[int, int] = {}
    kept = []
    for row, one in enumerate(read, 1):
        if one is None:
            continue
        if one.id in first:
            fault = f"is there already, in row {first[one.id]}"
            faults.append(Fault(file, row, "id", str(one.id), fault, "an id of its own"))
            continue
        first[one.id] = row
        kept.append(one)
    return kept


def _as_json(value: Any) -> str:
    """What stands in the file: null, not None."""
    return json.dumps(value, ensure_ascii=False)[:80]


def _is_number(value: Any) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return bool(abs(value) < 1e12)  # neither NaN nor infinite either


def _point(place: Any) -> tuple[float, float] | None:
    if not isinstance(place, dict):
        return None
    x, y = place.get("x_coord"), place.get("y_coord")
    if not _is_number(x) or not _is_number(y):
        return None
    return float(x), float(y)
