"""Sequential halving: how many futures each candidate of a decision is tried on, and when to stop.

Half of the candidates are dropped again and again, so that most futures are spent on the close ones
(Karnin, Koren and Somekh 2013). Where no other candidate may turn out better any more, it ends
early.
"""

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import streams
from compagnon.worlds.action_values import ActionValues

_FEW: Final = 4  # futures, before which nothing is sure
_LOOK: Final = 8  # futures, after which it is asked for the first time whether anything is in doubt
_SURE: Final = 2.0  # standard errors by which somebody must be behind, and more after few futures
_SAME: Final = 1e-9  # rewards that differ by less are the same


class Halving:
    """One decision under way: which candidates are left, and what each has earned so far.

    Args:
        candidates: possible actions, the most promising ones first.
        usual: what would be done otherwise, which is never dropped.
        futures: that whoever survives to the last round is tried on.
        obs: (F,), from which the futures follow, with `seed`.
    """

    def __init__(
        self,
        candidates: list[int],
        usual: int,
        futures: int,
        obs: NDArray[np.float32],
        seed: int,
    ) -> None:
        self.left = list(candidates)
        self.usual = usual
        self._rounds = rounds(len(self.left), futures)
        self._stops = stops(self._rounds)
        self._earned: dict[int, list[float]] = {action: [] for action in self.left}
        self._dropped: list[int] = []  # best first
        self._done = 0
        # From what is seen alone, so that the choice does not depend on who else is played.
        digest = hashlib.blake2b(np.ascontiguousarray(obs).tobytes(), digest_size=8).digest()
        self._key = np.uint64(int.from_bytes(digest, "little"))
        self._key ^= streams.mix(np.uint64(seed))

    @property
    def open(self) -> bool:
        """Whether there is more to try."""
        return bool(self._stops)

    def seeds(self) -> list[np.uint64]:
        """Of the futures that are added until the next stop."""
        until = self._stops[0] if self._stops else self._done
        return [streams.episode_seed(self._key, k) for k in range(self._done, until)]

    def note(self, earned: NDArray[np.float64]) -> None:
        """What everybody who is left earned in one future more."""
        for action, amount in zip(self.left, earned.tolist(), strict=True):
            self._earned[action].append(amount)

    def halve(self) -> None:
        """At a stop: all is over where nothing is in doubt.

        At the end of a round the better half stays, and what the policy below would do.
        """
        if not self._stops:
            return
        self._done = self._stops.pop(0)
        sums = {action: sum(self._earned[action]) for action in self.left}
        ranked = sorted(self.left, key=lambda action: (-sums[action], action != self.usual))
        if self._stops and not self._in_doubt(ranked):
            self._stops = []
        if not self._stops:
            self.left = ranked
            return
        if self._done not in self._rounds:
            return
        kept = ranked[: max(2, (len(ranked) + 1) // 2)]
        if self.usual not in kept:
            kept.append(self.usual)
        self._dropped[:0] = [action for action in ranked if action not in kept]
        self.left = kept

    def _in_doubt(self, ranked: list[int]) -> bool:
        """Whether any other candidate may yet turn out better than the first one of those ranked.

        One that earned the same in every future does not. The others are held against a bound of
        their paired differences, whose variance is taken halfway to that of all candidates: a few
        futures seldom show what is rare and dear.
        """
        earned = np.array([self._earned[action] for action in ranked])
        behind = (earned[0] - earned[1:])[(np.abs(earned[0] - earned[1:]) > _SAME).any(axis=1)]
        count = earned.shape[1]
        if not len(behind):
            return False
        if count < _FEW:
            return True
        variance = behind.var(axis=1, ddof=1)
        error = np.sqrt(0.5 * (variance + variance.mean()) / count)
        bound = _SURE * (1.0 + _FEW / (count - 1.0))
        return bool((behind.mean(axis=1) <= bound * error).any())

    def values(self) -> ActionValues:
        """What was found out, when the last round is over."""
        actions = [*self.left, *self._dropped]
        earned = np.full((len(actions), self._done), np.nan)
        for row, action in zip(earned, actions, strict=True):
            row[: len(self._earned[action])] = self._earned[action]
        return ActionValues(np.array(actions, np.int64), earned, self.usual)


def rounds(candidates: int, futures: int) -> list[int]:
    """How many futures every survivor has been tried on after each round of sequential halving.

    The last round is as long as all before it together.
    """
    halvings = max(1, int(np.ceil(np.log2(max(2, candidates)))))
    until = [max(1, int(np.ceil(futures / 2 ** (halvings - 1 - k)))) for k in range(halvings)]
    return sorted(set(until))


def stops(until: list[int]) -> list[int]:
    """The ends of the rounds, and where it is asked besides whether anything is in doubt.

    Few candidates have long rounds, of which many are clear sooner.
    """
    looks = []
    look = _LOOK
    while look < until[-1]:
        looks.append(look)
        look *= 2
    return sorted({*until, *looks})
