"""Numbers, days, times and headings as spreadsheets hold them."""

from datetime import date, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compagnon.spreadsheets import (
    When,
    heading,
    month_comes_first,
    number_of,
    translated,
    truth_of,
    when_of,
)

SECOND = date(2026, 3, 2)


@pytest.mark.parametrize(
    ("text", "day", "clock"),
    [
        ("2026-03-02", SECOND, None),
        ("02/03/2026", SECOND, None),
        ("2/3/26", SECOND, None),
        ("02.03.2026", SECOND, None),
        ("02-03-2026", SECOND, None),
        ("02/03/2026 08:15", SECOND, time(8, 15)),
        ("02/03/2026 8h15", SECOND, time(8, 15)),
        ("02.03.2026 8.15", SECOND, time(8, 15)),
        ("9.30", None, time(9, 30)),
        ("9 AM", None, time(9)),
        ("2026-03-02T08:15:30", SECOND, time(8, 15, 30)),
        ("2026-03-02 08:15:30,25", SECOND, time(8, 15, 30, 250_000)),
        ("08:15", None, time(8, 15)),
        ("8h", None, time(8)),
        ("09h00", None, time(9)),
        ("8 h 30", None, time(8, 30)),
        ("12:05 AM", None, time(0, 5)),
        ("12:05 pm", None, time(12, 5)),
        ("8:15 AM", None, time(8, 15)),
    ],
)
def test_what_people_write(text, day, clock):
    assert when_of(text) == When(day, clock, None)


def test_offsets():
    zones = {"Z": 0, "+01:00": 60, "-0530": -330}
    for text, minutes in zones.items():
        found = when_of(f"2026-03-02T08:15{text}")
        assert found == When(SECOND, time(8, 15), timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize("text", ["", "9", "soon", "20260302", "8:15:", "02/03/2026 x", "h"])
def test_what_is_no_moment(text):
    assert when_of(text) is None


@pytest.mark.parametrize("text", ["31/02/2026", "2026-13-01", "24:00", "25h10", "13:00 PM"])
def test_what_looks_like_one_and_is_none(text):
    with pytest.raises(ValueError, match=r"must be in|out of range|^$"):
        when_of(text)


@given(st.dates(date(1950, 1, 1), date(2100, 1, 1)), st.times())
def test_both_orders_and_iso_say_the_same(day, clock):
    iso = when_of(f"{day.isoformat()}T{clock.isoformat()}")
    assert iso == When(day, clock, None)
    assert when_of(f"{day:%d/%m/%Y}") == When(day, None, None)
    assert when_of(f"{day.month}/{day.day}/{day.year}", month_first=True) == When(day, None, None)


def test_the_month_comes_first_only_where_something_says_so():
    assert not month_comes_first(["02/03/2026", "09:00"])
    assert month_comes_first(["02/03/2026", "8:00 AM"])
    assert month_comes_first(["02/03/2026", "3/15/2026"])
    assert not month_comes_first(["15/03/2026", "3/15/2026"])
    assert not month_comes_first(["2026-03-15"])


def test_numbers_with_commas_and_spaces():
    assert number_of("46,2") == 46.2
    assert number_of("1 234,5") == 1234.5
    assert number_of("12\u202f000") == 12000
    for text in ("1.234,5", "1 23", "", "north", "1e"):
        assert number_of(text) is None


def test_yes_and_no():
    assert [truth_of(word) for word in ("oui", "OUI", "Vrai", "x", "1", "yes")] == [True] * 6
    assert [truth_of(word) for word in ("non", "", "Faux", "0", "no")] == [False] * 5
    assert truth_of("perhaps") is None


def test_headings():
    assert heading(" Heure de départ ") == "heure_de_depart"
    assert heading("N° course") == "n_course"
    assert heading("Début d'arrivée") == "debut_d_arrivee"
    words = {"id": ("course", "numero"), "date": ("jour",)}
    assert translated(["Jour", "Numéro", "Course"], words) == ["date", "id", "course"]
    assert translated(["Course", "ID"], words) == ["course", "id"]
