"""What nobody can ever serve is named, and nothing else: held against the mask of the world."""

import dataclasses
import json
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from compagnon.cli import main
from compagnon.worlds.dispatch.generator import generate
from compagnon.worlds.dispatch.importing.reach import clock, unservable
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from tests.worlds.dispatch.importing.files import read
from tests.worlds.dispatch.worlds import rich_day

HEAD = (
    "id,pickup_lat,pickup_lon,dropoff_lat,dropoff_lon,seats,pickup_from,pickup_to,dropoff_to,"
    "max_ride,booked_at,date\n"
)
FLEET = (
    "id,shift_start,shift_end,start_lat,start_lon,seats,break_from,break_to,break_minutes\n"
    "A,2026-03-02T08:00,2026-03-03T02:00,46.2,6.14,3 ambulatory,,,\n"
    "B,2026-03-02T08:00,2026-03-02T12:00,46.2,6.14,ambulatory + wheelchair,,,\n"
    "A,2026-03-03T08:00,2026-03-04T02:00,46.2,6.14,3 ambulatory,,,\n"
)


def booking(**cells):
    given = {
        "id": "x", "pickup_lat": "46.2", "pickup_lon": "6.14", "dropoff_lat": "46.24",
        "dropoff_lon": "6.14", "seats": "ambulatory", "pickup_from": "2026-03-02T09:00",
        "pickup_to": "2026-03-02T10:00", "dropoff_to": "", "max_ride": "", "booked_at": "",
        "date": "", **cells,
    }  # fmt: skip
    return HEAD + ",".join(given.values()) + "\n"


def times(begin, until, day=2):
    return {f"pickup_{k}": f"2026-03-{day:02d}T{v}" for k, v in (("from", begin), ("to", until))}


GOOD = booking(id="good").splitlines()[1] + "\n"


@pytest.mark.parametrize(
    ("cells", "field", "fault", "right"),
    [
        ({"seats": "5 ambulatory"}, "seats", "at most 3 ambulatory", "bookings of at most 3"),
        ({"seats": "stretcher"}, "seats", "no stretcher", "a vehicle of 1 stretcher"),
        ({"seats": "2 ambulatory + wheelchair"}, "seats", "taken together", "several bookings"),
        (times("03:00", "03:30"), "pickup_to", "outside all shifts of 2026-03-02 (08:00",
         "a shift that covers it"),
        ({"seats": "wheelchair", **times("14:00", "15:00")}, "pickup_to",
         "outside all shifts with such seats of 2026-03-02 (08:00 to 12:00)", "within a shift"),
        ({"seats": "wheelchair", **times("11:40", "11:50"), "dropoff_lat": "46.4"}, "pickup_to",
         "no time for the ride, the break and the way home", "before 12:00"),
        ({**times("08:00", "08:05"), "pickup_lat": "46.3"}, "pickup_to",
         "before the first of the shifts can be there", "or later, or an earlier shift"),
    ],
)  # fmt: skip
def test_a_ride_that_only_can_be_refused_is_kept_and_named(tmp_path, cells, field, fault, right):
    report = read(tmp_path, booking(**cells) + GOOD, FLEET, zone="Europe/Zurich")
    (found,) = report.unservable
    assert (found.file, found.row, found.field) == ("bookings.csv", 2, field)
    assert fault in found.fault
    assert right in found.right
    assert (report.faults, report.bookings) == ((), 2)
    assert [row for row, _ in unservable(report.days[0])] == [0]


@pytest.mark.parametrize(
    ("cells", "field", "fault", "right"),
    [
        ({**times("12:00", "12:05"), "dropoff_to": "2026-03-02T12:10", "dropoff_lat": "46.4"},
         "dropoff_to", "before the ride can end: 69 minutes from 12:00", "13:08 or later"),
        ({"max_ride": "5"}, "max_ride", "less than the direct ride, 12 minutes", "at least 13"),
        ({**times("09:00", "10:00"), "dropoff_to": "2026-03-02T09:30",
          "booked_at": "2026-03-02T09:25"}, "dropoff_to", "before the ride can end", "or later"),
    ],
)  # fmt: skip
def test_a_ride_that_contradicts_itself_is_left_out(tmp_path, cells, field, fault, right):
    report = read(tmp_path, booking(**cells) + GOOD, FLEET, zone="Europe/Zurich")
    (found,) = report.faults
    assert (found.row, found.field) == (2, field)
    assert fault in found.fault
    assert right in found.right
    assert (report.unservable, report.bookings) == ((), 1)


def test_a_ride_in_the_night_without_a_date_goes_where_shifts_reach_it_and_that_is_said(tmp_path):
    night = booking(**times("00:30", "00:50", day=3))
    report = read(tmp_path, night + GOOD, FLEET, zone="Europe/Zurich")
    (day,) = report.days
    assert day.name == "2026-03-02"
    assert (day.bookings.pickup_from[0], day.bookings.pickup_to[0]) == (1470.0, 1490.0)
    assert any("x (row 2, 2026-03-03)" in note for note in report.notes)
    dated = booking(**times("00:30", "00:50", day=3), date="2026-03-03")
    report = read(tmp_path, dated + GOOD, FLEET, zone="Europe/Zurich")
    assert [day.name for day in report.days] == ["2026-03-02", "2026-03-03"]
    assert "outside all shifts of 2026-03-03" in report.unservable[0].fault
    # A ride of the morning is none of the night, though nobody has a shift on its day.
    morning = booking(pickup_from="", pickup_to="", dropoff_to="2026-03-04T09:15")
    report = read(tmp_path, morning + GOOD, FLEET, zone="Europe/Zurich")
    assert [fault.field for fault in report.faults] == ["date"]


