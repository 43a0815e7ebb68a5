"""Noise has the statistics that theory gives it, and the boundary keeps it where it matters."""

import numpy as np
import pytest

from compagnon.rl.exploration.noise import (
    GaussianNoise,
    NoisyActions,
    OrnsteinUhlenbeck,
    boundary,
    boundary_slope,
)
from tests.rl.small import through_disk


def path(noise: OrnsteinUhlenbeck, steps: int, seed: int = 0) -> np.ndarray:
    """(steps, N, D)."""
    rng = np.random.default_rng(seed)
    return np.stack([noise.next(rng) for _ in range(steps)])


# -- Ornstein-Uhlenbeck -------------------------------------------------------------------------


@pytest.mark.parametrize(("std", "theta", "dt"), [(0.2, 0.15, 1.0), (1.0, 2.0, 0.01)])
def test_it_settles_at_the_deviation_that_theory_gives(std, theta, dt):
    noise = OrnsteinUhlenbeck(400, 3, std, theta, dt)
    seen = path(noise, int(8 / (theta * dt)))[-1]
    assert seen.mean() == pytest.approx(0.0, abs=4 * noise.stationary_std / 1200**0.5)
    # 1,200 independent values: their deviation is known to 2 %
    assert seen.std() == pytest.approx(noise.stationary_std, rel=0.08)


def test_with_small_steps_that_is_the_one_of_continuous_time():
    assert OrnsteinUhlenbeck(1, 1, 0.2, 0.15, 1e-4).stationary_std == pytest.approx(
        0.2 / (2 * 0.15) ** 0.5, rel=1e-4
    )
    # and with large ones it is not: x <- 0.5 x + N(0, 1) has variance 4 / 3
    assert OrnsteinUhlenbeck(1, 1, 1.0, 0.5, 1.0).stationary_std == pytest.approx((4 / 3) ** 0.5)


@pytest.mark.parametrize("lag", [1, 5, 20])
def test_its_correlation_decays_as_theory_says(lag):
    noise = OrnsteinUhlenbeck(500, 2, 1.0, 1.0, 0.05)
    seen = path(noise, 300)[-100:]
    now, later = seen[:-lag].reshape(-1), seen[lag:].reshape(-1)
    wanted = (1 - 0.05) ** lag
    assert (now * later).mean() / seen.var() == pytest.approx(wanted, abs=0.03)
    other = OrnsteinUhlenbeck(500, 2, 1.0, 2.0, 0.05)
    faster = path(other, 300)[-100:]
    correlation = (faster[:-lag] * faster[lag:]).mean() / faster.var()
    assert correlation < (now * later).mean() / seen.var()


def test_one_step_by_hand():
    noise = OrnsteinUhlenbeck(1, 2, std=0.3, theta=0.5, dt=0.04)
    noise.x[:] = [[1.0, -2.0]]
    draws = np.random.default_rng(3).standard_normal((1, 2))
    np.testing.assert_allclose(
        noise.next(np.random.default_rng(3)),
        np.array([[1.0 - 0.02, -2.0 + 0.04]]) + 0.3 * 0.2 * draws,
    )


def test_copies_and_components_do_not_know_of_each_other():
    seen = path(OrnsteinUhlenbeck(2, 2, 1.0, 5.0, 0.1), 4000).reshape(4000, 4)
    correlations = np.corrcoef(seen.T)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 0.15


def test_an_episode_begins_at_0_in_its_own_copy_alone():
    noise = OrnsteinUhlenbeck(3, 2)
    path(noise, 10)
    before = noise.x.copy()
    noise.reset(np.array([False, True, False]))
    assert (noise.x[1] == 0).all()
    np.testing.assert_array_equal(noise.x[[0, 2]], before[[0, 2]])


def test_what_is_handed_out_does_not_change_afterwards():
    noise, rng = OrnsteinUhlenbeck(1, 1), np.random.default_rng(0)
    first = noise.next(rng)
    kept = first.copy()
    noise.next(rng)
    noise.drift(np.ones((1, 1)))
    np.testing.assert_array_equal(first, kept)


def test_a_saved_process_goes_on_as_the_same_one():
    noise, other = OrnsteinUhlenbeck(2, 3), OrnsteinUhlenbeck(2, 3)
    path(noise, 5)
    other.load_state_dict(through_disk(noise.state_dict()))
    np.testing.assert_array_equal(path(noise, 5, seed=1), path(other, 5, seed=1))


# -- Gaussian -----------------------------------------------------------------------------------


def test_gaussian_draws_have_their_deviation_and_no_memory():
    noise, rng = GaussianNoise(1, 2, 0.3), np.random.default_rng(0)
    seen = np.stack([noise.next(rng)[0] for _ in range(20_000)])
    np.testing.assert_allclose(seen.std(axis=0), 0.3, rtol=0.03)
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=0.01)
    assert np.abs((seen[1:] * seen[:-1]).mean(axis=0)).max() < 0.003
    noise.drift(np.full((1, 2), 100.0))
    assert np.abs(noise.next(rng)).max() < 3


# -- the boundary -------------------------------------------------------------------------------


