"""Steps a second of the dispatch proof of concept, and decisions a second of its rules."""

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

from compagnon.envs import BatchEnv
from compagnon.policy import Schema, load_policy
from compagnon.worlds.dispatch_poc import DISPATCH_POC
from compagnon.worlds.dispatch_poc.vector import DispatchPocVectorEnv
from compagnon.worlds.dispatch_poc.world import WORLD
from harness import (
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

ROOT = Path(__file__).resolve().parents[1]
RANDOM, WAITING = "random possible actions", "waiting"
RULES = ("nearest", "earliest", "least-loaded", "matching")


@dataclass
class Settings:
    """Measure how fast the proof of concept steps, and how fast its rules decide."""

    num_envs: int = 1024
    """Copies that step together."""
    recorded: int = 288
    """Steps of random possible actions, drawn before the clock starts and played over and over."""
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
    about = machine()
    rates = take_turns(contenders(settings), settings.rounds, settings.seconds)
    threads = max(threads_to_try())
    targets = [
        Target(name, rates[name].median, at_least, "/s")
        for name, at_least in (
            (kernel(threads, RANDOM), 1e6),
            (kernel(threads, WAITING), 1e6),
            ("rule matching, decisions", 2_000),
        )
    ]
    screen = console()
    print_machine(screen, about)
    screen.print(
        f"{settings.num_envs:,} copies, {settings.rounds} rounds of {settings.seconds:g} s; "
        "observations and masks written at every step\n"
    )
    rows = [[name, f"{rate.median:,.0f}", rate.spread] for name, rate in rates.items()]
    columns = ["", "a second", "slowest to fastest"]
    screen.print(table("Steps or decisions a second (median of the rounds)", columns, rows), "")
    screen.print(targets_table(targets))
    figures = {
        "machine": about,
        "num_envs": settings.num_envs,
        "rates": {name: rate.as_dict() for name, rate in rates.items()},
        "targets": [{**vars(target), "met": target.met} for target in targets],
    }
    write_json(settings.json, figures)


def contenders(settings: Settings) -> dict[str, Work]:
    """Everything that is measured, by name."""
    copies = DispatchPocVectorEnv(settings.num_envs, copy=False)
    actions = record(copies, settings.recorded)
    made: dict[str, Work] = {}
    for threads in threads_to_try():
        for what, played in ((RANDOM, actions), (WAITING, np.zeros_like(actions))):
            made[kernel(threads, what)] = play_kernel(copies, played, threads)
    one = record(DispatchPocVectorEnv(1, copy=False), 960)[:, 0]
    made[f"gymnasium.make, {RANDOM}"] = play_single(gymnasium.make(DISPATCH_POC), one)
    made[f"plain Python, {RANDOM}"] = play_python(one[:96])
    for rule in RULES:
        made[f"rule {rule}, decisions"] = decide(rule, settings.num_envs)
    return made


def kernel(threads: int, what: str) -> str:
    return f"kernel, {threads} thread{'s'[: threads > 1]}, {what}"


def threads_to_try() -> list[int]:
    """One, and two where there are two."""
    return sorted({1, min(2, numba.config.NUMBA_NUM_THREADS)})


def record(env: DispatchPocVectorEnv, steps: int) -> NDArray[np.int64]:
    """Actions (steps, N) drawn uniformly from the possible ones, from the days of seed 0 on."""
    rng = np.random.default_rng(0)
    actions = np.empty((steps, env.num_envs), np.int64)
    _, info = env.reset(seed=0)
    for t in range(steps):
        mask = info["action_mask"]
        actions[t] = (rng.random(mask.shape) * mask).argmax(axis=1)
        info = env.step(actions[t])[4]
    return actions


def play_kernel(env: DispatchPocVectorEnv, actions: NDArray[np.int64], threads: int) -> Work:
    """The compiled step alone."""
    core = env._core

    def work() -> int:
        numba.set_num_threads(threads)
        env.reset(seed=0)
        for row in actions:
            core.step(row, True)
        return actions.size

    return work


def play_single(env: gymnasium.Env[Any, Any], actions: NDArray[np.int64]) -> Work:
    """One copy through Gymnasium's own interface."""

    def work() -> int:
        env.reset(seed=0)
        for action in actions:
            if env.step(action)[2]:
                env.reset()
        return len(actions)

    return work


def play_python(actions: NDArray[np.int64]) -> Work:
    """The same rules in plain Python, from the tests' restatement of them."""
    sys.path.insert(0, str(ROOT))
    day = importlib.import_module("tests.worlds.dispatch_poc.reference").ReferenceDay()

    def work() -> int:
        day.reset(0)
        for action in actions.tolist():
            day.step(action)
            np.array(day.obs(), np.float32)
            np.array(day.mask())
        return len(actions)

    return work


def decide(rule: str, boards: int) -> Work:
    """A rule's choice for many boards at once, twenty minutes into the day."""
    env = BatchEnv(DISPATCH_POC, {}, boards)
    env.reset(list(range(boards)))
    policy = load_policy(f"expert:dispatch-poc-{rule}", Schema.of(env))
    for _ in range(4):
        env.step(np.zeros(boards, np.int64))

    def work() -> int:
        policy.act(env.obs, env.action_mask)
        return boards

    return work


if __name__ == "__main__":
    main(tyro.cli(Settings))
