"""Profiles, columns by name and tolerances: what they say is checked before a row is looked at."""

import dataclasses
import sys

import pytest

from compagnon.cli import main
from compagnon.errors import InputError
from compagnon.worlds.dispatch.commands import read_files
from compagnon.worlds.dispatch.importing.profile import (
    KNOWN,
    Profile,
    load_profile,
    read_tolerance,
    shipped_profiles,
    with_columns,
)
from compagnon.worlds.dispatch.importing.refine import halves_and_wholes
from compagnon.worlds.dispatch.layout_options import Layout
from tests.worlds.dispatch.importing.files import BOOKINGS, DRIVERS, spoilt
from tests.worlds.dispatch.importing.layouts import CASES, GENEVA, VSL, write

GOOD = """kind = "bookings"
tolerance = { pickup = [5, 10], dropoff = 30 }
zone = "Europe/Paris"
[columns]
id = "Nr"
pickup_time = "Heure"
pickup_address = ["Rue", "Ville"]
[constants]
seats = "ambulatory"
no_show = false
[words.seats]
"Fauteuil \u00c9l." = "wheelchair"
"""


def loaded(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, "utf-8")
    return load_profile(str(path))


def test_a_profile_is_read_and_written_the_same(tmp_path):
    profile = loaded(tmp_path, GOOD)
    assert profile.columns["pickup_address"] == ("Rue", "Ville")
    assert profile.tolerance == {"pickup": (5, 10), "dropoff": (30, 0)}
    assert profile.words == {"seats": {"fauteuil el.": "wheelchair"}}
    assert profile.constants == {"seats": "ambulatory", "no_show": "no"}
    again = loaded(tmp_path, profile.to_toml("a comment\nof two lines"))
    assert again == profile
    odd = {'a = "b" # c': "x\ty\\", "": "[z]"}
    profile = dataclasses.replace(profile, words={"seats": odd}, header=3, tolerance={})
    assert loaded(tmp_path, profile.to_toml()) == profile


@pytest.mark.parametrize("name", shipped_profiles())
def test_every_profile_that_ships_can_be_loaded(name):
    assert load_profile(name).kind


def test_those_that_ship_are_the_formats_that_are_promised():
    assert {"cordeau", "li-lim", "dial-a-ride", "fleetpy", "nyc-taxi"} <= set(shipped_profiles())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('id = "Nr"', 'id = "Nr"\nid = "No"', "line 6: id is given two columns"),
        ('id = "Nr"', 'id = ["Nr", "No"]', "id is given two columns, Nr and No"),
        ("pickup_time", "pickup_tme", r"no field of bookings \(did you mean pickup_time\?\)"),
        ("tolerance", "tolerence", r"tolerence is not known \(did you mean tolerance\?\)"),
        ("pickup = [5, 10]", "arrival = 5", "arrival is not known; pickup and dropoff are"),
        ("[5, 10]", "[5, 10, 15]", "minutes before and after"),
        ("[5, 10]", "9999", "0 to 720 minutes"),
        ('"bookings"', '"trips"', 'kind should be "bookings" or "drivers"'),
        ('kind = "bookings"\n', "", "kind should be"),
        ("[columns]", "[column]", r"column is not known \(did you mean columns\?\)"),
        ("[words.seats]", "[words.seat]", r"seat is no field .*did you mean seats"),
        ("kind =", "header = 0\nkind =", "header is the line"),
        ("kind =", 'encoding = "latin-99"\nkind =', "encoding 'latin-99' is not known"),
        ("kind =", 'delimiter = ";;"\nkind =', "one character"),
        ("kind = ", "kind = = ", "is not TOML"),
    ],
)
def test_what_a_profile_cannot_say_is_named(tmp_path, old, new, said):
    assert old in GOOD
    with pytest.raises(InputError, match=said) as caught:
        loaded(tmp_path, GOOD.replace(old, new, 1))
    assert "\n" not in str(caught.value)


