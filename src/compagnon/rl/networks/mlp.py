"""Multilayer perceptrons whose whole forward and backward pass is one node of autograd.

With a few thousand weights, what a framework does around each product costs more than the product.
One node a network, with its gradients written by hand, leaves little but the arithmetic.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compagnon.policy.manifest import MlpSpec
from compagnon.rl.networks.registry import Norm

Activation = Literal["tanh", "relu"]


@dataclass(frozen=True)
class MlpArrays:
    """A network as the policy floor knows it: hidden sizes, and weights by name."""

    hidden: tuple[int, ...]
    activation: Activation
    layer_norm: bool
    weights: dict[str, NDArray[np.float32]]

    @property
    def spec(self) -> MlpSpec:
        """What it is, but for its weights."""
        return MlpSpec(hidden=self.hidden, activation=self.activation, layer_norm=self.layer_norm)


def _activate(x: torch.Tensor, activation: Activation) -> torch.Tensor:
    """The activation, in place where that is fastest; `x` is not to be used again."""
    if activation == "relu":
        return x.relu_()
    if x.device.type == "cpu":  # numpy's tanh is about ten times faster at these sizes
        return torch.from_numpy(np.tanh(x.numpy()))
    return x.tanh_()


def _activation_backward(
    gradient: torch.Tensor, output: torch.Tensor, activation: str
) -> torch.Tensor:
    """The gradient before an activation, from that after it and what it gave."""
    if activation == "relu":
        return torch.ops.aten.threshold_backward(gradient, output, 0)  # type: ignore[no-any-return]
    return torch.ops.aten.tanh_backward(gradient, output)  # type: ignore[no-any-return]


def layers_forward(
    x: torch.Tensor,
    parameters: Sequence[torch.Tensor],
    activation: Activation,
    activate_output: bool,
) -> list[torch.Tensor]:
    """x (B, inputs) and what each layer makes of it in turn; the last one is the output.

    Args:
        parameters: weight and bias of each layer in turn. activate_output: the last layer has an
            activation, too.
    """
    values = [x]
    last = len(parameters) // 2 - 1
    for layer in range(last + 1):
        x = torch.addmm(parameters[2 * layer + 1], x, parameters[2 * layer].t())
        if layer < last or activate_output:
            x = _activate(x, activation)
        values.append(x)
    return values


def layers_backward(
    gradient: torch.Tensor,
    values: Sequence[torch.Tensor],
    parameters: Sequence[torch.Tensor],
    activation: Activation,
    activate_output: bool,
    into: Sequence[torch.Tensor] | None,
    wants_input: bool,
) -> torch.Tensor | None:
    """From the gradient in the last of `layers_forward`, (B, outputs), back to where x came in.

    Args:
        into: the parameters' gradients, written; None where nobody wants them.

    Returns:
        The gradient of x, (B, inputs), if it is wanted.
    """
    if activate_output:
        gradient = _activation_backward(gradient, values[-1], activation)
    for layer in range(len(values) - 2, -1, -1):
        if into is not None:
            torch.mm(gradient.t(), values[layer], out=into[2 * layer])
            torch.sum(gradient, 0, out=into[2 * layer + 1])
        if layer > 0:
            gradient = _activation_backward(
                gradient.mm(parameters[2 * layer]), values[layer], activation
            )
    return gradient.mm(parameters[0]) if wants_input else None


class _Layers(torch.autograd.Function):
    """Linear layers with activations between them, as one node of autograd."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        activation: Activation,
        activate_output: bool,
        *parameters: torch.Tensor,
    ) -> torch.Tensor:
        """See `layers_forward`."""
        values = layers_forward(x, parameters, activation, activate_output)
        ctx.how, ctx.count = (activation, activate_output), len(values)
        ctx.save_for_backward(*values, *parameters)
        return values[-1]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """See `layers_backward`."""
        values, parameters = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        wants_input, wants_weights = ctx.needs_input_grad[0], ctx.needs_input_grad[3]
        into = [torch.empty_like(part) for part in parameters] if wants_weights else None
        activation, activate_output = ctx.how
        found = layers_backward(
            gradients[0], values, parameters, activation, activate_output, into, wants_input
        )
        unwanted: list[torch.Tensor | None] = [None] * len(parameters)
        return found, None, None, *(into or unwanted)


