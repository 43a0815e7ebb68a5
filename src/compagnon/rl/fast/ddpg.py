"""DDPG's gradient steps without autograd around perceptrons, and with Adam in one loop.

The same numbers as `compagnon.rl.ddpg.AutogradSteps`, which says what is computed.
"""

from typing import Any

import torch

from compagnon.rl.ddpg_settings import DDPGSettings
from compagnon.rl.fast.adam import FlatAdam
from compagnon.rl.fast.backprop import forward_pass
from compagnon.rl.networks.actor_critic import ActorCritic, Critic, list_of
from compagnon.rl.networks.mlp import Mlp, NormedMlp


class CriticPass:
    """A forward pass of a critic, and the way back; see `MlpPass`.

    Args:
        weights: gradients of the weights will be wanted. actions: those of the actions will be.

    Attributes:
        values: (B,), outside autograd.
    """

    def __init__(
        self,
        critic: Critic,
        x: torch.Tensor,
        action: torch.Tensor,
        weights: bool = False,
        actions: bool = False,
    ) -> None:
        self._state = self._action = None
        self._weights = weights
        if critic.state is not None:
            self._state = forward_pass(critic.state, x, weights)
            x = self._state.outputs
        if critic.action is not None:
            self._action = forward_pass(critic.action, action, weights, actions)
            action = self._action.outputs
        self._width = x.shape[1]
        streams = self._state is not None or self._action is not None
        both = torch.cat([x, action], dim=1)
        self._joined = forward_pass(critic.joined, both, weights, actions or (weights and streams))
        self.values = self._joined.outputs[:, 0]

    def backward(self, gradient: torch.Tensor) -> torch.Tensor | None:
        """From the gradient in the values, (B,); that in the actions, (B, D), if it is wanted."""
        both = self._joined.backward(gradient[:, None])
        if both is None:
            return None
        state, action = both[:, : self._width], both[:, self._width :]
        if self._state is not None and self._weights:
            self._state.backward(state)
        return action if self._action is None else self._action.backward(action)


def fast_steps(network: ActorCritic, settings: DDPGSettings) -> "FastSteps | None":
    """The fast path of an actor and its critics; None where there is none."""
    if not isinstance(network.actor, Mlp | NormedMlp):
        return None
    if len(list_of(network.critics)) < len(network.critics):
        return None
    return FastSteps(network, settings)


class FastSteps:
    """See `DeterministicSteps`."""

    def __init__(self, network: ActorCritic, settings: DDPGSettings) -> None:
        self._network, self._critics = network, list_of(network.critics)
        self._actor_adam = FlatAdam(
            network.actor.parameters(), settings.actor_learning_rate, settings.max_grad_norm
        )
        self._critic_adam = FlatAdam(
            network.critics.parameters(), settings.critic_learning_rate, settings.max_grad_norm
        )

    @torch.no_grad()
    def critics(
        self, x: torch.Tensor, actions: torch.Tensor, targets: torch.Tensor, rate: float
    ) -> tuple[float, float, float]:
        """See `DeterministicSteps.critics`."""
        loss = q_mean = 0.0
        for critic in self._critics:
            run = CriticPass(critic, x, actions, weights=True)
            error = run.values - targets
            loss += float(error.dot(error)) / len(error)
            q_mean += float(run.values.mean())
            run.backward(error * (2 / len(error)))
        count = len(self._critics)
        self._critic_adam.learning_rate = rate
        return loss / count, q_mean / count, self._critic_adam.step()

    @torch.no_grad()
    def actor(self, x: torch.Tensor, mask: torch.Tensor | None, rate: float) -> tuple[float, float]:
        """See `DeterministicSteps.actor`."""
        network = self._network
        run = forward_pass(network.actor, x)
        said = network.head_forward(run.outputs, mask)
        critic = CriticPass(self._critics[0], x, said, actions=True)
        slope = critic.backward(torch.full_like(critic.values, -1 / len(x)))
        assert slope is not None
        run.backward(network.head_backward(slope, said))
        self._actor_adam.learning_rate = rate
        return float(critic.values.mean()), self._actor_adam.step()

    def state_dict(self) -> dict[str, Any]:
        """See `DeterministicSteps`."""
        return {"actor": self._actor_adam.state_dict(), "critics": self._critic_adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `DeterministicSteps`."""
        self._actor_adam.load_state_dict(state["actor"])
        self._critic_adam.load_state_dict(state["critics"])
