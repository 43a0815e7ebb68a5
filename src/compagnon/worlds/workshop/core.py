"""N workshops as arrays: what the single and the vector environment both stand on."""

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from compagnon.envs.field import Field
from compagnon.worlds.workshop import arrays, constants, futures, kernel
from compagnon.worlds.workshop.fields import kernel_columns, select_fields
from compagnon.worlds.workshop.kpis import episode_kpis
from compagnon.worlds.workshop.options import DEMAND_FACTORS, WorkshopOptions
from compagnon.worlds.workshop.order_book import read_order_book

_PARALLEL_FROM = 256  # below this many shops, waking threads costs more than it saves


class WorkshopCore:
    """N shops on one kernel, with their outputs in arrays that every step overwrites."""

    def __init__(self, num_envs: int, options: WorkshopOptions) -> None:
        self.num_envs = num_envs
        self.options = options
        self.fields: tuple[Field, ...] = select_fields(options.observation)
        self._columns, self._scale = kernel_columns(self.fields, options.scaling)
        if options.demand in DEMAND_FACTORS:
            self._book: NDArray[np.int32] = np.zeros((1, constants.TICKS_PER_EPISODE, 2), np.int32)
            self.params = options.kernel_params(book_weeks=0)
        else:
            self._book = read_order_book(options.demand).weekly_demand()
            self.params = options.kernel_params(book_weeks=len(self._book))
        self.shops, self.out = arrays.allocate(num_envs, len(self.fields))
        self._step = kernel.step_parallel if num_envs >= _PARALLEL_FROM else kernel.step_serial

    @property
    def observation_space(self) -> spaces.Box:
        """The space of one shop's observation."""
        low = np.array([field.low for field in self.fields]) * self._scale
        high = np.array([field.high for field in self.fields]) * self._scale
        return spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Discrete[np.int64]:
        """The space of one shop's action."""
        return spaces.Discrete(constants.NUM_ACTIONS)

    def seed(self, seeds: NDArray[np.uint64], rows: NDArray[np.bool_]) -> None:
        """Give the selected shops new seeds; their next episode is number 0."""
        self.shops.seeds[rows, 0] = seeds[rows]
        self.shops.state[rows, arrays.EPISODE] = 0

    def reset(self, rows: NDArray[np.bool_]) -> None:
        """Begin the next episode of the selected shops."""
        kernel.reset_rows(self.shops, self.params, self._columns, self._scale, self.out, rows)

    def step(self, actions: NDArray[np.int64], autoreset: bool) -> None:
        """Step every shop; results stand in `out`."""
        self._step(
            self.shops, self.params, self._book, actions, self._columns, self._scale, self.out,
            autoreset,
        )  # fmt: skip

    def kpis(self) -> NDArray[np.float64]:
        """KPIs of the running episodes, (N, len(KPI_NAMES))."""
        return episode_kpis(self.shops.state, self.shops.money, self.shops.counters)

    def final_kpis(self) -> NDArray[np.float64]:
        """KPIs of the episodes that the last step ended; rows are valid where `out.terminated`."""
        return episode_kpis(self.out.final_state, self.out.final_money, self.out.final_counters)

    @property
    def book(self) -> NDArray[np.int32]:
        """(weeks, ticks, 2), the demand of an order book; zeros where there is none."""
        return self._book

    def redraw(self, seeds: NDArray[np.uint64]) -> None:
        """Draw anew what nobody can see yet, shop i from ``seeds[i]``; see `futures`."""
        futures.redraw(
            self.shops, self.params, self.params.book_weeks,
            np.ascontiguousarray(seeds, np.uint64),
        )  # fmt: skip

    def state_dict(self) -> dict[str, NDArray[np.generic]]:
        """Everything that the next step depends on."""
        return {
            **{name: array.copy() for name, array in self.shops._asdict().items()},
            "obs": self.out.obs.copy(),
            "mask": self.out.mask.copy(),
        }

    def load_state_dict(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Restore what `state_dict` gave, in place."""
        for name, array in self.shops._asdict().items():
            array[...] = state[name]
        self.out.obs[...] = state["obs"]
        self.out.mask[...] = state["mask"]
