"""DQN's fast path is its plain one: the same losses, the same gradients, the same learning."""

import copy

import numpy as np
import pytest
import torch

from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.dqn import DQN, AutogradSteps
from compagnon.rl.fast.dqn import FastSteps, fast_steps
from tests.rl.cases import CASES
from tests.rl.small import through_disk
from tests.tiers import full

NAMES = [name for name, case in CASES.items() if case.kind == "dqn" and "pairwise" not in name]
EVERY = pytest.mark.parametrize(
    "name", [name if name == "dqn, everything" else full(name) for name in NAMES]
)


def dqn_of(name: str, fast: bool = True, **changes) -> DQN:
    case = CASES[name]
    algorithm, network = build_algorithm(case.recipe(algorithm={**case.algorithm, **changes}))
    assert isinstance(algorithm, DQN)
    assert isinstance(algorithm.steps, FastSteps)  # chosen by itself
    if not fast:
        algorithm.steps = AutogradSteps(network.actor, algorithm.target, algorithm.settings)
    return algorithm


@EVERY
@pytest.mark.parametrize("bounds", [{}, {"max_grad_value": 0.01, "max_grad_norm": 0.02}])
@pytest.mark.parametrize("loss", ["huber", "squared"])
def test_losses_and_steps_are_those_of_autograd(name, bounds, loss):
    """In single precision: losses within 1e-4, one step of Adam within 2 % of its size."""
    dqn = dqn_of(name, loss=loss, **bounds)
    dqn.iterate()
    network = dqn.network
    online, target = copy.deepcopy(network.actor), copy.deepcopy(dqn.target)
    plain = AutogradSteps(online, target, dqn.settings)
    rows, weights = dqn._draw()
    batch = dqn.replay.take(rows)
    batch = batch._replace(obs=network.scaled(batch.obs), next_obs=network.scaled(batch.next_obs))
    fast = fast_steps(copy.deepcopy(network.actor), copy.deepcopy(dqn.target), dqn.settings)
    found, wanted = fast.losses(batch, weights), plain.losses(batch, weights)
    np.testing.assert_allclose(found.errors, wanted.errors, rtol=1e-4, atol=1e-5)
    assert found[1:] == pytest.approx(wanted[1:], rel=1e-4, abs=1e-6)
    np.testing.assert_allclose(
        fast.values(batch.obs), plain.values(batch.obs), rtol=1e-4, atol=1e-5
    )
    assert fast.step(1e-3) == pytest.approx(plain.step(1e-3), rel=1e-4)
    np.testing.assert_allclose(
        fast.values(batch.obs), plain.values(batch.obs), rtol=1e-3, atol=1e-4
    )


def test_gradients_are_those_of_autograd():
    dqn = dqn_of("dqn")
    dqn.iterate()
    network, batch = dqn.network, dqn.replay.take(dqn._draw()[0])
    weights = np.linspace(0.5, 1.0, len(batch.rewards)).astype(np.float32)
    plain_network = copy.deepcopy(network.actor)
    plain = AutogradSteps(plain_network, dqn.target, dqn.settings)
    dqn.steps.losses(batch, weights)
    plain.losses(batch, weights)
    dqn.steps._online.backward(dqn.steps._gradient)
    plain._loss.backward()
    wanted = torch.cat([p.grad.reshape(-1) for p in plain_network.parameters()]).numpy()
    found = torch.cat([p.grad.reshape(-1) for p in network.actor.parameters()]).numpy()
    assert np.abs(found - wanted).max() <= 3e-6 * np.linalg.norm(wanted)
    assert np.abs(1.001 * found - wanted).max() > 3e-6 * np.linalg.norm(wanted)  # it would be seen


@EVERY
def test_both_paths_learn_the_same(name):
    fast, plain = dqn_of(name), dqn_of(name, fast=False)
    for _ in range(2):
        one, other = fast.iterate(), plain.iterate()
        assert one.keys() == other.keys()
        for key in ("loss", "q_mean", "td_error", "grad_norm"):
            assert one.get(key, 0) == pytest.approx(other.get(key, 0), rel=5e-2, abs=2e-3), key


def test_the_plain_path_resumes_bit_for_bit():
    whole, halves = (dqn_of("dqn, everything", fast=False) for _ in "ab")
    whole.iterate()
    halves.load_state_dict(through_disk(whole.state_dict()))
    halves.network.load_state_dict(through_disk(whole.network.state_dict()))
    assert whole.iterate() == halves.iterate()


def test_a_network_that_is_unknown_takes_the_plain_path():
    layer = torch.nn.Linear(3, 2)
    assert fast_steps(layer, layer, dqn_of("dqn").settings) is None
