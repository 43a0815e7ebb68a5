"""Stable-Baselines3 on our environments: the adapters that its MaskablePPO needs."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from sb3_contrib import MaskablePPO
from sb3_contrib.common.wrappers import ActionMasker
from stable_baselines3.common.vec_env import VecEnv

__all__ = ["MaskablePPO", "WorkshopVecEnv", "one_masked_env"]

_MASKS = "action_masks"  # the name that MaskablePPO asks for


class WorkshopVecEnv(VecEnv):
    """Our vector environment as Stable-Baselines3's, as thin as it goes.

    Masks are handed over as one array (N, A). Copies whose episode goes on share one empty info, so
    that no time is lost on N dictionaries a step that nobody reads.

    Args:
        env: resets within the step, and hands out fresh arrays.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        self.env = env  # before the rest, which asks for attributes
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._mask: NDArray[np.bool_] = np.ones((env.num_envs, 1), np.bool_)
        self._actions: NDArray[np.int64] = np.zeros(env.num_envs, np.int64)
        self._nothing: dict[str, Any] = {}

    def reset(self) -> NDArray[np.float32]:
        obs, info = self.env.reset(seed=[seed or 0 for seed in self._seeds])
        self._mask = info["action_mask"]
        self._reset_seeds()
        return obs

    def step_async(self, actions: NDArray[np.int64]) -> None:
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], list[dict[str, Any]]]:
        obs, reward, terminated, truncated, info = self.env.step(self._actions)
        self._mask = info["action_mask"]
        done = terminated | truncated
        infos = [self._nothing] * self.num_envs
        for row in np.flatnonzero(done):
            cut = bool(truncated[row] and not terminated[row])
            last = info["final_obs"][row]
            infos[row] = {"terminal_observation": last, "TimeLimit.truncated": cut}
        return obs, reward, done, infos

    def close(self) -> None:
        self.env.close()

    def has_attr(self, attr_name: str) -> bool:
        return attr_name == _MASKS or hasattr(self.env, attr_name)

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        return [getattr(self.env, attr_name, None) for _ in self._get_indices(indices)]

    def set_attr(
        self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None
    ) -> None:
        raise NotImplementedError("the copies are one object: set it before they are wrapped")

    def env_method(
        self,
        method_name: str,
        *_: Any,
        indices: int | Iterable[int] | None = None,
        **__: Any,
    ) -> Any:
        """The masks of the copies asked for, (n, A); the copies have no other method."""
        if method_name != _MASKS:
            raise NotImplementedError(f"the copies have no method {method_name!r} of their own")
        return self._mask if indices is None else self._mask[list(self._get_indices(indices))]

    def env_is_wrapped(
        self,
        wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]],  # noqa: ARG002
        indices: int | Iterable[int] | None = None,
    ) -> list[bool]:
        return [False for _ in self._get_indices(indices)]


class _KeepsMask(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Remembers the mask that the environment told last."""

    action_mask: NDArray[np.bool_]

    def reset(self, **given: Any) -> tuple[Any, dict[str, Any]]:
        obs, info = self.env.reset(**given)
        self.action_mask = info["action_mask"]
        return obs, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        result = self.env.step(action)
        self.action_mask = result[4]["action_mask"]
        return result


def one_masked_env(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """One copy in sb3-contrib's ActionMasker; MaskablePPO adds a Monitor and a DummyVecEnv."""
    return ActionMasker(_KeepsMask(env), attrgetter("action_mask"))
