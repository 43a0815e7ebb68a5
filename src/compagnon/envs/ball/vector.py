"""`compagnon/Ball-v0`, N copies stepped at once by the compiled kernel."""

from typing import Any, ClassVar

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from compagnon.envs.ball.core import KPI_NAMES, BallCore
from compagnon.envs.ball.options import BallOptions
from compagnon.envs.field import Field
from compagnon.envs.seeds import seeds_to_set, spread_seeds
from compagnon.errors import InputError


class BallVectorEnv(VectorEnv[NDArray[np.float32], NDArray[np.float32], NDArray[Any]]):
    """N balls; an ended episode is followed by the next one within the same step.

    In a step that ends an episode, `info` holds ``final_obs`` (N, d) and ``final_info["kpis"]``
    (N, 1), with ``_final_obs`` and ``_final_info`` telling which rows are meant.

    Args:
        num_envs: how many copies.
        copy: hand out fresh arrays (default); ``False`` hands out the kernel's own, which the next
            step overwrites.
        **options: see `BallEnv`.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]  # as Gymnasium itself uses it
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }
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
            raise InputError("the vector ball does not render: render a single one")
        self.num_envs = num_envs
        self.options = BallOptions.parse(**options)
        self._copy = copy
        self._core = BallCore(num_envs, self.options)
        self.single_observation_space = self._core.observation_space
        self.single_action_space = self._core.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._seeded = np.zeros(num_envs, np.bool_)
        self._all_seeded = False

    @property
    def observation_fields(self) -> tuple[Field, ...]:
        """The columns of an observation."""
        return self._core.fields

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode in every copy, or in those that ``options["reset_mask"]`` selects.

        Args:
            seed: copy i gets ``seed + i``, or ``seed[i]``; without one, each copy's next episode.
        """
        rows = np.ones(self.num_envs, np.bool_)
        if options is not None and "reset_mask" in options:
            rows = np.asarray(options["reset_mask"], np.bool_)
        seeds = spread_seeds(seed, self.num_envs)
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
        self._core.seed(*seeds_to_set(seeds, rows, self._seeded, self.np_random))
        self._seeded |= rows
        self._all_seeded = bool(self._seeded.all())
        self._core.reset(rows)
        return self.observe()

    def observe(self) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """What every copy shows now."""
        return self._hand(self._core.out.obs), {}

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
        if not self._all_seeded:
            raise ResetNeeded("call reset() before the first step()")
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

    def _hand(self, array: NDArray[Any]) -> NDArray[Any]:
        return array.copy() if self._copy else array

    def state_dict(self) -> dict[str, NDArray[np.generic]]:
        """Everything that the next step depends on."""
        return self._core.state_dict()

    def load_state_dict(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from what `state_dict` gave."""
        self._core.load_state_dict(state)
        self._seeded[:] = True
        self._all_seeded = True
