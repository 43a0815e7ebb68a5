"""Intervals: the bootstrap by the textbook, Bernstein by hand, and how often each holds."""

import math

import numpy as np
import pytest
from scipy import stats

from compagnon.errors import InputError
from compagnon.evaluation.offline import intervals
from compagnon.evaluation.offline.estimate import estimate, estimate_difference
from compagnon.evaluation.offline.intervals import empirical_bernstein, studentised_bootstrap
from compagnon.evaluation.offline.ratios import Ratios, mean_of
from tests.evaluation.offline.problems import Problem, contexts, mdp

SEED = 90_210  # not that of the benchmark


def test_a_ratio_and_its_error_by_hand():
    """Units (top, below): (2, 1), (3, 2), (1, 3): the ratio 1, influence (1, 1, -2) / 6."""
    ratios = mean_of(np.array([2.0, 3.0, 1.0]), np.array([1.0, 2.0, 3.0]))
    value, error = ratios.values(np.ones((1, 3)))
    assert value[0] == pytest.approx(1.0)
    assert error[0] == pytest.approx(math.sqrt(6) / 6 * math.sqrt(3 / 2))
    # The second unit twice, the third not at all: (2 + 6) / (1 + 4).
    assert ratios.values(np.array([[1.0, 2.0, 0.0]]))[0][0] == pytest.approx(1.6)


def test_a_difference_is_paired_by_unit():
    one = mean_of(np.array([5.0, 9.0, 1.0, 7.0]), np.ones(4))
    other = mean_of(np.array([4.0, 8.0, 0.0, 6.0]), np.ones(4))
    assert one.minus(other).value == pytest.approx(1.0)
    assert studentised_bootstrap(one.minus(other)) == pytest.approx((1.0, 1.0))
    low, high = studentised_bootstrap(one)
    assert high - low > 5.0


def test_what_weighs_nothing_counts_as_nothing():
    ratios = Ratios(np.zeros((3, 2)), np.array([[1.0, 0.0]] * 3), np.array([1.0, 1.0]))
    assert ratios.value == 0.0
    assert np.isfinite(ratios.values(np.ones((1, 3)))[1]).all()


def test_each_end_is_the_further_of_students_and_the_bootstraps():
    """Held against a bootstrap-t of the mean, written out with scipy."""
    values = np.random.default_rng(3).exponential(1.0, 15)
    error = stats.sem(values)
    drawn = np.random.default_rng(8).choice(values, (20_000, 15))
    t = (drawn.mean(axis=1) - values.mean()) / stats.sem(drawn, axis=1)
    low, high = np.quantile(t, [0.025, 0.975])
    student = stats.t.ppf(0.975, 14)
    wanted = values.mean() - max(high, student) * error, values.mean() + max(-low, student) * error
    found = studentised_bootstrap(mean_of(values, np.ones(15)), resamples=10_000)
    assert found == pytest.approx(wanted, abs=0.15 * error)
    assert -low > student > high  # one end of each


def test_a_few_units_have_students_and_one_has_none():
    values = np.array([1.0, 2.0, 4.0])
    half = stats.t.ppf(0.975, 2) * stats.sem(values)
    found = studentised_bootstrap(mean_of(values, np.ones(3)))
    assert found == pytest.approx((values.mean() - half, values.mean() + half))
    assert np.isnan(studentised_bootstrap(mean_of(np.ones(1), np.ones(1)))).all()


def test_many_units_are_put_together_and_the_interval_stays(monkeypatch):
    values = np.random.default_rng(4).exponential(1.0, 900)
    ratios = mean_of(values, np.ones(900))
    whole = studentised_bootstrap(ratios)
    monkeypatch.setattr(intervals, "MOST_GROUPS", 100)
    assert studentised_bootstrap(ratios) == pytest.approx(whole, abs=0.15 * (whole[1] - whole[0]))
    assert studentised_bootstrap(ratios, seed=1) != studentised_bootstrap(ratios, seed=2)


