"""PPO's fast path is its plain one: the same losses, the same gradients, the same learning."""

import numpy as np
import pytest
import torch

from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.fast.ppo import FastSteps, fast_steps
from compagnon.rl.fast.protocol import LOSS, NUM_STATS
from compagnon.rl.ppo import PPO, AutogradSteps
from tests.rl.cases import CASES
from tests.rl.small import through_disk
from tests.tiers import full

NAMES = [name for name, case in CASES.items() if case.kind == "ppo" and "pairwise" not in name]
EVERY = pytest.mark.parametrize(
    "name", [name if name in ("ppo", "ppo, box") else full(name) for name in NAMES]
)


def ppo_of(name: str, fast: bool, **changes) -> PPO:
    """The algorithm of a case, on its fast path or its plain one."""
    case = CASES[name]
    algorithm, network = build_algorithm(case.recipe(algorithm={**case.algorithm, **changes}))
    assert isinstance(algorithm, PPO)
    assert isinstance(algorithm.steps, FastSteps)  # chosen by itself
    if not fast:
        algorithm.steps = AutogradSteps(network, algorithm.distribution, algorithm.settings)
    return algorithm


def gradients(ppo: PPO, rows: np.ndarray, batch) -> tuple[np.ndarray, np.ndarray]:
    """The losses of some rows, and all gradients in a row; the weights stay (a rate of 0)."""
    losses = ppo.steps.losses(batch, rows)
    ppo.steps.step((0.0, 0.0))
    parts = [p.grad for group in ppo.network.parameter_groups() for p in group]
    assert all(part is not None for part in parts)
    return np.append(losses.stats, losses.value), torch.cat(
        [part.detach().reshape(-1) for part in parts]
    ).numpy().copy()


@EVERY
@pytest.mark.parametrize("warmup", [False, True])
def test_losses_and_gradients_are_those_of_autograd(name, warmup):
    """In single precision: both paths round, so within some 1e-6 of the gradient's norm."""
    changes = {"max_grad_norm": 0.0, "entropy_coef": 0.02, "reference_coef": 0.3}
    fast = ppo_of(name, True, **changes)
    fast.iterate()  # ratios are no longer 1, and the start is no longer the policy
    fast._collect()
    plain = AutogradSteps(fast.network, fast.distribution, fast.settings)
    batch = fast.rollout.batch()
    whole = fast._train_batch(batch, *fast._credit(batch))
    if warmup and not fast.network.joint:
        whole = whole._replace(loss=None)
    rows = np.arange(len(batch.obs))[::2]
    with torch.no_grad():  # as after some minibatches of the same rollout
        for group in fast.network.parameter_groups():
            for parameter in group:
                parameter += 0.05 * torch.ones_like(parameter)
    stats, found = gradients(fast, rows, whole)
    own, fast.steps = fast.steps, plain
    wanted_stats, wanted = gradients(fast, rows, whole)
    fast.steps = own
    np.testing.assert_allclose(stats, wanted_stats, rtol=1e-4, atol=1e-4)
    assert len(wanted) == len(found)
    assert np.abs(found - wanted).max() <= 3e-6 * max(1.0, np.linalg.norm(wanted))
    assert np.linalg.norm(wanted) > 0


@EVERY
def test_both_paths_learn_the_same(name):
    """Rounding differs, and grows: after three iterations metrics are near, not equal."""
    fast, plain = ppo_of(name, True), ppo_of(name, False)
    for _ in range(3):
        one, other = fast.iterate(), plain.iterate()
        assert one.keys() == other.keys()
        for key in ("policy_loss", "value_loss", "entropy", "approx_kl", "explained_variance"):
            assert one[key] == pytest.approx(other[key], rel=2e-2, abs=2e-3), key


@pytest.mark.parametrize("name", ["ppo", "ppo, joint"])
def test_the_plain_path_resumes_bit_for_bit(name):
    whole, halves = ppo_of(name, False), ppo_of(name, False)
    whole.iterate()
    halves.load_state_dict(through_disk(whole.state_dict()))
    halves.network.load_state_dict(through_disk(whole.network.state_dict()))
    assert whole.iterate() == halves.iterate()


@pytest.mark.parametrize("name", ["ppo", "ppo, box"])
@pytest.mark.parametrize("fast", [True, False])
def test_weights_that_are_no_numbers_show_in_the_losses(name, fast):
    """They raise nothing there: the trainer says where training went wrong."""
    ppo = ppo_of(name, fast)
    ppo._collect()
    batch = ppo.rollout.batch()
    whole = ppo._train_batch(batch, *ppo._credit(batch))
    with torch.no_grad():
        next(iter(ppo.network.actor.parameters())).fill_(torch.nan)
    losses = ppo.steps.losses(whole, np.arange(len(batch.obs)))
    assert np.isnan(losses.stats[LOSS])
    assert np.isfinite(losses.value)


def test_a_network_that_is_unknown_takes_the_plain_path():
    ppo = ppo_of("ppo", True)
    ppo.network.actor = torch.nn.Linear(3, 2)
    assert fast_steps(ppo.network, ppo.distribution, ppo.settings) is None
    assert fast_steps(ppo.network, object(), ppo.settings) is None


def test_the_pairwise_network_takes_the_plain_path():
    ppo, _ = build_algorithm(CASES["ppo, pairwise"].recipe())
    assert isinstance(ppo.steps, AutogradSteps)


def test_a_wrong_gradient_would_be_seen():
    """The tolerance of the first test tells a fast path that is a thousandth off."""
    fast = ppo_of("ppo", True, max_grad_norm=0.0)
    fast._collect()
    batch = fast.rollout.batch()
    whole = fast._train_batch(batch, *fast._credit(batch))
    rows = np.arange(len(batch.obs))
    _, right = gradients(fast, rows, whole)
    _, wrong = gradients(fast, rows, whole._replace(advantages=whole.advantages * 1.001))
    assert np.abs(right - wrong).max() > 3e-6 * max(1.0, np.linalg.norm(right))
    assert NUM_STATS == 6
