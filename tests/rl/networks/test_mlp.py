"""Perceptrons written by hand do, forward and backward, what torch's own layers do."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from compagnon.policy.manifest import Manifest, MlpSpec
from compagnon.policy.network import network_policy
from compagnon.policy.schema import ActionSchema, ObservationSchema, Schema
from compagnon.rl.networks.mlp import DuelingMlp, Mlp, MlpArrays, NormedMlp, make_mlp

ACTIVATIONS = pytest.mark.parametrize("activation", ["tanh", "relu"])
LAYERS = pytest.mark.parametrize("sizes", [(4, 3), (4, 16, 3), (4, 16, 8, 5, 1)], ids=str)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shaken(module: nn.Module, seed: int = 1) -> None:
    """Away from where it was made, so that biases and norms matter."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=seeded(seed)))


def torch_s_own(mlp: Mlp) -> nn.Sequential:
    """The same layers from torch's parts, with weights of their own."""
    parts: list[nn.Module] = []
    for index, (fan_in, fan_out) in enumerate(pairwise(mlp.sizes)):
        layer = nn.Linear(fan_in, fan_out).to(mlp.layers[index].weight.dtype)
        layer.load_state_dict(mlp.layers[index].state_dict())
        parts.append(layer)
        if index < len(mlp.sizes) - 2 or mlp.activate_output:
            parts.append(nn.Tanh() if mlp.activation == "tanh" else nn.ReLU())
    return nn.Sequential(*parts)


def inputs(rows: int = 32, columns: int = 4, seed: int = 2) -> torch.Tensor:
    return torch.randn(rows, columns, generator=seeded(seed))


def played(plain: MlpArrays, x: torch.Tensor) -> np.ndarray:
    """What a policy on the torch-free floor makes of the same network."""
    sizes = [x.shape[1], *plain.hidden, len(plain.weights[f"actor.{len(plain.hidden)}.bias"])]
    schema = Schema("none", ObservationSchema(()), ActionSchema("discrete", sizes[-1]))
    manifest = Manifest(
        name="plain",
        schema=schema,
        schema_sha256="",
        network=MlpSpec(
            hidden=plain.hidden, activation=plain.activation, layer_norm=plain.layer_norm
        ),
        scaler=None,
        weights_sha256="",
    )
    return network_policy(manifest, plain.weights).outputs(x.numpy())


# -- against autograd ---------------------------------------------------------------------------


