"""What rules and learned policies make of the public dynamic dial-a-ride instances."""

import dataclasses
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.table import Table

from compagnon.envs import BatchEnv
from compagnon.policy import DayReader, Schema, load_policy
from compagnon.worlds.dispatch import DISPATCH, plans, running_days
from compagnon.worlds.dispatch.experts.routing import foresee
from compagnon.worlds.dispatch.experts.snapshot import leg_tables, snapshot
from compagnon.worlds.dispatch.importing.public import read_public
from compagnon.worlds.dispatch.importing.reach import End, Ways
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.kpis import KPI_NAMES
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from harness import console, machine, print_machine, shortened, write_json

RULES = (
    *("nearest", "earliest", "least-loaded", "matching", "insertion", "regret"),
    *("regret:3", "regret:clinic", "regret:city", "alns"),
)
LONG_WAIT = 10.0  # minutes on board in a parked vehicle; the share of rides with more is shown
PARKED = "parked"
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
        for column in (*SHOWN, PARKED):
            table.add_column(column, justify="right")
        for name, row in means.items():
            *shown, parked = row
            table.add_row(name, *(f"{value:,.1f}" for value in shown), f"{parked:.1%}")
        screen.print(table)
        write_json(settings.json, {"machine": about, "columns": (*SHOWN, PARKED), "sets": figures})


def play(name: str, days: list[Instance], settings: Settings) -> NDArray[np.float64]:
    """The KPIs `SHOWN` of each day and the share of parked riders, (days, len(SHOWN) + 1)."""
    rows = []
    for day in days:
        env = BatchEnv(DISPATCH, {"instances": [day], "board": settings.board}, 1)
        policy = load_policy(name, Schema.of(env))
        env.reset([0])
        player = policy.playing(env) if isinstance(policy, DayReader) else policy
        kpis = None
        while kpis is None:
            actions = player.act(env.obs.copy(), env.action_mask.copy())
            # The environment begins the next day at once; a fork of it stays where this one ends.
            fork = env.vec.fork(0)
            fork.step(actions, autoreset=False)
            kpis = env.step(actions).kpis
        w = running_days.RunningDays(*(array[0] for array in fork.worlds))
        shown = [kpis[0, KPI_NAMES.index(column)] for column in SHOWN]
        rows.append([*shown, parked_share(w, day)])
    return np.array(rows)


def parked_share(w: running_days.RunningDays, day: Instance) -> float:
    """The share of rides with more than `LONG_WAIT` minutes in a vehicle that waits for a door.

    Of a day without delays, breaks and no-shows, as these instances are.
    """
    ways = Ways.of_day(day.travel)
    bookings, parked = day.bookings, dict[int, float]()
    doors: dict[int, list[tuple[float, float, int, int]]] = {}
    for b in np.flatnonzero(w.status == running_days.SERVED).tolist():
        boards, ride = w.rides[b, running_days.BOARDS], w.rides[b, running_days.RIDE]
        rides = boards + bookings.boarding[b]
        stops = doors.setdefault(int(w.rides[b, running_days.BY_DRIVER]), [])
        stops.append((boards, rides, b, int(bookings.pickup[b])))
        alights = rides + ride
        stops.append((alights, alights + bookings.alighting[b], b, int(bookings.dropoff[b])))
    for stops in doors.values():
        stops.sort()
        on_board: set[int] = set()
        for before, after in pairwise(stops):
            on_board ^= {before[2]}
            direct = ways.direct(_end(day, before[3]), _end(day, after[3]))
            waits = max(0.0, after[0] - ways.arrival(before[1], direct))
            for b in on_board:
                parked[b] = parked.get(b, 0.0) + waits
    served = int((w.status == running_days.SERVED).sum())
    return sum(minutes > LONG_WAIT for minutes in parked.values()) / max(1, served)


def _end(day: Instance, place: int) -> End:
    x, y = day.travel.coordinates[place].tolist()
    return End((x, y), str(place))


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
        return [np.nan] * (len(SHOWN) + 1)
    refused = float(len(day.bookings) - found.served)
    return [float(found.served), refused, found.cost, 0.0, np.nan, found.km, 0.0, np.nan]


if __name__ == "__main__":
    main(tyro.cli(Settings))
