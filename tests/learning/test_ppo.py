"""PPO learns small problems, obeys masks, and does with each setting what the setting says."""

from typing import Any

import numpy as np
import pytest
import torch

from compagnon.envs import BatchEnv
from compagnon.envs.registration import WORKSHOP
from compagnon.errors import InputError
from compagnon.learning.ppo import PPO, PPOSettings
from tests.learning.small import BANDIT, CLOCK, CONTEXTS, SHORT, network_for, through_disk

SEEDS = pytest.mark.parametrize("seed", range(3))


def ppo_on(
    env_id: str,
    env_args: dict[str, Any] | None = None,
    seed: int = 0,
    hidden: tuple[int, ...] = (32,),
    total: int | None = None,
    scale_inputs: bool = True,
    **settings: Any,
) -> PPO:
    chosen = PPOSettings(**settings)
    network = network_for(env_id, env_args, hidden, seed, scale_inputs=scale_inputs)
    env = BatchEnv(env_id, env_args or {}, chosen.num_envs)
    return PPO(chosen, network, env, seed, total)


SMALL: dict[str, Any] = {"num_envs": 8, "rollout_steps": 16, "minibatch_size": 64}
TO_LEARN: dict[str, Any] = {
    "num_envs": 32,
    "rollout_steps": 16,
    "minibatch_size": 128,
    "learning_rate": 3e-3,
    "entropy_coef": 0.01,
}