@ACTIVATIONS
@LAYERS
@pytest.mark.parametrize("activate_output", [False, True])
def test_outputs_and_gradients_are_autograd_s(sizes, activation, activate_output):
    mlp = Mlp(sizes, activation, 1.0, seeded(), activate_output)
    shaken(mlp)
    own = torch_s_own(mlp)
    x, same_x = inputs().requires_grad_(), inputs().requires_grad_()
    outputs, wanted = mlp(x), own(same_x)
    torch.testing.assert_close(outputs, wanted)
    pull = torch.randn(outputs.shape, generator=seeded(3))
    outputs.backward(pull)
    wanted.backward(pull)
    torch.testing.assert_close(x.grad, same_x.grad)
    for one, other in zip(mlp.parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@ACTIVATIONS
@pytest.mark.parametrize("activate_output", [False, True])
def test_gradients_are_those_of_finite_differences(activation, activate_output):
    mlp = Mlp((3, 5, 4, 2), activation, 1.0, seeded(), activate_output).double()
    shaken(mlp)
    x = inputs(6, 3).double().requires_grad_()
    weights = tuple(mlp.parameters())

    def said(x: torch.Tensor, *_weights: torch.Tensor) -> torch.Tensor:
        return mlp(x)

    assert torch.autograd.gradcheck(said, (x, *weights))
    assert torch.autograd.gradcheck(mlp.with_weights_fixed, (x,))


@ACTIVATIONS
@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
def test_with_weights_fixed_gradients_reach_the_inputs_alone(activation, norm):
    mlp = make_mlp((4, 16, 8, 2), activation, 1.0, seeded(), norm)
    shaken(mlp)
    mlp.eval()
    x, same_x = inputs().requires_grad_(), inputs().requires_grad_()
    fixed, free = mlp.with_weights_fixed(x), mlp(same_x)
    torch.testing.assert_close(fixed, free)
    pull = torch.randn(fixed.shape, generator=seeded(3))
    fixed.backward(pull)
    assert all(parameter.grad is None for parameter in mlp.parameters())
    free.backward(pull)
    torch.testing.assert_close(x.grad, same_x.grad)
    assert all(parameter.grad is not None for parameter in mlp.parameters())
    assert all(parameter.requires_grad for parameter in mlp.parameters())


def test_gradients_add_up_over_two_passes():
    mlp = Mlp((4, 8, 2), "tanh", 1.0, seeded())
    own = torch_s_own(mlp)
    for seed in (2, 3):
        mlp(inputs(seed=seed)).sum().backward()
        own(inputs(seed=seed)).sum().backward()
    for one, other in zip(mlp.parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@ACTIVATIONS
def test_a_pass_leaves_its_input_and_its_weights_as_they_are(activation):
    mlp = Mlp((4, 8, 8), activation, 1.0, seeded(), activate_output=True)
    x, before = inputs(), [parameter.detach().clone() for parameter in mlp.parameters()]
    mlp(x).sum().backward()
    torch.testing.assert_close(x, inputs(), rtol=0, atol=0)
    for one, other in zip(mlp.parameters(), before, strict=True):
        torch.testing.assert_close(one.detach(), other, rtol=0, atol=0)


# -- as made ------------------------------------------------------------------------------------


def test_layers_are_orthogonal_and_the_last_has_its_gain():
    mlp = Mlp((8, 8, 8), "tanh", 0.01, seeded())
    for layer, gain in zip(mlp.layers, (2**0.5, 0.01), strict=True):
        direction = layer.weight.detach() / gain
        torch.testing.assert_close(direction @ direction.T, torch.eye(8), rtol=1e-4, atol=1e-5)
        assert not layer.bias.any()


def test_what_others_draw_does_not_matter():
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        made.append(Mlp((4, 8, 2), "tanh", 1.0, seeded()))
    for one, other in zip(made[0].parameters(), made[1].parameters(), strict=True):
        assert torch.equal(one, other)


# -- norms --------------------------------------------------------------------------------------


def normed(norm: str, activation: str = "relu", activate_output: bool = False) -> NormedMlp:
    """One whose norms have weights, and whose batch norm has seen batches off 0 and 1."""
    mlp = make_mlp((4, 16, 8, 3), activation, 1.0, seeded(), norm, activate_output)
    assert isinstance(mlp, NormedMlp)
    shaken(mlp)
    mlp.train()
    for seed in range(5):
        mlp(5 + 3 * inputs(seed=seed))
    return mlp.eval()


@ACTIVATIONS
def test_layer_norm_is_that_of_the_formula(activation):
    mlp = make_mlp((4, 6, 2), activation, 1.0, seeded(), "layer")
    shaken(mlp)
    first, last = (layer for layer in mlp.layers)
    x = inputs()
    hidden = (x @ first.weight.T + first.bias).detach().numpy().astype(np.float64)
    hidden = (hidden - hidden.mean(1, keepdims=True)) / np.sqrt(hidden.var(1, keepdims=True) + 1e-5)
    weight, bias = (part.detach().numpy() for part in (mlp.norms[0].weight, mlp.norms[0].bias))
    hidden = hidden * weight + bias
    hidden = np.tanh(hidden) if activation == "tanh" else np.maximum(hidden, 0)
    wanted = hidden @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    np.testing.assert_allclose(mlp(x).detach().numpy(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activate_output", [False, True])
def test_every_hidden_layer_is_normed_and_no_output_is(activate_output):
    mlp = normed("layer", activate_output=activate_output)
    assert len(mlp.norms) == (3 if activate_output else 2)


@ACTIVATIONS
@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_a_policy_does_what_a_normed_network_does_when_it_is_not_trained(norm, activation):
    mlp = normed(norm, activation)
    x = 5 + 3 * inputs(64, seed=9)
    plain = mlp.to_arrays()
    assert plain.layer_norm == (norm == "layer")
    wanted = mlp(x).detach().numpy()
    np.testing.assert_allclose(played(plain, x), wanted, rtol=1e-4, atol=1e-4)
    if norm == "batch":  # and it matters which statistics are used
        mlp.train()
        assert np.abs(mlp(x).detach().numpy() - wanted).max() > 0.1


def test_a_unit_that_hardly_varied_is_folded_as_the_network_reads_it():
    """Where the variance is as small as what is added to it, leaving that out would show."""
    mlp = normed("batch")
    with torch.no_grad():
        for norm in mlp.norms:
            norm.running_var[::2] = 1e-5
    x = inputs(64, seed=9)
    wanted = mlp(x).detach().numpy()
    np.testing.assert_allclose(played(mlp.to_arrays(), x), wanted, rtol=1e-3, atol=1e-2)
    assert np.abs(wanted).max() > 100


# -- plain --------------------------------------------------------------------------------------


@ACTIVATIONS
@LAYERS
def test_plain_is_the_same_function(sizes, activation):
    mlp = Mlp(sizes, activation, 1.0, seeded())
    shaken(mlp)
    x = inputs()
    np.testing.assert_allclose(
        played(mlp.to_arrays(), x), mlp(x).detach().numpy(), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["bare", "layer", "batch", "dueling"])
def test_plain_is_a_copy(kind):
    mlp = (
        DuelingMlp((4, 8, 3), "tanh", seeded())
        if kind == "dueling"
        else make_mlp((4, 8, 3), "tanh", 1.0, seeded(), "none" if kind == "bare" else kind)
    )
    plain = mlp.to_arrays()
    before = {name: array.copy() for name, array in plain.weights.items()}
    shaken(mlp)
    for name, array in plain.weights.items():
        np.testing.assert_array_equal(array, before[name])


# -- dueling ------------------------------------------------------------------------------------


@ACTIVATIONS
@pytest.mark.parametrize("sizes", [(4, 8, 3), (4, 16, 8, 5), (4, 16, 12, 8, 1)], ids=str)
def test_dueling_is_equation_9(sizes, activation):
    dueling = DuelingMlp(sizes, activation, seeded())
    shaken(dueling)
    x = inputs()
    act = torch.tanh if activation == "tanh" else torch.relu
    hidden = x
    if dueling.trunk is not None:
        for layer in dueling.trunk.layers:
            hidden = act(layer(hidden))
    value, advantage = (
        stream.layers[1](act(stream.layers[0](hidden)))
        for stream in (dueling.value, dueling.advantage)
    )
    wanted = value + advantage - advantage.mean(dim=1, keepdim=True)
    outputs = dueling(x)
    torch.testing.assert_close(outputs, wanted)
    pull = torch.randn(outputs.shape, generator=seeded(3))
    found = torch.autograd.grad(outputs, tuple(dueling.parameters()), pull)
    for one, other in zip(
        found, torch.autograd.grad(wanted, tuple(dueling.parameters()), pull), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_the_mean_of_dueling_values_is_the_state_s_value():
    dueling = DuelingMlp((4, 8, 8, 5), "tanh", seeded())
    shaken(dueling)
    x = inputs()
    torch.testing.assert_close(dueling(x).mean(1), dueling.value(dueling.trunk(x))[:, 0])


@ACTIVATIONS
@pytest.mark.parametrize("sizes", [(4, 8, 3), (4, 16, 8, 5), (4, 16, 12, 8, 1)], ids=str)
def test_dueling_as_one_perceptron_is_the_same_function(sizes, activation):
    dueling = DuelingMlp(sizes, activation, seeded())
    shaken(dueling)
    x = inputs()
    plain = dueling.to_arrays()
    assert plain.hidden == (*sizes[1:-2], 2 * sizes[-2])
    np.testing.assert_allclose(played(plain, x), dueling(x).detach().numpy(), rtol=1e-4, atol=1e-5)
