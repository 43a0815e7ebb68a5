"""What a deployment is for: a sum of outcomes, each with its weight, as one reward a decision."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.arguments import read_pairs
from compagnon.errors import InputError


@dataclass(frozen=True)
class Objective:
    """Reward = sum of weight times outcome.

    Attributes:
        weights: by the outcome's name, in the unit of the reward for one unit of the outcome; what
            costs has a weight below 0.
        zero: names whose outcome is 0 where a mature decision has none: events that are told when
            they happen, such as a late pick-up. Of all others a missing outcome is missing.

    Raises:
        InputError: no outcome, a weight of 0 or none, or a name in `zero` without a weight.
    """

    weights: Mapping[str, float]
    zero: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.weights:
            raise InputError("outcomes: name at least one, with its weight, such as profit=1")
        for name, weight in self.weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float):
                raise InputError(f"outcomes: {name}={weight!r} should be a number, such as 1")
            if not math.isfinite(weight) or weight == 0.0:
                raise InputError(f"outcomes: {name}={weight:g} should be finite, and not 0")
        for name in sorted(self.zero - self.weights.keys()):
            known = ", ".join(self.weights)
            raise InputError(f"zero: {name} is none of the objective's outcomes ({known})")

    @classmethod
    def parse(cls, pairs: Iterable[str], zero: Iterable[str] = ()) -> "Objective":
        """From words such as ``profit=1`` and ``late=-5``.

        Raises:
            InputError: a word that is no pair; see the class.
        """
        return cls(read_pairs(pairs, "--outcomes"), frozenset(zero))

    @property
    def names(self) -> tuple[str, ...]:
        """The outcomes, in the order in which they were given."""
        return tuple(self.weights)

    def rewards(self, outcomes: NDArray[np.float64], names: tuple[str, ...]) -> NDArray[np.float64]:
        """One reward a decision, (N,); NaN where an outcome that counts is missing.

        Args:
            outcomes: (N, K), NaN where there is none. names: K, what the columns are.

        Raises:
            InputError: an outcome of the objective is none of the columns.
        """
        total = np.zeros(len(outcomes))
        for name, weight in self.weights.items():
            if name not in names:
                raise InputError(
                    f"outcomes: {name} was not collected; there are {', '.join(names)}"
                )
            values = outcomes[:, names.index(name)]
            if name in self.zero:
                values = np.where(np.isnan(values), 0.0, values)
            with np.errstate(over="ignore"):  # what is too large is told where it is used
                total += weight * values
        return total

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `of_json` makes the same."""
        return {"weights": dict(self.weights), "zero": sorted(self.zero)}

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> "Objective":
        """What `as_json` gave."""
        return cls(dict(value["weights"]), frozenset(value["zero"]))
