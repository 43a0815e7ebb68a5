"""Faulty logs are refused with their figure, and clean ones are not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from compagnon.errors import InputError
from compagnon.evaluation.offline.drift import drift_of_fields, ks, ks_threshold, psi
from compagnon.evaluation.offline.logged import LoggedDecisions, of_bandit
from compagnon.evaluation.offline.quality import ALARM, QualityReport, check_quality
from tests.evaluation.offline import logs

SEED = 31_337


def small(**changed) -> LoggedDecisions:
    vectors = np.tile([0.5, 0.5, 0.0], (4, 1))
    logged = of_bandit(np.zeros((4, 1)), vectors > 0, vectors, [0, 1, 0, 1], np.ones(4))
    return replace(logged, **changed)


def failing(report: QualityReport) -> set[str]:
    return {test.name for test in report.faults}


def test_a_clean_log_passes_and_says_so():
    report = check_quality(small(), {"mine": np.tile([0.9, 0.1, 0.0], (4, 1))}, small())
    assert report.good
    report.refuse_unless_good()
    assert [test.name for test in report.tests] == [
        "rows_sum", "rows_masked", "rows_allowed", "rows_chosen", "rows_positive", "greedy_rate",
        "surprise", "uniform_weight", "masked_exploring", "mean_weight_mine", "missing_outcomes",
        "drift_field_0",
    ]  # fmt: skip
    assert report.tests[0].verdict == "all 4 rows sum to 1"
    assert "0.00 % in arm 0" in report.tests[-2].verdict


def vectors_of(row: list[float]) -> np.ndarray:
    found = np.tile([0.5, 0.5, 0.0], (4, 1))
    found[2] = row
    return found


@pytest.mark.parametrize(
    ("changed", "name", "figure"),
    [
        ({"probabilities": vectors_of([0.5, 0.4, 0.0])}, "rows_sum", "row 2, with 0.9"),
        ({"probabilities": vectors_of([0.5, 0.25, 0.25])}, "rows_masked", "row 2, with 0.25"),
        ({"action_mask": vectors_of([0, 1, 1]) > 0}, "rows_allowed", "row 2, with 0"),
        ({"propensity": [0.5, 0.5, 1.0, 0.5]}, "rows_chosen", "row 2, with 1"),
        ({"propensity": [0.5, 0.5, 0.0, 0.5]}, "rows_positive", "row 2, with 0"),
    ],
)
def test_a_row_that_cannot_be_is_named_and_the_log_refused(changed, name, figure):
    report = check_quality(small(**changed))
    assert name in failing(report)
    with pytest.raises(InputError, match=f"the log is refused: .*1 of 4 rows do not .*{figure}"):
        report.refuse_unless_good()


def test_float32_probabilities_are_exact_enough():
    rng = np.random.default_rng(SEED)
    vectors = rng.dirichlet(np.ones(201), 50).astype(np.float32)
    logged = of_bandit(np.zeros((50, 1)), np.ones((50, 201)), vectors, np.zeros(50), np.ones(50))
    assert not failing(check_quality(logged)) & {"rows_sum", "rows_chosen"}


@pytest.mark.parametrize("fault", logs.FAULTS)
@pytest.mark.parametrize("greedy", [True, False])
def test_each_fault_is_found_in_2000_rows(fault, greedy):
    """Three logs each; the stale model's vectors are among the targets, as they should be."""
    rng = np.random.default_rng(SEED)
    for _ in range(3):
        logged, stale = logs.drawn(fault, rng, greedy=greedy)
        report = check_quality(logged, {"stale": stale})
        assert not report.good
        with pytest.raises(InputError, match=r"expected: so far off|do not sum to 1"):
            report.refuse_unless_good()


def refused(fault: str | None, count: int, told: bool, greedy: bool, seed: int = SEED) -> float:
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(count):
        logged, stale = logs.drawn(fault, rng, greedy=greedy)
        logged = logs.two_arms(logged, rng)
        found += not check_quality(logged, {"stale": stale} if told else None).good
    return found / count


@pytest.mark.full
@pytest.mark.parametrize("greedy", [True, False])
def test_clean_logs_are_refused_once_in_a_hundred_at_most(greedy):
    """More than this of 150 would come once in 10,000 if the rate were what is promised."""
    assert refused(None, 150, True, greedy) <= stats.binom.ppf(1 - 1e-4, 150, ALARM) / 150


