"""The masked softmax, fused: sampling, and PPO's gradient straight from the logits.

With 201 actions the softmax, not the matrix products, is where the time goes. Each kernel reads a
row of logits once, visits only the actions that the mask allows, and writes the gradient with
respect to the logits, so nothing of size (batch, actions) is kept for autograd. Rows are
independent and their sums are taken in a fixed order: results do not depend on the threads.
"""

import functools
import types
from collections.abc import Callable

import numpy as np
from numba import prange
from numpy.typing import NDArray

from compagnon.envs.kernels import cached_njit
from compagnon.errors import InputError
from compagnon.rl.fast.protocol import APPROX_KL, CLIPPED, ENTROPY, LOSS, RATIO, REFERENCE_KL

_PARALLEL_FROM = 128  # below so many rows, waking threads costs more than it saves


def _by_size(kernel: Callable[..., None]) -> Callable[..., None]:
    """Compile a kernel twice: for one thread, and for all of them where the batch is worth it."""
    # Machine code is found by its name: one name could give one of the two for both.
    twin = types.FunctionType(kernel.__code__, kernel.__globals__, kernel.__name__)
    twin.__qualname__ = f"{kernel.__name__}_parallel"
    serial = cached_njit(error_model="numpy")(kernel)
    parallel = cached_njit(error_model="numpy", parallel=True)(twin)

    @functools.wraps(kernel)
    def run(logits: NDArray[np.float32], *rest: object) -> None:
        (parallel if len(logits) >= _PARALLEL_FROM else serial)(logits, *rest)

    return run


def _require_choices(mask: NDArray[np.bool_], actions: NDArray[np.int64]) -> None:
    """Refuse what a kernel could not choose from: it wrote action -1 there."""
    if len(actions) == 0 or actions.min() >= 0:
        return
    row = int(actions.argmin())
    if not mask[row].any():
        raise InputError(f"the action mask of row {row} allows no action")
    raise FloatingPointError(f"the policy's logits of row {row} are not finite numbers")


@cached_njit(inline="always")
def _row_softmax(logits, mask, p):
    """Write softmax probabilities of the allowed actions to `p`; return log of the normaliser."""
    high = np.float32(-np.inf)
    for j in range(logits.shape[0]):
        if mask[j] and logits[j] > high:
            high = logits[j]
    total = np.float32(0.0)
    for j in range(logits.shape[0]):
        if mask[j]:
            p[j] = np.exp(logits[j] - high)
            total += p[j]
        else:
            p[j] = np.float32(0.0)
    scale = np.float32(1.0) / total
    for j in range(logits.shape[0]):
        p[j] *= scale
    return high + np.log(total)


def sample_actions(
    logits: NDArray[np.float32],
    mask: NDArray[np.bool_],
    uniforms: NDArray[np.float64],
    actions: NDArray[np.int64],
    log_probs: NDArray[np.float32],
) -> None:
    """Draw one action a row and its log-probability.

    Args:
        logits: (B, A). mask: (B, A). uniforms: (B,) in [0, 1), one a draw.
        actions, log_probs: (B,), written.

    Raises:
        InputError: a row's mask allows nothing.
        FloatingPointError: a row's logits are not finite.
    """
    _sample(logits, mask, uniforms, actions, log_probs)
    _require_choices(mask, actions)


def greedy_actions(
    logits: NDArray[np.float32], mask: NDArray[np.bool_], actions: NDArray[np.int64]
) -> None:
    """The most probable allowed action of each row, (B,), written; the first of equals.

    Raises:
        InputError: a row's mask allows nothing.
        FloatingPointError: a row's logits are not finite.
    """
    _greedy(logits, mask, actions)
    _require_choices(mask, actions)


@_by_size
def _sample(logits, mask, uniforms, actions, log_probs):
    for i in prange(logits.shape[0]):
        p = np.empty(logits.shape[1], np.float32)
        log_total = _row_softmax(logits[i], mask[i], p)
        remaining = uniforms[i]
        chosen = -1
        for j in range(p.shape[0]):
            if p[j] > 0.0:
                chosen = j  # rounding may leave a sliver at the end: the last possible action
                remaining -= p[j]
                if remaining < 0.0:
                    break
        actions[i] = chosen
        log_probs[i] = logits[i, max(chosen, 0)] - log_total


