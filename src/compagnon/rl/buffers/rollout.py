"""Experience of many copies over many steps, and what it says about each choice made."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from compagnon.policy.schema import ActionSchema


class Batch(NamedTuple):
    """The M steps of a rollout that count, in a row.

    Attributes:
        obs: (M, F). action_mask: (M, A). actions: (M,), or unclipped (M, D). log_probs: (M,).
    """

    obs: NDArray[np.float32]
    action_mask: NDArray[np.bool_]
    actions: NDArray[Any]
    log_probs: NDArray[np.float32]


class Rollout:
    """Arrays of T steps of N copies, filled step by step and read flat, step-major.

    Attributes:
        steps: T, how many are filled; the arrays may be longer.
        obs: (T, N, F) as the network reads it (scaled). action_mask: (T, N, A), with no columns
            where actions are vectors.
        actions: (T, N) of discrete ones; (T, N, D) of vectors, in units and not clipped.
        log_probs: (T, N). rewards: (T, N). dones: (T, N) an episode ended.
        discounts: (T, N), ``gamma ** duration``.
        bootstrap: (T, N), value added to the reward where an episode was cut short, else 0.
        used: (T, N), the steps that count; None where all of them do.
    """

    _ARRAYS = (
        "obs", "action_mask", "actions", "log_probs", "rewards", "dones", "discounts", "bootstrap",
    )  # fmt: skip

    def __init__(self, steps: int, num_envs: int, num_fields: int, action: ActionSchema) -> None:
        shape = (steps, num_envs)
        discrete = action.kind == "discrete"
        self.steps, self.num_envs = steps, num_envs
        self.obs: NDArray[np.float32] = np.zeros((*shape, num_fields), np.float32)
        self.action_mask: NDArray[np.bool_] = np.zeros(
            (*shape, action.n if discrete else 0), np.bool_
        )
        self.actions: NDArray[Any] = (
            np.zeros(shape, np.int64) if discrete else np.zeros((*shape, action.n), np.float32)
        )
        self.log_probs: NDArray[np.float32] = np.zeros(shape, np.float32)
        self.rewards: NDArray[np.float64] = np.zeros(shape)
        self.dones: NDArray[np.bool_] = np.zeros(shape, np.bool_)
        self.discounts: NDArray[np.float64] = np.zeros(shape)
        self.bootstrap: NDArray[np.float64] = np.zeros(shape)
        self.used: NDArray[np.bool_] | None = None

    @property
    def capacity(self) -> int:
        """Steps that the arrays have room for."""
        return len(self.rewards)

    def grow(self) -> None:
        """Make room for twice as many steps."""
        for name in self._ARRAYS:
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros_like(array)]))

    def __len__(self) -> int:
        return self.steps * self.num_envs if self.used is None else int(self.used.sum())

    def pick(self, array: NDArray[Any]) -> NDArray[Any]:
        """(T or longer, N, ...) -> (M, ...), what counts of it; a view where everything does."""
        if self.used is not None:
            return array[: self.steps][self.used]
        return array[: self.steps].reshape(len(self), *array.shape[2:])

    def spread(self, flat: NDArray[np.float64]) -> NDArray[np.float64]:
        """(M,) -> (T, N), 0 at the steps that do not count."""
        if self.used is None:
            return flat.reshape(self.steps, self.num_envs)
        whole = np.zeros((self.steps, self.num_envs))
        whole[self.used] = flat
        return whole

    def batch(self) -> Batch:
        """Everything that a gradient step reads, flat."""
        return Batch(
            self.pick(self.obs),
            self.pick(self.action_mask),
            self.pick(self.actions),
            self.pick(self.log_probs),
        )


@njit(cache=True)
def generalised_advantages(
    rewards: NDArray[np.float64],
    values: NDArray[np.float64],
    last_values: NDArray[np.float64],
    dones: NDArray[np.bool_],
    discounts: NDArray[np.float64],
    bootstrap: NDArray[np.float64],
    gae_lambda: float,
) -> NDArray[np.float64]:
    """GAE (arXiv 1506.02438, equation 16), with a discount of its own for each step.

    ``delta_t = r_t + d_t V(s_{t+1}) - V(s_t)`` and ``A_t = delta_t + d_t lambda A_{t+1}``. Nothing
    crosses the end of an episode; where one was cut short rather than finished, `bootstrap` holds
    ``d_t V(final state)``.

    Args:
        rewards, values, discounts, bootstrap: (T, N). last_values: (N,). dones: (T, N).

    Returns:
        Advantages (T, N); ``advantages + values`` are the lambda-returns.
    """
    steps, num_envs = rewards.shape
    advantages = np.empty((steps, num_envs))
    for i in range(num_envs):
        following = 0.0
        next_value = last_values[i]
        for t in range(steps - 1, -1, -1):
            if dones[t, i]:
                delta = rewards[t, i] + bootstrap[t, i] - values[t, i]
                following = delta
            else:
                delta = rewards[t, i] + discounts[t, i] * next_value - values[t, i]
                following = delta + discounts[t, i] * gae_lambda * following
            advantages[t, i] = following
            next_value = values[t, i]
    return advantages
