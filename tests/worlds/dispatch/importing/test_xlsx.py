"""XLSX: one sheet by its name; merged cells and formulas without a value are refused by name."""

import dataclasses
import re
import zipfile
from datetime import datetime, time, timedelta

import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch.commands import read_files
from compagnon.worlds.dispatch.importing import xlsx_book, xlsx_reader
from tests.worlds.dispatch.importing.layouts import CASES, EXCEL, write, write_xlsx

CASE = next(case for case in CASES if case.suffix == ".xlsx")


@pytest.fixture(autouse=True)
def _within(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_sheet_is_chosen_by_its_name(tmp_path):
    *files, layout = write(CASE, tmp_path)
    with pytest.raises(InputError, match="has the sheets Notes, Courses; say which with --sheet"):
        read_files(*files, dataclasses.replace(layout, sheet=""))
    with pytest.raises(InputError, match=r"no sheet Course \(did you mean Courses"):
        read_files(*files, dataclasses.replace(layout, sheet="Course"))


def rows_of(tmp_path, sheets, sheet="", **more):
    path = tmp_path / "some.xlsx"
    write_xlsx(path, sheets, **more)
    notes = []
    return xlsx_reader.read_xlsx(path.read_bytes(), path, sheet, notes), notes


def test_merged_cells_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="sheet Courses: merged cells in A2:A3; unmerge them"):
        rows_of(tmp_path, {"Courses": EXCEL["Courses"]}, merged=("A2:A3",))


def test_formulas_that_were_never_worked_out_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="sheet Courses: formulas without a value in C2, C3"):
        rows_of(tmp_path, {"Courses": EXCEL["Courses"]}, formulas=(("C2", "=1/3"), ("C3", "=1/2")))


def changed(path, pattern, new):
    """The first sheet of a workbook with other markup, as other software might have left it."""
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet], count = re.subn(pattern, new, parts[sheet])
    assert count
    with zipfile.ZipFile(path, "w") as book:
        for name, data in parts.items():
            book.writestr(name, data)


def test_a_size_that_the_sheet_does_not_have_hides_nothing(tmp_path):
    path = tmp_path / "small.xlsx"
    write_xlsx(path, {"A": [["n", "m"], [1, 2], [3, 4]]})
    changed(path, rb'<dimension ref="[^"]+"', b'<dimension ref="A1"')
    lines = xlsx_reader.read_xlsx(path.read_bytes(), path, "", [])
    assert lines == [(1, ["n", "m"]), (2, ["1", "2"]), (3, ["3", "4"])]


def test_formulas_that_have_a_value_are_read_by_it(tmp_path):
    path = tmp_path / "worked.xlsx"
    write_xlsx(path, {"A": [["n"], [1]]}, formulas=(("A2", "=1+1"),))
    changed(path, rb"<v\s*/>|<v></v>", b"<v>2</v>")
    notes = []
    lines = xlsx_reader.read_xlsx(path.read_bytes(), path, "", notes)
    assert lines == [(1, ["n"]), (2, ["2"])]
    assert "the values that they had" in notes[0]


def test_every_kind_of_cell_becomes_its_text(tmp_path):
    cells = [
        datetime(2026, 3, 2), datetime(2026, 3, 2, 8, 15), time(8, 15), timedelta(hours=26),
        46.2044, 12, True, None, " Annemasse ",
    ]  # fmt: skip
    lines, _ = rows_of(tmp_path, {"A": [["x"], [], cells]})
    assert lines[1] == (
        3,
        ["2026-03-02", "2026-03-02T08:15:00", "08:15:00", "26:00", "46.2044", "12", "yes", "",
         "Annemasse"],
    )  # fmt: skip


def test_what_is_no_workbook_is_refused(tmp_path):
    path = tmp_path / "x.xlsx"
    for data in (b"PK\x03\x04 and no more", b"\xd0\xcf\x11\xe0 of the nineties"):
        path.write_bytes(data)
        *files, layout = write(CASE, tmp_path)
        with pytest.raises(InputError, match="is a spreadsheet"):
            read_files(path, *files[1:], layout)


def test_a_workbook_that_unpacks_to_more_than_fits_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(xlsx_book, "MAX_UNPACKED", 100)
    with pytest.raises(InputError, match="unpacks to"):
        rows_of(tmp_path, {"A": [["x"], [1]]})
