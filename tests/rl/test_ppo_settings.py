"""Each of PPO's settings does what it says, and the update is that of plain autograd."""

import copy

import numpy as np
import pytest
import torch

from compagnon.envs import BatchEnv
from compagnon.rl.fast.ppo import fast_steps
from compagnon.rl.ppo import PPO, AutogradSteps, PPOSettings
from tests.rl.practice import COUNTDOWN, SMALL, TO_LEARN, ppo_on, same, weights
from tests.rl.small import BANDIT, CLOCK, CONTEXTS, network_for


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


@pytest.mark.full
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
    return int(ppo.steps.state_dict()["steps"][0])  # of the actor


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


@pytest.mark.full
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


def test_a_minibatch_that_is_too_far_is_not_learnt():
    moved = {**SMALL, "minibatch_size": 16, "epochs": 10, "learning_rate": 1e-2}
    for after, stopped in (("minibatch", True), ("epoch", False)):
        ppo = ppo_on(BANDIT, target_kl=1e-6, target_kl_after=after, **moved)
        assert ppo.iterate()["stopped_early"] == 1
        steps = gradient_steps(ppo)
        # the first minibatch is where the rollout was drawn; the second one has been left
        assert steps == (1 if stopped else 8 * 16 // 16)
    ppo = ppo_on(BANDIT, target_kl=0.5, target_kl_after="minibatch", **{**moved, "epochs": 1})
    assert ppo.iterate()["stopped_early"] == 0
    assert gradient_steps(ppo) == 8


def ratios_after_an_iteration(**settings) -> np.ndarray:
    """Of the policy that has learnt to the one that collected, at every step of the rollout."""
    ppo = ppo_on(BANDIT, epochs=40, learning_rate=1e-2, **settings, **SMALL)
    ppo.iterate()
    batch = ppo.rollout.batch()
    logits = np.where(batch.action_mask, ppo.network.logits(batch.obs), -np.inf)
    log_probs = torch.log_softmax(torch.tensor(logits), 1).numpy()
    return np.exp(log_probs[np.arange(len(logits)), batch.actions] - batch.log_probs)


def test_the_clip_does_not_bound_the_step_and_the_kl_stop_nearly_does():
    free = ratios_after_an_iteration()
    stopped = ratios_after_an_iteration(target_kl=0.01, target_kl_after="minibatch")
    outside = [float((np.abs(ratios - 1) > 0.2).mean()) for ratios in (free, stopped)]
    assert free.max() > 2  # with a clip_coef of 0.2
    assert outside[0] > 0.5
    assert outside[1] < outside[0] / 2
    kls = [float((ratios - 1 - np.log(ratios)).mean()) for ratios in (free, stopped)]
    assert kls[1] < 0.03 < kls[0]


def test_the_critic_s_rate_is_its_own_and_falls_with_the_actor_s():
    settings = {**SMALL, "learning_rate": 1e-3, "final_learning_rate": 2e-4}
    ppo = ppo_on(BANDIT, total=4, critic_learning_rate=1e-2, **settings)
    seen = []
    for _ in range(5):
        ppo.iterate()
        seen.append(ppo._rates)
    np.testing.assert_allclose(seen, [(rate, 10 * rate) for rate in (1e-3, 8e-4, 6e-4, 4e-4, 2e-4)])


def test_values_are_scaled_or_not():
    for scale_values in (True, False):
        ppo = ppo_on(CLOCK, {"max_episode_steps": 50}, scale_values=scale_values, **SMALL)
        ppo.iterate()
        assert (ppo.value_scale.mean == 0) != scale_values
        assert (ppo.value_scale.std == 1) != scale_values


def test_a_joint_network_s_values_stay_the_same_when_their_scale_moves():
    ppo = ppo_on(BANDIT, networks="joint", **SMALL)
    x = np.eye(CONTEXTS, dtype=np.float32)
    values, logits = ppo._values(x), ppo.network.logits(x)
    ppo.value_scale.update(np.array([100.0, 300.0]), ppo.network.critic)
    np.testing.assert_allclose(ppo._values(x), values, atol=1e-3)
    np.testing.assert_array_equal(ppo.network.logits(x), logits)


@pytest.mark.parametrize("value_clip", [0.0, 0.3])
def test_a_value_moves_no_further_than_its_clip(value_clip):
    ppo = ppo_on(BANDIT, value_clip=value_clip, value_coef=0.7, **SMALL)
    ppo.iterate()
    batch = ppo.rollout.batch()
    rng, count = np.random.default_rng(0), len(batch.obs)
    old, targets, now = (rng.normal(size=count) for _ in range(3))
    train_batch = ppo._train_batch(batch, np.zeros(count), old, targets)
    index = torch.arange(40)
    values = torch.tensor(now[:40], dtype=torch.float32, requires_grad=True)
    before, target = train_batch.values[index], train_batch.targets[index]
    loss = (values - target) ** 2
    if value_clip > 0:
        bounded = before + (values - before).clamp(-value_clip, value_clip)
        loss = torch.maximum(loss, (bounded - target) ** 2)
    (0.7 * loss.mean() / 2).backward()
    half = ppo.steps._value_gradient(train_batch, index, values.detach())
    gradient = ppo.steps._by_values
    torch.testing.assert_close(gradient, values.grad)
    assert half == pytest.approx(loss.mean().item() / 2)
    plain = AutogradSteps(ppo.network, ppo.distribution, ppo.settings)
    assert plain._value_loss(train_batch, index, values).item() == pytest.approx(half)
    assert (gradient == 0).any() == (value_clip > 0)


def spy_on_advantages(ppo: PPO) -> list[np.ndarray]:
    """What the policy's gradient is taken with, minibatch by minibatch."""
    found, losses = [], ppo.steps.losses

    def spy(batch, rows):
        found.append(batch.advantages[rows].copy())
        return losses(batch, rows)

    ppo.steps.losses = spy
    return found


@pytest.mark.parametrize("over", ["rollout", "minibatch", "none"])
def test_advantages_are_standardised_over_what_is_asked(over):
    ppo = ppo_on(CLOCK, {"max_episode_steps": 50}, standardise_advantages=over, epochs=1, **SMALL)
    used = spy_on_advantages(ppo)
    ppo.iterate()
    parts = [(part.mean(), part.std()) for part in used]
    whole = np.concatenate(used)
    each = all(np.allclose(part, (0, 1), atol=1e-4) for part in parts)
    assert each == (over == "minibatch")
    assert np.allclose((whole.mean(), whole.std()), (0, 1), atol=1e-4) == (over != "none")


# Each episode pays 1, 2, 3, ...: with lambda 1 a step is worth what is still to come, discounted.
def test_lambda_1_and_whole_episodes_give_rewards_to_go():
    ppo = ppo_on(COUNTDOWN, episodes_per_env=2, gamma=0.5, gae_lambda=1.0, **SMALL)
    ppo._collect()
    rollout = ppo.rollout
    returns = rollout.spread(ppo._credit(rollout.batch())[2])
    for i in range(8):
        last = int(np.flatnonzero(rollout.used[:, i])[-1])
        to_go = 0.0
        for t in range(last, -1, -1):
            to_go = rollout.rewards[t, i] + (0 if rollout.dones[t, i] else 0.5 * to_go)
            assert returns[t, i] == pytest.approx(to_go)
    by_hand = {1: [1.0], 2: [2.0, 2.0], 3: [2.75, 3.5, 3.0]}  # 1 + (2 + 3 / 2) / 2 = 2.75
    first_end = rollout.dones.argmax(axis=0)
    short = [i for i in range(8) if first_end[i] < 3]
    assert short
    for i in short:
        length = first_end[i] + 1
        np.testing.assert_allclose(returns[:length, i], by_hand[length])


def test_settings_that_exclude_each_other_are_refused():
    for wrong in ({"critic_learning_rate": 1e-3}, {"critic_warmup": 2}):
        (name,) = wrong
        with pytest.raises(ValueError, match=f"{name}: joint networks have"):
            PPOSettings(networks="joint", **wrong)
        PPOSettings(networks="separate", **wrong)


def test_iterations_are_known_from_steps_alone():
    assert PPOSettings(num_envs=8, rollout_steps=16).iterations_for(1000) == 8
    assert PPOSettings(num_envs=8, episodes_per_env=1).iterations_for(1000) is None


# -- the update is the paper's -------------------------------------------------------------------


def plain_ppo(ppo: PPO, order: np.random.Generator) -> list[torch.Tensor]:
    """One epoch over `ppo`'s rollout by autograd, from the weights it has; the weights after it."""
    settings, network = ppo.settings, copy.deepcopy(ppo.network)
    batch = ppo.rollout.batch()
    advantages, _, returns = (torch.tensor(part).float() for part in ppo._credit(batch))
    advantages = (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)
    modules = list(network.modules.values())
    parameters = [p for module in modules for p in module.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=settings.learning_rate, eps=settings.adam_eps)
    old, obs = torch.tensor(batch.log_probs), torch.tensor(batch.obs)
    rows_of = order.permutation(len(obs))
    for rows in np.array_split(rows_of, len(obs) // settings.minibatch_size):
        outputs = network.actor(obs[rows])
        if network.joint:
            values = network.actor.values(obs[rows])[:, 0]
        else:
            values = network.critic(obs[rows])[:, 0]
        actions = torch.tensor(batch.actions[rows])
        if network.schema.action.kind == "box":
            policy = torch.distributions.Normal(outputs, network.log_std.value.exp())
            log_probs, entropy = policy.log_prob(actions).sum(1), policy.entropy().sum(1)
        else:
            possible = torch.tensor(batch.action_mask[rows])
            policy = torch.distributions.Categorical(logits=outputs.masked_fill(~possible, -1e9))
            log_probs, entropy = policy.log_prob(actions), policy.entropy()
        ratio, advantage = (log_probs - old[rows]).exp(), advantages[rows]
        surrogate = torch.minimum(
            ratio * advantage,
            ratio.clamp(1 - settings.clip_coef, 1 + settings.clip_coef) * advantage,
        )
        loss = -surrogate.mean() - settings.entropy_coef * entropy.mean()
        loss = loss + settings.value_coef * 0.5 * ((values - returns[rows]) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return [p.detach() for p in parameters]


@pytest.mark.parametrize("env_id", [BANDIT, "CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("networks", ["separate", "joint"])
def test_an_epoch_is_that_of_plain_autograd(env_id, networks):
    settings = PPOSettings(
        networks=networks, epochs=1, learning_rate=1e-3, entropy_coef=0.01, clip_coef=0.05,
        scale_values=False, max_grad_norm=0, value_coef=0.5, gamma=0.9, **SMALL,
    )  # fmt: skip
    network = network_for(env_id, hidden=(16, 16), networks=networks)
    ppo = PPO(settings, network, BatchEnv(env_id, {}, settings.num_envs), 0)
    ppo.iterate()
    ppo._collect()
    ppo.steps = fast_steps(network, ppo.distribution, settings)  # moments at zero, as plain_ppo's
    order = np.random.default_rng()
    order.bit_generator.state = ppo.rng.bit_generator.state
    before = weights(torch.nn.ModuleList(network.modules.values()))
    wanted = plain_ppo(ppo, order)
    batch = ppo.rollout.batch()
    ppo._learn(batch, *ppo._credit(batch))
    got = weights(torch.nn.ModuleList(network.modules.values()))
    moved = [float((new - old).abs().max()) for new, old in zip(got, before, strict=True)]
    assert max(moved) > 1e-3
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-5)
