"""One buffer for all parameters makes no difference to Adam, to bounds or to modules."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from compagnon.rl.fast.adam import FlatAdam
from compagnon.rl.networks.mlp import Mlp
from tests.rl.small import through_disk


def network() -> Mlp:
    return Mlp((4, 16, 8, 3), "tanh", 1.0, torch.Generator().manual_seed(0))


def pull(module: nn.Module, step: int, scale: float = 1.0) -> None:
    """Fill the gradients, from other inputs at each step."""
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(32, 4, generator=generator)
    target = torch.randn(32, 3, generator=generator)
    (scale * (module(x) - target) ** 2).mean().backward()


def both(steps: int = 30, scale: float = 1.0, **bounds: float) -> tuple[list[float], list[float]]:
    """Train two copies of a network, ours and torch's, and compare them at every step."""
    own, other = network(), network()
    flat = FlatAdam(own.parameters(), 1e-2, **bounds)
    adam = torch.optim.Adam(other.parameters(), lr=1e-2)
    norms: tuple[list[float], list[float]] = ([], [])
    for step in range(steps):
        pull(own, step, scale)
        pull(other, step, scale)
        whole = torch.cat([parameter.grad.flatten() for parameter in other.parameters()]).norm()
        norms[1].append(float(whole))
        if "max_grad_value" in bounds:
            nn.utils.clip_grad_value_(other.parameters(), bounds["max_grad_value"])
        if "max_grad_norm" in bounds:
            nn.utils.clip_grad_norm_(other.parameters(), bounds["max_grad_norm"])
        norms[0].append(flat.step())
        adam.step()
        adam.zero_grad()
        for one, wanted in zip(own.parameters(), other.parameters(), strict=True):
            np.testing.assert_allclose(one.detach(), wanted.detach(), rtol=1e-4, atol=1e-6)
    return norms


@pytest.mark.parametrize(
    "bounds",
    [
        {},
        {"max_grad_norm": 0.1},
        {"max_grad_norm": 1e3},
        {"max_grad_value": 1e-3},
        {"max_grad_value": 1e-3, "max_grad_norm": 5e-3},
    ],
    ids=["free", "norm", "a norm that is not reached", "value", "value, then norm"],
)
def test_it_is_adam_with_bounds(bounds):
    ours, torch_s = both(**bounds)
    assert ours == pytest.approx(torch_s, rel=1e-4)  # told before the bounds


def test_a_bound_matters():
    """Else the test above would say nothing of bounds."""
    ends = []
    for bounds in ({}, {"max_grad_norm": 0.1}, {"max_grad_value": 1e-3}):
        own = network()
        flat = FlatAdam(own.parameters(), 1e-2, **bounds)
        for step, scale in enumerate((1.0, 100.0, 1.0)):
            pull(own, step, scale)
            flat.step()
        ends.append(flat.flat.detach().clone())
    assert not torch.allclose(ends[0], ends[1])
    assert not torch.allclose(ends[0], ends[2])


@pytest.mark.parametrize("in_one_loop", [True, False])
@pytest.mark.parametrize(
    ("gradient", "norm", "value", "taken"),
    [
        ([100.0, 0.0], 10.0, 1.0, [1.0, 0.0]),  # its norm is 1 once the value is bounded
        ([100.0, -100.0], 1.0, 1.0, [0.5**0.5, -(0.5**0.5)]),
        ([3.0, 4.0], 1.0, 0.0, [0.6, 0.8]),
        ([3.0, 4.0], 0.0, 3.5, [3.0, 3.5]),
    ],
)
def test_values_are_bounded_before_the_norm(in_one_loop, gradient, norm, value, taken):
    """Read off Adam's first moment, which is a tenth of the gradient after one step."""
    weight = nn.Parameter(torch.zeros(2))
    flat = FlatAdam([weight], 1e-2, max_grad_norm=norm, max_grad_value=value)
    if not in_one_loop:
        flat._arrays = None  # as where the parameters are on another device
    flat.gradient[:] = torch.tensor(gradient)
    assert flat.step() == pytest.approx(float(np.linalg.norm(gradient)))
    (first,) = flat.state_dict()["first"][0]
    assert first.tolist() == pytest.approx([0.1 * each for each in taken], abs=1e-6)


def test_gradients_are_0_after_a_step():
    own = network()
    flat = FlatAdam(own.parameters(), 1e-2)
    pull(own, 0)
    assert all(parameter.grad.any() for parameter in own.parameters())
    flat.step()
    assert not any(parameter.grad.any() for parameter in own.parameters())


def test_making_it_changes_no_weight():
    own, before = network(), network()
    FlatAdam(own.parameters(), 1e-2)
    for one, other in zip(own.parameters(), before.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_state_loaded_into_the_module_is_what_is_trained():
    own, other = network(), Mlp((4, 16, 8, 3), "tanh", 1.0, torch.Generator().manual_seed(9))
    flat = FlatAdam(own.parameters(), 1e-2)
    own.load_state_dict(other.state_dict())
    whole = torch.cat([parameter.detach().flatten() for parameter in other.parameters()])
    assert torch.equal(flat.flat.detach(), whole)
    pull(own, 0)
    flat.step()
    assert not torch.equal(next(iter(own.parameters())), next(iter(other.parameters())))


def test_a_copy_of_the_module_is_left_alone():
    own = network()
    flat = FlatAdam(own.parameters(), 1e-2)
    twin = copy.deepcopy(own)
    pull(own, 0)
    flat.step()
    for one, other in zip(twin.parameters(), network().parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_learning_rate_can_be_changed():
    own = network()
    flat = FlatAdam(own.parameters(), 1e-2)
    flat.learning_rate = 1e-4
    assert flat.learning_rate == 1e-4
    before = flat.flat.detach().clone()
    pull(own, 0)
    flat.step()
    # Adam's first step is as long as the rate
    assert float((flat.flat.detach() - before).abs().max()) == pytest.approx(1e-4, rel=1e-2)


def test_restored_it_goes_on_as_the_saved_one():
    own, restored = network(), network()
    flat, again = (
        FlatAdam(each.parameters(), rate, max_grad_norm=1.0)
        for each, rate in ((own, 1e-2), (restored, 1e-2))
    )
    for step in range(3):
        pull(own, step)
        flat.step()
    state = through_disk({"flat": flat.state_dict(), "module": dict(own.state_dict())})
    again.load_state_dict(state["flat"])
    restored.load_state_dict(state["module"])
    for step in range(3, 6):
        for module, optimiser in ((own, flat), (restored, again)):
            pull(module, step)
            optimiser.step()
    assert torch.equal(flat.flat, again.flat)


def test_a_state_of_another_size_is_refused():
    flat = FlatAdam(network().parameters(), 1e-2)
    with pytest.raises((ValueError, KeyError)):
        flat.load_state_dict(torch.optim.Adam(network().parameters()).state_dict())
