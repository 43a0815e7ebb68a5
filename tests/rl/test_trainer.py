"""Runs stop where their budget says, survive kills bit for bit, and say what went wrong."""

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compagnon.errors import InputError
from compagnon.evaluation.episodes import play_episodes
from compagnon.policy import load_artefact
from compagnon.rl import trainer as trainer_module
from compagnon.rl.callbacks import IterationInfo
from compagnon.rl.checkpoint import load_newest_checkpoint, load_state, save_state
from compagnon.rl.recipe import expand_variants, load_recipe, shipped_recipes
from compagnon.rl.run import Run
from compagnon.rl.run_report import report_run
from compagnon.rl.trainer import Trainer, TrainingError, start
from tests.rl.small import BANDIT, CLOCK, KINDS, PPO, WALK, Walk, recipe_of
from tests.tiers import full

ALL_KINDS = pytest.mark.parametrize(
    "kind", [kind if kind == "cartpole" else full(kind) for kind in KINDS]
)


class Killed(Exception):
    """Stands for the process's end: nothing is saved on the way out."""


def metrics_of(path: Path) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in line.items() if key != "seconds"}
        for line in Run.open(path).metrics()
    ]


def state_of(path: Path) -> dict[str, Any]:
    state = load_newest_checkpoint(path / "checkpoints")
    assert isinstance(state, dict)
    del state["progress"]["seconds"]
    return state


def flat(tree: Any, where: str = "") -> dict[str, Any]:
    if isinstance(tree, dict):
        parts = tree.items()
    elif isinstance(tree, list | tuple):
        parts = enumerate(tree)
    else:
        return {where: tree}
    return {k: v for key, value in parts for k, v in flat(value, f"{where}/{key}").items()}


def assert_same_run(one: Path, other: Path) -> None:
    """Every number of both is the same, but what the clock says."""
    assert metrics_of(one) == metrics_of(other)
    first, second = flat(state_of(one)), flat(state_of(other))
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)
    for name in ("last", "best"):
        policies = load_artefact(one / name), load_artefact(other / name)
        for weight, value in policies[0].weights.items():
            np.testing.assert_array_equal(value, policies[1].weights[weight])


# -- kill and resume ----------------------------------------------------------------------------


