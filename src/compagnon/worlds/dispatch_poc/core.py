"""N days as arrays: what the single and the vector environment both stand on."""

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from compagnon.envs.field import Field
from compagnon.worlds.dispatch_poc import arrays, kernel
from compagnon.worlds.dispatch_poc.fields import observation_fields
from compagnon.worlds.dispatch_poc.kpis import episode_kpis
from compagnon.worlds.dispatch_poc.options import PocOptions

_PARALLEL_FROM = 256  # below this many days, waking threads costs more than it saves


class PocCore:
    """N days on one kernel, with their outputs in arrays that every step overwrites."""

    def __init__(self, num_envs: int, options: PocOptions) -> None:
        self.num_envs = num_envs
        self.options = options
        self.fields: tuple[Field, ...] = observation_fields(options)
        divisors = np.array([field.divisor for field in self.fields])
        published = options.scaling == "published"
        self._scale = 1.0 / divisors if published else np.ones_like(divisors)
        self.params = options.kernel_params()
        self.days, self.out = arrays.allocate(
            num_envs, options.drivers, options.slots, len(self.fields)
        )
        self._step = kernel.step_parallel if num_envs >= _PARALLEL_FROM else kernel.step_serial

    @property
    def observation_space(self) -> spaces.Box:
        """The space of one day's observation."""
        low = np.array([field.low for field in self.fields]) * self._scale
        high = np.array([field.high for field in self.fields]) * self._scale
        return spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)

    @property
    def action_space(self) -> spaces.Discrete[np.int64]:
        """The space of one day's action."""
        return spaces.Discrete(self.options.num_actions)

    def seed(self, seeds: NDArray[np.uint64], rows: NDArray[np.bool_]) -> None:
        """Give the selected days new seeds; their next episode is number 0."""
        self.days.seeds[rows, 0] = seeds[rows]
        self.days.state[rows, arrays.EPISODE] = 0

    def reset(self, rows: NDArray[np.bool_]) -> None:
        """Begin the next episode of the selected days."""
        kernel.reset_rows(self.days, self.params, self._scale, self.out, rows)

    def step(self, actions: NDArray[np.int64], autoreset: bool) -> None:
        """Step every day by one decision; results stand in `out`."""
        self._step(self.days, self.params, actions, self._scale, self.out, autoreset)

    def kpis(self) -> NDArray[np.float64]:
        """KPIs of the running episodes, (N, len(KPI_NAMES))."""
        days = self.days
        used = np.arange(self.options.slots) < days.state[:, arrays.COUNT, None]
        still_open = (used & (days.bookings[:, :, arrays.TAKEN] == 0)).sum(axis=1)
        return episode_kpis(days.state, days.sums, still_open, days.given)

    def final_kpis(self) -> NDArray[np.float64]:
        """KPIs of the episodes that the last step ended; rows are valid where `out.terminated`."""
        out = self.out
        return episode_kpis(out.final_state, out.final_sums, out.final_open, out.final_given)

    def state_dict(self) -> dict[str, NDArray[np.generic]]:
        """Everything that the next step depends on."""
        return {
            **{name: array.copy() for name, array in self.days._asdict().items()},
            "obs": self.out.obs.copy(),
            "mask": self.out.mask.copy(),
        }

    def load_state_dict(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Restore what `state_dict` gave, in place."""
        for name, array in self.days._asdict().items():
            array[...] = state[name]
        self.out.obs[...] = state["obs"]
        self.out.mask[...] = state["mask"]
