"""Seventeen layouts are read whole; in each a lost column, cell or place is named."""

from dataclasses import replace

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch.commands import read_files
from tests.worlds.dispatch.importing.layouts import CASES, read, write


@pytest.fixture(autouse=True)
def _within(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a guess writes its profile where one works


layouts = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def replaced(text, old, new):
    """The table with one text in place of another, in cells where it is a workbook."""
    if isinstance(text, str):
        assert old in text
        return text.replace(old, new, 1)
    return {
        name: [[new if cell == old else cell for cell in row] for row in rows]
        for name, rows in text.items()
    }


def test_there_are_seventeen():
    assert len(CASES) == len({case.name for case in CASES}) == 17


@layouts
def test_a_layout_is_read_whole(case, tmp_path):
    found = read(case, tmp_path)
    assert (found.faults, found.unservable) == ((), ())
    (day,) = found.days
    b = day.bookings
    assert len(b) == case.rides
    windows = (b.pickup_from[0], b.pickup_to[0], b.dropoff_from[0], b.dropoff_to[0])
    assert tuple(float(v) if np.isfinite(v) else None for v in windows) == case.window
    assert tuple(b.load[0].tolist()) == case.load


@layouts
def test_a_column_that_is_missing_is_named(case, tmp_path):
    heading, said = case.column
    with pytest.raises(InputError) as caught:
        read(case, tmp_path, text=replaced(case.text, heading, "Zzz"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@layouts
def test_a_value_that_cannot_be_is_named_and_the_rest_read(case, tmp_path):
    old, new, named = case.value
    found = read(case, tmp_path, text=replaced(case.text, old, new))
    first = found.faults[0]
    assert first.field == named, first
    assert first.row > 1
    assert first.right
    assert sum(len(day.bookings) for day in found.days) < case.rides


@pytest.mark.parametrize("case", [one for one in CASES if one.place], ids=lambda one: one.name)
def test_a_place_that_is_missing_is_named_and_listed(case, tmp_path):
    assert case.place in case.places
    *files, layout = write(case, tmp_path, places=case.places.replace(case.place, ""))
    lists = tmp_path / "missing.csv"
    try:
        said = str(read_files(*files, replace(layout, missing=lists)).faults[0])
    except InputError as error:  # both rides need the place
        said = str(error)
    assert "is not among the places of places.csv" in said
    first, *rows = lists.read_text("utf-8").splitlines()
    assert first == "address,lat,lon,rows"
    assert rows


def test_the_list_of_what_is_missing_is_given_back_filled_in(tmp_path):
    case = CASES[0]
    *files, layout = write(case, tmp_path, places=case.places.replace(case.place, ""))
    lists = tmp_path / "missing.csv"
    found = read_files(*files, replace(layout, missing=lists))
    assert any("1 address has no point" in line and str(lists) in line for line in found.said)
    text = lists.read_text("utf-8")
    assert text == 'address,lat,lon,rows\n"12 rue de la Paix, 74100, Annemasse",,,1\n'
    lists.write_text(text.replace(",,,", ",46.1935,6.2340,"), "utf-8")
    found = read_files(*files, replace(layout, places=(*layout.places, lists)))
    assert sum(len(day.bookings) for day in found.days) == 2
    stored = "".join(day.to_json() for day in found.days)
    assert "Paix" not in stored
    assert "NOM" not in stored
