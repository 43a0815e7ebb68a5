"""A day is checked field by field, kept as JSON and drawn from a seed."""

import dataclasses
import json

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch import tables
from compagnon.worlds.dispatch.generator import PRESETS, generate
from compagnon.worlds.dispatch.instance import Instance


def changed(day, part, **values):
    return dataclasses.replace(day, **{part: dataclasses.replace(getattr(day, part), **values)})


@pytest.fixture(scope="module")
def day():
    return generate("clinic-day", 3)


def test_json_gives_the_same_day_back(day, tmp_path):
    day.save(tmp_path / "day.json")
    again = Instance.load(tmp_path / "day.json")
    assert again.to_json() == day.to_json()
    assert again.bookings.pickup_to.dtype == np.float64
    assert np.isinf(again.bookings.pickup_to).any()


def test_tables_give_the_same_day_back(day):
    days = tables.allocate_days(1, len(day.bookings) + 3, len(day.drivers) + 1)
    tables.write_instance(day, tables.day_row(days, 0))
    again = tables.read_instance(day.name, tables.day_row(days, 0))
    assert again.to_json() == day.to_json()


@pytest.mark.parametrize(
    ("part", "field", "value", "message"),
    [
        ("bookings", "pickup", 10_000, "pickup of row 1 is 10000"),
        ("bookings", "pickup_to", -5.0, "pickup_to of row 1"),
        ("bookings", "priority", 6, "use 1 to 5"),
        ("bookings", "boarding", -1.0, "boarding of row 1"),
        ("bookings", "announce", np.nan, "announce of row 1 is nan"),
        ("bookings", "linked_to", 1, "the row of another booking"),
        ("drivers", "shift_end", 0.0, "it should be after shift_start"),
        ("drivers", "break_from", 0.0, "within the shift"),
        ("drivers", "seats", -1, "use 0 to 100"),
        ("travel", "coordinates", 123.0, "latitude"),
    ],
)
def test_a_bad_value_is_named(day, part, field, value, message):
    array = getattr(getattr(day, part), field).copy()
    array[1] = value
    with pytest.raises(InputError, match=message):
        changed(day, part, **{field: array})


def test_a_matrix_must_be_square_and_whole(day):
    n = day.travel.places
    square = np.ones((n, n))
    matrix = changed(day, "travel", kind="matrix", minutes=square, km=square)
    assert Instance.from_json(matrix.to_json()).travel.kind == "matrix"
    with pytest.raises(InputError, match="minutes has shape"):
        changed(matrix, "travel", minutes=square[:-1])
    square = square.copy()
    square[2, 3] = np.nan
    with pytest.raises(InputError, match="km of row 2"):
        changed(matrix, "travel", km=square)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": "other"}', '{"format":"compagnon-dispatch-day-1"}']
)
def test_what_is_no_day_is_refused(text):
    with pytest.raises(InputError):
        Instance.from_json(text, "the file")


def test_a_missing_field_is_refused(day):
    data = json.loads(day.to_json())
    del data["drivers"]["seats"]
    with pytest.raises(InputError, match="should hold exactly"):
        Instance.from_json(json.dumps(data))


@pytest.mark.parametrize("preset", PRESETS)
def test_generated_days_are_what_the_preset_says(preset):
    size = PRESETS[preset]
    days = [generate(preset, seed) for seed in range(10)]
    assert np.mean([len(d.bookings) for d in days]) == pytest.approx(size.rides, rel=0.05)
    assert all(len(d.drivers) == size.drivers for d in days)
    returns = np.mean([(d.bookings.linked_to >= 0).mean() for d in days])
    people = size.round_trips * size.to_clinics
    assert returns == pytest.approx(people / (1 + people), abs=0.05)
    assert generate(preset, 4).to_json() == days[4].to_json()
    assert days[4].to_json() != days[5].to_json()
    assert len(generate(preset, 4, tightness=1.5).bookings) > 1.3 * len(days[4].bookings)


def test_windows_are_tightened_by_hand():
    days = tables.allocate_days(1, 1, 1)
    day = tables.day_row(days, 0)
    row = day.bookings[0]
    row[[tables.PICKUP_FROM, tables.PICKUP_TO, tables.DROPOFF_FROM, tables.DROPOFF_TO]] = (
        0,
        1440,
        98,
        113,
    )
    row[[tables.BOARDING, tables.MAX_RIDE]] = 3, 30
    from tests.worlds.dispatch.test_travel import roads, rule

    tables.derive(day.bookings, 1, roads(0, [(0, 0), (0, 0)])._replace(
        rule=rule(1.0, 1.0, 1.0), xyz=np.array([[0.0, 0, 0], [6, 8, 0]])
    ), 15.0)  # fmt: skip
    assert row[tables.HOLD_BY] == 98 - 30 - 3 + 15
    assert row[tables.READY] == 98 - 30 - 3
    assert row[tables.PICKUP_BY] == 113 - 10 - 3
    assert row[tables.DROPOFF_READY] == 98
    assert row[tables.DROPOFF_BY] == 113
    assert row[tables.DIRECT] == 10
