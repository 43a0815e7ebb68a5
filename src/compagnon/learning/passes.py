"""Forward passes that remember their way back, without autograd where the network is plain.

Off-policy learning makes many small updates. At these sizes what autograd does around a product
costs several times the product, so the way back is walked by hand.
"""

from typing import Protocol

import torch
from torch import nn

from compagnon.learning.mlp import Mlp, _activate, _pull_back


class Pass(Protocol):
    """One forward pass of a network.

    Attributes:
        outputs: (B, outputs), outside autograd.
    """

    outputs: torch.Tensor

    def back(self, gradient: torch.Tensor) -> torch.Tensor | None:
        """Walk back from the gradient in the outputs, (B, outputs).

        The weights' gradients replace what is in their `grad`. Returns the input's gradient,
        (B, inputs), if it is wanted.
        """
        ...


class MlpPass:
    """A pass of a plain perceptron. Call it, and `back`, where autograd is off.

    Args:
        x: (B, inputs). weights: the weights' gradients will be wanted; they have a `grad` to be
            written into. inputs: the input's gradient will be wanted.
    """

    def __init__(
        self, network: Mlp, x: torch.Tensor, weights: bool = True, inputs: bool = False
    ) -> None:
        self._network, self._wants = network, (weights, inputs)
        self._values = [x]
        self._weights = network._weights()
        last = len(self._weights) // 2 - 1
        for layer in range(last + 1):
            weight, bias = self._weights[2 * layer], self._weights[2 * layer + 1]
            x = torch.addmm(bias, x, weight.t())
            if layer < last or network.activate_output:
                x = _activate(x, network.activation)
            self._values.append(x)
        self.outputs = x

    def back(self, gradient: torch.Tensor) -> torch.Tensor | None:
        """See `Pass`."""
        activation, values = self._network.activation, self._values
        wants_weights, wants_inputs = self._wants
        if self._network.activate_output:
            gradient = _pull_back(gradient, values[-1], activation)
        for layer in range(len(values) - 2, -1, -1):
            weight, bias = self._weights[2 * layer], self._weights[2 * layer + 1]
            if wants_weights:
                assert weight.grad is not None
                assert bias.grad is not None
                torch.mm(gradient.t(), values[layer], out=weight.grad)
                torch.sum(gradient, 0, out=bias.grad)
            if layer > 0:
                gradient = _pull_back(gradient.mm(weight), values[layer], activation)
        return gradient.mm(self._weights[0]) if wants_inputs else None


class AutogradPass:
    """The same of any other network, by autograd."""

    def __init__(
        self, network: nn.Module, x: torch.Tensor, weights: bool = True, inputs: bool = False
    ) -> None:
        self._network, self._weights = network, weights
        self._x = x.detach().requires_grad_(inputs)
        run = network
        if inputs and not weights:
            run = network.with_weights_fixed  # type: ignore[assignment]
        with torch.set_grad_enabled(weights or inputs):
            self._graph = run(self._x)
        self.outputs = self._graph.detach()

    def back(self, gradient: torch.Tensor) -> torch.Tensor | None:
        """See `Pass`."""
        if self._weights:
            for parameter in self._network.parameters():
                assert parameter.grad is not None
                parameter.grad.zero_()
        self._graph.backward(gradient)
        return self._x.grad


def forward_pass(
    network: nn.Module, x: torch.Tensor, weights: bool = True, inputs: bool = False
) -> Pass:
    """A pass of any kind of perceptron; see `MlpPass`."""
    if isinstance(network, Mlp):
        return MlpPass(network, x, weights, inputs)
    return AutogradPass(network, x, weights, inputs)