def test_a_return_before_its_ride_has_ended_is_named(tmp_path):
    rides = (booking() + GOOD).splitlines()
    text = "\n".join([rides[0] + ",returns_from", rides[1] + ",good", rides[2] + ","]).replace(
        "10:00", "09:10", 1
    )
    report = read(tmp_path, text + "\n", FLEET, zone="Europe/Zurich")
    (fault,) = report.faults
    assert (fault.row, fault.field) == (2, "pickup_to")
    assert "before the outbound ride good can have ended" in fault.fault


def alone(day, row):
    """The day with one of its bookings, known in advance and ridden as planned."""
    b = day.bookings
    one = {f.name: getattr(b, f.name)[[row]].copy() for f in dataclasses.fields(b)}
    one["linked_to"][:], one["announce"][:], one["cancel"][:] = -1, 0.0, np.inf
    return dataclasses.replace(day, bookings=dataclasses.replace(b, **one))


def with_matrix(day, rng):
    """Minutes of a matrix in which the straight way is often not the shortest."""
    n = day.travel.places
    minutes = rng.uniform(1, 90, (n, n))
    np.fill_diagonal(minutes, 0)
    travel = dataclasses.replace(
        day.travel, kind="matrix", minutes=minutes, km=minutes / 2, speed=np.ones(24)
    )
    return dataclasses.replace(day, travel=travel)


def could_be_served(days):
    """Whether the world lets a driver take the only booking of each day."""
    env = DispatchVectorEnv(len(days), instances=days, board=1)
    _, info = env.reset(seed=[int(k) for k in range(len(days))])
    # Each of them is known before the first shift begins, so it is asked about at once.
    return info["action_mask"][:, 1 : 1 + env.layout.drivers].any(axis=1)


@pytest.mark.parametrize("kind", ["sphere", "without breaks", "matrix", "rich"])
def test_what_is_called_impossible_is_what_the_world_masks(kind):
    rng = np.random.default_rng(4)
    days = []
    for seed in range(6):
        day = (rich_day if kind == "rich" else partial(generate, "clinic-day"))(seed, tightness=2.0)
        if kind == "without breaks":
            rest = np.zeros(len(day.drivers))
            day = dataclasses.replace(
                day, drivers=dataclasses.replace(day.drivers, break_minutes=rest)
            )
        if kind == "matrix":
            day = with_matrix(day, rng)
        for row in range(len(day.bookings)):
            one = alone(day, row)
            b = one.bookings
            shift = rng.uniform(-500, 700)
            b.pickup_from[:] += shift
            b.pickup_to[:] += shift
            b.dropoff_from[:] += shift
            b.dropoff_to[:] += shift
            b.max_ride[:] = rng.uniform(5, 60)
            b.load[0, :3] += rng.integers(0, 2, 3)
            days.append(one)
    never = np.array([bool(unservable(day)) for day in days])
    could = could_be_served(days)
    assert 0.2 < never.mean() < 0.9
    assert not (never & could).any()  # nothing that can be served is called impossible
    # And nearly all that cannot be served is: with another ride before it, a ride may begin later,
    # when the road is free; a break may be taken elsewhere; a matrix may know a way round.
    least = {"without breaks": 0.98, "sphere": 0.9, "matrix": 0.7, "rich": 0.9}
    assert (never | could).mean() > least[kind]


def test_a_saved_day_is_checked_too(tmp_path, capsys):
    day = alone(generate("clinic-day", 1), 0)
    day.bookings.load[0, 2] = 7
    day.save(tmp_path / "day.json")
    assert main(["data", "check", str(tmp_path / "day.json")]) == 2
    said = capsys.readouterr()
    assert "1 booking that nobody can ever serve" in said.err
    assert "stretcher" in said.out


def test_null_is_named_where_a_number_should_stand(tmp_path):
    data = json.loads(generate("clinic-day", 1).to_json())
    data["bookings"]["max_ride"][3] = None
    with pytest.raises(Exception, match=r"bookings\.max_ride\[3\] is null; it should be a number"):
        Instance.from_json(json.dumps(data))
    data["bookings"]["max_ride"][3] = 50.0
    data["travel"]["coordinates"][2][1] = None
    with pytest.raises(Exception, match=r"travel\.coordinates\[2\]\[1\] is null"):
        Instance.from_json(json.dumps(data))
    data["travel"]["coordinates"][2][1] = 6.1
    data["bookings"]["pickup_to"][0] = None
    data["bookings"]["dropoff_from"][0], data["bookings"]["dropoff_to"][0] = None, 600.0
    assert np.isinf(Instance.from_json(json.dumps(data)).bookings.pickup_to[0])


def test_minutes_as_people_say_them():
    midnight = datetime(2026, 3, 29, tzinfo=ZoneInfo("Europe/Paris"))
    assert clock(485.0, datetime(2026, 3, 28)) == "08:05"
    assert clock(485.0, midnight) == "09:05"
    assert clock(1470.0, datetime(2026, 3, 28)) == "00:30 the day after"
    assert clock(-30.0, midnight) == "23:30 the day before"
