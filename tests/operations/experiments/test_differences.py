"""Differences of arms: by hand, beside scipy, exact with few units, silent without any."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compagnon.errors import InputError
from compagnon.operations.experiments.differences import (
    Difference,
    permutation_interval,
    permutation_p_value,
)
from compagnon.operations.experiments.student import normal_two_sided

rng = np.random.default_rng(0)
ONE, OTHER = rng.gamma(2, 3, 40), rng.normal(7, 2, 25)
Z90 = 1.6448536


def test_welch_is_that_of_scipy():
    found = Difference(ONE, OTHER)
    theirs = stats.ttest_ind(OTHER, ONE, equal_var=False)
    ends = theirs.confidence_interval(0.9)
    assert found.p_value() == pytest.approx(theirs.pvalue)
    assert found.freedom == pytest.approx(theirs.df)
    assert found.interval(Z90) == pytest.approx((ends.low, ends.high), rel=1e-6)


def test_paired_is_that_of_scipy():
    found = Difference(ONE[:25], OTHER, paired=True)
    theirs = stats.ttest_rel(OTHER, ONE[:25])
    ends = theirs.confidence_interval(0.9)
    assert found.p_value() == pytest.approx(theirs.pvalue)
    assert found.interval(Z90) == pytest.approx((ends.low, ends.high), rel=1e-6)
    assert found.observations == 25
    assert Difference(ONE, OTHER).observations == 65


def test_the_cautious_error_is_the_further_one():
    pooled = math.sqrt((39 * np.var(ONE, ddof=1) + 24 * np.var(OTHER, ddof=1)) / 63)
    expected = max(Difference(ONE, OTHER).error, pooled * math.sqrt(1 / 40 + 1 / 25))
    assert Difference(ONE, OTHER).cautious_error == pytest.approx(expected)
    assert expected > Difference(ONE, OTHER).error
    same = Difference(ONE[:25], OTHER)
    assert same.interval(2.0, cautious=True) == pytest.approx(same.interval(2.0))
    low, high = Difference(ONE, OTHER).interval(2.0, cautious=True)
    assert high - low > np.subtract(*Difference(ONE, OTHER).interval(2.0)[::-1])


def test_three_pairs_by_hand():
    # Differences 1, 2, 6; all 7 subsets have means 1, 2, 6, 1.5, 3.5, 4, 3.
    found = Difference(np.zeros(3), np.array([1.0, 2.0, 6.0]), paired=True)
    assert permutation_p_value(found) == 2 / 8  # all signs as they are, on one side of two
    assert permutation_interval(found, 0.25) == (1.0, 6.0)
    assert permutation_interval(found, 0.5) == (1.5, 4.0)
    assert permutation_interval(found, 0.2) == (-math.inf, math.inf)


def test_two_and_two_by_hand():
    # 6 ways to share {0, 1 | 3, 5} out; exchanged means: 3, 5, 2, 4 of one, 3.5 of both.
    found = Difference(np.array([0.0, 1.0]), np.array([3.0, 5.0]))
    assert permutation_p_value(found) == 2 / 6
    assert permutation_interval(found, 1 / 3) == (2.0, 5.0)


def shifted_p_value(control, treated, shift, paired):
    """The test as books write it: the difference of means under all exchanges, one side."""
    moved = treated - shift
    if paired:
        gaps = moved - control
        signs = itertools.product((1, -1), repeat=len(gaps))
        means = [float(np.mean(np.array(sign) * gaps)) for sign in signs]
        seen = float(gaps.mean())
    else:
        both = np.concatenate([control, moved])
        means = []
        for chosen in itertools.combinations(range(len(both)), len(moved)):
            there = np.zeros(len(both), bool)
            there[list(chosen)] = True
            means.append(float(both[there].mean() - both[~there].mean()))
        seen = float(moved.mean() - control.mean())
    high = sum(mean >= seen - 1e-9 for mean in means) / len(means)
    low = sum(mean <= seen + 1e-9 for mean in means) / len(means)
    return min(1.0, 2 * min(high, low))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(-20, 20), min_size=3, max_size=5),
    st.lists(st.integers(-20, 20), min_size=3, max_size=5),
    st.booleans(),
    st.integers(-9, 9),
)
def test_typical_values_are_the_permutation_test_inverted(control, treated, paired, shift):
    size = min(len(control), len(treated)) if paired else None
    one, other = (np.array(given[:size], float) for given in (control, treated))
    found = Difference(one, other, paired)
    expected = shifted_p_value(one, other, shift + 0.013, paired)
    assert permutation_p_value(found, shift + 0.013) == pytest.approx(expected)
    low, high = permutation_interval(found, 0.2)
    inside = low <= shift + 0.013 <= high
    assert inside == (expected > 0.2 + 1e-9)


def test_with_few_units_the_permutation_test_speaks_and_with_many_student_s():
    few = Difference(ONE[:11], OTHER[:11], paired=True)
    assert few.interval(1.96) == permutation_interval(few, normal_two_sided(1.96))
    assert few.p_value() == permutation_p_value(few)
    many = Difference(ONE[:12], OTHER[:12], paired=True)
    assert many.interval(1.96) != permutation_interval(many, normal_two_sided(1.96))
    # What no permutation of so few units could show stays open.
    assert few.interval(4.0) == (-math.inf, math.inf)


def test_drawn_permutations_come_near_the_exact_ones():
    small = Difference(ONE[:8], OTHER[:8])
    low, _ = permutation_interval(small, 0.05)
    theirs = stats.ttest_ind(OTHER[:8], ONE[:8]).confidence_interval(0.95)
    assert low == pytest.approx(theirs.low, abs=0.4 * (theirs.high - theirs.low))
    again = permutation_interval(Difference(ONE[:11], OTHER), 0.05)
    assert again == permutation_interval(Difference(ONE[:11], OTHER), 0.05)


def test_drawn_signs_come_near_student_s():
    many = Difference(ONE[:25], OTHER, paired=True)
    drawn, exact = permutation_interval(many, 0.05), many.interval()
    assert drawn == pytest.approx(exact, abs=0.1 * (exact[1] - exact[0]))
    assert permutation_interval(many, 0.05) == drawn
    assert permutation_p_value(many) == pytest.approx(many.p_value(), abs=0.02)


def test_a_share_has_fieller_s_interval():
    found = Difference(ONE, OTHER)
    share, low, high = found.relative(1.96)
    assert share == pytest.approx(OTHER.mean() / ONE.mean() - 1)
    for end in (low, high):  # the end is where treated less (1 + r) control is just rejected
        mean = OTHER.mean() - (1 + end) * ONE.mean()
        error = math.sqrt(np.var(OTHER, ddof=1) / 25 + (1 + end) ** 2 * np.var(ONE, ddof=1) / 40)
        t = stats.t.isf(stats.norm.sf(1.96), found.freedom)
        assert abs(mean) / error == pytest.approx(t, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.floats(-1.5, 1.5), st.booleans(), st.booleans())
def test_the_share_lies_on_the_side_of_the_difference(shift, paired, negative):
    sign = -1 if negative else 1
    draws = np.random.default_rng(1).normal(sign * 10, 1, (2, 30))
    found = Difference(draws[0], draws[1] + shift, paired)
    low, high = found.interval(1.96)
    shares = found.relative(1.96)
    assert shares is not None
    assert (low > 0, high < 0) == (shares[1] > 0, shares[2] < 0)
    assert shares[1] <= shares[0] <= shares[2]


def test_no_share_of_a_mean_that_may_be_0():
    assert Difference(OTHER - OTHER.mean(), OTHER).relative(1.96) is None


@pytest.mark.parametrize("paired", [True, False])
def test_equal_figures_say_nothing(paired):
    same = Difference(np.full(20, 0.1), np.full(20, 0.3), paired)
    assert same.interval(1.96) == (-math.inf, math.inf)
    assert same.p_value() == 1.0
    assert same.relative() is None


def test_one_unit_says_nothing():
    assert Difference(np.array([1.0]), ONE).interval() == (-math.inf, math.inf)
    assert math.isnan(Difference(np.array([]), ONE).mean)
    assert math.isnan(Difference(np.array([1.0]), ONE).error)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="as many"):
        Difference(ONE, OTHER, paired=True)
    with pytest.raises(InputError, match="finite"):
        Difference(np.array([1.0, math.nan]), OTHER)
