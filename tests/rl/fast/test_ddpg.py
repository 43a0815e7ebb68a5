"""DDPG's fast path is its plain one: the same losses, the same gradients, the same learning."""

import copy

import numpy as np
import pytest
import torch

from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.ddpg import DDPG, AutogradSteps
from compagnon.rl.fast.ddpg import FastSteps
from tests.rl.cases import CASES
from tests.rl.small import through_disk
from tests.tiers import full

NAMES = [name for name, case in CASES.items() if case.kind == "ddpg"]
EVERY = pytest.mark.parametrize(
    "name", [name if name == "ddpg, box, td3" else full(name) for name in NAMES]
)


def ddpg_of(name: str, fast: bool = True) -> DDPG:
    algorithm, network = build_algorithm(CASES[name].recipe())
    assert isinstance(algorithm, DDPG)
    assert isinstance(algorithm.steps, FastSteps)  # chosen by itself
    if not fast:
        algorithm.steps = AutogradSteps(network, algorithm.settings)
    return algorithm


def moved(ddpg: DDPG, steps, network, which: str) -> tuple[np.ndarray, np.ndarray]:
    """What one step says, and how far it moves each weight."""
    batch = ddpg.replay.take(np.arange(16))
    x, mask = ddpg._read(batch.obs)
    actions = torch.from_numpy(batch.actions)
    if network.discrete:
        actions = torch.nn.functional.one_hot(actions, network.schema.action.n).float()
    targets = torch.linspace(-1, 1, len(x))
    part = network.actor if which == "actor" else network.critics
    before = torch.cat([p.detach().reshape(-1).clone() for p in part.parameters()])
    with torch.no_grad():
        if which == "actor":
            said = steps.actor(x, mask, 1e-2)
        else:
            said = steps.critics(x, actions, targets, 1e-2)
    after = torch.cat([p.detach().reshape(-1) for p in part.parameters()])
    return np.array(said), (after - before).numpy()


@EVERY
@pytest.mark.parametrize("which", ["actor", "critics"])
def test_losses_norms_and_steps_are_those_of_autograd(name, which):
    """Adam's first step has one size, so it tells signs; the norm tells the gradient's size."""
    ddpg = ddpg_of(name)
    ddpg.iterate()
    twins = [copy.deepcopy(ddpg.network) for _ in "ab"]
    found, fast = moved(ddpg, FastSteps(twins[0], ddpg.settings), twins[0], which)
    wanted, plain = moved(ddpg, AutogradSteps(twins[1], ddpg.settings), twins[1], which)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert np.abs(plain).max() > 5e-3
    assert (np.abs(fast - plain) > 1e-4).mean() < 0.02  # but where a gradient is all but 0


@pytest.mark.parametrize("which", ["actor", "critics"])
def test_gradients_are_those_of_autograd(which, monkeypatch):
    ddpg = ddpg_of("ddpg, box, td3")
    ddpg.iterate()
    twins = [copy.deepcopy(ddpg.network) for _ in "ab"]
    fast, plain = FastSteps(twins[0], ddpg.settings), AutogradSteps(twins[1], ddpg.settings)
    seen = []
    adam = fast._actor_adam if which == "actor" else fast._critic_adam
    monkeypatch.setattr(adam, "step", lambda: seen.append(adam.gradient.clone().numpy()) or 0.0)
    moved(ddpg, fast, twins[0], which)
    moved(ddpg, plain, twins[1], which)
    parts = plain.parts[0 if which == "actor" else 1]
    wanted = torch.cat([p.grad.reshape(-1) for p in parts]).numpy()
    assert np.abs(seen[0] - wanted).max() <= 3e-6 * np.linalg.norm(wanted)
    assert np.abs(1.001 * seen[0] - wanted).max() > 3e-6 * np.linalg.norm(wanted)


@EVERY
def test_both_paths_learn_the_same(name):
    fast, plain = ddpg_of(name), ddpg_of(name, fast=False)
    one, other = fast.iterate(), plain.iterate()
    assert one.keys() == other.keys()
    for key in ("critic_loss", "q_mean", "actor_q"):
        assert one.get(key, 0) == pytest.approx(other.get(key, 0), rel=5e-2, abs=5e-3), key


def test_the_plain_path_resumes_bit_for_bit():
    whole, halves = (ddpg_of("ddpg, box, td3", fast=False) for _ in "ab")
    whole.iterate()
    halves.load_state_dict(through_disk(whole.state_dict()))
    halves.network.load_state_dict(through_disk(whole.network.state_dict()))
    assert whole.iterate() == halves.iterate()
