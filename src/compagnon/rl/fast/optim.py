"""Gradient steps of an actor and a critic, without what a framework does around the arithmetic.

With a few thousand weights, autograd's engine, the optimiser's bookkeeping and the bounding of
norms take longer than the products. What is here does the same operations in the same order, so it
gives the same bits as `Mlp` under autograd, `clip_grad_norm_` and ``torch.optim.Adam(fused=True)``.
"""

from collections.abc import Sequence
from typing import Any

import torch

from compagnon.rl.fast.adam import Adam, bound_norm
from compagnon.rl.fast.backprop import Pass, forward_pass
from compagnon.rl.networks.trainable import PolicyNetwork

ACTOR, CRITIC = 0, 1  # groups of parameters; a joint network is one group, the actor's


class ActorCriticSteps:
    """Gradient steps of a `PolicyNetwork`, from the gradients of what it says.

    Two networks are two groups: each is bounded and stepped by itself. A joint network is one
    group, whose gradient is that of the summed loss.

    Args:
        eps: Adam's.
    """

    def __init__(self, network: PolicyNetwork, eps: float) -> None:
        self._network = network
        self._groups = network.parameter_groups()
        log_std = None if network.log_std is None else network.log_std.value
        self._log_std = log_std if log_std is not None and log_std.requires_grad else None
        for group in self._groups:
            for parameter in group:
                parameter.grad = torch.zeros_like(parameter)
        self._adam = Adam(self._groups, eps)
        self._passes: dict[int, Pass] = {}

    def forward(
        self, x: torch.Tensor, with_policy: bool = True
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """(B, F) -> the policy's outputs (B, K), if they are wanted, and the values (B,)."""
        network = self._network
        if network.joint:
            self._passes[ACTOR] = forward_pass(network.actor, x)
            both = self._passes[ACTOR].outputs
            return both[:, :-1].contiguous(), both[:, -1]
        self._passes[CRITIC] = forward_pass(network.critic, x)
        values = self._passes[CRITIC].outputs[:, 0]
        if not with_policy:
            return None, values
        self._passes[ACTOR] = forward_pass(network.actor, x)
        return self._passes[ACTOR].outputs, values

    def step(
        self,
        policy: tuple[torch.Tensor, torch.Tensor | None] | None,
        values: torch.Tensor,
        learning_rates: Sequence[float],
        max_norm: float,
    ) -> float:
        """Move against the gradients of a loss with respect to what `forward` last gave.

        Args:
            policy: with respect to outputs (B, K) and log_std (D,); None leaves the actor alone.
            values: with respect to the values (B,).
            learning_rates: the actor's and the critic's; the first one of a joint network.
            max_norm: of the gradient of each group; 0 for no bound.

        Returns:
            The norm of the actor's gradient, or of the joint network's, before it was bounded.
        """
        norm, joint = 0.0, self._network.joint
        if policy is not None:
            outputs, log_std = policy
            if self._log_std is not None:
                self._log_std.grad = log_std
            if joint:
                outputs = torch.cat([outputs, values[:, None]], 1)
            self._passes[ACTOR].backward(outputs)
            norm = self._move(ACTOR, learning_rates[ACTOR], max_norm)
        if not joint:
            self._passes[CRITIC].backward(values[:, None])
            self._move(CRITIC, learning_rates[CRITIC], max_norm)
        return norm

    def _move(self, group: int, learning_rate: float, max_norm: float) -> float:
        gradients = [p.grad for p in self._groups[group] if p.grad is not None]
        norm = bound_norm(gradients, max_norm)
        self._adam.step(group, gradients, learning_rate)
        return norm

    def state_dict(self) -> dict[str, Any]:
        """What the optimiser remembers."""
        return self._adam.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._adam.load_state_dict(state)
