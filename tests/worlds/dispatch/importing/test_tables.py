"""Each fault of a table is named by file, row and field, and the rest is imported."""

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch.importing import csv_reader
from tests.worlds.dispatch.importing.files import BOOKINGS, DRIVERS, read, spoilt


def test_good_files_become_a_day(tmp_path):
    report = read(tmp_path)
    assert report.faults == ()
    (day,) = report.days
    b, d = day.bookings, day.drivers
    assert day.name == "2026-03-02"
    assert b.pickup_from.tolist() == [480, 660, -np.inf]
    assert b.pickup_to.tolist() == [510, 705, np.inf]
    assert b.dropoff_to.tolist() == [np.inf, np.inf, 555]
    assert b.load.tolist() == [[0, 1, 0, 1], [0, 1, 0, 0], [2, 0, 0, 0]]
    assert b.linked_to.tolist() == [-1, 0, -1]
    assert b.announce.tolist() == [0, 660, 0]
    assert b.boarding.tolist() == [6, 6, 3]
    assert d.seats.tolist() == [[2, 1, 0, 1]]
    assert (d.shift_start[0], d.shift_end[0]) == (420, 960)
    assert (d.break_from[0], d.break_to[0], d.break_minutes[0]) == (690, 780, 30)
    assert day.travel.coordinates[b.pickup[0]].tolist() == [46.20, 6.14]
    assert day.travel.coordinates[d.end[0]].tolist() == [46.2, 6.1]


@pytest.mark.parametrize(
    ("line", "column", "value", "field", "fault", "right"),
    [
        (2, "pickup_lat", "48.85", "pickup_lat", "outside the area", "within 100 km"),
        (2, "pickup_lat", "146", "pickup_lat", "not a place on earth", "latitude from -90"),
        (2, "pickup_lat", "", "pickup_lat", "is empty", "degrees"),
        (2, "pickup_lat", "north", "pickup_lat", "is not a number", "degrees"),
        (2, "pickup_to", "2026-03-02T07:30+01:00", "pickup_to", "before it begins", "pickup_from"),
        (2, "dropoff_to", "2026-03-02T07:30+01:00", "dropoff_to", "before the pickup", "after"),
        (2, "pickup_from", "at eight", "pickup_from", "not a time in a known form", "02/03/2026"),
        (2, "pickup_from", "02.03.2026 08:00", "pickup_from", "has no time zone, where", "such as"),
        (2, "pickup_from", "2026-03-02 08:00", "pickup_from", "has no time zone, where", "such as"),
        (
            2,
            "pickup_from",
            "2026-02-30T08:00+01:00",
            "pickup_from",
            "not a day and time that there",
            "write it",
        ),
        (4, "dropoff_to", "", "pickup_to", "no window ends", "give pickup_to"),
        (4, "id", "a", "id", "is there already, in row 2", "no other row"),
        (4, "id", "", "id", "is empty", "no other row"),
        (4, "seats", "sleigh", "seats", "unknown seat type", "wheelchair, stretcher"),
        (4, "seats", "", "seats", "no seat type", "ambulatory"),
        (4, "booked_at", "2026-03-02T10:00+01:00", "booked_at", "after the window's end", "before"),
        (3, "returns_from", "z", "returns_from", "no booking that can be used", "the id of"),
        (3, "returns_from", "b", "returns_from", "the booking itself", "the id of"),
        (4, "dropoff_to", "2026-03-03T09:15+01:00", "date", "no driver has a shift", "a shift in"),
    ],
)
def test_a_bad_booking_is_named_and_the_rest_imported(
    tmp_path, line, column, value, field, fault, right
):
    report = read(tmp_path, spoilt(BOOKINGS, line, column, value))
    found = report.faults[0]
    assert (found.file, found.row, found.field) == ("bookings.csv", line, field)
    assert fault in found.fault
    assert right in found.right
    # The return of row 3 goes with its outbound ride of row 2.
    assert report.bookings == 3 - (2 if line == 2 else 1) == len(report.days[0].bookings)
    assert report.bookings_read == 3
    with pytest.raises(InputError, match="--strict imports none of it"):
        read(tmp_path, spoilt(BOOKINGS, line, column, value), strict=True)


def test_swapped_coordinates_are_told_from_those_outside(tmp_path):
    text = spoilt(spoilt(BOOKINGS, 4, "pickup_lat", "6.15"), 4, "pickup_lon", "46.21")
    (fault,) = read(tmp_path, text).faults
    assert "swapped" in fault.fault
    assert fault.right == "latitude 46.21, longitude 6.15"


