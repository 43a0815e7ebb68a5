"""What a look-ahead says of candidates, by numbers worked out by hand."""

import numpy as np
import pytest

from compagnon.worlds.action_values import ActionValues

NAN = np.nan


def values(*earned, actions=None, usual=None):
    rows = np.array(earned, np.float64)
    actions = np.arange(len(rows)) if actions is None else np.array(actions)
    return ActionValues(actions, rows, int(actions[0]) if usual is None else usual)


# Behind the best one by 1, 3, 2, 2 (2 on average), and, dropped after two futures, by 4 and 8 (6).
WORKED = values([5.0, 9.0, 4.0, 6.0], [4.0, 6.0, 2.0, 4.0], [1.0, 1.0, NAN, NAN])
# Squared deviations: 1 + 1 + 0 + 0, and 4 + 4; freedom 3 + 1.
SIGMA = np.sqrt(10.0 / 4.0)


def test_means_and_counts_are_of_what_each_was_tried_in():
    assert WORKED.futures.tolist() == [4, 4, 2]
    assert WORKED.mean.tolist() == [6.0, 4.0, 1.0]


def test_who_is_behind_is_compared_future_by_future():
    assert WORKED.behind.tolist() == [0.0, 2.0, 6.0]  # and not 5, the difference of the means
    assert np.allclose(WORKED.stderr, SIGMA / np.sqrt([4.0, 4.0, 2.0]))


def test_advantages_are_against_what_would_be_done_otherwise():
    assert WORKED.advantage.tolist() == [0.0, -2.0, -6.0]
    other = values([5.0, 9.0], [4.0, 6.0], [1.0, NAN], usual=1)
    assert other.advantage.tolist() == [2.0, 0.0, -3.0]


def test_the_standard_error_is_pooled_over_the_candidates():
    one_behind = values([1.0, 1.0, 1.0, 1.0], [0.0, 2.0, -2.0, 0.0])
    # Behind by 1 on average; deviations 0, -2, 2, 0: sigma^2 = 8 / 3, stderr sigma / 2.
    assert one_behind.behind.tolist() == [0.0, 1.0]
    assert np.allclose(one_behind.stderr, np.sqrt(8.0 / 3.0) / 2.0)
    sure = values([3.0, 5.0], [3.0, 5.0], [2.0, 4.0])
    assert sure.stderr.tolist() == [0.0, 0.0, 0.0]


def test_whoever_was_dropped_is_never_preferred_to_what_was_chosen():
    """The policy below's own choice is never dropped, and may win in the end after all."""
    late = values([1.0, 9.0, 9.0], [2.0, NAN, NAN], [1.0, 8.0, 9.0])
    assert late.behind[1] == 0.0


def test_a_single_candidate_is_behind_nobody():
    alone = values([3.0, 4.0])
    assert alone.stderr.tolist() == alone.behind.tolist() == alone.advantage.tolist() == [0.0]


@pytest.mark.parametrize("shift", [-1e6, 1e6])
def test_what_befalls_everybody_in_a_future_changes_nothing(shift):
    moved = ActionValues(WORKED.actions, WORKED.earned + np.array([shift, 0.0, 3.0, -shift]), 0)
    assert np.allclose(moved.behind, WORKED.behind)
    assert np.allclose(moved.advantage, WORKED.advantage)
    assert np.allclose(moved.stderr, WORKED.stderr)
