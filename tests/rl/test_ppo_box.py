"""PPO over vectors of actions: it learns, speaks in units, and never takes a density of a clip."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from scipy import stats

from compagnon.envs import BatchEnv
from compagnon.policy import Schema, load_artefact, save_policy
from compagnon.rl.networks.trainable import PolicyNetwork
from compagnon.rl.ppo import PPO, PPOSettings
from tests.rl.small import BANDIT, ECHO, Echo, through_disk
from tests.tiers import full

SEEDS = pytest.mark.parametrize("seed", [0, full(1), full(2)])
ARRANGEMENTS = pytest.mark.parametrize("networks", ["separate", "joint"])
SDS = pytest.mark.parametrize("std", ["fixed", "learnt", "by_state"])
SMALL: dict[str, Any] = {"num_envs": 8, "rollout_steps": 16, "minibatch_size": 64}
TO_LEARN: dict[str, Any] = {
    "num_envs": 64,
    "rollout_steps": 16,
    "minibatch_size": 128,
    "epochs": 4,
    "learning_rate": 3e-3,
    "initial_std": 0.5,
}


class Free(gymnasium.Env[np.ndarray, np.ndarray]):
    """One step an episode; actions have no bounds, and 4 is the best one."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: np.ndarray):
        return np.zeros(1, np.float32), -float((action[0] - 4.0) ** 2), True, False, {}


FREE = "tests/Free-v0"
if FREE not in gymnasium.registry:
    gymnasium.register(id=FREE, entry_point=Free)


def ppo_on(
    env_id: str = ECHO, seed: int = 0, hidden: tuple[int, ...] = (32,),
    env_args: dict[str, Any] | None = None, scale_inputs: bool = True, **settings: Any,
) -> PPO:  # fmt: skip
    chosen = PPOSettings(**settings)
    env = BatchEnv(env_id, env_args or {}, chosen.num_envs)
    network = PolicyNetwork(
        Schema.of(env), hidden, "tanh", seed, None, scale_inputs, "cpu", chosen.networks,
        chosen.std, chosen.initial_std,
    )  # fmt: skip
    return PPO(chosen, network, env, seed)


def error_of(ppo: PPO) -> float:
    """Root mean square of what the policy says against what it should, in units."""
    seen = np.random.default_rng(9).uniform(-1, 1, (200, 2)).astype(np.float32)
    said = ppo.network.as_policy("x").act(seen)
    units = (said - (Echo.LOW + Echo.HIGH) / 2) / ((Echo.HIGH - Echo.LOW) / 2)
    return float(np.sqrt(((units - seen) ** 2).mean()))


# -- learning -----------------------------------------------------------------------------------


@pytest.mark.full
@SEEDS
@pytest.mark.parametrize(
    ("networks", "std"),
    [("separate", "learnt"), ("separate", "fixed"), ("joint", "by_state")],
)
def test_it_learns_to_say_what_it_sees(seed, std, networks):
    # noise that stays keeps means away from the bounds: what is clipped costs nothing there
    initial_std = 0.3 if std == "fixed" else 0.5
    ppo = ppo_on(seed=seed, networks=networks, std=std, **{**TO_LEARN, "initial_std": initial_std})
    assert error_of(ppo) > 0.5
    for _ in range(48):
        metrics = ppo.iterate()
    assert error_of(ppo) < 0.15
    if std != "fixed":  # being sure pays, because noise costs
        assert metrics["entropy"] < stats.norm(0, 0.5).entropy() * 2 - 0.5


@pytest.mark.full
@SEEDS
def test_it_learns_where_actions_have_no_bounds(seed):
    ppo = ppo_on(
        FREE, seed, num_envs=64, rollout_steps=8, minibatch_size=64, learning_rate=1e-2, std="fixed"
    )
    seen = np.zeros((1, 1), np.float32)
    assert abs(ppo.network.as_policy("x").act(seen) - 4) > 3
    for _ in range(60):
        ppo.iterate()
    assert abs(ppo.network.as_policy("x").act(seen) - 4) < 0.5


@pytest.mark.full
@pytest.mark.parametrize("reward_scale", ["running", "per_trajectory"])
def test_it_learns_with_rewards_scaled(reward_scale):
    # an episode of one step has no deviation: standardised by trajectory it teaches nothing
    ppo = ppo_on(reward_scale=reward_scale, scale_values=False, **TO_LEARN)
    for _ in range(40):
        ppo.iterate()
    assert (error_of(ppo) < 0.15) == (reward_scale == "running")


# -- units and clipping -------------------------------------------------------------------------


