"""What our environments have in common, one env or many: a core that a compiled kernel steps."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from compagnon.envs.field import Field
from compagnon.envs.seeds import check_seed, seeds_to_set, spread_seeds
from compagnon.errors import InputError


class Core(Protocol):
    """The arrays of N envs, and the kernel that changes them."""

    fields: tuple[Field, ...]

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """Of one env."""
        ...

    @property
    def action_space(self) -> spaces.Space[Any]:
        """Of one env."""
        ...

    def seed(self, seeds: NDArray[np.uint64], rows: NDArray[np.bool_]) -> None:
        """Give the envs of `rows` (N,) the seeds (N,)."""
        ...

    def reset(self, rows: NDArray[np.bool_]) -> None:
        """Begin the next episode in the envs of `rows`."""
        ...

    def state_dict(self) -> dict[str, NDArray[np.generic]]:
        """Everything that the next step depends on."""
        ...

    def load_state_dict(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from what `state_dict` gave."""
        ...


class CompiledEnv(gymnasium.Env[NDArray[np.float32], Any], ABC):
    """One env; subclasses add the step, what it shows, and how an episode is pictured.

    Args:
        render_mode: one of the class's own, or None.
    """

    episode: ClassVar[str] = "the episode"  # as errors call it
    _core: Any

    def __init__(self, render_mode: str | None) -> None:
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise InputError(f"render_mode={render_mode!r}: use {' or '.join(modes)}")
        self.render_mode = render_mode
        self._row = np.ones(1, np.bool_)
        self._seeded = False
        self._needs_reset = True

    def _take(self, core: Core) -> None:
        """Play in `core`, of one env."""
        self._core = core
        self.observation_space = core.observation_space
        self.action_space = core.action_space

    @property
    def observation_fields(self) -> tuple[Field, ...]:
        """The columns of an observation, in physical units."""
        fields: tuple[Field, ...] = self._core.fields
        return fields

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode: that of `seed`, or without one the next of the last seed.

        Args:
            seed: 0 to 2^63 - 1.
            options: none are known.
        """
        if seed is not None:
            check_seed(seed)
        super().reset(seed=seed)
        if seed is None and not self._seeded:
            seed = int(self.np_random.integers(2**63))
        if seed is not None:
            self._core.seed(np.array([seed], np.uint64), self._row)
            self._seeded = True
        self._core.reset(self._row)
        self._needs_reset = False
        self._picture_anew()
        return self._core.out.obs[0].copy(), self._info()

    def _require_reset(self) -> None:
        if self._needs_reset:
            raise ResetNeeded(f"{self.episode} has not begun or is over: call reset()")

    def _info(self) -> dict[str, Any]:
        """What comes with an observation."""
        return {}

    @abstractmethod
    def _standing(self) -> tuple[bool, bool]:
        """Whether the core has begun an episode, and whether that one is over."""

    def _picture_anew(self) -> None:
        """Forget what a picture remembers of the steps before."""

    def state_dict(self) -> dict[str, NDArray[np.generic]]:
        """Everything that the next step depends on."""
        state: dict[str, NDArray[np.generic]] = self._core.state_dict()
        return state

    def load_state_dict(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from what `state_dict` gave."""
        self._core.load_state_dict(state)
        self._seeded, over = self._standing()
        self._needs_reset = not self._seeded or over
        self._picture_anew()


class CompiledVectorEnv(VectorEnv[NDArray[np.float32], Any, NDArray[Any]]):
    """N envs that reset within the step; subclasses add the step itself and what it shows.

    Args:
        num_envs: how many envs.
        copy: hand out fresh arrays; ``False`` hands out the kernel's own, which the next step
            overwrites.
        render_mode: None; a single environment renders.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]  # as Gymnasium itself uses it
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }
    what: ClassVar[str]
    _core: Any

    def __init__(self, num_envs: int, copy: bool, render_mode: str | None) -> None:
        if num_envs < 1:
            raise InputError(f"num_envs={num_envs}: at least 1")
        if render_mode is not None:
            raise InputError(f"the vector {self.what} does not render: render a single one")
        self.num_envs = num_envs
        self._copy = copy
        self._seeded = np.zeros(num_envs, np.bool_)
        self._all_seeded = False

    def _take(self, core: Core) -> None:
        """Play in `core`."""
        self._core = core
        self.single_observation_space = core.observation_space
        self.single_action_space = core.action_space
        self.observation_space = batch_space(core.observation_space, self.num_envs)
        self.action_space = batch_space(core.action_space, self.num_envs)

    @property
    def observation_fields(self) -> tuple[Field, ...]:
        """The columns of an observation, in physical units."""
        fields: tuple[Field, ...] = self._core.fields
        return fields

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode in every env, or in those that ``options["reset_mask"]`` selects.

        Args:
            seed: env i gets ``seed + i``, or ``seed[i]``; without one, each env's next episode.
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
        """What every env shows now."""
        return self._hand(self._core.out.obs), {}

    def _require_reset(self) -> None:
        if not self._all_seeded:
            raise ResetNeeded("call reset() before the first step()")

    def _hand(self, array: NDArray[Any]) -> NDArray[Any]:
        return array.copy() if self._copy else array

    def state_dict(self) -> dict[str, NDArray[np.generic]]:
        """Everything that the next step depends on."""
        state: dict[str, NDArray[np.generic]] = self._core.state_dict()
        return state

    def load_state_dict(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from what `state_dict` gave."""
        self._core.load_state_dict(state)
        self._seeded[:] = True
        self._all_seeded = True
