"""`compagnon/Workshop-v0`, N copies stepped at once by the compiled kernel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.compiled import CompiledVectorEnv
from compagnon.envs.workshop import rules as R
from compagnon.envs.workshop.core import WorkshopCore
from compagnon.envs.workshop.kpis import KPI_NAMES
from compagnon.envs.workshop.options import WorkshopOptions
from compagnon.errors import InputError


class WorkshopVectorEnv(CompiledVectorEnv):
    """N workshops; an ended week is followed by the next one within the same step.

    Besides ``action_mask`` (N, 201), ``elapsed`` (N,) and ``reward_terms`` (N, 7), `info` holds,
    in a step that ends a week, ``final_obs`` (N, F) and ``final_info["kpis"]`` (N, len(kpi_names)),
    with ``_final_obs`` and ``_final_info`` telling which rows are meant.

    Args:
        num_envs: how many copies.
        copy: hand out fresh arrays (default); ``False`` hands out the kernel's own, which the next
            step overwrites.
        **options: see `WorkshopEnv`.
    """

    what = "workshop"
    reward_term_names = R.REWARD_TERMS
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
    def scaling(self) -> str:
        """`physical` or `published`: how the columns are scaled."""
        return self.options.scaling

    def observe(self) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """What every copy shows now: observations and ``action_mask``."""
        return self._hand(self._core.out.obs), {"action_mask": self._hand(self._core.out.mask)}

    @property
    def distinct_episodes(self) -> int | None:
        """How many different demands there are to play: the weeks of the order book, if any."""
        return self._core.params.book_weeks or None

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[
        NDArray[np.float32],
        NDArray[Any],
        NDArray[Any],
        NDArray[Any],
        dict[str, Any],
    ]:
        """Step every copy by one action each, int64 of shape (N,)."""
        self._require_reset()
        actions = np.ascontiguousarray(actions, np.int64)
        if actions.shape != (self.num_envs,):
            raise InputError(f"actions of shape {actions.shape}; expected ({self.num_envs},)")
        if actions.min() < 0 or actions.max() >= R.NUM_ACTIONS:
            raise InputError(f"an action is outside 0..{R.NUM_ACTIONS - 1}")
        core, out = self._core, self._core.out
        core.step(actions, True)
        info: dict[str, Any] = {
            "action_mask": self._hand(out.mask),
            "elapsed": self._hand(out.elapsed),
            "reward_terms": self._hand(out.terms),
        }
        if out.terminated.any():
            ended = out.terminated.copy()
            info["final_obs"] = self._hand(out.final_obs)
            info["final_info"] = {"kpis": core.final_kpis(), "_kpis": ended}
            info["_final_obs"] = info["_final_info"] = ended
        truncated = np.zeros(self.num_envs, np.bool_)
        return (
            self._hand(out.obs),
            self._hand(out.reward),
            self._hand(out.terminated),
            truncated,
            info,
        )
