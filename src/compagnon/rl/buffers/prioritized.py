"""Prioritised replay: transitions that surprised are drawn more often, and then weigh less."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import cached_njit

_SMALLEST = 1e-6


class SumTree:
    """Non-negative numbers whose prefix sums are found, and changed, in log time.

    Each inner node is recomputed from its children whenever one changes, so the sums never drift
    from those of the leaves.

    Args:
        size: how many numbers.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.first_leaf = 1 << max(0, (size - 1).bit_length())
        self.nodes: NDArray[np.float64] = np.zeros(2 * self.first_leaf)

    @property
    def total(self) -> float:
        """The sum of all numbers."""
        return float(self.nodes[1])

    @property
    def leaves(self) -> NDArray[np.float64]:
        """The numbers, (size,)."""
        return self.nodes[self.first_leaf : self.first_leaf + self.size]

    def set(self, indices: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Change the numbers at `indices` (B,); of an index given twice, the last one counts."""
        _set(self.nodes, self.first_leaf, indices, values)

    def find(self, prefixes: NDArray[np.float64]) -> NDArray[np.int64]:
        """The index at which the running sum passes each of `prefixes`, (B,) in [0, total).

        Never an index of value 0, as long as the total is above 0.
        """
        return np.asarray(_find(self.nodes, self.first_leaf, prefixes), np.int64)


@cached_njit
def _set(nodes, first_leaf, indices, values):
    for k in range(len(indices)):
        node = first_leaf + indices[k]
        nodes[node] = values[k]
        node //= 2
        while node >= 1:
            nodes[node] = nodes[2 * node] + nodes[2 * node + 1]
            node //= 2


@cached_njit
def _find(nodes, first_leaf, prefixes):
    found = np.empty(len(prefixes), np.int64)
    for k in range(len(prefixes)):
        node, rest = 1, prefixes[k]
        while node < first_leaf:
            node *= 2
            # Rounding may point behind the last number: what is empty is never entered.
            if nodes[node + 1] > 0.0 and (rest >= nodes[node] or nodes[node] == 0.0):
                rest -= nodes[node]
                node += 1
        found[k] = node - first_leaf
    return found


class PrioritizedSampler:
    """Which rows of a buffer to draw, and how much each draw counts.

    Proportional prioritisation (Schaul et al. 2016, arXiv 1511.05952, section 3.3): row i is drawn
    with probability p_i / sum p, p_i = (|error_i| + small)^alpha, and weighs
    (N P(i))^-beta, divided by the largest weight of the batch.

    Args:
        capacity: rows of the buffer. alpha: 0 draws uniformly.
    """

    def __init__(self, capacity: int, alpha: float) -> None:
        self.alpha = alpha
        self.tree = SumTree(capacity)
        self.highest = 1.0

    def add(self, rows: NDArray[np.int64]) -> None:
        """New rows get the highest priority so far: each is to be seen at least once."""
        self.tree.set(rows, np.full(len(rows), self.highest))

    def sample(
        self, count: int, known: int, beta: float, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows (count,) and their weights (count,), one from each of `count` equal shares.

        Args:
            known: rows of the buffer that are filled.
        """
        total = self.tree.total
        prefixes = (np.arange(count) + rng.random(count)) * (total / count)
        rows = self.tree.find(prefixes)
        weights = (known * self.tree.leaves[rows] / total) ** -beta
        return rows, (weights / weights.max()).astype(np.float32)

    def update(self, rows: NDArray[np.int64], errors: NDArray[np.float32]) -> None:
        """What the errors (B,) of rows (B,) have turned out to be."""
        values = (np.abs(errors).astype(np.float64) + _SMALLEST) ** self.alpha
        self.highest = max(self.highest, float(values.max()))
        self.tree.set(rows, values)

    def state_dict(self) -> dict[str, Any]:
        """The priorities."""
        return {"leaves": self.tree.leaves.copy(), "highest": self.highest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.highest = float(state["highest"])
        self.tree.set(np.arange(self.tree.size), np.asarray(state["leaves"], np.float64))