@pytest.mark.full
@pytest.mark.parametrize(
    ("fault", "told", "greedy", "power"),
    [
        ("greedy as 1", False, True, 0.99),
        ("eps / A", False, True, 0.97),
        ("before the mask", False, False, 0.99),
        ("stale", False, True, 0.95),
        ("stale", True, False, 0.97),
        ("stale", False, False, 0.70),  # nobody says who else might have decided
    ],
)
def test_the_power_is_what_the_page_says(fault, told, greedy, power):
    """Fewer of 60 would come once in 10,000 with such a power."""
    assert refused(fault, 60, told, greedy) >= stats.binom.ppf(1e-4, 60, power) / 60


def test_a_draw_that_is_always_greedy_is_seen_by_its_rate():
    rng = np.random.default_rng(SEED)
    logged, _ = logs.drawn(None, rng, greedy=True)
    best = logged.probabilities.argmax(axis=1)
    always = of_bandit(logged.obs, logged.action_mask, logged.probabilities, best, logged.reward)
    report = check_quality(always)
    assert "greedy_rate" in failing(report)
    (test,) = [one for one in report.tests if one.name == "greedy_rate"]
    assert "the likeliest action was taken 2,000 times" in test.verdict
    assert test.figure < test.threshold


def test_outcomes_that_are_missing_in_one_arm_are_seen():
    rng = np.random.default_rng(SEED)
    logged, _ = logs.drawn(None, rng)
    even = logs.two_arms(logged, rng)
    assert "missing_outcomes" not in failing(check_quality(even))
    gone = (even.arm == 1) & (rng.random(even.rows) < 0.1)
    odd = replace(even, reward=np.where(gone, np.nan, even.reward))
    (test,) = check_quality(odd).faults
    assert test.name == "missing_outcomes"
    assert test.verdict.endswith("which differ")
    # As many in one unit alone are one accident, not a habit.
    alone = replace(even, reward=np.where(even.unit == 3, np.nan, even.reward))
    assert check_quality(alone).good


def test_a_field_that_moved_is_named():
    rng = np.random.default_rng(SEED)
    reference, logged = logs.drawn(None, rng)[0], logs.drawn(None, rng)[0]
    assert check_quality(logged, None, reference).good
    obs = logged.obs.copy()
    obs[:, 2] += 1.0
    (test,) = check_quality(replace(logged, obs=obs), None, reference).faults
    assert test.name == "drift_field_2"
    assert "field 2: PSI" in test.verdict
    with pytest.raises(InputError, match="reference: 5 fields, but obs has 1"):
        check_quality(small(), None, reference)


def test_psi_by_hand():
    """One field with the values 0 and 1: 30 and 70 beside 50 and 50, half a row in each bin."""
    values, reference = np.repeat([0.0, 1.0], [30, 70]), np.repeat([0.0, 1.0], [50, 50])
    # Edges 0, 0.5 (the median), 1: the bins at 0 and at 1 are filled, five others are not.
    edges = len(np.unique(np.quantile(reference, np.linspace(0, 1, 11)[1:-1])))
    bins = 2 * edges + 1
    one = np.array([30.5, 70.5]) / (100 + bins / 2)
    other = np.array([50.5, 50.5]) / (100 + bins / 2)
    assert psi(values, reference) == pytest.approx(((one - other) * np.log(one / other)).sum())
    assert psi(reference, reference) == 0.0
    constant = np.zeros(50)
    assert psi(constant, constant) == 0.0
    assert psi(constant + 1, constant) > 1.0


def test_ks_is_scipys():
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=80), np.round(rng.normal(0.3, 1, 120), 1)
    assert ks(one, other) == pytest.approx(stats.ks_2samp(one, other).statistic)
    assert drift_of_fields(one[:, None], other[:, None])[0].ks == ks(one, other)
    # The distance that is passed once in 20 times, in large samples: 1.358 sqrt(1/n + 1/m).
    assert ks_threshold(80, 120, 0.05) == pytest.approx(1.358 * np.sqrt(1 / 80 + 1 / 120), rel=1e-3)
