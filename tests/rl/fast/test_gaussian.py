"""The normal distribution's kernels are those of autograd and scipy, and know nothing of clips."""

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats
from torch.distributions import Normal, kl_divergence

from compagnon.rl.fast import gaussian, protocol

BATCH, SIZE = 64, 3
BY_STATE = pytest.mark.parametrize("by_state", [False, True])


def case(by_state: bool, batch: int = BATCH, seed: int = 0):
    rng = np.random.default_rng(seed)
    outputs = rng.normal(size=(batch, 2 * SIZE if by_state else SIZE)).astype(np.float32)
    log_std = (0.5 * rng.normal(size=SIZE)).astype(np.float32)
    return rng, outputs, log_std


def means_and_stds(outputs, log_std):
    means = outputs[:, :SIZE].astype(np.float64)
    log_stds = outputs[:, SIZE:] if outputs.shape[1] > SIZE else log_std
    return means, np.broadcast_to(np.exp(log_stds.astype(np.float64)), means.shape)


def sample(outputs, log_std, rng):
    noise = rng.standard_normal((len(outputs), SIZE)).astype(np.float32)
    actions, log_probs = np.full_like(noise, np.nan), np.full(len(outputs), np.nan, np.float32)
    gaussian.sample_actions(outputs, log_std, noise, actions, log_probs)
    return actions, log_probs


# -- sampling -----------------------------------------------------------------------------------


@BY_STATE
def test_log_densities_are_scipy_s(by_state):
    rng, outputs, log_std = case(by_state)
    actions, log_probs = sample(outputs, log_std, rng)
    means, stds = means_and_stds(outputs, log_std)
    wanted = scipy_stats.norm.logpdf(actions, means, stds).sum(axis=1)
    np.testing.assert_allclose(log_probs, wanted, rtol=1e-5, atol=1e-5)


@BY_STATE
def test_draws_are_distributed_as_they_should(by_state):
    rng, outputs, log_std = case(by_state, batch=1)
    actions, _ = sample(np.repeat(outputs, 20_000, axis=0), log_std, rng)
    means, stds = means_and_stds(outputs, log_std)
    for column in range(SIZE):
        drawn, mean, std = actions[:, column], means[0, column], stds[0, column]
        assert scipy_stats.kstest(drawn, "norm", (mean, std)).pvalue > 0.001
        assert scipy_stats.kstest(drawn, "norm", (mean, 1.1 * std)).pvalue < 1e-6
    assert abs(np.corrcoef(actions.T)[np.triu_indices(SIZE, 1)]).max() < 0.03


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_means_that_are_no_numbers_are_not_drawn_from(poison):
    rng, outputs, log_std = case(False)
    outputs[5, 1] = poison
    with pytest.raises(FloatingPointError, match="row 5"):
        sample(outputs, log_std, rng)


# -- the gradient -------------------------------------------------------------------------------


def by_autograd(outputs, log_std, actions, old, advantages, clip, entropy_coef, reference, coef):
    wide = torch.tensor(np.concatenate(means_and_stds(outputs, log_std), axis=1))
    wide[:, SIZE:] = wide[:, SIZE:].log()
    wide.requires_grad_()
    policy = Normal(wide[:, :SIZE], wide[:, SIZE:].exp())
    log_prob = policy.log_prob(torch.tensor(actions, dtype=torch.float64)).sum(1)
    ratio = (log_prob - torch.tensor(old, dtype=torch.float64)).exp()
    advantage = torch.tensor(advantages, dtype=torch.float64)
    surrogate = -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    entropy = policy.entropy().sum(1)
    start = torch.tensor(reference, dtype=torch.float64)
    kl = kl_divergence(Normal(start[:, :SIZE], start[:, SIZE:].exp()), policy).sum(1)
    loss = (surrogate - entropy_coef * entropy + coef * kl).mean()
    (gradient,) = torch.autograd.grad(loss, wide)
    stats = torch.stack([surrogate, entropy, ratio - 1 - ratio.log(), kl, ratio])
    return gradient.numpy(), stats.detach().numpy()


