"""The dispatch kernel of this checkout against another's, in turns: ratios on a busy machine."""

import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import perf_counter, process_time
from typing import Final

import numpy as np
import tyro

from harness import console, machine, print_machine, shortened, table


@dataclass
class Settings:
    """Measure two kernels in turns, each in a process of its own."""

    other: tyro.conf.Positional[Path]
    """Root of the other checkout."""
    turns: int = 24
    """Turns of each."""
    steps: int = 12
    """Decisions of each copy in a turn."""
    threads: int = 1
    """Threads of each."""
    quick: bool = False
    """A moment of each, to see that everything runs; the figures mean nothing."""
    first_feasible: bool = False
    """Take the first feasible pair, not a random possible decision."""
    plain: bool = False
    """Accepted rides stay where they are, nobody takes a taxi, answers have no price: as in v0."""


def main(settings: Settings) -> None:
    """Measure and print."""
    settings = shortened(settings, turns=2, steps=1)
    trees = [settings.other.resolve(), Path(__file__).resolve().parents[1]]
    workers = [start(tree, settings) for tree in trees]
    results: list[list[tuple[float, float]]] = [[], []]
    order, rng = [0, 1], Random(0)
    for _ in range(settings.turns):
        rng.shuffle(order)
        for which in order:
            wall, cpu = ask(workers[which], settings.steps)
            results[which].append((wall, cpu))
    for worker in workers:
        worker.communicate()
    screen = console()
    print_machine(screen, machine())
    walls = [statistics.median(wall for wall, _ in turns) for turns in results]
    cpus = [statistics.median(cpu for _, cpu in turns) for turns in results]
    rows = [
        [str(tree), f"{wall:.1f}", f"{cpu:.1f}"]
        for tree, wall, cpu in zip(trees, walls, cpus, strict=True)
    ]
    rows.append(["times as fast", f"{walls[0] / walls[1]:.2f}", f"{cpus[0] / cpus[1]:.2f}"])
    screen.print(table("Microseconds a decision", ["", "clock", "processor"], rows))


def start(tree: Path, settings: Settings) -> "subprocess.Popen[str]":
    """A worker that has compiled and spread the clocks of its copies."""
    variables = {"PYTHONPATH": str(tree / "src"), "NUMBA_NUM_THREADS": str(settings.threads)}
    policy = "first" if settings.first_feasible else "random"
    worker = subprocess.Popen(
        [sys.executable, __file__, "--worker", policy, "plain" if settings.plain else "usual"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **variables},
    )  # fmt: skip
    ask(worker, 60)
    return worker


def ask(worker: "subprocess.Popen[str]", steps: int) -> tuple[float, float]:
    """Microseconds a decision by the clock and of processor time."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    print(steps, file=worker.stdin, flush=True)
    wall, cpu = worker.stdout.readline().split()
    return float(wall), float(cpu)


PLAIN: Final[dict[str, object]] = {
    "replan": False, "taxi": False, "answer": 0.0, "answer_on_call": 0.0, "answer_in_advance": 0.0,
}  # fmt: skip


def work(policy: str, plain: bool, num_envs: int = 256) -> None:
    """Step so often as each line of the input says, and print what it took."""
    from compagnon.worlds.dispatch.options import DispatchOptions
    from compagnon.worlds.dispatch.vector import DispatchVectorEnv

    known = DispatchOptions.model_fields  # an older checkout has not all of them
    options = {name: value for name, value in PLAIN.items() if plain and name in known}
    env = DispatchVectorEnv(num_envs, preset="city", copy=False, **options)
    _, info = env.reset(seed=0)
    rng = np.random.default_rng(0)
    pairs = slice(1, 1 + env.layout.drivers * env.layout.board)
    for line in sys.stdin:
        wall = cpu = 0.0
        for _ in range(int(line)):
            mask = info["action_mask"]
            if policy == "random":
                actions = (rng.random(mask.shape, np.float32) * mask).argmax(axis=1)
            else:
                possible = mask[:, pairs]
                actions = np.where(possible.any(axis=1), possible.argmax(axis=1) + 1, 0)
            begun, cpu_begun = perf_counter(), process_time()
            _, _, _, _, info = env.step(actions)
            wall += perf_counter() - begun
            cpu += process_time() - cpu_begun
        each = 1e6 / (int(line) * num_envs)
        print(wall * each, cpu * each, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], sys.argv[3] == "plain")
    else:
        main(tyro.cli(Settings))
