"""Bounds of looks: those of the books, and crossed as often as they say."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compagnon.errors import InputError
from compagnon.operations.experiments.boundaries import (
    crossing_probabilities,
    detectable_drift,
    next_bound,
    obrien_fleming,
    obrien_fleming_constant,
)


def even(looks: int) -> tuple[float, ...]:
    return tuple((k + 1) / looks for k in range(looks))


@pytest.mark.parametrize(
    ("looks", "constant"),  # Jennison and Turnbull 2000, table 2.3; the last of the product's spec
    [(1, 1.960), (2, 1.977), (3, 2.004), (4, 2.024), (5, 2.040), (10, 2.087), (14, 2.106)],
)
def test_constants_of_the_books(looks, constant):
    assert obrien_fleming_constant(even(looks), 0.05) == pytest.approx(constant, abs=0.001)


@pytest.mark.parametrize("fractions", [(0.5, 1.0), (0.1, 0.15, 0.6, 1.0)])
@pytest.mark.parametrize("alpha", [0.01, 0.1])
def test_a_multivariate_normal_stays_inside_as_often(fractions, alpha):
    c = obrien_fleming_constant(fractions, alpha)
    size = len(fractions)
    walk = stats.multivariate_normal(np.zeros(size), np.minimum.outer(fractions, fractions))
    inside = walk.cdf(np.full(size, c), lower_limit=np.full(size, -c), rng=1)
    assert 1 - inside == pytest.approx(alpha, abs=1e-4)


def test_bounds_fall_with_the_root_of_the_fraction():
    bounds = obrien_fleming(even(4), 0.05)
    assert bounds[-1] == pytest.approx(2.024, abs=0.001)
    assert bounds[0] == pytest.approx(2 * bounds[-1])


def test_more_looks_than_planned_are_wrong_22_times_in_100():
    c = obrien_fleming_constant(even(14), 0.05)
    twice = [(k + 1) / 14 for k in range(28)]
    assert crossing_probabilities(twice, c).sum() == pytest.approx(0.22, abs=0.005)


def test_power_where_one_test_has_80_in_100():
    c = obrien_fleming_constant(even(14), 0.05)
    single = 1.959964 + 0.841621
    assert crossing_probabilities(even(14), c, single)[:, 1].sum() == pytest.approx(0.78, abs=0.005)
    assert detectable_drift(even(14), 0.05, 0.8) == pytest.approx(2.86, abs=0.01)
    assert detectable_drift((1.0,), 0.05, 0.8) == pytest.approx(single, abs=1e-4)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=8, unique=True), st.floats(-3, 3))
def test_both_sides_mirror_each_other_and_chances_sum_to_less_than_1(places, drift):
    fractions = [place / max(places) for place in sorted(places)]
    one = crossing_probabilities(fractions, 2.0, drift)
    other = crossing_probabilities(fractions, 2.0, -drift)
    np.testing.assert_allclose(one, other[:, ::-1], atol=1e-9)
    assert (one >= -1e-12).all()
    assert one.sum() < 1


def test_a_simulation_agrees():
    rng = np.random.default_rng(5)
    fractions = np.array([0.1, 0.15, 0.6, 1.0])
    walks = rng.normal(size=(20_000, 4)) * np.sqrt(np.diff([0, *fractions]))
    walks = walks.cumsum(1) + 1.0 * fractions
    expected = crossing_probabilities(tuple(fractions), 1.5, 1.0).sum()
    found = (np.abs(walks) > 1.5).any(axis=1).mean()
    assert abs(found - expected) < 4.5 * math.sqrt(expected * (1 - expected) / 20_000)


def test_what_came_as_planned_has_the_planned_bounds():
    c = obrien_fleming_constant(even(5), 0.05)
    spent = crossing_probabilities(even(5), c).sum(axis=1).cumsum()
    bounds: list[float] = []
    for k in range(5):
        bounds.append(next_bound([100.0 * (j + 1) for j in range(k + 1)], bounds, spent[k]))
    np.testing.assert_allclose(bounds, obrien_fleming(even(5), 0.05), atol=1e-6)


def test_what_came_otherwise_is_wrong_as_seldom():
    """Ten times the units after half of the looks, and one look that was missed."""
    c = obrien_fleming_constant(even(6), 0.05)
    spent = crossing_probabilities(even(6), c).sum(axis=1).cumsum()
    seen = [10.0, 20.0, 30.0, 230.0, 330.0]
    bounds: list[float] = []
    for k, total in enumerate([spent[0], spent[1], spent[2], spent[4], spent[5]]):
        bounds.append(next_bound(seen[: k + 1], bounds, total))
    walk = stats.multivariate_normal(np.zeros(5), np.minimum.outer(seen, seen))
    ends = np.array(bounds) * np.sqrt(seen)
    assert 1 - walk.cdf(ends, lower_limit=-ends, rng=1) == pytest.approx(0.05, abs=2e-4)


def test_nothing_to_spend_is_no_bound():
    assert next_bound([10.0], [], 0.0) == math.inf
    assert next_bound([10.0, 20.0], [1.96], 0.04) == math.inf


@pytest.mark.parametrize(
    ("fractions", "alpha", "wrong"),
    [
        ((0.5, 0.5, 1.0), 0.05, "more information"),
        ((0.5, 0.9), 0.05, "the last of which is 1"),
        ((), 0.05, "one or more"),
        ((0.5, 1.0), 1.5, "alpha 1.5"),
    ],
)
def test_what_is_no_plan_of_looks_is_refused(fractions, alpha, wrong):
    with pytest.raises(InputError, match=wrong):
        obrien_fleming(fractions, alpha)


def test_power_below_alpha_is_refused():
    with pytest.raises(InputError, match=r"power 0\.01"):
        detectable_drift((1.0,), 0.05, 0.01)
