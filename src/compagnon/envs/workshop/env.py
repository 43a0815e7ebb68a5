"""`compagnon/Workshop-v0`: the production workshop as one Gymnasium environment."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from compagnon.envs.field import Field
from compagnon.envs.workshop import kernel as K
from compagnon.envs.workshop import rules as R
from compagnon.envs.workshop.core import WorkshopCore
from compagnon.envs.workshop.kpis import KPI_NAMES
from compagnon.envs.workshop.options import WorkshopOptions
from compagnon.errors import InputError


class WorkshopEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """DOCSTRING"""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array", "ansi"], "render_fps": 15}
    reward_term_names = R.REWARD_TERMS
    kpi_names = KPI_NAMES

    def __init__(self, render_mode: str | None = None, **options: object) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise InputError(f"render_mode={render_mode!r}: use rgb_array or ansi")
        self.render_mode = render_mode
        self.options = WorkshopOptions.parse(**options)
        self._core = WorkshopCore(1, self.options)
        self.observation_space = self._core.observation_space
        self.action_space = self._core.action_space
        self._action = np.zeros(1, np.int64)
        self._row = np.ones(1, np.bool_)
        self._history: list[NDArray[np.float64]] = []

    @property
    def observation_fields(self) -> tuple[Field, ...]:
        """The columns of an observation, in physical units."""
        return self._core.fields

    @property
    def scaling(self) -> str:
        """`physical` or `published`: how the columns are scaled."""
        return self.options.scaling

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin a week: that of `seed`, or without one the next week of the last seed."""
        first = self._np_random is None
        super().reset(seed=seed)
        if seed is None and first:
            seed = int(self.np_random.integers(2**63))
        if seed is not None:
            self._core.seed(np.array([seed], np.uint64), self._row)
        self._core.reset(self._row)
        self._history.clear()
        return self._core.out.obs[0].copy(), {"action_mask": self._core.out.mask[0].copy()}

    def step(
        self, action: np.int64 | int
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Play one minute (or, with decision points, one decision)."""
        if not 0 <= action < R.NUM_ACTIONS:
            raise InputError(f"action {action} is outside 0..{R.NUM_ACTIONS - 1}")
        self._action[0] = action
        core = self._core
        core.step(self._action, False)
        out = core.out
        terminated = bool(out.terminated[0])
        info: dict[str, Any] = {
            "action_mask": out.mask[0].copy(),
            "elapsed": int(out.elapsed[0]),
            "reward_terms": out.terms[0].copy(),
        }
        if terminated:
            info["kpis"] = self.kpis()
        if self.render_mode is not None:
            self._history.append(core.shops.state[0].astype(np.float64))
        return out.obs[0].copy(), float(out.reward[0]), terminated, False, info

    def kpis(self) -> dict[str, float]:
        """The KPIs of the week so far."""
        return dict(zip(KPI_NAMES, self._core.kpis()[0].tolist(), strict=True))

    def render(self) -> Any:
        """The shop as a picture (`rgb_array`) or as text (`ansi`)."""
        from compagnon.envs.workshop import render

        shop = render.Snapshot.of(
            self._core.shops.state[0], self._core.shops.money[0], self._core.shops.counters[0]
        )
        if self.render_mode == "ansi":
            return render.to_text(shop)
        if self.render_mode == "rgb_array":
            return render.to_image(shop, np.array(self._history).reshape(-1, K.STATE_COLUMNS))
        return None

    def state_dict(self) -> dict[str, NDArray[np.generic]]:
        """Everything that the next step depends on."""
        return self._core.state_dict()

    def load_state_dict(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from what `state_dict` gave."""
        self._core.load_state_dict(state)
