"""Experiments are wrong as often as they say: the benchmark's simulations, smaller.

The seeds are fixed, and what is asked is what 1 of 10^6 other seeds would not give. A rule that is
wrong twice as often as it should be, as peeking is, fails.
"""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

FOLDER = Path(__file__).parents[3] / "benchmarks"
SELDOM = 1e-6


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("experiment_errors")


def agrees(row, least, most):
    """So many times may come of a true share from `least` to `most`."""
    low = stats.binom.ppf(SELDOM, row.of, least) if least else 0
    return low <= row.times <= stats.binom.isf(SELDOM, row.of, most)


def rows_of(script, part, replications, seed=11):
    rows = list(getattr(script, part)(np.random.default_rng(seed), replications))
    assert all(row.of == replications for row in rows)
    return rows


def test_looks(script):
    rows = rows_of(script, "looks", 1_500)
    naive, obf, cs, twice, fixed, power, cs_power = rows
    assert agrees(naive, 0.21, 0.24)
    assert agrees(obf, 0.045, 0.055)
    assert agrees(cs, 0.0, 0.02)
    assert agrees(twice, 0.21, 0.23)
    assert agrees(fixed, 0.79, 0.81)
    assert agrees(power, 0.77, 0.79)
    assert agrees(cs_power, 0.47, 0.51)
    # What is wrong is seen to be: peeking, and looks past the plan.
    assert not agrees(naive, 0.04, 0.06)
    assert not agrees(twice, 0.04, 0.06)
    assert not agrees(cs_power, 0.77, 0.79)


@pytest.mark.full
def test_every_hour(script):
    (row,) = rows_of(script, "hourly", 1_000)
    assert agrees(row, 0.0, 0.05)
    assert row.times > 0


def test_uneven_traffic(script):
    rows = rows_of(script, "uneven", 40_000)
    planned, spent, slower, slower_spent = rows
    assert agrees(spent, 0.05, 0.05)
    assert agrees(slower_spent, 0.05, 0.05)
    assert not agrees(planned, 0.05, 0.05)
    assert slower.times < planned.times


@pytest.mark.full
def test_keys_and_decisions(script):
    ten, ten_keys, about, about_keys = rows_of(script, "decisions", 1_500)
    assert agrees(ten, 0.22, 0.26)
    assert agrees(about, 0.32, 0.38)
    assert agrees(ten_keys, 0.04, 0.06)
    assert agrees(about_keys, 0.04, 0.06)
    assert not agrees(ten, 0.04, 0.06)


@pytest.mark.full
def test_shared_drivers(script):
    customers, switched, units = rows_of(script, "interference", 60)
    assert customers.share > 0.5
    assert switched.share > 0.2
    assert agrees(units, 0.0, 0.06)
    assert not agrees(switched, 0.0, 0.06)


@pytest.mark.full
def test_lost_units(script):
    even, lost = rows_of(script, "sample_ratio", 150)
    assert agrees(even, 0.0, 0.001)
    assert agrees(lost, 0.93, 0.99)


@pytest.mark.full
def test_from_the_log_to_the_status(script):
    ship, roll_back, found = rows_of(script, "whole", 25)
    assert agrees(ship, 0.0, 0.025)
    assert agrees(roll_back, 0.0, 0.05)
    assert agrees(found, 0.75, 0.85)
    assert not agrees(found, 0.0, 0.05)
