"""One call for all estimators, and when their figures may be read."""

from dataclasses import replace

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.evaluation.offline.estimate import LEAST_ESS, estimate, estimate_difference
from compagnon.evaluation.offline.logged import of_bandit
from tests.evaluation.offline.problems import contexts, mdp
from tests.evaluation.offline.test_fqe import growing


@pytest.mark.parametrize(
    ("problem", "names"),
    [(contexts(), ["ips", "snips", "dr", "switch-dr"]), (mdp(), ["pdis", "snpdis", "wdr", "fqe"])],
)
def test_every_estimator_that_applies_holds_the_value(problem, names):
    logged = problem.log(400, np.random.default_rng(0))
    found = estimate(logged, problem.on(logged, problem.target), gamma=0.9, seed=1)
    true = problem.value(problem.target, 0.9)
    assert [one.name for one in found] == names
    for one in found:
        assert one.evaluable
        assert one.low < one.value < one.high
        assert abs(one.value - true) < one.high - one.low
        assert one.why == f"the 400 units are worth {one.ess:.0f} of the target's own"
        assert one.support == pytest.approx(1.0)
    again = estimate(logged, problem.on(logged, problem.target), gamma=0.9, seed=1)
    assert again == found


@pytest.mark.parametrize("problem", [contexts(), mdp()])
def test_the_policy_that_decided_is_worth_what_it_earned(problem):
    logged = problem.log(100, np.random.default_rng(1))
    first = estimate(logged, logged.probabilities)[0]
    earned = np.bincount(logged.episode, logged.reward).mean()
    assert first.value == pytest.approx(earned)
    assert first.weighted == 1.0
    same = estimate_difference(logged, logged.probabilities, logged.probabilities)
    assert all(one[1:4] == pytest.approx((0.0, 0.0, 0.0), abs=1e-12) for one in same)


@pytest.mark.parametrize("problem", [contexts(), mdp()])
def test_a_difference_is_narrower_than_two_values_and_has_both_signs(problem):
    logged = problem.log(300, np.random.default_rng(2))
    champion = problem.on(logged, problem.target)
    challenger = 0.8 * champion + 0.2 * logged.probabilities
    for one, forth, back in zip(
        estimate(logged, champion),
        estimate_difference(logged, challenger, champion),
        estimate_difference(logged, champion, challenger),
        strict=True,
    ):
        assert forth.name == one.name
        assert forth.value == pytest.approx(-back.value)
        assert forth.low == pytest.approx(-back.high, abs=0.1 * (forth.high - forth.low))
        assert forth.high - forth.low < 0.5 * (one.high - one.low)
        assert forth.evaluable


def test_too_few_effective_units_are_not_read():
    problem = contexts()
    logged = problem.log(40, np.random.default_rng(3))
    for one in estimate(logged, logged.probabilities):
        assert not one.evaluable
        assert one.ess < LEAST_ESS
        assert one.why == (
            f"not evaluable: the 40 units are worth {one.ess:.1f} of the target's own; "
            "50 are needed"
        )
    assert not estimate_difference(logged, logged.probabilities, logged.probabilities)[0].evaluable


def test_what_the_log_could_not_have_done_is_not_read():
    rows = 400
    rng = np.random.default_rng(4)
    vectors = np.tile([0.5, 0.5, 0.0], (rows, 1))
    action = rng.integers(2, size=rows)
    logged = of_bandit(np.zeros((rows, 1)), np.ones((rows, 3)), vectors, action, rng.random(rows))
    near, far = np.tile([0.5, 0.495, 0.005], (rows, 1)), np.tile([0.5, 0.3, 0.2], (rows, 1))
    assert all(one.evaluable for one in estimate(logged, near))
    for one in (*estimate(logged, far), *estimate_difference(logged, near, far)):
        assert not one.evaluable
        assert one.support == pytest.approx(0.8)
        assert one.why.startswith("not evaluable: only 80.0 % of what the target would play")


