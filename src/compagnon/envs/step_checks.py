"""Refuses what an environment gave that no policy could act on, or learn from, where it comes in.

Numbers that are none, a time below 0, a mask that leaves nothing to choose: found here, before a
policy could be blamed for them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import FaultyEnvError


class StepChecks:
    """Looks at what N envs gave; every fault is a `FaultyEnvError` that names the env.

    Args:
        env_id: of what they are copies.
        shape: of the observations, (N, F).
        field_names: of each of the F.
        trusted: our own kernels leave something to do in every state, and give finite numbers
            quietly; their tests hold them to it.
    """

    def __init__(
        self, env_id: str, shape: tuple[int, int], field_names: Sequence[str], trusted: bool
    ) -> None:
        self._env_id, self._field_names, self._trusted = env_id, field_names, trusted
        self._no_obs = np.zeros(shape[0] * shape[1], np.float32)
        self._no_reward = np.zeros(shape[0])

    def shown(self, obs: NDArray[np.float32], action_mask: NDArray[np.bool_] | None) -> None:
        """Refuse a state, (N, F) and (N, A), in which no policy could act."""
        self.obs(obs)
        if not self._trusted and action_mask is not None:
            self.choice(action_mask)

    def obs(self, obs: NDArray[np.float32]) -> None:
        """Refuse observations, (N, F), that are not finite."""
        if not self._finite(obs, self._no_obs):
            raise self._not_finite(obs, "the observation ", self._field_names)

    def reward(self, reward: NDArray[np.float64]) -> None:
        """Refuse rewards, (N,), that are not finite."""
        if not self._finite(reward, self._no_reward):
            raise self._not_finite(reward, "the reward")

    def reward_terms(self, terms: NDArray[np.float64], names: Sequence[str]) -> None:
        """Refuse parts of the reward, (N, R), that are not finite."""
        if not np.isfinite(terms).all():
            raise self._not_finite(terms, "the reward term ", names)

    def choice(self, mask: NDArray[np.bool_]) -> None:
        """Refuse masks, (N, A), that allow nothing."""
        possible = mask.any(axis=1)
        if not possible.all():
            raise FaultyEnvError(
                self._env_id,
                "the action mask allows no action; at least one must be possible until the "
                "episode is terminated",
                int(np.argmin(possible)),
            )

    def whole_times(self, elapsed: NDArray[Any]) -> NDArray[np.int64]:
        """Times that steps took, (N,), as whole numbers; anything else is refused."""
        wrong = ~((elapsed >= 0) & (elapsed < 2**53) & (elapsed == np.floor(elapsed)))
        if wrong.any():
            copy = int(np.argmax(wrong))
            raise FaultyEnvError(
                self._env_id,
                f"info['elapsed'] is {elapsed[copy]:g}; it should be a whole number from 0, of "
                "time units that the step took",
                copy,
            )
        whole: NDArray[np.int64] = elapsed.astype(np.int64)
        return whole

    def _finite(self, values: NDArray[Any], zeros: NDArray[Any]) -> bool:
        """Whether there is neither a NaN nor an infinity; to look at each costs thrice as much.

        Args:
            zeros: as many, of the same type: 0 times anything else is no 0.
        """
        flat = values.reshape(-1)
        if self._trusted:  # nothing to keep quiet of, and keeping quiet is most of the cost
            return bool(flat.dot(zeros) == 0)
        with np.errstate(invalid="ignore"):
            return bool(flat.dot(zeros) == 0)

    def _not_finite(
        self, values: NDArray[Any], what: str, names: Sequence[str] = ()
    ) -> FaultyEnvError:
        place = np.argwhere(~np.isfinite(values))[0]
        name = names[place[1]] if len(names) else ""
        told = f"{what}{name} is {values[tuple(place)]}; it should be a finite number"
        return FaultyEnvError(self._env_id, told, int(place[0]))