class Mlp(nn.Module):
    """A multilayer perceptron with orthogonal initialisation.

    Args:
        sizes: input, hidden layers, output.
        output_gain: scale of the last layer; 0.01 makes the first policy near uniform.
        activate_output: the last layer is a hidden one of something larger.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: Activation,
        output_gain: float,
        generator: torch.Generator,
        activate_output: bool = False,
    ) -> None:
        super().__init__()
        self.sizes, self.activation = tuple(sizes), activation
        self.activate_output = activate_output
        self.layers = nn.ModuleList(
            nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(sizes)
        )
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            last = index == len(self.layers) - 1 and not activate_output
            nn.init.orthogonal_(layer.weight, output_gain if last else 2**0.5, generator=generator)
            nn.init.zeros_(layer.bias)

    def weights(self) -> list[torch.Tensor]:
        """As `parameters()`, which walks the whole tree of modules each time, but at once."""
        found: list[torch.Tensor] = []
        for layer in self.layers._modules.values():
            assert isinstance(layer, nn.Linear)
            found += (layer.weight, layer.bias)
        return found

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs) -> (B, outputs)."""
        return _Layers.apply(  # type: ignore[no-any-return,no-untyped-call]
            x, self.activation, self.activate_output, *self.weights()
        )

    @property
    def last_layer(self) -> nn.Linear:
        """The layer that gives the outputs."""
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        return last

    def output_layers(self) -> list[nn.Linear]:
        """The layers that give the outputs."""
        return [self.last_layer]

    def values(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs) -> (B, 1): the last output, which is a critic's value."""
        return self(x)[:, -1:]  # type: ignore[no-any-return]

    def with_weights_fixed(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs) -> (B, outputs), through which gradients reach x but not the weights."""
        fixed = [parameter.detach() for parameter in self.weights()]
        return _Layers.apply(  # type: ignore[no-any-return,no-untyped-call]
            x, self.activation, self.activate_output, *fixed
        )

    def to_arrays(self) -> MlpArrays:
        """Itself, as a copy in numpy."""
        return MlpArrays(self.sizes[1:-1], self.activation, False, _named(_linears(self.layers)))


Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


def _linears(layers: nn.ModuleList) -> list[Layer]:
    """Weight (out, in) and bias (out,) of each layer, copied to numpy."""
    found = []
    for layer in layers:
        assert isinstance(layer, nn.Linear)
        weight, bias = (part.detach().cpu().numpy().copy() for part in (layer.weight, layer.bias))
        found.append((weight, bias))
    return found


def _named(layers: Sequence[Layer]) -> dict[str, NDArray[np.float32]]:
    weights = {}
    for index, (weight, bias) in enumerate(layers):
        weights[f"actor.{index}.weight"] = np.ascontiguousarray(weight, np.float32)
        weights[f"actor.{index}.bias"] = np.ascontiguousarray(bias, np.float32)
    return weights


class NormedMlp(nn.Module):
    """A multilayer perceptron with layer or batch norm before each hidden activation.

    Layer norm: arXiv 1607.06450. Batch norm: arXiv 1502.03167; in `eval` mode it uses its running
    statistics, which `plain` folds into the layers before it.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: Activation,
        output_gain: float,
        generator: torch.Generator,
        norm: Literal["layer", "batch"],
        activate_output: bool = False,
    ) -> None:
        super().__init__()
        bare = Mlp(sizes, activation, output_gain, generator, activate_output)
        self.sizes, self.activation, self.activate_output = bare.sizes, activation, activate_output
        self.norm = norm
        self.layers = bare.layers
        hidden = sizes[1:] if activate_output else sizes[1:-1]
        make: Callable[[int], nn.Module] = nn.LayerNorm if norm == "layer" else nn.BatchNorm1d
        self.norms = nn.ModuleList(make(size) for size in hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs) -> (B, outputs)."""
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index < len(self.norms):
                x = self.norms[index](x)
                x = torch.relu(x) if self.activation == "relu" else torch.tanh(x)
        return x

    def with_weights_fixed(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs) -> (B, outputs), through which gradients reach x but not the weights."""
        fixed = {name: value.detach() for name, value in self.named_parameters()}
        return torch.func.functional_call(self, fixed, (x,))  # type: ignore[no-any-return]

    def to_arrays(self) -> MlpArrays:
        """Itself, as a copy in numpy."""
        layers = _linears(self.layers)
        if self.norm == "batch":
            for index, norm in enumerate(self.norms):
                assert isinstance(norm, nn.BatchNorm1d)
                layers[index] = _folded(layers[index], norm)
            return MlpArrays(self.sizes[1:-1], self.activation, False, _named(layers))
        weights = _named(layers)
        for index, norm in enumerate(self.norms):
            weights[f"actor.{index}.norm.weight"] = norm.weight.detach().cpu().numpy().copy()  # type: ignore[operator]
            weights[f"actor.{index}.norm.bias"] = norm.bias.detach().cpu().numpy().copy()  # type: ignore[operator]
        return MlpArrays(self.sizes[1:-1], self.activation, True, weights)


