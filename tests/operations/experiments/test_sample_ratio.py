"""The sample ratio test: the Bayes factor by hand; quiet unless units are lost."""

import numpy as np
import pytest
from scipy import stats

from compagnon.errors import InputError
from compagnon.operations.experiments.sample_ratio import ALPHA, sample_ratio_p_value

HALVES = (0.5, 0.5)


def test_worked_out_by_hand():
    # With prior Beta(1, 1) and 5 of 5 in one arm: the factor is B(1, 6) / B(1, 1) / 2^-5 = 32 / 6.
    assert sample_ratio_p_value((0, 5), HALVES, concentration=2) == pytest.approx(6 / 32)
    # 1 of 2: B(2, 2) 4 = 4 / 6, which speaks for the expected shares: a p-value of 1.
    assert sample_ratio_p_value((1, 1), HALVES, concentration=2) == 1.0
    assert sample_ratio_p_value((0, 0), HALVES) == 1.0


def test_looked_at_all_the_time_it_is_wrong_as_seldom_as_it_says():
    rng = np.random.default_rng(3)
    level, steps = 0.05, 60
    counts = rng.multinomial(20, (0.2, 0.3, 0.5), size=(500, steps)).cumsum(1)
    wrong = sum(
        any(sample_ratio_p_value(row.tolist(), (0.2, 0.3, 0.5)) < level for row in rows)
        for rows in counts
    )
    assert wrong <= stats.binom.isf(1e-6, 500, level)
    assert wrong > 0


def test_lost_units_are_found():
    # 52.1 % of 20,000 units are six deviations from half.
    assert sample_ratio_p_value((9_580, 10_420), HALVES) < ALPHA
    assert sample_ratio_p_value((479, 521), HALVES) > ALPHA
    assert sample_ratio_p_value((9_580, 10_420), (0.479, 0.521)) > ALPHA


@pytest.mark.parametrize("counts", [(1,), (1, -1), (1, 2, 3)])
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(InputError, match="give 2 of 0 or more"):
        sample_ratio_p_value(counts, HALVES)
