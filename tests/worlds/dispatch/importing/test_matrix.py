"""A matrix is square and whole, or each hole is named and the places around it stay."""

import numpy as np
import pytest

from compagnon.errors import InputError
from tests.worlds.dispatch.importing.files import BOOKINGS, DRIVERS, read, spoilt

MATRIX = """measure,place,home,clinic,north,south,base
minutes,home,0,10,11,12,13
minutes,clinic,14,0,15,16,17
minutes,north,18,19,0,20,21
minutes,south,22,23,24,0,25
minutes,base,26,27,28,29,0
"""


def placed(text, *rows):
    lines = text.splitlines()
    return "\n".join(f"{a},{b}" for a, b in zip(lines, rows, strict=True)) + "\n"


RIDES = placed(BOOKINGS, "pickup_place,dropoff_place", "home,clinic", "clinic,home", "north,south")
FLEET = placed(DRIVERS, "start_place", "base")


def test_a_matrix_says_how_long_it_takes(tmp_path):
    report = read(tmp_path, RIDES, FLEET, MATRIX)
    assert report.faults == ()
    day = report.days[0]
    b, travel = day.bookings, day.travel
    assert travel.kind == "matrix"
    assert travel.minutes[b.pickup, b.dropoff].tolist() == [10, 14, 20]
    assert travel.minutes[day.drivers.start[0], b.pickup].tolist() == [26, 27, 28]
    # A ride may take half as long again as the direct one, and half an hour more.
    assert b.max_ride.tolist() == [45, 51, 60]
    assert "home" not in day.to_json()


def test_kilometres_of_the_file_count(tmp_path):
    km = MATRIX.replace("minutes", "km").split("\n", 1)[1]
    travel = read(tmp_path, RIDES, FLEET, MATRIX + km).days[0].travel
    assert np.array_equal(travel.km, travel.minutes)
    without = read(tmp_path, RIDES, FLEET, MATRIX).days[0]
    b = without.bookings
    # 5.56 km north and 3.08 km west, and 1.3 road km a straight km.
    assert without.travel.km[b.pickup[0], b.dropoff[0]] == pytest.approx(
        1.3 * np.hypot(5.56, 3.08), rel=2e-3
    )


@pytest.mark.parametrize(
    ("old", "new", "row", "field", "fault", "left"),
    [
        ("18,19,0,20,21", "18,,0,20,21", 4, "clinic", "a hole", 2),
        ("18,19,0,20,21", "18,19,0,20", 4, "base", "a hole", 2),
        ("18,19,0,20,21", "18,-1,0,20,21", 4, "clinic", "no number that can be", 2),
        ("18,19,0,20,21", "18,inf,0,20,21", 4, "clinic", "no number that can be", 2),
        ("minutes,north,18,19,0,20,21\n", "", 1, "north", "has no row of minutes", 2),
        ("18,19,0,20,21", "18,19,0,20,21,22", 4, "row", "has too many", 2),
        ("minutes,base", "minutes,moon,1,2,3,4,5\nminutes,base", 6, "place", "no column", 3),
        ("minutes,base", "hours,north,1,2,3,4,5\nminutes,base", 6, "measure", "not known", 3),
        ("minutes,base", "minutes,north,1,2,3,4,5\nminutes,base", 6, "place", "twice", 3),
    ],
)
def test_a_matrix_with_a_fault_loses_that_place_alone(tmp_path, old, new, row, field, fault, left):
    report = read(tmp_path, RIDES, FLEET, MATRIX.replace(old, new, 1))
    found = next(f for f in report.faults if f.file == "matrix.csv")
    assert (found.row, found.field) == (row, field)
    assert fault in found.fault
    assert report.bookings == left
    if left == 2:
        lost = next(f for f in report.faults if f.file == "bookings.csv")
        assert (lost.row, lost.field) == (4, "pickup_place")
        assert "matrix.csv" in lost.fault


def by_hour(factor, change=None):
    """The same matrix for each hour, so many times as slow."""
    rows = ["measure,hour,place,home,clinic,north,south,base"]
    for hour in range(24):
        for line in MATRIX.splitlines()[1:]:
            _, place, *cells = line.split(",")
            cells = [f"{float(cell) * factor(hour):.6f}" for cell in cells]
            rows.append(",".join(["minutes", str(hour), place, *cells]))
    text = "\n".join(rows) + "\n"
    return text if change is None else change(text)


def slow_at_eight(hour):
    return 2.0 if hour == 8 else 0.5 if hour == 20 else 1.0


def test_a_matrix_by_hour_is_one_matrix_and_a_speed_by_hour(tmp_path):
    report = read(tmp_path, RIDES, FLEET, by_hour(slow_at_eight))
    assert report.faults == ()
    day = report.days[0]
    minutes = day.travel.minutes[day.bookings.pickup, day.bookings.dropoff]
    assert minutes == pytest.approx([10.0, 14.0, 20.0], rel=1e-5)
    assert day.travel.speed[[7, 8, 20]] == pytest.approx([1.0, 0.5, 2.0], rel=1e-5)
    (note,) = [note for note in report.notes if "24 hours" in note]
    assert "at most 0.0 minutes off" in note


