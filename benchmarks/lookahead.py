"""How long a look-ahead takes for a decision, beside the rule it plays on by and other planners."""

import statistics
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import tyro

from compagnon.envs import BatchEnv
from compagnon.policy import DayReader, Schema, load_policy
from compagnon.worlds.dispatch import DISPATCH
from harness import console, machine, print_machine, shortened, table, write_json


@dataclass
class Settings:
    """Play days of dispatch, one at a time, and time each decision, but not the day itself."""

    policies: tuple[str, ...] = (
        "expert:dispatch-regret:clinic", "expert:dispatch-rollout", "expert:dispatch-alns",
    )  # fmt: skip
    """Who decides."""
    preset: str = "clinic-day"
    """Size of the days."""
    days: int = 5
    """That each plays."""
    seed: int = 6_000_000
    """Of the first day."""
    decisions: int = 10_000
    """Of a day, at most."""
    quick: bool = False
    """A moment of each, to see that everything runs; the figures mean nothing."""
    json: Path | None = None
    """Also write the figures here."""


def main(settings: Settings) -> None:
    """Measure, print, and write."""
    settings = shortened(settings, days=1, decisions=3)
    screen, about = console(), machine()
    print_machine(screen, about)
    found = {name: timed(settings, name) for name in settings.policies}
    rows = []
    for name, (wall, processor) in found.items():
        ms = sorted(1e3 * one for one in wall)
        figures = (statistics.fmean(ms), statistics.median(ms), ms[int(0.95 * (len(ms) - 1))])
        cpu = 1e3 * statistics.fmean(processor)
        rows.append([name, f"{len(ms):,}", *(f"{one:.2f}" for one in (*figures, cpu))])
    title = f"{settings.days} days of {settings.preset}: a decision, ms"
    columns = ["policy", "decisions", "mean", "median", "95 %", "processor, mean"]
    shown = table(title, columns, rows)
    screen.print(shown)
    write_json(settings.json, {"machine": about, "settings": str(settings), "seconds": found})


def timed(settings: Settings, name: str) -> tuple[list[float], list[float]]:
    """Seconds of every decision among several actions: by the clock, and of the processor."""
    wall: list[float] = []
    processor: list[float] = []
    for day in range(settings.days):
        env = BatchEnv(DISPATCH, {"preset": settings.preset}, 1)
        env.reset([settings.seed + day])
        policy = load_policy(name, Schema.of(env))
        plays = policy.playing(env) if isinstance(policy, DayReader) else policy
        if not wall:
            plays.act(env.obs, env.action_mask)  # whatever is done once is done then
        over = False
        while not over and len(wall) < (day + 1) * settings.decisions:
            assert env.action_mask is not None
            cpu, began = process_time(), perf_counter()
            actions = plays.act(env.obs, env.action_mask)
            if env.action_mask.sum() > 1:
                wall.append(perf_counter() - began)
                processor.append(process_time() - cpu)
            step = env.step(actions)
            over = bool(step.terminated[0] | step.truncated[0])
    return wall, processor


if __name__ == "__main__":
    main(tyro.cli(Settings))
