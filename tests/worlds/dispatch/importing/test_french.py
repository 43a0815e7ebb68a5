"""What Excel in French, and other people's software, writes; and what is missing in it, by name."""

import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch.importing.headings import BOOKINGS, DRIVERS
from compagnon.worlds.dispatch.importing.records import BOOKING_COLUMNS, DRIVER_COLUMNS
from tests.worlds.dispatch.importing.files import read

RIDES = """N° course;Date;Latitude départ;Longitude départ;Latitude arrivée;Longitude arrivée;\
Type de transport;Prise en charge de;Prise en charge à;Priorité;Absent;Patient
C1;02/03/2026;46,2;6,14;46,24;6,14;fauteuil roulant + accompagnant;09h00;09h30;4;non;René
C2;02/03/2026;46,2;6,14;46,24;6,14;VSL;9:15;9h45;;oui;Zoé
C3;2026-03-02;46,2;6,14;46,24;6,14;2 assis et accompagnateur;02/03/2026 10:00;10h30;;;
C4;02/03/2026;46,2;6,14;46,24;6,14;Allongé;23h30;00h15;;;
"""
FLEET = """Matricule;Jour;Début de service;Fin de service;Latitude dépôt;Longitude dépôt;Places;\
Pause de;Pause à;Minutes de pause
D1;02/03/2026;08h00;02h00;46,2;6,14;3 assis + 2 fauteuils + 2 accompagnants + brancard;\
12h00;13h30;30
"""


def french(folder, rides=RIDES, fleet=FLEET, encoding="cp1252"):
    return read(folder, rides.encode(encoding), fleet.encode(encoding), zone="Europe/Paris")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-8-sig", "utf-16"])
def test_french_excel_is_read_whole(tmp_path, encoding):
    report = french(tmp_path, encoding=encoding)
    assert (report.faults, report.unservable) == ((), ())
    (day,) = report.days
    b, d = day.bookings, day.drivers
    assert day.name == "2026-03-02"
    assert b.load.tolist() == [[0, 1, 0, 1], [1, 0, 0, 0], [2, 0, 0, 1], [0, 0, 1, 0]]
    assert b.pickup_from.tolist() == [540, 555, 600, 1410]
    assert b.pickup_to.tolist() == [570, 585, 630, 1455]  # a quarter past midnight
    assert b.no_show.tolist() == [False, True, False, False]
    assert b.priority.tolist() == [4, 3, 3, 3]
    assert d.seats.tolist() == [[3, 2, 1, 2]]
    assert (d.shift_start[0], d.shift_end[0]) == (480, 1560)
    assert (d.break_from[0], d.break_to[0], d.break_minutes[0]) == (720, 810, 30)
    assert day.travel.coordinates[0].tolist() == [46.2, 6.14]
    notes = "\n".join(report.notes)
    assert "pickup_lat (Latitude départ)" in notes
    assert "day first" in notes
    assert "personal, dropped and nowhere stored: patient" in notes


def test_the_line_by_which_excel_tells_the_delimiter_is_no_header(tmp_path):
    assert french(tmp_path, "sep=;\r\n" + RIDES).bookings == 4


def test_a_typing_error_is_no_window_through_the_night(tmp_path):
    (fault,) = french(tmp_path, RIDES.replace("09h30", "08h30")).faults
    assert (fault.row, fault.field, fault.given) == (2, "pickup_to", "08h30")
    assert "before it begins" in fault.fault


def test_a_time_without_a_day_needs_a_date(tmp_path):
    (fault,) = french(tmp_path, RIDES.replace("C2;02/03/2026", "C2;")).faults[:1]
    assert (fault.row, fault.fault) == (3, "has no day")
    assert "a column date" in fault.right


def test_american_days_are_known_by_their_times(tmp_path):
    text = RIDES.replace("02/03/2026", "3/2/2026").replace("09h00", "9:00 AM")
    report = french(tmp_path, text, FLEET.replace("02/03/2026", "3/2/2026"))
    assert [day.name for day in report.days] == ["2026-03-02"]
    assert any("the month, as in the USA first" in note for note in report.notes)


def test_addresses_are_said_to_be_no_places(tmp_path):
    text = RIDES.replace("Latitude départ;Longitude départ", "Adresse départ;Ville départ")
    with pytest.raises(InputError) as caught:
        french(tmp_path, text)
    said = str(caught.value)
    assert "no column pickup_lat, pickup_lon in its first line" in said
    assert "id (N° course)" in said
    assert "Adresse départ, Ville départ: an address is no place on a map" in said
    with pytest.raises(InputError, match="seats, pickup_to nor dropoff_to"):
        read(tmp_path, "id,pickup_lat,pickup_lon,dropoff_lat,dropoff_lon\n1,2,3,4,5\n")


def test_every_column_has_other_words_and_no_word_two_columns():
    for words, columns in ((BOOKINGS, BOOKING_COLUMNS), (DRIVERS, DRIVER_COLUMNS)):
        assert set(words) == set(columns)
        every = [word for others in words.values() for word in others]
        assert len(set(every)) == len(every)
        assert not set(every) & set(words)
        assert all(words.values())
