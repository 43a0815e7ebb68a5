"""The bound of the proof of concept: no rule earns more, and a day worked out by hand."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from compagnon.evaluation.evaluate import evaluate
from compagnon.worlds.dispatch_poc import DISPATCH_POC, arrays, constants
from compagnon.worlds.dispatch_poc.options import PocOptions

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "dispatch_poc_bound.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("dispatch_poc_bound", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))  # where it finds its helpers
        spec.loader.exec_module(module)
    return module


def test_no_rule_earns_more_than_the_bound(script):
    seeds, options = np.arange(5, 9, dtype=np.uint64), PocOptions.parse(hours=2)
    days = script.days_of(seeds, options)
    bounds = np.array([script.bound_of(day, 10, 24)[0] for day in days])
    names = [f"expert:dispatch-poc-{name}" for name in ("earliest", "matching", "outlook")]
    played = evaluate(names, DISPATCH_POC, {"hours": 2, "observation": "trips"}, episodes=4, seed=5)
    for score in played.scores:
        assert score.results.kpis["demand"].tolist() == [len(day) for day in days]
        assert (score.results.returns / 24 <= bounds + 1e-9).all(), score.name
        # It is of use: not a multiple of what a rule earns.
        assert score.mean / 24 > bounds.mean() - 40, score.name


def booking(lat, lon, priority=3.0, window=30.0):
    row = np.zeros(arrays.BOOKING_COLUMNS)
    row[arrays.LAT], row[arrays.LON], row[arrays.PRIORITY] = lat, lon, priority
    row[arrays.WINDOW] = row[arrays.END] = window
    row[arrays.TO_LAT], row[arrays.TO_LON] = 0.0, 0.0
    return row


def test_a_day_of_one_booking_by_hand(script):
    # At the drivers' door: assigned, near, in less than half the window, all of it completed.
    most, completion = script.bound_of(np.array([booking(0.0, 0.0)]), 1, 12)
    earned = 50 + 10 + 15 + constants.COMPLETION_BONUS + constants.EVEN_BONUS + constants.NEAR_BONUS
    assert most * 12 == pytest.approx(earned - 11 * constants.WAIT_COST)
    assert completion == pytest.approx(1.0)


def test_who_cannot_be_reached_is_lost(script):
    # 0.1 degrees north is 11 km, 37 minutes and more: a window of 30 is too short.
    far, near = booking(0.1, 0.0), booking(0.0, 0.0)
    most, completion = script.bound_of(np.array([near, far]), 1, 12)
    alone, _ = script.bound_of(np.array([near]), 1, 12)
    assert completion == pytest.approx(0.5)
    assert (alone - most) * 12 == pytest.approx(
        constants.CANCELLED * 3 + constants.COMPLETION_BONUS / 2
    )
