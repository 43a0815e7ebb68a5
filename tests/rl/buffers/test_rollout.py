"""Rollouts hold what was played, by steps or whole episodes; advantages are those by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.rl.buffers import rollout as module
from compagnon.rl.buffers.rollout import Collector, generalised_advantages
from compagnon.rl.distributions.action_distribution import distribution_for
from tests.rl.practice import COUNTDOWN
from tests.rl.small import BANDIT, CLOCK, ECHO, network_for, through_disk

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


# -- what is collected -----------------------------------------------------------------------------

COPIES = 3


def collector_on(
    env_id: str, steps: int = 4, episodes: int = 0, env_args: dict[str, Any] | None = None,
    copies: int = COPIES, seed: int = 0, scale_inputs: bool = True,
) -> Collector:  # fmt: skip
    network = network_for(env_id, env_args, scale_inputs=scale_inputs)
    return Collector(
        network, BatchEnv(env_id, env_args or {}, copies), distribution_for(network.schema), 0.9,
        steps, episodes,
        lambda x: 100.0 + x[:, 0].astype(np.float64), np.random.default_rng(seed),
    )  # fmt: skip


@pytest.mark.parametrize("episodes", [1, 2, 3])
def test_every_copy_plays_its_whole_episodes_and_nothing_else_counts(episodes):
    collector = collector_on(COUNTDOWN, episodes=episodes, copies=8, scale_inputs=False)
    steps = counted = 0
    for _ in range(3):
        collector.collect()
        rollout = collector.rollout
        used = rollout.used
        assert used.shape == (rollout.steps, 8)
        ends = rollout.dones[: rollout.steps]
        np.testing.assert_array_equal((ends & used).sum(axis=0), episodes)
        assert used[-1].any()  # it ends with the last copy
        assert (ends & ~used).any()  # others played on while they waited
        for copy in range(8):
            last = int(np.flatnonzero(used[:, copy])[-1])
            assert used[: last + 1, copy].all()  # from the reset, without a gap
            assert ends[last, copy]
            shown = rollout.obs[: last + 1, copy, 0]
            begins = np.concatenate([[True], ends[:last, copy]])
            np.testing.assert_array_equal(shown == 0, begins)
        steps, counted = steps + int(used.sum()), counted + 8 * episodes
        assert len(rollout) == used.sum() == len(rollout.batch().obs)
        assert (collector.env_steps, collector.returns.episodes) == (steps, counted)


def test_returns_are_those_of_whole_episodes():
    collector = collector_on(COUNTDOWN, episodes=2, copies=8)
    for _ in range(2):
        collector.collect()
    lengths = {n * (n + 1) // 2 for n in range(1, 10)}  # 1 + 2 + ... + n
    assert len(collector.returns.last) == 2 * 8 * 2
    assert set(collector.returns.last) <= lengths


def test_what_counts_is_picked_in_order():
    collector = collector_on(COUNTDOWN, episodes=1, copies=8, scale_inputs=False)
    collector.collect()
    rollout = collector.rollout
    batch = rollout.batch()
    wanted = [
        (rollout.obs[t, i, 0], rollout.actions[t, i], rollout.log_probs[t, i])
        for t in range(rollout.steps)
        for i in range(8)
        if rollout.used[t, i]
    ]
    got = list(zip(batch.obs[:, 0], batch.actions, batch.log_probs, strict=True))
    assert got == wanted
    flat = np.arange(len(rollout), dtype=np.float64) + 1
    whole = rollout.spread(flat)
    np.testing.assert_array_equal(rollout.pick(whole), flat)
    assert (whole[~rollout.used] == 0).all()


def test_a_scaler_learns_from_what_counts():
    collector = collector_on(COUNTDOWN, episodes=1, copies=8)
    collector.collect()
    assert collector._network.scaler.count == len(collector.rollout)


def test_rollouts_of_steps_go_on_where_the_last_one_ended():
    collector = collector_on(CLOCK, copies=1, scale_inputs=False)
    shown = []
    for _ in range(3):
        collector.collect()
        shown += collector.rollout.obs[:, 0, 0].tolist()
        assert collector.rollout.used is None
    np.testing.assert_array_equal(shown, np.arange(12))


def test_whole_episodes_begin_anew_with_other_seeds():
    collector = collector_on(BANDIT, episodes=5)
    seen = []
    for _ in range(4):
        collector.collect()
        seen.append(collector.rollout.obs[: collector.rollout.steps].copy())
    assert not all(np.array_equal(seen[0], other) for other in seen[1:])


def test_an_episode_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(module, "_MOST_ROWS", 60)
    with pytest.raises(InputError, match=r"Clock-v0 has episodes that went on for 20 steps"):
        collector_on(CLOCK, episodes=1).collect()
    collector = collector_on(CLOCK, episodes=1, env_args={"max_episode_steps": 20})
    collector.collect()  # a time limit is an end
    assert collector.rollout.steps == 20


# The clock shows 3 when it is cut short, and the value of a state is 100 + what it shows.
@pytest.mark.parametrize("episodes", [0, 1])
def test_an_episode_cut_short_is_bootstrapped(episodes):
    collector = collector_on(
        CLOCK, 3, episodes, {"max_episode_steps": 3}, copies=2, scale_inputs=False
    )
    collector.collect()
    bootstrap = collector.rollout.bootstrap[:3]
    np.testing.assert_allclose(bootstrap, [[0, 0], [0, 0], [0.9 * 103] * 2])


def test_an_episode_that_ended_is_not_bootstrapped():
    collector = collector_on(COUNTDOWN, episodes=1)
    collector.collect()
    assert (collector.rollout.bootstrap == 0).all()


@pytest.mark.parametrize("episodes", [0, 2])
def test_a_restored_collector_goes_on_as_the_saved_one(episodes):
    collector = collector_on(ECHO, 5, episodes)
    collector.collect()
    other = collector_on(ECHO, 5, episodes, seed=7)
    other.load_state_dict(through_disk(collector.state_dict()))
    other._rng.bit_generator.state = collector._rng.bit_generator.state
    other._network.load_state_dict(collector._network.state_dict())
    for each in (collector, other):
        each.collect()
    for one, same in zip(collector.rollout.batch(), other.rollout.batch(), strict=True):
        np.testing.assert_array_equal(one, same)
    assert collector.state_dict().keys() == other.state_dict().keys()
    assert collector.returns.metrics() == other.returns.metrics()
