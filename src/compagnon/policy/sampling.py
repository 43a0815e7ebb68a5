"""How a decision is drawn: the same id gives the same action, on every machine and for ever.

Only sums from left to right, products and quotients of float64 are used. IEEE 754 fixes each of
them to the last bit, where numpy's own `sum` may add in an order that depends on the processor.
"""

import hashlib
import hmac
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compagnon.errors import InputError

_MASK64 = 2**64 - 1
_ZERO = np.float64(0.0)  # makes float64 of what stands beside it


def decision_seed(decision_id: str, application: str, secret: bytes | None = None) -> int:
    """The seed of a decision's draw, from 0 to 2^63 - 1.

    The hash of both names (HMAC-SHA256, RFC 2104, where there is a secret), with the length of the
    first before it, so that no two pairs of names run together to the same text.

    Args:
        secret: of the service, so that whoever chooses the id cannot choose the draw with it;
            None makes the seeds of decisions that were logged before there were secrets.
    """
    name = application.encode()
    text = len(name).to_bytes(4, "big") + name + decision_id.encode()
    if secret is None:
        digest = hashlib.sha256(text).digest()
    else:
        digest = hmac.digest(secret, text, "sha256")
    return int.from_bytes(digest[:8], "big") >> 1


def explored(
    probabilities: NDArray[np.floating], mask: NDArray[np.bool_], epsilon: float
) -> NDArray[np.float64]:
    """What a policy plays that explores inside the mask: ``epsilon / k + (1 - epsilon) * p``.

    Args:
        probabilities: (A,) or (N, A), of a policy; what stands outside the mask is dropped, and
            the rest is divided by its sum.
        mask: of the same shape; k is the number of its True entries in a row.
        epsilon: from 0 to 1.

    Returns:
        float64 of the same shape; 0 outside the mask, at least ``epsilon / k`` inside it.

    Raises:
        InputError: no action is possible, or the possible ones have no probability.
    """
    if not 0.0 <= epsilon <= 1.0:
        raise InputError(f"epsilon={epsilon}: give a number from 0 to 1")
    inside = np.where(mask, probabilities, _ZERO)
    count: Any = np.count_nonzero(mask)
    total: Any = np.add.accumulate(inside, axis=-1)[..., -1]
    fewest, lowest, highest = count, total, total
    if inside.ndim == 2:  # one row, the hot case, does with plain numbers
        count, total = np.count_nonzero(mask, axis=1)[:, None], total[:, None]
        fewest, lowest, highest = count.min(), total.min(), total.max()
    if not fewest:
        raise InputError("mask: no action is possible")
    # A comparison with NaN is false, so this also catches one.
    if not (np.minimum.reduce(inside, axis=None) >= 0.0 and lowest > 0.0 and highest < np.inf):
        raise InputError("probabilities: the possible actions should have finite ones, not all 0")
    inside /= total
    if epsilon:
        inside *= 1.0 - epsilon
        inside += np.multiply(mask, epsilon / count)
    return inside


def draw(probabilities: NDArray[np.float64], seed: int) -> int:
    """The action that a seed gives: the first whose cumulated probability exceeds the draw.

    Args:
        probabilities: (A,), from `explored`; an action of probability 0 is never drawn.
        seed: from `decision_seed`.
    """
    cumulated = np.add.accumulate(probabilities)
    return int(cumulated.searchsorted(uniform(seed) * cumulated[-1], side="right"))


def draw_many(probabilities: NDArray[np.float64], seeds: ArrayLike) -> NDArray[np.int64]:
    """The actions, (N,), of many decisions: row by row what `draw` gives.

    Args:
        probabilities: (N, A).
        seeds: (N,).
    """
    cumulated = np.add.accumulate(probabilities, axis=-1)
    points = np.array([uniform(int(seed)) for seed in np.asarray(seeds)])[:, None]
    passed: NDArray[np.int64] = np.sum(cumulated <= points * cumulated[:, -1:], axis=-1)
    return passed


def uniform(seed: int) -> float:
    """A number in [0, 1) with 53 random bits: one step of SplitMix64 (Steele et al., 2014)."""
    z = (seed + 0x9E3779B97F4A7C15) & _MASK64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK64
    return ((z ^ (z >> 31)) >> 11) * 2.0**-53