def test_how_far_hours_are_from_what_they_have_in_common_is_said(tmp_path):
    def change(text):  # a way of 10 minutes that takes 30 at eight, where all others take twice
        return text.replace("minutes,8,home,0.000000,20.", "minutes,8,home,0.000000,30.")

    report = read(tmp_path, RIDES, FLEET, by_hour(slow_at_eight, change))
    (note,) = [note for note in report.notes if "24 hours" in note]
    # Of 20 ways one is 1.5 times as long at eight, and on average by the 24th root of that.
    speed = 0.5 / 1.5 ** (1 / 20) * 1.5 ** (1 / 480)
    expected = 10.0 * 1.5 ** (1 / 24) / speed
    assert f"({expected:.1f} instead of 30.0 from home to clinic at hour 8)" in note
    assert report.days[0].travel.speed[8] == pytest.approx(speed, rel=1e-5)


@pytest.mark.parametrize(("gone", "words"), [((7,), "hour 07"), ((3, 22), "hours 03, 22")])
def test_a_matrix_that_lacks_an_hour_is_refused_by_name(tmp_path, gone, words):
    lines = by_hour(slow_at_eight).splitlines()
    kept = [line for line in lines if not line.startswith(tuple(f"minutes,{h}," for h in gone))]
    with pytest.raises(InputError, match=f"no minutes for {words}; .* all of 00 to 23"):
        read(tmp_path, RIDES, FLEET, "\n".join(kept) + "\n")


@pytest.mark.parametrize(
    ("old", "new", "field", "fault"),
    [
        ("minutes,5,north", "minutes,25,north", "hour", "is no hour of the day"),
        ("minutes,5,north", "minutes,,north", "hour", "is no hour of the day"),
        ("minutes,5,north,18.000000,19.000000", "minutes,5,north,18.000000,", "clinic", "a hole"),
    ],
)
def test_a_fault_at_one_hour_loses_the_place(tmp_path, old, new, field, fault):
    report = read(tmp_path, RIDES, FLEET, by_hour(slow_at_eight).replace(old, new, 1))
    found = next(f for f in report.faults if f.file == "matrix.csv" and f.field == field)
    assert fault in found.fault
    assert report.bookings == 2


def test_kilometres_have_no_hour(tmp_path):
    km = "".join(f"km,,{line.partition(',')[2]}\n" for line in MATRIX.splitlines()[1:])
    travel = read(tmp_path, RIDES, FLEET, by_hour(slow_at_eight) + km).days[0].travel
    assert travel.km == pytest.approx(travel.minutes, rel=1e-5)
    report = read(tmp_path, RIDES, FLEET, by_hour(slow_at_eight) + km.replace("km,,", "km,1,"))
    assert report.faults[-1].right == "0 to 23 for minutes, and nothing for km"


def test_an_hour_that_is_far_from_all_others_is_refused(tmp_path):
    slow = by_hour(lambda hour: 60.0 if hour == 3 else 1.0)
    with pytest.raises(InputError, match=r"hour 3 is .* times as fast as the mean"):
        read(tmp_path, RIDES, FLEET, slow)


def test_places_must_be_in_the_matrix_and_stay_where_they_are(tmp_path):
    elsewhere = spoilt(RIDES, 4, "pickup_place", "moon")
    assert "is not in matrix.csv" in read(tmp_path, elsewhere, FLEET, MATRIX).faults[0].fault
    moved = spoilt(RIDES, 4, "pickup_place", "clinic")
    assert "lies elsewhere" in read(tmp_path, moved, FLEET, MATRIX).faults[0].fault
    with pytest.raises(InputError, match="pickup_place: is empty"):
        read(tmp_path, BOOKINGS, FLEET, MATRIX)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("from,to,minutes\na,b,1\n", "no column measure"),
        ("measure,place,a,a\nminutes,a,0,0\n", "in the first line twice"),
        ("measure,place,a\n", "no place has all its minutes"),
    ],
)
def test_a_file_that_is_no_matrix_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, RIDES, FLEET, text)


def test_a_hole_takes_the_rider_out_and_not_the_depot(tmp_path):
    """From the base nobody knows the way to the north; a row of the base alone would name it."""
    holed = MATRIX.replace("minutes,base,26,27,28,29,0", "minutes,base,26,27,,29,0")
    report = read(tmp_path, RIDES, FLEET, holed)
    assert [(f.row, f.field) for f in report.faults if f.file == "matrix.csv"] == [(6, "north")]
    assert (report.bookings, report.shifts) == (2, 1)
    assert "matrix.csv: left out, so that no hole is left: north" in report.notes


def test_of_many_holes_the_place_they_share_goes(tmp_path):
    holed = MATRIX.replace("18,19,0,20,21", ",,0,,").replace("12,13", ",13", 1)
    report = read(tmp_path, RIDES, FLEET, holed)
    assert (report.bookings, report.shifts) == (2, 1)
    assert "matrix.csv: left out, so that no hole is left: north, south" in report.notes
