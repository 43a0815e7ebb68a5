"""What our environments of masked discrete decisions have in common, one env or many."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.compiled import CompiledEnv, CompiledVectorEnv
from compagnon.errors import InputError


class DecisionEnv(CompiledEnv):
    """One env, whose core steps by an action out of a mask and ends by itself, never cut short.

    The core's `out` holds ``obs``, ``mask``, ``elapsed``, ``reward``, ``terminated``, and ``terms``
    where the class names reward terms.
    """

    kpi_names: ClassVar[tuple[str, ...]]
    reward_term_names: ClassVar[tuple[str, ...]] = ()
    options: Any
    _core: Any

    @property
    def scaling(self) -> str:
        """`physical` or `published`: how the columns are scaled."""
        scaling: str = self.options.scaling
        return scaling

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self._core.out.mask[0].copy()}

    def step(
        self, action: np.int64 | int
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Take one decision.

        Raises:
            InputError: there is no such action, or it is not possible now.
            gymnasium.error.ResetNeeded: the episode has not begun, or is over.
        """
        self._require_reset()
        core, out = self._core, self._core.out
        last = out.mask.shape[1] - 1
        if not 0 <= action <= last:
            raise InputError(f"action {action} is outside 0..{last}")
        self._before(int(action))
        core.step(np.array([action], np.int64), False)
        terminated = bool(out.terminated[0])
        info = {**self._info(), "elapsed": int(out.elapsed[0])}
        if self.reward_term_names:
            info["reward_terms"] = out.terms[0].copy()
        if terminated:
            info["kpis"] = self.kpis()
            self._needs_reset = True
        self._after()
        return out.obs[0].copy(), float(out.reward[0]), terminated, False, info

    def _before(self, action: int) -> None:
        """What a picture notes of a decision before it is carried out."""

    def _after(self) -> None:
        """What a picture notes when it is."""

    def kpis(self) -> dict[str, float]:
        """The KPIs of the episode so far."""
        return dict(zip(self.kpi_names, self._core.kpis()[0].tolist(), strict=True))


class DecisionVectorEnv(CompiledVectorEnv):
    """N of the same; an ended episode is followed by the next one within the same step.

    Besides ``action_mask`` (N, A), ``elapsed`` (N,) and, where there are any, ``reward_terms``
    (N, R), `info` holds, in a step that ends an episode, ``final_obs`` (N, F) and
    ``final_info["kpis"]`` (N, len(kpi_names)), with ``_final_obs`` and ``_final_info`` telling
    which rows are meant.
    """

    kpi_names: ClassVar[tuple[str, ...]]
    reward_term_names: ClassVar[tuple[str, ...]] = ()
    options: Any

    @property
    def scaling(self) -> str:
        """`physical` or `published`: how the columns are scaled."""
        scaling: str = self.options.scaling
        return scaling

    def observe(self) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """What every env shows now: observations and ``action_mask``."""
        return self._hand(self._core.out.obs), {"action_mask": self._hand(self._core.out.mask)}

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Step every env by one action each, int64 of shape (N,).

        Raises:
            InputError: another shape, or an action that there is not, or that is not possible now.
        """
        self._require_reset()
        actions = np.ascontiguousarray(actions, np.int64)
        if actions.shape != (self.num_envs,):
            raise InputError(f"actions of shape {actions.shape}; expected ({self.num_envs},)")
        core, out = self._core, self._core.out
        last = out.mask.shape[1] - 1
        if actions.min() < 0 or actions.max() > last:
            bad = int(np.argmax((actions < 0) | (actions > last)))
            raise InputError(f"action {actions[bad]} of copy {bad} is outside 0..{last}")
        core.step(actions, True)
        info: dict[str, Any] = {
            "action_mask": self._hand(out.mask),
            "elapsed": self._hand(out.elapsed),
        }
        if self.reward_term_names:
            info["reward_terms"] = self._hand(out.terms)
        if out.terminated.any():
            ended = out.terminated.copy()
            info["final_obs"] = self._hand(out.final_obs)
            info["final_info"] = {"kpis": core.final_kpis(), "_kpis": ended}
            info["_final_obs"] = info["_final_info"] = ended
        never = np.zeros(self.num_envs, np.bool_)
        return self._hand(out.obs), self._hand(out.reward), self._hand(out.terminated), never, info
