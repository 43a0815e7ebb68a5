"""What look-aheads found out of decisions, for a policy to learn from."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compagnon.worlds.action_values import ActionValues


class Looks:
    """Decisions, and how much better or worse than what was done their candidates were.

    Args:
        num_fields, num_actions: F and A.

    Attributes:
        obs: (N, F) float32. action_mask: (N, A).
        advantages: (N, A) float32, rewards more than by what was done; 0 of that, and of actions
            that were not tried.
        weights: (N, A) float32, the share of the look's futures that each was tried in. What a
            mean of n says is, before anything else is known, A n / (n + m), where m is how much
            more a future differs from the next than candidates do: hundreds. So it counts by n,
            and who was dropped after a glance, mostly for bad luck, counts for little.
        copy: (N,), in which copy of the environment each decision stood.
    """

    def __init__(self, num_fields: int, num_actions: int) -> None:
        self.obs = np.zeros((0, num_fields), np.float32)
        self.action_mask = np.zeros((0, num_actions), np.bool_)
        self.advantages = np.zeros((0, num_actions), np.float32)
        self.weights = np.zeros((0, num_actions), np.float32)
        self.copy = np.zeros(0, np.int64)
        self._changed = self._plays = 0

    def __len__(self) -> int:
        return len(self.obs)

    def add(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_],
        found: Sequence[ActionValues],
        copy: NDArray[np.int64],
    ) -> None:
        """Add n decisions.

        Args:
            obs: (n, F). action_mask: (n, A). found: of each decision; `usual` is what was done.
            copy: (n,).
        """
        advantages, weights = np.zeros((2, *action_mask.shape), np.float32)
        for row, weight, one in zip(advantages, weights, found, strict=True):
            row[one.actions] = one.advantage
            weight[one.actions] = one.futures / one.futures.max()
            self._changed += int(one.actions[0] != one.usual)
            self._plays += int(one.futures.sum())
        self.obs = np.concatenate([self.obs, obs])
        self.action_mask = np.concatenate([self.action_mask, action_mask])
        self.advantages = np.concatenate([self.advantages, advantages])
        self.weights = np.concatenate([self.weights, weights])
        self.copy = np.concatenate([self.copy, copy])

    @property
    def weighted(self) -> NDArray[np.float32]:
        """(N, A), advantages times weights, what a policy learns from."""
        return self.advantages * self.weights

    @property
    def scale(self) -> float:
        """Root mean square of the weighted advantages that are not 0; 0 where all are."""
        told = self.weighted[self.advantages != 0.0].astype(np.float64)
        return float(np.sqrt((told**2).mean())) if len(told) else 0.0

    def split(self, one_in: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows to learn from, and those of every `one_in`-th copy, to see what was learnt.

        Decisions of one copy follow from each other, so none of them is on either side.
        """
        aside = self.copy % one_in == one_in - 1
        return np.flatnonzero(~aside), np.flatnonzero(aside)

    def metrics(self) -> dict[str, float]:
        """How many looks there were, how much was tried in each, how often another one was best."""
        count = max(1, len(self))
        return {
            "looks": float(len(self)),
            "look_plays": self._plays / count,
            "look_changed": self._changed / count,
            "advantage_scale": self.scale,
        }