def test_an_area_that_is_given_counts(tmp_path):
    far = spoilt(BOOKINGS, 4, "pickup_lat", "48.85")
    assert read(tmp_path, far).bookings == 2
    assert read(tmp_path, far, area="46.2,6.14,400", speed_kmh=60).bookings == 3
    with pytest.raises(InputError, match="LAT,LON,KM"):
        read(tmp_path, far, area="46.2")


@pytest.mark.parametrize(
    ("column", "value", "field", "fault"),
    [
        ("shift_start", "", "shift_start", "the driver has no shift"),
        ("shift_end", "2026-03-02T06:00+01:00", "shift_end", "not after shift_start"),
        ("seats", "2 bunk", "seats", "unknown seat type"),
        ("break_from", "2026-03-02T06:00+01:00", "break_from", "not a break within the shift"),
        ("break_minutes", "1e9", "break_minutes", "out of range"),
        ("start_lon", "96", "start_lat", "outside the area"),
        ("id", "", "id", "is empty"),
    ],
)
def test_a_bad_driver_is_named(tmp_path, column, value, field, fault):
    second = DRIVERS + DRIVERS.splitlines()[1].replace("d1", "d2") + "\n"
    report = read(tmp_path, drivers=spoilt(second, 3, column, value))
    (found,) = report.faults
    assert (found.file, found.row, found.field) == ("drivers.csv", 3, field)
    assert fault in found.fault
    assert (report.shifts, report.shifts_read, report.bookings) == (1, 2, 3)


def test_a_driver_may_have_two_shifts_a_day(tmp_path):
    morning = spoilt(DRIVERS, 2, "shift_end", "2026-03-02T13:30+01:00")
    evening = "d1,,2026-03-02T15:00+01:00,2026-03-02T19:00+01:00,46.2,6.1,wheelchair,,,\n"
    report = read(tmp_path, drivers=morning + evening)
    assert (report.faults, report.shifts) == ((), 2)
    d = report.days[0].drivers
    assert d.shift_start.tolist() == [420, 900]
    assert d.shift_end.tolist() == [810, 1140]
    overlapping = evening.replace("15:00", "13:00")
    (fault,) = read(tmp_path, drivers=morning + overlapping).faults
    assert (fault.row, fault.field, fault.given) == (3, "shift_start", "2026-03-02T13:00+01:00")
    assert fault.fault == "overlaps the shift of d1 in row 2"


def test_a_night_shift_ends_before_the_next_day_s_begins(tmp_path):
    night = "d1,,2026-03-01T22:00+01:00,2026-03-02T07:00+01:00,46.2,6.1,wheelchair,,,\n"
    report = read(tmp_path, drivers=DRIVERS + night)  # whose own begins at seven
    assert report.faults == ()
    late = read(tmp_path, drivers=DRIVERS + night.replace("07:00", "07:01"))
    (fault,) = late.faults
    assert (fault.row, fault.field) == (3, "shift_start")
    assert fault.fault == "overlaps the shift of d1 in row 2"
    assert (late.shifts, late.shifts_read) == (1, 2)


def test_a_trip_has_as_many_legs_as_it_likes(tmp_path):
    rows = BOOKINGS.splitlines()
    third = rows[2].replace("b,Grace", "d,Ada").replace("11:", "14:").removesuffix(",a") + ",b"
    fourth = rows[2].replace("b,Grace", "e,Ada").replace("11:", "15:").removesuffix(",a") + ",d"
    report = read(tmp_path, f"{BOOKINGS}{fourth}\n{third}\n")  # in any order
    assert report.faults == ()
    assert report.days[0].bookings.linked_to.tolist() == [-1, 0, -1, 4, 1]
    # Without the second leg neither of the others has anything to go on from.
    report = read(tmp_path, spoilt(f"{BOOKINGS}{fourth}\n{third}\n", 3, "pickup_lat", "x"))
    assert [(fault.row, fault.field) for fault in report.faults] == [
        (3, "pickup_lat"), (4 + 1, "returns_from"), (6, "returns_from"),
    ]  # fmt: skip
    assert "is no booking that can be used" in report.faults[1].fault


