"""The statistics of observations and of returns, and what they leave unchanged."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.envs import Field
from compagnon.rl.networks.scaler import RunningScaler, ValueScale
from compagnon.rl.networks.trainable import Mlp


def batches(seed: int, sizes: list[int]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    means, scales = rng.normal(size=3) * 100, np.array([1e-2, 1.0, 1e3])
    return [(means + scales * rng.normal(size=(n, 3))).astype(np.float32) for n in sizes]


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 20), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_batches_merge_into_numpy_s_mean_and_deviation(seed, sizes):
    scaler = RunningScaler(3)
    parts = batches(seed, sizes)
    for part in parts:
        scaler.update(part)
    together = np.concatenate(parts).astype(np.float64)
    assert scaler.count == len(together)
    if len(together) > 1:
        np.testing.assert_allclose(scaler.mean, together.mean(axis=0), rtol=1e-10)
        np.testing.assert_allclose(scaler.std, together.std(axis=0), rtol=1e-6)
    else:
        np.testing.assert_array_equal(scaler.std, 1.0)


def test_standardised_observations_have_mean_0_and_deviation_1():
    (obs,) = batches(1, [1000])
    scaler = RunningScaler(3)
    scaler.update(obs)
    scaled = scaler(obs)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-2)


def test_far_observations_are_clipped():
    scaler = RunningScaler(1, clip=3.0)
    scaler.update(np.array([[0.0], [1.0]], np.float32))
    np.testing.assert_array_equal(scaler(np.array([[1e9], [-1e9]], np.float32)), [[3.0], [-3.0]])


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_a_constant_column_becomes_0(value):
    scaler = RunningScaler(1)
    for size in (1, 7, 300):
        scaler.update(np.full((size, 1), value, np.float32))
    np.testing.assert_array_equal(scaler.std, 1.0)
    np.testing.assert_array_equal(scaler(np.full((2, 1), value, np.float32)), 0.0)


def test_a_frozen_scaler_stays_as_it_is():
    scaler = RunningScaler(3)
    first, second = batches(2, [50, 50])
    scaler.update(first)
    scaler.frozen = True
    before = scaler(second)
    scaler.update(second)
    np.testing.assert_array_equal(scaler(second), before)
    scaler.frozen = False
    scaler.update(second)
    assert not np.array_equal(scaler(second), before)


def field_of(low: float, high: float) -> Field:
    return Field("x", "", low, high, 1.0, "a number")


@pytest.mark.filterwarnings("error")
def test_ranges_become_minus_1_to_1_and_what_has_none_is_left_as_it_is():
    largest = float(np.finfo(np.float32).max)
    ranges = [(0.0, 50.0), (-3.0, -1.0), (-np.inf, np.inf), (0.0, np.inf), (-largest, largest)]
    ranges += [(4.0, 4.0), (-1e-3, 1e-3)]
    scaler = RunningScaler.of_ranges([field_of(*each) for each in ranges])
    obs = np.array([[0, -3, 7, 7, 7, 7, -1e-3], [50, -1, -8, 8, 0, 4, 1e-3]], np.float32)
    wanted = [[-1, -1, 7, 7, 7, 7, -1], [1, 1, -8, 8, 0, 4, 1]]
    np.testing.assert_allclose(scaler(obs), wanted, rtol=1e-6)


def test_what_leaves_its_range_is_clipped_only_far_out():
    scaler = RunningScaler.of_ranges([field_of(0.0, 2.0)])
    np.testing.assert_array_equal(scaler(np.array([[4.0], [1e6]], np.float32)), [[3.0], [10.0]])


def test_a_scaler_of_ranges_never_moves_saved_or_not():
    scaler = RunningScaler.of_ranges([field_of(0.0, 4.0)] * 3)
    restored = RunningScaler(3)
    restored.load_state_dict(scaler.state_dict())
    (obs,) = batches(4, [50])
    before = scaler(obs)
    for each in (scaler, restored):
        each.update(obs)
        np.testing.assert_array_equal(each(obs), before)


def test_a_restored_scaler_goes_on_as_the_saved_one():
    first, second = batches(3, [50, 50])
    scaler, restored = RunningScaler(3), RunningScaler(3)
    scaler.update(first)
    scaler.frozen = True
    restored.load_state_dict(scaler.state_dict())
    assert restored.frozen
    np.testing.assert_array_equal(restored(second), scaler(second))
    for each in (scaler, restored):
        each.frozen = False
        each.update(second)
    np.testing.assert_array_equal(restored(first), scaler(first))
    np.testing.assert_array_equal(restored.std, scaler.std)


def critic_of(seed: int) -> Mlp:
    return Mlp([4, 16, 1], "tanh", 1.0, torch.Generator().manual_seed(seed)).double()


def test_values_stay_the_same_when_their_scale_moves():
    rng = np.random.default_rng(0)
    scale, critic = ValueScale(), critic_of(0)
    x = torch.from_numpy(rng.normal(size=(64, 4)))

    def values() -> np.ndarray:
        return scale.to_value(critic(x).detach().numpy())

    for mean, std in ((0.0, 1.0), (1e4, 50.0), (-3.0, 1e-2), (5.0, 0.0), (13_000.0, 470.0)):
        before = values()
        scale.update(mean + std * rng.normal(size=1000), critic)
        np.testing.assert_allclose(values(), before, rtol=1e-9, atol=1e-9 * abs(before).max())


def test_the_first_returns_set_the_scale_and_later_ones_move_it():
    scale, critic = ValueScale(), critic_of(0)
    first = 100 + 10 * np.random.default_rng(1).normal(size=500)
    scale.update(first, critic)
    assert scale.mean == pytest.approx(first.mean())
    assert scale.std == pytest.approx(first.std())
    scale.update(np.full(500, 200.0), critic)
    assert first.mean() < scale.mean < 110
    np.testing.assert_allclose(scale.to_value(scale.to_scaled(first)), first)


def test_constant_returns_leave_finite_values():
    scale, critic = ValueScale(), critic_of(0)
    for _ in range(100):
        scale.update(np.full(10, 7.0), critic)
    assert scale.std > 0
    assert np.isfinite(scale.to_scaled(np.array([7.0, 8.0]))).all()
    assert all(parameter.isfinite().all() for parameter in critic.parameters())


def test_a_restored_value_scale_is_the_saved_one():
    scale, restored = ValueScale(), ValueScale()
    scale.update(np.array([1.0, 5.0]), critic_of(0))
    restored.load_state_dict(scale.state_dict())
    assert restored.state_dict() == scale.state_dict()
    scale.update(np.array([2.0, 9.0]), critic_of(0))
    restored.update(np.array([2.0, 9.0]), critic_of(0))
    assert restored.state_dict() == scale.state_dict()
