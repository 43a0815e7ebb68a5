"""Places by name and address: capitals, accents and spaces do not count; two points are refused."""

import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch.importing.csv_reader import CsvRows
from compagnon.worlds.dispatch.importing.findings import Findings, Row
from compagnon.worlds.dispatch.importing.places import Places

TABLE = """nom;adresse;latitude;longitude
Clinique;1 av. de l'Hôpital, 74370 Épagny;46,23;6,12
Gare;;46,21;6,142
Foyer;;;
"""


def places(tmp_path, text=TABLE, name="places.csv"):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    findings = Findings()
    found = Places()
    found.read(path, findings)
    return found, findings


def filled(found, *addresses):
    rows = [Row(k, {"pickup_address": one}) for k, one in enumerate(addresses, 2)]
    faults = []
    sheet = CsvRows("b.csv", ("pickup_address",), tuple(rows))
    return found.fill(sheet, ("pickup", "dropoff"), faults, "places.csv"), faults


@pytest.mark.parametrize(
    "written",
    ["Clinique", "CLINIQUE ", "clinique", "1 av de l'hopital 74370 EPAGNY",
     "1  av. de l’Hôpital, 74370, Épagny"],
)  # fmt: skip
def test_a_place_is_found_however_it_is_written(tmp_path, written):
    found, _ = places(tmp_path)
    (sheet, faults) = filled(found, written)
    assert faults == []
    assert sheet.rows[0].cells["pickup_lat"] == "46.23"
    assert sheet.rows[0].cells["pickup_lon"] == "6.12"


def test_what_is_not_there_is_a_fault_and_listed_by_how_many_need_it(tmp_path):
    found, _ = places(tmp_path)
    sheet, faults = filled(found, "Foyer", "Gare", "FOYER", "École", "")
    assert [row.line for row in sheet.rows] == [3]
    assert [(one.row, one.given) for one in faults] == [
        (2, "Foyer"), (4, "FOYER"), (5, "École"), (6, "")
    ]  # fmt: skip
    found.write_missing(tmp_path / "missing.csv")
    text = (tmp_path / "missing.csv").read_text("utf-8")
    assert text == "address,lat,lon,rows\nFoyer,,,2\nÉcole,,,1\n"


def test_a_place_twice_with_two_points_is_refused_with_both_rows(tmp_path):
    with pytest.raises(InputError) as caught:
        places(tmp_path, TABLE + "GARE;;46,31;6,142\n")
    said = str(caught.value)
    assert "places.csv, row 5: 'GARE' has another point (46.31, 6.142)" in said
    assert "in places.csv, row 3 (46.21, 6.142); a place has one" in said
    places(tmp_path, TABLE + "GARE;;46,2101;6,142\n")  # eleven metres on: the same place


def test_a_point_that_is_none_is_a_fault_of_its_row(tmp_path):
    _, findings = places(tmp_path, TABLE + "Port;;691604,1;5334760,2\n")
    (fault,) = findings.faults
    assert (fault.row, fault.given) == (5, "691604,1, 5334760,2")
    assert "no place on earth" in fault.fault


@pytest.mark.parametrize(
    ("text", "said"),
    [("name,lat\nA,1\n", "no column lon"), ("lat,lon\n1,2\n", "no column name nor address")],
)
def test_a_table_without_its_columns_is_refused(tmp_path, text, said):
    with pytest.raises(InputError, match=said):
        places(tmp_path, text)
