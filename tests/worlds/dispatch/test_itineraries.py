"""Itineraries of a played day: what the day did, driver by driver, and each file of it."""

import csv
import dataclasses
import io
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from compagnon.cli import main
from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy import Schema, load_policy
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch.generator import generate
from compagnon.worlds.dispatch.importing.parsers import seats_of
from compagnon.worlds.dispatch.itineraries import played
from compagnon.worlds.dispatch.itineraries.clock import Calendar
from compagnon.worlds.dispatch.itineraries.files import COLUMNS, Options, write_itineraries
from compagnon.worlds.dispatch.itineraries.manifest import to_html
from compagnon.worlds.dispatch.itineraries.names import Names, read_names
from compagnon.worlds.dispatch.itineraries.words import WORDS
from compagnon.worlds.dispatch.travel import arrival
from tests.worlds.dispatch.importing.files import BOOKINGS, DRIVERS
from tests.worlds.dispatch.worlds import plane_day

POLICY = "expert:dispatch-regret"
STAMP = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two clinic days, the second with rides that nobody comes to."""
    path = tmp_path_factory.mktemp("days")
    for number, name in ((3, "2026-03-02"), (7, "2026-03-03")):
        day = generate("clinic-day", number)

        dataclasses.replace(day, name=name).save(path / f"{name}.json")
    return path


@pytest.fixture(scope="module")
def days(folder):
    return played.play_days(POLICY, folder)


def by_kind(one, kind):
    return [stop for plan in one.itineraries for stop in plan.stops if stop.kind == kind]


def test_every_booking_is_ridden_once_or_left(days, folder):
    env = BatchEnv(DISPATCH, {"days": str(folder)}, 1)
    for number, one in enumerate(days):
        dropped = [stop.booking for stop in by_kind(one, played.DROPOFF)]
        assert sorted(dropped) == sorted(stop.booking for stop in by_kind(one, played.PICKUP))
        assert sorted([*dropped, *one.left]) == list(range(len(one.day.bookings)))
        env.reset([number])
        policy = load_policy(POLICY, Schema.of(env))
        while not (step := env.step(policy.act(env.obs, env.action_mask, None))).terminated[0]:
            pass
        kpis = dict(zip(env.kpi_names, step.kpis[0], strict=True))
        assert kpis["served"] == len(dropped)


def test_who_names_no_begin_is_picked_up_when_the_driver_comes(tmp_path):
    ride = {"pickup": 1, "dropoff": 2, "pickup_from": -np.inf, "pickup_to": np.inf}
    one = plane_day(
        [{**ride, "dropoff_to": 600.0}],
        [{"shift_start": 490.0, "shift_end": 900.0}],
        [(0, 0), (10, 0), (-10, 0)],
    )
    one.save(tmp_path / "2026-03-02.json")
    (found,) = played.play_days("expert:dispatch-insertion", tmp_path)
    (pickup,), (dropoff,) = by_kind(found, played.PICKUP), by_kind(found, played.DROPOFF)
    assert (pickup.begins, pickup.ends) == (500.0, 502.0)  # 10 km from 490 on; boarding 2
    assert dropoff.begins == 522.0


def test_drivers_are_where_they_can_be_when_they_can_be_there(days):
    """The roads, the doors, the seats and the windows, checked from the day's own numbers."""
    for one in days:
        day, b = one.day, one.day.bookings
        for plan in one.itineraries:
            aboard = np.zeros(4, int)
            boarded: dict[int, float] = {}
            for before, stop in zip(plan.stops, plan.stops[1:], strict=False):
                at = _standing(plan, before)
                if stop.place >= 0 and before.kind != played.BREAK:
                    assert stop.begins >= _drive(day, at, stop.place, before.ends) - 1e-3
                assert stop.begins >= before.ends - 1e-6
                if stop.kind == played.PICKUP:
                    aboard += stop.load
                    boarded[stop.booking] = stop.ends
                    door = b.boarding[stop.booking] + b.boarding_delay[stop.booking]
                    assert stop.ends - stop.begins == pytest.approx(door)
                    assert stop.begins >= b.pickup_from[stop.booking] - 1e-6
                    assert stop.place == b.pickup[stop.booking]
                if stop.kind == played.DROPOFF:
                    assert stop.begins >= boarded.pop(stop.booking)
                    aboard -= stop.load
                assert (aboard <= day.drivers.seats[plan.driver]).all()
            assert not aboard.any()
            assert not boarded


def _standing(plan, before):
    """The last place that a driver was at, up to a stop."""
    past = plan.stops[: plan.stops.index(before) + 1]
    return next(stop.place for stop in reversed(past) if stop.place >= 0)


def _drive(day, start, end, leave):
    """When a driver who leaves then is there, by the great circle and the speed of the hour."""
    p, q = np.radians(day.travel.coordinates[start]), np.radians(day.travel.coordinates[end])
    half = np.sin((p[0] - q[0]) / 2) ** 2
    half += np.cos(p[0]) * np.cos(q[0]) * np.sin((p[1] - q[1]) / 2) ** 2
    km = 2 * 6371.0088 * np.arcsin(np.sqrt(half)) * day.travel.detour
    speed = day.travel.speed
    return arrival.py_func(speed, leave, km * 60 / day.travel.speed_kmh)


