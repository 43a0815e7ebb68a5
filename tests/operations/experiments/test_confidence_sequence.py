"""Confidence sequences: the formula by hand, narrow where wanted, seldom missed."""

import math

import numpy as np
import pytest
from scipy import stats

from compagnon.errors import InputError
from compagnon.operations.experiments.confidence_sequence import multiplier, one_sided_multiplier


def test_worked_out_by_hand():
    # t r^2 = 2 log 20 + log(1 + 2 log 20) = 5.991 + 1.945 = 7.936 where it is narrowest.
    expected = math.sqrt(8.936 / 7.936 * (math.log(8.936) + 5.9915))
    assert multiplier(500, 0.05, 500) == pytest.approx(expected, rel=1e-4)
    expected = math.sqrt(2 * 8.936 / 7.936 * math.log(1 + math.sqrt(8.936) / 0.05))
    assert one_sided_multiplier(500, 0.025, 500) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("best_at", [50, 5_000])
def test_widths_are_narrowest_near_the_time_it_was_made_for(best_at):
    # Of all tunings, the one for t has the least multiplier at t, or nearly.
    tunings = best_at * np.exp(np.linspace(-4, 4, 81))
    least = min(multiplier(best_at, 0.05, float(one)) for one in tunings)
    assert multiplier(best_at, 0.05, best_at) < 1.002 * least


def test_it_is_wider_than_a_single_look_and_narrows_with_data():
    for t in (1, 10, 1_000, 10**6):
        assert multiplier(t, 0.05, 1_000) > 1.96
        assert one_sided_multiplier(t, 0.05, 1_000) > 1.645
        assert multiplier(4 * t, 0.05, 1_000) / 2 < multiplier(t, 0.05, 1_000)


@pytest.mark.parametrize("sides", [1, 2])
def test_the_mean_is_ever_outside_as_seldom_as_it_says(sides):
    """At every one of 2,000 observations; it also fires where there is something."""
    rng = np.random.default_rng(7)
    walks = rng.normal(size=(2_000, 2_000)).cumsum(1)
    t = np.arange(1, 2_001)
    if sides == 2:
        bounds = np.array([multiplier(int(n), 0.05, 1_000) for n in t])
        scores = np.abs(walks) / np.sqrt(t)
    else:
        bounds = np.array([one_sided_multiplier(int(n), 0.05, 1_000) for n in t])
        scores = walks / np.sqrt(t)
    wrong = (scores > bounds).any(axis=1).sum()
    assert wrong <= stats.binom.isf(1e-6, 2_000, 0.05)
    assert wrong >= 10  # or it would be far too wide
    assert ((scores + 0.2 * np.sqrt(t)) > bounds).any(axis=1).mean() > 0.99


def test_numbers_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="alpha 0"):
        multiplier(10, 0.0, 10)
    with pytest.raises(InputError, match="observations 0"):
        one_sided_multiplier(0, 0.05, 10)
