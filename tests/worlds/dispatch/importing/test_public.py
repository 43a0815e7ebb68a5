"""Public instances: the structure exactly, hand-made ones here and all that are at hand."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch.env import DispatchEnv
from compagnon.worlds.dispatch.importing.public import read_any, read_public

BESIDE = Path(__file__).parents[5] / "shared" / "data" / "ddarp"
FOLDER = Path(os.environ.get("COMPAGNON_TEST_DDARP", BESIDE))


def place(x, y):
    return {"x_coord": x, "y_coord": y}


def instance():
    head = {
        "instance": "made/x2-2", "number_of_vehicles": 2, "vehicle_capacity": 3,
        "max_ride_time": 30, "max_route_time": 480, "planing_horizon": 1440,
        "travel_time_between_nodes": "EuclideanDistance", "depot_location": place(1.0, -2.0),
    }  # fmt: skip
    one = {
        "id": 7, "pickup_location": place(0.0, 0.0), "delivery_location": place(3.0, 4.0),
        "pickup_lower_tw": 0, "pickup_upper_tw": 1440, "pickup_service_time": 3,
        "delivery_lower_tw": 98, "delivery_upper_tw": 113, "delivery_service_time": 4,
        "load": 2, "arrival_time": 44,
    }  # fmt: skip
    return {"static_info": head, "requests": [one, {**one, "id": 8, "load": 1}]}


def written(tmp_path, data):
    path = tmp_path / "made.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_every_number_stands_where_it_should(tmp_path):
    read = read_public(written(tmp_path, instance()), strict=True)
    assert (read.vehicles, read.capacity, read.max_ride_time) == (2, 3, 30)
    assert (read.max_route_time, read.horizon, read.depot) == (480, 1440, (1.0, -2.0))
    first = read.requests[0]
    assert (first.id, first.load, first.arrival_time) == (7, 2, 44)
    assert (first.pickup_window, first.delivery_window) == ((0, 1440), (98, 113))
    day = read.day()
    b, d, travel = day.bookings, day.drivers, day.travel
    assert travel.coordinates[b.dropoff[0]].tolist() == [3.0, 4.0]
    assert travel.coordinates[d.start].tolist() == [[1.0, -2.0]] * 2
    assert (b.boarding[0], b.alighting[0], b.announce[0]) == (3, 4, 44)
    assert b.load.tolist() == [[2, 0, 0, 0], [1, 0, 0, 0]]
    assert d.seats.tolist() == [[3, 0, 0, 0]] * 2
    assert d.shift_end.tolist() == [1440, 1440]
    assert b.max_ride.tolist() == [30, 30]


def test_travel_is_euclidean_a_unit_a_minute(tmp_path):
    (day,), _, _ = read_any(written(tmp_path, instance()))
    env = DispatchEnv(instances=[day])
    env.reset(seed=0)
    names = [field.name for field in env.observation_fields]
    direct = next(k for k, name in enumerate(names) if "direct" in name)
    obs, _, _, _, info = env.step(0)
    assert info["action_mask"][1:].any()
    assert obs[direct] == pytest.approx(5.0)  # three and four make five


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("delivery_upper_tw", 90, "ends the window before it begins"),
        ("pickup_lower_tw", "early", "no number"),
        ("load", 0, "out of range"),
        ("load", 1.5, "not a whole number"),
        ("pickup_location", {"x": 1}, "is no place"),
        ("arrival_time", -1, "no number that can be"),
        ("pickup_service_time", 999, "too long"),
        ("id", 8, "is there already"),
    ],
)
def test_a_bad_request_is_named_and_the_rest_read(tmp_path, field, value, fault):
    data = instance()
    data["requests"][0][field] = value
    read = read_public(written(tmp_path, data))
    assert fault in read.faults[0].fault
    assert read.faults[0].field == field
    assert read.faults[0].row == (2 if field == "id" else 1)
    assert len(read.requests) == 1
    with pytest.raises(InputError, match="--strict"):
        read_public(written(tmp_path, data), strict=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number_of_vehicles": 0}, "number_of_vehicles is 0"),
        ({"vehicle_capacity": 2.5}, "vehicle_capacity is 2.5"),
        ({"max_ride_time": None}, "max_ride_time is null"),
        ({"depot_location": 3}, "depot_location"),
        ({"travel_time_between_nodes": "Manhattan"}, "EuclideanDistance"),
    ],
)
def test_a_bad_head_is_refused(tmp_path, change, message):
    data = instance()
    data["static_info"].update(change)
    with pytest.raises(InputError, match=message):
        read_public(written(tmp_path, data))


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "is empty"), ("[1]", "JSON object"), ("{", "is not JSON"), ("{}", "neither a dial")],
)
def test_what_is_no_instance_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_any(written(tmp_path, text))


@pytest.mark.skipif(not FOLDER.is_dir(), reason="no instances beside the project")
def test_all_public_instances_are_read_exactly():
    paths = sorted(FOLDER.glob("*/*.json"))
    assert len(paths) == 40
    for path in paths:
        data = json.loads(path.read_text())
        head, requests = data["static_info"], data["requests"]
        found = read_public(path, strict=True)
        b, d = found.day().bookings, found.day().drivers
        assert len(d) == head["number_of_vehicles"]
        assert (d.seats[:, 0] == head["vehicle_capacity"]).all()
        assert (b.max_ride == head["max_ride_time"]).all()
        for name, array in (
            ("pickup_lower_tw", b.pickup_from), ("pickup_upper_tw", b.pickup_to),
            ("delivery_lower_tw", b.dropoff_from), ("delivery_upper_tw", b.dropoff_to),
            ("pickup_service_time", b.boarding), ("delivery_service_time", b.alighting),
            ("load", b.load[:, 0]), ("arrival_time", b.announce),
        ):  # fmt: skip
            assert array.tolist() == [one[name] for one in requests], (path, name)
        points = found.day().travel.coordinates
        ends = {"pickup_location": b.pickup, "delivery_location": b.dropoff}
        for name, at in ends.items():
            wanted = [(one[name]["x_coord"], one[name]["y_coord"]) for one in requests]
            assert np.array_equal(points[at], np.array(wanted))
