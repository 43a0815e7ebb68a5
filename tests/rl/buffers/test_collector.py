"""Rollouts hold what was played: so many steps, or so many whole episodes of each copy."""

from typing import Any

import numpy as np
import pytest

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.rl.buffers import collector as module
from compagnon.rl.buffers.collector import Collector
from compagnon.rl.distributions.action_distribution import distribution_for
from tests.rl.practice import COUNTDOWN
from tests.rl.small import BANDIT, CLOCK, ECHO, network_for, through_disk

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
