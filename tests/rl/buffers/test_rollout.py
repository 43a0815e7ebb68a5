"""Generalised advantages, against numbers worked out by hand and a plain recursion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.rl.buffers.rollout import generalised_advantages

REWARDS, VALUES, DISCOUNTS, LAST = [1.0, 2.0, 3.0], [0.5, 1.0, 1.5], [0.9, 0.81, 0.9], 2.0


def column(values, dtype=np.float64):
    return np.array(values, dtype)[:, None]


def advantages_of(ends, bootstrap, gae_lambda):
    return generalised_advantages(
        column(REWARDS),
        column(VALUES),
        np.array([LAST]),
        column(ends, np.bool_),
        column(DISCOUNTS),
        column(bootstrap),
        gae_lambda,
    )[:, 0]


# With lambda 0.5. Last step: 3 + 0.9 * 2 - 1.5 = 3.3. Middle: 2 + 0.81 * 1.5 - 1 = 2.215, and
# + 0.81 * 0.5 * 3.3 = 3.5515. First: 1 + 0.9 * 1 - 0.5 = 1.4, and + 0.9 * 0.5 * 3.5515 = 2.998175.
# If the middle step ends the episode: 2 - 1 = 1, first 1.4 + 0.45 * 1 = 1.85. If it is cut short
# in a state worth 10: 2 + 0.81 * 10 - 1 = 9.1, first 1.4 + 0.45 * 9.1 = 5.495.
@pytest.mark.parametrize(
    ("ends", "bootstrap", "wanted"),
    [
        ([0, 0, 0], [0, 0, 0], [2.998175, 3.5515, 3.3]),
        ([0, 1, 0], [0, 0, 0], [1.85, 1.0, 3.3]),
        ([0, 1, 0], [0, 8.1, 0], [5.495, 9.1, 3.3]),
        ([0, 0, 1], [0, 0, 0], [1.4 + 0.45 * (2.215 + 0.405 * 1.5), 2.215 + 0.405 * 1.5, 1.5]),
    ],
    ids=["under way", "terminated", "cut short", "terminated last"],
)
def test_by_hand(ends, bootstrap, wanted):
    np.testing.assert_allclose(advantages_of(ends, bootstrap, 0.5), wanted, rtol=1e-12)


def test_lambda_1_is_the_discounted_rewards_to_go_less_the_value():
    last = 3 + 0.9 * LAST
    middle = 2 + 0.81 * last
    first = 1 + 0.9 * middle
    np.testing.assert_allclose(
        advantages_of([0, 0, 0], [0, 0, 0], 1.0), np.array([first, middle, last]) - VALUES
    )


def test_lambda_0_is_the_one_step_error():
    following = [*VALUES[1:], LAST]
    wanted = np.array(REWARDS) + np.array(DISCOUNTS) * following - VALUES
    np.testing.assert_allclose(advantages_of([0, 0, 0], [0, 0, 0], 0.0), wanted)


def plain(rewards, values, last, ends, discounts, bootstrap, gae_lambda, t):
    if t == len(rewards):
        return 0.0
    if ends[t]:
        return rewards[t] + bootstrap[t] - values[t]
    next_value = last if t + 1 == len(rewards) else values[t + 1]
    rest = plain(rewards, values, last, ends, discounts, bootstrap, gae_lambda, t + 1)
    delta = rewards[t] + discounts[t] * next_value - values[t]
    return delta + discounts[t] * gae_lambda * rest


@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_many_copies_are_each_the_plain_recursion(steps, copies, seed, gae_lambda):
    rng = np.random.default_rng(seed)
    rewards, values = rng.normal(size=(2, steps, copies))
    last, discounts = rng.normal(size=copies), rng.random((steps, copies))
    ends = rng.random((steps, copies)) < 0.3
    bootstrap = np.where(ends & (rng.random(ends.shape) < 0.5), rng.normal(size=ends.shape), 0.0)
    got = generalised_advantages(rewards, values, last, ends, discounts, bootstrap, gae_lambda)
    for i in range(copies):
        for t in range(steps):
            args = (rewards[:, i], values[:, i], last[i], ends[:, i], discounts[:, i])
            wanted = plain(*args, bootstrap[:, i], gae_lambda, t)
            assert got[t, i] == pytest.approx(wanted, rel=1e-9, abs=1e-9)
