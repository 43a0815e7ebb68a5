"""What look-aheads found out of decisions, for a policy to learn from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.worlds.action_values import ActionValues


class Looks:
    """Decisions, and how much better or worse than what was done their candidates were.

    Args:
        num_fields, num_actions: F and A.
    """

    def __init__(self, num_fields: int, num_actions: int) -> None:
        self._parts: list[tuple[NDArray[Any], ...]] = [
            (
                np.zeros((0, num_fields), np.float32),
                np.zeros((0, num_actions), np.bool_),
                np.zeros((0, num_actions), np.float32),
                np.zeros((0, num_actions), np.float32),
                np.zeros(0, np.int64),
            )
        ]
        self._changed = self._plays = 0

    def __len__(self) -> int:
        return sum(len(part[0]) for part in self._parts)

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
        self._parts.append((obs, action_mask, advantages, weights, copy))

    def _column(self, number: int) -> NDArray[Any]:
        """One of the arrays, whole; what was added is put together when it is first asked for."""
        if len(self._parts) > 1:
            self._parts = [
                tuple(np.concatenate(arrays) for arrays in zip(*self._parts, strict=True))
            ]
        return self._parts[0][number]

    @property
    def obs(self) -> NDArray[np.float32]:
        """(N, F), what was seen."""
        return self._column(0)

    @property
    def action_mask(self) -> NDArray[np.bool_]:
        """(N, A)."""
        return self._column(1)

    @property
    def advantages(self) -> NDArray[np.float32]:
        """(N, A), rewards more than by what was done.

        0 of that, and of actions that were not tried.
        """
        return self._column(2)

    @property
    def weights(self) -> NDArray[np.float32]:
        """(N, A), the share of the look's futures that each was tried in.

        What a mean of n says is, before anything else is known, A n / (n + m), where m is how much
        more a future differs from the next than candidates do: hundreds. So it counts by n, and
        who was dropped after a glance, mostly for bad luck, counts for little.
        """
        return self._column(3)

    @property
    def copy(self) -> NDArray[np.int64]:
        """(N,), in which copy of the environment each decision stood."""
        return self._column(4)

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
