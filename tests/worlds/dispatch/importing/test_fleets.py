"""Skills, riders who ride alone, seats that convert and second breaks, in tables."""

import json

import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch.commands import check
from compagnon.worlds.dispatch.importing.reach import unservable
from tests.worlds.dispatch.importing.files import BOOKINGS, DRIVERS, read, spoilt
from tests.worlds.dispatch.importing.test_matrix import placed

RIDES = placed(BOOKINGS, "needs,alone", "Oxygène + lift,", ",yes", "lift,no")
SHIFTS = placed(
    DRIVERS, "skills,fold,fold_seats,break2_from,break2_to,break2_minutes",
    "lift and OXYGENE,1,,2026-03-02T14:00+01:00,2026-03-02T14:30+01:00,15",
)  # fmt: skip


def test_columns_become_what_a_day_holds(tmp_path):
    report = read(tmp_path, RIDES, SHIFTS)
    assert (report.faults, report.unservable) == ((), ())
    (day,) = report.days
    assert day.skills == ("lift", "oxygene")
    assert day.bookings.needs.tolist() == [3, 0, 1]
    assert day.bookings.alone.tolist() == [False, True, False]
    d = day.drivers
    assert (d.skills.tolist(), d.fold.tolist(), d.fold_seats.tolist()) == ([3], [1], [2])
    assert (d.break2_from[0], d.break2_to[0], d.break2_minutes[0]) == (840.0, 870.0, 15.0)


def test_a_skill_that_nobody_has_is_said_with_the_booking(tmp_path, capsys):
    shifts = spoilt(SHIFTS, 2, "skills", "lift")
    report = read(tmp_path, RIDES, shifts)
    (found,) = report.unservable
    assert str(found).startswith("bookings.csv, row 2, needs: 'Oxygène + lift' booking a of 2026-")
    assert "needs oxygene, which no driver with the seats has" in found.fault
    assert report.bookings == 3  # it was asked for, and can only be refused
    assert [row for row, _ in unservable(report.days[0])] == [0]
    paths = [tmp_path / "bookings.csv", tmp_path / "drivers.csv"]
    with pytest.raises(InputError, match="1 booking that nobody can ever serve"):
        check(paths[0], drivers=paths[1])
    assert "oxygene" in capsys.readouterr().out
    saved = tmp_path / "day.json"
    saved.write_text(report.days[0].to_json())
    with pytest.raises(InputError, match="1 booking that nobody can ever serve"):
        check(saved)
    assert json.loads(saved.read_text())["skills"] == ["lift", "oxygene"]


def test_skills_that_no_one_driver_has_together(tmp_path):
    lines = spoilt(SHIFTS, 2, "skills", "lift").splitlines()
    other = spoilt(SHIFTS, 2, "skills", "oxygene").splitlines()[1].replace("d1", "d2")
    report = read(tmp_path, RIDES, "\n".join([*lines, other]) + "\n")
    assert "which no one driver with the seats has together" in report.unservable[0].fault


def test_seats_that_are_folded_are_not_there_for_both(tmp_path):
    both = spoilt(RIDES, 2, "seats", "2 ambulatory + wheelchair")
    assert "seats" in [fault.field for fault in read(tmp_path, both, SHIFTS).unservable]
    assert read(tmp_path, both, spoilt(SHIFTS, 2, "fold", "0")).unservable == ()


@pytest.mark.parametrize(
    ("column", "value", "field", "fault"),
    [
        ("fold", "2", "fold", "is out of range"),
        ("fold_seats", "-1", "fold_seats", "is out of range"),
        ("break2_to", "2026-03-02T20:00+01:00", "break2_from", "is not a break within"),
        ("break2_from", "2026-03-02T08:00+01:00", "break2_from", "is not after the first"),
        ("break_minutes", "", "break2_minutes", "a second break without a first"),
        ("skills", "a text that says a lot of things about one driver", "skills", "is a text"),
    ],
)
def test_a_bad_shift_is_named(tmp_path, column, value, field, fault):
    other = SHIFTS.splitlines()[1].replace("d1", "d2")
    report = read(tmp_path, RIDES, spoilt(SHIFTS, 2, column, value) + other + "\n")
    assert [(one.row, one.field) for one in report.faults] == [(2, field)]
    assert fault in report.faults[0].fault


def test_a_column_of_texts_is_no_list_of_skills(tmp_path):
    row = BOOKINGS.splitlines()[3]
    rows = [row.replace("c,Alan", f"c{k},Alan") + f",word{k}" for k in range(60)]
    text = "\n".join([BOOKINGS.splitlines()[0] + ",needs", *rows]) + "\n"
    with pytest.raises(InputError, match="name 60 different skills, such as 'word0' and"):
        read(tmp_path, text)
