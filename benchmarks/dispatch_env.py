"""Decisions a second of the dispatch world: many copies, random and first-feasible decisions."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numba
import numpy as np
import tyro
from rich.table import Table

from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from harness import console, machine, print_machine, shortened, write_json


@dataclass
class Settings:
    """Measure how many decisions a second the dispatch world takes."""

    preset: str = "city"
    """Size of the days."""
    num_envs: int = 256
    """Copies that step together."""
    decisions: int = 200_000
    """Decisions of each measurement."""
    quick: bool = False
    """A moment of each, to see that everything runs; the figures mean nothing."""
    json: Path | None = None
    """Also write the figures here."""


def main(settings: Settings) -> None:
    """Measure, print, and write."""
    settings = shortened(settings, preset="clinic-day", num_envs=4, decisions=100)
    rates = {name: rate(settings, name) for name in ("random", "first feasible")}
    screen = console()
    about = machine()
    print_machine(screen, about)
    table = Table(title=f"{settings.preset}, {settings.num_envs:,} copies")
    table.add_column("decisions")
    table.add_column("a second", justify="right")
    for name, value in rates.items():
        table.add_row(name, f"{value:,.0f}")
    screen.print(table)
    screen.print(f"{numba.get_num_threads()} threads; choosing the actions is not counted.")
    write_json(settings.json, {"machine": about, "rates": rates, "num_envs": settings.num_envs})


def rate(settings: Settings, policy: str) -> float:
    """Decisions a second, the time of choosing them left out."""
    env = DispatchVectorEnv(settings.num_envs, preset=settings.preset, copy=False)
    _, info = env.reset(seed=0)
    rng = np.random.default_rng(0)
    pairs = slice(1, 1 + env.layout.drivers * env.layout.board)
    seconds, taken = 0.0, -20 * settings.num_envs  # the first steps compile and spread the clocks
    while taken < settings.decisions:
        mask = info["action_mask"]
        if policy == "random":
            actions = (rng.random(mask.shape, np.float32) * mask).argmax(axis=1)
        else:
            possible = mask[:, pairs]
            actions = np.where(possible.any(axis=1), possible.argmax(axis=1) + 1, 0)
        begun = perf_counter()
        _, _, _, _, info = env.step(actions)
        if taken >= 0:
            seconds += perf_counter() - begun
        taken += settings.num_envs
    return settings.decisions / seconds


if __name__ == "__main__":
    main(tyro.cli(Settings))
