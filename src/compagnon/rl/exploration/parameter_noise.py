"""Exploration by an actor whose weights are disturbed, so that it errs alike in like states.

Plappert et al. 2018, "Parameter space noise for exploration" (arXiv 1706.01905).
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from compagnon.rl.networks.mlp import NormedMlp


class ParameterNoise:
    """A disturbed copy of an actor, and how strongly it is disturbed.

    The weights and biases of the linear layers are disturbed, those of the norms are not. With
    layer norm one deviation fits every layer (section 3 of the paper): it is asked for.

    Args:
        actor: what is disturbed; it stays as it is.
        std: deviation of the disturbance at first.
        distance: what `adapt` steers the distance between both actors' actions to.
        factor: how much the deviation changes each time (equation 8).

    Attributes:
        disturbed: the copy.
        std: the deviation now.
    """

    def __init__(self, actor: NormedMlp, std: float, distance: float, factor: float = 1.01) -> None:
        self.actor, self.std = actor, std
        self.distance, self.factor = distance, factor
        self.disturbed = copy.deepcopy(actor).requires_grad_(False)
        self._trial = copy.deepcopy(self.disturbed)  # the one in use lasts for an episode

    def disturb(self, rng: np.random.Generator) -> None:
        """Copy the actor anew and disturb the copy (equation 2)."""
        self._disturb(self.disturbed, rng)

    def adapt(
        self, act_with: Callable[[torch.nn.Module], torch.Tensor], rng: np.random.Generator
    ) -> float:
        """Disturb more from now on if that moved actions too little, else less.

        Args:
            act_with: an actor -> its actions (B, D) in the same B states each time.

        Returns:
            How far another disturbed copy's actions are from the actor's: the root of the mean
            square over states and components.
        """
        self._disturb(self._trial, rng)
        with torch.inference_mode():
            distance = float((act_with(self._trial) - act_with(self.actor)).square().mean().sqrt())
        self.std *= self.factor if distance < self.distance else 1 / self.factor
        return distance

    def _disturb(self, copied: NormedMlp, rng: np.random.Generator) -> None:
        with torch.no_grad():
            copied.load_state_dict(self.actor.state_dict())
            for weight in copied.layers.parameters():
                noise = self.std * rng.standard_normal(tuple(weight.shape)).astype(np.float32)
                weight.add_(torch.from_numpy(noise).to(weight.device))

    def state_dict(self) -> dict[str, Any]:
        """The deviation, and the disturbed weights."""
        return {"std": self.std, "disturbed": dict(self.disturbed.state_dict())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.std = float(state["std"])
        self.disturbed.load_state_dict(state["disturbed"])