def test_nobody_is_met_only_where_nobody_was(days):
    for one in days:
        for stop in by_kind(one, played.NOBODY):
            assert one.day.bookings.no_show[stop.booking]
            assert stop.booking in one.left


def test_a_break_is_as_long_as_it_should_be(days):
    breaks = [stop for one in days for stop in by_kind(one, played.BREAK)]
    assert breaks
    assert {round(stop.ends - stop.begins) for stop in breaks} == {30}


def written(days, folder, names=None, formats=("csv", "xlsx", "ics", "html")):
    options = Options(formats, names or Names(), STAMP, zone="Europe/Zurich")
    return write_itineraries(days, folder, options)


def test_all_files_say_the_same(days, tmp_path):
    import openpyxl

    out = tmp_path / "out"
    drivers = sum(len(one.itineraries) for one in days)
    assert written(days, out) == len(list(out.iterdir())) == 3 * len(days) + drivers
    rows = list(csv.reader(io.StringIO((out / "2026-03-02.csv").read_text("utf-8"))))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) - 1 == sum(len(plan.stops) for plan in days[0].itineraries)
    book = openpyxl.load_workbook(out / "2026-03-02.xlsx")
    assert book.sheetnames == [f"D{k + 1}" for k in range(len(days[0].itineraries))]
    cells = [
        ["" if cell is None else str(cell) for cell in row]
        for sheet in book
        for row in list(sheet.values)[1:]
    ]
    assert cells == rows[1:]
    page = (out / "2026-03-02.html").read_text("utf-8")
    assert page.count("<section>") == len(days[0].itineraries)
    for row in rows[1:]:
        assert row[4] in page


def test_what_looks_like_a_formula_is_none(days, tmp_path):
    import openpyxl

    day = days[0].day
    names = Names(ids={(day.name, "driver", 0): "=1+1", (day.name, "driver", 1): "<b>&"})
    names.ids |= {(day.name, "booking", b): f"@{b}" for b in range(len(day.bookings))}
    written(days[:1], tmp_path / "out", names)
    assert ",'=1+1," in (tmp_path / "out" / "2026-03-02.csv").read_text("utf-8")
    book = openpyxl.load_workbook(tmp_path / "out" / "2026-03-02.xlsx")
    assert book.worksheets[0]["B2"].data_type == "s"
    page = (tmp_path / "out" / "2026-03-02.html").read_text("utf-8")
    assert "<b>&" not in page
    assert "&lt;b&gt;&amp;" in page


def test_what_cannot_be_written_is_refused_and_nothing_is(days, folder, tmp_path):
    out = tmp_path / "out"
    for formats, said in ((("pdf",), "use csv, xlsx, ics, html"), ((), "use csv")):
        with pytest.raises(InputError, match=said):
            written(days, out, formats=formats)
    with pytest.raises(InputError, match="no such time zone"):
        write_itineraries(days, out, Options(("csv",), Names(), STAMP, zone="Mars"))
    with pytest.raises(InputError, match=r"it does not name booking 1 of 2026-03-02"):
        written(days, out, Names(ids={("2026-03-02", "booking", 40000): "x"}))
    with pytest.raises(InputError, match=r"--day 2026-03-09: .* has 2026-03-02, 2026-03-03"):
        played.play_days(POLICY, folder, ("2026-03-09",))
    assert not out.exists()


def test_a_day_without_a_date_needs_one(days):

    day = dataclasses.replace(days[0].day, name="a2-16")
    with pytest.raises(InputError, match="a2-16 is no date; say which day it is by --date"):
        Calendar.of(day, None, "")
    assert Calendar.of(day, date(2026, 5, 1), "").clock(1450) == "00:10 +1"


def test_the_clock_of_the_wall_is_kept_when_it_is_put_forward():
    calendar = Calendar(date(2026, 3, 29), ZoneInfo("Europe/Zurich"))
    assert calendar.clock(119) == "01:59"
    assert calendar.clock(120) == "03:00"  # an hour of that night is not there
    assert calendar.utc(120) == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_the_manifest_has_a_page_a_driver(days):
    page = to_html(days[0], Names(), Calendar.of(days[0].day, None, ""))
    assert "@page" in page
    assert "break-after: page" in page
    assert page.count('<tr class="pickup">') == len(by_kind(days[0], played.PICKUP))
    assert "Monday, 02 March 2026" in page


