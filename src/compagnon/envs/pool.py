"""Gymnasium's environments as EnvPool steps them, in C++, with Gymnasium's own conventions.

EnvPool (Weng et al. 2022, arXiv 2206.10558) is used where it is asked for by name, never because it
happens to be installed: its episodes follow from a seed too, but they are other episodes.
"""

import os
import warnings
from typing import Any, ClassVar, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from compagnon.envs.seeds import seeds_to_set, spread_seeds
from compagnon.errors import InputError
from compagnon.plugins import brought_worlds

_NEVER: Final = 2**31 - 1


class PoolVectorEnv(VectorEnv[NDArray[Any], NDArray[Any], NDArray[Any]]):
    """N envs in one EnvPool; an ended episode is followed by the next one within the same step.

    EnvPool alone begins the next episode one step late, and reports an episode that ends by itself
    at its very last step as cut short. Here the time limit is counted outside, as Gymnasium's
    `TimeLimit` does, and ended envs are begun again at once; so steps mean what they mean with
    Gymnasium.

    The seeds choose the episodes, as everywhere. They are not Gymnasium's episodes of these seeds.
    Neither the number of threads nor the other envs change them.

    Args:
        env_id: one of `served_ids`.
        num_envs: how many envs.
        max_episode_steps: another time limit than Gymnasium's own.
        num_threads: how many threads step the envs. None: one where an environment is so cheap
            that threads only cost, else one for some envs (`World.pooled`), as far as there are
            processors.
        **arguments: none are known; EnvPool fixes the rest.

    Raises:
        InputError: EnvPool is not installed, does not know the environment or an argument.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]  # as Gymnasium itself uses it
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        max_episode_steps: int | None = None,
        num_threads: int | None = None,
        **arguments: Any,
    ) -> None:
        self._make_pool = _maker(env_id)
        for name, value in arguments.items():
            raise InputError(
                f"EnvPool's {env_id} has no argument {name} (given: {value!r}); it takes "
                "max_episode_steps alone, and Gymnasium's own takes the others"
            )
        if num_threads is None:
            copies = served_ids()[env_id]
            wanted = 1 if copies is None else num_envs // copies
            num_threads = max(1, min(wanted, os.cpu_count() or 1))
        if num_threads < 1:
            raise InputError(f"num_threads={num_threads}: at least 1")
        # EnvPool's own spaces differ in detail (and warn when they are made), so that a policy
        # would not fit both; Gymnasium's environment is made for nothing but its spaces.
        original = gymnasium.make(env_id)
        assert original.spec is not None
        self._limit = _limit(max_episode_steps, original.spec.max_episode_steps)
        self.spec = original.spec
        self.env_id = env_id
        self.num_envs = num_envs
        self.num_threads = num_threads
        self.single_observation_space = original.observation_space
        self.single_action_space = original.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        original.close()
        self._pool: Any = None
        # How the envs came to where they stand, which is all that can be saved of them.
        self._seeds: list[int] = []
        self._actions = bytearray()
        self._resets: list[int] = []
        self._steps = 0
        self._obs: NDArray[Any] = np.zeros((num_envs, 1), np.float32)
        self._elapsed = np.zeros(num_envs, np.int64)
        self._all_rows = np.ones(num_envs, np.bool_)

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Begin an episode in every env.

        Args:
            seed: env i gets ``seed + i``, or ``seed[i]``; without one, each env's next episode.
            options: none are known.

        Raises:
            InputError: some envs are given a seed and others are not.
        """
        seeds = spread_seeds(seed, self.num_envs)
        if None in seeds and seeds.count(None) < self.num_envs:
            raise InputError("seed: EnvPool seeds all copies at once; give each a seed, or none")
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
        if None not in seeds or self._pool is None:
            values, _ = seeds_to_set(seeds, self._all_rows, ~self._all_rows, self.np_random)
            self._begin([_fold(int(value)) for value in values])
        else:
            self._resets.append(self._steps)
        self._elapsed[:] = 0
        self._obs = self._pool.reset()[0]
        return self._obs, {}

    def _begin(self, seeds: list[int]) -> None:
        self._seeds, self._steps = seeds, 0
        self._actions.clear()
        self._resets.clear()
        # EnvPool takes seeds when it is made, and never again; that takes a millisecond.
        self._pool = self._make_pool(
            self.env_id,
            num_envs=self.num_envs,
            num_threads=self.num_threads,
            seed=seeds,
            max_episode_steps=_NEVER,
        )
        with warnings.catch_warnings():
            # It makes (and keeps) its own space at the first reset, rounding as it does so.
            warnings.filterwarnings("ignore", message=".*precision lowered by casting")
            self._pool.observation_space  # noqa: B018

    def observe(self) -> tuple[NDArray[Any], dict[str, Any]]:
        """What every env shows now."""
        return self._obs, {}

    def state_dict(self) -> dict[str, Any]:
        """The seeds and all actions since, (T, N) or (T, N, D): it grows as long as nobody resets.

        Envs in C++ hand out nothing; but they follow from these.
        """
        shape: tuple[int, ...] = self.action_space.shape or ()
        actions = np.frombuffer(bytes(self._actions), self.action_space.dtype).reshape(-1, *shape)
        return {
            "seeds": list(self._seeds),
            "actions": actions.copy(),
            "resets": list(self._resets),
            "obs": np.array(self._obs),
        }

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Play again what `state_dict` gave; it takes as long as stepping took.

        Returns:
            Whether the envs then show what they showed.
        """
        if state["seeds"]:
            self._begin([int(seed) for seed in state["seeds"]])
            self._elapsed[:] = 0
            self._obs = self._pool.reset()[0]
        resets = np.bincount(np.array(state["resets"], np.int64), minlength=1)
        for number in range(len(state["actions"]) + 1):
            for _ in range(resets[number] if number < len(resets) else 0):
                self.reset()
            if number < len(state["actions"]):
                self.step(state["actions"][number])
        return np.array_equal(self._obs, state["obs"])

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Step every env by one action each."""
        if self._pool is None:
            raise ResetNeeded("call reset() before the first step()")
        actions = self._checked(actions)
        self._actions += np.asarray(actions, self.action_space.dtype).tobytes()
        self._steps += 1
        obs, reward, terminated, _, _ = self._pool.step(actions)
        self._elapsed += 1
        truncated = self._elapsed >= self._limit
        info: dict[str, Any] = {}
        ended = terminated | truncated
        if ended.any():
            info["final_obs"], info["_final_obs"] = obs, ended
            info["final_info"], info["_final_info"] = {}, ended
            rows = np.flatnonzero(ended)
            obs = obs.copy()
            obs[rows] = self._pool.reset(rows)[0]
            self._elapsed[rows] = 0
        self._obs = obs
        return obs, reward.astype(np.float64), terminated, truncated, info

    def _checked(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Actions that C++ may have: it checks neither shape nor range."""
        actions = np.asarray(actions)
        if actions.shape != self.action_space.shape:
            expected = self.action_space.shape
            raise InputError(f"actions of shape {actions.shape}; expected {expected}")
        space = self.single_action_space
        if isinstance(space, spaces.Discrete) and (actions.min() < 0 or actions.max() >= space.n):
            raise InputError(f"an action is outside 0..{space.n - 1}")
        return actions


def served_ids() -> dict[str, int | None]:
    """Ids that are served as Gymnasium does -> envs that keep a thread busy; None: one thread.

    The worlds name them, see `World.pooled`; ours are those that the tests hold against Gymnasium.
    """
    return {
        env_id: copies for world, _ in brought_worlds() for env_id, copies in world.pooled.items()
    }


def _maker(env_id: str) -> Any:
    served = ", ".join(served_ids())
    if env_id not in served_ids():
        raise InputError(f"backend='envpool' does not serve {env_id}; it serves {served}")
    try:
        import envpool
    except ImportError:
        raise InputError(
            "backend='envpool' needs the package envpool: pip install 'compagnon[envpool]'"
        ) from None
    return envpool.make_gymnasium


def _limit(given: int | None, own: int | None) -> int:
    if given is None:
        return _NEVER if own is None else own
    if not isinstance(given, int) or not 1 <= given < _NEVER:
        raise InputError(f"max_episode_steps={given!r}: give a whole number from 1")
    return given


def _fold(seed: int) -> int:
    """One of EnvPool's 2^31 seeds for one of our 2^63, spread evenly."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)
