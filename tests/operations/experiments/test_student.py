"""Student's t for any degrees of freedom is scipy's, in the far tail too."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from compagnon.operations.experiments.student import (
    normal_two_sided,
    student_equivalent,
    student_two_sided,
)


@given(st.floats(0.01, 60), st.floats(1, 9_000))
def test_tails_are_those_of_scipy(t, freedom):
    expected = 2 * stats.t.sf(t, freedom)
    assert student_two_sided(t, freedom) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(st.floats(0.1, 8), st.floats(1, 1e6))
def test_the_equivalent_is_exceeded_as_often(z, freedom):
    t = student_equivalent(z, freedom)
    assert t == pytest.approx(stats.t.isf(stats.norm.sf(z), freedom), rel=1e-6)
    assert t >= z * (1 - 1e-9)


def test_tables_in_books():
    assert student_equivalent(1.959964, 10) == pytest.approx(2.228, abs=5e-4)
    assert student_equivalent(1.959964, 1) == pytest.approx(12.706, abs=5e-4)
    assert normal_two_sided(1.959964) == pytest.approx(0.05, abs=1e-7)


def test_what_numbers_do_not_reach_is_infinite():
    assert student_equivalent(40.0, 5) == math.inf
    assert student_two_sided(math.inf, 5) == 0.0
    assert student_two_sided(0.0, 5) == 1.0
    assert student_equivalent(30.0, 1) == math.inf or student_equivalent(30.0, 1) > 1e100
