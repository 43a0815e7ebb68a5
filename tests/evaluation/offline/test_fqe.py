"""Fitted Q evaluation: exact on a table, the target's distribution, and when it cannot be read."""

import numpy as np
import pytest

from compagnon.evaluation.offline.fqe import cross_fitted_values, fitted_q, fqe, transitions
from compagnon.evaluation.offline.logged import LoggedDecisions, of_bandit
from compagnon.evaluation.offline.ridge import Coefficients, RidgePerAction, folds
from tests.evaluation.offline.problems import mdp


def chain(reward=(1.0, 4.0, 6.0), terminated=(False, True, True), masks=None) -> LoggedDecisions:
    """State 0 leads to state 1, which ends; and an episode that begins in state 1."""
    mask = np.ones((3, 2)) if masks is None else masks
    return LoggedDecisions(
        unit=[0, 0, 1],
        episode=[0, 0, 1],
        step=[0, 1, 0],
        obs=np.eye(2)[[0, 1, 1]],
        action_mask=mask,
        probabilities=mask / mask.sum(axis=1, keepdims=True),
        action=[0, 0, 1],
        propensity=[0.5, 0.5, 0.5],
        reward=reward,
        terminated=terminated,
        arm=[0, 0, 0],
        time=[0, 1, 0],
    )


def test_q_by_hand_takes_the_targets_distribution_and_not_its_best_action():
    logged = chain()
    target = np.array([[1.0, 0.0], [0.25, 0.75], [0.25, 0.75]])
    found = fitted_q(logged, target, gamma=0.5, ridge=1e-9)
    assert found.converged
    values = found.predict(logged.obs)
    # In state 1 the actions earn 4 and 6; the target has 0.25 * 4 + 0.75 * 6 = 5.5 of them.
    assert values[1] == pytest.approx([4.0, 6.0], abs=1e-5)
    assert values[0, 0] == pytest.approx(1.0 + 0.5 * 5.5, abs=1e-5)
    # Its argmax would have had 1 + 0.5 * 6.
    assert fqe(logged, target, 0.5, 1e-9)[0].value == pytest.approx((3.75 + 5.5) / 2, abs=1e-5)


def empirical(logged: LoggedDecisions, target: np.ndarray, gamma: float) -> np.ndarray:
    """Q of the process that was seen, by linear algebra: means of what was met."""
    states = logged.obs.argmax(axis=1)
    count, actions = logged.obs.shape[1], logged.actions
    policy = np.zeros((count, actions))
    policy[states] = target
    kept, following = transitions(logged)
    moves, rewards = np.zeros((count, actions, count)), np.zeros((count, actions))
    times = np.zeros((count, actions))
    for row, after in zip(kept, following, strict=True):
        times[states[row], logged.action[row]] += 1
        rewards[states[row], logged.action[row]] += logged.reward[row]
        if not logged.terminated[row]:
            moves[states[row], logged.action[row], states[after]] += 1
    times = np.maximum(times, 1)
    moves, rewards = moves / times[:, :, None], rewards / times
    flow = np.einsum("sa,sat->st", policy, moves)
    v = np.linalg.solve(np.eye(count) - gamma * flow, (policy * rewards).sum(axis=1))
    return rewards + gamma * moves @ v


@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_one_hot_states_give_exactly_the_process_that_was_seen(gamma):
    problem = mdp()
    logged = problem.log(300, np.random.default_rng(0))
    target = problem.on(logged, problem.target)
    found = fitted_q(logged, target, gamma, ridge=1e-9)
    wanted = empirical(logged, target, gamma)[logged.obs.argmax(axis=1)]
    values = found.predict(logged.obs)
    assert np.abs(values - wanted)[logged.action_mask].max() < 1e-5


def test_the_value_is_that_of_the_solved_process_in_a_large_log():
    problem = mdp()
    logged = problem.log(6_000, np.random.default_rng(1))
    target = problem.on(logged, problem.target)
    ratios, weights, _ = fqe(logged, target, 0.9)
    error = ratios.values(np.ones((1, ratios.units)))[1][0]
    assert error < 0.02
    assert abs(ratios.value - problem.value(problem.target, 0.9)) < 4 * error
    values, _ = cross_fitted_values(logged, target, 0.9)
    exact = problem.q(problem.target, 0.9)[logged.obs.argmax(axis=1)]
    assert np.abs(values - exact)[logged.action_mask].max() < 0.2
    # The row weights carry the rewards to the value: what shrinking keeps back is little.
    episodes = len(np.unique(logged.episode))
    assert weights @ logged.reward / episodes == pytest.approx(ratios.value, abs=0.01)