def _folded(layer: Layer, norm: nn.BatchNorm1d) -> Layer:
    """A linear layer that does what `layer` and then `norm`, in `eval` mode, do."""
    weight, bias = layer
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, var = norm.running_mean.cpu().numpy(), norm.running_var.cpu().numpy()
    gain = norm.weight.detach().cpu().numpy() / np.sqrt(var + norm.eps)
    shift = norm.bias.detach().cpu().numpy()
    folded = weight * gain[:, None], (bias - mean) * gain + shift
    return folded[0].astype(np.float32), folded[1].astype(np.float32)


def make_mlp(
    sizes: Sequence[int],
    activation: Activation,
    output_gain: float,
    generator: torch.Generator,
    norm: Norm = "none",
    activate_output: bool = False,
) -> Mlp | NormedMlp:
    """A perceptron with the norm asked for."""
    if norm == "none":
        return Mlp(sizes, activation, output_gain, generator, activate_output)
    return NormedMlp(sizes, activation, output_gain, generator, norm, activate_output)


class DuelingMlp(nn.Module):
    """Q(s, a) = V(s) + A(s, a) - mean over a of A(s, a) (arXiv 1511.06581, equation 9).

    All hidden layers but the last are shared; the value and the advantages each have a last hidden
    layer of their own, of the size given.
    """

    def __init__(
        self, sizes: Sequence[int], activation: Activation, generator: torch.Generator
    ) -> None:
        super().__init__()
        *shared, width, actions = sizes
        self.activation = activation
        self.trunk = None
        if len(shared) > 1:
            self.trunk = Mlp(shared, activation, 1.0, generator, activate_output=True)
        self.value = Mlp([shared[-1], width, 1], activation, 1.0, generator)
        self.advantage = Mlp([shared[-1], width, actions], activation, 0.01, generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs) -> (B, actions)."""
        if self.trunk is not None:
            x = self.trunk(x)
        advantage: torch.Tensor = self.advantage(x)
        value: torch.Tensor = self.value(x)
        return value + advantage - advantage.mean(dim=1, keepdim=True)

    def to_arrays(self) -> MlpArrays:
        """The same function as one perceptron: both streams side by side, the mean folded in."""
        shared = [] if self.trunk is None else _linears(self.trunk.layers)
        (value_in, value_out), (adv_in, adv_out) = (
            _linears(stream.layers) for stream in (self.value, self.advantage)
        )
        both = (np.concatenate([value_in[0], adv_in[0]]), np.concatenate([value_in[1], adv_in[1]]))
        actions = len(adv_out[1])
        centred = np.eye(actions, dtype=np.float32) - np.float32(1 / actions)
        last = np.concatenate([np.repeat(value_out[0], actions, 0), centred @ adv_out[0]], axis=1)
        layers = [*shared, both, (last, value_out[1] + centred @ adv_out[1])]
        hidden = tuple(len(bias) for _, bias in layers[:-1])
        return MlpArrays(hidden, self.activation, False, _named(layers))
