"""Searches the numbers of a rule: at random, then around the best; fresh episodes decide."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError

MAX_TRIALS: Final = 1_000_000
FINALISTS: Final = 10
_AT_ONCE: Final = 128  # candidates that are drawn together
_CHANGED: Final = 0.35  # of the numbers of a parent, on average


class Scores(Protocol):
    """How good candidates are, the same episodes for all of them."""

    def __call__(
        self, tried: NDArray[np.int64], episodes: int, first_seed: int
    ) -> NDArray[np.float64]:
        """(C,), higher is better, of the rows of `tried` (C, n)."""
        ...


@dataclass(frozen=True)
class Searched:
    """The best candidate, and its score on episodes that the search did not see."""

    values: NDArray[np.int64]
    score: float
    trials: int


@dataclass(frozen=True)
class FoundRule:
    """What a search found, as a person reads it.

    Attributes:
        values: the rule's numbers by name; JSON of them is what the rule reads from a file.
        score: what it says of itself, such as ``profit 11,938 a week``.
        trials: how many were tried.
        policy: the rule that plays a file of them, ``expert:NAME``.
    """

    values: Mapping[str, float]
    score: str
    trials: int
    policy: str


class RuleSearch(Protocol):
    """What a world brings whose rule has numbers to be found."""

    def __call__(self, env_args: Mapping[str, Any], trials: int, seed: int) -> FoundRule:
        """Search them for a setting of the environment."""
        ...


def search_numbers(
    bounds: tuple[NDArray[np.int64], NDArray[np.int64]],
    scores: Scores,
    trials: int,
    seed: int,
    episodes: int,
    first_seeds: tuple[int, int] = (0, 500_000),
    known: NDArray[np.int64] | None = None,
) -> Searched:
    """Search whole numbers between bounds for the highest score.

    Half of the trials are drawn uniformly; the rest change a few numbers of one of the best ten.
    All play the same `episodes`. The ten best are played again on eight times as many fresh ones,
    which decide.

    Args:
        bounds: lowest and highest, (n,) each, inclusive.
        trials: candidates in all, at least 1.
        seed: of the candidates; the episodes are always the same.
        first_seeds: of the episodes that all play, and of those that decide.
        known: (k, n), candidates that are tried first.

    Raises:
        InputError: a number below 1, or too many trials.
    """
    if trials > MAX_TRIALS:
        raise InputError(f"trials={trials}: at most {MAX_TRIALS:,}")
    if trials < 1 or episodes < 1 or seed < 0:
        raise InputError(f"trials={trials}, episodes={episodes}, seed={seed}: at least 1, 1 and 0")
    low, high = bounds
    rng = np.random.default_rng(seed)
    per_round = max(1, min(_AT_ONCE, trials // 4))
    tried = np.empty((0, len(low)), np.int64) if known is None else known[:trials]
    found = scores(tried, episodes, first_seeds[0]) if len(tried) else np.empty(0)
    while len(tried) < trials:
        count = min(per_round, trials - len(tried))
        if len(tried) < max(1, trials // 2):  # something must be there to change
            fresh = rng.integers(low, high + 1, (count, len(low)))
        else:
            best = tried[np.argsort(-found)[:FINALISTS]]
            parents = best[rng.integers(len(best), size=count)]
            reach = np.maximum(1, (high - low) // 8)
            moved = parents + rng.integers(-reach, reach + 1, (count, len(low)))
            change = rng.random((count, len(low))) < _CHANGED
            fresh = np.clip(np.where(change, moved, parents), low, high)
        found = np.concatenate([found, scores(fresh, episodes, first_seeds[0])])
        tried = np.concatenate([tried, fresh])
    finalists = tried[np.argsort(-found)[:FINALISTS]]
    final = scores(finalists, 8 * episodes, first_seeds[1])
    return Searched(finalists[int(final.argmax())], float(final.max()), len(tried))
