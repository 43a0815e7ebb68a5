"""Standing orders: one row, and a booking on each of its weekdays among the imported days."""

import pytest

from compagnon.worlds.dispatch.importing.standing import weekdays_of
from tests.worlds.dispatch.importing.files import read

HEAD = "id,pickup_lat,pickup_lon,dropoff_lat,dropoff_lon,seats,pickup_from,pickup_to"
HEAD += ",returns_from,date,weekdays,valid_from,valid_until\n"
THERE = "46.20,6.14,46.25,6.10,wheelchair"
BACK = "46.25,6.10,46.20,6.14,wheelchair"
SHIFTS = "id,date,shift_start,shift_end,start_lat,start_lon,seats\n" + "".join(
    f"d1,2026-03-{day:02d},07:00,18:00,46.2,6.1,2 ambulatory + wheelchair\n"
    for day in range(2, 16)  # a Monday, and two weeks from then on
)


def order(name, weekdays, begin="", until="", where=THERE, at=8, before=""):
    return f"{name},{where},{at:02d}:00,{at:02d}:30,{before},,{weekdays},{begin},{until}\n"


def imported(tmp_path, *rows, **how):
    return read(tmp_path, HEAD + "".join(rows), **{"drivers": SHIFTS, "zone": "UTC", **how})


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mo we fr", {1, 3, 5}), ("lu me ve", {1, 3, 5}), ("1,3,5", {1, 3, 5}),
        ("Monday; Sunday", {1, 7}), ("lun. mar. jeu.", {1, 2, 4}), ("mo-fr", {1, 2, 3, 4, 5}),
        ("1 - 5, sa", {1, 2, 3, 4, 5, 6}), ("Di", {7}),
        ("", None), ("8", None), ("daily", None), ("fr-mo", None), ("0", None), ("m", None),
    ],
)  # fmt: skip
def test_weekdays_as_people_write_them(text, days):
    assert weekdays_of(text) == (None if days is None else frozenset(days))


def test_an_order_is_a_booking_on_each_of_its_days(tmp_path):
    report = imported(tmp_path, order("a", "mo we fr"), order("b", "7", until="2026-03-08"))
    assert report.faults == ()
    counts = {day.name: len(day.bookings) for day in report.days}
    assert counts == {
        "2026-03-02": 1, "2026-03-04": 1, "2026-03-06": 1, "2026-03-08": 1, "2026-03-09": 1,
        "2026-03-11": 1, "2026-03-13": 1,
    }  # fmt: skip
    assert [row.key for row in report.rows[0]][:2] == ["a 2026-03-02", "a 2026-03-04"]
    assert (report.bookings, report.bookings_read) == (7, 7)
    assert report.days[0].bookings.pickup_from.tolist() == [480.0]
    assert any("2 standing orders are 7 bookings" in note for note in report.notes)


def test_the_way_back_of_an_order_is_of_the_same_day(tmp_path):
    back = order("b", "mo we", where=BACK, at=11, before="a")
    report = imported(tmp_path, order("a", "mo we fr", begin="2026-03-04"), back)
    names = [day.name for day in report.days]
    assert names == ["2026-03-04", "2026-03-06", "2026-03-09", "2026-03-11", "2026-03-13"]
    assert [day.bookings.linked_to.tolist() for day in report.days] == [
        [-1, 0], [-1], [-1, 0], [-1, 0], [-1],
    ]  # fmt: skip
    # On the first Monday there is nothing to come back from.
    (fault,) = report.faults
    assert (fault.row, fault.field) == (3, "returns_from")


def test_orders_stand_beside_bookings_of_one_day(tmp_path):
    single = f"c,{THERE},09:00,09:30,,2026-03-03,,,\n"
    report = imported(tmp_path, order("a", "tu"), single)
    assert {day.name: len(day.bookings) for day in report.days} == {
        "2026-03-03": 2, "2026-03-10": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "field", "fault"),
    [
        (order("b", "someday"), "weekdays", "are no weekdays"),
        (order("b", "mo", begin="soon"), "valid_from", "is not a day"),
        (order("b", "mo", "2026-03-09", "2026-03-02"), "valid_until", "is before valid_from"),
        (order("b", "mo").replace(",,mo", ",2026-03-02,mo"), "date", "stands beside weekdays"),
        (order("b", "mo").replace("08:00", "2026-03-02T08:00"), "pickup_from", "has a day"),
    ],
)
def test_a_bad_order_is_named_once(tmp_path, row, field, fault):
    report = imported(tmp_path, order("a", "mo"), row)
    assert [(one.row, one.field) for one in report.faults] == [(3, field)]
    assert fault in report.faults[0].fault
    assert report.bookings == 2


def test_an_order_for_none_of_the_days_is_said(tmp_path):
    report = imported(tmp_path, order("a", "mo"), order("b", "mo", begin="2027-01-01"))
    assert any(
        note.endswith("standing orders for none of the imported days: b (row 3)")
        for note in report.notes
    )


def test_without_a_table_of_drivers_an_order_says_from_when_to_when(tmp_path):
    row = order("a", "mo", "2026-03-02", "2026-03-20")
    report = imported(tmp_path, row, drivers=None, vehicles=("1 x wheelchair",))
    assert [day.name for day in report.days] == ["2026-03-02", "2026-03-09", "2026-03-16"]
