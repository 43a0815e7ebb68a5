"""What is done with action values, fused: the masked epsilon-greedy choice, and the gradient of the
temporal-difference loss straight from the values.
"""

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import cached_njit
from compagnon.errors import InputError


def epsilon_greedy(
    values: NDArray[np.float32],
    mask: NDArray[np.bool_],
    epsilons: NDArray[np.float64],
    coins: NDArray[np.float64],
    draws: NDArray[np.float64],
) -> NDArray[np.int64]:
    """With probability epsilon any possible action, else the best possible one; (N,).

    Args:
        values, mask: (N, A). epsilons: (N,), one an env. coins, draws: (N,) uniform in [0, 1).

    Raises:
        InputError: a row's mask allows nothing.
        FloatingPointError: a value is not a finite number.
    """
    actions = np.empty(len(values), np.int64)
    _choose(values, mask, epsilons, coins, draws, actions)
    if actions.min() < 0:
        row = int(actions.argmin())
        if mask[row].any():
            raise FloatingPointError(f"the action values of copy {row} are not finite numbers")
        raise InputError(f"the action mask of row {row} allows no action")
    return actions


@cached_njit
def _choose(values, mask, epsilons, coins, draws, actions):
    for i in range(values.shape[0]):
        possible = 0
        for j in range(values.shape[1]):
            possible += mask[i, j]
        best = -1
        if coins[i] < epsilons[i]:
            left = int(draws[i] * possible)
            for j in range(values.shape[1]):
                if mask[i, j]:
                    if left == 0:
                        best = j
                        break
                    left -= 1
        else:
            for j in range(values.shape[1]):
                if mask[i, j]:
                    if not np.isfinite(values[i, j]):
                        best = -1
                        break
                    if best < 0 or values[i, j] > values[i, best]:
                        best = j
        actions[i] = best


@cached_njit
def td_targets(
    rewards: NDArray[np.float32],
    discounts: NDArray[np.float32],
    online: NDArray[np.float32],
    target: NDArray[np.float32],
    next_mask: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """``r + d target(s', argmax over possible a of online(s', a))``, (B,).

    With the target network in both places this is DQN's target (Mnih et al. 2015, algorithm 1);
    with the online network at the choice, double DQN's (van Hasselt et al. 2016, equation 4).

    Args:
        rewards, discounts: (B,); a discount of 0 is a true end, behind which nothing is read.
        online, target, next_mask: (B, A).
    """
    targets = np.empty(len(rewards), np.float32)
    for i in range(len(rewards)):
        targets[i] = rewards[i]
        if discounts[i] == 0.0:
            continue
        best = -1
        for j in range(next_mask.shape[1]):
            if next_mask[i, j] and (best < 0 or online[i, j] > online[i, best]):
                best = j
        if best >= 0:
            targets[i] += discounts[i] * target[i, best]
    return targets


@cached_njit
def td_gradient(
    values: NDArray[np.float32],
    actions: NDArray[np.int64],
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
    huber: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float32], tuple[float, float, float]]:
    """The loss of action values and its gradient.

    The loss is the mean over rows of ``weight * error ** 2``, or of Huber's loss with its corner
    at 1 (half the square within, ``|error| - 1/2`` beyond); ``error = Q(s, a) - target``.

    Args:
        values: (B, A). actions, targets, weights: (B,).

    Returns:
        The gradient with respect to `values` (B, A), the errors (B,), and the loss with the means
        of Q(s, a) and of the errors' sizes.
    """
    gradient = np.zeros_like(values)
    errors = np.empty(len(actions), np.float32)
    count = len(actions)
    loss = q_sum = error_sum = 0.0
    for i in range(count):
        error = values[i, actions[i]] - targets[i]
        errors[i] = error
        q_sum += values[i, actions[i]]
        error_sum += abs(error)
        if not huber:
            loss += weights[i] * error * error
            slope = 2 * error
        elif abs(error) <= 1.0:
            loss += weights[i] * 0.5 * error * error
            slope = error
        else:
            loss += weights[i] * (abs(error) - 0.5)
            slope = np.float32(1.0) if error > 0 else np.float32(-1.0)
        gradient[i, actions[i]] = weights[i] * slope / count
    return gradient, errors, (loss / count, q_sum / count, error_sum / count)
