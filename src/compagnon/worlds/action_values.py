"""What a look-ahead found out of the candidates of one decision, and how sure that is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ActionValues:
    """What each candidate earned in drawn futures, the same futures for all of them.

    Futures differ by far more than candidates do in one of them, so candidates are compared where
    both were tried, future by future: `behind` and `stderr` are of such paired differences.

    Attributes:
        actions: (C,) int64, the best one first; those dropped early last.
        earned: (C, K) float64, of each candidate in each future, the first future first; NaN from
            where on it was not tried any more. The best one was tried in all K.
        usual: what would be done otherwise, mostly by the policy below; one of `actions`, tried in
            all K futures.
    """

    actions: NDArray[np.int64]
    earned: NDArray[np.float64]
    usual: int

    @property
    def futures(self) -> NDArray[np.int64]:
        """(C,), in how many futures each was tried."""
        found: NDArray[np.int64] = np.isfinite(self.earned).sum(axis=1)
        return found

    @property
    def mean(self) -> NDArray[np.float64]:
        """(C,), what each earned, over the futures that it was tried in."""
        found: NDArray[np.float64] = np.nanmean(self.earned, axis=1)
        return found

    @property
    def behind(self) -> NDArray[np.float64]:
        """(C,), how much more the best one earned, over the futures that each was tried in.

        At least 0: whoever was dropped early, beside others that looked better still, is not
        preferred to what was chosen in the end.
        """
        found: NDArray[np.float64] = np.nanmean(self.earned[0] - self.earned, axis=1)
        return np.maximum(found, 0.0)

    @property
    def advantage(self) -> NDArray[np.float64]:
        """(C,), how much more each earned than `usual`, over the futures that it was tried in."""
        usual = self.earned[int((self.actions == self.usual).argmax())]
        return np.asarray(np.nanmean(self.earned - usual, axis=1))

    @property
    def stderr(self) -> NDArray[np.float64]:
        """(C,), standard errors of `behind`: sigma / sqrt(n_c).

        Sigma is the deviation of a difference from one future to the next, pooled over the
        candidates: sigma^2 = sum of squared deviations from each one's mean / sum of (n_c - 1).
        """
        differences = self.earned[1:] - self.earned[0]
        freedom = float((self.futures[1:] - 1).sum())
        if freedom <= 0.0:
            return np.zeros(len(self.actions))
        apart = differences - np.nanmean(differences, axis=1, keepdims=True)
        variance = float(np.nansum(apart**2)) / freedom
        return np.asarray(np.sqrt(variance / self.futures))
