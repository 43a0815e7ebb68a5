"""Walking a perceptron in numpy gives what torch's autograd gives."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.rl.fast.adam import FlatAdam
from compagnon.rl.fast.array_networks import NumpyMlp, TorchNetwork, array_network
from compagnon.rl.fast.kernels import adam_step
from compagnon.rl.networks.mlp import DuelingMlp, Mlp
from tests.rl.small import through_disk


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(deadline=None)  # compiling counts
@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=4),
    st.sampled_from(["tanh", "relu"]),
    st.booleans(),
    st.integers(1, 12),
)
def test_values_and_gradients_are_torch_s(sizes, activation, activate_output, rows):
    network = Mlp(sizes, activation, 1.0, generator(), activate_output)
    for bias in network.weights()[1::2]:
        torch.nn.init.normal_(bias, generator=generator(3))
    other = copy.deepcopy(network)
    FlatAdam(network.parameters(), 1e-3)
    arrays = NumpyMlp(network, learns=True)
    x = torch.randn(rows, sizes[0], generator=generator(1))
    gradient = torch.randn(rows, sizes[-1], generator=generator(2))
    wanted = other(x)
    wanted.backward(gradient)
    np.testing.assert_allclose(arrays.forward(x.numpy()), wanted.detach(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(arrays.outputs(x.numpy()), wanted.detach(), rtol=1e-4, atol=1e-5)
    arrays.backward(gradient.numpy().copy())
    for own, theirs in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(own.grad, theirs.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_what_is_no_number_is_not_hidden(activation):
    arrays = NumpyMlp(Mlp((2, 4, 1), activation, 1.0, generator()), learns=False)
    assert np.isnan(arrays.outputs(np.array([[np.nan, 1.0]], np.float32))).all()


def test_it_sees_what_torch_loads_into_the_network():
    network, other = (Mlp((3, 5, 2), "relu", 1.0, generator(seed)) for seed in (0, 1))
    FlatAdam(network.parameters(), 1e-3)
    arrays = NumpyMlp(network, learns=True)
    x = np.ones((4, 3), np.float32)
    before = arrays.outputs(x)
    network.load_state_dict(through_disk(dict(other.state_dict())))
    assert not np.allclose(arrays.outputs(x), before)
    np.testing.assert_allclose(
        arrays.outputs(x), other(torch.from_numpy(x)).detach(), rtol=1e-5, atol=1e-6
    )


def test_other_networks_are_left_to_torch():
    network = DuelingMlp((3, 6, 4), "relu", generator())
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    arrays = array_network(network, learns=True)
    assert isinstance(arrays, TorchNetwork)
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(arrays.forward(x), arrays.outputs(x))
    arrays.backward(np.ones((2, 4), np.float32))
    assert any(parameter.grad.abs().sum() > 0 for parameter in network.parameters())
    assert isinstance(array_network(Mlp((3, 2), "relu", 1.0, generator()), False), NumpyMlp)


def test_the_moments_of_a_dead_unit_become_zero_and_never_denormal():
    weights, gradient, first, second = np.zeros((4, 1), np.float32)
    for step in range(1, 1200):
        gradient[:] = 1e-12 if step == 1 else 0.0  # first moment 1e-13, then 0.9 of it each time
        adam_step(weights, gradient, first, second, step, 1e-3, 0.0, 0.0, 0.9, 0.999, 1e-8)
        for moment in (first[0], second[0]):
            assert moment == 0 or abs(moment) >= np.finfo(np.float32).tiny
    assert first[0] == 0
