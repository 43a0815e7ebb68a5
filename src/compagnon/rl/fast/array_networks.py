"""Networks that off-policy learning asks for values and gradients in numpy, whatever is behind.

A plain perceptron on the CPU is walked through by numpy and a few compiled loops: small products
need no framework around them. Every other network is left to torch.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compagnon.rl.fast import kernels
from compagnon.rl.fast.backprop import Pass, forward_pass
from compagnon.rl.networks.mlp import Mlp

FloatArray = NDArray[np.float32]


class ArrayNetwork(Protocol):
    """What a learner asks of a network."""

    def outputs(self, x: FloatArray) -> FloatArray:
        """(B, inputs) -> (B, outputs), valid until the next call."""
        ...

    def forward(self, x: FloatArray) -> FloatArray:
        """The same, remembered for `backward`."""
        ...

    def backward(self, gradient: FloatArray) -> None:
        """Write the weights' gradients of what `forward` last gave, from the outputs' (B, K)."""
        ...


class NumpyMlp:
    """A plain perceptron whose weights, and their gradients, numpy shares with torch.

    Args:
        network: on the CPU, and no longer moved elsewhere in memory. learns: its parameters have
            a `grad` to be written into.
    """

    def __init__(self, network: Mlp, learns: bool) -> None:
        parts = network.weights()
        arrays = [part.detach().numpy() for part in parts]
        self._weights, self._biases = arrays[::2], arrays[1::2]
        self._activation, self._activate_output = network.activation, network.activate_output
        self._gradients: list[Any] = []
        if learns:
            self._gradients = [part.grad.numpy() for part in parts if part.grad is not None]
        self._values: list[FloatArray] = []

    def outputs(self, x: FloatArray) -> FloatArray:
        """See `ArrayNetwork`."""
        return self._layers(x)[-1]

    def forward(self, x: FloatArray) -> FloatArray:
        """See `ArrayNetwork`."""
        self._values = self._layers(x)
        return self._values[-1]

    def _layers(self, x: FloatArray) -> list[FloatArray]:
        """x and what each layer makes of it in turn."""
        values, last = [x], len(self._weights) - 1
        for layer, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            x = x @ weight.T
            active = layer < last or self._activate_output
            if active and self._activation == "relu":
                kernels.add_bias_relu(x, bias)
            else:
                kernels.add_bias(x, bias)
                if active:
                    np.tanh(x, out=x)
            values.append(x)
        return values

    def backward(self, gradient: FloatArray) -> None:
        """See `ArrayNetwork`."""
        values, last = self._values, len(self._weights) - 1
        activation_backward: Callable[[FloatArray, FloatArray], None] = (
            kernels.back_through_relu if self._activation == "relu" else kernels.back_through_tanh
        )
        if self._activate_output:
            activation_backward(gradient, values[-1])
        for layer in range(last, -1, -1):
            np.matmul(gradient.T, values[layer], out=self._gradients[2 * layer])
            kernels.sum_rows(gradient, self._gradients[2 * layer + 1])
            if layer > 0:
                gradient = gradient @ self._weights[layer]
                activation_backward(gradient, values[layer])


class TorchNetwork:
    """Any network, wherever it is, by torch."""

    def __init__(self, network: nn.Module) -> None:
        self._network, self._device = network, next(network.parameters()).device
        self._pass: Pass | None = None

    def _tensor(self, x: FloatArray) -> torch.Tensor:
        return torch.from_numpy(x).to(self._device)

    def outputs(self, x: FloatArray) -> FloatArray:
        """See `ArrayNetwork`."""
        with torch.inference_mode():
            return self._network(self._tensor(x)).cpu().numpy()  # type: ignore[no-any-return]

    def forward(self, x: FloatArray) -> FloatArray:
        """See `ArrayNetwork`."""
        with torch.no_grad():
            self._pass = forward_pass(self._network, self._tensor(x))
        return self._pass.outputs.cpu().numpy()

    def backward(self, gradient: FloatArray) -> None:
        """See `ArrayNetwork`."""
        assert self._pass is not None
        with torch.no_grad():
            self._pass.backward(self._tensor(gradient))


def array_network(network: nn.Module, learns: bool) -> ArrayNetwork:
    """A network as arrays; build it after whatever rearranges its parameters, as `FlatAdam` does.

    Args:
        learns: `forward` and `backward` will be asked of it.
    """
    if isinstance(network, Mlp) and next(network.parameters()).device.type == "cpu":
        return NumpyMlp(network, learns)
    return TorchNetwork(network)