@BY_STATE
@pytest.mark.parametrize("entropy_coef", [0.0, 0.1])
@pytest.mark.parametrize("reference_coef", [0.0, 0.7])
def test_ppo_s_gradient_is_autograd_s(by_state, entropy_coef, reference_coef):
    rng, outputs, log_std = case(by_state, 2 * BATCH)  # the minibatch is half of the rollout
    rows = rng.permutation(2 * BATCH)[:BATCH]
    actions, log_probs = sample(outputs, log_std, rng)
    old = (log_probs + 0.4 * rng.normal(size=2 * BATCH)).astype(np.float32)
    advantages = rng.normal(size=2 * BATCH).astype(np.float32)
    reference = rng.normal(size=(2 * BATCH, 2 * SIZE)).astype(np.float32)
    gradient = np.full((BATCH, 2 * SIZE), np.nan, np.float32)
    stats = np.full((BATCH, protocol.NUM_STATS), np.nan, np.float32)
    gaussian.ppo_gradient(
        outputs[rows], log_std, rows, actions, old, advantages, 0.2, entropy_coef,
        reference if reference_coef else np.zeros((1, 1), np.float32), reference_coef,
        gradient, stats,
    )  # fmt: skip
    wanted, (loss, entropy, approx_kl, kl, ratio) = by_autograd(
        outputs[rows], log_std, actions[rows], old[rows], advantages[rows], 0.2, entropy_coef,
        reference[rows], reference_coef,
    )  # fmt: skip
    close = {"atol": 1e-5, "rtol": 1e-4}
    np.testing.assert_allclose(gradient, wanted, **close)
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
    for met in (up & clipped, down & clipped, up & (ratio < 0.8), down & (ratio > 1.2)):
        assert met.any()


def test_the_policy_that_drew_has_ratios_of_1():
    rng, outputs, log_std = case(False)
    actions, log_probs = sample(outputs, log_std, rng)
    assert np.abs(actions).max() > 1  # some of these the environment gets clipped
    stats = gradient_of(outputs, log_std, actions, log_probs, np.ones(BATCH, np.float32))[1]
    np.testing.assert_allclose(stats[:, protocol.RATIO], 1, atol=1e-5)
    assert (np.abs(stats[:, protocol.APPROX_KL]) < 1e-9).all()


def gradient_of(outputs, log_std, actions, log_probs, advantages):
    gradient = np.empty((len(actions), 2 * actions.shape[1]), np.float32)
    stats = np.empty((len(actions), protocol.NUM_STATS), np.float32)
    gaussian.ppo_gradient(
        outputs, log_std, np.arange(len(actions)), actions, log_probs, advantages, 0.2, 0.0,
        np.zeros((1, 1), np.float32), 0.0, gradient, stats,
    )  # fmt: skip
    return gradient, stats


# With mean m = 0.9, deviation s = 0.5 and reward clip(u, -1, 1), the expected reward climbs in m
# by P(-1 < u < 1) = Phi((1 - m) / s) - Phi((-1 - m) / s) = 0.579. The kernel's mean gradient
# over draws of u must be that, negated, whatever the baseline; with clipped actions in the place
# of u it is another number, and depends on the baseline.
@pytest.mark.parametrize(("baseline", "wrong"), [(0.0, -0.035), (0.747, 0.424)])
def test_the_gradient_is_that_of_the_reward_of_clipped_actions(baseline, wrong):
    draws, mean, std = 400_000, 0.9, 0.5
    rng = np.random.default_rng(0)
    u = (mean + std * rng.standard_normal((draws, 1))).astype(np.float32)
    outputs, log_std = np.full((draws, 1), mean, np.float32), np.log([std]).astype(np.float32)
    slope = scipy_stats.norm.cdf(0.1 / std) - scipy_stats.norm.cdf(-1.9 / std)

    def mean_gradient(kept):
        log_probs = scipy_stats.norm.logpdf(kept[:, 0], mean, std).astype(np.float32)
        advantage = np.clip(u[:, 0], -1, 1) - np.float32(baseline)  # whatever is kept
        return -gradient_of(outputs, log_std, kept, log_probs, advantage)[0][:, 0].sum()

    assert mean_gradient(u) == pytest.approx(slope, abs=0.01)
    assert mean_gradient(np.clip(u, -1, 1)) == pytest.approx(wrong, abs=0.01)


def test_outputs_that_are_no_numbers_show_in_every_loss():
    rng, outputs, log_std = case(False)
    actions, log_probs = sample(outputs, log_std, rng)
    outputs[2, 1] = np.nan
    ones = np.ones(BATCH, np.float32)
    stats = gradient_of(outputs, log_std, actions, log_probs, ones)[1]
    spoilt = np.arange(BATCH) == 2
    np.testing.assert_array_equal(np.isnan(stats[:, protocol.APPROX_KL]), spoilt)