def test_a_word_that_means_two_things_is_named(tmp_path):
    with pytest.raises(InputError, match="given two meanings"):
        loaded(tmp_path, GOOD + '"fauteuil el." = "stretcher"\n')
    with pytest.raises(
        InputError, match=r"line 13: Fauteuil \u00c9l. is given two meanings; a word"
    ):
        loaded(tmp_path, GOOD + '"Fauteuil \u00c9l." = "stretcher"\n')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('kind="bookings"\ncolumns = {id = "Nr", id = "No"}', "line 2: id is given two columns; a"),
        (GOOD + '[columns]\nid = "No"', r"line 13: the table \[columns\] stands there twice; put"),
        (GOOD.replace("no_show", "seats"), "line 10: seats stands there twice; give it once"),
        ('zone = "UTC"\n' + GOOD, "line 4: zone stands there twice"),
        (
            'kind="bookings"\ncolumns.id = "Nr"\ncolumns.id = "No"',
            "columns.id is given two columns",
        ),
    ],
)
def test_what_stands_in_a_profile_twice_is_named_as_what_it_is(tmp_path, text, said):
    with pytest.raises(InputError, match=said) as caught:
        loaded(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_profile_that_is_not_there_is_said_with_those_that_are():
    with pytest.raises(InputError, match=r"did you mean fleetpy\?\); there are cordeau"):
        load_profile("fleetpi")


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (("pickup_time=Heure", "pickup_time=RDV"), "given two columns, Heure and RDV"),
        (("pickup_tine=Heure",), "did you mean pickup_time"),
        (("Heure",), "is not FIELD=COLUMN"),
        (("cars.id=A",), "the tables are bookings and drivers"),
        (("drivers.shift_strat=A",), "no field of drivers .did you mean shift_start"),
        (("pickup_address=Rue + ",), "a heading is empty"),
    ],
)
def test_a_pair_that_cannot_be_is_named(pairs, said):
    with pytest.raises(InputError, match=said):
        with_columns(KNOWN, Profile("drivers"), pairs, ())


def test_a_value_that_is_given_twice_is_named():
    with pytest.raises(InputError, match="--set: seats is given two values, VSL and AMB; give it"):
        with_columns(KNOWN, Profile("drivers"), (), ("seats=VSL", "seats=AMB"))


def test_pairs_belong_to_their_table():
    rides, fleet = with_columns(
        KNOWN, Profile("drivers"), ("pickup_address=Rue+Ville", "drivers.id=Nom"), ("seats=VSL",)
    )
    assert rides.columns == {"pickup_address": ("Rue", "Ville")}
    assert rides.constants == {"seats": "VSL"}
    assert fleet.columns == {"id": ("Nom",)}


def test_tolerances_are_read_and_refused():
    assert read_tolerance(("15",)) == {"pickup": (15, 15), "dropoff": (15, 0)}
    assert read_tolerance(("pickup=0,10", "dropoff=30")) == {"pickup": (0, 10), "dropoff": (30, 0)}
    for text in ("soon", "arrival=5", "pickup=1,2,3", "pickup=-1"):
        with pytest.raises(InputError, match="--tolerance"):
            read_tolerance((text,))
    with pytest.raises(InputError, match="given twice"):
        read_tolerance(("15", "pickup=5"))


def test_one_time_without_a_tolerance_is_no_window(tmp_path):
    *files, layout = write(CASES[2], tmp_path)
    with pytest.raises(InputError, match="is one time, and no window"):
        read_files(*files, dataclasses.replace(layout, tolerance=()))


