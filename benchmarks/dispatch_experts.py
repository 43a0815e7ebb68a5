"""Decisions a second of the experts of dispatch, the time of the world left out."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import tyro
from rich.table import Table

from compagnon.envs import BatchEnv
from compagnon.policy import Schema, load_policy
from compagnon.worlds.dispatch import DISPATCH
from harness import console, machine, print_machine, shortened, write_json

NAMES = ("nearest", "earliest", "least-loaded", "matching", "insertion", "regret")


@dataclass
class Settings:
    """Measure how many decisions a second each rule takes, on the boards that it meets itself."""

    preset: str = "city"
    """Size of the days."""
    num_envs: int = 30
    """Copies that are decided for together."""
    decisions: int = 20_000
    """Decisions of each measurement."""
    quick: bool = False
    """A moment of each, to see that everything runs; the figures mean nothing."""
    json: Path | None = None
    """Also write the figures here."""


def main(settings: Settings) -> None:
    """Measure, print, and write."""
    settings = shortened(settings, preset="clinic-day", num_envs=2, decisions=40)
    rates = {name: rate(settings, name) for name in NAMES}
    screen = console()
    about = machine()
    print_machine(screen, about)
    table = Table(title=f"{settings.preset}, {settings.num_envs:,} copies")
    table.add_column("expert:dispatch-...")
    table.add_column("decisions a second", justify="right")
    for name, value in rates.items():
        table.add_row(name, f"{value:,.0f}")
    screen.print(table)
    screen.print("Target of matching: 2,000 decisions a second.")
    write_json(settings.json, {"machine": about, "rates": rates, "num_envs": settings.num_envs})


def rate(settings: Settings, name: str) -> float:
    """Decisions a second of one rule, the world's own time left out."""
    env = BatchEnv(DISPATCH, {"preset": settings.preset}, settings.num_envs)
    policy = load_policy(f"expert:dispatch-{name}", Schema.of(env))
    env.reset(list(range(settings.num_envs)))
    seconds, taken = 0.0, -20 * settings.num_envs  # the first decisions compile
    while taken < settings.decisions:
        begun = perf_counter()
        actions = policy.act(env.obs, env.action_mask)
        if taken >= 0:
            seconds += perf_counter() - begun
        env.step(actions)
        taken += settings.num_envs
    return settings.decisions / seconds


if __name__ == "__main__":
    main(tyro.cli(Settings))