class Spy:
    """Stands before an environment and keeps the actions that it is given."""

    def __init__(self, env: BatchEnv) -> None:
        self._step, self.given = env.step, []
        self.next_obs: list[np.ndarray] = []
        env.step = self.step  # type: ignore[method-assign]

    def step(self, actions: np.ndarray):
        self.given.append(actions.copy())
        step = self._step(actions)
        self.next_obs.append(step.next_obs.copy())
        return step


def test_the_rollout_keeps_what_was_drawn_and_the_environment_gets_it_clipped():
    ppo = ppo_on(initial_std=2.0, learning_rate=1e-12, **SMALL)
    spy = Spy(ppo.env)
    ppo.iterate()
    drawn, given = ppo.rollout.actions, np.stack(spy.given)
    assert (np.abs(drawn) > 1).mean() > 0.5  # two thirds of so wide a distribution
    middle, half = (Echo.LOW + Echo.HIGH) / 2, (Echo.HIGH - Echo.LOW) / 2
    np.testing.assert_allclose(given, middle + half * np.clip(drawn, -1, 1), rtol=1e-5, atol=1e-6)
    obs = ppo.rollout.obs.reshape(-1, 2)
    means = ppo.network.outputs(obs).reshape(drawn.shape)
    for actions, right in ((drawn, True), (np.clip(drawn, -1, 1), False)):
        densities = stats.norm.logpdf(actions, means, 2.0).sum(axis=-1)
        assert np.allclose(ppo.rollout.log_probs, densities, atol=1e-4) == right


def test_ratios_begin_at_1_where_most_actions_are_clipped():
    ppo = ppo_on(initial_std=3.0, learning_rate=1e-12, epochs=1, **SMALL)
    metrics = ppo.iterate()
    assert metrics["approx_kl"] < 1e-8
    assert metrics["clip_fraction"] == 0


def test_actions_without_bounds_are_not_clipped():
    ppo = ppo_on(FREE, initial_std=50.0, **SMALL)
    spy = Spy(ppo.env)
    ppo.iterate()
    np.testing.assert_array_equal(np.stack(spy.given), ppo.rollout.actions)
    assert np.abs(spy.given).max() > 50


def test_an_episode_cut_short_is_bootstrapped_from_its_last_state():
    ppo = ppo_on(
        "Pendulum-v1", env_args={"max_episode_steps": 5}, scale_inputs=False, gamma=0.9,
        learning_rate=1e-12, **SMALL,
    )  # fmt: skip
    spy = Spy(ppo.env)
    ppo.collector.collect()
    rollout = ppo.rollout
    cut = rollout.dones
    assert cut.sum() == 3 * 8
    np.testing.assert_array_equal(rollout.bootstrap[~cut], 0)
    wanted = 0.9 * ppo._values(np.stack(spy.next_obs)[cut])
    np.testing.assert_allclose(rollout.bootstrap[cut], wanted, rtol=1e-4)
    assert np.abs(wanted).min() > 0


# -- settings -----------------------------------------------------------------------------------


@SDS
@pytest.mark.parametrize("initial_std", [0.3, 2**-0.5])
def test_deviations_begin_as_asked(std, initial_std):
    ppo = ppo_on(std=std, initial_std=initial_std, **SMALL)
    policy = ppo.network.as_policy("x")
    means, stds = policy.means_and_stds(np.zeros((4, 2), np.float32))
    np.testing.assert_allclose(stds, initial_std, rtol=0.05 if std == "by_state" else 1e-6)
    np.testing.assert_allclose(means, 0, atol=0.05)


@SDS
def test_deviations_are_learnt_as_asked(std):
    ppo = ppo_on(std=std, initial_std=0.5, learning_rate=1e-2, **SMALL)
    for _ in range(5):
        ppo.iterate()
    apart = np.array([[-1, -1], [1, 1]], np.float32)
    _, stds = ppo.network.as_policy("x").means_and_stds(apart)
    if std == "fixed":
        np.testing.assert_allclose(stds, 0.5, rtol=1e-6)
    else:
        assert (stds != 0.5).all()
        assert np.array_equal(stds[0], stds[1]) == (std == "learnt")


@pytest.mark.full
def test_the_entropy_bonus_widens_the_distribution():
    entropies = []
    for coef in (0.0, 0.5):
        ppo = ppo_on(**{**TO_LEARN, "entropy_coef": coef})
        for _ in range(15):
            metrics = ppo.iterate()
        entropies.append(metrics["entropy"])
    assert entropies[1] > entropies[0] + 0.5


@pytest.mark.full
@SDS
def test_holding_on_to_the_start_keeps_the_policy_close_to_it(std):
    kls = []
    for coef in (0.0, 10.0):
        ppo = ppo_on(std=std, reference_coef=coef, reference_half_life=1e6, **TO_LEARN)
        start = ppo.network.as_policy("start")
        for _ in range(10):
            ppo.iterate()
        kls.append(kl_between(start, ppo.network.as_policy("now")))
    assert kls[1] < kls[0] / 5