def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path):
    *files, layout = write(CASES[2], tmp_path)
    pairs = ("pickup_time=TIMES", *layout.map[1:])
    with pytest.raises(InputError, match=r"no column 'TIMES'.*did you mean TIME\?"):
        read_files(*files, dataclasses.replace(layout, map=pairs))


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ({"yes": True}, "--yes: of no use without --guess"),
        ({"sheet": "A"}, r"--sheet A: .*b\.csv is no XLSX, and has no sheets"),
        (
            {"map": ("drivers.id=Nom",), "vehicles": ("1 x VSL",)},
            "--map drivers.id=Nom: of no use",
        ),
        (
            {"set": ("drivers.seats=VSL",), "vehicles": ("1 x VSL",)},
            "--set drivers.seats=VSL: of no",
        ),
    ],
)
def test_what_would_do_nothing_is_refused(tmp_path, layout, said):
    rides, fleet = tmp_path / "b.csv", tmp_path / "d.csv"
    rides.write_text(BOOKINGS)
    fleet.write_text(DRIVERS)
    how = ("Europe/Paris", "", 30.0, False)
    with pytest.raises(InputError, match=said):
        read_files(rides, None if "vehicles" in layout else fleet, None, how, Layout(**layout))
    # What is of no use because of how the table is, is said beside what came of it.
    for given, note in (
        ({"tolerance": ("15",)}, "no column of one time was read, so the tolerance was of no use"),
        ({"missing": tmp_path / "m.csv"}, "no column of an address was read, so --missing was of"),
    ):
        said_there = read_files(rides, fleet, None, how, Layout(**given)).said
        assert [one for one in said_there if one.startswith(note)]
    assert not (tmp_path / "m.csv").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--keep-ids", "x.csv", "--missing", "x.csv"), "x.csv is given twice; two things cannot"),
        (("--keep-ids", "out"), "--keep-ids out lies in --out out, which holds days alone"),
        (("--missing", "out/m.csv"), "--missing out/m.csv lies in --out out"),
    ],
)
def test_files_that_would_be_in_each_others_way_are_refused(
    tmp_path, monkeypatch, capsys, words, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.csv").write_text(BOOKINGS)
    (tmp_path / "d.csv").write_text(DRIVERS)
    assert main(["data", "import", "b.csv", "--drivers", "d.csv", "--out", "out", *words]) == 2
    assert said in capsys.readouterr().err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["b.csv", "d.csv"]


def test_two_profiles_of_one_table_and_a_format_beside_a_map_are_refused(tmp_path):
    with pytest.raises(InputError, match="are both of bookings"):
        Layout(profile=("ridesheet", "fleetpy")).profiles()
    with pytest.raises(InputError, match=r"--map: of no use with an instance \(cordeau\)"):
        Layout(profile=("cordeau",), map=("id=A",)).profiles()


def test_days_written_in_two_ways_are_refused_with_a_row_of_each(tmp_path):
    text = VSL.replace("C-002;02/03/2026", "C-002;03/13/2026").replace("02/03", "13/03")
    case = dataclasses.replace(CASES[0], text=text)
    *files, layout = write(case, tmp_path)
    with pytest.raises(InputError) as caught:
        read_files(*files, layout)
    said = str(caught.value)
    assert "13/03/2026 (trips.csv, row 2) has the day first" in said
    assert "03/13/2026 (trips.csv, row 3) the month" in said


def test_no_drivers_and_two_fleets_are_refused(tmp_path):
    file, drivers, *rest, layout = write(CASES[3], tmp_path)
    with pytest.raises(InputError, match=r"--drivers drivers\.csv, or --vehicles"):
        read_files(file, None, *rest, layout)
    both = dataclasses.replace(layout, vehicles=("2 x 3 ambulatory",))
    with pytest.raises(InputError, match="--vehicles and --drivers cannot go together"):
        read_files(file, drivers, *rest, both)
    with pytest.raises(InputError, match="give a number and the seats of each"):
        read_files(file, None, *rest, dataclasses.replace(layout, vehicles=("three vans",)))
    found = read_files(file, None, *rest, dataclasses.replace(layout, vehicles=("2 x 3 TPMR",)))
    assert found.days[0].drivers.seats.tolist() == [[0, 3, 0, 0]] * 2


@pytest.fixture
def sheet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vsl.csv").write_text(VSL, "utf-8")
    (tmp_path / "places.csv").write_text(GENEVA, "utf-8")
    return ["data", "import", "vsl.csv", "--vehicles", "2 x ambulatory + stretcher",
            "--places", "places.csv", "--zone", "Europe/Paris"]  # fmt: skip


def test_a_guess_is_shown_and_imported_only_when_agreed_to(sheet, tmp_path, capsys):
    assert main([*sheet, "--guess"]) == 2
    shown = capsys.readouterr()
    assert "nothing is imported by a guess that nobody has agreed to" in shown.err
    line = next(one for one in shown.out.splitlines() if one.startswith("pickup_time"))
    assert "Heure prise en charge" in line
    assert "08h45" in line
    assert "100%" in line
    assert "NOM" not in shown.out  # no sample of what nobody asked for
    assert not (tmp_path / "days").exists()
    assert main([*sheet, "--profile", "vsl.profile.toml"]) == 0
    assert "2 of 2 bookings" in capsys.readouterr().out
    assert main([*sheet, "--guess", "--yes", "--out", "again"]) == 2  # the profile is there
    assert "vsl.profile.toml is there already" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2), ("", 2)])
def test_a_person_is_asked(sheet, tmp_path, monkeypatch, answer, code, capsys):
    class Terminal:
        def isatty(self):
            return True

        def readline(self):
            return answer

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert main([*sheet, "--guess"]) == code
    assert (tmp_path / "days").exists() == (code == 0)
    assert "Import by this guess? [y/N]" in capsys.readouterr().err


def test_yes_takes_the_guess(sheet, tmp_path, capsys):
    assert main([*sheet, "--guess", "--yes"]) == 0
    assert (tmp_path / "days" / "2026-03-02.json").exists()
    assert "not used, and dropped: Patient" in capsys.readouterr().out


def test_a_table_that_nothing_is_known_of_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("Foo,Bar\n1,2\n")
    command = ["data", "import", "x.csv", "--vehicles", "1 x ambulatory", "--guess", "--yes"]
    assert main(command) == 2
    assert "no column is known" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.csv"]


def test_a_map_leaves_the_other_headings_as_they_are_known(tmp_path):
    text = BOOKINGS.replace("pickup_to", "bis")
    (tmp_path / "b.csv").write_text(text)
    (tmp_path / "d.csv").write_text(DRIVERS.replace("shift_end", "Ende"))
    layout = Layout(map=("pickup_to=bis", "drivers.shift_end=Ende"))
    how = ("", "", 30.0, False)
    found = read_files(tmp_path / "b.csv", tmp_path / "d.csv", None, how, layout)
    assert len(found.days[0].bookings) == 3
    (tmp_path / "b.csv").write_text(spoilt(text, 2, "bis", "late"))
    found = read_files(tmp_path / "b.csv", tmp_path / "d.csv", None, how, layout)
    assert found.faults[0].field == "pickup_to (bis)"


