"""`compagnon data` imports, checks, describes, resamples and collects; faults are shown."""

import json

import pytest
from sqlalchemy import NullPool, create_engine, text

from compagnon.cli import main
from compagnon.worlds.dispatch.instance import FORMAT, Instance
from tests.worlds.dispatch.importing.files import BOOKINGS, DRIVERS, spoilt
from tests.worlds.dispatch.importing.test_public import instance, written


@pytest.fixture
def tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bookings.csv").write_text(BOOKINGS)
    (tmp_path / "drivers.csv").write_text(DRIVERS)
    return ["bookings.csv", "--drivers", "drivers.csv"]


def test_import_writes_days_that_can_be_played(tables, capsys):
    assert main(["data", "import", *tables]) == 0
    printed = capsys.readouterr().out
    assert "3 of 3 bookings, 0 left out; 1 of 1 shifts, 0 left out" in printed
    assert "personal, dropped and nowhere stored: name" in printed
    assert "--env-args days=days" in printed
    assert main(["data", "import", *tables]) == 2
    assert "days is not empty" in capsys.readouterr().err


def test_a_fault_is_shown_and_the_rest_imported(tables, tmp_path, capsys):
    (tmp_path / "bookings.csv").write_text(spoilt(BOOKINGS, 4, "seats", "sleigh"))
    assert main(["data", "import", *tables, "--strict"]) == 2
    assert "unknown seat type" in capsys.readouterr().err
    assert not (tmp_path / "days").exists()
    assert main(["data", "check", *tables]) == 2
    shown = capsys.readouterr()
    assert "1 fault (listed above)" in shown.err
    assert "sleigh" in shown.out
    assert main(["data", "import", *tables]) == 0
    assert "2 of 3 bookings, 1 left out" in capsys.readouterr().out
    assert len(Instance.load(tmp_path / "days" / "2026-03-02.json").bookings) == 2


def test_check_writes_nothing(tables, tmp_path, capsys):
    assert main(["data", "check", *tables]) == 0
    assert "bookings.csv: good, 1 day" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bookings.csv", "drivers.csv"]
    assert main(["data", "check", "bookings.csv"]) == 2
    assert "--drivers drivers.csv" in capsys.readouterr().err


def test_a_public_instance_is_imported(tmp_path, capsys):
    path = str(written(tmp_path, instance()))
    assert main(["data", "import", path, "--out", str(tmp_path / "out")]) == 0
    assert "2 requests, 2 vehicles of 3 seats" in capsys.readouterr().out
    assert len(Instance.load(tmp_path / "out" / "made-x2-2.json").bookings) == 2
    assert main(["data", "check", str(tmp_path / "out" / "made-x2-2.json")]) == 0
    assert main(["data", "check", path, "--drivers", "d.csv"]) == 2


def test_days_are_generated_described_and_resampled(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "generate", "s", "--days", "3", "--seed", "5"]) == 0
    assert main(["data", "import", "s/bookings.csv", "--drivers", "s/drivers.csv"]) == 0
    capsys.readouterr()
    assert main(["data", "describe", "days"]) == 0
    loaded = [Instance.load(path) for path in sorted((tmp_path / "days").iterdir())]
    rides = sum(len(day.bookings) for day in loaded)
    shown = capsys.readouterr().out
    assert next(line for line in shown.splitlines() if line.startswith("rides ")).split()[
        -1
    ] == str(rides)
    page = (tmp_path / "days.html").read_text()
    assert page.count("<svg") == 8
    assert "Rides wanted by hour" in page
    assert main(["data", "resample", "days", "--count", "4"]) == 0
    made = sorted((tmp_path / "variants").iterdir())
    assert len(made) == 4
    assert json.loads(made[0].read_text())["format"] == FORMAT
    for words in (["resample", "days", "--out", "days"], ["generate", "x", "--preset", "moon"]):
        assert main(["data", *words]) == 2


def test_collect_reads_the_days_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    engine = create_engine("sqlite:///trips.db", poolclass=NullPool)
    rows = {"bookings": BOOKINGS.splitlines()[:2], "drivers": DRIVERS.splitlines()}
    with engine.begin() as connection:
        for table, (head, row) in rows.items():
            connection.execute(text(f"create table {table} (date, {head})"))
            values = ",".join(f"'{cell}'" for cell in row.split(","))
            connection.execute(text(f"insert into {table} values ('2026-03-02', {values})"))
    words = ["data", "collect", "--from", "sqlite:///trips.db", "--days", "90"]
    assert main([*words, "--until", "2026-03-31"]) == 0
    assert "wrote 1 bookings and 1 shifts to collected" in capsys.readouterr().out
    out = ["collected/bookings.csv", "--drivers", "collected/drivers.csv"]
    assert main(["data", "import", *out, "--strict"]) == 0
    assert main([*words, "--until", "2025-12-31", "--out", "earlier"]) == 2
    assert "no row from 2025-10-03 to 2025-12-31" in capsys.readouterr().err


def test_check_names_what_nobody_can_ever_serve(tables, tmp_path, capsys):
    (tmp_path / "bookings.csv").write_text(spoilt(BOOKINGS, 4, "seats", "3 ambulatory"))
    assert main(["data", "check", *tables]) == 2
    shown = capsys.readouterr()
    assert "1 booking that nobody can ever serve (listed above)" in shown.err
    assert "at most 2" in " ".join(shown.out.split())
    assert main(["data", "import", *tables, "--strict"]) == 0  # asked for all the same
    shown = capsys.readouterr().out
    assert "they can only be refused" in shown
    assert "3 of 3 bookings" in shown
    assert len(Instance.load(tmp_path / "days" / "2026-03-02.json").bookings) == 3
