"""OR-Tools on a rolling horizon beside rules and policies, one day at a time, over hours.

A second of search at each moment of a day is minutes a day, so each day is written down as soon as
it is over, and a run that was stopped goes on where it stood. Several runs may share the days by
`--first` and `--days`, each with its own file; the comparison reads them all.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from compagnon.envs import BatchEnv
from compagnon.evaluation.episodes import EpisodeResults, play_episodes
from compagnon.evaluation.evaluate import compare, score_policy
from compagnon.policy import Schema, load_policy
from compagnon.worlds.dispatch import DISPATCH
from harness import console, machine, print_machine, shortened, table

SHOWN = (
    *("cost", "cost_rejected", "cost_late", "cost_wait", "cost_ride", "cost_km"),
    *("cost_overtime", "served", "rejected", "on_time_share", "violations"),
)


@dataclass
class Settings:
    """Play days with OR-Tools, or compare the days that were played with policies."""

    played: tuple[Path, ...]
    """Files of days, one JSON object a line. Without --against, the only one is added to."""
    preset: str = "clinic-day"
    """Size of the days."""
    seconds: float = 1.0
    """Search at each moment of a day."""
    first: int = 1_000_000
    """Seed of the first day."""
    days: int = 30
    """Days to play."""
    quick: bool = False
    """A moment of each, to see that everything runs; the figures mean nothing."""
    against: tuple[str, ...] = ()
    """Policies to compare with OR-Tools on the days that the files hold."""


def main(settings: Settings) -> None:
    """Play what is missing, or print the comparison."""
    settings = shortened(settings, seconds=0.01, days=2)
    if settings.against:
        compare_played(settings)
        return
    if len(settings.played) != 1:
        raise SystemExit("name one file to add days to, or policies with --against")
    play_missing(settings, settings.played[0])


def play_missing(settings: Settings, path: Path) -> None:
    """Play the days that `path` does not hold yet, and add each as it ends."""
    done = {day["seed"] for day in read((path,), settings) if path.exists()}
    name = f"expert:dispatch-ortools:{settings.seconds:g}"
    args = {"preset": settings.preset}
    policy = load_policy(name, Schema.of(BatchEnv(DISPATCH, args, 1)))
    for seed in range(settings.first, settings.first + settings.days):
        if seed in done:
            continue
        began, cpu_began = time.perf_counter(), time.process_time()
        results = play_episodes(DISPATCH, args, policy, [seed])
        day = {
            "preset": settings.preset,
            "policy": name,
            "seed": seed,
            "return": float(results.returns[0]),
            "length": int(results.lengths[0]),
            "kpis": {key: float(values[0]) for key, values in results.kpis.items()},
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - cpu_began,
            "load": os.getloadavg()[0],
        }
        with path.open("a") as file:
            file.write(json.dumps(day) + "\n")
        print(f"{seed}: cost {-day['return']:,.1f}, {day['seconds']:,.0f} s", flush=True)


def read(paths: tuple[Path, ...], settings: Settings) -> list[dict[str, Any]]:
    """The days of all files, by seed; another preset or search time in them is refused."""
    name = f"expert:dispatch-ortools:{settings.seconds:g}"
    days = [
        json.loads(line)
        for path in paths
        if path.exists()
        for line in path.read_text().splitlines()
    ]
    for day in days:
        if (day["preset"], day["policy"]) != (settings.preset, name):
            raise SystemExit(
                f"a day of {day['preset']} by {day['policy']}: "
                f"give each preset and each time its own file"
            )
    return sorted(days, key=lambda day: int(day["seed"]))


def compare_played(settings: Settings) -> None:
    """Costs by part, and the paired difference from OR-Tools."""
    days = read(settings.played, settings)
    seeds = [int(day["seed"]) for day in days]
    solver = score_policy(
        str(days[0]["policy"]),
        EpisodeResults(
            tuple(seeds),
            np.array([day["return"] for day in days]),
            np.array([day["length"] for day in days]),
            {name: np.array([day["kpis"][name] for day in days]) for name in SHOWN},
        ),
    )
    args = {"preset": settings.preset}
    schema = Schema.of(BatchEnv(DISPATCH, args, 1))
    rows = [[solver.name, *(f"{solver.kpis[name]:,.2f}" for name in SHOWN), ""]]
    for name in settings.against:
        score = score_policy(name, play_episodes(DISPATCH, args, load_policy(name, schema), seeds))
        gain = compare(score, solver)
        low, high = gain.ci95
        saved = f"{gain.mean:,.1f} ({low:,.1f} to {high:,.1f})"
        rows.append([name, *(f"{score.kpis[key]:,.2f}" for key in SHOWN), saved])
    screen = console()
    print_machine(screen, machine())
    title = f"{settings.preset}, {len(days)} days, OR-Tools {settings.seconds:g} s a moment"
    screen.print(table(title, ["policy", *SHOWN, "cheaper by"], rows))
    busy = sum(day["cpu_seconds"] for day in days) / sum(day["seconds"] for day in days)
    load = np.mean([day["load"] for day in days])
    screen.print(
        f"While OR-Tools played it had {busy:.0%} of a core; the machine's load was {load:.1f}."
    )


if __name__ == "__main__":
    main(tyro.cli(Settings))
