"""Transitions come back as they were, with the rewards and discounts that a loop would find."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compagnon.policy.schema import ActionSchema
from compagnon.rl.buffers.replay import NStep, ReplayBuffer, Transitions
from tests.rl.small import through_disk

DISCRETE = ActionSchema("discrete", 3)
VECTOR = ActionSchema("box", 2, (-1.0, -1.0), (1.0, 1.0))
GAMMA = 0.5


def some(count: int, first: int = 0, action: ActionSchema = DISCRETE) -> Transitions:
    """Transitions that tell their number in every column."""
    number = np.arange(first, first + count)
    columns = np.repeat(number[:, None], 2, axis=1).astype(np.float32)
    return Transitions(
        columns,
        number if action.kind == "discrete" else columns + 0.5,
        number.astype(np.float32),
        (number % 7 / 7).astype(np.float32),
        columns + 1,
        np.ones((count, action.n if action.kind == "discrete" else 0), np.bool_),
    )


# -- the ring -----------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [DISCRETE, VECTOR], ids=["discrete", "box"])
@given(capacity=st.integers(1, 12), sizes=st.lists(st.integers(0, 9), max_size=8))
@settings(max_examples=60, deadline=None)
def test_the_newest_are_remembered_and_the_oldest_forgotten(action, capacity, sizes):
    buffer, known = ReplayBuffer(capacity, 2, action), dict[int, int]()
    added = 0
    for size in sizes:
        rows = buffer.add(some(size, added, action))
        known |= dict(zip(rows.tolist(), range(added, added + size), strict=True))
        added += size
    assert len(buffer) == len(known) == min(added, capacity)
    assert set(known) == set(range(len(buffer)))
    assert sorted(known.values()) == list(range(max(0, added - capacity), added))
    for row, number in known.items():
        for found, wanted in zip(
            buffer.take(np.array([row])), some(1, number, action), strict=True
        ):
            np.testing.assert_array_equal(found, wanted)
            assert found.dtype == wanted.dtype


def test_what_was_taken_is_a_copy():
    buffer = ReplayBuffer(2, 2, DISCRETE)
    buffer.add(some(2))
    taken = buffer.take(np.array([0, 1]))
    buffer.add(some(2, 10))
    np.testing.assert_array_equal(taken.rewards, [0, 1])


def test_rows_since_are_those_that_came_and_are_still_there():
    buffer = ReplayBuffer(5, 2, DISCRETE)
    assert buffer.rows_since(0).tolist() == []
    buffer.add(some(4))
    assert buffer.rows_since(0).tolist() == [0, 1, 2, 3]
    assert buffer.rows_since(3).tolist() == [3]
    buffer.add(some(4, 4))  # numbers 3 to 7 are left
    assert buffer.data.rewards[buffer.rows_since(0)].tolist() == [3, 4, 5, 6, 7]
    assert buffer.data.rewards[buffer.rows_since(6)].tolist() == [6, 7]
    assert buffer.rows_since(8).tolist() == []


@pytest.mark.parametrize(("added", "known"), [(6, 6), (10, 10), (23, 10)])
def test_draws_are_uniform_over_what_is_remembered(added, known):
    buffer = ReplayBuffer(10, 2, DISCRETE)
    buffer.add(some(added))
    rows = buffer.sample(20_000, np.random.default_rng(0))
    counts = np.bincount(rows, minlength=10)
    assert counts[known:].sum() == 0
    assert stats.chisquare(counts[:known]).pvalue > 0.001


@pytest.mark.parametrize("added", [0, 3, 5, 12])
@pytest.mark.parametrize("action", [DISCRETE, VECTOR], ids=["discrete", "box"])
def test_a_restored_buffer_goes_on_as_the_saved_one(action, added):
    buffer, restored = ReplayBuffer(5, 2, action), ReplayBuffer(5, 2, action)
    buffer.add(some(added, action=action))
    restored.load_state_dict(through_disk(buffer.state_dict()))
    for each in (buffer, restored):
        each.add(some(2, 50, action))
    assert len(restored) == len(buffer)
    for one, other in zip(buffer.data, restored.data, strict=True):
        np.testing.assert_array_equal(one[: len(buffer)], other[: len(buffer)])
        assert one.dtype == other.dtype


def test_a_buffer_of_another_size_is_refused():
    buffer = ReplayBuffer(5, 2, DISCRETE)
    buffer.add(some(5))
    with pytest.raises(ValueError, match="broadcast"):
        ReplayBuffer(4, 2, DISCRETE).load_state_dict(buffer.state_dict())


# -- n steps ------------------------------------------------------------------------------------


class Moment(NamedTuple):
    """One step of one copy; what is seen before it and after it is its number."""

    reward: float
    discount: float
    end: str = ""


def push(window: NStep, numbers: list[int], moments: list[Moment]) -> list[dict[str, Any]]:
    """One step of every copy, and what it completed."""
    seen = np.array(numbers, np.float32)[:, None]
    mask = np.array([[number % 2 == 0, True, number % 3 == 0] for number in numbers])
    found = window.push(
        seen,
        np.array(numbers),
        np.array([moment.reward for moment in moments]),
        np.array([moment.discount for moment in moments]),
        seen + 0.5,
        mask,
        np.array([moment.end == "terminated" for moment in moments]),
        np.array([moment.end == "truncated" for moment in moments]),
    )
    return [
        {
            "first": int(found.obs[row, 0]),
            "action": int(found.actions[row]),
            "reward": float(found.rewards[row]),
            "discount": float(found.discounts[row]),
            "last": float(found.next_obs[row, 0]) - 0.5,
            "mask": found.next_mask[row].tolist(),
        }
        for row in range(len(found.rewards))
    ]


def by_a_loop(n: int, numbers: list[int], moments: list[Moment]) -> list[dict[str, Any]]:
    """The transitions that one copy's steps make, worked out from the definition."""
    made = []
    for first in range(len(moments)):
        reward, discount = 0.0, 1.0
        for ahead in range(n):
            if first + ahead >= len(moments):
                break  # not complete yet
            moment = moments[first + ahead]
            reward += discount * moment.reward
            discount *= moment.discount
            if moment.end or ahead == n - 1:
                last = numbers[first + ahead]
                made.append(
                    {
                        "first": numbers[first],
                        "action": numbers[first],
                        "reward": reward,
                        "discount": 0.0 if moment.end == "terminated" else discount,
                        "last": float(last),
                        "mask": [last % 2 == 0, True, last % 3 == 0],
                    }
                )
                break
    return made


