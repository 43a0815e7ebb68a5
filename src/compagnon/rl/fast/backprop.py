"""Forward passes that remember their way back, without autograd where the network is plain.

Off-policy learning makes many small updates. At these sizes what autograd does around a product
costs several times the product, so the way back is walked by hand.
"""

from typing import Protocol

import torch
from torch import nn

from compagnon.rl.networks.mlp import Mlp, layers_backward, layers_forward


class Pass(Protocol):
    """One forward pass of a network.

    Attributes:
        outputs: (B, outputs), outside autograd.
    """

    outputs: torch.Tensor

    def backward(self, gradient: torch.Tensor) -> torch.Tensor | None:
        """Walk back from the gradient in the outputs, (B, outputs).

        The weights' gradients replace what is in their `grad`. Returns the input's gradient,
        (B, inputs), if it is wanted.
        """
        ...


class MlpPass:
    """A pass of a plain perceptron. Call it, and `backward`, where autograd is off.

    Args:
        x: (B, inputs). weights: the weights' gradients will be wanted; they have a `grad` to be
            written into. inputs: the input's gradient will be wanted.
    """

    def __init__(
        self, network: Mlp, x: torch.Tensor, weights: bool = True, inputs: bool = False
    ) -> None:
        self._parameters, self._wants = network.weights(), (weights, inputs)
        self._how = (network.activation, network.activate_output)
        self._values = layers_forward(x, self._parameters, *self._how)
        self.outputs = self._values[-1]

    def backward(self, gradient: torch.Tensor) -> torch.Tensor | None:
        """See `Pass`."""
        weights, inputs = self._wants
        into = [part.grad for part in self._parameters if part.grad is not None]
        return layers_backward(
            gradient, self._values, self._parameters, *self._how, into if weights else None, inputs
        )


class AutogradPass:
    """The same of any other network, by autograd."""

    def __init__(
        self, network: nn.Module, x: torch.Tensor, weights: bool = True, inputs: bool = False
    ) -> None:
        self._network, self._weights = network, weights
        run = network
        if inputs and not weights:
            run = network.with_weights_fixed  # type: ignore[assignment]
        # A caller's inference mode ends here: what was made in it keeps no way back.
        with torch.inference_mode(False), torch.set_grad_enabled(weights or inputs):
            x = x.clone() if x.is_inference() else x.detach()
            self._x = x.requires_grad_(inputs)
            self._graph = run(self._x)
            self.outputs = self._graph.detach()

    def backward(self, gradient: torch.Tensor) -> torch.Tensor | None:
        """See `Pass`."""
        if self._weights:
            for parameter in self._network.parameters():
                assert parameter.grad is not None
                parameter.grad.zero_()
        with torch.inference_mode(False):
            gradient = gradient.clone() if gradient.is_inference() else gradient
            self._graph.backward(gradient)
        return self._x.grad


def forward_pass(
    network: nn.Module, x: torch.Tensor, weights: bool = True, inputs: bool = False
) -> Pass:
    """A pass of any kind of perceptron; see `MlpPass`."""
    if isinstance(network, Mlp):
        return MlpPass(network, x, weights, inputs)
    return AutogradPass(network, x, weights, inputs)