def test_manifest_and_calendar_speak_french_and_tables_do_not(days, tmp_path):
    options = Options(("csv", "html", "ics"), Names(), STAMP, zone="Europe/Paris")
    write_itineraries(days, tmp_path / "en", options)
    write_itineraries(days, tmp_path / "fr", dataclasses.replace(options, language="fr"))
    for one in days:
        english, french = (tmp_path / k / one.day.name for k in ("en", "fr"))
        assert Path(f"{english}.csv").read_bytes() == Path(f"{french}.csv").read_bytes()
        page = Path(f"{french}.html").read_text("utf-8")
        assert '<html lang="fr">' in page
        rides = sum(plan.rides for plan in one.itineraries)
        for said, count in (("Prise en charge", rides), ("Dépose", rides)):
            assert page.count(f'<td class="what">{said}</td>') == count
        for words in (WORDS["en"].page, WORDS["en"].stops):
            for key, said in words.items():
                if key not in ("signature", "planned", "left"):
                    assert f">{said}<" not in page
        calendar = Path(f"{french}-D1.ics").read_bytes().decode()
        assert "//FR\r\n" in calendar
        assert "SUMMARY:Début de service\r\n" in calendar
        assert "SUMMARY:Shift" not in calendar
    assert "lundi 2 mars 2026" in (tmp_path / "fr" / "2026-03-02.html").read_text("utf-8")


def test_both_languages_say_the_same_things():
    english, french = WORDS["en"], WORDS["fr"]
    for name in ("stops", "seats", "page"):
        assert getattr(english, name).keys() == getattr(french, name).keys()
    assert len(set(french.months)) == len(english.months) == 12
    assert french.day(date(2026, 8, 1)) == "samedi 1er août 2026"
    assert [french.count(n) for n in (0, 1, 2)] == ["0 course", "1 course", "2 courses"]
    assert [english.count(n) for n in (0, 1, 2)] == ["0 rides", "1 ride", "2 rides"]
    load = (2, 1, 0, 3)
    assert english.load(load) == played.seats_text(load)
    assert french.load(load) == "2 assis + fauteuil + 3 accompagnants"
    assert seats_of(french.load(load)) == load  # and are read back


def test_the_command_calls_things_by_their_names(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.csv").write_text(BOOKINGS)
    (tmp_path / "d.csv").write_text(DRIVERS)
    both = ["b.csv", "--drivers", "d.csv", "--keep-ids", "ids.csv"]
    assert main(["data", "import", *both]) == 0
    ids = (tmp_path / "ids.csv").read_text()
    assert ids.splitlines()[:2] == ["day,kind,row,id,from,to", "2026-03-02,booking,0,a,,"]
    assert "Lovelace" not in ids
    command = ["data", "export", "days", "--ids", "ids.csv", "--zone", "Europe/Zurich"]
    assert main([*command, "--format", "csv", "ics"]) == 0
    assert "wrote 2 files to itineraries" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "itineraries" / "2026-03-02.csv").open()))
    assert {row["driver"] for row in rows} == {"d1"}
    assert {row["booking"] for row in rows} == {"", "a", "b", "c"}
    assert (tmp_path / "itineraries" / "2026-03-02-d1.ics").exists()
    assert main(command) == 2
    assert "itineraries is not empty" in capsys.readouterr().err
    assert main(["data", "export", "days", "--ids", "b.csv", "--out", "other"]) == 2
    assert "as data import --keep-ids writes it" in capsys.readouterr().err
    assert main(["data", "export", "days", "--policy", "expert:nobody", "--out", "other"]) == 2
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [("2026-03-02,booking,x,a,,", "row 2: it should have"),
     ("2026-03-02,booking,99999,a,,", "has no booking 99999")],
)  # fmt: skip
def test_names_that_cannot_be_are_named_by_their_row(days, tmp_path, line, said):
    path = tmp_path / "ids.csv"
    path.write_text(f"day,kind,row,id,from,to\n{line}\n")
    with pytest.raises(InputError, match=said):
        read_names(path, [days[0].day])


def test_ids_belong_to_the_rows_of_the_days(tmp_path, monkeypatch):
    """Rows in any order, on several days: each id's booking is where the table says."""
    from compagnon.worlds.dispatch.core import load_days

    monkeypatch.chdir(tmp_path)
    assert main(["data", "generate", "s", "--days", "3"]) == 0
    lines = (tmp_path / "s" / "bookings.csv").read_text().splitlines()
    (tmp_path / "s" / "bookings.csv").write_text("\n".join([lines[0], *sorted(lines[1:])[::-1]]))
    tables = ["s/bookings.csv", "--drivers", "s/drivers.csv", "--keep-ids", "ids.csv"]
    assert main(["data", "import", *tables]) == 0
    days = load_days(tmp_path / "days")
    names = read_names(tmp_path / "ids.csv", days)
    rows = {row["id"]: row for row in csv.DictReader((tmp_path / "s" / "bookings.csv").open())}
    count = 0
    for day in days:
        names.check(day)
        for b in range(len(day.bookings)):
            row = rows[names.booking(day, b)]
            there = day.travel.coordinates[day.bookings.pickup[b]]
            assert there.tolist() == [float(row["pickup_lat"]), float(row["pickup_lon"])]
            assert row["date"] == day.name
            count += 1
    assert count == len(names.ids) - sum(kind == "driver" for _, kind, _ in names.ids)
