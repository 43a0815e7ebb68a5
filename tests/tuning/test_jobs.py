"""Several processes: jobs of one command, commands that share a database, and kill -9."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from compagnon.cli import main
from compagnon.tuning.storage import open_store
from compagnon.tuning.study import counted
from tests.tuning.small import CARTPOLE, QUICK, SPACE, start

pytestmark = pytest.mark.slow
BESIDE = """
import sys
from pathlib import Path
from compagnon.rl.recipe import load_recipe
from compagnon.tuning.plan import SearchPlan
from compagnon.tuning.space import load_space
from compagnon.tuning.tune import tune
recipe = load_recipe(sys.argv[1])
plan = SearchPlan(recipe, load_space(recipe, Path(sys.argv[2])),
            sys.argv[3], "tiny", Path(sys.argv[4]),
            trials=4, candidates=1, seeds=2, episodes=3, heartbeat=1)
print(tune(plan, shared=True).comparison.words)
"""


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path]:
    recipe, space = tmp_path / "tiny.toml", tmp_path / "space.toml"
    recipe.write_text(CARTPOLE)
    space.write_text(SPACE)
    return recipe, space


def wait_for(what: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    deadline = time.monotonic() + 120
    while not (found := what()):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate(timeout=60)
        time.sleep(0.1)
    return found


def trials_at(storage: str | Path, name: str = "tiny") -> list[optuna.trial.FrozenTrial]:
    store = open_store(storage)
    try:
        if name not in optuna.get_all_study_names(store.storage):
            return []
        return optuna.load_study(study_name=name, storage=store.storage).get_trials()
    finally:
        store.close()


def states(trials: list[optuna.trial.FrozenTrial]) -> list[str]:
    return [trial.state.name for trial in trials]


def test_two_jobs_share_a_search(files, tmp_path, capsys):
    recipe, space = files
    words = ["tune", recipe, "--space", space, "--out", tmp_path / "out", "--jobs", "2", *QUICK]
    assert main([str(word) for word in words]) == 0
    printed = capsys.readouterr().out
    assert "The winner: " in printed
    trials = trials_at(tmp_path / "out" / "study.journal")
    assert states(trials) == ["COMPLETE"] * 3
    assert len({trial.user_attrs["worker"] for trial in trials}) == 2


def test_a_search_that_is_killed_goes_on_and_the_dashboard_reads_it(files, tmp_path):
    recipe, space = files
    out = tmp_path / "out"
    words = ["tune", recipe, "--space", space, "--out", out, *QUICK]
    process = start(*words, "--trials", "4")
    journal = out / "study.journal"

    def one_done_and_one_begun() -> bool:
        found = states(trials_at(journal)) if journal.exists() else []
        return "COMPLETE" in found and "RUNNING" in found

    wait_for(one_done_and_one_begun, process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    before = [trial for trial in trials_at(journal) if trial.state == TrialState.COMPLETE]
    assert main([*map(str, words), "--trials", "4"]) == 2
    assert main([*map(str, words), "--trials", "4", "--resume"]) == 0
    trials = trials_at(journal)
    assert states(counted(trials)) == ["COMPLETE"] * 4
    assert [trials[one.number].value for one in before] == [one.value for one in before]
    assert (out / "report.html").is_file()
    assert main(["learn", str(out / "winner.toml"), "--out", str(tmp_path / "run")]) == 0
    _check_dashboard(journal, tmp_path)


def _check_dashboard(journal: Path, folder: Path) -> None:
    """`optuna-dashboard` lists the search and its comparison."""
    port = str(20_000 + os.getpid() % 20_000)
    server = subprocess.Popen(
        [Path(sys.executable).with_name("optuna-dashboard"), journal, "--port", port],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )

    def studies() -> Any:
        try:
            url = f"http://127.0.0.1:{port}/api/studies"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)["study_summaries"]
        except OSError:
            return None

    try:
        names = [study["study_name"] for study in wait_for(studies, server)]
    finally:
        server.kill()
        server.communicate(timeout=60)
    assert names[0] == "tiny"
    assert names[1].startswith("tiny: trials ")


def test_ctrl_c_queues_the_trial_again_and_says_how_to_go_on(files, tmp_path):
    recipe, space = files
    out = tmp_path / "out"
    recipe.write_text(CARTPOLE.replace("iterations = 3", "iterations = 100000"))
    process = start("tune", recipe, "--space", space, "--out", out, *QUICK)
    metrics = out / "trials" / "0000" / "metrics.jsonl"
    wait_for(lambda: metrics.is_file() and metrics.read_text().count("\n") > 2, process)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert f"--out {out}" in printed
    assert printed.rstrip().endswith("--resume")
    assert states(trials_at(out / "study.journal")) == ["FAIL", "WAITING", "WAITING", "WAITING"]


def test_two_processes_share_a_database_and_one_that_is_killed_loses_its_trial_alone(
    files, postgres, tmp_path
):
    recipe, space = files
    recipe.write_text(CARTPOLE.replace("iterations = 3", "iterations = 12"))

    def worker(name: str) -> subprocess.Popen[str]:
        words = [recipe, space, postgres, tmp_path / name]
        return subprocess.Popen(
            [sys.executable, "-c", BESIDE, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    first, second = worker("one"), worker("two")
    try:
        # Each has its own folder, which tells whose trial it is.
        def of_the_first() -> list[int]:
            begun = {int(path.name) for path in (tmp_path / "one").glob("trials/*")}
            trials = trials_at(postgres)
            now = [one.number for one in trials if one.state == TrialState.RUNNING]
            return [number for number in now if number in begun and len(now) == 2]

        lost = wait_for(of_the_first, first)[0]
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=60)
        printed, errors = second.communicate(timeout=200)
    finally:
        for process in (first, second):
            process.kill()
    assert second.returncode == 0, errors
    assert "default" in printed
    trials = trials_at(postgres)
    assert trials[lost].state == TrialState.FAIL
    (again,) = [trial for trial in trials if trial.user_attrs.get("again") == lost]
    assert again.state == TrialState.COMPLETE
    assert again.params == trials[lost].params
    assert states(counted(trials)) == ["COMPLETE"] * 4
    assert len(list((tmp_path / "two").glob("trials/*"))) >= 3


def test_a_second_command_joins_a_finished_search_and_another_recipe_is_refused(
    files, postgres, tmp_path, capsys
):
    recipe, space = files
    words = [
        *("tune", str(recipe), "--space", str(space), "--storage", postgres, *QUICK),
        *("--study", "shared"),
    ]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    first = capsys.readouterr().out
    assert main([*words, "--out", str(tmp_path / "two")]) == 0
    second = capsys.readouterr().out
    assert first.split("The workers")[0][-300:] == second.split("The workers")[0][-300:]
    assert (tmp_path / "two" / "report.html").is_file()
    assert not (tmp_path / "two" / "trials").exists()
    recipe.write_text(CARTPOLE.replace("batch_size = 8", "batch_size = 9"))
    assert main([*words, "--out", str(tmp_path / "three")]) == 2
    said = capsys.readouterr().err
    assert "of another recipe: algorithm.batch_size is 8 there and 9 here" in said
    assert len(said.strip().splitlines()) == 1
