"""`learn` and `report` from the command line: what they leave behind, and what they refuse."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compagnon.cli import main
from compagnon.rl.run import Run

TINY = """
name = "tiny"
description = "a few seconds of everything"

[env]
id = "compagnon/Workshop-v0"
args = { observation = "compact", decision_points = true, reward = "profit" }

[network]
hidden = [8]

[algorithm]
kind = "hybrid"

[algorithm.dagger]
num_envs = 2
collect_steps = 200
iterations = 1
gradient_steps = 20

[algorithm.ppo]
num_envs = 2
rollout_steps = 8
minibatch_size = 8

[budget]
iterations = 4

[evaluation]
every = 2
episodes = 2
against = "expert:workshop-v2"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def test_learn_leaves_a_run_that_is_a_policy(recipe, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["learn", str(recipe), "--out", str(run)]) == 0
    assert {"recipe.toml", "metrics.jsonl", "best", "last", "clone", "checkpoints"} <= {
        path.name for path in run.iterdir()
    }
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4]
    assert [line["phase"] for line in lines] == ["dagger", "ppo", "ppo", "ppo"]
    assert f"compagnon report {run}" in capsys.readouterr().out
    figures = tmp_path / "figures.json"
    arguments = ["evaluate", "expert:workshop-v2", str(run), "--episodes", "3"]
    assert main([*arguments, "--json", str(figures)]) == 0
    found = json.loads(figures.read_text())
    # without --env it is played where it learnt
    assert found["env_args"]["reward"] == "profit"
    assert found["policies"][0]["name"] == "expert:workshop-v2"
    assert {"policy", "against", "mean", "ci95", "win_share"} == set(found["paired"][0])


@pytest.mark.full
def test_report_compares_expert_clone_and_best_here_and_on_an_order_book(recipe, tmp_path, capsys):
    run, book = tmp_path / "run", tmp_path / "orders.csv"
    assert main(["order-book", "generate", str(book), "--weeks", "2"]) == 0
    assert main(["learn", str(recipe), "--out", str(run)]) == 0
    capsys.readouterr()
    words = ["report", str(run), "--episodes", "4", "--order-book", str(book)]
    assert main([*words, "--json", str(tmp_path / "found.json")]) == 0
    *_, best, served = json.loads((tmp_path / "found.json").read_text())["policies"]
    assert (best["name"], served["name"]) == ("the best of run", "as served")
    assert served["mean"] == best["mean"]
    printed = capsys.readouterr().out
    for name in ("expert:workshop-v2", "the clone", "the best of run"):
        assert printed.count(name) >= 4
    assert "2 episodes" in printed  # the weeks of the book, each once
    page = (run / "report.html").read_text()
    assert "orders.csv" in page
    assert "the best of run" in page
    assert "as served" in page


def test_report_of_a_run_without_a_policy_says_so(tmp_path, recipe, capsys):
    run = tmp_path / "empty"
    run.mkdir()
    assert main(["report", str(run)]) == 2
    assert "is not a run" in capsys.readouterr().err


@pytest.mark.full
def test_a_run_is_not_overwritten_but_resumed(recipe, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["learn", str(recipe), "--out", str(run)]) == 0
    before = (run / "metrics.jsonl").read_bytes()
    assert main(["learn", str(recipe), "--out", str(run)]) == 2
    assert "--resume" in capsys.readouterr().err
    assert (run / "metrics.jsonl").read_bytes() == before
    longer = ["--set", "budget.iterations=6"]
    assert main(["learn", str(run), "--resume", *longer]) == 0
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [1, 2, 3, 4, 5, 6]
    capsys.readouterr()
    recipe.write_text(TINY.replace("episodes = 2", "episodes = 3"))
    assert main(["learn", str(recipe), "--out", str(run), "--resume"]) == 0
    assert "goes on with the recipe that it was begun with" in capsys.readouterr().out
    with Run(run).alone():
        assert main(["learn", str(recipe), "--out", str(run), "--resume"]) == 2
    assert capsys.readouterr().out == ""  # it does not go on
    assert main(["learn", "workshop-tight", "--out", str(run), "--resume"]) == 2
    assert "is a run of tiny, not of workshop-tight" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "algo.ppo.lerning_rate=1"], "did you mean learning_rate"),
        (["--set", "algo.ppo.gamma=2"], "algorithm.ppo.gamma"),
        (["--set", "gamma"], "KEY=VALUE"),
        (["--budget", "soon"], "--budget soon"),
        (["--budget", "-5m"], "--budget"),
        (["--set", "env.id=Nowhere-v0"], "Nowhere-v0"),
        (["--set", "env.args.demand=nosuch"], "nosuch"),
        (["--set", "algo.dagger.expert=expert:nobody"], "nobody"),
        (["--seed", "-1"], "--seed -1"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_sentence_and_nothing_is_written(
    recipe, tmp_path, capsys, words, said
):
    run = tmp_path / "run"
    assert main(["learn", str(recipe), "--out", str(run), *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not run.exists()


@pytest.mark.full
def test_variants_are_trained_and_compared(recipe, tmp_path, capsys):
    recipe.write_text(
        TINY + "\n[variants]\nplain = {}\n"
        'wide = { "env.args.observation" = "full", "network.hidden" = [16] }\n'
    )
    folder = tmp_path / "runs"
    assert main(["learn", str(recipe), "--out", str(folder)]) == 0
    assert (folder / "plain" / "best").is_dir()
    assert (folder / "wide" / "best").is_dir()
    printed = capsys.readouterr().out
    assert "wide" in printed.split("Against")[1]
    assert (folder / "report.html").is_file()


@pytest.mark.full
def test_ctrl_c_saves_a_checkpoint_and_says_how_to_go_on(recipe, tmp_path):
    run = tmp_path / "run"
    words = ["learn", str(recipe), "--out", str(run), "--set", "budget.iterations=1000000"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from compagnon.cli import main; raise SystemExit(main())", *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    metrics = run / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.is_file() and metrics.read_text().count("\n") > 5):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"compagnon learn {run} --resume" in printed
    done = len(metrics.read_text().splitlines())
    more = ["--set", f"budget.iterations={done + 2}"]
    assert main(["learn", str(run), "--resume", *more]) == 0
    lines = metrics.read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == list(range(1, done + 3))
