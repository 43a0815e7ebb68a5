"""Batch matching with learned scores: which pairs to take together, and which of them first."""

import numpy as np
from numpy.typing import NDArray

_WAIT = 0


def best_matched(
    logits: NDArray[np.float32], action_mask: NDArray[np.bool_] | None, places: int
) -> NDArray[np.int64]:
    """The pair to take now of the batch that is worth most, or another action where none is.

    A pair is worth its logit less that of letting time pass; one that is worth nothing or is not
    possible is never taken. Of the matched pairs the one that is worth most goes now; the board is
    matched anew for the next decision. Where nothing is matched, or a refusal is worth more than
    every pair, the best of waiting and refusing is taken.

    Args:
        logits: (N, A), in the order wait, pairs (places run fastest), refusals.
        places: B, of the board.

    Returns:
        Actions (N,).
    """
    # A server that plays no matching policy does without scipy.
    from scipy.optimize import linear_sum_assignment

    last = logits.shape[1] - places
    possible = np.ones_like(logits, np.bool_) if action_mask is None else action_mask
    # One of the two that a matching chooses between must always be there.
    base = np.where(possible[:, _WAIT], logits[:, _WAIT], logits.min(axis=1) - 1)
    worth = np.where(possible, logits - base[:, None], -np.inf)
    chosen = np.where(possible, logits, -np.inf)
    chosen[:, 1:last] = -np.inf
    best = chosen.argmax(axis=1)
    for row in np.flatnonzero((worth[:, 1:last] > 0).any(axis=1)):
        if worth[row, best[row]] > worth[row, 1:last].max():
            continue  # a refusal that is worth more than any pair
        gain = np.maximum(worth[row, 1:last], 0).reshape(-1, places)
        drivers, matched = linear_sum_assignment(gain, maximize=True)
        first = int(gain[drivers, matched].argmax())
        best[row] = 1 + int(drivers[first]) * places + int(matched[first])
    return np.asarray(best, np.int64)
