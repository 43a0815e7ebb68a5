"""Searches that are over in seconds, here and in processes of their own."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from compagnon.rl.recipe import Recipe, parse_recipe
from compagnon.tuning.plan import StudyPlan
from compagnon.tuning.space import Space, parse_space
from tests.rl.small import BANDIT

# One that any process can make, with episodes of a moment.
CARTPOLE = """
name = "tiny"
description = "a moment of DQN"
threads = 1

[env]
id = "CartPole-v1"
args = { max_episode_steps = 15 }

[network]
hidden = [8]

[algorithm]
kind = "dqn"
iteration_steps = 30
learning_starts = 10
batch_size = 8

[budget]
iterations = 3

[evaluation]
every = 1
episodes = 2
"""
RANGES: dict[str, Any] = {
    "algorithm.learning_rate": {"kind": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "algorithm.batch_size": {"kind": "choice", "values": [8, 16]},
}
SPACE = """
[algorithm.learning_rate]
kind = "float"
low = 1e-4
high = 1e-1
log = true

[algorithm.batch_size]
kind = "choice"
values = [8, 16]
"""
QUICK = ["--trials", "3", "--candidates", "1", "--seeds", "2", "--episodes", "3"]


def bandit(**changes: Any) -> Recipe:
    """DQN on one-step episodes; `changes` replace keys of its algorithm."""
    tree = {
        "name": "bandit",
        "threads": 1,
        "env": {"id": BANDIT},
        "network": {"hidden": [8]},
        "algorithm": {
            "kind": "dqn",
            "num_envs": 1,
            "iteration_steps": 20,
            "learning_starts": 10,
            "batch_size": 8,
            **changes,
        },
        "budget": {"iterations": 3},
        "evaluation": {"every": 1, "episodes": 4},
    }
    return parse_recipe(tree, "a test")


def plan_in(folder: Path, ranges: dict[str, Any] | None = None, **changes: Any) -> StudyPlan:
    """A search of the Bandit's recipe; `changes` are those of the plan."""
    recipe = changes.pop("recipe", None) or bandit()
    space: Space = parse_space(ranges or RANGES, recipe, "a test")
    given: dict[str, Any] = {
        "storage": folder / "study.journal",
        "name": recipe.name,
        "out": folder,
        "trials": 4,
        "candidates": 2,
        "seeds": 2,
        "episodes": 5,
    }
    return StudyPlan(recipe, space, **{**given, **changes})


def command(*words: object) -> list[str]:
    """`compagnon` as the words of a process."""
    code = "from compagnon.cli import main; raise SystemExit(main())"
    return [sys.executable, "-c", code, *map(str, words)]


def start(*words: object) -> subprocess.Popen[str]:
    """`compagnon` in a process of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command(*words), text=True, **pipes)
