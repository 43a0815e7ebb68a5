"""Adam over parameters that lie side by side in one buffer: one kernel a step for all layers."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from compagnon.learning.updates import Adam


class FlatAdam:
    """Adam (arXiv 1412.6980) with the gradient's norm or values bounded first.

    The parameters, and their gradients, become views of one tensor each. Modules keep working, and
    loading a state into them keeps the views.

    Args:
        parameters: all on one device, and in no other `FlatAdam`.
        max_grad_norm: norm of all gradients together at most; 0 leaves them alone.
        max_grad_value: each gradient between minus this and this; 0 leaves them alone.

    Attributes:
        learning_rate: the step size; it may be changed between steps.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        max_grad_norm: float = 0.0,
        max_grad_value: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        own = list(parameters)
        self.max_grad_norm, self.max_grad_value = max_grad_norm, max_grad_value
        self.flat = nn.Parameter(torch.cat([parameter.detach().reshape(-1) for parameter in own]))
        self.gradient = torch.zeros_like(self.flat)
        first = 0
        for parameter in own:
            part = slice(first, first + parameter.numel())
            parameter.data = self.flat.data[part].view_as(parameter)
            parameter.grad = self.gradient[part].view_as(parameter)
            first += parameter.numel()
        self.flat.grad = self.gradient
        self.learning_rate = learning_rate
        self._adam = Adam([[self.flat]], eps)

    def step(self) -> float:
        """One step along the gradients, which are then 0 again; their norm before the bounds."""
        with torch.no_grad():
            norm = float(torch.linalg.vector_norm(self.gradient))
            if self.max_grad_value > 0:
                self.gradient.clamp_(-self.max_grad_value, self.max_grad_value)
            if 0 < self.max_grad_norm < norm:
                self.gradient.mul_(self.max_grad_norm / norm)
        self._adam.step(0, [self.gradient], self.learning_rate)
        self.gradient.zero_()
        return norm

    def state_dict(self) -> dict[str, Any]:
        """The moments and the count of steps."""
        return self._adam.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._adam.load_state_dict(state)