def killed_after(recipe, path: Path, iteration: int) -> None:
    def kill(update: IterationInfo) -> None:
        if update.iteration == iteration:
            raise Killed

    with pytest.raises(Killed):
        start(recipe, path).train(kill)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Runs that nobody disturbed, by kind."""
    runs: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in runs:
            path = tmp_path_factory.mktemp("whole") / kind
            assert start(recipe_of(kind), path).train().finished
            runs[kind] = path
        return runs[kind]

    return get


@ALL_KINDS
@pytest.mark.parametrize(
    "iteration",
    [pytest.param(2, marks=pytest.mark.slow), 4],
    ids=["before the first checkpoint", "after it"],
)
def test_a_killed_run_resumes_as_the_same_run(kind, iteration, whole, tmp_path):
    path = tmp_path / "run"
    killed_after(recipe_of(kind), path, iteration)
    trainer = Trainer.resume(path)
    # a clone is judged, and saved, as soon as it is one
    saved = 3 if iteration == 4 else 2 if kind == "sequence" else 1 if kind == "alternate" else 0
    assert trainer.algorithm.iteration == saved
    assert trainer.train().finished
    assert_same_run(path, whole(kind))


SCRIPT = """
import sys
from pathlib import Path
from compagnon.rl.recipe import load_recipe
from compagnon.rl.trainer import Trainer, start
path = Path(sys.argv[1])
trainer = start(load_recipe(sys.argv[2]), path) if len(sys.argv) > 2 else Trainer.resume(path)
print("finished" if trainer.train().finished else "stopped")
"""


def in_a_process(path: Path, recipe: Any = None) -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-c", SCRIPT, str(path)]
    if recipe is not None:
        import tomli_w

        file = path.with_suffix(".toml")
        file.write_text(tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True)))
        arguments.append(str(file))
    return subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def wait_for_lines(process: "subprocess.Popen[str]", path: Path, lines: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        file = path / "metrics.jsonl"
        if file.is_file() and file.read_text().count("\n") >= lines:
            return
        if process.poll() is not None:
            raise AssertionError(f"the process ended by itself: {process.communicate(timeout=60)}")
        time.sleep(0.002)
    process.kill()
    raise AssertionError("no metrics came")


def long_recipe(kind: str, iterations: int) -> Any:
    changes: dict[str, Any] = {"algorithm__iterations": iterations} if kind == "dagger" else {}
    return recipe_of(kind, budget__iterations=iterations, evaluation__every=10, **changes)


@pytest.mark.parametrize(
    "kind",
    [
        full(kind) if kind == "cartpole" else pytest.param(kind, marks=pytest.mark.slow)
        for kind in KINDS
    ],
)
def test_a_process_killed_at_any_moment_resumes_as_the_same_run(kind, tmp_path):
    iterations, kills = (100, 2) if kind == "cartpole" else (40, 3)
    recipe = long_recipe(kind, iterations)
    start(recipe, tmp_path / "whole").train()
    path = tmp_path / "killed"
    process = in_a_process(path, recipe)
    chance = random.Random(kind)
    lines = 0
    for _ in range(kills):
        lines += chance.randint(iterations // 10, iterations // 4)
        wait_for_lines(process, path, lines)
        time.sleep(0.1 * chance.random())
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        process = in_a_process(path)
    out, error = process.communicate(timeout=300)
    assert out == "finished\n", error
    assert_same_run(path, tmp_path / "whole")


@pytest.mark.full
def test_ctrl_c_saves_and_resuming_goes_on(tmp_path):
    path = tmp_path / "run"
    process = in_a_process(
        path, recipe_of("ppo", budget__iterations=100_000, evaluation__every=99_999)
    )
    wait_for_lines(process, path, 3)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert out == "stopped\n", error
    lines = metrics_of(path)
    state = state_of(path)
    assert state["algorithm"]["iteration"] == lines[-1]["iteration"] >= 3
    trainer = Trainer.resume(path)
    went_on = trainer.algorithm.iterate()
    assert trainer.algorithm.iteration == lines[-1]["iteration"] + 1
    assert went_on["policy_loss"] != lines[-1]["policy_loss"]
    load_artefact(path / "last")


@pytest.mark.full
def test_stopping_between_evaluations_does_not_change_the_run(whole, tmp_path):
    path = tmp_path / "run"

    def interrupt(update: IterationInfo) -> None:
        if update.iteration == 4:
            signal.raise_signal(signal.SIGINT)

    outcome = start(recipe_of("sequence"), path).train(interrupt)
    assert not outcome.finished
    assert outcome.iterations == 4
    trainer = Trainer.resume(path)
    assert trainer.algorithm.iteration == 4
    assert trainer.train().finished
    assert metrics_of(path) == metrics_of(whole("sequence"))


def test_a_second_ctrl_c_ends_at_once(tmp_path):
    def interrupt(update: IterationInfo) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        start(recipe_of("cartpole"), tmp_path / "run").train(interrupt)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_trainer_that_was_stopped_can_go_on(tmp_path):
    def interrupt(update: IterationInfo) -> None:
        if update.iteration == 2:
            signal.raise_signal(signal.SIGTERM)

    trainer = start(recipe_of("cartpole"), tmp_path / "run")
    assert not trainer.train(interrupt).finished
    assert trainer.train().finished


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path):
    path = tmp_path / "run"
    killed_after(recipe_of("cartpole", evaluation__every=2), path, 5)
    checkpoints = sorted((path / "checkpoints").iterdir())
    assert [int(each.name) for each in checkpoints] == [2, 4]
    (checkpoints[-1] / "state.json").write_bytes(b"{")
    trainer = Trainer.resume(path)
    assert trainer.algorithm.iteration == 2
    assert [line["iteration"] for line in metrics_of(path)] == [1, 2]
    assert trainer.train().finished
    assert [line["iteration"] for line in metrics_of(path)] == [1, 2, 3, 4, 5, 6]


def test_a_longer_budget_goes_on_where_the_run_ended(tmp_path):
    flat = {"algorithm__final_learning_rate": 0.0}  # a falling rate would fall more slowly
    start(recipe_of("cartpole", **flat), tmp_path / "short").train()
    longer = recipe_of("cartpole", budget__iterations=12, **flat)
    outcome = Trainer.resume(tmp_path / "short", longer).train()
    assert outcome.finished
    assert outcome.iterations == 12
    start(longer, tmp_path / "long").train()
    assert_same_run(tmp_path / "short", tmp_path / "long")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": {"hidden": (5,)}}, r"network\.hidden = "),
        ({"algorithm": {**PPO, "num_envs": 1}}, r"algorithm\.num_envs = "),
        ({"name": "another"}, "name = "),
    ],
)
def test_what_a_checkpoint_cannot_follow_is_refused(changes, said, tmp_path):
    Run.create(tmp_path / "run", recipe_of("cartpole"))
    with pytest.raises(InputError, match=f"was begun with {said}"):
        Trainer.resume(tmp_path / "run", recipe_of("cartpole", **changes))


def test_what_is_no_run_cannot_be_resumed(tmp_path):
    with pytest.raises(InputError, match="is not a run"):
        Trainer.resume(tmp_path)


# -- budgets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "iterations"),
    [({"iterations": 5}, 5), ({"env_steps": 300}, 5), ({"env_steps": 320}, 5)],
)
def test_a_budget_in_work_is_kept_to(budget, iterations, tmp_path):
    outcome = start(recipe_of("cartpole", budget=budget), tmp_path / "run").train()
    assert outcome.finished
    assert outcome.iterations == iterations
    assert outcome.env_steps == 64 * iterations
    assert metrics_of(tmp_path / "run")[-1]["iteration"] == iterations


class Hours:
    """A clock that shows a minute more whenever somebody looks."""

    def __init__(self) -> None:
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return 60.0 * self.looks


def test_a_budget_in_minutes_is_kept_to(tmp_path, monkeypatch):
    """It looks at its clock once before it begins and once after each iteration."""
    recipe = recipe_of("cartpole", budget={"minutes": 7}, evaluation__every=1_000)
    monkeypatch.setattr(trainer_module, "time", Hours())
    outcome = start(recipe, tmp_path / "run").train()
    assert (outcome.state, outcome.iterations) == ("cut", 7)
    assert "schedules stay at their start" in outcome.words
    lines = metrics_of(tmp_path / "run")
    assert "eval/return" in lines[-1]  # the end is judged, whenever it comes
    resumed = Trainer.resume(tmp_path / "run").train()
    assert resumed.iterations == outcome.iterations  # time already spent counts


def test_a_run_that_its_minutes_end_says_everywhere_that_it_was_cut(tmp_path, monkeypatch):
    """In the outcome, the folder, the policies and the report; and no more once it has ended."""
    path = tmp_path / "run"
    recipe = recipe_of("cartpole", budget={"iterations": 40, "minutes": 7}, evaluation__every=2)
    monkeypatch.setattr(trainer_module, "time", Hours())
    outcome = start(recipe, path).train()
    monkeypatch.undo()
    assert (outcome.state, outcome.finished) == ("cut", False)
    done = outcome.iterations
    assert 0 < done < 40
    words = f"cut after {done} of 40 iterations by its 7 minutes: not finished"
    assert outcome.words.startswith(words)
    assert f"had come {done / 40:.0%} of its way" in outcome.words
    assert Run(path).outcome()["state"] == "cut"
    for name in ("best", "last"):
        assert load_artefact(path / name).manifest.provenance.training == outcome.words
    report_run(Run(path), episodes=2)
    assert words[1:] in (path / "report.html").read_text()

    longer = recipe_of("cartpole", budget={"iterations": done + 2}, evaluation__every=2)
    outcome = Trainer.resume(path, longer).train()
    assert (outcome.state, outcome.words, outcome.iterations) == ("finished", "", done + 2)
    for name in ("best", "last"):
        assert load_artefact(path / name).manifest.provenance.training == ""
    report_run(Run(path), episodes=2)
    assert "not finished" not in (path / "report.html").read_text()


def test_minutes_that_are_not_needed_cut_nothing(tmp_path):
    recipe = recipe_of("cartpole", budget={"iterations": 3, "minutes": 600})
    assert start(recipe, tmp_path / "run").train().state == "finished"


def test_an_interrupted_run_says_so_in_its_policies(tmp_path):
    def interrupt(update: IterationInfo) -> None:
        if update.iteration == 2:
            signal.raise_signal(signal.SIGINT)

    outcome = start(recipe_of("cartpole"), tmp_path / "run").train(interrupt)
    assert outcome.words == "interrupted after 2 of 6 iterations: not finished"
    assert load_artefact(tmp_path / "run" / "last").manifest.provenance.training == outcome.words


@pytest.mark.parametrize("name", shipped_recipes())
def test_no_shipped_recipe_depends_on_the_speed_of_the_machine(name):
    recipe = load_recipe(name)
    for each in (recipe, *expand_variants(recipe).values()):
        assert each.budget.minutes is None


# -- checkpoints and episodes -------------------------------------------------------------------


def test_checkpoints_have_a_pace_of_their_own(tmp_path):
    recipe = recipe_of("cartpole", evaluation__every=100, checkpoint={"every": 2})
    path = tmp_path / "run"
    killed_after(recipe, path, 5)
    assert sorted(int(each.name) for each in (path / "checkpoints").iterdir()) == [2, 4]
    assert Run(path).outcome()["state"] == "running"


WALKS = pytest.mark.parametrize("kind", ["ppo", full("dqn"), full("ddpg")])


def walking(kind: str, every: int) -> Any:
    """Episodes of 100 steps in iterations of 16 steps of each copy."""
    algorithm: dict[str, Any] = dict(PPO) if kind == "ppo" else {
        "kind": kind, "num_envs": 4, "iteration_steps": 64, "learning_starts": 50, "capacity": 500,
    }  # fmt: skip
    return recipe_of(
        "cartpole",
        env={"id": WALK, "args": {"ends": False, "max_episode_steps": 100}},
        algorithm=algorithm,
        budget={"iterations": 14},
        evaluation={"every": every, "episodes": 1},
    )


@WALKS
def test_checkpoints_neither_cut_episodes_nor_change_the_run(kind, tmp_path):
    """With one after each iteration, episodes of 100 steps end as they do with hardly any."""
    seen = []
    for every in (1, 14):
        outcome = start(walking(kind, every), tmp_path / str(every)).train()
        lines = metrics_of(tmp_path / str(every))
        seen.append(
            [{k: v for k, v in line.items() if not k.startswith("eval/")} for line in lines]
        )
        state = state_of(tmp_path / str(every))["algorithm"]
        returns = state["collector"]["returns"] if kind == "ppo" else state["returns"]
        assert returns["episodes"] == 4 * (14 * 16 // 100) == 8
        assert outcome.progress.notices == []
    assert seen[0] == seen[1]


@WALKS
def test_a_run_whose_environment_is_somebody_s_own_resumes_as_the_same_run(kind, tmp_path):
    start(walking(kind, 1), tmp_path / "whole").train()
    killed_after(walking(kind, 1), tmp_path / "run", 9)
    assert Trainer.resume(tmp_path / "run").train().finished
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_run_in_which_no_episode_ends_says_so_once(tmp_path):
    recipe = recipe_of(
        "cartpole",
        env={"id": WALK, "args": {"ends": False, "max_episode_steps": 100}},
        budget={"iterations": 6},
        evaluation={"every": 3, "episodes": 1},
    )
    told: list[str] = []
    outcome = start(recipe, tmp_path / "run").train(lambda update: told.extend(update.notices))
    assert told == outcome.progress.notices == Run(tmp_path / "run").outcome()["notices"]
    assert told == [
        "no training episode has ended in 6 iterations of practice, 96 steps of each copy "
        "(in evaluations an episode takes 100): what comes late in an episode is not learnt from"
    ]
    report_run(Run(tmp_path / "run"), episodes=2)
    assert "o training episode has ended in 6" in (tmp_path / "run" / "report.html").read_text()


@WALKS
def test_episodes_that_could_not_be_brought_back_are_told_of(kind, tmp_path):
    recipe = walking(kind, 2)
    killed_after(recipe, tmp_path / "run", 5)
    newest = tmp_path / "run" / "checkpoints" / "00000004"
    tree = load_state(newest)
    algorithm = tree["algorithm"]
    kept = algorithm["collector"] if kind == "ppo" else algorithm
    kept["env"]["copies"][0]["return"] += 1.0  # as if it had gone another way
    save_state(newest, tree)
    told: list[str] = []
    trainer = Trainer.resume(tmp_path / "run")
    outcome = trainer.train(lambda update: told.extend(update.notices))
    assert outcome.finished
    assert len(told) == 1
    assert f"{WALK} could not be brought back: they do not follow from seeds and" in told[0]


@WALKS
def test_what_an_environment_raises_as_it_is_brought_back_is_told(kind, tmp_path, monkeypatch):
    killed_after(walking(kind, 2), tmp_path / "run", 5)
    step, calls = Walk.step, itertools.count(1)

    def breaks_down_once(self, action):
        if next(calls) == 3:
            raise ZeroDivisionError("of a price")
        return step(self, action)

    monkeypatch.setattr(Walk, "step", breaks_down_once)
    told: list[str] = []
    trainer = Trainer.resume(tmp_path / "run")
    assert trainer.train(lambda update: told.extend(update.notices)).finished
    assert len(told) == 1
    assert re.search(
        rf"brought back: {WALK}, copy 0 \(begun with seed \d+\), step 3 of its episode: it raised "
        r"ZeroDivisionError: of a price, as it was played again\. New ones were begun",
        told[0],
    )


# -- judging ------------------------------------------------------------------------------------


def test_the_best_policy_is_the_one_judged_best(tmp_path):
    recipe = recipe_of(
        "cartpole",
        evaluation={"every": 1, "episodes": 4},
        algorithm={**PPO, "learning_rate": 0.02},
        budget__iterations=12,
    )
    outcome = start(recipe, tmp_path / "run").train()
    returns = {line["iteration"]: line["eval/return"] for line in metrics_of(tmp_path / "run")}
    assert len(set(returns.values())) > 2
    assert outcome.progress.best_return == max(returns.values())
    best = outcome.progress.best_iteration
    assert best == min(it for it, value in returns.items() if value == max(returns.values()))
    policy = load_artefact(tmp_path / "run" / "best")
    assert policy.manifest.figures["eval/return"] == returns[best]
    assert policy.manifest.provenance.env_steps == 64 * best
    seeds = list(range(recipe.evaluation.seed, recipe.evaluation.seed + 4))
    assert play_episodes("CartPole-v1", {}, policy, seeds).returns.mean() == returns[best]


def test_of_equals_the_first_is_the_best(tmp_path):
    recipe = recipe_of(
        "cartpole",
        env={"id": CLOCK, "args": {"max_episode_steps": 5}},
        evaluation={"every": 2, "episodes": 1},
    )
    outcome = start(recipe, tmp_path / "run").train()
    assert (outcome.progress.best_return, outcome.progress.best_iteration) == (5.0, 2)


@pytest.mark.full
def test_evaluations_are_paired_with_the_policy_to_beat(tmp_path):
    recipe = recipe_of(
        "sequence",
        budget__iterations=1,
        evaluation={"every": 1, "episodes": 2, "against": "constant:200"},
    )
    start(recipe, tmp_path / "run").train()
    (line,) = metrics_of(tmp_path / "run")
    assert line["eval/paired_low"] <= line["eval/paired"] <= line["eval/paired_high"]
    waiting = line["eval/return"] - line["eval/paired"]
    assert -8_000 < waiting < -4_000  # what doing nothing costs in a week


@pytest.mark.full
def test_the_clone_is_kept_and_the_lowest_return_after_it(whole):
    path = whole("sequence")
    lines = metrics_of(path)
    assert "eval/return" in lines[1]  # the last iteration of imitation
    progress = state_of(path)["progress"]
    assert progress["clone_return"] == lines[1]["eval/return"]
    assert progress["lowest_after_clone"] == min(line["eval/return"] for line in lines[2::3])
    assert load_artefact(path / "clone").manifest.provenance.env_steps == lines[1]["env_steps"]


# -- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [full("ppo"), full("dagger"), "cartpole"])
@pytest.mark.parametrize("which", ["actor", "critic"])
def test_a_poisoned_network_is_noticed_and_the_checkpoint_kept(kind, which, tmp_path):
    path = tmp_path / "run"
    trainer = start(recipe_of(kind), path)

    def poison(update: IterationInfo) -> None:
        if update.iteration == 4:
            with torch.no_grad():
                next(iter(getattr(trainer.network, which).parameters())).fill_(float("nan"))

    with pytest.raises(TrainingError) as trouble:
        trainer.train(poison)
    said = str(trouble.value)
    assert f"at iteration 5 ({'dagger' if kind == 'dagger' else 'ppo'}): " in said
    assert "not finite" in said or "is nan" in said or "not a finite number" in said
    assert f"The checkpoint of iteration 3 is kept in {path / 'checkpoints'}" in said
    assert "learning_rate" in said
    resumed = Trainer.resume(path)
    assert resumed.algorithm.iteration == 3
    assert np.isfinite(load_artefact(path / "last").weights["actor.0.weight"]).all()
    assert [line["iteration"] for line in metrics_of(path)] == [1, 2, 3]


def test_an_absurd_learning_rate_is_noticed(tmp_path):
    recipe = recipe_of("cartpole", algorithm={**PPO, "learning_rate": 1e30}, evaluation__every=100)
    with pytest.raises(TrainingError, match=r"at iteration \d \(ppo\): .*No checkpoint had been"):
        start(recipe, tmp_path / "run").train()
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        assert all(np.isfinite(v) for v in json.loads(line).values() if not isinstance(v, str))


def test_a_metric_that_is_no_number_is_named(tmp_path):
    trainer = start(recipe_of("cartpole"), tmp_path / "run")
    iterate = trainer.algorithm.iterate
    trainer.algorithm.iterate = lambda: {**iterate(), "value_loss": float("inf")}  # type: ignore[method-assign]
    with pytest.raises(
        TrainingError, match=r"at iteration 1 \(ppo\): value_loss is inf\. No check"
    ):
        trainer.train()


# -- seeds --------------------------------------------------------------------------------------


@ALL_KINDS
def test_one_seed_one_run_and_another_seed_another(kind, whole, tmp_path):
    start(recipe_of(kind), tmp_path / "same").train()
    assert_same_run(tmp_path / "same", whole(kind))
    start(recipe_of(kind, seed=1, budget__iterations=1), tmp_path / "other").train()
    (line,) = metrics_of(tmp_path / "other")[:1]
    first = metrics_of(whole(kind))[0]
    loss = "policy_loss" if "policy_loss" in first else "cross_entropy"
    assert line[loss] != first[loss]


@pytest.mark.full
def test_judging_more_often_does_not_change_what_is_learnt(tmp_path):
    runs = []
    for every in (2, 4):
        recipe = recipe_of("ppo", budget__iterations=4, evaluation__every=every)
        start(recipe, tmp_path / str(every)).train()
        runs.append([line["policy_loss"] for line in metrics_of(tmp_path / str(every))])
    assert runs[0] == runs[1]


@pytest.mark.full
def test_the_bandit_is_learnt_by_recipe(tmp_path):
    recipe = recipe_of(
        "cartpole",
        env={"id": BANDIT, "args": {}},
        algorithm={**PPO, "num_envs": 32, "learning_rate": 3e-3, "minibatch_size": 128},
        budget__iterations=30,
        evaluation={"every": 30, "episodes": 50},
    )
    assert start(recipe, tmp_path / "run").train().progress.best_return >= 0.95