MOMENTS = st.builds(
    Moment,
    st.sampled_from([-3.0, -1.0, 0.0, 0.25, 1.0, 8.0]),
    st.sampled_from([1.0, 0.5, 0.25]),  # a step that took two units of time has gamma ** 2
    st.sampled_from(["", "", "", "terminated", "truncated"]),
)


@given(
    n=st.integers(1, 5),
    steps=st.lists(st.tuples(MOMENTS, MOMENTS, MOMENTS), max_size=25),
    saved_at=st.integers(0, 25),
)
@settings(max_examples=150, deadline=None)
def test_n_steps_are_joined_as_a_loop_would_join_them(n, steps, saved_at):
    window = NStep(n, 3, 1, DISCRETE)
    found = []
    for number, moments in enumerate(steps):
        if number == saved_at:  # and a restored window goes on as the saved one
            state = window.state_dict()
            window = NStep(n, 3, 1, DISCRETE)
            window.load_state_dict(state)
        # copy i sees 1000 i, 1000 i + 1, ...
        found += push(window, [1000 * i + number for i in range(3)], list(moments))
    for copy in range(3):
        own = [each for each in found if each["first"] // 1000 == copy]
        wanted = by_a_loop(
            n, [1000 * copy + t for t in range(len(steps))], [moments[copy] for moments in steps]
        )
        assert own == wanted


def test_three_steps_by_hand():
    """Rewards 1, 2, 4, 8 with gamma 1/2; the time limit is reached after the fourth step."""
    window = NStep(3, 1, 1, DISCRETE)
    found = []
    for number, reward in enumerate([1.0, 2.0, 4.0, 8.0]):
        end = "truncated" if number == 3 else ""
        found += push(window, [number], [Moment(reward, GAMMA, end)])
    assert [each["reward"] for each in found] == [1 + 1 + 1, 2 + 2 + 2, 4 + 4, 8]
    assert [each["discount"] for each in found] == [1 / 8, 1 / 8, 1 / 4, 1 / 2]
    assert [each["last"] for each in found] == [2, 3, 3, 3]


def test_a_true_end_is_not_seen_past_and_a_time_limit_is():
    ends = {}
    for end in ("terminated", "truncated"):
        window = NStep(2, 1, 1, DISCRETE)
        push(window, [0], [Moment(1.0, GAMMA)])
        ends[end] = [each["discount"] for each in push(window, [1], [Moment(1.0, GAMMA, end)])]
    assert ends == {"terminated": [0.0, 0.0], "truncated": [GAMMA**2, GAMMA]}


def test_an_episode_that_ends_both_ways_has_ended():
    window = NStep(1, 1, 1, DISCRETE)
    one = np.ones((1, 1), np.float32)
    true = np.ones(1, np.bool_)
    mask = np.ones((1, 3), np.bool_)
    found = window.push(one, np.zeros(1, int), np.ones(1), np.ones(1), one, mask, true, true)
    assert found.discounts.tolist() == [0.0]


def test_nothing_of_one_episode_reaches_the_next():
    window = NStep(3, 1, 1, DISCRETE)
    push(window, [0], [Moment(100.0, 1.0)])
    push(window, [1], [Moment(100.0, 1.0, "truncated")])
    assert push(window, [2], [Moment(1.0, 1.0)]) == []
    assert push(window, [3], [Moment(1.0, 1.0)]) == []
    (found,) = push(window, [4], [Moment(1.0, 1.0)])
    assert (found["first"], found["reward"], found["last"]) == (2, 3.0, 4)


def test_a_window_that_was_cleared_knows_nothing_of_what_was_pending():
    window = NStep(2, 2, 1, DISCRETE)
    push(window, [0, 1000], [Moment(100.0, 1.0)] * 2)
    window.clear()
    assert push(window, [1, 1001], [Moment(1.0, 1.0)] * 2) == []
    assert {each["reward"] for each in push(window, [2, 1002], [Moment(1.0, 1.0)] * 2)} == {2.0}


def test_vectors_of_actions_are_kept_as_they_are():
    window = NStep(2, 1, 1, VECTOR)
    see, no_mask, no = np.zeros((1, 1), np.float32), np.zeros((1, 0), np.bool_), np.zeros(1, bool)
    for number in range(2):
        actions = np.array([[number + 0.25, -number]], np.float32)
        found = window.push(see, actions, np.ones(1), np.ones(1), see, no_mask, no, no)
    np.testing.assert_array_equal(found.actions, np.array([[0.25, 0.0]], np.float32))
    assert found.actions.dtype == np.float32
    assert found.next_mask.shape == (1, 0)