def test_an_interval_counts_units_and_not_decisions():
    """Ten copies of each decision are no news if they are of one unit."""
    values = np.random.default_rng(5).normal(size=40)
    once = studentised_bootstrap(mean_of(values, np.ones(40)))
    assert studentised_bootstrap(mean_of(10 * values, np.full(40, 10.0))) == pytest.approx(once)
    low, high = studentised_bootstrap(mean_of(np.repeat(values, 10), np.ones(400)))
    assert high - low < 0.4 * (once[1] - once[0])


def test_bernstein_by_hand():
    values = np.array([0.0, 1.0, 1.0, 2.0])
    # In [0, 2]: scaled variance (2 / 3) / 4, logarithm of 2 / 0.025.
    log = math.log(80.0)
    half = 2 * (math.sqrt(2 * (1 / 6) * log / 4) + 7 * log / 9)
    assert empirical_bernstein(values, 0.0, 2.0) == (0.0, 2.0)  # so few say nothing
    many = np.tile(values, 500)
    spread = many.var(ddof=1) / 4
    half = 2 * (math.sqrt(2 * spread * log / 2_000) + 7 * log / (3 * 1_999))
    assert empirical_bernstein(many, 0.0, 2.0) == pytest.approx((1.0 - half, 1.0 + half))


@pytest.mark.parametrize(
    ("values", "low", "high", "message"),
    [([1.0], 0.0, 2.0, "two units"), ([0.0, 3.0], 0.0, 2.0, "from 0 to 3"),
     ([1.0, 1.0], 2.0, 2.0, "outside the bounds")],
)  # fmt: skip
def test_bernstein_needs_true_bounds(values, low, high, message):
    with pytest.raises(InputError, match=message):
        empirical_bernstein(np.array(values), low, high)


def held(problem: Problem, units: int, trials: int, against: bool) -> dict[str, float]:
    """How often each estimator's interval holds the true value, or difference."""
    true = problem.value(problem.target, 0.95)
    true -= problem.value(problem.behaviour, 0.95) if against else 0.0
    rng = np.random.default_rng(SEED)
    hits: dict[str, int] = {}
    for trial in range(trials):
        logged = problem.log(units, rng)
        target = problem.on(logged, problem.target)
        found = (
            estimate_difference(logged, target, logged.probabilities, 0.95, trial)
            if against
            else estimate(logged, target, 0.95, trial)
        )
        for one in found:
            hits[one.name] = hits.get(one.name, 0) + (one.low <= true <= one.high)
    return {name: count / trials for name, count in hits.items()}


def allowed(trials: int) -> tuple[float, float]:
    """What a coverage of 93 to 97 % gives in so many trials, but for once in 100,000."""
    low = stats.binom.ppf(1e-5 / 2, trials, 0.93) / trials
    return float(low), float(stats.binom.ppf(1 - 1e-5 / 2, trials, 0.97) / trials)


@pytest.mark.full
@pytest.mark.parametrize("against", [False, True])
@pytest.mark.parametrize(("problem", "units"), [(contexts(), 120), (mdp(), 120)])
def test_every_interval_holds_the_truth_about_95_times_in_100(problem, units, against):
    low, high = allowed(120)
    found = held(problem, units, 120, against)
    assert len(found) == 4
    assert all(low <= share <= high for share in found.values()), found


def test_coverage_that_is_wrong_would_be_seen():
    """An interval of half the width holds a normal mean 67 times in 100; one of twice, always."""
    low, high = allowed(120)
    assert stats.norm.cdf(0.98) * 2 - 1 < low - 0.1
    assert low < 0.93 < 0.97 < high
    rng = np.random.default_rng(SEED)
    ratios = [mean_of(rng.normal(size=60), np.ones(60)) for _ in range(120)]
    ends = np.array([studentised_bootstrap(one, 0.67, seed=k) for k, one in enumerate(ratios)])
    assert ((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).mean() < low
    ends = np.array([studentised_bootstrap(one, seed=k) for k, one in enumerate(ratios)])
    assert low <= ((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).mean() <= high