def test_a_guess_leaves_alone_what_nothing_bears_out(tmp_path):
    from compagnon.worlds.dispatch.importing.columns import BOOKINGS as ASKED
    from compagnon.worlds.dispatch.importing.guess import guess_profile

    path = tmp_path / "m.csv"
    path.write_text("NAME,PICK UP,DROP OFF,TIME,RUN TIME,Appt\nA,1 Main St,2 Main St,08:30,,soon\n")
    found = guess_profile(path, ASKED, KNOWN)
    assert {one.field: one.cells for one in found.fields} == {
        "pickup_address": ("PICK UP",), "dropoff_address": ("DROP OFF",), "pickup_time": ("TIME",)
    }  # fmt: skip
    assert found.unused == ("NAME", "RUN TIME", "Appt")
    assert found.profile.tolerance == {"pickup": (15, 15)}


def test_both_tables_are_guessed_where_neither_is_known(sheet, tmp_path, capsys):
    (tmp_path / "fahrer.csv").write_text(
        "Chauffeur,Dienst,debut poste,fin postes,Latitude du depot,Longitude du depot,Capacite\n"
        "D1,x,2026-03-02 07:00,2026-03-02 19:00,46.2,6.14,2 assis + brancard\n"
    )
    command = [*sheet[:3], "--drivers", "fahrer.csv", *sheet[5:], "--guess", "--yes"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "fahrer.csv seems to have these columns" in shown
    line = next(one for one in shown.splitlines() if one.startswith("shift_end"))
    assert "look at it" in line or "likely" in line
    assert load_profile("fahrer.profile.toml").columns["shift_end"] == ("fin postes",)


@pytest.mark.parametrize(
    ("times", "mixed"),
    [(("9:00 AM", "9:30"), True), (("9:00 AM", "14:30"), False), (("9:00", "9:30"), False),
     (("9:00 AM", "9:30 pm"), False), (("9 AM", "2026-03-02T08:15"), True)],
)  # fmt: skip
def test_halves_beside_whole_days_are_said(times, mixed):
    assert halves_and_wholes(times) == mixed


def test_what_says_how_a_table_is_read_is_of_no_use_to_an_instance(tmp_path):
    from tests.worlds.dispatch.importing.test_public import instance, written

    path, how = written(tmp_path, instance()), ("", "", 30.0, False)
    for options in ({"map": ("id=A",)}, {"vehicles": ("1 x VSL",)}, {"guess": True}):
        with pytest.raises(InputError, match="of no use with an instance"):
            read_files(path, None, None, how, Layout(**options))
    with pytest.raises(InputError, match=r"--profile ridesheet: .* is an instance"):
        read_files(path, None, None, how, Layout(profile=("ridesheet",)))
    assert len(read_files(path, None, None, how, Layout(profile=("dial-a-ride",))).days) == 1


def test_a_row_with_a_way_back_is_two_bookings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case = next(one for one in CASES if one.name == "hospital list with returns")
    *files, layout = write(case, tmp_path)
    found = read_files(*files, layout)
    assert found.said[-1].startswith("4 of 5 bookings, 1 left out")  # one is cancelled
    b = found.days[0].bookings
    assert b.linked_to.tolist() == [-1, 0, -1, 2]
    assert (b.pickup[1], b.dropoff[1]) == (b.dropoff[0], b.pickup[0])
    assert (b.pickup_from[1], b.pickup_to[1]) == (720, 750)  # 12h15, a quarter before and after
    assert b.load[1].tolist() == b.load[0].tolist()


def test_cells_tell_a_time_from_a_place_and_what_a_seat_is(tmp_path):
    from compagnon.worlds.dispatch.importing.columns import BOOKINGS as ASKED
    from compagnon.worlds.dispatch.importing.guess import guess_profile

    path = tmp_path / "d.csv"
    path.write_text("Heure;Départ;Arrivée;Qui\n9h30;Gare;Clinique;TPMR\n10h;Clinique;Gare;VSL\n")
    found = {one.field: one for one in guess_profile(path, ASKED, KNOWN).fields}
    assert found["pickup_address"].cells == ("Départ",)
    assert found["dropoff_address"].cells == ("Arrivée",)
    assert (found["seats"].cells, found["seats"].sure) == (("Qui",), 0.6)
    path.write_text("Départ;Arrivée;Qui\n9h30;10h00;TPMR\n10h;10h40;luge\n")
    found = {one.field: one.cells for one in guess_profile(path, ASKED, KNOWN).fields}
    assert found == {"pickup_time": ("Départ",), "dropoff_time": ("Arrivée",)}
