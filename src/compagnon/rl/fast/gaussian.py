"""The normal distribution over vectors of actions, fused: sampling and PPO's gradient straight from
the means and deviations.

The distribution is over u, the action in units of its bounds before it is clipped to them. Clipping
is part of the environment: it gets ``from_units(u)``, while u itself and the density of u are what
is kept. The density of a clipped action under the same normal distribution would be another number,
and the ratios of PPO would be wrong wherever a bound was reached.
"""

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import cached_njit
from compagnon.rl.fast.protocol import (
    APPROX_KL,
    CLIPPED,
    ENTROPY,
    LOSS,
    RATIO,
    REFERENCE_KL,
)

_HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


def sample_actions(
    outputs: NDArray[np.float32],
    log_std: NDArray[np.float32],
    noise: NDArray[np.float32],
    actions: NDArray[np.float32],
    log_probs: NDArray[np.float32],
) -> None:
    """Draw one action a row, unclipped, and its log-density.

    Args:
        outputs: (B, D) means, or (B, 2D) means and log-deviations.
        log_std: (D,), read where `outputs` has no deviations.
        noise: (B, D), standard normal.
        actions: (B, D), written. log_probs: (B,), written.

    Raises:
        FloatingPointError: a row's mean or deviation is not finite.
    """
    _sample(outputs, log_std, noise, actions, log_probs)
    if not np.isfinite(log_probs).all():
        row = int(np.isfinite(log_probs).argmin())
        raise FloatingPointError(
            f"the policy's mean or deviation of row {row} is not a finite number"
        )


@cached_njit(error_model="numpy")
def _sample(
    outputs: NDArray[np.float32],
    log_std: NDArray[np.float32],
    noise: NDArray[np.float32],
    actions: NDArray[np.float32],
    log_probs: NDArray[np.float32],
) -> None:
    size = noise.shape[1]
    by_state = outputs.shape[1] > size
    for i in range(noise.shape[0]):
        log_prob = 0.0
        for j in range(size):
            s = outputs[i, size + j] if by_state else log_std[j]
            actions[i, j] = outputs[i, j] + np.exp(s) * noise[i, j]
            # of the action as it was rounded: what the gradient's kernel will find again
            z = (np.float64(actions[i, j]) - outputs[i, j]) / np.exp(np.float64(s))
            log_prob -= 0.5 * z * z + s + _HALF_LOG_2PI
        log_probs[i] = log_prob


@cached_njit(error_model="numpy")
def ppo_gradient(
    outputs: NDArray[np.float32],
    log_std: NDArray[np.float32],
    rows: NDArray[np.int64],
    actions: NDArray[np.float32],
    old_log_probs: NDArray[np.float32],
    advantages: NDArray[np.float32],
    clip_coef: float,
    entropy_coef: float,
    reference: NDArray[np.float32],
    reference_coef: float,
    gradient: NDArray[np.float32],
    stats: NDArray[np.float32],
) -> None:
    """PPO's clipped surrogate (arXiv 1707.06347, equation 7) with entropy and a KL to a reference.

    The loss of a row is ``-min(r A, clip(r, 1-c, 1+c) A) - entropy_coef H(pi)
    + reference_coef KL(reference || pi)``; the gradient written is that of the mean over rows.

    Args:
        outputs: (B, D) means, or (B, 2D) means and log-deviations.
        log_std: (D,), read where `outputs` has no deviations.
        rows: (B,), which rows of the rollout this minibatch is.
        actions, old_log_probs, advantages: of the whole rollout, (M, ...); actions unclipped.
        reference: (M, 2D) means and log-deviations, or (1, 1) when `reference_coef` is 0.
        gradient: (B, 2D), with respect to means and log-deviations, written.
        stats: (B, NUM_STATS), the columns of `masked.ppo_gradient`, written.
    """
    size = actions.shape[1]
    by_state = outputs.shape[1] > size
    count = 1.0 / rows.shape[0]
    for i in range(rows.shape[0]):
        row = rows[i]
        log_prob = 0.0
        entropy = 0.0
        for j in range(size):
            s = np.float64(outputs[i, size + j] if by_state else log_std[j])
            z = (np.float64(actions[row, j]) - outputs[i, j]) / np.exp(s)
            log_prob -= 0.5 * z * z + s + _HALF_LOG_2PI
            entropy += s + 0.5 + _HALF_LOG_2PI
        log_ratio = log_prob - old_log_probs[row]
        ratio = np.exp(log_ratio)
        advantage = np.float64(advantages[row])
        clipped = (advantage > 0.0 and ratio > 1.0 + clip_coef) or (
            advantage < 0.0 and ratio < 1.0 - clip_coef
        )
        bounded = min(max(ratio, 1.0 - clip_coef), 1.0 + clip_coef)
        stats[i, LOSS] = -min(ratio * advantage, bounded * advantage)
        stats[i, ENTROPY] = entropy
        stats[i, APPROX_KL] = ratio - 1.0 - log_ratio
        stats[i, CLIPPED] = 1.0 if clipped else 0.0
        stats[i, RATIO] = ratio
        # d(surrogate)/d(log-density of the action); a clipped row pulls nowhere
        pull = 0.0 if clipped else -advantage * ratio
        kl = 0.0
        for j in range(size):
            s = np.float64(outputs[i, size + j] if by_state else log_std[j])
            std = np.exp(s)
            z = (np.float64(actions[row, j]) - outputs[i, j]) / std
            by_mean = pull * z / std
            by_log_std = pull * (z * z - 1.0) - entropy_coef
            if reference_coef > 0.0:
                away = (np.float64(outputs[i, j]) - reference[row, j]) / std
                s_q = np.float64(reference[row, size + j])
                spread = 0.5 * (np.exp(2.0 * (s_q - s)) + away * away)
                kl += s - s_q + spread - 0.5
                by_mean += reference_coef * away / std
                by_log_std += reference_coef * (1.0 - 2.0 * spread)
            gradient[i, j] = count * by_mean
            gradient[i, size + j] = count * by_log_std
        stats[i, REFERENCE_KL] = kl
