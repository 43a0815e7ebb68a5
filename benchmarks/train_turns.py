"""Training with this checkout beside another, in turns: ratios that hold on a busy machine.

    python benchmarks/train_turns.py OTHER [--quick] [--rounds N] [--only NAME] [--json FILE]

OTHER is the root of the other checkout; from commit ff41f99 on both read the same recipe. Each
side is a process of its own that has built the recipe's algorithm and iterated twice; then they
work in turns, in an order that changes. A figure is the time of an iteration over what it holds
(environment steps, or gradient updates with the steps that they are made for). A ratio is this
checkout's figure in the other's, taken in each round; of them the median is printed, with the
quartiles. With this checkout's own root as OTHER it shows what the machine adds.
"""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final, NamedTuple

import numpy as np
import tyro

from harness import QUICK, console, machine, print_machine, shortened, table, write_json

WORKSHOP: Final = {
    "id": "compagnon/Workshop-v0",
    "args": {
        "observation": "state", "decision_points": True, "reward": "profit", "demand": "tight"
    },
}  # fmt: skip
RELU: Final = {"hidden": [64, 64], "activation": "relu"}


# The shapes of the recipes that ship, with all that says how much work they are.
PPO: Final = {
    "kind": "ppo", "num_envs": 256, "rollout_steps": 64, "epochs": 3, "minibatch_size": 2_048,
    "entropy_coef": 0.003, "gae_lambda": 0.98, "gamma": 0.999,
}  # fmt: skip
DQN: Final = {
    "kind": "dqn", "num_envs": 8, "iteration_steps": 2_000, "capacity": 50_000,
    "learning_starts": 1_000, "batch_size": 128, "updates": 4, "gamma": 0.99, "target_every": 8,
    "tau": 0.005, "double": True, "n_step": 5,
}  # fmt: skip
DDPG: Final = {
    "kind": "ddpg", "iteration_steps": 1_000, "capacity": 20_000, "learning_starts": 1_000,
    "batch_size": 64, "updates": 2, "gamma": 0.98, "tau": 0.01, "exploration": "gaussian",
    "noise_std": 0.1, "repulsive_boundary": False, "squash": "sigmoid", "critic_state_hidden": [],
    "critic_action_hidden": [], "critic_hidden": [64, 64], "twin_critics": False, "actor_delay": 1,
}  # fmt: skip


class Case(NamedTuple):
    """What both sides do.

    Attributes:
        unit: what is counted. each: how many of it an iteration is.
        env, network, algorithm: of the recipe; without an algorithm random possible actions are
            stepped.
    """

    unit: str
    each: int
    env: dict[str, Any]
    network: dict[str, Any] | None = None
    algorithm: dict[str, Any] | None = None


CASES: Final[dict[str, Case]] = {
    "workshop's kernel, 1,024 copies": Case("a step", 1_024 * 20, WORKSHOP),
    "PPO as in workshop-tight": Case("a step", 256 * 64, WORKSHOP, {"hidden": [64, 64]}, PPO),
    "DQN as in cartpole-dqn": Case("an update", 1_000, {"id": "CartPole-v1"}, RELU, DQN),
    "DDPG as in pendulum-ddpg": Case(
        "an update", 2_000, {"id": "Pendulum-v1"}, {**RELU, "scale_inputs": "ranges"}, DDPG
    ),
}


@dataclass
class Settings:
    """Measure two checkouts in turns, each in a process of its own."""

    other: tyro.conf.Positional[Path]
    """Root of the other checkout."""
    rounds: int = 7
    """Turns of each."""
    seconds: float = 3.0
    """Length of a turn; whole iterations are done."""
    threads: int = 1
    """Threads of each."""
    only: str = ""
    """The cases whose names begin so."""
    json: Path | None = None
    """Also write the figures here."""
    quick: bool = False
    """A moment of each, to see that everything runs; the figures mean nothing."""


class Turn(NamedTuple):
    """Microseconds of one unit of work, by the clock and of processor time."""

    clock: float
    processor: float


