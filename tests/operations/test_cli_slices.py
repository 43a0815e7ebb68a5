"""`compagnon slices`: from a log to a frozen slice, and what it refuses."""

import pytest

from compagnon.cli import main
from compagnon.operations import slices
from compagnon.operations.slices.slice import ARRAYS
from compagnon.store import outcomes, overrides
from tests.operations.test_deployment import GOOD
from tests.store.rows import row

START = 1_700_000_000.0


@pytest.fixture
def filled(store):
    store.append([row(k, time=START + k) for k in range(20)])
    outcomes.define(store, "profit", 60.0)
    outcomes.define(store, "late", 60.0)
    outcomes.put_many(store, [(row(k).id, "profit", float(k)) for k in range(10)], START + 20)
    overrides.put(store, row(5).id, "overridden", action=0, reason="ill")
    return store


def run(store, *words, code=0):
    assert main(["slices", "freeze", *words, "--db", store.address]) == code


def test_a_slice_is_frozen_and_checked(filled, tmp_path, capsys):
    out = tmp_path / "slices" / "monday"
    words = ["--outcomes", "profit=1", "late=-5", "--zero", "late", "--application", "shop"]
    run(filled, *words, "--out", str(out))
    said = capsys.readouterr().out
    assert "20 decisions to" in said
    assert "profit 4.500 10 0 10 60 s" in " ".join(said.split())
    assert "1 were overridden by people" in said
    sha256 = said.split("hash ")[1].split()[0]
    assert main(["slices", "check", str(out), "--sha256", sha256[:16]]) == 0
    assert sha256 in capsys.readouterr().out
    found = slices.load(out, sha256)
    objective = slices.Objective.of_json(found.manifest["objective"])
    rewards = objective.rewards(found.outcomes, found.outcome_names)
    assert rewards[:10].tolist() == list(range(10))
    (out / ARRAYS).write_bytes((out / ARRAYS).read_bytes()[:-1])
    assert main(["slices", "check", str(out)]) == 2
    assert "was changed, or is cut" in capsys.readouterr().err


def test_a_deployment_says_whose_and_what_for(filled, tmp_path):
    out = tmp_path / "slice"
    (tmp_path / "d.toml").write_text(GOOD)
    run(filled, "--deployment", str(tmp_path / "d.toml"), "--out", str(out))
    found = slices.load(out)
    assert (len(found), found.manifest["application"]) == (20, "shop")
    objective = slices.Objective.of_json(found.manifest["objective"])
    assert (objective.weights, objective.zero) == ({"profit": 1.0, "late": -5.0}, {"late"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--outcomes", "happiness=1"], "no outcome 'happiness' has come"),
        (["--outcomes", "profit"], "'profit' is not KEY=VALUE"),
        ([], "give --deployment FILE.toml, or --outcomes"),
        (["--deployment", "d.toml", "--outcomes", "profit=1"], "leave --application, --outcomes"),
        (["--outcomes", "profit=1", "--zero", "late"], "late is none of the objective's"),
        (["--outcomes", "profit=1", "--application", "nobody"], "of application 'nobody'"),
        (["--outcomes", "profit=1", "--since", "2026-01-02", "--until", "2026-01-01"],
         "give a time after --since"),
    ],
)  # fmt: skip
def test_what_cannot_be_frozen_is_one_sentence_and_leaves_nothing(
    filled, tmp_path, capsys, words, said
):
    out = tmp_path / "slice"
    usual = [] if "--application" in words else ["--application", "shop"]
    run(filled, *usual, *words, "--out", str(out), code=2)
    assert said in " ".join(capsys.readouterr().err.split())
    assert not out.exists()


def test_a_folder_that_holds_something_is_not_written_over(filled, tmp_path, capsys):
    (tmp_path / "mine").write_text("x")
    run(filled, "--outcomes", "profit=1", "--out", str(tmp_path), code=2)
    assert "is not empty" in capsys.readouterr().err