def test_a_second_return_stays_as_a_ride_of_its_own(tmp_path):
    second = BOOKINGS.splitlines()[2].replace("b,Grace", "d,Ada").replace("11:", "14:")
    report = read(tmp_path, BOOKINGS + second + "\n")
    assert report.faults == ()
    assert report.days[0].bookings.linked_to.tolist() == [-1, 0, -1, -1]
    (note,) = [note for note in report.notes if "second return" in note]
    assert "d (row 5)" in note


def test_a_trip_that_goes_in_a_circle_is_named(tmp_path):
    third = BOOKINGS.splitlines()[2].replace("b,Grace", "d,Ada").removesuffix(",a") + ",b"
    report = read(tmp_path, spoilt(BOOKINGS + third + "\n", 2, "returns_from", "d"))
    assert [fault.row for fault in report.faults] == [2, 3, 5]
    assert {fault.fault for fault in report.faults} == {
        "goes on from this booking, by way of others"
    }


def test_two_rides_that_return_from_each_other_are_named(tmp_path):
    report = read(tmp_path, spoilt(BOOKINGS, 2, "returns_from", "b"))
    assert [(fault.row, fault.fault) for fault in report.faults] == [
        (2, "is the return of this booking"), (3, "is the return of this booking"),
    ]  # fmt: skip


def test_a_place_that_nobody_filled_in_moves_no_other(tmp_path):
    rows = BOOKINGS.splitlines(keepends=True)
    nowhere = spoilt(spoilt(rows[0] + rows[3], 2, "pickup_lat", "0"), 2, "pickup_lon", "0")
    text = rows[0] + rows[1] + nowhere.splitlines()[1] + "\n"
    report = read(tmp_path, text)
    (fault,) = report.faults
    assert (fault.row, fault.field, fault.given) == (3, "pickup_lat", "0, 0")
    assert fault.fault == "is a place that nobody filled in"
    assert report.bookings == 1
    # Nor does half of a list that lies elsewhere: the drivers say where the others are.
    far = spoilt(spoilt(rows[0] + rows[3], 2, "pickup_lat", "5"), 2, "dropoff_lat", "5")
    report = read(tmp_path, rows[0] + rows[1] + far.splitlines()[1] + "\n")
    assert {fault.row for fault in report.faults} == {3}
    assert report.bookings == 1


def test_a_driver_has_one_shift_at_a_time(tmp_path):
    report = read(tmp_path, drivers=DRIVERS + DRIVERS.splitlines()[1] + "\n")
    assert [(f.row, f.field) for f in report.faults] == [(3, "id")]
    assert "is there already, in row 2" in report.faults[0].fault


def test_times_without_a_zone_need_one(tmp_path):
    plain = BOOKINGS.replace("+01:00", ""), DRIVERS.replace("+01:00", "")
    with pytest.raises(InputError, match=r"has no time zone; write it as .*, or give --zone"):
        read(tmp_path, *plain)
    given = read(tmp_path, *plain, zone="Europe/Zurich")
    assert given.faults == ()
    assert given.days[0].to_json() == read(tmp_path).days[0].to_json()
    with pytest.raises(InputError, match="no such time zone"):
        read(tmp_path, *plain, zone="Europe/Nowhere")


def test_a_time_with_a_zone_among_times_without_is_a_second_format(tmp_path):
    plain = BOOKINGS.replace("+01:00", ""), DRIVERS.replace("+01:00", "")
    mixed = spoilt(plain[0], 4, "dropoff_to", "2026-03-02T09:15+01:00")
    (fault,) = read(tmp_path, mixed, plain[1], zone="Europe/Zurich").faults
    assert fault.fault == "has a time zone, where other rows have none"


def test_several_offsets_need_a_zone_and_are_turned_into_it(tmp_path):
    other = spoilt(BOOKINGS, 4, "dropoff_to", "2026-03-02T08:15Z")
    with pytest.raises(InputError, match=r"several offsets \(\+00:00, \+01:00\)"):
        read(tmp_path, other)
    day = read(tmp_path, other, zone="Europe/Zurich").days[0]
    assert day.bookings.dropoff_to[2] == 555


def test_an_hour_that_the_clocks_skip_is_no_time(tmp_path):
    plain = (text.replace("+01:00", "").replace("03-02", "03-29") for text in (BOOKINGS, DRIVERS))
    bookings, drivers = plain
    skipped = spoilt(bookings, 2, "pickup_from", "2026-03-29T02:30")
    assert "clocks skip" in read(tmp_path, skipped, drivers, zone="Europe/Zurich").faults[0].fault


