"""The wheel carries everything, and each extra brings what its verbs need, and is needed for it."""

import importlib.metadata
import json
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from compagnon.cli.app import needs
from compagnon.policy import save_policy
from tests import installation
from tests.installation import Installations, build_wheel, closure, missing_from, run_in
from tests.policy.networks import network, schema_of
from tests.serving.support import exported
from tests.worlds.dispatch.importing.files import BOOKINGS, DRIVERS

PROJECT = tomllib.loads((installation.ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# What has no verb of this package: kept for what is to come; scripts beside it; its own tests.
WITHOUT_VERBS = ("operations", "web", "bench", "dev")

RUNS = """
import json, sys
from compagnon.cli import main
for words in json.loads(sys.argv[1]):
    if main(words):
        sys.exit(f"it was: compagnon {' '.join(words)}")
"""
SERVES = """
import json, os, signal, sys, threading, urllib.request
from compagnon.cli import main
from compagnon.serving import lifespan

def ask(where, parts):
    def asked():
        body = {"state": {"time": 600, "raw": 12, "p1": 3, "p2_inter": 4, "p2": 0}}
        said = {"content-type": "application/json"}
        request = urllib.request.Request(f"{where}/v1/decide", json.dumps(body).encode(), said)
        try:
            print(urllib.request.urlopen(request, timeout=60).read().decode())
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
    threading.Thread(target=asked).start()

before = lifespan.serve
lifespan.serve = lambda settings, ready, experiment: before(settings, ask, experiment)
sys.exit(main(["serve", *sys.argv[1:]]))
"""
POOLED = """
from compagnon.envs import BatchEnv
env = BatchEnv("CartPole-v1", {}, 2, "envpool")
env.reset([1, 2])
"""
CLONE = """
name = "tiny"
env = { id = "compagnon/Workshop-v0", args = { decision_points = true } }
network = { hidden = [8] }
budget = { iterations = 1 }
evaluation = { every = 1, episodes = 1 }

[algorithm]
kind = "dagger"
num_envs = 2
collect_steps = 20
iterations = 1
gradient_steps = 2
"""
POOLING = """
name = "pooling"
salt = "pooling"
arms = ["rule", "policy"]
starts_at = {}
days = 14
unit = {{ kind = "sticky", window_hours = 24 }}
primary = {{ name = "profit", direction = "up" }}
"""
TINY = ["--set", "budget.iterations=1", "evaluation.episodes=1", "algo.iteration_steps=50",
        "video.every_episodes=0"]  # fmt: skip
ONE = ["--episodes", "1"]
# What is run with an extra, one after the other; files stand in the folder that they are run in.
TRIED: dict[str, list[list[str]]] = {
    "": [
        ["policies"],
        ["recipes"],
        ["recipes", "workshop-tight"],
        ["envs", "CartPole-v1"],
        ["evaluate", "random", "--env", "CartPole-v1", *ONE, "--report", "page.html"],
    ],
    "worlds": [
        ["evaluate", "expert:workshop-v2", "expert:workshop-base-stock:tight", *ONE],
        ["audit", "expert:workshop-v2", *ONE],
        ["search-rule", "--trials", "1"],
        ["order-book", "generate", "orders.csv"],
        ["order-book", "check", "orders.csv"],
        ["data", "import", "bookings.csv", "--drivers", "drivers.csv", "--out", "days"],
        ["data", "check", "bookings.csv", "--drivers", "drivers.csv"],
        ["data", "check", "bookings.xlsx", "--drivers", "drivers.csv"],
        ["data", "describe", "days"],
        ["data", "export", "days", "--out", "itineraries"],
        ["data", "resample", "days", "--count", "1", "--out", "variants"],
        ["data", "generate", "generated", "--days", "1"],
        ["dispatch-poc", "table", "--hours", "1", *ONE, "--policy", "random"],
        ["watch", "expert:workshop-v2", "--minutes", "2", "--video", "week.gif"],
    ],
    "train": [
        ["learn", "mountaincar-dqn", "--out", "run", *TINY],
        ["learn", "tiny.toml", "--out", "clone"],
        ["report", "clone", "--episodes", "2"],
        ["diagnose", "tiny.toml", "--quick", *ONE],
    ],
    "video": [["watch", "expert:workshop-v2", "--minutes", "2", "--video", "week.mp4"]],
    "control": [
        ["evaluate", "random", "--env", "LunarLander-v3", *ONE],
        ["watch", "random", "--env", "CartPole-v1", "--steps", "3", "--video", "cart.gif"],
    ],
    "envpool": [["envs", "CartPole-v1"]],
    "play": [["play", "car", "--frames", "5", "--screenshot", "car.png"]],
    "collect": [
        ["data", "collect", "--from", "sqlite:///trips.db", "--until", "2026-03-02",
         "--zone", "Europe/Zurich", "--out", "collected"],
    ],
    "xlsx": [["data", "export", "day", "--format", "xlsx", "--out", "book"]],
    "dispatch": [
        ["evaluate", "expert:dispatch-ortools", "--env", "compagnon/Dispatch-v1",
         "--env-args", "days=day", *ONE],
    ],
    "tune": [
        ["tune", "mountaincar-dqn", "--out", "search", "--trials", "1", "--seeds", "2",
         "--candidates", "1", *ONE, *TINY],
    ],
    "export": [
        ["export", "cart", "--int8", "--states", "64", *ONE],
        ["bench", "cart", "--batches", "1", "--seconds", "0.05", "--no-compile"],
        ["evaluate", "onnx:cart", *ONE],
    ],
    "serve": [
        ["db", "upgrade"],
        ["keys", "create", "--scope", "decide", "--name", "floor"],
        ["registry", "add", "shop", "--model", "shop"],
        ["registry", "promote", "shop", "1"],
        ["outcomes", "define", "late", "--matures-after", "1d"],
        ["log", "replay", "shop", "--verify"],
        ["db", "check"],
        ["log", "export", "logged.csv", "--db", "sqlite:///logged.db"],
        ["outcomes", "import", "profits.csv", "--db", "sqlite:///logged.db"],
        ["slices", "freeze", "--outcomes", "profit=1", "--application", "shop", "--out", "slice",
         "--db", "sqlite:///logged.db"],
        ["slices", "check", "slice"],
        ["ope", "--policy", "second", "--against", "first", "--log", "drawn", "--play", "sampled"],
        ["operate", "init", "shop", "--application", "shop"],
        ["operate", "check", "deployment.toml"],
        *([*words, "--db", "sqlite:///logged.db"] for words in (
            ["experiment", "plan", "pooling.toml", "--application", "shop"],
            ["experiment", "start", "pooling"],
            ["experiment", "status", "pooling"],
            ["experiment", "stop", "pooling", "--reason", "tried"],
        )),
    ],
    "parquet": [["log", "export", "logged.parquet", "--arrays", "--db", "sqlite:///logged.db"]],
    "demo": [["demo", "--quick", "--out", "shown"]],
}  # fmt: skip
PROGRAMS = {"serve": (SERVES, ["shop", "--port", "0"]), "envpool": (POOLED, [])}
# A package that an extra asks for, and the words or the program that miss it.
MISSED = {
    "jinja2": ("", TRIED[""][-1:]),
    "tomli-w": ("train", TRIED["train"][:1]),
    "scipy": ("worlds", TRIED["worlds"][-1:]),
    "optuna": ("tune", TRIED["tune"]),
    "msgspec": ("serve", TRIED["serve"][:1]),
}


# -- what is tried --------------------------------------------------------------------------------


def test_every_extra_is_tried_with_every_verb_that_needs_it() -> None:
    assert set(EXTRAS) == (set(TRIED) | set(WITHOUT_VERBS)) - {""}
    for verb, (extra, _) in needs().items():
        words = verb.split()
        tried = [one[: len(words)] for one in TRIED[extra]]
        assert words in tried or words == [extra] == ["serve"], f"{verb} is not tried"


def test_what_an_extra_asks_for_is_followed_to_its_end() -> None:
    own = ["numpy>=2", "torch>=2 ; extra == 'train'", "compagnon[train] ; extra == 'tune'",
           "optuna>=4 ; extra == 'tune'"]  # fmt: skip
    assert "torch" not in closure(own, "")
    found = closure(own, "tune")
    assert {"numpy", "torch", "optuna", "sympy"} <= set(found)  # which torch asks for
    assert "torch" not in closure(installation.without_package(own, "torch"), "tune")
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        closure([*own, "no-such-package"], "")


# -- the wheel ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.mark.full
def test_the_wheel_carries_every_file(wheel: Path, tmp_path: Path) -> None:
    assert missing_from(wheel) == set()
    assert set(installation.own_requirements(wheel)) >= {
        importlib.metadata.metadata("compagnon").get_all("Requires-Dist")[0]  # type: ignore[index]
    }
    # The breach: without its line a kind of file is missed.
    poor = build_wheel(tmp_path / "poor", without='"worlds/*/recipes/*.toml", ')
    missed = missing_from(poor)
    assert "compagnon/worlds/workshop/recipes/workshop-tight.toml" in missed
    assert all("/recipes/" in name for name in missed)


@pytest.fixture(scope="module")
def installations(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installations:
    return Installations(tmp_path_factory.mktemp("installations"), wheel)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the verbs are given."""
    (tmp_path / "bookings.csv").write_text(BOOKINGS)
    (tmp_path / "drivers.csv").write_text(DRIVERS)
    (tmp_path / "tiny.toml").write_text(CLONE)
    return tmp_path


def given(extra: str, folder: Path) -> None:
    """What takes a moment to make, for those that want it."""
    if extra == "export":
        save_policy(network(schema_of("CartPole-v1")), folder / "cart")
    elif extra in ("serve", "parquet"):
        exported(folder / "shop")
        log_some(folder)
        draw_some(folder)
    elif extra == "collect":
        from tests.worlds.dispatch.importing.test_collect import fill

        fill(f"sqlite:///{folder}/trips.db", zoned=False)
    elif extra in ("dispatch", "xlsx"):
        from compagnon.worlds.dispatch.importing.tables import save_days
        from tests.worlds.dispatch.importing.files import read

        save_days(read(folder).days, folder / "day")
    elif extra == "worlds":
        from tests.worlds.dispatch.importing.layouts import write_xlsx

        rows: list[list[object]] = [[*line.split(",")] for line in BOOKINGS.splitlines()]
        write_xlsx(folder / "bookings.xlsx", {"Bookings": rows})


def log_some(folder: Path) -> None:
    """A log of its own, with an outcome that is defined, and a file of them."""
    from compagnon.store import open_store, outcomes
    from compagnon.store.migrating import upgrade
    from tests.store.rows import row

    store = open_store(folder / "logged.db", create=True, check=False)
    upgrade(store)
    store.append([row(k) for k in range(3)])
    outcomes.define(store, "profit", 60.0)
    store.close()
    starts = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(time.time() + 86_400))
    (folder / "pooling.toml").write_text(POOLING.format(starts))
    (folder / "profits.csv").write_text(f"decision_id,name,value\n{row(1).id},profit,2.5\n")


def draw_some(folder: Path) -> None:
    """Two policies, and a slice of what one of them was drawn to do."""
    from compagnon.operations import slices
    from compagnon.store import open_store
    from compagnon.store.migrating import upgrade
    from tests.operations.test_ope import SCHEMA, another, fill

    first = network(SCHEMA, (8,), 0.5)
    for name, policy in (("first", first), ("second", another(first, -0.5))):
        save_policy(policy, folder / name)
    store = open_store(folder / "drawn.db", create=True, check=False)
    upgrade(store)
    fill(store, first)
    content = slices.collect(store, ["profit"], application="shop")
    objective = slices.Objective({"profit": 1.0}).as_json()
    content = replace(content, manifest={**content.manifest, "objective": objective})
    slices.freeze(content, folder / "drawn")
    store.close()


@pytest.mark.full
@pytest.mark.parametrize("extra", TRIED, ids=lambda extra: extra or "base")
def test_an_extra_brings_what_its_verbs_need(
    extra: str, installations: Installations, folder: Path
) -> None:
    given(extra, folder)
    python = installations.of(extra)
    done = run_in(python, RUNS, json.dumps(TRIED[extra]), cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    if extra in PROGRAMS:
        code, words = PROGRAMS[extra]
        done = run_in(python, code, *words, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.full
@pytest.mark.parametrize("package", MISSED)
def test_a_package_that_is_not_asked_for_is_missed(
    package: str, installations: Installations, folder: Path
) -> None:
    extra, words = MISSED[package]
    python = installations.of(extra, without=package)
    done = run_in(python, RUNS, json.dumps(words), cwd=folder)
    assert done.returncode != 0
    assert package.replace("-", "_") in done.stderr


@pytest.mark.full
def test_the_program_is_there(installations: Installations) -> None:
    assert installations.program.is_file()
