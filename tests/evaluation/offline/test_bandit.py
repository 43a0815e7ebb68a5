"""Bandit estimators: by hand, on a bandit whose value is known, and what each promises."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.errors import InputError
from compagnon.evaluation.offline import bandit
from compagnon.evaluation.offline.logged import of_bandit
from compagnon.evaluation.offline.support import effective_size, importance_weights, overlap
from tests.evaluation.offline.problems import contexts

# Four decisions of three units; the third action of row 2 was not possible.
VECTORS = np.array([[0.5, 0.25, 0.25], [0.8, 0.1, 0.1], [0.5, 0.5, 0.0], [0.2, 0.4, 0.4]])
TARGET = np.array([[0.25, 0.5, 0.25], [0.4, 0.2, 0.4], [0.0, 1.0, 0.0], [0.2, 0.8, 0.0]])
REWARD = np.array([2.0, 1.0, 4.0, 3.0])
PREDICTED = np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [2.0, 3.0, 0.0], [1.0, 2.0, 5.0]])


def by_hand():
    logged = of_bandit(
        np.zeros((4, 1)), VECTORS > 0, VECTORS, [0, 1, 1, 2], REWARD, unit=[0, 0, 1, 2]
    )
    return logged, importance_weights(logged, TARGET)


def test_weights_by_hand():
    logged, weights = by_hand()
    assert weights.tolist() == [0.5, 2.0, 2.0, 0.0]
    known = overlap(logged, TARGET, weights)
    # Unit sums 2.5, 2, 0: those are worth 4.5^2 / 10.25 = 1.98. Before the draw the variances were
    # 0.375, 1.2, 1, 0.8, so that 4^2 / (4 + 1.575 + 1 + 1 + 1 + 0.8) were to be expected.
    assert known.ess == pytest.approx(16 / 9.375)
    assert known.support == 1.0
    assert known.weighted == pytest.approx(2 / 3)


def test_estimates_by_hand():
    logged, weights = by_hand()
    # w r = 1, 2, 8, 0.
    assert bandit.ips(logged, weights).value == pytest.approx(11 / 4)
    assert bandit.snips(logged, weights).value == pytest.approx(11 / 4.5)
    # sum pi q = 2, 1, 3, 1.8; w (r - q) = 0.5 * 1, 2 * 0, 2 * 1, 0 * -2.
    doubly = bandit.dr(logged, TARGET, weights, PREDICTED)
    assert doubly.value == pytest.approx((2.5 + 1 + 5 + 1.8) / 4)
    switched = bandit.switch_dr(logged, TARGET, weights, PREDICTED, tau=1.0)
    assert switched.value == pytest.approx((2.5 + 1 + 3 + 1.8) / 4)
    model = bandit.switch_dr(logged, TARGET, weights, PREDICTED, tau=0.0)
    assert model.value == pytest.approx((2 + 1 + 3 + 1.8) / 4)


def test_the_standard_error_of_snips_by_hand():
    logged, weights = by_hand()
    ratio = 11 / 4.5
    influence = np.array([3 - 2.5 * ratio, 8 - 2 * ratio, 0.0]) / 4.5
    _, error = bandit.snips(logged, weights).values(np.ones((1, 3)))
    assert error[0] == pytest.approx(math.sqrt((influence**2).sum() * 3 / 2))


def test_the_threshold_has_the_least_estimated_risk():
    """Variance plus squared bias bound, written out here."""
    problem = contexts(sharpness=3.0, logged=2.5)
    logged = problem.log(2_000, np.random.default_rng(0))
    target = problem.on(logged, problem.target)
    weights = importance_weights(logged, target)
    predicted = bandit.cross_fitted_rewards(logged)
    tau = bandit.switch_threshold(logged, target, weights, predicted)

    def risk(tau: float) -> float:
        ratios = bandit.switch_dr(logged, target, weights, predicted, tau)
        error = ratios.values(np.ones((1, ratios.units)))[1][0]
        with np.errstate(divide="ignore", invalid="ignore"):
            heavy = target / logged.probabilities > tau
        left = np.where(heavy, target, 0.0).sum() / logged.rows
        return error**2 + (np.ptp(logged.reward) * left) ** 2

    candidates = bandit.threshold_candidates(weights)
    assert len(candidates) == 22
    assert risk(tau) == pytest.approx(min(risk(one) for one in candidates))


def test_switch_leaves_one_row_that_outweighs_the_log_to_the_model():
    rows = 1_000
    vectors = np.tile([1 - 5e-6, 5e-6], (rows, 1))
    action = np.zeros(rows)
    reward = np.random.default_rng(1).random(rows)
    target = np.tile([1 - 5e-4, 5e-4], (rows, 1))
    predicted = np.full((rows, 2), 0.5)
    for rare, finite in ((0, False), (1, True)):
        action[0] = rare
        logged = of_bandit(np.zeros((rows, 1)), np.ones((rows, 2)), vectors, action, reward)
        weights = importance_weights(logged, target)
        tau = bandit.switch_threshold(logged, target, weights, predicted)
        assert math.isfinite(tau) is finite


def test_an_unbiased_estimator_stays_one_whatever_the_model_says():
    problem = contexts()
    true = problem.value(problem.target, 1.0)
    rng = np.random.default_rng(1)
    found = []
    for _ in range(400):
        logged = problem.log(100, rng)
        target = problem.on(logged, problem.target)
        nonsense = np.full(target.shape, 3.0)
        nonsense[:, 1] = -2.0
        weights = importance_weights(logged, target)
        found.append(
            (bandit.ips(logged, weights).value, bandit.dr(logged, target, weights, nonsense).value)
        )
    errors = np.std(found, axis=0) / math.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - true) < 4 * errors).all()
    # And what is a model alone is not.
    alone = bandit.switch_dr(logged, target, weights, nonsense, tau=0.0).value
    assert abs(alone - true) > 0.5


def test_all_find_the_value_in_a_large_log():
    problem = contexts()
    logged = problem.log(40_000, np.random.default_rng(2))
    target = problem.on(logged, problem.target)
    true = problem.value(problem.target, 1.0)
    weights = importance_weights(logged, target)
    predicted = bandit.cross_fitted_rewards(logged)
    for ratios in (
        bandit.ips(logged, weights),
        bandit.snips(logged, weights),
        bandit.dr(logged, target, weights, predicted),
    ):
        error = ratios.values(np.ones((1, ratios.units)))[1][0]
        assert error < 0.01
        assert abs(ratios.value - true) < 4 * error
    # The policy that decided is worth what it earned.
    own = importance_weights(logged, logged.probabilities)
    assert bandit.ips(logged, own).value == pytest.approx(logged.reward.mean())


def test_no_unit_helps_to_fit_its_own_prediction():
    problem = contexts()
    logged = problem.log(50, np.random.default_rng(3))
    before = bandit.cross_fitted_rewards(logged, seed=1)
    reward = logged.reward.copy()
    mine = logged.unit == 7
    reward[mine] += 100.0
    changed = of_bandit(
        logged.obs, logged.action_mask, logged.probabilities, logged.action, reward, logged.unit
    )
    after = bandit.cross_fitted_rewards(changed, seed=1)
    assert np.allclose(before[mine], after[mine])
    assert np.abs(before[~mine] - after[~mine]).max() > 0.1
    alone = logged.take(mine)
    assert not bandit.cross_fitted_rewards(alone).any()  # nothing to learn from


def test_a_propensity_of_nothing_is_refused():
    logged = of_bandit(np.zeros((2, 1)), np.ones((2, 2)), [[1.0, 0.0]] * 2, [0, 1], [1.0, 1.0])
    with pytest.raises(InputError, match=r"propensity, row 1 is 0\.0"):
        importance_weights(logged, np.full((2, 2), 0.5))


@given(st.lists(st.floats(0.0, 1e3), min_size=1, max_size=30), st.floats(0.1, 10.0))
def test_the_effective_size_is_at_most_the_number_and_knows_no_scale(weights, factor):
    array = np.array(weights)
    size = effective_size(array)
    assert 0.0 <= size <= np.count_nonzero(array) + 1e-9
    if array.max() > 1e-3:
        assert effective_size(factor * array) == pytest.approx(size)


@settings(deadline=None, max_examples=25)
@given(st.floats(-50.0, 50.0), st.integers(0, 1_000))
def test_snips_moves_with_the_rewards_and_ips_need_not(shift, seed):
    problem = contexts()
    logged = problem.log(20, np.random.default_rng(seed))
    weights = importance_weights(logged, problem.on(logged, problem.target))
    moved = of_bandit(
        logged.obs, logged.action_mask, logged.probabilities, logged.action, logged.reward + shift
    )
    before, after = (bandit.snips(one, weights).value for one in (logged, moved))
    assert after == pytest.approx(before + shift)
    assert bandit.ips(moved, weights).value == pytest.approx(
        bandit.ips(logged, weights).value + shift * weights.mean()
    )
