"""What is kept of an expert's decisions: a fair sample, in bounded memory, rows in step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from compagnon.rl.buffers.demonstration_buffer import DemonstrationBuffer
from tests.tiers import full

ACTIONS = 10


def decisions(first: int, count: int):
    """Decisions that are told apart by their number, which all arrays tell; 5 an episode."""
    number = np.arange(first, first + count)
    obs = np.stack([number, -number], axis=1).astype(np.float32)
    mask = (number[:, None] >> np.arange(ACTIONS)) % 2 == 1
    return obs, mask, number % 7, number // 5


def filled(capacity: int, sizes: list[int], rng: np.random.Generator) -> DemonstrationBuffer:
    data = DemonstrationBuffer(capacity, 2, ACTIONS)
    first = 0
    for size in sizes:
        data.add(*decisions(first, size), rng)
        first += size
    return data


@given(st.integers(1, 40), st.lists(st.integers(0, 30), max_size=8), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_memory_is_bounded_and_rows_stay_together(capacity, sizes, seed):
    data = filled(capacity, sizes, np.random.default_rng(seed))
    assert data.added == sum(sizes)
    assert len(data) == min(capacity, sum(sizes))
    assert len(data.obs) == len(data.action_mask) == len(data.labels) <= capacity
    assert len(data.episode) == len(data.labels)
    kept = data.obs[: len(data), 0].astype(int)
    assert len(set(kept)) == len(kept)
    for row, number in enumerate(kept):
        obs, mask, label, episode = decisions(number, 1)
        np.testing.assert_array_equal(data.obs[row], obs[0])
        np.testing.assert_array_equal(data.action_mask[row], mask[0])
        assert data.labels[row] == label[0]
        assert data.episode[row] == episode[0]


def test_nothing_is_lost_below_the_capacity():
    data = filled(100, [30, 1, 40], np.random.default_rng(0))
    np.testing.assert_array_equal(data.obs[: len(data), 0], np.arange(71))


@pytest.mark.parametrize("sizes", [full([1] * 40), [20, 20], [40], [7, 13, 3, 17]])
def test_every_decision_is_kept_with_the_same_chance(sizes):
    capacity, rounds = 10, 2_000
    counts = np.zeros(40)
    for seed in range(rounds):
        data = filled(capacity, sizes, np.random.default_rng(seed))
        counts[data.obs[:, 0].astype(int)] += 1
    assert counts.sum() == rounds * capacity
    # Without replacement the variance is smaller by 1 - capacity / 40: scale it back.
    spread = (counts - counts.mean()) / np.sqrt(1 - capacity / 40)
    assert chisquare(spread + counts.mean()).pvalue > 0.001


def test_a_restored_sample_goes_on_as_the_saved_one():
    data = filled(50, [30, 45], np.random.default_rng(0))
    restored = DemonstrationBuffer(50, 2, ACTIONS)
    restored.load_state_dict(data.state_dict())
    for each in (data, restored):
        rng = np.random.default_rng(1)
        each.add(*decisions(75, 40), rng, keep_share=0.5)
        each.add(*decisions(115, 40), rng, keep_share=0.5)
    assert restored.added == data.added
    assert restored.commonest_label() == data.commonest_label()
    for name in ("obs", "action_mask", "labels", "episode"):
        np.testing.assert_array_equal(getattr(restored, name), getattr(data, name))


def test_an_empty_sample_is_saved_and_restored():
    data, restored = DemonstrationBuffer(50, 2, ACTIONS), DemonstrationBuffer(50, 2, ACTIONS)
    restored.load_state_dict(data.state_dict())
    assert len(restored) == 0
    restored.add(*decisions(0, 5), np.random.default_rng(0))
    assert len(restored) == 5


def with_labels(labels: list[int]):
    count = len(labels)
    return (
        np.zeros((count, 2), np.float32),
        np.ones((count, ACTIONS), np.bool_),
        np.array(labels, np.int64),
        np.zeros(count, np.int64),
    )


def test_keep_share_thins_the_commonest_label_alone():
    rng = np.random.default_rng(0)
    data = DemonstrationBuffer(100_000, 2, ACTIONS)
    labels = [3] * 6 + [1] * 4
    for _ in range(1_000):
        data.add(*with_labels(labels), rng, keep_share=0.5)
    counts = np.bincount(data.labels[: len(data)], minlength=ACTIONS)
    assert counts[1] == 4_000  # though 1 is now the commonest of what was kept
    assert abs(counts[3] - 3_000) < 5 * np.sqrt(6_000 * 0.25)
    assert data.commonest_label() == 3


def test_keep_share_1_keeps_all():
    data = DemonstrationBuffer(1_000, 2, ACTIONS)
    for _ in range(10):
        data.add(*with_labels([3] * 6 + [1] * 4), np.random.default_rng(0), keep_share=1.0)
    assert len(data) == 100


@pytest.mark.parametrize("capacity", [1_000, 60])
@pytest.mark.parametrize("size", [0, 1, 19, 41, 100, 500])
@pytest.mark.parametrize("one_in", [0, 1, 2, 20])
def test_a_split_is_disjoint_complete_and_of_whole_episodes(size, one_in, capacity):
    data = filled(capacity, [size], np.random.default_rng(0))
    training, judged = data.split(one_in)
    np.testing.assert_array_equal(np.sort(np.concatenate([training, judged])), np.arange(len(data)))
    apart = set(data.episode[training]) & set(data.episode[judged])
    assert not apart  # no episode is on both sides
    wanted = {e for e in range((size + 4) // 5) if one_in and e % one_in == min(7, one_in - 1)}
    if capacity >= size:
        assert set(data.episode[judged]) == wanted
    else:
        assert set(data.episode[judged]) <= wanted


def test_episodes_are_numbered_as_they_begin_also_after_a_restore():
    data = DemonstrationBuffer(50, 2, ACTIONS)
    np.testing.assert_array_equal(data.new_episodes(3), [0, 1, 2])
    np.testing.assert_array_equal(data.new_episodes(0), [])
    restored = DemonstrationBuffer(50, 2, ACTIONS)
    restored.load_state_dict(data.state_dict())
    np.testing.assert_array_equal(restored.new_episodes(2), [3, 4])


def test_weights_are_frequencies_to_a_power():
    data = DemonstrationBuffer(100, 2, ACTIONS)
    data.add(*with_labels([2] * 9 + [5] + [8] * 10), np.random.default_rng(0))
    rows = np.arange(10)  # the others, all of label 8, are held out
    weights = data.label_weights(0.5, rows)
    assert weights[2] == pytest.approx(0.9**-0.5)
    assert weights[5] == pytest.approx(0.1**-0.5)
    assert weights[[0, 1, 3, 4, 6, 7, 8, 9]].sum() == 0
    np.testing.assert_array_equal(data.label_weights(0.0, rows)[[2, 5]], 1.0)
