"""Plays a saved day with a policy and tells who went where and when, driver by driver.

Times of rides are those that the played day wrote down. It writes none of a break, and of a door
at which nobody was: each stands between two rides that leave room for it, as early as it could
begin there, which is how drivers keep their plans; of several such gaps, nearest to the last plan.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy import DayReader, Policy, Schema, load_policy
from compagnon.policy.loading import recorded_env
from compagnon.worlds.dispatch import DISPATCH, plans, running_days, tables
from compagnon.worlds.dispatch import travel as travel_times
from compagnon.worlds.dispatch.core import load_days
from compagnon.worlds.dispatch.importing.reach import End, Ways
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.instance_parts import SEAT_TYPES

START, PICKUP, DROPOFF, NOBODY, END = "start", "pickup", "dropoff", "nobody", "end"
BREAK, REPAIR = "break", "repair"
_RESTS: Final = (("break_minutes", "break_from"), ("break2_minutes", "break2_from"))
_TOLERANCE: Final = 1e-3  # minutes


@dataclass(frozen=True, slots=True)
class Stop:
    """One thing that a driver does.

    Attributes:
        kind: `start`, `pickup`, `dropoff`, `nobody` (at a pickup's door), `break`, `repair`
            (waiting for another vehicle) or `end`.
        begins, ends: minutes since the day's midnight.
        booking: row of the booking, or -1.
        place: an index into the places of the day's `Travel`, or -1 for wherever the driver is.
        load: seats that are got into or out of, in the order of `SEAT_TYPES`.
    """

    kind: str
    begins: float
    ends: float
    booking: int = -1
    place: int = -1
    load: tuple[int, ...] = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Itinerary:
    """One driver's day: `driver` is the row of the driver, `stops` are in their order."""

    driver: int
    stops: tuple[Stop, ...]

    @property
    def rides(self) -> int:
        """How many rides end in it."""
        return sum(stop.kind == DROPOFF for stop in self.stops)


@dataclass(frozen=True)
class PlayedDay:
    """A day as a policy played it.

    Attributes:
        left: rows of the bookings that nobody rode: refused, cancelled, missed.
    """

    day: Instance
    policy: str
    itineraries: tuple[Itinerary, ...]
    left: tuple[int, ...] = ()


@dataclass
class _Seen:
    """When something that leaves no time behind was last planned: a break, a pickup; by driver.

    Breaks are counted from a driver's last one, which is -1, since those taken are in no plan.
    """

    breaks: dict[tuple[int, int], float] = field(default_factory=dict)
    pickups: dict[int, tuple[int, float]] = field(default_factory=dict)

    def look(self, w: running_days.RunningDays) -> None:
        for d in range(int(w.size[tables.DRIVERS])):
            rest = -int(w.state[d, plans.RESTS])
            for k in range(int(w.state[d, plans.COUNT])):
                node, start = int(w.codes[d, k, plans.NODE]), float(w.stops[d, k, plans.START])
                if node == plans.BREAK:
                    self.breaks[d, rest] = start
                    rest += 1
                elif node < 2 * len(w.status) and node % 2 == 0:
                    self.pickups[node // 2] = d, start


def play_days(policy: str, path: Path, names: Sequence[str] = ()) -> list[PlayedDay]:
    """Play saved days, each once and greedily.

    Args:
        policy: a name or a path, as `compagnon policies` says.
        path: a folder of days, or one.
        names: of the days to play; empty for all.

    Raises:
        InputError: there is no such day or policy, or it cannot act in these days.
    """
    days = load_days(path)
    known = {day.name: k for k, day in enumerate(days)}
    lost = [name for name in names if name not in known]
    if lost:
        raise InputError(f"--day {lost[0]}: {path} has {_few(list(known))}")
    recorded = recorded_env(policy)
    learnt: Mapping[str, Any] = recorded[1] if recorded and recorded[0] == DISPATCH else {}
    args = {**learnt, "days": str(path)}
    with closing(BatchEnv(DISPATCH, args, 1)) as env:
        bound = load_policy(policy, Schema.of(env))
        return [_play(env, bound, days[known[name]], known[name]) for name in names or known]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _play(env: BatchEnv, policy: Policy, day: Instance, number: int) -> PlayedDay:
    env.reset([number])  # the seed says which day is replayed
    player = policy.playing(env) if isinstance(policy, DayReader) else policy
    seen = _Seen()
    while True:
        seen.look(running_days.RunningDays(*(array[0] for array in env.vec.world)))
        action = player.act(env.obs.copy(), env.action_mask, None)
        # The environment begins the next day at once; a fork of it stays at the end of this one.
        fork = env.vec.fork(0)
        fork.step(np.asarray(action, np.int64), autoreset=False)
        if env.step(action).terminated[0]:
            break
    w = running_days.RunningDays(*(array[0] for array in fork.worlds))
    return _told(w, seen, day, policy.name)


def _told(w: running_days.RunningDays, seen: _Seen, day: Instance, policy: str) -> PlayedDay:
    stops: dict[int, list[Stop]] = {d: [] for d in range(len(day.drivers))}
    left = []
    for b in range(len(day.bookings)):
        status = int(w.status[b])
        if status == running_days.SERVED:
            driver = int(w.rides[b, running_days.BY_DRIVER])
            stops[driver] += _ride(w, day, b)
            continue
        left.append(b)
        if status == running_days.NO_SHOW and b in seen.pickups:
            driver, start = seen.pickups[b]
            end = start + float(day.bookings.boarding[b])
            stops[driver].append(Stop(NOBODY, start, end, b, int(day.bookings.pickup[b])))
    # As they were: the speeds of that day, and the minutes of parking.
    roads = replace(day.travel, speed=w.speed_real)
    ways = Ways.of_day(roads, float(w.rule[travel_times.HALT]))
    found = [_itinerary(w, seen, day, d, stops[d], ways) for d in stops]
    return PlayedDay(day, policy, tuple(found), tuple(left))


def _ride(w: running_days.RunningDays, day: Instance, b: int) -> list[Stop]:
    """Both doors of a ride that was given, from what the day wrote down of it."""
    ride, bookings, row = w.rides[b], day.bookings, w.bookings[b]
    load = tuple(int(seats) for seats in bookings.load[b])
    boards = float(ride[running_days.BOARDS])
    rides = boards + float(row[tables.BOARDING] + row[tables.BOARDING_DELAY])
    alights = rides + float(ride[running_days.RIDE])
    done = alights + float(row[tables.ALIGHTING] + row[tables.ALIGHTING_DELAY])
    return [
        Stop(PICKUP, boards, rides, b, int(bookings.pickup[b]), load),
        Stop(DROPOFF, alights, done, b, int(bookings.dropoff[b]), load),
    ]


def _itinerary(
    w: running_days.RunningDays, seen: _Seen, day: Instance, d: int, doors: list[Stop], ways: Ways
) -> Itinerary:
    drivers = day.drivers
    doors.sort(key=lambda stop: (stop.begins, stop.ends))
    begin, home = float(drivers.shift_start[d]), float(w.times[d, plans.FREE])
    stops = [
        Stop(START, begin, begin, place=int(drivers.start[d])),
        *(stop for stop in doors if stop.kind != NOBODY),
        Stop(END, home, home, place=int(drivers.end[d])),
    ]
    broke = float(w.times[d, plans.BROKE_AT])
    if broke > 0:
        back = broke + float(w.drivers[d, tables.REPAIR_MINUTES])
        k = sum(stop.ends <= broke + _TOLERANCE for stop in stops[:-1])
        stops.insert(max(1, k), Stop(REPAIR, broke, back))
    breaks = [(float(getattr(drivers, of)[d]), float(getattr(drivers, begin)[d]))
              for of, begin in _RESTS if getattr(drivers, of)[d] > 0]  # fmt: skip
    for k, (minutes, earliest) in enumerate(breaks, -len(breaks)):
        if (d, k) in seen.breaks:
            planned = seen.breaks[d, k]
            last = [stop.ends for stop in stops if stop.kind == BREAK]  # the first comes first
            rest = Stop(BREAK, planned, planned + minutes)
            _put_in(stops, rest, max([earliest, *last]), day, ways)
    for stop in doors:
        if stop.kind == NOBODY:
            _put_in(stops, stop, float(w.bookings[stop.booking, tables.READY]), day, ways)
    return Itinerary(d, tuple(stops))


def _put_in(stops: list[Stop], planned: Stop, earliest: float, day: Instance, ways: Ways) -> None:
    """Put a stop that left no time behind between two that did, where the driver had time for it.

    Args:
        earliest: it begins no sooner.
    """

    def drive(leave: float, start: int, end: int) -> float:
        if end < 0 or start == end:
            return leave
        return ways.arrival(leave, ways.direct(_end(day, start), _end(day, end)))

    found: list[tuple[float, int, float]] = []
    at = stops[0].place
    for k, (before, after) in enumerate(pairwise(stops)):
        at = before.place if before.place >= 0 else at
        begins = max(earliest, drive(before.ends, at, planned.place))
        there = planned.place if planned.place >= 0 else at
        done = drive(begins + planned.ends - planned.begins, there, after.place)
        if done <= after.begins + _TOLERANCE:
            found.append((abs(begins - planned.begins), k + 1, begins))
    if not found:  # another door took longer than anybody could know: where the plan had it
        last = sum(stop.begins <= planned.begins for stop in stops[:-1])
        found.append((0.0, max(1, last), planned.begins))
    _, k, begins = min(found)
    stops.insert(k, replace(planned, begins=begins, ends=begins + planned.ends - planned.begins))


def _end(day: Instance, place: int) -> End:
    x, y = (float(v) for v in day.travel.coordinates[place])
    return End((x, y), str(place))


def seats_text(load: Sequence[int]) -> str:
    """Seats as people say them: `2 ambulatory + wheelchair`."""
    return " + ".join(
        kind if count == 1 else f"{count} {kind}"
        for kind, count in zip(SEAT_TYPES, load, strict=True)
        if count
    )
