"""DQN's gradient steps in numpy and compiled loops, for networks of a few thousand weights.

The same numbers as `compagnon.rl.dqn.AutogradSteps`, which says what is computed.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from compagnon.rl.buffers.replay import Transitions
from compagnon.rl.dqn_settings import DQNSettings
from compagnon.rl.fast.adam import FlatAdam
from compagnon.rl.fast.array_networks import array_network
from compagnon.rl.fast.protocol import ValueLosses
from compagnon.rl.fast.q_values import td_gradient, td_targets
from compagnon.rl.networks.mlp import DuelingMlp, Mlp


def fast_steps(online: nn.Module, target: nn.Module, settings: DQNSettings) -> "FastSteps | None":
    """The fast path of a network; None where there is none."""
    if not isinstance(online, Mlp | DuelingMlp):
        return None
    return FastSteps(online, target, settings)


class FastSteps:
    """See `ValueSteps`."""

    def __init__(self, online: nn.Module, target: nn.Module, settings: DQNSettings) -> None:
        self._settings = settings
        self._adam = FlatAdam(
            online.parameters(),
            settings.learning_rate,
            settings.max_grad_norm,
            settings.max_grad_value,
        )
        self._online = array_network(online, learns=True)
        self._target = array_network(target, learns=False)
        self._gradient: NDArray[np.float32] = np.zeros((0, 0), np.float32)

    def values(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `ValueSteps.values`."""
        return self._online.outputs(x)

    def losses(self, batch: Transitions, weights: NDArray[np.float32]) -> ValueLosses:
        """See `ValueSteps.losses`."""
        settings = self._settings
        target = self._target.outputs(batch.next_obs)
        online = self._online.outputs(batch.next_obs) if settings.double else target
        targets = td_targets(batch.rewards, batch.discounts, online, target, batch.next_mask)
        values = self._online.forward(batch.obs)
        self._gradient, errors, means = td_gradient(
            values, batch.actions, targets, weights, settings.loss == "huber"
        )
        return ValueLosses(errors, *means)

    def step(self, learning_rate: float) -> float:
        """See `ValueSteps.step`."""
        self._online.backward(self._gradient)
        self._adam.learning_rate = learning_rate
        return self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        """See `ValueSteps`."""
        return self._adam.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `ValueSteps`."""
        self._adam.load_state_dict(state)
