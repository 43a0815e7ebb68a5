"""The fused kernels agree with autograd, and never choose what is masked."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import chisquare

from compagnon.errors import InputError
from compagnon.rl.fast import masked, protocol

MANY = 256  # enough rows for the threads to be used
FEW = 5


def case(batch: int, actions: int, seed: int = 0, spread: float = 2.0):
    rng = np.random.default_rng(seed)
    logits = (spread * rng.normal(size=(batch, actions))).astype(np.float32)
    mask = rng.random((batch, actions)) < 0.6
    mask[np.arange(batch), rng.integers(actions, size=batch)] = True
    mask[0] = np.arange(actions) == 1  # a row with one choice
    return rng, logits, mask


def sample(logits, mask, uniforms):
    actions = np.full(len(logits), -7, np.int64)
    log_probs = np.full(len(logits), np.nan, np.float32)
    masked.sample_actions(logits, mask, uniforms, actions, log_probs)
    return actions, log_probs


def log_softmax(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """0 stands where the mask is False."""
    log_p = torch.log_softmax(logits.masked_fill(~mask, -torch.inf), dim=1)
    return torch.where(mask, log_p, torch.zeros_like(log_p))


# -- the gradients ------------------------------------------------------------------------------


def ppo_by_autograd(logits, mask, actions, old, advantages, clip, entropy_coef, reference, coef):
    x = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    possible = torch.tensor(mask)
    log_p = log_softmax(x, possible)
    p = log_p.exp() * possible
    log_q = log_softmax(torch.tensor(reference, dtype=torch.float64), possible)
    q = log_q.exp() * possible
    ratio = (log_p[torch.arange(len(logits)), torch.tensor(actions)] - torch.tensor(old)).exp()
    advantage = torch.tensor(advantages, dtype=torch.float64)
    surrogate = -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    entropy = -(p * log_p).sum(1)
    kl = (q * (log_q - log_p)).sum(1)
    loss = (surrogate - entropy_coef * entropy + coef * kl).mean()
    (gradient,) = torch.autograd.grad(loss, x)
    stats = torch.stack([surrogate, entropy, ratio - 1 - ratio.log(), kl, ratio])
    return gradient.numpy(), stats.detach().numpy()


@pytest.mark.parametrize("batch", [FEW, MANY])
@pytest.mark.parametrize("entropy_coef", [0.0, 0.1])
@pytest.mark.parametrize("reference_coef", [0.0, 0.7])
def test_ppo_s_gradient_is_autograd_s(batch, entropy_coef, reference_coef):
    rng, logits, mask = case(2 * batch, 30)  # the minibatch is half of the rollout
    rows = rng.permutation(2 * batch)[:batch]
    rows[0] = 0
    actions, log_probs = sample(logits, mask, rng.random(2 * batch))
    old = (log_probs + 0.4 * rng.normal(size=2 * batch)).astype(np.float32)
    advantages = rng.normal(size=2 * batch).astype(np.float32)
    reference = rng.normal(size=logits.shape).astype(np.float32)
    gradient = np.full((batch, 30), np.nan, np.float32)
    stats = np.full((batch, protocol.NUM_STATS), np.nan, np.float32)
    masked.ppo_gradient(
        logits[rows], mask, rows, actions, old, advantages, 0.2, entropy_coef,
        reference if reference_coef else np.zeros((1, 1), np.float32), reference_coef,
        gradient, stats,
    )  # fmt: skip
    wanted, wanted_stats = ppo_by_autograd(
        logits[rows], mask[rows], actions[rows], old[rows].astype(np.float64), advantages[rows],
        0.2, entropy_coef, reference[rows], reference_coef,
    )  # fmt: skip
    np.testing.assert_allclose(gradient, wanted, atol=2e-6 / batch, rtol=1e-4)
    assert (gradient[~mask[rows]] == 0).all()
    loss, entropy, approx_kl, kl, ratio = wanted_stats
    close = {"atol": 3e-6, "rtol": 1e-4}
    np.testing.assert_allclose(stats[:, protocol.LOSS], loss, **close)
    np.testing.assert_allclose(stats[:, protocol.ENTROPY], entropy, **close)
    np.testing.assert_allclose(stats[:, protocol.APPROX_KL], approx_kl, **close)
    np.testing.assert_allclose(stats[:, protocol.RATIO], ratio, **close)
    np.testing.assert_allclose(
        stats[:, protocol.REFERENCE_KL], kl if reference_coef else 0, **close
    )
    up, down = advantages[rows] > 0, advantages[rows] < 0
    clipped = (up & (ratio > 1.2)) | (down & (ratio < 0.8))
    np.testing.assert_array_equal(stats[:, protocol.CLIPPED], clipped)
    if batch == MANY:  # each way of clipping and of not clipping was met
        assert (up & clipped).any()
        assert (down & clipped).any()
        assert (up & (ratio < 0.8)).any()
        assert (down & (ratio > 1.2)).any()


def test_one_choice_gives_nothing_to_learn():
    logits = np.array([[3.0, -1.0, 7.0]], np.float32)
    mask = np.array([[False, True, False]])
    zero, one = np.zeros(1, np.int64), np.ones(1, np.int64)
    gradient = np.full_like(logits, np.nan)
    stats = np.empty((1, protocol.NUM_STATS), np.float32)
    masked.ppo_gradient(
        logits, mask, zero, one, np.zeros(1, np.float32), np.ones(1, np.float32), 0.2, 0.1,
        logits, 1.0, gradient, stats,
    )  # fmt: skip
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    assert stats[0, protocol.ENTROPY] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("batch", [FEW, MANY])
def test_extreme_logits_give_finite_numbers(batch):
    rng, logits, mask = case(batch, 30)
    logits = np.where(logits > 0, np.float32(1e4), np.float32(-1e4))
    actions, log_probs = sample(logits, mask, rng.random(batch))
    assert np.isfinite(log_probs).all()
    assert mask[np.arange(batch), actions].all()
    gradient = np.empty_like(logits)
    stats = np.empty((batch, protocol.NUM_STATS), np.float32)
    rows, ones = np.arange(batch), np.ones(batch, np.float32)
    masked.ppo_gradient(
        logits, mask, rows, actions, log_probs, ones, 0.2, 0.1, -logits, 1.0, gradient, stats
    )
    assert np.isfinite(gradient).all()
    assert np.isfinite(stats).all()


@pytest.mark.parametrize("batch", [FEW, MANY])
def test_logits_that_are_no_numbers_show_in_every_loss(batch):
    rng, logits, mask = case(batch, 30)
    actions, log_probs = sample(logits, mask, rng.random(batch))
    logits[2, actions[2]] = np.nan
    gradient = np.empty_like(logits)
    stats = np.empty((batch, protocol.NUM_STATS), np.float32)
    rows, ones = np.arange(batch), np.ones(batch, np.float32)
    masked.ppo_gradient(
        logits, mask, rows, actions, log_probs, ones, 0.2, 0.1, -logits, 1.0, gradient, stats
    )
    np.testing.assert_array_equal(np.isnan(stats[:, protocol.APPROX_KL]), rows == 2)
    np.testing.assert_array_equal(np.isnan(stats[:, protocol.ENTROPY]), rows == 2)


# -- the choices --------------------------------------------------------------------------------

UNIFORMS = st.floats(0, 1, exclude_max=True) | st.sampled_from([0.0, 1 - 2.0**-53])


@st.composite
def rows_to_choose_from(draw):
    batch, actions = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    values = st.floats(-1e4, 1e4, width=32)
    logits = draw(hnp.arrays(np.float32, (batch, actions), elements=values))
    mask = draw(hnp.arrays(np.bool_, (batch, actions)))
    for row in range(batch):
        mask[row, draw(st.integers(0, actions - 1))] = True
    uniforms = np.array([draw(UNIFORMS) for _ in range(batch)])
    return logits, mask, uniforms


@pytest.mark.full
@given(rows_to_choose_from())
@settings(max_examples=300, deadline=None)
def test_a_masked_action_is_never_drawn(rows):
    logits, mask, uniforms = rows
    actions, log_probs = sample(logits, mask, uniforms)
    every = np.arange(len(logits))
    assert mask[every, actions].all()
    allowed = np.where(mask, logits.astype(np.float64), -np.inf)
    shifted = allowed - allowed.max(axis=1, keepdims=True)
    wanted = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    # float32 logits near 1e4 are about 1e-3 apart
    np.testing.assert_allclose(log_probs, wanted[every, actions], atol=3e-3, rtol=1e-4)
    best = np.empty(len(logits), np.int64)
    masked.greedy_actions(logits, mask, best)
    np.testing.assert_array_equal(best, allowed.argmax(axis=1))


@pytest.mark.parametrize(("uniform", "action"), [(0.0, 1), (1 - 2.0**-53, 3)])
def test_the_edges_of_the_draw_are_the_first_and_the_last_possible_action(uniform, action):
    logits = np.log(np.array([[0.1, 0.2, 0.3, 0.1, 0.3]], np.float32))
    mask = np.array([[False, True, True, True, False]])
    actions, _ = sample(logits, mask, np.array([uniform]))
    assert actions[0] == action


def test_draws_come_as_often_as_their_probabilities_say():
    draws = 20_000
    mask = np.array([True, False, True, True, True, False])
    logits = np.array([0.0, 5.0, 1.0, -1.0, 0.5, 9.0], np.float32)
    actions, _ = sample(
        np.tile(logits, (draws, 1)),
        np.tile(mask, (draws, 1)),
        np.random.default_rng(0).random(draws),
    )
    p = np.exp(logits[mask].astype(np.float64))
    counts = np.bincount(actions, minlength=6)
    assert counts[~mask].sum() == 0
    assert chisquare(counts[mask], draws * p / p.sum()).pvalue > 0.001


@pytest.mark.parametrize("batch", [FEW, MANY])
def test_a_mask_that_allows_nothing_is_refused(batch):
    rng, logits, mask = case(batch, 8)
    mask[3] = False
    with pytest.raises(InputError, match="row 3 allows no action"):
        sample(logits, mask, rng.random(batch))
    with pytest.raises(InputError, match="row 3 allows no action"):
        masked.greedy_actions(logits, mask, np.empty(batch, np.int64))


@pytest.mark.parametrize("batch", [FEW, MANY])
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_not_chosen_from(batch, poison):
    rng, logits, mask = case(batch, 8)
    mask[2] = True
    logits[2, 5] = poison
    with pytest.raises(FloatingPointError, match="logits of row 2"):
        sample(logits, mask, rng.random(batch))
    with pytest.raises(FloatingPointError, match="logits of row 2"):
        masked.greedy_actions(logits, mask, np.empty(batch, np.int64))
    mask[2, 5] = False  # what is masked is not looked at
    sample(logits, mask, rng.random(batch))
    masked.greedy_actions(logits, mask, np.empty(batch, np.int64))


# -- threads ------------------------------------------------------------------------------------


def both(kernel):
    compiled = inspect.getclosurevars(kernel).nonlocals
    return compiled["serial"], compiled["parallel"]


@pytest.mark.full
def test_threads_do_not_change_a_bit():
    rng, logits, mask = case(MANY, 201)
    rows = rng.permutation(MANY)
    uniforms, ones = rng.random(MANY), np.ones(MANY, np.float32)
    reference = rng.normal(size=logits.shape).astype(np.float32)
    results = []
    for which in range(2):
        actions, log_probs = np.empty(MANY, np.int64), np.empty(MANY, np.float32)
        both(masked._sample)[which](logits, mask, uniforms, actions, log_probs)
        best = np.empty(MANY, np.int64)
        both(masked._greedy)[which](logits, mask, best)
        gradient, stats = np.empty_like(logits), np.empty((MANY, protocol.NUM_STATS), np.float32)
        both(masked.ppo_gradient)[which](
            logits[rows], mask, rows, actions, log_probs, ones, 0.2, 0.1, reference, 0.5,
            gradient, stats,
        )  # fmt: skip
        results.append([actions, log_probs, best, gradient, stats])
    for serial, parallel in zip(*results, strict=True):
        np.testing.assert_array_equal(serial, parallel)


@pytest.mark.parametrize("name", ["_sample", "_greedy", "ppo_gradient"])
def test_the_cache_tells_the_two_ways_of_compiling_apart(name):
    serial, parallel = both(getattr(masked, name))
    assert serial.py_func.__qualname__ != parallel.py_func.__qualname__
    assert parallel.targetoptions["parallel"]
    assert "parallel" not in serial.targetoptions
