"""The one small protocol that stands between an algorithm and how its gradient steps are made.

Each algorithm has steps in plain autograd, for any module, that read like its paper; those here
compute the same for the networks that they know.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

Batch_contra = TypeVar("Batch_contra", contravariant=True)

# Columns of the statistics of an actor's loss, of each row or summed over rows.
LOSS, ENTROPY, APPROX_KL, CLIPPED, REFERENCE_KL, RATIO = range(6)
NUM_STATS = 6


class ActorCriticLosses(NamedTuple):
    """What a minibatch costs.

    Attributes:
        stats: (NUM_STATS,), sums over its rows; 0 where the actor is left alone.
        rows: how many those are. value: half the critic's mean squared error.
    """

    stats: NDArray[np.float64]
    rows: int
    value: float


class GradientSteps(Protocol[Batch_contra]):
    """Gradient steps of an actor and a critic, minibatch by minibatch."""

    def losses(self, batch: Batch_contra, rows: NDArray[np.int64]) -> ActorCriticLosses:
        """The losses of some rows of a batch, remembered for `step`."""
        ...

    def step(self, learning_rates: Sequence[float]) -> float:
        """Move against their gradients; the norm of the actor's before it was bounded.

        Args:
            learning_rates: the actor's and the critic's; the first one of a joint network.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """What the optimiser remembers."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        ...


class MetricAccumulator:
    """Sums over the minibatches of an iteration."""

    def __init__(self) -> None:
        self.stats = np.zeros(NUM_STATS)
        self.rows = self.batches = 0
        self.value_loss = self.grad_norm = 0.0

    def add(self, losses: ActorCriticLosses) -> None:
        """Take a minibatch into account."""
        self.stats += losses.stats
        self.rows += losses.rows
        self.value_loss += losses.value

    def means(self) -> dict[str, float]:
        """The metrics."""
        stats, batches = self.stats / max(self.rows, 1), max(self.batches, 1)
        return {
            "policy_loss": float(stats[LOSS]),
            "value_loss": self.value_loss / batches,
            "entropy": float(stats[ENTROPY]),
            "approx_kl": float(stats[APPROX_KL]),
            "clip_fraction": float(stats[CLIPPED]),
            "reference_kl": float(stats[REFERENCE_KL]),
            "grad_norm": self.grad_norm / batches,
        }


class ValueLosses(NamedTuple):
    """What replayed transitions cost.

    Attributes:
        errors: (B,), Q(s, a) less its target. loss, q_mean, error: means over the batch.
    """

    errors: NDArray[np.float32]
    loss: float
    q_mean: float
    error: float


class ValueSteps(Protocol[Batch_contra]):
    """Gradient steps of a network that gives the values of actions."""

    def values(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """States as the network reads them (B, F) -> (B, A), valid until the next call."""
        ...

    def losses(self, batch: Batch_contra, weights: NDArray[np.float32]) -> ValueLosses:
        """The losses of transitions, each weighted, (B,); remembered for `step`."""
        ...

    def step(self, learning_rate: float) -> float:
        """Move against their gradient; its norm before it was bounded."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What the optimiser remembers."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        ...


class DeterministicSteps(Protocol):
    """Gradient steps of an actor that climbs critics, and of the critics."""

    def critics(
        self, x: torch.Tensor, actions: torch.Tensor, targets: torch.Tensor, rate: float
    ) -> tuple[float, float, float]:
        """One step down ``mean (y - Q(s, a))^2``; that loss, the mean of Q, the gradient's norm.

        Args:
            x: (B, F). actions: (B, D), as critics read them. targets: (B,).
        """
        ...

    def actor(self, x: torch.Tensor, mask: torch.Tensor | None, rate: float) -> tuple[float, float]:
        """One step up ``mean Q(s, mu(s))``; that mean, the gradient's norm."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What the optimisers remember."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        ...