def weights(module: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# -- learning -----------------------------------------------------------------------------------


@SEEDS
def test_it_learns_a_masked_bandit(seed):
    ppo = ppo_on(BANDIT, seed=seed, **TO_LEARN)
    first = ppo.iterate()["episode_return"]
    for _ in range(24):
        metrics = ppo.iterate()
    assert first < 0.6
    assert metrics["episode_return"] >= 0.95
    assert metrics["entropy"] < 0.5


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
    np.testing.assert_array_equal(ppo.rollout.ends[:, 0], [False, False, True, False])
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
    assert ppo.rollout.ends.all()
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


# -- settings -----------------------------------------------------------------------------------


def test_the_warm_up_trains_the_critic_alone():
    ppo = ppo_on(BANDIT, critic_warmup=2, learning_rate=1e-2, **SMALL)
    actor, critic = weights(ppo.network.actor), weights(ppo.network.critic)
    for _ in range(2):
        metrics = ppo.iterate()
        assert metrics["entropy"] == metrics["approx_kl"] == 0
    assert same(weights(ppo.network.actor), actor)
    assert not same(weights(ppo.network.critic), critic)
    ppo.iterate()
    assert not same(weights(ppo.network.actor), actor)


def kl_from_the_start(reference_coef: float) -> float:
    ppo = ppo_on(
        BANDIT, {"all_possible": True}, reference_coef=reference_coef,
        reference_half_life=1e6, **TO_LEARN,
    )  # fmt: skip
    ppo.network.scaler = None
    contexts = np.eye(CONTEXTS, dtype=np.float32)
    before = torch.log_softmax(torch.tensor(ppo.network.logits(contexts)), dim=1)
    for _ in range(20):
        metrics = ppo.iterate()
    after = torch.log_softmax(torch.tensor(ppo.network.logits(contexts)), dim=1)
    kl = float((before.exp() * (before - after)).sum(1).mean())
    if reference_coef > 0:
        assert metrics["reference_kl"] == pytest.approx(kl, rel=0.5)
    return kl


def test_holding_on_to_the_start_keeps_the_policy_close_to_it():
    free, held, held_hard = (kl_from_the_start(coef) for coef in (0.0, 1.0, 10.0))
    assert free > 1.0
    assert held < free / 2
    assert held_hard < held / 2


def test_the_hold_on_the_start_halves():
    ppo = ppo_on(BANDIT, reference_coef=1.0, reference_half_life=2.0, critic_warmup=1, **SMALL)
    seen = []
    for _ in range(6):
        ppo.iterate()
        ppo.iteration -= 1
        seen.append(ppo._reference(np.zeros((1, CONTEXTS), np.float32))[1])
        ppo.iteration += 1
    np.testing.assert_allclose(seen, 0.5 ** (np.array([0, 0, 1, 2, 3, 4]) / 2))


def gradient_steps(ppo: PPO) -> int:
    (*_, state) = ppo.optimiser.state_dict()["state"].values()
    return int(state["step"])


def test_epochs_end_early_where_the_policy_has_moved_far():
    moved = {**SMALL, "epochs": 10, "learning_rate": 1e-2}
    stopped, free = ppo_on(BANDIT, target_kl=1e-6, **moved), ppo_on(BANDIT, **moved)
    assert stopped.iterate()["stopped_early"] == 1
    assert free.iterate()["stopped_early"] == 0
    minibatches = 8 * 16 // 64
    assert gradient_steps(stopped) == minibatches
    assert gradient_steps(free) == 10 * minibatches


def test_a_policy_that_hardly_moves_uses_all_epochs():
    ppo = ppo_on(BANDIT, target_kl=0.5, epochs=4, learning_rate=1e-5, **SMALL)
    assert ppo.iterate()["stopped_early"] == 0
    assert gradient_steps(ppo) == 4 * 2


def test_schedules_run_over_the_budget():
    ppo = ppo_on(
        BANDIT, total=4, learning_rate=1e-3, final_learning_rate=2e-4, entropy_coef=0.0,
        final_entropy_coef=0.4, **SMALL,
    )  # fmt: skip
    rates, entropy_coefs = [], []
    for _ in range(6):
        rates.append(ppo.iterate()["learning_rate"])
        entropy_coefs.append(ppo._entropy_coef)
    np.testing.assert_allclose(rates, [1e-3, 8e-4, 6e-4, 4e-4, 2e-4, 2e-4])
    np.testing.assert_allclose(entropy_coefs, [0, 0.1, 0.2, 0.3, 0.4, 0.4])


def test_rates_stay_put_unless_a_final_one_is_given():
    ppo = ppo_on(BANDIT, total=4, learning_rate=1e-3, **SMALL)
    assert {ppo.iterate()["learning_rate"] for _ in range(4)} == {1e-3}


def test_the_entropy_bonus_keeps_the_policy_open():
    entropies = []
    for coef in (0.0, 0.5):
        ppo = ppo_on(BANDIT, **{**TO_LEARN, "entropy_coef": coef})
        for _ in range(15):
            metrics = ppo.iterate()
        entropies.append(metrics["entropy"])
    assert entropies[1] > 2 * entropies[0]


def test_a_frozen_scaler_is_left_alone():
    ppo = ppo_on(BANDIT, **SMALL)
    ppo.network.scaler.frozen = True
    ppo.iterate()
    assert ppo.network.scaler.count == 0
    ppo.network.scaler.frozen = False
    ppo.iterate()
    assert ppo.network.scaler.count == 128


def test_a_vector_of_actions_is_refused():
    network = network_for("Pendulum-v1")
    with pytest.raises(InputError, match=r"Pendulum-v1 has Box.*Discrete is needed"):
        PPO(PPOSettings(num_envs=1), network, BatchEnv("Pendulum-v1", {}, 1), 0)


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


def test_returns_do_not_join_two_episodes_when_saving_begins_new_ones():
    ppo = ppo_on(CLOCK, {"max_episode_steps": 20}, **SMALL)
    for _ in range(4):
        metrics = ppo.iterate()
        ppo.state_dict()  # this environment cannot be saved, so new episodes begin
    assert metrics.get("episode_return", 20.0) == 20.0
    assert max(ppo._episode_returns, default=20.0) == 20.0
    assert (ppo._running_return == 0).all()


@SEEDS
def test_one_seed_one_result(seed):
    one, same_seed, other = (ppo_on(BANDIT, seed=s, **SMALL) for s in (seed, seed, seed + 1))
    for _ in range(2):
        metrics = one.iterate()
        assert same_seed.iterate() == metrics
        assert other.iterate() != metrics
