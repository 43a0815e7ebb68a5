"""Random numbers are functions of their counters, and have the distributions they claim."""

import math

import numpy as np
import pytest
from scipy import stats

from compagnon.envs import streams


def normals(seed, count):
    return np.array(
        [
            streams.normal(streams.uniform(seed, 1, i), streams.uniform(seed, 2, i))
            for i in range(count)
        ]
    )


def test_normal_numbers_by_hand():
    assert streams.normal(0.0, 0.3) == 0.0
    assert streams.normal(1 - math.exp(-0.5), 0.0) == pytest.approx(1.0)
    assert streams.normal(1 - math.exp(-2.0), 0.5) == pytest.approx(-2.0)
    assert streams.normal(0.5, 0.25) == pytest.approx(0.0, abs=1e-15)


def test_normal_numbers_are_normal_and_independent():
    draws = normals(np.uint64(3), 20_000)
    assert stats.kstest(draws, "norm").pvalue > 1e-3
    assert stats.kstest(draws * 1.1, "norm").pvalue < 1e-6  # it would notice
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 4 / math.sqrt(20_000)


def test_normal_numbers_are_finite_at_the_ends():
    largest = streams.normal(1 - 2.0**-53, 0.0)
    assert largest == pytest.approx(math.sqrt(106 * math.log(2)))
    assert largest < 8.6
