"""Classic control: time of an update, and time to a return, against what is used otherwise."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch and numba load their threads

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numba
import torch
import tyro
from rich.console import Console
from threadpoolctl import threadpool_limits

import control_updates
from compagnon.errors import InputError
from compagnon.rl.recipe import Recipe, load_recipe, parse_recipe
from control_race import (
    Contender,
    Rules,
    Training,
    ours,
    race,
    speed_table,
    threshold_table,
    warm_up,
)
from control_rivals import LUNAR_LANDER, MOUNTAIN_CAR, PENDULUM, Rival, theirs
from harness import console, machine, print_machine, write_json

Section = Literal["update", "mountaincar", "lunarlander", "pendulum"]
SB3 = "Stable-Baselines3"


@dataclass
class Settings:
    """Measure one thing: update, mountaincar, lunarlander or pendulum. One thread for everybody."""

    section: Annotated[Section, tyro.conf.Positional] = "update"
    """What to measure."""
    seeds: int = 5
    """Trainings of each contender, with the seeds 0, 1, 2, ..."""
    only: Literal["ours", "theirs"] | None = None
    """Leave the others out."""
    recipe: str | None = None
    """Ours, instead of the one that the section names: another recipe's name, or a file."""
    sbx_python: str | None = None
    """update: an interpreter that has sbx-rl."""
    rounds: int = 30
    """update: how often each contender has its turn."""
    seconds: float = 0.2
    """update: length of a turn."""
    quick: bool = False
    """A few seconds of each, to see that everything runs; the figures mean nothing."""
    json: Path | None = None
    """Also write the figures here, after every training."""


@dataclass(frozen=True)
class Task:
    """What is trained, by whom, and how it is judged.

    Attributes:
        recipe: of ours. quick, quick_rival, quick_steps: what makes a smoke test of it.
    """

    title: str
    recipe: str
    rival: Rival
    rules: Rules
    quick: dict[str, Any]
    quick_rival: dict[str, Any]
    quick_steps: int


TASKS = {
    "mountaincar": Task(
        "MountainCar-v0: seconds of training to a mean greedy return of -110",
        "mountaincar-dqn-tuned",
        MOUNTAIN_CAR,
        Rules("MountainCar-v0", every=2_000, episodes=20, threshold=-110),
        {"budget.env_steps": 4_000},
        {},
        4_000,
    ),
    "lunarlander": Task(
        "LunarLanderContinuous-v3: seconds of training to a mean greedy return of 200",
        "lunarlander-ppo-tuned",
        LUNAR_LANDER,
        Rules("LunarLanderContinuous-v3", every=16_384, episodes=20, threshold=200, stops=True),
        {"budget.iterations": 2},
        {"n_steps": 128},
        4_096,
    ),
    "pendulum": Task(
        "Pendulum-v1: steps a second once updates have begun, and the return of 20,000 steps",
        "pendulum-ddpg",
        PENDULUM,
        Rules("Pendulum-v1", every=2_000, episodes=20),
        {
            "budget.env_steps": 600,
            "algorithm.learning_starts": 300,
            "algorithm.iteration_steps": 100,
        },
        {"learning_starts": 300},
        600,
    ),
}

# What Stable-Baselines3 does with the zoo's settings, done by ours.
PENDULUM_ALIKE: dict[str, Any] = {
    "name": "pendulum-alike",
    "env": {"id": "Pendulum-v1"},
    "network": {"hidden": [400, 300], "activation": "relu", "scale_inputs": False},
    "algorithm": {
        "kind": "ddpg",
        "capacity": 200_000,
        "learning_starts": 10_000,
        "batch_size": 256,
        "actor_learning_rate": 1e-3,
        "critic_learning_rate": 1e-3,
        "gamma": 0.98,
        "tau": 0.005,
        "critic_state_hidden": [],
        "critic_action_hidden": [],
        "critic_hidden": [400, 300],
        "squash": "tanh",
        "exploration": "gaussian",
        "noise_std": 0.1,
        "repulsive_boundary": False,
        "iteration_steps": 200,
    },
    "budget": {"env_steps": 20_000},
}


def main(settings: Settings) -> None:
    """Measure, print, and write, with one thread."""
    numba.set_num_threads(1)
    torch.set_num_threads(1)  # after numba, which sets it too when it wakes
    with threadpool_limits(1, user_api="blas"):
        measure(settings)


def measure(settings: Settings) -> None:
    screen, about = console(), machine()
    about["openblas_coretype"] = os.environ.get("OPENBLAS_CORETYPE", "not set")
    print_machine(screen, about)
    kept = {"machine": about, "settings": {**vars(settings), "json": str(settings.json)}}
    if settings.section == "update":
        rounds, seconds = (3, 0.05) if settings.quick else (settings.rounds, settings.seconds)
        shown, figures = control_updates.measure(rounds, seconds, settings.sbx_python)
        for part in shown:
            screen.print(part, soft_wrap=isinstance(part, str))
        write_json(settings.json, {**kept, **figures})
        return
    train(settings, TASKS[settings.section], screen, kept)


def train(settings: Settings, task: Task, screen: Console, kept: dict[str, Any]) -> None:
    """Every contender of a task, seed by seed, and what came of it."""
    rules, rival = task.rules, task.rival
    if settings.quick:
        rules = replace(rules, every=task.quick_steps // 6, episodes=2)
        few = {**rival.settings, **task.quick_rival}
        rival = replace(rival, env_steps=task.quick_steps, settings=few)
    recipes = {} if settings.only == "theirs" else our_recipes(settings, task)
    contenders: dict[str, Contender] = {name: ours(recipe) for name, recipe in recipes.items()}
    if settings.only != "ours":
        contenders[SB3] = theirs(rival)
    for recipe in recipes.values():
        warm_up(recipe)
    kept |= {
        "rules": vars(rules),
        "recipes": {name: one.model_dump(mode="json") for name, one in recipes.items()},
        "rival": rival.as_dict(),
    }

    def keep(done: list[Training]) -> None:
        write_json(settings.json, {**kept, "trainings": [one.as_dict() for one in done]})

    seeds = range(1 if settings.quick else settings.seeds)
    done = race(screen, contenders, rules, seeds, keep)
    screen.print("")
    if rules.threshold is None:
        screen.print(speed_table(done, task.title))
    else:
        for part in threshold_table(done, task.title, SB3):
            screen.print(part, soft_wrap=isinstance(part, str))
    screen.print(
        f"\nMean over {len(seeds)} seeds, one thread; judged every {rules.every:,} steps on "
        f"{rules.episodes} episodes played greedily, off the clock.",
        soft_wrap=True,
    )


def our_recipes(settings: Settings, task: Task) -> dict[str, Recipe]:
    """Our contenders of a task, by what the table calls them."""
    changes = {"threads": 1, **(task.quick if settings.quick else {})}
    found = {"ours": load_recipe(settings.recipe or task.recipe, changes)}
    if task.rival is PENDULUM:
        alike = {**PENDULUM_ALIKE, "threads": 1}
        if settings.quick:
            alike["algorithm"] = {
                **alike["algorithm"],
                "learning_starts": 300,
                "iteration_steps": 100,
            }
            alike["budget"] = {"env_steps": task.quick_steps}
        found["ours, their settings"] = parse_recipe(alike, "pendulum-alike")
    return found


if __name__ == "__main__":
    try:
        main(tyro.cli(Settings))
    except InputError as error:
        raise SystemExit(f"control.py: {error}") from None
