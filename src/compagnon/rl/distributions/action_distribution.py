"""How a network's outputs become actions and gradients, for each kind of action."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from compagnon.rl.buffers.rollout import Batch
from compagnon.rl.distributions import gaussian, masked
from compagnon.rl.networks.trainable import PolicyNetwork


@dataclass(frozen=True)
class Surrogate:
    """The parts of PPO's loss of the actor.

    Attributes:
        reference: (M, K), of the start, by `ActionDistribution.reference`; (1, 1) without.
    """

    clip_coef: float
    entropy_coef: float
    reference_coef: float
    reference: NDArray[np.float32]


class ActionDistribution(Protocol):
    """What differs between kinds of actions."""

    def draw(
        self,
        outputs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None,
        rng: np.random.Generator,
        actions: NDArray[Any],
        log_probs: NDArray[np.float32],
    ) -> NDArray[Any]:
        """Draw actions as they are kept, with their log-probabilities, and return the env's.

        Args:
            outputs: (N, K). actions: (N,) or (N, D), written. log_probs: (N,), written.
        """
        ...

    def gradient(
        self,
        outputs: NDArray[np.float32],
        batch: Batch,
        rows: NDArray[np.int64],
        advantages: NDArray[np.float32],
        loss: Surrogate,
        stats: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Gradients of the actor's loss with respect to outputs (B, K) and `log_std` (D,).

        Args:
            outputs: (B, K), of the rows of `batch` that the minibatch is.
            advantages: (M,). stats: (B, NUM_STATS), written.
        """
        ...

    def reference(
        self, outputs: NDArray[np.float32], log_std: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The start's outputs (M, K) and deviations, as `Surrogate.reference` holds them."""
        ...


class MaskedCategorical:
    """One of A actions, among those that the mask allows."""

    def draw(
        self,
        outputs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None,
        rng: np.random.Generator,
        actions: NDArray[Any],
        log_probs: NDArray[np.float32],
    ) -> NDArray[Any]:
        """See `ActionDistribution.draw`."""
        assert action_mask is not None
        masked.sample_actions(outputs, action_mask, rng.random(len(outputs)), actions, log_probs)
        return actions

    def gradient(
        self,
        outputs: NDArray[np.float32],
        batch: Batch,
        rows: NDArray[np.int64],
        advantages: NDArray[np.float32],
        loss: Surrogate,
        stats: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """See `ActionDistribution.gradient`."""
        gradient = np.empty(outputs.shape, np.float32)
        masked.ppo_gradient(
            outputs, batch.action_mask, rows, batch.actions, batch.log_probs, advantages,
            loss.clip_coef, loss.entropy_coef, loss.reference, loss.reference_coef,
            gradient, stats,
        )  # fmt: skip
        return gradient, None

    def reference(
        self,
        outputs: NDArray[np.float32],
        log_std: NDArray[np.float32],  # noqa: ARG002
    ) -> NDArray[np.float32]:
        """See `ActionDistribution.reference`."""
        return outputs


class DiagonalGaussian:
    """A vector, drawn from a normal distribution and clipped by the environment's bounds."""

    def __init__(self, network: PolicyNetwork) -> None:
        self._action = network.schema.action
        self._network = network
        self._no_log_std = np.zeros(0, np.float32)

    def _log_std(self) -> NDArray[np.float32]:
        log_std = self._network.log_std
        return self._no_log_std if log_std is None else log_std.numpy()

    def draw(
        self,
        outputs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None,  # noqa: ARG002
        rng: np.random.Generator,
        actions: NDArray[Any],
        log_probs: NDArray[np.float32],
    ) -> NDArray[Any]:
        """See `ActionDistribution.draw`; the actions kept are not clipped, the env's are."""
        noise = rng.standard_normal(actions.shape).astype(np.float32)
        gaussian.sample_actions(outputs, self._log_std(), noise, actions, log_probs)
        return self._action.from_units(actions)

    def gradient(
        self,
        outputs: NDArray[np.float32],
        batch: Batch,
        rows: NDArray[np.int64],
        advantages: NDArray[np.float32],
        loss: Surrogate,
        stats: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """See `ActionDistribution.gradient`."""
        size = self._action.n
        gradient = np.empty((len(rows), 2 * size), np.float32)
        gaussian.ppo_gradient(
            outputs, self._log_std(), rows, batch.actions, batch.log_probs, advantages,
            loss.clip_coef, loss.entropy_coef, loss.reference, loss.reference_coef,
            gradient, stats,
        )  # fmt: skip
        if outputs.shape[1] > size:
            return gradient, None
        return gradient[:, :size], gradient[:, size:].sum(axis=0)

    def reference(
        self, outputs: NDArray[np.float32], log_std: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """See `ActionDistribution.reference`."""
        if outputs.shape[1] > self._action.n:
            return outputs
        return np.concatenate([outputs, np.broadcast_to(log_std, outputs.shape)], axis=1)


def distribution_for(network: PolicyNetwork) -> ActionDistribution:
    """The distribution that fits the network's actions."""
    discrete = network.schema.action.kind == "discrete"
    return MaskedCategorical() if discrete else DiagonalGaussian(network)