def test_q_is_not_read_beside_the_others_where_episodes_are_cut():
    problem = mdp()
    logged = problem.log(200, np.random.default_rng(5))
    cut = replace(logged, terminated=logged.terminated & (logged.episode != 3))
    found = {one.name: one for one in estimate(cut, cut.probabilities, 0.9)}
    assert not found["fqe"].evaluable
    assert "1 of 400 episodes are not over where the log ends" in found["fqe"].why
    assert found["wdr"].evaluable


def test_values_that_do_not_converge_are_not_read():
    logged = growing()
    found = {one.name: one for one in estimate(logged, logged.probabilities, gamma=0.9)}
    assert not found["fqe"].evaluable
    assert "do not converge" in found["fqe"].why
    assert found["wdr"].evaluable
    assert found["wdr"].value == pytest.approx(found["snpdis"].value)  # without a model


def test_bernstein_stands_beside_ips_where_the_range_is_known():
    rng = np.random.default_rng(6)
    rows = 4_000
    vectors = np.full((rows, 2), 0.5)
    action = rng.integers(2, size=rows)
    reward = (rng.random(rows) < 0.3 + 0.4 * action).astype(float)
    logged = of_bandit(np.zeros((rows, 1)), np.ones((rows, 2)), vectors, action, reward)
    target = np.tile([0.2, 0.8], (rows, 1))
    found = {one.name: one for one in estimate(logged, target, reward_range=(0.0, 1.0))}
    ips, bound = found["ips"], found["ips-bernstein"]
    assert bound.value == ips.value
    assert bound.low < ips.low < 0.62 < ips.high < bound.high
    assert bound.high - bound.low < 3 * (ips.high - ips.low)
    with pytest.raises(InputError, match=r"reward, row .*: reward_range says 0 to 0\.5"):
        estimate(logged, target, reward_range=(0.0, 0.5))
    alone = estimate(logged.take([0]), target[:1], reward_range=(0.0, 1.0))[-1]
    assert np.isnan([alone.low, alone.high]).all()


def test_missing_outcomes_are_refused_and_never_taken_as_nothing():
    problem = contexts()
    logged = problem.log(60, np.random.default_rng(7))
    reward = logged.reward.copy()
    reward[5] = np.nan
    gap = replace(logged, reward=reward)
    with pytest.raises(InputError, match="reward, row 5: missing, as are 1 in all"):
        estimate(gap, gap.probabilities)
    with pytest.raises(InputError, match="observed"):
        estimate_difference(gap, gap.probabilities, gap.probabilities)
    left = gap.observed()
    assert left.rows == logged.rows - 1
    assert np.isfinite([one.value for one in estimate(left, left.probabilities)]).all()


def test_a_target_that_does_not_fit_is_named():
    problem = contexts()
    logged = problem.log(60, np.random.default_rng(8))
    with pytest.raises(InputError, match=r"^target_probabilities: shape"):
        estimate(logged, logged.probabilities[:-1])
    with pytest.raises(InputError, match=r"^champion, row 0"):
        estimate_difference(logged, logged.probabilities, 0.5 * logged.probabilities)


def test_heavy_weights_that_happened_not_to_come_are_not_forgotten():
    """One decision in 10,000 takes what the target always does; this log has none of them."""
    rows = 400
    vectors = np.tile([1 - 1e-4, 1e-4], (rows, 1))
    logged = of_bandit(
        np.zeros((rows, 1)), np.ones((rows, 2)), vectors, np.zeros(rows), np.ones(rows)
    )
    target = np.tile([0.5, 0.5], (rows, 1))
    for one in estimate(logged, target):
        # Drawn, all weights are equal; predicted, 400 / (0.25 / (1 - 1e-4) + 0.25 / 1e-4).
        assert one.ess == pytest.approx(400 / (0.25 / (1 - 1e-4) + 2_500), rel=1e-6)
        assert not one.evaluable
