"""What off-policy algorithms remember: transitions, first in first out, with exact bootstraps.

A transition keeps the discount of what follows it: the product of ``gamma ** duration`` over the
steps it spans, and 0 behind a true end. An episode that was cut short by a time limit is no end:
its last transition bootstraps from the final observation.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import cached_njit
from compagnon.policy.schema import ActionSchema


class Transitions(NamedTuple):
    """B transitions.

    Attributes:
        obs, next_obs: (B, F) float32, own columns, unscaled.
        actions: (B,) int64, or (B, D) float32.
        rewards: (B,) float32, discounted sum over the steps that the transition spans.
        discounts: (B,) float32, of the value of `next_obs`; 0 where the episode ended there.
        next_mask: (B, A) bool, what is possible in `next_obs`; (B, 0) for vectors of actions.
    """

    obs: NDArray[np.float32]
    actions: NDArray[Any]
    rewards: NDArray[np.float32]
    discounts: NDArray[np.float32]
    next_obs: NDArray[np.float32]
    next_mask: NDArray[np.bool_]


def _empty(rows: int, num_fields: int, action: ActionSchema) -> Transitions:
    discrete = action.kind == "discrete"
    return Transitions(
        np.zeros((rows, num_fields), np.float32),
        np.zeros(rows, np.int64) if discrete else np.zeros((rows, action.n), np.float32),
        np.zeros(rows, np.float32),
        np.zeros(rows, np.float32),
        np.zeros((rows, num_fields), np.float32),
        np.zeros((rows, action.n if discrete else 0), np.bool_),
    )


class ReplayBuffer:
    """A ring of transitions: when it is full, the oldest make room.

    Args:
        capacity: transitions at most.
        num_fields: columns of an observation. action: what is chosen.
    """

    def __init__(self, capacity: int, num_fields: int, action: ActionSchema) -> None:
        self.capacity = capacity
        self.data = _empty(capacity, num_fields, action)
        self.added = 0  # ever, those that have been forgotten included

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, transitions: Transitions) -> NDArray[np.int64]:
        """Remember transitions; the rows that they now have, (B,)."""
        count = len(transitions.rewards)
        rows = np.arange(self.added, self.added + count) % self.capacity
        for kept, new in zip(self.data, transitions, strict=True):
            kept[rows] = new
        self.added += count
        return rows

    def sample(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Rows drawn uniformly, with replacement; (count,)."""
        return rng.integers(len(self), size=count)

    def rows_since(self, added: int) -> NDArray[np.int64]:
        """Rows of what has come since `added` transitions had been, as far as still remembered."""
        first = max(added, self.added - self.capacity)
        return np.arange(first, self.added) % self.capacity

    def take(self, rows: NDArray[np.int64]) -> Transitions:
        """Copies of the transitions at `rows`."""
        return Transitions._make(column.take(rows, axis=0) for column in self.data)

    def scale_rewards(self, factor: float) -> None:
        """Multiply all rewards that are remembered."""
        self.data.rewards[: len(self)] *= np.float32(factor)

    def state_dict(self) -> dict[str, Any]:
        """Everything that is remembered."""
        kept = {
            name: column[: len(self)].copy()
            for name, column in zip(Transitions._fields, self.data, strict=True)
        }
        return {"added": self.added, **kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.added = int(state["added"])
        for name, column in zip(Transitions._fields, self.data, strict=True):
            column[: len(self)] = state[name]


class NStep:
    """Joins n steps of each env into one transition (Sutton and Barto 2018, equation 7.1).

    Nothing crosses the end of an episode: what is pending there is handed out with fewer steps.

    Args:
        n: steps of a transition. num_envs: envs, each with a window of its own.
    """

    def __init__(self, n: int, num_envs: int, num_fields: int, action: ActionSchema) -> None:
        self.n, self.num_envs = n, num_envs
        self._pending = _empty(n * num_envs, num_fields, action)
        self._ready = _empty(n * num_envs, num_fields, action)
        self._counts = np.zeros(num_envs, np.int64)

    def push(
        self,
        obs: NDArray[np.float32],
        actions: NDArray[Any],
        rewards: NDArray[np.float64],
        discounts: NDArray[np.float64],
        next_obs: NDArray[np.float32],
        next_mask: NDArray[np.bool_],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
    ) -> Transitions:
        """Take one step of every env; the transitions that it completes, valid until the next.

        Args:
            obs, next_obs: (N, F), before the step and after it, before any reset.
            actions: (N,) or (N, D). rewards: (N,). discounts: (N,), ``gamma ** duration``.
            next_mask: (N, A), or (N, 0). terminated, truncated: (N,).
        """
        pending, ready = self._pending, self._ready
        count = _advance(
            self.n, self._counts,
            pending.obs, _two_d(pending.actions), pending.rewards, pending.discounts,
            obs, _two_d(actions), rewards, discounts, next_obs, next_mask, terminated, truncated,
            ready.obs, _two_d(ready.actions), ready.rewards, ready.discounts,
            ready.next_obs, ready.next_mask,
        )  # fmt: skip
        return Transitions._make(column[:count] for column in ready)

    def scale_rewards(self, factor: float) -> None:
        """Multiply all rewards that are pending."""
        self._pending.rewards[:] *= np.float32(factor)

    def clear(self) -> None:
        """Forget what is pending: the envs begin new episodes."""
        self._counts[:] = 0

    def state_dict(self) -> dict[str, Any]:
        """What is pending."""
        live = (np.arange(self.n) < self._counts[:, None]).reshape(-1)
        pending = {}
        for name, column in self._pending._asdict().items():
            pending[name] = np.zeros_like(column)  # what has been handed out is nobody's any more
            pending[name][live] = column[live]
        return {"counts": self._counts.copy(), **pending}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._counts[:] = state["counts"]
        for name, column in self._pending._asdict().items():
            column[:] = state[name]


def _two_d(actions: NDArray[Any]) -> NDArray[Any]:
    return actions if actions.ndim == 2 else actions[:, None]


@cached_njit
def _advance(
    n, counts,
    pending_obs, pending_actions, pending_rewards, pending_discounts,
    obs, actions, rewards, discounts, next_obs, next_mask, terminated, truncated,
    ready_obs, ready_actions, ready_rewards, ready_discounts, ready_next_obs, ready_next_mask,
):  # fmt: skip
    """Window i holds the rows i n to i n + counts[i] - 1 of the pending ones, oldest first."""
    ready = 0
    for i in range(len(counts)):
        first = i * n
        new = first + counts[i]
        pending_obs[new] = obs[i]
        pending_actions[new] = actions[i]
        pending_rewards[new] = 0.0
        pending_discounts[new] = 1.0
        counts[i] += 1
        for row in range(first, new + 1):
            pending_rewards[row] += pending_discounts[row] * rewards[i]
            pending_discounts[row] *= discounts[i]
        over = terminated[i] or truncated[i]
        done = counts[i] if over else (1 if counts[i] == n else 0)
        for row in range(first, first + done):
            ready_obs[ready] = pending_obs[row]
            ready_actions[ready] = pending_actions[row]
            ready_rewards[ready] = pending_rewards[row]
            ready_discounts[ready] = 0.0 if terminated[i] else pending_discounts[row]
            ready_next_obs[ready] = next_obs[i]
            ready_next_mask[ready] = next_mask[i]
            ready += 1
        if over:
            counts[i] = 0
        elif done == 1:
            for row in range(first, first + n - 1):
                pending_obs[row] = pending_obs[row + 1]
                pending_actions[row] = pending_actions[row + 1]
                pending_rewards[row] = pending_rewards[row + 1]
                pending_discounts[row] = pending_discounts[row + 1]
            counts[i] -= 1
    return ready