@_by_size
def _greedy(logits, mask, actions):
    for i in prange(logits.shape[0]):
        best = -1
        for j in range(logits.shape[1]):
            if mask[i, j]:
                if not np.isfinite(logits[i, j]):
                    best = -1
                    break
                if best < 0 or logits[i, j] > logits[i, best]:
                    best = j
        actions[i] = best


@_by_size
def ppo_gradient(
    logits: NDArray[np.float32],
    mask: NDArray[np.bool_],
    rows: NDArray[np.int64],
    actions: NDArray[np.int64],
    old_log_probs: NDArray[np.float32],
    advantages: NDArray[np.float32],
    clip_coef: float,
    entropy_coef: float,
    reference_logits: NDArray[np.float32],
    reference_coef: float,
    gradient: NDArray[np.float32],
    stats: NDArray[np.float32],
) -> None:
    """PPO's clipped surrogate (arXiv 1707.06347, equation 7) with entropy and a KL to a reference.

    The loss of a row is ``-min(r A, clip(r, 1-c, 1+c) A) - entropy_coef H(pi)
    + reference_coef KL(reference || pi)``; the gradient written is that of the mean over rows.

    Args:
        logits: (B, A). mask, actions, old_log_probs, advantages: of the whole rollout, (M, ...).
        rows: (B,), which rows of the rollout this minibatch is.
        reference_logits: (M, A), or (1, 1) when `reference_coef` is 0.
        gradient: (B, A), written.
        stats: (B, NUM_STATS): loss, entropy, approximate KL to the old policy
            (``r - 1 - log r``), whether clipped, KL from the reference, ratio; written.
    """
    count = np.float32(1.0 / logits.shape[0])
    for i in prange(logits.shape[0]):
        row = rows[i]
        p = gradient[i]
        row_mask = mask[row]
        log_total = _row_softmax(logits[i], row_mask, p)
        action = actions[row]
        log_ratio = logits[i, action] - log_total - old_log_probs[row]
        ratio = np.exp(log_ratio)
        advantage = advantages[row]
        clipped = (advantage > 0.0 and ratio > 1.0 + clip_coef) or (
            advantage < 0.0 and ratio < 1.0 - clip_coef
        )
        bounded = min(max(ratio, 1.0 - clip_coef), 1.0 + clip_coef)
        mean_logit = np.float32(0.0)
        for j in range(p.shape[0]):
            if p[j] > 0.0:
                mean_logit += p[j] * logits[i, j]
        entropy = log_total - mean_logit
        stats[i, LOSS] = -min(ratio * advantage, bounded * advantage)
        stats[i, ENTROPY] = entropy
        stats[i, APPROX_KL] = ratio - 1.0 - log_ratio
        stats[i, CLIPPED] = 1.0 if clipped else 0.0
        stats[i, RATIO] = ratio
        stats[i, REFERENCE_KL] = 0.0
        # d(surrogate)/d(log-probability of the action); a clipped row pulls nowhere
        pull = np.float32(0.0 if clipped else -advantage * ratio)
        if reference_coef > 0.0:
            q = np.empty(p.shape[0], np.float32)
            log_total_q = _row_softmax(reference_logits[row], row_mask, q)
            kl = np.float32(0.0)
            for j in range(p.shape[0]):
                g = np.float32(0.0)
                if q[j] > 0.0:
                    log_q = reference_logits[row, j] - log_total_q
                    kl += q[j] * (log_q - (logits[i, j] - log_total))
                if row_mask[j]:
                    g = -pull * p[j] + entropy_coef * p[j] * (logits[i, j] - log_total + entropy)
                    g += reference_coef * (p[j] - q[j])
                p[j] = g * count
            stats[i, REFERENCE_KL] = kl
        else:
            for j in range(p.shape[0]):
                if p[j] > 0.0:
                    p[j] = (
                        count * p[j] * (entropy_coef * (logits[i, j] - log_total + entropy) - pull)
                    )
        p[action] += pull * count