@pytest.mark.parametrize("text", ["", " \n\n", "\ufeff"])
def test_an_empty_file_is_refused(tmp_path, text):
    with pytest.raises(InputError, match=r"bookings\.csv is empty"):
        read(tmp_path, text)
    with pytest.raises(InputError, match=r"drivers\.csv is empty"):
        read(tmp_path, drivers=text)


def test_a_header_alone_and_missing_columns_are_refused(tmp_path):
    with pytest.raises(InputError, match="a header and no rows"):
        read(tmp_path, BOOKINGS.splitlines()[0])
    with pytest.raises(InputError, match="no column pickup_lat in"):
        read(tmp_path, BOOKINGS.replace("pickup_lat", "latitude"))
    with pytest.raises(InputError, match="the column id stands there twice"):
        read(tmp_path, BOOKINGS.replace("name", "ID", 1))


def test_a_large_file_is_refused_by_its_size_before_it_is_read(tmp_path, monkeypatch):
    large = tmp_path / "large.csv"
    with large.open("wb") as file:
        file.truncate(100_000_000)

    def never(*_):
        raise AssertionError("it was read")

    monkeypatch.setattr(csv_reader, "read_file", never)
    with pytest.raises(InputError, match="holds 100 MB; at most 50 MB are read"):
        csv_reader.read_bytes(large)
    large.write_bytes(b"x")
    with pytest.raises(AssertionError, match="it was read"):
        csv_reader.read_bytes(large)


@pytest.mark.parametrize(
    ("encoding", "said"), [("utf-8-sig", None), ("utf-16", "utf-16"), ("cp1252", "cp1252")]
)
def test_another_encoding_is_recognised_and_said(tmp_path, encoding, said):
    text = BOOKINGS.replace("Ada", "Adèle").replace("a,Ad", "é,Ad").replace(",a\n", ",é\n")
    report = read(tmp_path, text.encode(encoding))
    assert report.bookings == 3
    assert report.days[0].bookings.linked_to.tolist() == [-1, 0, -1]
    notes = [note for note in report.notes if "UTF-8" in note]
    expected = [] if said is None else [f"bookings.csv is not UTF-8; it was read as {said}"]
    assert notes == expected


def test_bytes_that_cp1252_does_not_know_are_latin_1(tmp_path):
    report = read(tmp_path, BOOKINGS.encode().replace(b"Ada", b"Ad\xe9\x81"))
    assert "bookings.csv is not UTF-8; it was read as latin-1" in report.notes


def test_what_is_no_text_is_refused(tmp_path):
    with pytest.raises(InputError, match="spreadsheet"):
        read(tmp_path, b"PK\x03\x04....")
    with pytest.raises(InputError, match="not a text file"):
        read(tmp_path, b"\x00\x01\x02\xff")


def test_nothing_personal_is_kept_and_that_is_said(tmp_path):
    text = BOOKINGS.replace("name", "Patient Name", 1).replace("Ada Lovelace", "Ada-Secret")
    report = read(tmp_path, text)
    assert "bookings.csv: personal, dropped and nowhere stored: patient_name" in report.notes
    assert "drivers.csv: personal, dropped and nowhere stored: phone" in report.notes
    stored = "".join(day.to_json() for day in report.days)
    for secret in ("Secret", "Hopper", "022 123", "d1", '"a"'):
        assert secret not in stored + repr(report.notes) + repr(report.faults)


def test_a_column_that_is_not_known_is_dropped_and_said(tmp_path):
    report = read(tmp_path, BOOKINGS.replace("name", "weather", 1))
    assert "bookings.csv: not known, dropped: weather" in report.notes


def test_a_row_with_too_many_cells_is_named_without_what_it_says(tmp_path):
    report = read(tmp_path, BOOKINGS.replace("Alan Turing", "Turing, Alan"))
    (fault,) = report.faults
    assert (fault.row, fault.field, fault.given) == (4, "row", "13 cells")


def test_semicolons_and_decimal_commas_are_read(tmp_path):
    text = BOOKINGS.replace(",", ";").replace(".", ",")
    assert read(tmp_path, text).days[0].to_json() == read(tmp_path).days[0].to_json()


def test_nothing_that_can_be_used_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no booking .* can be used:\n  bookings"):
        read(tmp_path, BOOKINGS.replace("+01:00", " o'clock"))
