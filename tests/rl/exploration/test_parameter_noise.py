"""Disturbed weights move actions as far as they are asked to."""

import numpy as np
import pytest
import torch

from compagnon.rl.exploration.parameter_noise import ParameterNoise
from compagnon.rl.networks.mlp import NormedMlp
from tests.rl.small import through_disk


def actor() -> NormedMlp:
    return NormedMlp([3, 32, 32, 2], "relu", 0.5, torch.Generator().manual_seed(0), "layer").eval()


STATES = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))


def says(network: torch.nn.Module) -> torch.Tensor:
    said: torch.Tensor = torch.tanh(network(STATES))
    return said


def distance(noise: ParameterNoise, rng: np.random.Generator, draws: int = 30) -> float:
    """The mean over disturbed copies of how far their actions are, by hand."""
    found = []
    for _ in range(draws):
        noise.disturb(rng)
        with torch.no_grad():
            moved = (says(noise.disturbed) - says(noise.actor)).numpy()
        found.append(float(np.sqrt((moved**2).mean())))
    return float(np.mean(found))


@pytest.mark.parametrize("target", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("std", [0.001, 1.0], ids=["too weak", "too strong"])
def test_it_reaches_the_distance_asked_for(target, std):
    noise, rng = ParameterNoise(actor(), std, target, factor=1.05), np.random.default_rng(0)
    before = distance(noise, rng)
    assert abs(before - target) > 0.3 * target
    for _ in range(200):
        noise.adapt(says, rng)
    assert distance(noise, rng) == pytest.approx(target, rel=0.2)


def test_one_adaptation_by_hand():
    noise = ParameterNoise(actor(), std=0.1, distance=1e9, factor=1.01)
    found = noise.adapt(says, np.random.default_rng(0))
    assert found > 0
    assert noise.std == 0.1 * 1.01
    noise.distance = 0.0
    noise.adapt(says, np.random.default_rng(0))
    assert noise.std == pytest.approx(0.1)


def test_the_disturbance_has_its_deviation_and_spares_the_norms():
    noise = ParameterNoise(actor(), std=0.3, distance=0.1)
    noise.disturb(np.random.default_rng(0))
    differences = []
    for name, weight in noise.disturbed.named_parameters():
        difference = weight - noise.actor.get_parameter(name)
        if "norms" in name:
            assert (difference == 0).all()
        else:
            differences.append(difference.detach().flatten())
    moved = torch.cat(differences)
    assert float(moved.std()) == pytest.approx(0.3, rel=0.05)
    assert abs(float(moved.mean())) < 0.03


def test_the_actor_stays_and_disturbances_do_not_add_up():
    noise, rng = ParameterNoise(actor(), std=0.3, distance=0.1), np.random.default_rng(0)
    wanted = actor().state_dict()
    for _ in range(100):
        noise.disturb(rng)
        noise.adapt(says, rng)
    for name, weight in noise.actor.state_dict().items():
        torch.testing.assert_close(weight, wanted[name])
    name = "layers.0.weight"
    moved = noise.disturbed.get_parameter(name) - noise.actor.get_parameter(name)
    assert float(moved.detach().std()) < 0.5  # a hundred disturbances on end would make it 3


def test_adapting_does_not_change_who_acts():
    noise, rng = ParameterNoise(actor(), std=0.3, distance=0.1), np.random.default_rng(0)
    noise.disturb(rng)
    acting = says(noise.disturbed)
    noise.adapt(says, rng)
    torch.testing.assert_close(says(noise.disturbed), acting)


def test_a_saved_disturbance_goes_on_as_the_same_one():
    noise, other = (ParameterNoise(actor(), 0.3, 0.1) for _ in range(2))
    rng = np.random.default_rng(0)
    noise.disturb(rng)
    noise.adapt(says, rng)
    other.load_state_dict(through_disk(noise.state_dict()))
    assert other.std == noise.std
    torch.testing.assert_close(says(other.disturbed), says(noise.disturbed))
