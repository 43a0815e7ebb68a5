"""One process trains in a run's folder, and what was learnt is not begun again over it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compagnon.cli import main
from compagnon.errors import InputError
from compagnon.rl.recipe import change_recipe, parse_recipe
from compagnon.rl.run import BEST, CHECKPOINTS, LAST, Run
from compagnon.rl.trainer import Trainer, start

HELD = """
import sys
from pathlib import Path
from compagnon.rl.run import Run
with Run(Path(sys.argv[1])).alone():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    tree = {
        "name": "tiny",
        "env": {"id": "CartPole-v1"},
        "network": {"hidden": [8]},
        "algorithm": {"kind": "ppo", "num_envs": 2, "rollout_steps": 8, "minibatch_size": 8},
        "budget": {"iterations": 4},
        "evaluation": {"every": 2, "episodes": 2},
    }
    start(parse_recipe(tree, "here"), path).train()
    return path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def test_a_second_process_is_refused_by_name_until_the_first_ends(run: Path) -> None:
    words = [sys.executable, "-c", HELD, str(run)]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    before = (run / "metrics.jsonl").read_bytes()
    with pytest.raises(InputError, match=rf"{run} is being trained by process {holder.pid} on"):
        Trainer.resume(run)
    assert main(["learn", str(run), "--resume", "--set", "budget.iterations=6"]) == 2
    assert (run / "metrics.jsonl").read_bytes() == before
    holder.kill()  # however it ends, the lock goes with it
    holder.wait(60)
    assert main(["learn", str(run), "--resume", "--set", "budget.iterations=6"]) == 0
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [1, 2, 3, 4, 5, 6]


def test_a_trainer_that_was_overtaken_writes_no_iteration_twice(run: Path) -> None:
    slow = Trainer.resume(run, change_recipe(Run(run).recipe, {"budget.iterations": 6}, "here"))
    assert main(["learn", str(run), "--resume", "--set", "budget.iterations=5"]) == 0
    slow.train()
    assert [line["iteration"] for line in Run(run).metrics()] == [1, 2, 3, 4, 5, 6]


def test_two_that_begin_at_once_do_not_share_a_folder(run: Path, tmp_path: Path) -> None:
    recipe = Run(run).recipe
    made = Run.create(tmp_path / "new", recipe)
    made.append_metrics({"iteration": 1})
    with pytest.raises(InputError, match="there already: use --resume"):
        Run.create(tmp_path / "new", recipe)
    assert made.metrics() == [{"iteration": 1}]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "run"]


def test_without_its_checkpoints_a_run_is_not_begun_again_over_its_metrics(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "metrics.jsonl").read_bytes()
    for wipe in (lambda: shutil.rmtree(run / CHECKPOINTS), (run / CHECKPOINTS).mkdir):
        wipe()
        assert main(["learn", str(run), "--resume"]) == 2
        assert "has no checkpoints/ to go on from" in capsys.readouterr().err
        assert (run / "metrics.jsonl").read_bytes() == before


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(run: Path) -> None:
    for gone in (CHECKPOINTS, LAST, BEST):
        shutil.rmtree(run / gone)
    assert main(["learn", str(run), "--resume"]) == 0
    assert [line["iteration"] for line in Run(run).metrics()] == [1, 2, 3, 4]


def test_a_best_policy_that_was_taken_away_is_not_said_to_be_kept(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(run / BEST)
    assert main(["learn", str(run), "--resume"]) == 0
    said = capsys.readouterr().out
    assert "is kept" not in said
    assert f"{run / BEST} is missing" in " ".join(said.split())
    assert main(["learn", str(run), "--resume", "--set", "budget.iterations=6"]) == 0
    assert "is kept" in capsys.readouterr().out
    assert (run / BEST).is_dir()
