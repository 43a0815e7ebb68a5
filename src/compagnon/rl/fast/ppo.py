"""PPO's gradient steps without autograd around perceptrons, and with its loss in one loop a row.

The same numbers as `compagnon.rl.ppo.AutogradSteps`, which says what is computed.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from compagnon.rl.buffers.rollout import TrainBatch
from compagnon.rl.distributions.action_distribution import (
    ActionDistribution,
    DiagonalGaussian,
    MaskedCategorical,
)
from compagnon.rl.fast import gaussian, masked
from compagnon.rl.fast.optim import ActorCriticSteps
from compagnon.rl.fast.protocol import NUM_STATS, ActorCriticLosses
from compagnon.rl.networks.mlp import Mlp
from compagnon.rl.networks.trainable import PolicyNetwork
from compagnon.rl.ppo_settings import PPOSettings

Floats = NDArray[np.float32]
Gradient = Callable[
    [PolicyNetwork, Floats, TrainBatch, NDArray[np.int64], Floats], tuple[Floats, Floats | None]
]


def fast_steps(
    network: PolicyNetwork, distribution: ActionDistribution, settings: PPOSettings
) -> "FastSteps | None":
    """The fast path of a network and a distribution; None where there is none."""
    gradient = _GRADIENTS.get(type(distribution))
    if gradient is None or not isinstance(network.actor, Mlp):
        return None
    return FastSteps(network, settings, gradient)


class FastSteps:
    """See `GradientSteps`."""

    def __init__(self, network: PolicyNetwork, settings: PPOSettings, gradient: Gradient) -> None:
        self._network, self._settings, self._gradient = network, settings, gradient
        self._steps = ActorCriticSteps(network, settings.adam_eps)
        self._by_policy: tuple[torch.Tensor, torch.Tensor | None] | None = None
        self._by_values = torch.zeros(0)

    @torch.inference_mode()
    def losses(self, batch: TrainBatch, rows: NDArray[np.int64]) -> ActorCriticLosses:
        """See `GradientSteps.losses`."""
        network, index = self._network, torch.from_numpy(rows)
        outputs, values = self._steps.forward(batch.obs[index], batch.loss is not None)
        value = self._value_gradient(batch, index, values)
        self._by_policy = None
        if outputs is None or batch.loss is None:
            return ActorCriticLosses(np.zeros(NUM_STATS), 0, value)
        stats = np.empty((len(rows), NUM_STATS), np.float32)
        by_output, by_log_std = self._gradient(network, outputs.cpu().numpy(), batch, rows, stats)
        log_std = None if by_log_std is None else network.tensor(by_log_std)
        self._by_policy = network.tensor(by_output), log_std
        return ActorCriticLosses(stats.sum(axis=0, dtype=np.float64), len(rows), value)

    def _value_gradient(
        self, batch: TrainBatch, index: torch.Tensor, values: torch.Tensor
    ) -> float:
        """Of half the mean squared error, with respect to values (B,); that error."""
        settings = self._settings
        error = values - batch.targets[index]
        square = error**2
        gradient = error / (len(index) / settings.value_coef)
        if settings.value_clip > 0:
            # the worse of the two errors counts; that of the bounded value has no slope
            old, bound = batch.values[index], settings.value_clip
            bounded = (old + (values - old).clamp_(-bound, bound) - batch.targets[index]) ** 2
            gradient[bounded > square] = 0.0
            square = torch.maximum(square, bounded)
        self._by_values = gradient
        return float(square.mean()) / 2

    @torch.inference_mode()
    def step(self, learning_rates: Sequence[float]) -> float:
        """See `GradientSteps.step`."""
        return self._steps.step(
            self._by_policy, self._by_values, learning_rates, self._settings.max_grad_norm
        )

    def state_dict(self) -> dict[str, Any]:
        """See `GradientSteps`."""
        return self._steps.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `GradientSteps`."""
        self._steps.load_state_dict(state)


def _of_logits(
    network: PolicyNetwork,  # noqa: ARG001
    outputs: Floats,
    batch: TrainBatch,
    rows: NDArray[np.int64],
    stats: Floats,
) -> tuple[Floats, None]:
    """The gradient with respect to logits, (B, A)."""
    loss, own = batch.loss, batch.batch
    assert loss is not None
    gradient = np.empty(outputs.shape, np.float32)
    masked.ppo_gradient(
        outputs, own.action_mask, rows, own.actions, own.log_probs, batch.advantages,
        loss.clip_coef, loss.entropy_coef, loss.reference.cpu().numpy(), loss.reference_coef,
        gradient, stats,
    )  # fmt: skip
    return gradient, None


def _of_normals(
    network: PolicyNetwork,
    outputs: Floats,
    batch: TrainBatch,
    rows: NDArray[np.int64],
    stats: Floats,
) -> tuple[Floats, Floats | None]:
    """The gradients with respect to outputs, and to deviations that stand beside them."""
    loss, own, size = batch.loss, batch.batch, network.schema.action.n
    assert loss is not None
    log_std = np.zeros(0, np.float32) if network.log_std is None else network.log_std.numpy()
    gradient = np.empty((len(rows), 2 * size), np.float32)
    gaussian.ppo_gradient(
        outputs, log_std, rows, own.actions, own.log_probs, batch.advantages,
        loss.clip_coef, loss.entropy_coef, loss.reference.cpu().numpy(), loss.reference_coef,
        gradient, stats,
    )  # fmt: skip
    if outputs.shape[1] > size:
        return gradient, None
    return gradient[:, :size], gradient[:, size:].sum(axis=0)


_GRADIENTS: dict[type, Gradient] = {MaskedCategorical: _of_logits, DiagonalGaussian: _of_normals}