def test_the_boundary_by_hand():
    ends = np.array([0.0, 0.5, 1.0])
    half = np.pi / 2
    np.testing.assert_allclose(boundary(ends, 0.0, 1.0), [half**6, 0, half**6])
    np.testing.assert_allclose(
        boundary_slope(ends, 0.0, 1.0), [-6 * np.pi * half**5, 0, 6 * np.pi * half**5]
    )
    # on [-2, 2] a unit is a quarter of the range: at 1, x is 3/4 of the way, the angle pi / 4
    assert float(boundary(np.array(1.0), -2.0, 2.0)) == pytest.approx((np.pi / 4) ** 6)
    assert float(boundary_slope(np.array(1.0), -2.0, 2.0)) == pytest.approx(
        6 * (np.pi / 4) ** 5 * np.pi / 4
    )


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-1.0, 2.0), (3.0, 3.5)])
def test_its_slope_is_that_of_finite_differences(low, high):
    x = np.linspace(low - 0.2, high + 0.2, 101)
    step = 1e-5 * (high - low)
    differences = (boundary(x + step, low, high) - boundary(x - step, low, high)) / (2 * step)
    np.testing.assert_allclose(boundary_slope(x, low, high), differences, rtol=1e-6, atol=1e-6)


def test_bounds_may_differ_from_component_to_component():
    low, high = np.array([-1.0, 0.0]), np.array([1.0, 10.0])
    both = boundary_slope(np.array([[0.5, 9.0]]), low, high)
    assert both[0, 0] == boundary_slope(np.array(0.5), -1.0, 1.0)
    assert both[0, 1] == boundary_slope(np.array(9.0), 0.0, 10.0)


# -- both together ------------------------------------------------------------------------------


class Fixed:
    """Noise that is what it is told to be, and remembers what moved it."""

    def __init__(self, *values: float) -> None:
        self.x = np.array([values], np.float64)

    def next(self, rng: np.random.Generator) -> np.ndarray:
        return self.x.copy()

    def drift(self, by: np.ndarray) -> None:
        self.x += by


def test_action_and_noise_drift_alike_before_the_clip():
    noise = Fixed(0.4, -0.1, 0.9)
    noisy = NoisyActions(noise, repulsion=1e-3)  # type: ignore[arg-type]
    actions = np.array([[0.5, 0.0, 0.3]], np.float32)
    sum_of_both = np.array([[0.9, -0.1, 1.2]])
    drift = -1e-3 * boundary_slope(sum_of_both, -1.0, 1.0)
    assert (np.abs(drift) > 1e-9).all()
    tried = noisy(actions, np.random.default_rng(0))
    np.testing.assert_allclose(tried, np.clip(sum_of_both + drift, -1, 1), rtol=1e-6)
    np.testing.assert_allclose(noise.x, np.array([[0.4, -0.1, 0.9]]) + drift, rtol=1e-6)
    assert tried.dtype == np.float32


def test_without_repulsion_there_is_the_clip_alone():
    noise = Fixed(0.4, -0.1, 0.9)
    tried = NoisyActions(noise, 0.0)(  # type: ignore[arg-type]
        np.array([[0.5, 0.0, 0.3]], np.float32), np.random.default_rng(0)
    )
    np.testing.assert_allclose(tried, [[0.9, -0.1, 1.0]], rtol=1e-6)
    np.testing.assert_array_equal(noise.x, [[0.4, -0.1, 0.9]])


def longest_stay_at_a_bound(repulsion: float, seed: int) -> int:
    """Steps in a row at a bound of [0, 1], with an actor that always says 0.8."""
    rng = np.random.default_rng(seed)
    noisy = NoisyActions(OrnsteinUhlenbeck(1, 1), repulsion, 0.0, 1.0)
    longest = stay = 0
    for _ in range(700):
        action = noisy(np.full((1, 1), 0.8, np.float32), rng)
        stay = stay + 1 if action in (0.0, 1.0) else 0
        longest = max(longest, stay)
    return longest


def test_the_boundary_ends_saturation():
    """The course's picture: 0.8 and an excursion upwards stay clipped for hundreds of steps."""
    clipped = [longest_stay_at_a_bound(0.0, seed) for seed in range(10)]
    repelled = [longest_stay_at_a_bound(1e-4, seed) for seed in range(10)]
    assert max(clipped) > 200
    assert np.mean(clipped) > 50
    assert max(repelled) < 20


@pytest.mark.parametrize("far", [3.0, 50.0, -1000.0])
def test_what_is_far_outside_is_not_thrown_to_the_other_side(far):
    """There a step of the slope is longer than the way back; it ends in the middle at most."""
    noise = Fixed(far)
    tried = NoisyActions(noise, 1e-3)(  # type: ignore[arg-type]
        np.zeros((1, 1), np.float32), np.random.default_rng(0)
    )
    assert tried * np.sign(far) >= 0
    assert noise.x * np.sign(far) >= 0
    assert abs(noise.x) < abs(far)


def test_wild_noise_stays_a_number():
    noisy = NoisyActions(OrnsteinUhlenbeck(4, 2, std=100.0), 1e-4)
    rng = np.random.default_rng(0)
    tried = np.stack([noisy(np.zeros((4, 2), np.float32), rng) for _ in range(500)])
    assert np.isfinite(tried).all()
    assert np.abs(tried).max() == 1
