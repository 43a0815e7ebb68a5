"""Experience of many copies over many steps, and what it says about each choice made."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Rollout:
    """Arrays of T steps of N copies, filled step by step and read flat, step-major.

    Attributes:
        obs: (T, N, F) as the network reads it (scaled). action_mask: (T, N, A).
        actions: (T, N). log_probs: (T, N). rewards: (T, N). ends: (T, N) an episode ended.
        discounts: (T, N), ``gamma ** elapsed``.
        bootstrap: (T, N), value added to the reward where an episode was cut short, else 0.
    """

    def __init__(self, steps: int, num_envs: int, num_fields: int, num_actions: int) -> None:
        shape = (steps, num_envs)
        self.steps, self.num_envs = steps, num_envs
        self.obs: NDArray[np.float32] = np.zeros((*shape, num_fields), np.float32)
        self.action_mask: NDArray[np.bool_] = np.zeros((*shape, num_actions), np.bool_)
        self.actions: NDArray[np.int64] = np.zeros(shape, np.int64)
        self.log_probs: NDArray[np.float32] = np.zeros(shape, np.float32)
        self.rewards: NDArray[np.float64] = np.zeros(shape)
        self.ends: NDArray[np.bool_] = np.zeros(shape, np.bool_)
        self.discounts: NDArray[np.float64] = np.zeros(shape)
        self.bootstrap: NDArray[np.float64] = np.zeros(shape)

    def __len__(self) -> int:
        return self.steps * self.num_envs


@njit(cache=True)
def generalised_advantages(
    rewards: NDArray[np.float64],
    values: NDArray[np.float64],
    last_values: NDArray[np.float64],
    ends: NDArray[np.bool_],
    discounts: NDArray[np.float64],
    bootstrap: NDArray[np.float64],
    gae_lambda: float,
) -> NDArray[np.float64]:
    """GAE (arXiv 1506.02438, equation 16), with a discount of its own for each step.

    ``delta_t = r_t + d_t V(s_{t+1}) - V(s_t)`` and ``A_t = delta_t + d_t lambda A_{t+1}``. Nothing
    crosses the end of an episode; where one was cut short rather than finished, `bootstrap` holds
    ``d_t V(final state)``.

    Args:
        rewards, values, discounts, bootstrap: (T, N). last_values: (N,). ends: (T, N).

    Returns:
        Advantages (T, N); ``advantages + values`` are the lambda-returns.
    """
    steps, num_envs = rewards.shape
    advantages = np.empty((steps, num_envs))
    for i in range(num_envs):
        following = 0.0
        next_value = last_values[i]
        for t in range(steps - 1, -1, -1):
            if ends[t, i]:
                delta = rewards[t, i] + bootstrap[t, i] - values[t, i]
                following = delta
            else:
                delta = rewards[t, i] + discounts[t, i] * next_value - values[t, i]
                following = delta + discounts[t, i] * gae_lambda * following
            advantages[t, i] = following
            next_value = values[t, i]
    return advantages
