"""Whether as many units came to each arm as should: looked at as often as one likes.

The sequential multinomial test of Lindon and Malek (2020, arXiv 2011.03567). Units that are lost
by one arm more than by the other make any difference worthless, so this comes before all results.
"""

import math
from collections.abc import Sequence
from typing import Final

from compagnon.errors import InputError

ALPHA: Final = 0.001
_CONCENTRATION: Final = 100.0  # of the shares under the alternative, around the expected ones


def sample_ratio_p_value(
    counts: Sequence[int], shares: Sequence[float], concentration: float = _CONCENTRATION
) -> float:
    """A p-value that may be looked at after every unit: below a it is, ever, at most with a.

    The inverse of the Bayes factor of a Dirichlet alternative against the expected shares (their
    equation 5): B(c q) prod q_i^n_i / B(c q + n), with shares q, counts n and concentration c. By
    Ville's inequality it is below a, at any time, with probability a at most.

    Args:
        counts: units of each arm, those included that are left out of the analysis.
        shares: expected of each arm; sum 1.
        concentration: the larger, the smaller the deviations that are found soonest.

    Returns:
        1 at most.

    Raises:
        InputError: other numbers of counts and shares, or negative counts.
    """
    if len(counts) != len(shares) or min(counts, default=-1) < 0:
        raise InputError(f"counts: give {len(shares)} of 0 or more, one an arm, got {list(counts)}")
    prior = [concentration * share for share in shares]
    logarithm = _log_beta(prior)
    logarithm -= _log_beta([a + n for a, n in zip(prior, counts, strict=True)])
    logarithm += sum(n * math.log(share) for n, share in zip(counts, shares, strict=True))
    return math.exp(min(0.0, logarithm))


def _log_beta(parameters: Sequence[float]) -> float:
    return sum(map(math.lgamma, parameters)) - math.lgamma(sum(parameters))
