"""Draws of vectors: within the bounds, the same for ever, and with exactly the density said."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from compagnon.errors import InputError
from compagnon.policy.vector_sampling import Bounds, draw_vector, log_density

ONE = Bounds([-2.0], [1.0])


def density(action, mean, std, bounds=ONE, epsilon=0.0):
    return math.exp(log_density([action], [mean], [std], bounds, epsilon))


def test_a_seed_gives_one_vector_for_ever():
    bounds = Bounds([-1.0, 0.0], [1.0, 5.0])
    drawn = draw_vector([0.2, 2.0], [0.5, 1.0], bounds, 0.1, 12345)
    assert drawn.action.dtype == np.float32
    assert drawn.action.tolist() == [0.8508260250091553, 0.13808764517307281]
    assert drawn.log_density == log_density(drawn.action, [0.2, 2.0], [0.5, 1.0], bounds, 0.1)


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.7), (0.9, 0.4), (-3.0, 1.0), (5.0, 2.0)])
def test_lengths_and_points_together_hold_all_of_the_probability(mean, std, epsilon):
    inside, _ = integrate.quad(
        lambda a: density(a, mean, std, epsilon=epsilon), -2.0, 1.0,
        points=[min(max(mean, -1.99), 0.99)],
    )  # fmt: skip
    on_bounds = sum(density(a, mean, std, epsilon=epsilon) for a in (-2.0, 1.0))
    assert inside + on_bounds == pytest.approx(1.0, abs=1e-6)


def test_the_density_by_hand():
    # A normal of mean 0 and deviation 1 within [-2, 1], explored with 0.2 over a width of 3.
    assert density(0.0, 0.0, 1.0) == pytest.approx(1 / math.sqrt(2 * math.pi), rel=1e-12)
    assert density(1.0, 0.0, 1.0) == pytest.approx(0.158655253931457, rel=1e-12)
    assert density(-2.0, 0.0, 1.0) == pytest.approx(0.0227501319481792, rel=1e-12)
    mixed = 0.8 / math.sqrt(2 * math.pi) + 0.2 / 3
    assert density(0.0, 0.0, 1.0, epsilon=0.2) == pytest.approx(mixed, rel=1e-12)
    # Exploration never is on a bound, so it adds nothing there.
    assert density(1.0, 0.0, 1.0, epsilon=0.2) == pytest.approx(0.8 * 0.158655253931457)
    assert density(1.5, 0.0, 1.0, epsilon=0.2) == 0.0


def test_a_policy_that_is_sure_is_a_point():
    assert density(0.5, 0.5, 0.0) == 1.0
    assert density(0.25, 0.5, 0.0) == 0.0
    assert density(0.5, 0.5, 0.0, epsilon=0.1) == pytest.approx(0.9)
    assert density(0.25, 0.5, 0.0, epsilon=0.1) == pytest.approx(0.1 / 3)
    assert density(1.0, 7.0, 0.0, epsilon=0.1) == pytest.approx(0.9)  # its action is a bound
    assert density(1.0, 0.5, 0.0, epsilon=0.1) == 0.0
    drawn = draw_vector([0.3], [0.0], ONE, 0.0, 5)
    assert (drawn.action[0], drawn.log_density) == (np.float32(0.3), 0.0)


def test_components_multiply_and_exploration_moves_all_of_them():
    bounds = Bounds([-2.0, 0.0], [1.0, 4.0])
    both = log_density([0.0, 1.0], [0.0, 1.0], [1.0, 2.0], bounds, 0.0)
    assert both == pytest.approx(-math.log(2 * math.pi * 2), rel=1e-12)
    mixed = math.exp(log_density([0.0, 1.0], [0.0, 1.0], [1.0, 2.0], bounds, 0.5))
    assert mixed == pytest.approx(0.5 * math.exp(both) + 0.5 / 12, rel=1e-12)
    # One sure component: who plays it did not explore.
    half_sure = math.exp(log_density([0.0, 1.0], [0.0, 1.0], [1.0, 0.0], bounds, 0.5))
    assert half_sure == pytest.approx(0.5 / math.sqrt(2 * math.pi), rel=1e-12)


def test_a_component_that_cannot_move_changes_nothing():
    fixed = Bounds([-2.0, 3.0], [1.0, 3.0])
    for epsilon in (0.0, 0.4):
        drawn = draw_vector([0.0, 9.0], [1.0, 1.0], fixed, epsilon, 11)
        alone = log_density(drawn.action[:1], [0.0], [1.0], ONE, epsilon)
        assert drawn.action[1] == 3.0
        assert drawn.log_density == pytest.approx(alone, rel=1e-12)
    assert log_density([0.0, 2.0], [0.0, 9.0], [1.0, 1.0], fixed, 0.4) == -math.inf


@pytest.mark.parametrize("epsilon", [0.0, 0.4])
def test_the_draws_are_distributed_as_they_say(epsilon):
    mean, std = 0.4, 0.8
    drawn = [draw_vector([mean], [std], ONE, epsilon, seed * 7919) for seed in range(20_000)]
    actions = np.array([one.action[0] for one in drawn], np.float64)
    for bound in (-2.0, 1.0):
        mass = density(bound, mean, std, epsilon=epsilon)
        found = (actions == bound).mean()
        assert abs(found - mass) < 5 * math.sqrt(mass * (1 - mass) / len(drawn))
    edges = np.linspace(-2.0, 1.0, 16)
    inside = actions[(actions > -2.0) & (actions < 1.0)]
    counts, _ = np.histogram(inside, edges)
    shares = [
        integrate.quad(lambda a: density(a, mean, std, epsilon=epsilon), a, b)[0]
        for a, b in zip(np.maximum(edges[:-1], -2 + 1e-12), np.minimum(edges[1:], 1 - 1e-12),
                        strict=True)
    ]  # fmt: skip
    expected = np.array(shares) / sum(shares) * len(inside)
    assert stats.chisquare(counts, expected).pvalue > 1e-3
    # The mean weight of one density over another is 1: what an evaluation off policy rests on.
    weights = [
        math.exp(log_density(one.action, [0.0], [0.6], ONE, 0.0) - one.log_density) for one in drawn
    ]
    assert abs(np.mean(weights) - 1) < 5 * np.std(weights) / math.sqrt(len(weights))


@example([(0.0, 6.8e-281, 0.0, 1.0)], 0.0, 0)
@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-50, 50), st.floats(0, 30), st.floats(-9, 9), st.floats(0, 9)),
             min_size=1, max_size=4),
    st.floats(0, 1), st.integers(0, 2**63 - 1),
)  # fmt: skip
def test_every_draw_is_within_the_bounds_and_has_a_density(parts, epsilon, seed):
    means, stds, lows, widths = zip(*parts, strict=True)
    low = np.array(lows, np.float32)
    widths = [0.0 if width < 1e-3 else width for width in widths]
    high = (low + np.array(widths, np.float32)).astype(np.float32)
    drawn = draw_vector(means, stds, Bounds(low, high), epsilon, seed)
    assert ((drawn.action >= low) & (drawn.action <= high)).all()
    assert math.isfinite(drawn.log_density)


def test_a_deviation_that_float32_cannot_show_is_a_sure_policy():
    drawn = draw_vector([0.3], [1e-9], ONE, 0.0, 7)
    assert drawn.action.tolist() == [np.float32(0.3)]
    assert drawn.log_density == 0.0
    assert density(np.float32(0.3), 0.3, 1e-9) == 1.0
    assert draw_vector([0.3], [1e-6], ONE, 0.0, 7).log_density > 5.0  # a density, not a probability


def test_what_has_no_bounds_is_drawn_and_not_explored():
    free = Bounds([-np.inf, 0.0], [np.inf, np.inf])
    drawn = draw_vector([3e38, 1.0], [1e38, 2.0], free, 0.0, 3)
    assert np.isfinite(drawn.action).all()
    assert math.isfinite(drawn.log_density)
    with pytest.raises(InputError, match="component 0 has no bounds"):
        draw_vector([0.0, 1.0], [1.0, 2.0], free, 0.1, 3)


@pytest.mark.parametrize(
    ("mean", "std", "epsilon", "words"),
    [
        ([math.nan], [1.0], 0.0, "finite"), ([0.0], [-1.0], 0.0, "finite"),
        ([0.0], [math.inf], 0.0, "finite"), ([0.0, 1.0], [1.0], 0.0, "1 numbers"),
        ([0.0], [1.0], 1.5, "epsilon"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_from(mean, std, epsilon, words):
    with pytest.raises(InputError, match=words):
        draw_vector(mean, std, ONE, epsilon, 1)
