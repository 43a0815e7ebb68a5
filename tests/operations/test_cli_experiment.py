"""`compagnon experiment`: what each verb says, and what it refuses, by one sentence."""

import json

import pytest

from compagnon.cli import experiment, main
from compagnon.operations import slices
from compagnon.store import events, experiments
from tests.operations.experiments.plans import at
from tests.operations.experiments.simulated import a_stored_plan, define, play

TOML = """
name = "pooling"
salt = "late-2026-03"
arms = ["A", "B"]
starts_at = 2026-03-02T00:00:00Z
days = 14
unit = { kind = "sticky", window_hours = 12 }
primary = { name = "profit", direction = "up" }
"""


@pytest.fixture
def clock(monkeypatch):
    """Sets the time of the verbs, in days after the start."""

    def to(day):
        monkeypatch.setattr(experiment, "now", lambda: at(day))

    to(-1)
    return to


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pooling.toml"
    path.write_text(TOML)
    return str(path)


@pytest.fixture
def run(store, clock, capsys):
    """What a verb prints, with its blanks and lines as one."""

    def ask(*words, code=0):
        assert main(["experiment", *words, "--db", store.address]) == code
        said = capsys.readouterr()
        if code:
            assert said.out == ""
            assert said.err.startswith("compagnon: ")
            assert said.err.count("\n") == 1
        return " ".join((said.err if code else said.out).split())

    return ask


def shop(*words):
    return (*words, "--application", "shop")


def test_the_same_plan_as_toml_and_as_json_is_one_experiment(store, run, file, tmp_path):
    define(store)
    first = run(*shop("plan", file))
    other = tmp_path / "pooling.json"
    other.write_text(experiments.get(store, "pooling").plan)
    assert run(*shop("plan", str(other))) == first
    sha256 = experiments.get(store, "pooling").sha256
    assert (
        f"pooling is planned, 14 looks from 2026-03-02 00:00 to 2026-03-16 00:00 UTC hash {sha256}"
        in first
    )
    assert "what this traffic can tell apart is not known: past: 0 mature decisions" in first
    assert len(experiments.listed(store)) == 1


def test_what_can_be_told_apart_comes_from_the_log_or_a_slice(store, run, file, tmp_path, clock):
    play(store, a_stored_plan(), days=0, before=20)
    content = slices.collect(store, ["profit"], application="shop", now=at(-1))
    slices.freeze(content, tmp_path / "slice")
    said = run(*shop("plan", file))
    assert said.startswith("in 14 days this traffic can tell ")
    with store.read() as connection:
        told = [one for one in events.read(connection) if one.kind == experiments.PLANNED]
    known = told[0].body["evidence"]["detectable"]
    assert f"{100 * known['relative']:.2g} % apart" in said
    assert run(*shop("plan", file, "--past", str(tmp_path / "slice"))) == said
    refused = run(*shop("plan", file, "--past", str(tmp_path)), code=2)
    assert "slice.json cannot be read" in refused


def test_status_without_a_name_is_that_of_the_one_that_runs(store, run, file, tmp_path, clock):
    assert "no experiment of application 'shop' runs; compagnon experiment plan FILE" in run(
        *shop("status"), code=2
    )
    define(store)
    run(*shop("plan", file))
    assert run("status", "pooling") == "planned: compagnon experiment start pooling"
    assert "give the name of one: pooling (planned)" in run(*shop("status"), code=2)
    assert run("start", "pooling") == (
        "pooling runs for application shop: not started: begins in 24 hours beware: outcomes may "
        "come for 2 h, and maturity_hours is 0: each look misses the units of the last hours "
        "a service that runs already learns of it when it is started again"
    )
    play(store, a_stored_plan(), days=2)
    clock(2.1)
    out = tmp_path / "pooling.json"
    said = run(*shop("status", "--json", str(out)))
    assert said.startswith("look 2 of 14 is due: take it arm profit units counted incomplete")
    told = json.loads(out.read_text())
    assert (told["verdict"], told["look"]) == ("look due", 2)
    assert told["experiment"]["state"] == "running"
    assert [one["arm"] for one in told["arms"]] == ["A", "B"]
    assert sum(one["units"] for one in told["arms"]) == 60
    assert "no experiment of application 'default' runs" in run("status", code=2)


def test_one_that_never_ran_can_be_stopped(store, run, file):
    define(store)
    run(*shop("plan", file))
    assert run("stop", "pooling", "--reason", "not needed") == "pooling is stopped: not needed"
    assert run("status", "pooling") == (
        "stopped at 2026-03-01 00:00 UTC, never started: not needed"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plan", "{other}"), "pooling has another plan (sha256"),
        (("plan", "{broken}"), "not TOML"),
        (("plan", "{wrong}"), "key unti is unknown; leave it out"),
        (("plan", "nowhere.toml"), "nowhere.toml cannot be read"),
        (("start", "nope"), "there is no experiment 'nope'; there are: pooling"),
        (("start", "pooling"), "experiment pooling runs already"),
        (("look", "pooling"), "look 1 is planned for 2026-03-03T00:00:00+00:00; wait until then"),
        (("look", "nope"), "there is no experiment 'nope'"),
        (("status", "nope"), "there is no experiment 'nope'"),
        (("stop", "pooling", "--reason", ""), "reason: say why"),
        (("stop", "nope", "--reason", "x"), "there is no experiment 'nope'"),
    ],
)
def test_what_is_refused_is_one_sentence_and_changes_nothing(
    store, run, file, tmp_path, words, said
):
    define(store)
    run(*shop("plan", file))
    run("start", "pooling")
    (tmp_path / "other").write_text(TOML.replace("days = 14", "days = 7"))
    (tmp_path / "broken").write_text("name = ")
    (tmp_path / "wrong").write_text(TOML + "unti = 1\n")
    names = {name: str(tmp_path / name) for name in ("other", "broken", "wrong")}
    with store.read() as connection:
        before = events.last(connection)
    words = [word.format(**names) for word in words]
    assert said in run(*(shop(*words) if words[0] == "plan" else words), code=2)
    with store.read() as connection:
        assert events.last(connection) == before
