"""Every benchmark runs: one that crashes at its first iteration measures nothing."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compagnon.store import chaining
from compagnon.store.factory import open_store
from compagnon.store.migrating import upgrade
from tests.serving.support import exported
from tests.worlds.dispatch.importing.test_public import instance

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
# What each script is given besides --quick; {here} is a folder of its own.
QUICK: dict[str, list[list[str]]] = {
    "control": [[section] for section in ("update", "mountaincar", "lunarlander", "pendulum")],
    "control_envs": [[]],
    "ddpg_speed": [[]],
    "decision_log": [["--folder", "{here}"]],
    "defaults": [["--only", "ours", "--seeds", "1", "--episodes", "2", "--tasks", "CartPole"]],
    "dispatch_env": [[]],
    "dispatch_experts": [[]],
    "dispatch_import": [["--folder", "{here}"]],
    "dispatch_poc_bound": [[]],
    "dispatch_poc_env": [[]],
    "dispatch_poc_rule": [[]],
    "dispatch_public": [["--folder", "{here}/public"]],
    "dispatch_solver": [
        ["--played", "{here}/days"],
        ["--played", "{here}/days", "--against", "expert:dispatch-regret"],
    ],
    "dispatch_turns": [[str(ROOT)]],
    "experiment_errors": [[]],
    "fast_paths": [[]],
    "interval_coverage": [[]],
    "lookahead": [[]],
    "masked_ppo": [[]],
    "offline_estimators": [[]],
    "seeds": [["mountaincar-dqn", "--seeds", "0", "--out", "{here}/runs"]],
    "serving": [["{here}/shop", "--folder", "{here}"]],
    "serving_turns": [["{here}/shop", str(ROOT)]],
    "train_turns": [[str(ROOT)]],
    "workshop_env": [[]],
}
# Those whose quick run stands with the tests of what they measure.
ELSEWHERE = {
    "as_served": "tests/serving/test_as_served.py",
    "overload": "tests/serving/test_admission.py",
    "refusals": "tests/serving/test_refusals.py",
    "serving_paths": "tests/serving/test_fast_path.py",
}
# What others import or start.
PARTS = {
    "control_race": "control",
    "control_rivals": "control",
    "control_updates": "control",
    "harness": "control",
    "overload_load": "overload",
    "rivals": "masked_ppo",
    "serving_contenders": "serving",
    "serving_load": "serving",
    "serving_plain": "serving_contenders",
}
# What needs an environment of its own, with a library that this one does without.
RIVALS = {
    "control_sbx": "control_updates",
    "serving_bento": "serving_contenders",
    "serving_ray": "serving_contenders",
}


def unlisted(names: set[str]) -> set[str]:
    """Scripts that nobody runs."""
    return names - {*QUICK, *ELSEWHERE, *PARTS, *RIVALS}


def test_every_benchmark_is_run_by_somebody() -> None:
    names = {path.stem for path in FOLDER.glob("*.py")}
    assert unlisted(names) == set()
    assert names == {*QUICK, *ELSEWHERE, *PARTS, *RIVALS}
    assert unlisted(names | {"new"}) == {"new"}


@pytest.mark.parametrize("name", [*QUICK, *ELSEWHERE])
def test_every_benchmark_has_a_quick_run(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text()
    assert "--quick" in text or "quick: bool" in text
    if name in ELSEWHERE:
        tests = (ROOT / ELSEWHERE[name]).read_text()
        assert "--quick" in tests
        assert name in tests


@pytest.mark.parametrize(("part", "whole"), [*PARTS.items(), *RIVALS.items()])
def test_every_part_is_used(part: str, whole: str) -> None:
    assert part in (FOLDER / f"{whole}.py").read_text()


def given(name: str, here: Path) -> None:
    """The files that some of them read."""
    if name in ("serving", "serving_turns"):
        exported(here / "shop")
    elif name == "dispatch_public":
        (here / "public" / "made").mkdir(parents=True)
        (here / "public" / "made" / "one.json").write_text(json.dumps(instance()))


@pytest.mark.full
@pytest.mark.parametrize("name", QUICK)
def test_a_quick_run_comes_to_its_end(name: str, tmp_path: Path) -> None:
    given(name, tmp_path)
    for words in QUICK[name]:
        asked = [word.replace("{here}", str(tmp_path)) for word in words]
        done = subprocess.run(
            [sys.executable, FOLDER / f"{name}.py", "--quick", *asked],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.strip()


def test_the_log_is_judged_by_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    script = importlib.import_module("decision_log")
    store = open_store(str(tmp_path / "log.db"), create=True, check=False)
    upgrade(store)
    rows = script._rows(script.Settings(rows=5), 0)
    store.append(rows[:4])
    script._require_all(store, 4)
    with pytest.raises(SystemExit, match="4 of 5 decisions are there"):
        script._require_all(store, 5)
    monkeypatch.setattr(chaining, "next_link", lambda previous, _: previous)
    store.append(rows[4:])
    with pytest.raises(SystemExit, match="not as it was written"):
        script._require_all(store, 5)
    store.close()
