"""`compagnon/Ball-v0`, N copies stepped at once by the compiled kernel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.compiled import CompiledVectorEnv
from compagnon.worlds.ball.core import KPI_NAMES, BallCore
from compagnon.worlds.ball.options import BallOptions


class BallVectorEnv(CompiledVectorEnv):
    """N balls; an ended episode is followed by the next one within the same step.

    In a step that ends an episode, `info` holds ``final_obs`` (N, d) and ``final_info["kpis"]``
    (N, 1), with ``_final_obs`` and ``_final_info`` telling which rows are meant.

    Args:
        num_envs: how many copies.
        copy: hand out fresh arrays (default); ``False`` hands out the kernel's own, which the next
            step overwrites.
        **options: see `BallEnv`.
    """

    what = "ball"
    kpi_names = KPI_NAMES

    def __init__(
        self,
        num_envs: int = 1,
        copy: bool = True,
        render_mode: str | None = None,
        **options: object,
    ) -> None:
        super().__init__(num_envs, copy, render_mode)
        self.options = BallOptions.parse(**options)
        self._take(BallCore(num_envs, self.options))

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[
        NDArray[np.float32],
        NDArray[Any],
        NDArray[Any],
        NDArray[Any],
        dict[str, Any],
    ]:
        """Push every ball, (N, d), clipped to [-2, 2]."""
        self._require_reset()
        core, out = self._core, self._core.out
        core.step(actions, True)
        info: dict[str, Any] = {}
        ended = out.terminated | out.truncated
        if ended.any():
            info["final_obs"] = self._hand(out.final_obs)
            info["final_info"] = {"kpis": self._hand(out.survived), "_kpis": ended}
            info["_final_obs"] = info["_final_info"] = ended
        return (
            self._hand(out.obs),
            self._hand(out.reward),
            self._hand(out.terminated),
            self._hand(out.truncated),
            info,
        )
