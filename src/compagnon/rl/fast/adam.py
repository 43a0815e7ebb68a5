"""Adam without what a framework does around it: over groups of tensors, or over one flat buffer.

With a few thousand weights the bookkeeping takes longer than the arithmetic. `Adam` and
`bound_norm` keep the operations of ``torch.optim.Adam(fused=True)`` and `clip_grad_norm_` and their
order, and so the bits.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from compagnon.rl.fast.kernels import adam_step

BETAS = 0.9, 0.999


def bound_norm(gradients: list[torch.Tensor], bound: float) -> float:
    """Scale `gradients`, in place, to a norm of at most `bound` over all of them together.

    Args:
        bound: 0 leaves them as they are.

    Returns:
        The norm before that.
    """
    norms = torch.stack(torch._foreach_norm(gradients, 2.0))
    norm = np.float32(torch.linalg.vector_norm(norms).item())
    if bound > 0:
        # in single precision and in this order, as clip_grad_norm_ does it
        factor = np.float32(1) / (norm + np.float32(1e-6)) * np.float32(bound)
        if not factor >= 1:
            torch._foreach_mul_(gradients, float(factor))
    return float(norm)


class Adam:
    """Adam (arXiv 1412.6980, algorithm 1) over groups of parameters that may step one by one.

    Args:
        groups: the parameters of each group.
        eps: added to the root of the second moment.
    """

    def __init__(self, groups: Sequence[Sequence[torch.Tensor]], eps: float) -> None:
        self._parameters = [[parameter.detach() for parameter in group] for group in groups]
        self._first = [[torch.zeros_like(p) for p in group] for group in self._parameters]
        self._second = [[torch.zeros_like(p) for p in group] for group in self._parameters]
        self._steps = [torch.zeros((), device=group[0].device) for group in self._parameters]
        self._eps = eps

    def step(self, group: int, gradients: list[torch.Tensor], learning_rate: float) -> None:
        """Move the parameters of one group against their gradients."""
        self.count_step(group)
        torch._fused_adam_(
            self._parameters[group],
            gradients,
            self._first[group],
            self._second[group],
            [],
            [self._steps[group]] * len(gradients),
            lr=learning_rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=0.0,
            eps=self._eps,
            amsgrad=False,
            maximize=False,
        )

    def count_step(self, group: int) -> int:
        """One step more; how many the group then has taken."""
        self._steps[group] += 1
        return int(self._steps[group])

    def moments(self, group: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """First and second moments of a group's gradients, not copied."""
        return self._first[group], self._second[group]

    def state_dict(self) -> dict[str, Any]:
        """Moments and counts of steps."""
        return {
            "steps": [float(step) for step in self._steps],
            "first": [list(group) for group in self._first],
            "second": [list(group) for group in self._second],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        for step, value in zip(self._steps, state["steps"], strict=True):
            step.fill_(value)
        for own, given in ((self._first, state["first"]), (self._second, state["second"])):
            for moments, values in zip(own, given, strict=True):
                for moment, value in zip(moments, values, strict=True):
                    moment.copy_(value)


class FlatAdam:
    """Adam (arXiv 1412.6980) with the gradient's values bounded first, then its norm.

    The parameters, and their gradients, become views of one tensor each. Modules keep working, and
    loading a state into them keeps the views.

    Args:
        parameters: all on one device, and in no other `FlatAdam`.
        max_grad_norm: norm of all gradients together at most, as it is once their values are
            bounded; 0 leaves them alone.
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
        self.learning_rate, self._eps = learning_rate, eps
        self._adam = Adam([[self.flat]], eps)
        self._arrays = None
        if self.flat.device.type == "cpu":
            tensors = self.flat, self.gradient, *(m for (m,) in self._adam.moments(0))
            self._arrays = tuple(tensor.detach().numpy() for tensor in tensors)

    def step(self) -> float:
        """One step along the gradients, which are then 0 again; their norm before the bounds."""
        if self._arrays is not None:
            return self._step_in_one_loop()
        with torch.no_grad():
            norm = bounded = float(torch.linalg.vector_norm(self.gradient))
            if self.max_grad_value > 0:
                self.gradient.clamp_(-self.max_grad_value, self.max_grad_value)
                bounded = float(torch.linalg.vector_norm(self.gradient))
            if 0 < self.max_grad_norm < bounded:
                self.gradient.mul_(self.max_grad_norm / bounded)
        self._adam.step(0, [self.gradient], self.learning_rate)
        self.gradient.zero_()
        return norm

    def _step_in_one_loop(self) -> float:
        """The same on the CPU; sums are taken in another order, so the last bits differ."""
        assert self._arrays is not None
        flat, gradient, first, second = self._arrays
        step, rate, (beta1, beta2) = self._adam.count_step(0), self.learning_rate, BETAS
        norm: float = adam_step(
            flat, gradient, first, second, step, rate,
            self.max_grad_norm, self.max_grad_value, beta1, beta2, self._eps,
        )  # fmt: skip
        return norm

    def state_dict(self) -> dict[str, Any]:
        """The moments and the count of steps."""
        return self._adam.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._adam.load_state_dict(state)
