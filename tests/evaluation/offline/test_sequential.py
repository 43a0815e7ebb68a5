"""Sequential estimators: by hand on two episodes, and against an exactly solved process."""

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.evaluation.offline import sequential
from compagnon.evaluation.offline.fqe import cross_fitted_values
from compagnon.evaluation.offline.logged import LoggedDecisions
from compagnon.evaluation.offline.support import importance_weights
from tests.evaluation.offline.problems import mdp

GAMMA = 0.5


def by_hand():
    """Episode 0: two steps, weights 2 and 0.5, rewards 1 and 4. Episode 1: one, 0.5, reward 6."""
    vectors = np.array([[0.25, 0.75], [0.8, 0.2], [0.8, 0.2]])
    logged = LoggedDecisions(
        unit=[0, 0, 1],
        episode=[0, 0, 1],
        step=[0, 1, 0],
        obs=np.zeros((3, 1)),
        action_mask=np.ones((3, 2)),
        probabilities=vectors,
        action=[0, 0, 0],
        propensity=vectors[:, 0],
        reward=[1.0, 4.0, 6.0],
        terminated=[False, True, True],
        arm=[0, 0, 0],
        time=[0, 1, 0],
    )
    target = np.array([[0.5, 0.5], [0.4, 0.6], [0.4, 0.6]])
    return logged, target, importance_weights(logged, target)


def test_per_decision_estimates_by_hand():
    logged, _, weights = by_hand()
    assert weights.tolist() == [2.0, 0.5, 0.5]
    # Episode 0: 2 * 1 + 0.5 * (2 * 0.5) * 4 = 4; episode 1: 0.5 * 6 = 3.
    assert sequential.pdis(logged, weights, GAMMA).value == pytest.approx(3.5)
    # Step 0: (2 + 3) / 2.5 = 2; step 1: 1 * 4 / (1 + 0.5) with the ended episode's weight kept.
    assert sequential.snpdis(logged, weights, GAMMA).value == pytest.approx(2 + 0.5 * 4 / 1.5)


def test_weighted_doubly_robust_by_hand():
    logged, target, weights = by_hand()
    values = np.array([[2.0, 4.0], [3.0, 1.0], [5.0, 5.0]])
    # V = 3, 1.8, 5; r - Q = -1, 1, 1.
    # Step 0: (2 * -1 + 0.5 * 1) / 2.5 + (3 + 5) / 2 = -0.6 + 4.
    # Step 1: 1 * 1 / 1.5 + 2 * 1.8 / 2.5.
    wanted = 3.4 + 0.5 * (1 / 1.5 + 3.6 / 2.5)
    found = sequential.wdr(logged, target, weights, values, GAMMA)
    assert found.value == pytest.approx(wanted)
    # Without a model it is per-decision importance sampling, normalised.
    nothing = sequential.wdr(logged, target, weights, np.zeros((3, 2)), GAMMA)
    assert nothing.value == pytest.approx(sequential.snpdis(logged, weights, GAMMA).value)


def test_episodes_stand_in_their_order_whatever_that_of_the_rows():
    logged, _, weights = by_hand()
    mixed = logged.take([2, 1, 0])
    assert sequential.Episodes.of(mixed).row.tolist() == [[2, 1], [0, 0]]
    found = sequential.pdis(mixed, weights[[2, 1, 0]], GAMMA)
    assert found.value == pytest.approx(3.5)


@pytest.mark.parametrize("gamma", [-0.1, 1.1, float("nan")])
def test_a_discount_outside_is_refused(gamma):
    logged, _, weights = by_hand()
    with pytest.raises(InputError, match="gamma="):
        sequential.pdis(logged, weights, gamma)


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_all_find_the_value_of_the_solved_process(gamma):
    problem = mdp()
    logged = problem.log(6_000, np.random.default_rng(4))
    target = problem.on(logged, problem.target)
    weights = importance_weights(logged, target)
    values, converged = cross_fitted_values(logged, target, gamma)
    assert converged
    true = problem.value(problem.target, gamma)
    assert abs(true - problem.value(problem.behaviour, gamma)) > 0.1  # there is something to tell
    found = [
        sequential.pdis(logged, weights, gamma),
        sequential.snpdis(logged, weights, gamma),
        sequential.wdr(logged, target, weights, values, gamma),
    ]
    errors = [one.values(np.ones((1, one.units)))[1][0] for one in found]
    for one, error in zip(found, errors, strict=True):
        assert error < 0.04
        assert abs(one.value - true) < 4 * error
    assert errors[2] < errors[1] < errors[0]  # what each of them is for


def test_weighted_doubly_robust_is_right_whatever_q_is():
    problem = mdp()
    logged = problem.log(6_000, np.random.default_rng(5))
    target = problem.on(logged, problem.target)
    weights = importance_weights(logged, target)
    nonsense = np.where(logged.action_mask, np.array([3.0, -1.0, 2.0]), 0.0)
    found = sequential.wdr(logged, target, weights, nonsense, 0.9)
    error = found.values(np.ones((1, found.units)))[1][0]
    true = problem.value(problem.target, 0.9)
    assert abs(found.value - true) < 4 * error
    # With weights that are not the target's, it is not.
    wrong = sequential.wdr(logged, target, np.ones(logged.rows), nonsense, 0.9)
    assert abs(wrong.value - true) > 10 * error
