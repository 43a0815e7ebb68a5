"""`compagnon/Dispatch-v1`, N copies stepped at once by the compiled kernel."""

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.decisions import DecisionVectorEnv
from compagnon.worlds.dispatch import running_days
from compagnon.worlds.dispatch.core import DispatchCore
from compagnon.worlds.dispatch.fields import Layout
from compagnon.worlds.dispatch.insertion import Weights
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.kernel import View
from compagnon.worlds.dispatch.kpis import KPI_NAMES
from compagnon.worlds.dispatch.options import DispatchOptions


class DispatchVectorEnv(DecisionVectorEnv):
    """N days of dispatch; an ended day is followed by the next one within the same step.

    `info` is that of `DecisionVectorEnv`.

    Args:
        num_envs: how many copies.
        copy: hand out fresh arrays (default); ``False`` hands out the kernel's own, which the next
            step overwrites.
        instances: days to replay, instead of those that the option `days` names.
        **options: see `DispatchEnv`.
    """

    what = "dispatch"
    reward_term_names = running_days.REWARD_TERMS
    kpi_names = KPI_NAMES

    def __init__(
        self,
        num_envs: int = 1,
        copy: bool = True,
        render_mode: str | None = None,
        instances: list[Instance] | None = None,
        **options: object,
    ) -> None:
        super().__init__(num_envs, copy, render_mode)
        self.options = DispatchOptions.parse(**options)
        self._take(DispatchCore(num_envs, self.options, instances))

    @property
    def layout(self) -> Layout:
        """Where the groups of fields stand in an observation."""
        layout: Layout = self._core.layout
        return layout

    @property
    def world(self) -> running_days.RunningDays:
        """The arrays of the running days; to be read, not written."""
        world: running_days.RunningDays = self._core.worlds
        return world

    def fork(self, row: int) -> DispatchCore:
        """A world of one copy that stands where copy `row` does, to try what might come of it."""
        return self.core.fork(row)

    def load_rows(self, state: dict[str, NDArray[np.generic]], rows: NDArray[np.int64]) -> None:
        """Put copy i where row ``rows[i]`` of what `state_dict` gave stands."""
        self.core.load_rows(state, rows)
        self._seeded[:] = True
        self._all_seeded = True

    def redraw(self, seeds: NDArray[np.uint64]) -> None:
        """Draw what nobody can know yet of every running day anew, copy i from ``seeds[i]``."""
        self.core.redraw(seeds)

    @property
    def core(self) -> DispatchCore:
        """The arrays and the kernel behind it."""
        core: DispatchCore = self._core
        return core

    @property
    def view(self) -> View:
        """What is the same in every day: weights, matrices, the board."""
        view: View = self._core.view
        return view

    @property
    def weights(self) -> Weights:
        """What the parts of the cost weigh."""
        return Weights(*self.view.weights)

    @property
    def distinct_episodes(self) -> int | None:
        """How many different days there are to play, if days are replayed."""
        return self._core.days_replayed or None
