"""Draw tests: tails beside exact laws, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compagnon.evaluation.offline.calibration import draw_test
from tests.evaluation.offline.problems import draw


def of_coin(share: float, rows: int, heads: int) -> float:
    """The p-value of so many heads of coins with this share, counted as scores."""
    vectors = np.tile([1 - share, share], (rows, 1))
    action = (np.arange(rows) < heads).astype(np.int64)
    return draw_test(np.tile([0.0, 1.0], (rows, 1)), vectors, action, lattice=1.0).p_value


@settings(deadline=None, max_examples=60)
@given(st.floats(0.05, 0.95), st.integers(100, 400), st.floats(0.0, 1.0))
def test_tails_are_those_of_the_binomial(share, rows, quantile):
    heads = int(stats.binom.ppf(quantile, rows, share)) if 0 < quantile < 1 else 0
    above = stats.binom.sf(heads - 1, rows, share)
    below = stats.binom.cdf(heads, rows, share)
    exact = min(1.0, 2 * min(above, below))
    if exact > 1e-8:
        assert of_coin(share, rows, heads) == pytest.approx(exact, rel=0.15, abs=0.005)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_where_next_to_nothing_is_expected_it_is_cautious(heads):
    """Half a draw expected: no distribution is smooth there, and alarms must not come of it."""
    exact = 2 * stats.binom.sf(heads - 1, 100, 0.005)
    assert 0.9 * exact <= of_coin(0.005, 100, heads) <= min(1.0, 1.5 * exact)


@pytest.mark.parametrize("heads", [13, 20])
def test_far_tails_are_right_where_a_normal_law_is_wrong_by_factors(heads):
    """Some 5 of 1,000 expected: a Poisson-like count."""
    law = stats.binom(1_000, 0.005)
    true = 2 * law.sf(heads - 1)
    assert of_coin(0.005, 1_000, heads) == pytest.approx(true, rel=0.12)
    assert 2 * stats.norm.sf((heads - 0.5 - law.mean()) / law.std()) < 0.5 * true


def test_the_sum_and_its_expectation_by_hand():
    vectors = np.array([[0.5, 0.5], [0.25, 0.75]])
    scores = np.array([[1.0, 3.0], [4.0, 0.0]])
    found = draw_test(scores, vectors, np.array([1, 0]))
    assert found.total == 7.0
    assert found.expected == pytest.approx(2.0 + 1.0)
    assert found.std == pytest.approx(np.sqrt(1.0 + 16 * 0.25 * 0.75))
    assert found.p_value == pytest.approx(2 * 0.5 * 0.25)  # nothing is further out


def test_where_nothing_is_left_to_chance_only_the_sum_can_be_wrong():
    vectors = np.tile([1.0, 0.0], (3, 1))
    scores = np.tile([2.0, 5.0], (3, 1))
    assert draw_test(scores, vectors, np.array([0, 0, 0])).p_value == 1.0


@pytest.mark.full
def test_p_values_of_true_draws_are_uniform():
    rng = np.random.default_rng(1)
    found = []
    for _ in range(400):
        vectors = rng.dirichlet(np.full(4, 0.5), 300)
        scores = -np.log(np.maximum(vectors, 1e-300))
        found.append(draw_test(scores, vectors, draw(vectors, rng)).p_value)
    assert stats.kstest(found, "uniform").pvalue > 1e-4
    shifted = [draw_test(scores, vectors, draw(vectors**0.8, rng)).p_value for _ in range(50)]
    assert np.mean(np.array(shifted) < 0.05) > 0.3