def test_the_influence_of_a_unit_is_what_leaving_it_out_changes():
    """Held against the jackknife, which fits again without each unit."""
    problem = mdp()
    logged = problem.log(60, np.random.default_rng(2))
    target = problem.on(logged, problem.target)
    ratios, _, _ = fqe(logged, target, 0.9, ridge=1e-6)
    without = []
    for unit in np.unique(logged.unit):
        kept = logged.unit != unit
        without.append(fqe(logged.take(kept), target[kept], 0.9, ridge=1e-6)[0].value)
    spread = np.array(without) - np.mean(without)
    jackknife = np.sqrt((len(without) - 1) / len(without) * (spread**2).sum())
    error = ratios.values(np.ones((1, ratios.units)))[1][0]
    assert error == pytest.approx(jackknife, rel=0.15)


def test_what_followed_a_cut_episode_is_not_known():
    assert [rows.tolist() for rows in transitions(chain())] == [[0, 1, 2], [1, 1, 2]]
    cut = chain(terminated=(False, False, True))
    assert [rows.tolist() for rows in transitions(cut)] == [[0, 2], [1, 2]]
    assert [rows.tolist() for rows in transitions(cut, np.array([2]))] == [[2], [2]]


def growing(rows: int = 240) -> LoggedDecisions:
    """Each obs is followed by three times itself, of which nothing was fitted: Q is off by 3 gamma
    times as much after each regression (after Tsitsiklis and Van Roy 1997).
    """
    first = np.arange(0, rows, 2)
    obs = np.zeros((rows, 1))
    obs[first, 0] = np.where(first % 4 == 0, 1.0, -1.0)
    obs[first + 1] = 3.0 * obs[first]
    return LoggedDecisions(
        unit=np.arange(rows) // 2,
        episode=np.arange(rows) // 2,
        step=np.arange(rows) % 2,
        obs=obs,
        action_mask=np.ones((rows, 1)),
        probabilities=np.ones((rows, 1)),
        action=np.zeros(rows),
        propensity=np.ones(rows),
        reward=np.ones(rows),
        terminated=np.zeros(rows),
        arm=np.zeros(rows),
        time=np.arange(rows),
    )


def test_values_that_grow_without_end_are_said_not_to_converge():
    logged = growing()
    found = fitted_q(logged, logged.probabilities, gamma=0.9)
    assert found.growth == pytest.approx(2.7, abs=0.1)
    assert not found.converged
    values, converged = cross_fitted_values(logged, logged.probabilities, gamma=0.9)
    assert not converged
    assert not values.any()
    calm = fitted_q(logged, logged.probabilities, gamma=0.3)
    assert calm.growth == pytest.approx(0.9, abs=0.1)
    assert calm.converged


def test_an_action_that_was_never_taken_has_what_all_share():
    features = np.ones((4, 1))
    model = RidgePerAction(features, np.array([0, 0, 1, 1]), 3, ridge=1e-9)
    found = model.fit(np.array([1.0, 3.0, 5.0, 7.0]))
    assert found.predict(np.ones((1, 1)))[0] == pytest.approx([2.0, 6.0, 4.0])


def test_ridge_by_hand():
    """Two rows of a constant, values 3 and 6, ridge 1: shared 9 / 3 = 3, then (0 + 3) / 3 = 1."""
    model = RidgePerAction(np.ones((2, 1)), np.array([0, 0]), 1, ridge=1.0)
    found = model.fit(np.array([3.0, 6.0]))
    assert found.shared == pytest.approx([3.0])
    assert found.own[0] == pytest.approx([1.0])


def test_the_transpose_is_the_derivative():
    rng = np.random.default_rng(3)
    features = np.hstack([np.ones((30, 1)), rng.normal(size=(30, 2))])
    model = RidgePerAction(features, rng.integers(0, 3, 30), 4)
    wanted = Coefficients(rng.normal(size=3), rng.normal(size=(4, 3)))
    first, second = model.transpose(wanted)
    values = rng.normal(size=30)
    fitted = model.fit(values)
    moved = fitted.shared @ wanted.shared + (fitted.own * wanted.own).sum()
    assert (first + second) @ values == pytest.approx(moved)


def test_folds_are_even_and_every_unit_is_in_one():
    found = folds(23, 5, seed=1)
    assert sorted(np.bincount(found).tolist()) == [4, 4, 5, 5, 5]
    assert folds(3, 5, seed=1).max() == 2
    assert folds(23, 5, seed=2).tolist() != found.tolist()


def test_a_bandits_values_are_its_rewards():
    logged = of_bandit(
        np.zeros((4, 1)), np.ones((4, 2)), np.full((4, 2), 0.5), [0, 0, 1, 1], [1.0, 3.0, 5.0, 5.0]
    )
    target = np.tile([0.5, 0.5], (4, 1))
    ratios, _, found = fqe(logged, target, gamma=0.9, ridge=1e-9)
    assert found.growth == 0.0
    assert ratios.value == pytest.approx((2.0 + 5.0) / 2)
