"""`compagnon/Workshop-v0`, N copies stepped at once by the compiled kernel."""

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.decisions import DecisionVectorEnv
from compagnon.worlds.workshop import constants
from compagnon.worlds.workshop.core import WorkshopCore
from compagnon.worlds.workshop.kpis import KPI_NAMES
from compagnon.worlds.workshop.options import WorkshopOptions


class WorkshopVectorEnv(DecisionVectorEnv):
    """N workshops; an ended week is followed by the next one within the same step.

    `info` is that of `DecisionVectorEnv`.

    Args:
        num_envs: how many copies.
        copy: hand out fresh arrays (default); ``False`` hands out the kernel's own, which the next
            step overwrites.
        **options: see `WorkshopEnv`.
    """

    what = "workshop"
    reward_term_names = constants.REWARD_TERMS
    kpi_names = KPI_NAMES

    def __init__(
        self,
        num_envs: int = 1,
        copy: bool = True,
        render_mode: str | None = None,
        **options: object,
    ) -> None:
        super().__init__(num_envs, copy, render_mode)
        self.options = WorkshopOptions.parse(**options)
        self._take(WorkshopCore(num_envs, self.options))

    @property
    def distinct_episodes(self) -> int | None:
        """How many different demands there are to play: the weeks of the order book, if any."""
        return self._core.params.book_weeks or None

    def redraw(self, seeds: NDArray[np.uint64]) -> None:
        """Draw anew what nobody can see yet, shop i from ``seeds[i]``."""
        self.core.redraw(seeds)

    @property
    def core(self) -> WorkshopCore:
        """The arrays and the kernel behind it."""
        core: WorkshopCore = self._core
        return core