def kl_between(one, other) -> float:
    seen = np.random.default_rng(9).uniform(-1, 1, (200, 2)).astype(np.float32)
    first, second = (
        torch.distributions.Normal(*map(torch.tensor, map(np.array, policy.means_and_stds(seen))))
        for policy in (one, other)
    )
    return float(torch.distributions.kl_divergence(first, second).sum(1).mean())


# -- what becomes of it -------------------------------------------------------------------------


@SDS
@ARRANGEMENTS
@pytest.mark.parametrize("scale_inputs", [True, False])
def test_the_policy_is_the_network(std, networks, scale_inputs, tmp_path):
    ppo = ppo_on(std=std, networks=networks, scale_inputs=scale_inputs, learning_rate=1e-2, **SMALL)
    for _ in range(3):
        ppo.iterate()
    network = ppo.network
    save_policy(network.as_policy("x"), tmp_path / "policy")
    policy = load_artefact(tmp_path / "policy").bind(Schema.of(ppo.env))
    obs = np.random.default_rng(0).uniform(-1, 1, (50, 2)).astype(np.float32)
    means, stds = policy.means_and_stds(obs)
    outputs = network.outputs(network.read(obs))
    np.testing.assert_allclose(means, outputs[:, :2], rtol=1e-4, atol=1e-5)
    log_stds = outputs[:, 2:] if std == "by_state" else network.log_std.numpy()
    np.testing.assert_allclose(stds, np.broadcast_to(np.exp(log_stds), (50, 2)), rtol=1e-4)
    units = ppo.network.schema.action.from_units(means)
    np.testing.assert_allclose(policy.act(obs), units, rtol=1e-5, atol=1e-6)
    # one generator, one draw: what the policy plays is what was trained
    actions, log_probs = np.empty((50, 2), np.float32), np.empty(50, np.float32)
    params = network.action_params(network.read(obs))
    played = ppo.distribution.draw(params, None, np.random.default_rng(5), actions, log_probs)
    np.testing.assert_allclose(
        policy.act(obs, rng=np.random.default_rng(5)), played, rtol=1e-4, atol=1e-4
    )


def test_a_sampled_policy_is_distributed_as_its_manifest_says():
    policy = ppo_on(initial_std=0.2, **SMALL).network.as_policy("x")
    obs = np.zeros((20_000, 2), np.float32)
    drawn = policy.act(obs, rng=np.random.default_rng(0))
    middle, half = (Echo.LOW + Echo.HIGH) / 2, (Echo.HIGH - Echo.LOW) / 2
    means, _ = policy.means_and_stds(obs[:1])
    for column in range(2):
        units = (drawn[:, column] - middle[column]) / half[column]
        assert stats.kstest(units, "norm", (means[0, column], 0.2)).pvalue > 0.001


RESTORED: dict[str, dict[str, Any]] = {
    "learnt": {"reward_scale": "running", "reference_coef": 0.5},
    "by state, joint": {"std": "by_state", "networks": "joint", "value_clip": 0.2},
    "whole episodes": {"episodes_per_env": 3, "std": "fixed", "reward_scale": "running"},
}


# Whole episodes of Pendulum are 3 x 200 steps of 8 copies, and say nothing that Echo's do not.
WHERE_RESTORED = [
    (name, env_id)
    for name in RESTORED
    for env_id in (ECHO, "Pendulum-v1")
    if (name, env_id) != ("whole episodes", "Pendulum-v1")
]


@pytest.mark.parametrize(("name", "env_id"), WHERE_RESTORED)
@pytest.mark.parametrize("done", [0, 2])
def test_a_restored_ppo_goes_on_as_the_saved_one(name, env_id, done):
    settings = {**SMALL, "learning_rate": 1e-3, **RESTORED[name]}
    ppo, fresh = (ppo_on(env_id, seed, **settings) for seed in (0, 77))
    for _ in range(done):
        ppo.iterate()
    state, network = through_disk([ppo.state_dict(), ppo.network.state_dict()])
    fresh.load_state_dict(state)
    fresh.network.load_state_dict(network)
    for _ in range(2):
        assert fresh.iterate() == ppo.iterate()
    for name, module in ppo.network.modules.items():
        for one, other in zip(
            module.parameters(), fresh.network.modules[name].parameters(), strict=True
        ):
            assert torch.equal(one, other)


def test_a_network_of_one_action_kind_has_no_deviations():
    env = BatchEnv(BANDIT, {}, 1)
    network = PolicyNetwork(Schema.of(env), (8,), "tanh", 0)
    assert network.log_std is None
    assert "head.log_std" not in network.as_policy("x").weights
