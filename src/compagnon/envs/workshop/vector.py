"""`compagnon/Workshop-v0`, N copies stepped at once by the compiled kernel."""

from typing import Any, ClassVar

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from compagnon.envs.field import Field
from compagnon.envs.seeds import seeds_to_set, spread_seeds
from compagnon.envs.workshop import rules as R
from compagnon.envs.workshop.core import WorkshopCore
from compagnon.envs.workshop.kpis import KPI_NAMES
from compagnon.envs.workshop.options import WorkshopOptions
from compagnon.errors import InputError


class WorkshopVectorEnv(VectorEnv[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]):
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

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]  # as Gymnasium itself uses it
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }
    reward_term_names = R.REWARD_TERMS
    kpi_names = KPI_NAMES

    def __init__(
        self,
        num_envs: int = 1,
        copy: bool = True,
        render_mode: str | None = None,
        **options: object,
    ) -> None:
        if num_envs < 1:
            raise InputError(f"num_envs={num_envs}: at least 1")
        if render_mode is not None:
            raise InputError("the vector workshop does not render: render a single one")
        self.num_envs = num_envs
        self.options = WorkshopOptions.parse(**options)
        self._copy = copy
        self._core = WorkshopCore(num_envs, self.options)
        self.single_observation_space = self._core.observation_space
        self.single_action_space = self._core.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._seeded = np.zeros(num_envs, np.bool_)

    @property
    def observation_fields(self) -> tuple[Field, ...]:
        """The columns of an observation, in physical units."""
        return self._core.fields

    @property
    def scaling(self) -> str:
        """`physical` or `published`: how the columns are scaled."""
        return self.options.scaling

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin a week in every copy, or in those that ``options["reset_mask"]`` selects.

        Args:
            seed: copy i gets ``seed + i``, or ``seed[i]``; without one, each copy's next week.
        """
        rows = np.ones(self.num_envs, np.bool_)
        if options is not None and "reset_mask" in options:
            rows = np.asarray(options["reset_mask"], np.bool_)
        seeds = spread_seeds(seed, self.num_envs)
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
        self._core.seed(*seeds_to_set(seeds, rows, self._seeded, self.np_random))
        self._seeded |= rows
        self._core.reset(rows)
        return self.observe()

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
        if not self._seeded.all():
            raise ResetNeeded("call reset() before the first step()")
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

    def _hand(self, array: NDArray[Any]) -> NDArray[Any]:
        return array.copy() if self._copy else array

    def state_dict(self) -> dict[str, NDArray[np.generic]]:
        """Everything that the next step depends on."""
        return self._core.state_dict()

    def load_state_dict(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from what `state_dict` gave."""
        self._core.load_state_dict(state)
        self._seeded[:] = True
