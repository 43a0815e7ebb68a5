"""Steps a second and memory of the workshop: many copies, one copy, and plain Python."""

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numba
import numpy as np
import tyro
from numpy.typing import NDArray
from rich.table import Table

from compagnon.worlds.workshop import WORKSHOP
from compagnon.worlds.workshop.env import WorkshopEnv
from compagnon.worlds.workshop.vector import WorkshopVectorEnv
from compagnon.worlds.workshop.world import WORLD
from harness import (
    Rates,
    Target,
    Work,
    console,
    machine,
    print_machine,
    shortened,
    table,
    take_turns,
    targets_table,
    write_json,
)

WAIT = 200
ROOT = Path(__file__).resolve().parents[1]
RANDOM, WAITING = "random valid actions", "waiting"


@dataclass
class Settings:
    """Measure how fast the workshop steps, and how much memory many copies take."""

    num_envs: int = 1024
    """Copies that step together."""
    recorded: int = 500
    """Steps of random valid actions, drawn before the clock starts and played over and over."""
    rounds: int = 3
    """How often each measurement has its turn."""
    seconds: float = 1.0
    """Length of one turn."""
    quick: bool = False
    """A moment of each, to see that everything runs; the figures mean nothing."""
    json: Path | None = None
    """Also write the figures here."""


def main(settings: Settings) -> None:
    """Measure, print, and write."""
    settings = shortened(settings, num_envs=8, recorded=20, rounds=1, seconds=0.01)
    WORLD.register()
    wait(64)  # so that the compiled code is loaded before memory is looked at
    before = resident_mb()
    copies = wait(settings.num_envs)
    after = resident_mb()

    about = machine()
    rates = take_turns(contenders(settings, copies), settings.rounds, settings.seconds)
    cores = max(threads_to_try())
    python = rates[f"plain Python, {RANDOM}"]
    single = rates[f"gymnasium.make, {RANDOM}"].median
    targets = [
        Target(
            f"kernel, {cores} threads, {RANDOM}", rates[kernel(cores, RANDOM)].median, 3e6, "/s"
        ),
        Target(
            f"kernel, {cores} threads, {WAITING}", rates[kernel(cores, WAITING)].median, 3e6, "/s"
        ),
        Target(f"gymnasium.make, {RANDOM}", single, 60_000, "/s"),
    ]
    if after is not None and before is not None:
        memory = Target(
            f"memory of {settings.num_envs:,} copies", after - before, 1000, " MB", at_most=True
        )
        targets.append(memory)

    screen = console()
    print_machine(screen, about)
    screen.print(
        f"{settings.num_envs:,} copies, {settings.rounds} rounds of {settings.seconds:g} s; "
        "observations and masks written at every step\n"
    )
    screen.print(_rates_table(rates, python), "")
    screen.print(targets_table(targets))
    if after is not None:
        screen.print(f"\nThe whole process holds {after:,.0f} MB, compiler included.")
    figures = {
        "machine": about,
        "num_envs": settings.num_envs,
        "rates": {name: rate.as_dict() for name, rate in rates.items()},
        "memory_mb": {"copies": None if before is None else after - before, "process": after},
        "targets": [{**vars(target), "met": target.met} for target in targets],
    }
    write_json(settings.json, figures)


def wait(num_envs: int) -> WorkshopVectorEnv:
    """Fresh copies that have stepped, so that all their memory has been touched."""
    copies = WorkshopVectorEnv(num_envs, copy=False)
    copies.reset(seed=0)
    for _ in range(100):
        copies.step(np.full(num_envs, WAIT))
    return copies


def contenders(settings: Settings, copies: WorkshopVectorEnv) -> dict[str, Work]:
    """Everything that is measured, by name."""
    actions = record(copies, settings.recorded)
    waits = np.full_like(actions, WAIT)
    made: dict[str, Work] = {}
    for threads in threads_to_try():
        for what, played in ((RANDOM, actions), (WAITING, waits)):
            made[kernel(threads, what)] = play_kernel(copies, played, threads)
    most = max(threads_to_try())
    made[f"vector env, {most} threads, {RANDOM}"] = play_vector(copies, actions, most)
    one = record(WorkshopVectorEnv(1, copy=False), 2000)[:, 0]
    made[f"gymnasium.make, {RANDOM}"] = play_single(gymnasium.make(WORKSHOP), one)
    made[f"the class itself, {RANDOM}"] = play_single(WorkshopEnv(), one)
    made[f"plain Python, {RANDOM}"] = play_python(one[:500])
    return made


def kernel(threads: int, what: str) -> str:
    return f"kernel, {threads} thread{'s'[: threads > 1]}, {what}"


def threads_to_try() -> list[int]:
    """One, and two where there are two."""
    return sorted({1, min(2, numba.config.NUMBA_NUM_THREADS)})


def record(env: WorkshopVectorEnv, steps: int) -> NDArray[np.int64]:
    """Actions (steps, N) drawn uniformly from the possible ones; the week of seed 0 accepts them.

    What an action leads to depends on the seed alone, so the same actions are valid again when the
    same week is played again, and no time goes into choosing while the clock runs.
    """
    rng = np.random.default_rng(0)
    actions = np.empty((steps, env.num_envs), np.int64)
    _, info = env.reset(seed=0)
    for t in range(steps):
        mask = info["action_mask"]
        actions[t] = (rng.random(mask.shape) * mask).argmax(axis=1)
        info = env.step(actions[t])[4]
    return actions


def play_kernel(env: WorkshopVectorEnv, actions: NDArray[np.int64], threads: int) -> Work:
    """The compiled step alone."""
    core = env._core

    def work() -> int:
        numba.set_num_threads(threads)
        env.reset(seed=0)
        for row in actions:
            core.step(row, True)
        return actions.size

    return work


def play_vector(env: WorkshopVectorEnv, actions: NDArray[np.int64], threads: int) -> Work:
    """The same through `gymnasium.vector`, as learners use it."""

    def work() -> int:
        numba.set_num_threads(threads)
        env.reset(seed=0)
        for row in actions:
            env.step(row)
        return actions.size

    return work


def play_single(env: gymnasium.Env[Any, Any], actions: NDArray[np.int64]) -> Work:
    """One copy through Gymnasium's own interface."""

    def work() -> int:
        env.reset(seed=0)
        for action in actions:
            env.step(action)
        return len(actions)

    return work


def play_python(actions: NDArray[np.int64]) -> Work:
    """The same rules as a person would first write them, from the tests' restatement of them."""
    sys.path.insert(0, str(ROOT))
    shop = importlib.import_module("tests.worlds.workshop.reference").ReferenceShop(0)
    names = WorkshopEnv().observation_fields

    def work() -> int:
        shop.episode = 0
        shop.begin()
        for action in actions.tolist():
            shop.step(action)
            fields = shop.fields()
            np.array([fields[field.name] for field in names], np.float32)
            np.array(shop.mask())
        return len(actions)

    return work


def resident_mb() -> float | None:
    """Memory that this process holds now; None where the system does not say."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    for line in status.read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return None


def _rates_table(rates: dict[str, Rates], python: Rates) -> Table:
    rows = [
        [name, f"{rate.median:,.0f}", rate.spread, f"{rate.times(python):,.0f}"]
        for name, rate in rates.items()
    ]
    columns = ["", "steps/s", "slowest to fastest", "x plain Python"]
    return table("Environment steps a second (median of the rounds)", columns, rows)


if __name__ == "__main__":
    main(tyro.cli(Settings))
