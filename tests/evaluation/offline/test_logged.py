"""Logged decisions: what they hold, and that whatever cannot be is refused by field and row."""

from dataclasses import fields

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.evaluation.offline.logged import LoggedDecisions, checked_target, of_bandit


def given(**changed) -> dict:
    """Two episodes of one unit each: two steps, then one."""
    vectors = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    return {
        "unit": [4, 4, 9],
        "episode": [1, 1, 2],
        "step": [0, 1, 0],
        "obs": np.arange(6.0).reshape(3, 2),
        "action_mask": vectors > 0,
        "probabilities": vectors,
        "action": [0, 2, 0],
        "propensity": [0.5, 0.5, 1.0],
        "reward": [1.0, 2.0, 3.0],
        "terminated": [False, True, True],
        "arm": [0, 0, 1],
        "time": [0.0, 1.0, 0.5],
    } | changed


def test_what_is_given_is_kept_in_its_types_and_cannot_change():
    logged = LoggedDecisions(**given())
    assert (logged.rows, logged.actions, logged.units) == (3, 3, 2)
    assert not logged.is_bandit
    assert logged.obs.dtype == np.float32
    assert logged.unit_index.tolist() == [0, 0, 1]
    with pytest.raises(ValueError, match="read-only"):
        logged.reward[0] = 5.0


def test_rows_may_come_in_any_order():
    shuffled = {name: np.asarray(value)[[1, 2, 0]] for name, value in given().items()}
    logged = LoggedDecisions(**shuffled)
    assert logged.order.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("unit", [], "unit: no decision"),
        ("reward", [1.0, 2.0], "reward: 2 rows, but unit has 3"),
        ("reward", [1.0, np.inf, 2.0], "reward, row 1"),
        ("obs", [0.0, 1.0, 2.0], r"obs: shape \(3,\); give \(N, width\)"),
        ("obs", np.full((3, 2), np.nan), r"obs, row 0: .* \(3 such rows\)"),
        ("action", [0, 3, 0], "action, row 1 is 3: give a whole number from 0 to 2"),
        ("action", [0, 0.5, 0], "action, row 1 is 0.5: give whole numbers"),
        ("action", ["a", "b", "c"], "action: .* is no kind of number"),
        ("terminated", [0, 2, 1], "terminated, row 1: give True or False"),
        ("probabilities", np.ones((3, 2)), "probabilities: shape"),
        ("probabilities", -np.ones((3, 3)), "probabilities, row 0"),
        ("propensity", [0.5, -0.5, 1.0], "propensity, row 1 is -0.5"),
        ("propensity", [0.5, 0.5, np.nan], "propensity, row 2 is nan"),
        ("action_mask", np.zeros((3, 3), bool), "action_mask, row 0: at least one"),
        ("step", [0, 2, 0], "step, row 1 is 2: an episode's steps are 0, 1, 2"),
        ("step", [0, 0, 0], "step, row 1 is 0"),
        ("step", [0, 1, 1], "step, row 2 is 1"),
        ("unit", [4, 5, 9], "unit, row 1 is 5: an episode belongs to one unit"),
        ("terminated", [True, True, True], "terminated, row 1: nothing follows"),
    ],
)
def test_what_cannot_be_is_refused(field, value, message):
    with pytest.raises(InputError, match=message):
        LoggedDecisions(**given(**{field: value}))


def test_episodes_without_all_outcomes_are_left_out_whole():
    logged = LoggedDecisions(**given(reward=[1.0, np.nan, 3.0])).observed()
    assert logged.episode.tolist() == [2]
    with pytest.raises(InputError, match="every episode misses an outcome"):
        LoggedDecisions(**given(reward=[np.nan, 1.0, np.nan])).observed()


def test_some_rows_are_taken_if_they_are_whole_episodes():
    logged = LoggedDecisions(**given())
    taken = logged.take([0, 1])
    assert all(len(getattr(taken, one.name)) == 2 for one in fields(taken))
    with pytest.raises(InputError, match="step, row 0 is 1"):
        logged.take([1, 2])


def test_a_bandit_is_episodes_of_one():
    logged = of_bandit(np.zeros((2, 1)), np.ones((2, 2)), [[0.5, 0.5], [0.9, 0.1]], [1, 0], [1, 2])
    assert logged.is_bandit
    assert logged.propensity.tolist() == [0.5, 0.9]
    assert logged.units == 2
    with pytest.raises(InputError, match="action, row 0 is 2"):
        of_bandit(np.zeros((1, 1)), np.ones((1, 2)), [[0.5, 0.5]], [2], [1.0])
    with pytest.raises(InputError, match="probabilities: shape"):
        of_bandit(np.zeros((1, 1)), np.ones((1, 2)), [0.5, 0.5], [1], [1.0])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([[1.0, 0.0]] * 3, "mine: shape"),
        ([[0.5, 0.4, 0.0], [0, 0, 1], [1, 0, 0]], "mine, row 0 is 0.9: a row should sum to 1"),
        ([[0, 1, 0], [0, 0, 1], [0.5, 0.5, 0]], "mine, row 2 is 0.5: an action outside the mask"),
        ([[0, 1, 0], [-1, 1, 1], [1, 0, 0]], "mine, row 1: give finite probabilities"),
    ],
)
def test_a_target_has_to_fit_the_log(target, message):
    with pytest.raises(InputError, match=message):
        checked_target(LoggedDecisions(**given()), target, "mine")
