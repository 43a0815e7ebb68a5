"""What each fast path of `compagnon.rl.fast` buys: gradient steps beside those in plain autograd.

Both take the same minibatches of the same algorithm, in turns. A path that is not 1.3 times as fast
as what it stands for is not worth its lines.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import tyro

from compagnon.rl import ddpg as ddpgs
from compagnon.rl import dqn as dqns
from compagnon.rl import ppo as ppos
from compagnon.rl.algorithm import Algorithm, build_algorithm
from compagnon.rl.process import threads
from compagnon.rl.recipe import parse_recipe
from compagnon.worlds.workshop import WORKSHOP
from harness import (
    QUICK,
    Rates,
    Work,
    console,
    machine,
    print_machine,
    shortened,
    table,
    take_turns,
    write_json,
)

WANTED = 1.3
PPO = {"kind": "ppo", "num_envs": 8, "rollout_steps": 256, "minibatch_size": 64}
DDPG = {"kind": "ddpg", "iteration_steps": 1_000, "learning_starts": 500, "batch_size": 256}
DQN = {"kind": "dqn", "num_envs": 4, "iteration_steps": 1_000, "learning_starts": 256}
SMALL = {"hidden": [64, 64]}
# Name -> environment, its arguments, the network, the algorithm.
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "ppo, 2 actions, 64 rows": ("CartPole-v1", {}, SMALL, PPO),
    "ppo, vectors, 64 rows": ("Pendulum-v1", {}, SMALL, PPO),
    "ppo, 201 actions, 2,048 rows": (
        WORKSHOP,
        {"decision_points": True},
        SMALL,
        {**PPO, "num_envs": 64, "rollout_steps": 64, "minibatch_size": 2_048},
    ),
    "dqn, 128 rows": ("CartPole-v1", {}, {"hidden": [128, 128], "activation": "relu"}, DQN),
    "dqn, dueling, 128 rows": (
        "CartPole-v1",
        {},
        {"hidden": [128, 128], "activation": "relu"},
        {**DQN, "dueling": True},
    ),
    "ddpg, 256 rows": ("Pendulum-v1", {}, {"hidden": [128, 128], "activation": "relu"}, DDPG),
}


@dataclass(frozen=True)
class Settings:
    """How long to measure.

    Attributes:
        rounds: turns of each. seconds: of a turn. threads: of torch and numba, as a recipe has.
        only: the cases whose names begin so. whole: whole iterations too, playing included.
        json: where the figures are written.
    """

    rounds: int = 5
    seconds: float = 1.0
    threads: int = 1
    only: tuple[str, ...] = ()
    whole: bool = False
    json: Path | None = None
    quick: bool = False


@dataclass(frozen=True)
class Built:
    """An algorithm on one of its paths, that has played.

    Attributes:
        step: one gradient step. iterate: one iteration of the algorithm.
    """

    step: Work
    iterate: Work


def built(name: str) -> dict[str, Built]:
    """The algorithm of a case on each of its paths."""
    env_id, args, network, algorithm = CASES[name]
    tree = {
        "name": "fast-paths",
        "env": {"id": env_id, "args": args},
        "network": network,
        "algorithm": algorithm,
        "budget": {"iterations": 1_000_000},
    }
    recipe = parse_recipe(tree, name)
    found: dict[str, Built] = {}
    for path in ("fast", "plain"):
        made, trained = build_algorithm(recipe)
        plain = path == "plain"
        if isinstance(made, ppos.PPO):
            if plain:
                made.steps = ppos.AutogradSteps(made.network, made.distribution, made.settings)
            step = ppo_step(made)
        elif isinstance(made, dqns.DQN):
            if plain:
                made.steps = dqns.AutogradSteps(trained.actor, made.target, made.settings)
            step = update_step(made)
        elif isinstance(made, ddpgs.DDPG):
            if plain:
                made.steps = ddpgs.AutogradSteps(made.network, made.settings)
            step = update_step(made)
        found[path] = Built(step, iteration(made))
    return found


def iteration(algorithm: Algorithm) -> Work:
    def work() -> int:
        algorithm.iterate()
        return 1

    return work


def update_step(algorithm: dqns.DQN | ddpgs.DDPG) -> Work:
    algorithm.iterate()

    def work() -> int:
        algorithm._update()
        return 1

    return work


def ppo_step(ppo: ppos.PPO) -> Work:
    ppo.iterate()
    batch = ppo.rollout.batch()
    whole = ppo._train_batch(batch, *ppo._credit(batch))
    parts = np.array_split(
        np.random.default_rng(0).permutation(len(batch.obs)),
        max(1, len(batch.obs) // ppo.settings.minibatch_size),
    )

    def work() -> int:
        for rows in parts[:8]:
            ppo.steps.losses(whole, rows)
            ppo.steps.step((1e-5, 1e-5))
        return len(parts[:8])

    return work


def report(title: str, found: dict[str, dict[str, Rates]]) -> Any:
    rows = []
    for name, rates in found.items():
        fast, plain = rates["fast"], rates["plain"]
        times, cpu = fast.times(plain), fast.cpu_times(plain)
        kept = "kept" if max(times, cpu) >= WANTED else "not worth it"
        milliseconds = (f"{1e3 / fast.median:.3f}", f"{1e3 / plain.median:.3f}")
        rows.append([name, *milliseconds, f"{times:.2f}", f"{cpu:.2f}", kept])
    columns = ["", "fast, ms", "plain, ms", "times as fast", "by processor", f"at least {WANTED}"]
    return table(title, columns, rows)


def main(given: Settings) -> None:
    settings = shortened(given, rounds=1, seconds=0.02, whole=True)
    screen, about = console(), machine()
    print_machine(screen, about)
    if settings.quick:
        screen.print(QUICK)
    names = [name for name in CASES if name.startswith(settings.only or ("",))]
    figures: dict[str, Any] = {}
    with threads(settings.threads):  # as in training
        algorithms = {name: built(name) for name in names}
        for what in ("step", "iterate") if settings.whole else ("step",):
            found = {
                name: take_turns(
                    {path: getattr(one, what) for path, one in algorithms[name].items()},
                    settings.rounds,
                    settings.seconds,
                )
                for name in names
            }
            said = {"step": "gradient step", "iterate": "whole iteration"}[what]
            title = f"Milliseconds of a {said} (median of the rounds), threads: {settings.threads}"
            screen.print(report(title, found))
            figures[what] = {
                name: {path: rate.as_dict() for path, rate in rates.items()}
                for name, rates in found.items()
            }
    write_json(settings.json, {"machine": about, "threads": settings.threads, "figures": figures})


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
