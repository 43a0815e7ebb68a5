"""The sum tree is exact however long it is used; draws and weights follow the paper's formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compagnon.rl.buffers.prioritized import PrioritizedSampler, SumTree
from tests.rl.small import through_disk

# -- the tree -----------------------------------------------------------------------------------


@given(
    size=st.integers(1, 40),
    changes=st.lists(st.tuples(st.integers(0, 39), st.sampled_from([0.0, 0.25, 1.0, 3.0, 1e6]))),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=150, deadline=None)
def test_the_tree_finds_what_a_cumulative_sum_finds(size, changes, seed):
    tree, leaves = SumTree(size), np.zeros(size)
    for index, value in changes:
        tree.set(np.array([index % size]), np.array([value]))
        leaves[index % size] = value
    np.testing.assert_array_equal(tree.leaves, leaves)
    assert tree.total == leaves.sum()  # these numbers add up without rounding
    if tree.total > 0:
        prefixes = np.random.default_rng(seed).random(50) * tree.total
        found = tree.find(prefixes)
        np.testing.assert_array_equal(
            found, np.searchsorted(leaves.cumsum(), prefixes, side="right")
        )
        assert (leaves[found] > 0).all()


def test_of_an_index_given_twice_the_last_value_counts():
    tree = SumTree(3)
    tree.set(np.array([1, 1, 2]), np.array([5.0, 2.0, 1.0]))
    assert tree.leaves.tolist() == [0.0, 2.0, 1.0]
    assert tree.total == 3.0


def test_the_edges_between_two_numbers_belong_to_the_second():
    tree = SumTree(4)
    tree.set(np.arange(4), np.array([1.0, 0.0, 2.0, 1.0]))
    edges = np.array([0.0, 1.0, 3.0, np.nextafter(1.0, 0.0), np.nextafter(4.0, 0.0)])
    assert tree.find(edges).tolist() == [0, 2, 3, 0, 3]


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=30))
@settings(max_examples=150, deadline=None)
def test_no_rounding_leads_to_a_number_that_is_0(values):
    tree = SumTree(len(values))
    tree.set(np.arange(len(values)), np.array(values))
    if tree.total > 0:
        # a prefix that was rounded up to the total, or past it, stays inside
        ends = np.array([0.0, np.nextafter(tree.total, 0), tree.total, 2 * tree.total])
        assert (tree.leaves[tree.find(ends)] > 0).all()


def test_a_million_changes_leave_no_drift():
    size, rng = 1000, np.random.default_rng(0)
    tree, fresh = SumTree(size), SumTree(size)
    for _ in range(100):
        # from 1e-6 to 1e12: adding differences would lose the small ones
        values = 10.0 ** rng.uniform(-6, 12, 10_000)
        tree.set(rng.integers(size, size=10_000), values)
    tree.set(np.arange(size), np.arange(1.0, size + 1))
    fresh.set(np.arange(size), np.arange(1.0, size + 1))
    assert tree.total == size * (size + 1) / 2
    np.testing.assert_array_equal(tree.nodes, fresh.nodes)


# -- draws and weights --------------------------------------------------------------------------


def priorities_of(
    errors: list[float], alpha: float = 0.6, capacity: int = 16
) -> PrioritizedSampler:
    found = PrioritizedSampler(capacity, alpha)
    rows = np.arange(len(errors))
    found.add(rows)
    found.update(rows, np.array(errors, np.float32))
    return found


def test_probabilities_and_weights_by_hand():
    """|errors| 1, 4, 9 and alpha 1/2: p = 1, 2, 3, so P = 1/6, 1/3, 1/2; N = 3, beta = 1.

    N P = 1/2, 1, 3/2, so weights are 2, 1, 2/3, and as shares of the largest 1, 1/2, 1/3.
    """
    priorities = priorities_of([-1.0, 4.0, -9.0], alpha=0.5)
    np.testing.assert_allclose(priorities.tree.leaves[:3], [1, 2, 3], rtol=1e-5)
    rows, weights = priorities.sample(600, 3, 1.0, np.random.default_rng(0))
    np.testing.assert_array_equal(np.bincount(rows), [100, 200, 300])  # equal shares leave no luck
    np.testing.assert_allclose(weights, np.array([1, 1 / 2, 1 / 3])[rows], rtol=1e-5)
    assert weights.dtype == np.float32
    _, half = priorities.sample(600, 3, 0.5, np.random.default_rng(0))
    np.testing.assert_allclose(half, np.sqrt([1, 1 / 2, 1 / 3])[rows], rtol=1e-5)


def test_draws_follow_the_priorities():
    errors = np.array([0.0, 0.1, 0.5, 1.0, 2.0, 7.0], np.float32)
    priorities = priorities_of(errors.tolist())
    rng = np.random.default_rng(1)
    draws = np.concatenate([priorities.sample(3, 6, 0.4, rng)[0] for _ in range(10_000)])
    wanted = (errors.astype(np.float64) + 1e-6) ** 0.6
    counts = np.bincount(draws, minlength=16)
    assert counts[6:].sum() == 0
    assert stats.chisquare(counts[:6], len(draws) * wanted / wanted.sum()).pvalue > 0.001


def test_alpha_0_draws_uniformly_and_weighs_all_alike():
    priorities = priorities_of([0.0, 1.0, 50.0, 3.0], alpha=0.0)
    rows, weights = priorities.sample(4000, 4, 0.7, np.random.default_rng(2))
    np.testing.assert_array_equal(np.bincount(rows), 1000)
    np.testing.assert_array_equal(weights, 1.0)


def test_beta_0_does_not_weigh():
    _, weights = priorities_of([1.0, 50.0]).sample(100, 2, 0.0, np.random.default_rng(3))
    np.testing.assert_array_equal(weights, 1.0)


def test_the_expectation_is_that_of_uniform_replay_with_beta_1():
    """Weights times probabilities are uniform, which is what they are for (section 3.4)."""
    priorities = priorities_of([0.2, 1.0, 3.0, 0.7])
    leaves = priorities.tree.leaves[:4]
    rows, weights = priorities.sample(2000, 4, 1.0, np.random.default_rng(4))
    by_row = np.array([weights[rows == row][0] for row in range(4)])
    shares = by_row * leaves / leaves.sum()
    np.testing.assert_allclose(shares, shares[0], rtol=1e-5)


def test_a_new_row_is_as_likely_as_the_likeliest_so_far():
    priorities = priorities_of([1.0, 9.0], alpha=0.5)
    priorities.add(np.array([2]))
    assert priorities.tree.leaves[2] == pytest.approx(3.0)
    priorities.update(np.array([1]), np.array([0.0], np.float32))
    priorities.add(np.array([3]))  # the highest ever, even when it has gone
    assert priorities.tree.leaves[3] == pytest.approx(3.0)
    assert PrioritizedSampler(4, 0.6).highest == 1.0


def test_an_error_of_0_can_still_be_drawn():
    priorities = priorities_of([0.0, 0.0])
    rows, weights = priorities.sample(1000, 2, 1.0, np.random.default_rng(5))
    np.testing.assert_array_equal(np.bincount(rows), 500)
    assert np.isfinite(weights).all()


@given(errors=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=16))
@settings(max_examples=100, deadline=None)
def test_weights_are_at_most_1_and_only_filled_rows_are_drawn(errors):
    priorities = priorities_of(errors)
    rows, weights = priorities.sample(32, len(errors), 0.4, np.random.default_rng(6))
    assert ((rows >= 0) & (rows < len(errors))).all()
    assert ((weights > 0) & (weights <= 1)).all()
    assert weights.max() == 1


def test_restored_priorities_go_on_as_the_saved_ones():
    priorities, restored = priorities_of([1.0, 0.3, 5.0]), PrioritizedSampler(16, 0.6)
    restored.load_state_dict(through_disk(priorities.state_dict()))
    np.testing.assert_array_equal(restored.tree.nodes, priorities.tree.nodes)
    for each in (priorities, restored):
        each.add(np.array([3]))
    np.testing.assert_array_equal(restored.tree.nodes, priorities.tree.nodes)
    draws = [each.sample(8, 4, 0.4, np.random.default_rng(7)) for each in (priorities, restored)]
    for one, other in zip(*draws, strict=True):
        np.testing.assert_array_equal(one, other)
