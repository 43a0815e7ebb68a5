"""The log as a table: every decision, what people and time made of it, in CSV and in Parquet."""

import csv
import sys

import numpy as np
import pyarrow.parquet
import pytest

from compagnon.cli import main
from compagnon.store import outcomes, overrides
from tests.policy.networks import schema_of
from tests.serving.support import exported
from tests.store.rows import row

START = 1_700_000_000.0


@pytest.fixture
def filled(store):
    store.append([row(k, time=START + k, episode=f"d{k // 10}") for k in range(1205)])
    store.append([row(2000, time=START + 5000, application="other", key="=1+1")])
    outcomes.define(store, "profit", 60.0)
    outcomes.put(store, row(3).id, "profit", 0.1 + 0.2, START + 10)
    outcomes.put(store, row(4).id, "late", 1.0, START + 9e9)
    overrides.put(store, row(5).id, "overridden", action=0, reason='a, "b"\nc', person="anna")
    return store


def run(store, out, *words):
    assert main(["log", "export", str(out), "--db", store.address, *words]) == 0
    if out.suffix == ".parquet":
        return pyarrow.parquet.read_table(out).to_pylist()
    with out.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_every_decision_and_what_came_of_it(filled, tmp_path):
    rows = run(filled, tmp_path / "log.csv")
    assert [one["id"] for one in rows] == [*(row(k).id for k in range(1205)), row(2000).id]
    assert rows[3]["outcome_profit"] == repr(0.1 + 0.2)
    assert (rows[3]["late_profit"], rows[3]["outcome_late"]) == ("False", "")
    assert (rows[4]["outcome_late"], rows[4]["late_late"]) == ("1.0", "True")
    assert (rows[5]["human"], rows[5]["human_action"]) == ("overridden", "0")
    assert rows[5]["human_reason"] == 'a, "b"\nc'
    assert float(rows[7]["time"]) == START + 7
    assert (rows[7]["probability"], rows[7]["action"]) == ("0.25", str(row(7).action))
    assert rows[-1]["key"] == "'=1+1"  # no formula
    assert "feature_0" not in rows[0]


def test_parquet_has_the_same_with_types(filled, tmp_path):
    rows = run(filled, tmp_path / "log.parquet", "--arrays", "--application", "shop")
    assert len(rows) == 1205
    assert rows[3]["outcome_profit"] == 0.1 + 0.2
    assert rows[3]["outcome_late"] is None
    assert rows[4]["late_late"] is True
    assert rows[5]["human_action"] == 0
    assert rows[7]["time"] == START + 7
    assert rows[7]["possible"] == [0, 1, 3, 4]
    assert rows[7]["probabilities"] == [0.25, 0.25, 0.0, 0.25, 0.25]
    assert [rows[7][f"feature_{k}"] for k in range(12)] == list(range(7, 19))


def test_a_window_and_the_names_of_a_policy(filled, tmp_path):
    since, until = "2023-11-14T22:13:30", "2023-11-14T22:13:35+00:00"
    rows = run(filled, tmp_path / "log.csv", "--since", since, "--until", until, "--arrays")
    assert [one["id"] for one in rows] == [row(k).id for k in range(10, 15)]
    assert rows[0]["probabilities"] == "0.25 0.25 0.0 0.25 0.25"
    schema = schema_of("compagnon/Workshop-v0")
    count = len(schema.observation.fields)
    features = np.arange(count, dtype="<f4").tobytes()
    filled.append([row(3000, time=START + 9000, features=features)])
    policy = exported(tmp_path / "policy")
    rows = run(
        filled, tmp_path / "named.csv", "--policy", str(policy), "--since", str(START + 8999)
    )
    names = schema.observation.names
    assert [float(rows[0][f"feature_{name}"]) for name in names] == list(range(count))
    # A field is called `time`, as a column of the decision is: both are there.
    assert (float(rows[0]["time"]), float(rows[0]["feature_time"])) == (START + 9000, 0.0)


def refused(store, words, capsys):
    assert main(["log", "export", *words, "--db", store.address]) == 2
    return capsys.readouterr().err


def test_what_cannot_be_written_leaves_nothing(filled, tmp_path, capsys, monkeypatch):
    out = tmp_path / "log.csv"
    assert "ends with .csv or .parquet" in refused(filled, [str(tmp_path / "log.xls")], capsys)
    said = refused(filled, [str(out), "--since", "2030-01-01"], capsys)
    assert "no decision was logged in that time" in said
    policy = exported(tmp_path / "policy")
    said = refused(filled, [str(out), "--policy", str(policy)], capsys)
    assert "decision decision-000000 has 12 features, and the policy" in said
    filled.append([row(4000, features=b"\0" * 8)])
    said = refused(filled, [str(out), "--arrays"], capsys)
    assert "decision-004000 was made by a policy of another schema than the first" in said
    assert "--since soon: give a day" in refused(filled, [str(out), "--since", "soon"], capsys)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    said = refused(filled, [str(tmp_path / "log.parquet")], capsys)
    assert "Parquet needs pyarrow: pip install pyarrow" in said
    assert [one.name for one in tmp_path.iterdir() if "log.c" in one.name] == []
    out.write_text("mine")
    assert "is there already" in refused(filled, [str(out)], capsys)
    assert out.read_text() == "mine"
    assert "is not there" in refused(filled, [str(tmp_path / "no" / "log.csv")], capsys)


def test_nothing_else_in_the_folder_is_touched_and_a_link_is_written_through(filled, tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "victim").write_text("mine")
    (folder / ".log.csv.part").symlink_to(folder / "victim")
    (tmp_path / "real.csv").write_text("old")
    (folder / "log.csv").symlink_to(tmp_path / "real.csv")
    rows = run(filled, folder / "log.csv", "--force")
    assert len(rows) == 1206
    assert (folder / "log.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text().startswith("id,time")
    assert (folder / "victim").read_text() == "mine"
    assert sorted(one.name for one in folder.iterdir()) == [".log.csv.part", "log.csv", "victim"]
