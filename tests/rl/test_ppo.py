"""PPO learns small problems, obeys masks, and goes on after a save as if nothing had happened."""

from typing import Any

import numpy as np
import pytest
import torch

from compagnon.rl.ppo import PPO
from compagnon.worlds.workshop import WORKSHOP
from tests.rl.practice import SEEDS, SMALL, TO_LEARN, ppo_on, same, weights
from tests.rl.small import BANDIT, CLOCK, SHORT, through_disk
from tests.tiers import full

# -- learning -----------------------------------------------------------------------------------


@SEEDS
@pytest.mark.parametrize(
    "settings",
    [
        {},
        *map(full, ({"networks": "joint"}, {"episodes_per_env": 16}, {"reward_scale": "running"})),
    ],
    ids=["as usual", "joint", "whole episodes", "rewards scaled"],
)
def test_it_learns_a_masked_bandit(seed, settings):
    ppo = ppo_on(BANDIT, seed=seed, **TO_LEARN, **settings)
    first = ppo.iterate()["episode_return"]
    for _ in range(24):
        metrics = ppo.iterate()
    assert first < 0.6
    assert metrics["episode_return"] >= 0.95
    assert metrics["entropy"] < 0.5


@pytest.mark.full
@SEEDS
def test_it_learns_cartpole(seed):
    ppo = ppo_on(
        "CartPole-v1", seed=seed, hidden=(64,), num_envs=8, rollout_steps=128, minibatch_size=256,
        epochs=4, learning_rate=3e-3, gamma=0.99,
    )  # fmt: skip
    best = 0.0
    while best < 195 and ppo.env_steps < 100_000:
        best = max(best, ppo.iterate().get("episode_return", 0.0))
    assert best >= 195


# -- what an iteration is -----------------------------------------------------------------------


def test_masked_actions_are_never_taken():
    ppo = ppo_on(WORKSHOP, SHORT, num_envs=16, rollout_steps=64, learning_rate=3e-3)
    for _ in range(3):
        ppo.iterate()
        rollout = ppo.rollout
        assert not rollout.action_mask.all()
        chosen = np.take_along_axis(rollout.action_mask, rollout.actions[..., None], axis=2)
        assert chosen.all()


def test_log_probabilities_are_those_of_the_policy_that_acted():
    ppo = ppo_on(WORKSHOP, SHORT, hidden=(8,), learning_rate=1e-12, **SMALL)
    ppo.iterate()
    rollout = ppo.rollout
    flat = rollout.obs.reshape(len(rollout), -1)
    logits = np.where(
        rollout.action_mask.reshape(len(rollout), -1), ppo.network.logits(flat), -np.inf
    )
    p = torch.log_softmax(torch.tensor(logits, dtype=torch.float64), dim=1)
    wanted = p[torch.arange(len(rollout)), torch.tensor(rollout.actions.reshape(-1))]
    np.testing.assert_allclose(rollout.log_probs.reshape(-1), wanted, atol=1e-4)


def test_steps_are_counted():
    ppo = ppo_on(BANDIT, **SMALL)
    for _ in range(3):
        ppo.iterate()
    assert (ppo.iteration, ppo.env_steps) == (3, 3 * 8 * 16)


def test_time_that_passes_is_what_is_discounted():
    ppo = ppo_on(WORKSHOP, SHORT, gamma=0.99, **SMALL)
    ppo.iterate()
    exponent = np.log(ppo.rollout.discounts) / np.log(0.99)
    np.testing.assert_allclose(exponent, np.rint(exponent), atol=1e-6)
    assert exponent.max() > 1
    assert exponent.min() >= 0


# With gamma 0.5 and lambda 1 in the clock, where V(state) = 2 x time shown and an episode is cut
# short at time 3. Four steps from times 0, 1, 2 and again 0. The third is worth
# 1 + 0.5 * V(3) = 4, the second 1 + 0.5 * 4 = 3, the first 1 + 0.5 * 3 = 2.5, and the last, still
# under way, 1 + 0.5 * V(1) = 2. Bootstrapped from the state after the reset (0) the third would
# be worth 1, and not bootstrapped also 1. The first returns set the value scale: mean 2.875.
def test_an_episode_cut_short_is_bootstrapped_from_its_last_state():
    ppo = ppo_on(
        CLOCK, {"max_episode_steps": 3}, hidden=(), scale_inputs=False, num_envs=1,
        rollout_steps=4, gamma=0.5, gae_lambda=1.0, learning_rate=1e-12,
    )  # fmt: skip
    with torch.no_grad():
        ppo.network.critic.layers[-1].weight.fill_(2.0)
    ppo.iterate()
    np.testing.assert_array_equal(ppo.rollout.obs[:, 0, 0], [0, 1, 2, 0])
    np.testing.assert_array_equal(ppo.rollout.dones[:, 0], [False, False, True, False])
    np.testing.assert_allclose(ppo.rollout.bootstrap[:, 0], [0, 0, 3, 0])
    assert ppo.value_scale.mean == pytest.approx((2.5 + 3 + 4 + 2) / 4)


