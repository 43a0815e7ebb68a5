import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import bootstrap

from compagnon.evaluation.statistics import (
    Estimate,
    bootstrap_interval,
    bootstrap_intervals,
    estimate,
    estimate_each,
    student_interval,
)


def coverage(level: float, trials: int = 200, episodes: int = 30) -> float:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(trials):
        low, high = bootstrap_interval(rng.gamma(4.0, 1.0, episodes), level=level)
        hits += low <= 4.0 <= high
    return hits / trials


def test_the_interval_holds_the_true_mean_about_95_times_in_100() -> None:
    assert 0.90 <= coverage(0.95) <= 0.98


def test_an_interval_of_a_lower_level_holds_it_less_often() -> None:
    assert 0.42 <= coverage(0.5) <= 0.58


@pytest.mark.parametrize("kind", ["normal", "skewed"])
def test_agrees_with_scipy(kind: str) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(3, 2, 80) if kind == "normal" else rng.exponential(2.0, 80)
    theirs = bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=rng
    ).confidence_interval
    error = values.std(ddof=1) / np.sqrt(80)
    assert bootstrap_interval(values) == pytest.approx((theirs.low, theirs.high), abs=0.15 * error)


def test_the_same_figures_give_the_same_interval() -> None:
    values = np.random.default_rng(0).normal(size=40)
    assert bootstrap_interval(values) == bootstrap_interval(values.copy())
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values)


def test_a_figure_has_the_same_interval_alone_and_among_others() -> None:
    values = np.random.default_rng(0).normal(size=(40, 3))
    together = bootstrap_intervals(values)
    for i in range(3):
        assert bootstrap_interval(values[:, i]) == pytest.approx(tuple(together[i]), abs=1e-12)


def test_equal_figures_have_an_interval_of_no_width() -> None:
    assert bootstrap_interval(np.full(20, 0.1)) == (0.1, 0.1)


def test_one_episode_has_no_interval_and_json_says_null() -> None:
    alone = estimate(np.array([7.0]))
    assert alone.as_json() == {"mean": 7.0, "ci95": [None, None]}
    assert not alone.rises
    assert not alone.falls


def test_rises_and_falls_need_the_whole_interval() -> None:
    assert Estimate(2.0, (1.0, 3.0)).rises
    assert not Estimate(2.0, (-1.0, 3.0)).rises
    assert Estimate(-2.0, (-3.0, -1.0)).falls
    assert not Estimate(-2.0, (-3.0, 1.0)).falls


def test_estimates_by_name() -> None:
    found = estimate_each({"a": np.array([1.0, 3.0]), "b": np.array([5.0, 5.0])})
    assert found["a"].mean == 2.0
    assert found["a"].ci95 == (1.0, 3.0)
    assert found["b"] == Estimate(5.0, (5.0, 5.0))
    assert estimate_each({}) == {}


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12),
    st.sampled_from([0.5, 0.9, 0.95, 0.975, 0.999]),
)
def test_students_interval_is_scipys(values, level):
    array = np.array(values)
    error = array.std(ddof=1) / np.sqrt(len(array))
    half = stats.t.ppf((1 + level) / 2, len(array) - 1) * error
    expected = (array.mean() - half, array.mean() + half)
    assert student_interval(array, level) == pytest.approx(expected, rel=1e-8, abs=1e-8)


def test_students_interval_of_one_value_is_unknown():
    assert np.isnan(student_interval(np.array([3.0]))).all()
