"""What rules and learned policies make of the public dynamic dial-a-ride instances."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.table import Table

from compagnon.envs import BatchEnv
from compagnon.policy import Schema, load_policy
from compagnon.worlds.dispatch import DISPATCH, plans, running_days
from compagnon.worlds.dispatch.experts.routing import foresee
from compagnon.worlds.dispatch.experts.snapshot import leg_tables, snapshot
from compagnon.worlds.dispatch.importing.public import read_public
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.kpis import KPI_NAMES
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from harness import console, machine, print_machine, shortened, write_json

RULES = (
    *("nearest", "earliest", "least-loaded", "matching", "insertion", "regret"),
    *("regret:3:hold", "regret:3:opportunity"),
)
SHOWN = ("served", "rejected", "cost", "late_mean", "wait_mean", "km", "violations")
FORESEEN = "OR-Tools, all known"


@dataclass
class Settings:
    """Play policies on every public instance of a folder of instance sets."""

    folder: Path
    """A folder with one folder a set, each with its instances (*.json)."""
    board: int = 24
    """Places on the board."""
    seconds: float = 5.0
    """Search of OR-Tools with full information, for each instance; 0 leaves it out."""
    also: tuple[str, ...] = ()
    """More policies to play, by name or folder; a learned one of any board."""
    quick: bool = False
    """A moment of each, to see that everything runs; the figures mean nothing."""
    json: Path | None = None
    """Also write the figures here, after each set."""


def main(settings: Settings) -> None:
    """Play, print, and write."""
    settings = shortened(settings, board=4, seconds=0.05)
    screen = console()
    about = machine()
    print_machine(screen, about)
    names = [*(f"expert:dispatch-{rule}" for rule in RULES), *settings.also]
    figures: dict[str, dict[str, list[float]]] = {}
    for folder in sorted(path for path in settings.folder.iterdir() if path.is_dir()):
        days = [read_public(path).day() for path in sorted(folder.glob("*.json"))]
        means = {name: play(name, days, settings).mean(axis=0) for name in names}
        if settings.seconds > 0:
            means[FORESEEN] = np.array([known(day, settings) for day in days]).mean(axis=0)
        figures[folder.name] = {name: row.tolist() for name, row in means.items()}
        asked = np.mean([len(day.bookings) for day in days])
        table = Table(title=f"{folder.name}: {len(days)} instances, {asked:.1f} requests each")
        table.add_column("policy")
        for column in SHOWN:
            table.add_column(column, justify="right")
        for name, row in means.items():
            table.add_row(name, *(f"{value:,.1f}" for value in row))
        screen.print(table)
        write_json(settings.json, {"machine": about, "columns": SHOWN, "sets": figures})


def play(name: str, days: list[Instance], settings: Settings) -> NDArray[np.float64]:
    """The KPIs `SHOWN` of each day, (days, len(SHOWN))."""
    rows = []
    for day in days:
        env = DispatchVectorEnv(1, instances=[day], board=settings.board)
        policy = load_policy(name, schema_of(day, settings))
        obs, info = env.reset(seed=0)
        ended = np.zeros(1, np.bool_)
        while not ended[0]:
            obs, _, ended, _, info = env.step(policy.act(obs, info["action_mask"]))
        rows.append(info["final_info"]["kpis"][0])
    return np.array(rows)[:, [KPI_NAMES.index(column) for column in SHOWN]]


def schema_of(day: Instance, settings: Settings) -> Schema:
    """What the rule is told about the environment of one day."""
    return Schema.of(BatchEnv(DISPATCH, {"instances": [day], "board": settings.board}, 1))


def known(day: Instance, settings: Settings) -> list[float]:
    """The same figures of OR-Tools, which knows every request when the day begins.

    It begins with what regret insertion makes of that.
    """
    told = dataclasses.replace(
        day, bookings=dataclasses.replace(day.bookings, announce=np.zeros(len(day.bookings)))
    )
    env = DispatchVectorEnv(1, instances=[told], board=settings.board)
    obs, info = env.reset(seed=0)
    w = running_days.RunningDays(*(array[0] for array in env.world))
    roads = running_days.roads_for_python(w, env.view.minutes, env.view.km)
    taken = snapshot(w, env.weights, roads)
    minutes, km = leg_tables(taken, w, env.view.minutes, env.view.km)
    regret = load_policy("expert:dispatch-regret", schema_of(told, settings))
    while w.counts[running_days.OPEN] > 1:  # with none open, the day would begin
        actions = regret.act(obs, info["action_mask"])
        if actions[0] == 0:
            break
        obs, _, _, _, info = env.step(actions)
    place = {2 * ride.booking: ride.pickup for ride in taken.rides}
    place |= {2 * ride.booking + 1: ride.dropoff for ride in taken.rides}
    begin = [
        [
            place[node]
            for node in w.codes[v.number, : w.state[v.number, plans.COUNT] - 1, plans.NODE]
        ]
        for v in taken.vehicles
    ]
    found = foresee(taken, minutes, km, env.weights, settings.seconds, begin)
    if found is None:
        return [np.nan] * len(SHOWN)
    refused = float(len(day.bookings) - found.served)
    return [float(found.served), refused, found.cost, 0.0, np.nan, found.km, 0.0]


if __name__ == "__main__":
    main(tyro.cli(Settings))
