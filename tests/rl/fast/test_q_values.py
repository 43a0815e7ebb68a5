"""Choices obey masks and epsilon; targets and gradients are those that autograd finds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.nn import functional

from compagnon.errors import InputError
from compagnon.rl.fast.q_values import (
    epsilon_greedy,
    td_gradient,
    td_targets,
)

ROWS, ACTIONS = 40, 5


def masks(rng: np.random.Generator, rows: int = ROWS) -> np.ndarray:
    """Some actions are impossible, never all of them."""
    mask = rng.random((rows, ACTIONS)) < 0.4
    mask[np.arange(rows), rng.integers(ACTIONS, size=rows)] = True
    return mask


def values_of(rng: np.random.Generator, rows: int = ROWS) -> np.ndarray:
    return rng.normal(size=(rows, ACTIONS)).astype(np.float32)


def choose(values, mask, epsilon, rng) -> np.ndarray:
    coins, draws = rng.random((2, len(values)))
    return epsilon_greedy(values, mask, np.full(len(values), epsilon), coins, draws)


# -- choices ------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_a_masked_action_is_never_chosen(seed, epsilon):
    rng = np.random.default_rng(seed)
    mask = masks(rng)
    actions = choose(values_of(rng), mask, epsilon, rng)
    assert mask[np.arange(ROWS), actions].all()


def test_epsilon_0_takes_the_best_that_is_possible():
    rng = np.random.default_rng(0)
    values, mask = values_of(rng), masks(rng)
    wanted = np.where(mask, values, -np.inf).argmax(axis=1)
    np.testing.assert_array_equal(choose(values, mask, 0.0, rng), wanted)
    assert (wanted != values.argmax(axis=1)).any()  # the mask mattered


def test_epsilon_1_draws_uniformly_from_what_is_possible():
    rng = np.random.default_rng(1)
    mask = np.tile(np.array([True, False, True, True, False]), (30_000, 1))
    counts = np.bincount(choose(values_of(rng, 30_000), mask, 1.0, rng), minlength=ACTIONS)
    assert counts[[1, 4]].sum() == 0
    assert stats.chisquare(counts[[0, 2, 3]]).pvalue > 0.001


def test_each_copy_has_an_epsilon_of_its_own():
    rng = np.random.default_rng(2)
    values = np.tile(np.array([0, 0, 9, 0, 0], np.float32), (20_000, 1))
    mask = np.ones(values.shape, np.bool_)
    epsilons = np.where(np.arange(20_000) % 2, 0.1, 0.9)
    coins, draws = rng.random((2, 20_000))
    greedy = epsilon_greedy(values, mask, epsilons, coins, draws) == 2
    # a random action may be the best one too
    for odd, epsilon in ((1, 0.1), (0, 0.9)):
        expected = 1 - epsilon * 4 / 5
        low, high = stats.binom.interval(0.999, 10_000, expected)
        assert low <= greedy[odd::2].sum() <= high


@pytest.mark.parametrize("draw", [0.0, np.nextafter(1.0, 0.0)])
def test_draws_at_the_ends_of_their_range_are_possible_actions(draw):
    mask = masks(np.random.default_rng(3))
    ones = np.ones(ROWS)
    actions = epsilon_greedy(np.zeros(mask.shape, np.float32), mask, ones, 0.0 * ones, draw * ones)
    position = 0 if draw == 0 else -1
    wanted = [np.flatnonzero(row)[position] for row in mask]
    np.testing.assert_array_equal(actions, wanted)


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
def test_a_mask_that_allows_nothing_is_refused(epsilon):
    rng = np.random.default_rng(4)
    mask = masks(rng)
    mask[3] = False
    with pytest.raises(InputError, match="row 3 allows no action"):
        choose(values_of(rng), mask, epsilon, rng)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_noticed(bad):
    rng = np.random.default_rng(5)
    values, mask = values_of(rng), np.ones((ROWS, ACTIONS), np.bool_)
    values[7, 4] = bad
    with pytest.raises(FloatingPointError, match="copy 7 are not finite"):
        choose(values, mask, 0.0, rng)
    mask[7, 4] = False  # what cannot be chosen does not matter
    choose(values, mask, 0.0, rng)


# -- targets ------------------------------------------------------------------------------------


def test_targets_by_hand():
    """r = 1, d = 1/2; the network prefers action 0, which is masked, then 2; the target 1."""
    online = np.array([[9, 1, 5]], np.float32)
    target = np.array([[90, 40, 20]], np.float32)
    mask = np.array([[False, True, True]])
    reward, discount = np.ones(1, np.float32), np.full(1, 0.5, np.float32)
    assert td_targets(reward, discount, target, target, mask).tolist() == [1 + 0.5 * 40]
    assert td_targets(reward, discount, online, target, mask).tolist() == [1 + 0.5 * 20]
    assert td_targets(reward, 0 * discount, online, target, mask).tolist() == [1.0]


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=100, deadline=None)
def test_targets_are_those_of_the_formulas(seed, double):
    rng = np.random.default_rng(seed)
    online, target, mask = values_of(rng), values_of(rng), masks(rng)
    rewards = rng.normal(size=ROWS).astype(np.float32)
    discounts = rng.choice([0, 0.9, 0.81], ROWS).astype(np.float32)
    if double:  # Q~(s', argmax Q)
        best = np.where(mask, online, -np.inf).argmax(axis=1)
        following = target[np.arange(ROWS), best]
    else:
        following = np.where(mask, target, -np.inf).max(axis=1)
    found = td_targets(rewards, discounts, online if double else target, target, mask)
    np.testing.assert_allclose(found, rewards + discounts * following, rtol=1e-6)
    assert found.dtype == np.float32


def test_behind_a_true_end_nothing_is_read():
    nothing = np.full((2, ACTIONS), np.nan, np.float32)
    none_possible = np.zeros((2, ACTIONS), np.bool_)
    rewards, ends = np.array([1, 2], np.float32), np.zeros(2, np.float32)
    assert td_targets(rewards, ends, nothing, nothing, none_possible).tolist() == [1, 2]


# -- gradients ----------------------------------------------------------------------------------


@pytest.mark.parametrize("huber", [True, False])
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 1.0, 100.0]))
@settings(max_examples=50, deadline=None)
def test_the_gradient_is_autograd_s(huber, seed, scale):
    rng = np.random.default_rng(seed)
    values = (scale * values_of(rng)).astype(np.float32)
    actions = rng.integers(ACTIONS, size=ROWS)
    targets = rng.normal(size=ROWS).astype(np.float32)
    weights = rng.random(ROWS).astype(np.float32)
    given_values = torch.from_numpy(values.copy()).requires_grad_()
    chosen = given_values.gather(1, torch.from_numpy(actions)[:, None])[:, 0]
    measure = functional.smooth_l1_loss if huber else functional.mse_loss
    losses = measure(chosen, torch.from_numpy(targets), reduction="none")
    wanted = (torch.from_numpy(weights) * losses).mean()
    wanted.backward()
    gradient, errors, (loss, q_mean, error_mean) = td_gradient(
        values, actions, targets, weights, huber
    )
    np.testing.assert_allclose(gradient, given_values.grad.numpy(), rtol=1e-5, atol=1e-7)
    assert gradient.dtype == np.float32
    difference = (chosen.detach() - torch.from_numpy(targets)).numpy()
    np.testing.assert_allclose(errors, difference, rtol=1e-6)
    assert loss == pytest.approx(wanted.item(), rel=1e-4)
    assert q_mean == pytest.approx(chosen.mean().item(), rel=1e-3, abs=1e-5)
    assert error_mean == pytest.approx(np.abs(difference).mean(), rel=1e-4)


def test_losses_by_hand():
    """Errors 1/2 and -3: Huber 1/8 and 5/2, squares 1/4 and 9; weights 1 and 2, mean of two."""
    values = np.array([[0.5, 7], [7, -3]], np.float32)
    actions, targets = np.array([0, 1]), np.zeros(2, np.float32)
    weights = np.array([1, 2], np.float32)
    gradient, errors, (loss, _, error_mean) = td_gradient(values, actions, targets, weights, True)
    assert loss == (1 / 8 + 2 * 5 / 2) / 2
    assert gradient.tolist() == [[0.25, 0], [0, -1]]
    assert (errors.tolist(), error_mean) == ([0.5, -3], 1.75)
    gradient, _, (loss, _, _) = td_gradient(values, actions, targets, weights, False)
    assert loss == (1 / 4 + 2 * 9) / 2
    assert gradient.tolist() == [[0.5, 0], [0, -6]]
