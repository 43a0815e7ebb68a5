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
import torch
import tyro
from threadpoolctl import threadpool_limits

from compagnon.rl import dagger as daggers
from compagnon.rl import ddpg as ddpgs
from compagnon.rl import dqn as dqns
from compagnon.rl import ppo as ppos
from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.recipe import parse_recipe
from compagnon.worlds.dispatch import DISPATCH
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
DAGGER = {"kind": "dagger", "expert": "expert:workshop-v2", "num_envs": 8, "collect_steps": 256}
DQN = {"kind": "dqn", "num_envs": 4, "iteration_steps": 1_000, "learning_starts": 256}
PAIRWISE = {"kind": "pairwise", "hidden": [32, 32], "embedding": 16, "activation": "relu"}
FLEET = {"preset": "clinic-day", "board": 6}
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
    "ppo, pairwise, 256 rows": (DISPATCH, FLEET, PAIRWISE, {**PPO, "minibatch_size": 256}),
    "dqn, 128 rows": ("CartPole-v1", {}, {"hidden": [128, 128], "activation": "relu"}, DQN),
    "dqn, dueling, 128 rows": (
        "CartPole-v1",
        {},
        {"hidden": [128, 128], "activation": "relu"},
        {**DQN, "dueling": True},
    ),
    "ddpg, 256 rows": ("Pendulum-v1", {}, {"hidden": [128, 128], "activation": "relu"}, DDPG),
    "dagger, 201 actions, 1,024 rows": (WORKSHOP, {"decision_points": True}, SMALL, DAGGER),
}


@dataclass(frozen=True)
class Settings:
    """How long to measure.

    Attributes:
        rounds: turns of each. seconds: of a turn. json: where the figures are written.
    """

    rounds: int = 5
    seconds: float = 1.0
    json: Path | None = None
    quick: bool = False


def works_of(name: str) -> dict[str, Work]:
    """A gradient step of each path, on an algorithm of its own that has played once."""
    env_id, args, network, algorithm = CASES[name]
    tree = {
        "name": "fast-paths",
        "env": {"id": env_id, "args": args},
        "network": network,
        "algorithm": algorithm,
        "budget": {"iterations": 10},
    }
    recipe = parse_recipe(tree, name)
    works: dict[str, Work] = {}
    for path in ("fast", "plain"):
        built, trained = build_algorithm(recipe)
        if isinstance(built, ppos.PPO):
            if path == "plain":
                built.steps = ppos.AutogradSteps(built.network, built.distribution, built.settings)
            works[path] = ppo_step(built)
        elif isinstance(built, dqns.DQN):
            if path == "plain":
                built.steps = dqns.AutogradSteps(trained.actor, built.target, built.settings)
            built.iterate()
            works[path] = lambda built=built: len(built._update()) // 4
        elif isinstance(built, ddpgs.DDPG):
            if path == "plain":
                built.steps = ddpgs.AutogradSteps(built.network, built.settings)
            built.iterate()
            works[path] = lambda built=built: len(built._update()) // 2
        elif isinstance(built, daggers.Dagger):
            if path == "plain":
                built.cross_entropy = daggers.masked_cross_entropy
            works[path] = dagger_step(built)
    return works


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


def dagger_step(dagger: daggers.Dagger) -> Work:
    dagger._ask()
    data, rows = dagger.data, np.arange(1_024)
    x = torch.from_numpy(dagger.network.scaled(data.obs[rows]))
    weights = np.full(len(rows), 1 / len(rows), np.float32)

    def work() -> int:
        logits = dagger.network.actor(x)
        loss, _ = dagger.cross_entropy(logits, data.action_mask, rows, data.labels[rows], weights)
        dagger.optimiser.zero_grad()
        loss.backward()
        dagger.optimiser.step()
        return 1

    return work


def report(found: dict[str, dict[str, Rates]]) -> Any:
    rows = []
    for name, rates in found.items():
        fast, plain = rates["fast"], rates["plain"]
        times = fast.times(plain)
        rows.append(
            [
                name,
                f"{1e3 / fast.median:.3f}",
                f"{1e3 / plain.median:.3f}",
                f"{times:.2f}",
                "kept" if times >= WANTED else "not worth it",
            ]
        )
    columns = ["", "fast, ms", "plain, ms", "times as fast", f"at least {WANTED}"]
    return table("Milliseconds of one gradient step (median of the rounds)", columns, rows)


def main(given: Settings) -> None:
    settings = shortened(given, rounds=1, seconds=0.02)
    screen, about = console(), machine()
    print_machine(screen, about)
    if settings.quick:
        screen.print(QUICK)
    torch.set_num_threads(1)
    with threadpool_limits(1, user_api="blas"):  # as in training
        found = {
            name: take_turns(works_of(name), settings.rounds, settings.seconds) for name in CASES
        }
    screen.print(report(found))
    figures = {
        name: {path: rate.as_dict() for path, rate in rates.items()}
        for name, rates in found.items()
    }
    write_json(settings.json, {"machine": about, "figures": figures})


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