def test_an_episode_that_ended_is_not_bootstrapped():
    ppo = ppo_on(
        BANDIT, hidden=(), num_envs=4, rollout_steps=8, gamma=0.5, gae_lambda=1.0,
        learning_rate=1e-12,
    )  # fmt: skip
    with torch.no_grad():
        ppo.network.critic.layers[-1].bias.fill_(100.0)
    ppo.iterate()
    assert ppo.rollout.dones.all()
    assert (ppo.rollout.bootstrap == 0).all()
    assert ppo.value_scale.mean == pytest.approx(ppo.rollout.rewards.mean())


def test_the_state_after_a_rollout_is_read_as_the_rollout_was():
    ppo = ppo_on(
        CLOCK, {"max_episode_steps": 100}, hidden=(), num_envs=1, rollout_steps=3, gamma=1.0,
        gae_lambda=1.0, learning_rate=1e-12,
    )  # fmt: skip
    with torch.no_grad():
        ppo.network.critic.layers[-1].weight.fill_(1.0)
    ppo.iterate()  # the scaler knows nothing before: V(3) = 3, and 3 + (1 + 2 + 3) / 3 = 5
    assert ppo.value_scale.mean == pytest.approx(5.0)


# -- the same again -----------------------------------------------------------------------------


def restored(ppo: PPO, env_id: str, env_args: dict[str, Any], **settings: Any) -> PPO:
    fresh = ppo_on(env_id, env_args, seed=77, **settings)
    state, network = through_disk([ppo.state_dict(), ppo.network.state_dict()])
    fresh.load_state_dict(state)
    fresh.network.load_state_dict(network)
    return fresh


@pytest.mark.parametrize(
    ("env_id", "env_args"), [(WORKSHOP, SHORT), ("CartPole-v1", {}), (BANDIT, {})]
)
@pytest.mark.parametrize("done", [0, 2])
def test_a_restored_ppo_goes_on_as_the_saved_one(env_id, env_args, done):
    settings = {**SMALL, "reference_coef": 0.5, "learning_rate": 1e-3}
    ppo = ppo_on(env_id, env_args, **settings)
    for _ in range(done):
        ppo.iterate()
    fresh = restored(ppo, env_id, env_args, **settings)
    for _ in range(2):
        assert fresh.iterate() == ppo.iterate()
    assert same(weights(fresh.network.actor), weights(ppo.network.actor))
    assert same(weights(fresh.network.critic), weights(ppo.network.critic))


def test_returns_do_not_join_two_episodes_where_new_ones_had_to_begin():
    ppo = ppo_on(CLOCK, {"max_episode_steps": 20}, **SMALL)
    for _ in range(4):
        ppo.iterate()
        state = ppo.state_dict()  # which cuts no episode short
    running = ppo.collector.returns.running
    assert (running > 0).all()
    assert set(ppo.collector.returns.last) == {20.0}
    for copy in state["collector"]["env"]["copies"]:
        copy["return"] += 1.0  # what was kept does not lead there
    fresh = ppo_on(CLOCK, {"max_episode_steps": 20}, **SMALL)
    fresh.load_state_dict(state)
    assert not fresh.goes_on
    assert (fresh.collector.returns.running == 0).all()
    for _ in range(4):
        fresh.iterate()
    assert set(fresh.collector.returns.last) == {20.0}


@SEEDS
def test_one_seed_one_result(seed):
    one, same_seed, other = (ppo_on(BANDIT, seed=s, **SMALL) for s in (seed, seed, seed + 1))
    for _ in range(2):
        metrics = one.iterate()
        assert same_seed.iterate() == metrics
        assert other.iterate() != metrics