def main(settings: Settings) -> None:
    """Measure and print."""
    settings = shortened(settings, rounds=1, seconds=0.01)
    screen, about = console(), machine()
    print_machine(screen, about)
    if settings.quick:
        screen.print(QUICK)
    trees = {"this": Path(__file__).resolve().parents[1], "other": settings.other.resolve()}
    figures: dict[str, dict[str, list[Turn]]] = {}
    rows = []
    for name in (name for name in CASES if name.startswith(settings.only)):
        found = figures[name] = measured(name, trees, settings)
        for number, title in enumerate((f"{name}, us {CASES[name].unit}", "  of processor time")):
            ours, theirs = ([turn[number] for turn in found[side]] for side in trees)
            low, middle, high = np.percentile(np.divide(ours, theirs), [25, 50, 75])
            medians = [f"{statistics.median(one):,.2f}" for one in (theirs, ours)]
            rows.append([title, *medians, f"{middle:.2f}", f"{low:.2f} to {high:.2f}"])
    heads = ["", "other", "this", "this / other", "half of the rounds"]
    screen.print(table(f"{settings.rounds} rounds, threads: {settings.threads}", heads, rows))
    write_json(settings.json, {"machine": about, "rounds": figures})


def measured(name: str, trees: dict[str, Path], settings: Settings) -> dict[str, list[Turn]]:
    """The turns of each side of a case, after both have compiled and filled their buffers."""
    workers = {side: start(name, tree, settings.threads) for side, tree in trees.items()}
    for _ in range(1 if settings.quick else 2):
        for worker in workers.values():
            ask(worker, 0)
    found: dict[str, list[Turn]] = {side: [] for side in trees}
    for number in range(settings.rounds):
        for side in list(trees) if number % 2 else list(reversed(trees)):
            found[side].append(ask(workers[side], settings.seconds))
    for worker in workers.values():
        worker.communicate()
    return found


def start(name: str, tree: Path, threads: int) -> "subprocess.Popen[str]":
    """A worker that compiles and fills its buffers before its first turn."""
    variables = {
        "PYTHONPATH": str(tree / "src"),
        "NUMBA_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return subprocess.Popen(
        [sys.executable, __file__, "--worker", name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **variables},
    )  # fmt: skip


def ask(worker: "subprocess.Popen[str]", seconds: float) -> Turn:
    """One turn of a worker; at least one iteration.

    Raises:
        SystemExit: it broke down; what it said stands above.
    """
    assert worker.stdin is not None
    assert worker.stdout is not None
    print(seconds, file=worker.stdin, flush=True)
    line = worker.stdout.readline()
    if not line:
        raise SystemExit("a worker broke down")
    return Turn(*json.loads(line))


def work(case: Case) -> None:
    """Work as long as each line of the input says, and print what a unit took."""
    iterate = learner(case) if case.algorithm else stepper(case)
    for line in sys.stdin:
        count, wall, cpu = 0, 0.0, 0.0
        while wall < float(line) or not count:
            more_wall, more_cpu = iterate()
            count, wall, cpu = count + case.each, wall + more_wall, cpu + more_cpu
        print(json.dumps([1e6 * wall / count, 1e6 * cpu / count]), flush=True)


def learner(case: Case) -> Any:
    """One iteration of the algorithm that the recipe describes."""
    # Before the house was rebuilt, what is now called `rl` was called `learning`.
    package = "compagnon.rl" if find_spec("compagnon.rl") else "compagnon.learning"
    build_algorithm = import_module(f"{package}.algorithm").build_algorithm
    parse_recipe = import_module(f"{package}.recipe").parse_recipe
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    tree = {
        "name": "turns", "env": case.env, "network": case.network, "algorithm": case.algorithm,
        "budget": {"iterations": 1_000_000},
    }  # fmt: skip
    algorithm, _ = build_algorithm(parse_recipe(tree, "turns"))

    def iterate() -> tuple[float, float]:
        begun, cpu_begun = perf_counter(), process_time()
        algorithm.iterate()
        return perf_counter() - begun, process_time() - cpu_begun

    return iterate


def stepper(case: Case, num_envs: int = 1_024) -> Any:
    """Twenty steps of many copies; the choice among possible actions is not timed."""
    from compagnon.envs import BatchEnv

    env = BatchEnv(case.env["id"], case.env["args"], num_envs)
    env.reset(list(range(num_envs)))
    rng = np.random.default_rng(0)

    def iterate() -> tuple[float, float]:
        wall = cpu = 0.0
        for _ in range(case.each // num_envs):
            assert env.action_mask is not None
            actions = (rng.random(env.action_mask.shape, np.float32) * env.action_mask).argmax(1)
            begun, cpu_begun = perf_counter(), process_time()
            env.step(actions)
            wall += perf_counter() - begun
            cpu += process_time() - cpu_begun
        return wall, cpu

    return iterate


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(CASES[sys.argv[2]])
    else:
        main(tyro.cli(Settings, description=__doc__))
