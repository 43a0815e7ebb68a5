"""What stands between matrix products in a network's pass and in Adam's step, each in one loop.

At a few thousand weights an array library spends more time around such operations than in them.
"""

import numpy as np

from compagnon.envs.kernels import cached_njit

# Sums may be added in another order than written, which lets the compiler use wide registers. The
# order is fixed by the compiled code, so the same input gives the same bits.
_REORDERED = {"reassoc", "contract", "nsz"}
_TINY = np.float32(1e-36)


@cached_njit(error_model="numpy")
def add_bias(z, bias):
    """z (B, K) += bias (K,)."""
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            z[i, j] += bias[j]


@cached_njit(error_model="numpy")
def add_bias_relu(z, bias):
    """z (B, K) becomes max(0, z + bias); what is no number stays none."""
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            value = z[i, j] + bias[j]
            z[i, j] = np.float32(0) if value < 0 else value


@cached_njit(error_model="numpy")
def sum_rows(gradient, into):
    """into (K,) becomes the column sums of gradient (B, K)."""
    into[:] = 0
    for i in range(gradient.shape[0]):
        for j in range(gradient.shape[1]):
            into[j] += gradient[i, j]


@cached_njit(error_model="numpy")
def back_through_relu(gradient, output):
    """gradient (B, K) of a ReLU's output becomes that of its input."""
    for i in range(gradient.shape[0]):
        for j in range(gradient.shape[1]):
            gradient[i, j] = gradient[i, j] if output[i, j] > 0 else np.float32(0)


@cached_njit(error_model="numpy")
def back_through_tanh(gradient, output):
    """gradient (B, K) of a tanh's output becomes that of its input."""
    for i in range(gradient.shape[0]):
        for j in range(gradient.shape[1]):
            gradient[i, j] *= np.float32(1) - output[i, j] * output[i, j]


@cached_njit(inline="always")
def _flushed(x):
    """x, or 0 if it is nearly denormal: where a unit is dead, moments fade into numbers with which
    processors are ten times slower, and never leave them.
    """
    return x if abs(x) > _TINY else np.float32(0)


@cached_njit(error_model="numpy", fastmath=_REORDERED)
def adam_step(
    weights, gradient, first, second, step, learning_rate, max_norm, max_value, beta1, beta2, eps
):
    """One step of Adam (arXiv 1412.6980, algorithm 1); the gradient's norm before its bounds.

    Args:
        weights, gradient, first, second: (W,) float32, written; the gradient is 0 afterwards.
        step: 1 for the first. max_norm, max_value: bounds of the gradient's norm and of each of
            its numbers, the latter first; 0 for none.
    """
    total = np.float32(0)
    for i in range(len(gradient)):
        total += gradient[i] * gradient[i]
    norm = np.sqrt(np.float64(total))
    bounded = norm
    if max_value > 0:
        bound = np.float32(max_value)
        total = np.float32(0)
        for i in range(len(gradient)):
            gradient[i] = min(max(gradient[i], -bound), bound)
            total += gradient[i] * gradient[i]
        bounded = np.sqrt(np.float64(total))
    factor = np.float32(max_norm / bounded) if 0 < max_norm < bounded else np.float32(1)
    keep1, keep2 = np.float32(beta1), np.float32(beta2)
    new1, new2 = np.float32(1 - beta1), np.float32(1 - beta2)
    size = np.float32(learning_rate / (1 - beta1**step))
    root = np.float32(1 / np.sqrt(1 - beta2**step))
    eps32 = np.float32(eps)
    for i in range(len(gradient)):
        slope = gradient[i] * factor
        first[i] = _flushed(keep1 * first[i] + new1 * slope)
        second[i] = _flushed(keep2 * second[i] + new2 * slope * slope)
        weights[i] -= size * first[i] / (np.sqrt(second[i]) * root + eps32)
        gradient[i] = np.float32(0)
    return norm
