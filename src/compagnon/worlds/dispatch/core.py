"""N days of dispatch as arrays: what the single and the vector environment both stand on."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from compagnon.envs.field import Field
from compagnon.envs.kernels import Threads
from compagnon.errors import InputError
from compagnon.worlds.dispatch import futures, kernel, running_days, tables
from compagnon.worlds.dispatch.fields import Layout, all_fields, scales
from compagnon.worlds.dispatch.generator import PRESETS, max_bookings
from compagnon.worlds.dispatch.instance import Instance, united
from compagnon.worlds.dispatch.kpis import KPIS
from compagnon.worlds.dispatch.options import DispatchOptions

_PARALLEL_FROM: Final = 32  # copies; for fewer, waking threads takes longer than they save


class DispatchCore:
    """N days on one kernel, with their outputs in arrays that every step overwrites.

    Args:
        num_envs: how many copies.
        options: validated.
        instances: days to replay instead of those that `options.days` names.
    """

    def __init__(
        self,
        num_envs: int,
        options: DispatchOptions,
        instances: list[Instance] | None = None,
    ) -> None:
        self.num_envs = num_envs
        self.options = options
        if instances is None and options.days:
            instances = load_days(Path(options.days))
        self.days_replayed = len(instances) if instances else 0
        preset = PRESETS[options.preset]
        none = np.zeros((1, 1, 1))
        if instances:
            days, minutes, km = stack_days(instances)
        else:
            days = tables.allocate_days(0, max_bookings(preset, options.tightness), preset.drivers)
            minutes, km = none, none
        bookings, drivers = days.bookings.shape[1], days.drivers.shape[1]
        self.layout = Layout(drivers=drivers, board=options.places)
        self.fields: tuple[Field, ...] = all_fields(self.layout)
        self.settings = kernel.KernelSettings(
            preset=preset, habits=options.habits(), days=days, conditions=options.conditions()
        )
        self.view = kernel.View(
            board=options.places,
            weights=np.array(options.weights()),
            minutes=minutes,
            km=km,
            scale=scales(options.scaling),
            look_again=options.look_again,
        )
        self.worlds = running_days.allocate(num_envs, bookings, drivers)
        self.out = kernel.allocate_outputs(
            self.worlds, self.layout.size, self.layout.actions, options.places
        )
        self._all = np.arange(num_envs)
        self._threads = Threads(_PARALLEL_FROM)
        self._experience: dict[int, futures.Experience] = {}

    @property
    def observation_space(self) -> spaces.Box:
        """The space of one day's observation."""
        published = self.options.scaling == "published"
        divisors = np.array([field.divisor if published else 1.0 for field in self.fields])
        low = np.array([field.low for field in self.fields]) / divisors
        high = np.array([field.high for field in self.fields]) / divisors
        return spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Discrete[np.int64]:
        """The space of one day's action."""
        return spaces.Discrete(self.layout.actions)

    def seed(self, seeds: NDArray[np.uint64], rows: NDArray[np.bool_]) -> None:
        """Give the selected copies new seeds; their next episode is number 0."""
        self.worlds.seeds[rows, 0] = seeds[rows]
        self.worlds.counts[rows, running_days.EPISODE] = 0

    def reset(self, rows: NDArray[np.bool_]) -> None:
        """Begin the next day in the selected copies."""
        self._run(kernel.BEGIN, np.flatnonzero(rows), self._all)

    def step(self, actions: NDArray[np.int64], autoreset: bool) -> None:
        """Step every copy; results stand in `out`.

        Raises:
            InputError: an action that is masked; no day has moved then.
        """
        bad = kernel.first_masked(self.out.mask, actions)
        if bad >= 0:
            raise InputError(
                f"action {actions[bad]} of copy {bad} is not possible now: "
                "take one that info['action_mask'] allows"
            )
        self._run(kernel.PLAY if autoreset else kernel.ACT, self._all, actions)

    def _run(self, what: int, rows: NDArray[np.int64], actions: NDArray[np.int64]) -> None:
        """`kernel.run`, the rows shared among threads."""

        def work(share: NDArray[np.int64]) -> None:
            kernel.run(what, self.worlds, share, self.settings, self.view, actions, self.out)

        self._threads.share(work, rows)

    def kpis(self) -> NDArray[np.float64]:
        """KPIs of the running days, (N, KPIS)."""
        out = np.zeros((self.num_envs, KPIS))
        for row in range(self.num_envs):
            kernel.write_kpis_of(self.worlds, row, self.out.scratch[row], out[row])
        return out

    def final_kpis(self) -> NDArray[np.float64]:
        """KPIs of the days that ended in the newest step, (N, KPIS); of other rows, older ones."""
        return self.out.final_kpis.copy()

    def fork(self, row: int) -> "DispatchCore":
        """The same with one copy, that stands where copy `row` of this one does."""
        one = copy.copy(self)
        one.num_envs = 1
        worlds, out = self.worlds._asdict(), self.out._asdict()
        one.worlds = running_days.RunningDays(
            **{name: array[[row]] for name, array in worlds.items()}
        )
        one.out = kernel.DispatchOutputs(**{name: array[[row]] for name, array in out.items()})
        one._all = np.arange(1)
        return one

    def share(
        self, work: Callable[[NDArray[np.int64]], None], rows: NDArray[np.int64] | None = None
    ) -> None:
        """Call `work`, which holds no lock of Python's, with disjoint parts of all copies.

        Args:
            rows: all copies in another order; each part is a stretch of it.
        """
        self._threads.share(work, self._all if rows is None else rows)

    def redraw(self, seeds: NDArray[np.uint64]) -> None:
        """Draw what is still to come of every running day anew, see `futures`.

        Args:
            seeds: (N,).
        """
        bookings, drivers = self.worlds.found.shape[1:3]
        fresh = tables.day_row(tables.allocate_days(1, bookings, drivers), 0)
        own = self._days_under_way()
        for day in np.unique(own).tolist():
            rows = np.flatnonzero(own == day)
            if day not in self._experience:
                self._experience[day] = futures.experience_of(
                    self.settings.days, self.settings.habits, day
                )
            futures.redraw(
                self.worlds, rows, np.ascontiguousarray(seeds[rows], np.uint64), self.settings,
                self._experience[day], self.view, fresh, np.zeros(bookings),
            )  # fmt: skip

    def _days_under_way(self) -> NDArray[np.int64]:
        """(N,), which of the saved days each copy plays; -1 where days are generated."""
        count = self.days_replayed
        if not count:
            return np.full(self.num_envs, -1)
        seeds, counts = self.worlds.seeds, self.worlds.counts
        days = [
            running_days.replayed(seeds[k, 0], counts[k, running_days.EPISODE] - 1, count)
            for k in range(self.num_envs)
        ]
        return np.array(days, np.int64)

    def state_dict(self) -> dict[str, NDArray[np.generic]]:
        """Everything that the next step depends on."""
        return {
            **{name: array.copy() for name, array in self.worlds._asdict().items()},
            "obs": self.out.obs.copy(),
            "mask": self.out.mask.copy(),
        }

    def load_state_dict(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Restore what `state_dict` gave, in place."""
        for name, array in self.worlds._asdict().items():
            array[...] = state[name]
        self.out.obs[...] = state["obs"]
        self.out.mask[...] = state["mask"]

    def load_rows(self, state: dict[str, NDArray[np.generic]], rows: NDArray[np.int64]) -> None:
        """Put copy i where row ``rows[i]`` of what `state_dict` gave stands, without a detour."""
        own = {**self.worlds._asdict(), "obs": self.out.obs, "mask": self.out.mask}
        for name, array in own.items():
            np.take(state[name], rows, axis=0, out=array, mode="clip")


def load_days(path: Path) -> list[Instance]:
    """The saved days of a folder, by name, or one saved day.

    Raises:
        InputError: there is none, or one cannot be read.
    """
    files = [path] if path.is_file() else sorted(path.glob("*.json"))
    if not files:
        raise InputError(f"{path} holds no saved day (*.json)")
    return [Instance.load(file) for file in files]


def stack_days(
    instances: list[Instance],
) -> tuple[tables.Day, NDArray[np.float64], NDArray[np.float64]]:
    """Days as tables of one shape, with their matrices, each different one once.

    Returns:
        The tables with a leading axis (days,), and minutes and km (K, places, places).
    """
    instances = united(instances)
    bookings = max([1, *(len(day.bookings) for day in instances)])
    drivers = max(len(day.drivers) for day in instances)
    days = tables.allocate_days(len(instances), bookings, drivers)
    middle = np.concatenate([day.travel.coordinates for day in instances]).mean(axis=0)
    known: dict[bytes, int] = {}
    pairs: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for k, day in enumerate(instances):
        row = 0
        if day.travel.kind == "matrix":
            key = day.travel.minutes.tobytes() + day.travel.km.tobytes()
            row = known.setdefault(key, len(pairs))
            if row == len(pairs):
                pairs.append((day.travel.minutes, day.travel.km))
        tables.write_instance(day, tables.day_row(days, k), row, middle)
    places = max((len(minutes) for minutes, _ in pairs), default=1)
    minutes = np.zeros((max(1, len(pairs)), places, places))
    km = np.zeros_like(minutes)
    for k, (one, other) in enumerate(pairs):
        minutes[k, : len(one), : len(one)] = one
        km[k, : len(other), : len(other)] = other
    return days, minutes, km
