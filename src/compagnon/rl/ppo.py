"""Proximal policy optimisation (arXiv 1707.06347) over masked discrete actions and over vectors.

Play, see which choices paid more than expected, make those likelier, and never move far at a time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.rl.algorithm import BuildPlan, Practising, policy_network
from compagnon.rl.buffers.reward_scale import RunningRewardScale, standardised_by_trajectory
from compagnon.rl.buffers.rollout import (
    Batch,
    Collector,
    Rollout,
    Surrogate,
    TrainBatch,
    generalised_advantages,
)
from compagnon.rl.distributions.action_distribution import ActionDistribution, distribution_for
from compagnon.rl.fast.ppo import fast_steps
from compagnon.rl.fast.protocol import (
    APPROX_KL,
    CLIPPED,
    ENTROPY,
    LOSS,
    NUM_STATS,
    RATIO,
    REFERENCE_KL,
    ActorCriticLosses,
    GradientSteps,
    MetricAccumulator,
)
from compagnon.rl.networks.scaler import ValueScale
from compagnon.rl.networks.trainable import PolicyNetwork
from compagnon.rl.ppo_settings import PPOSettings

__all__ = ["PPO", "PPOSettings"]


class PPO(Practising):
    """Improves a policy by practice.

    Args:
        settings: see `PPOSettings`.
        network: trained in place; hand over a clone and PPO starts from it.
        env: the envs to practise in; this object resets them.
        seed: of action draws, minibatches and episodes.
        total_iterations: the budget, if known, that schedules run over.
        fast: take the fast path, where there is one for the network.
    """

    def __init__(
        self,
        settings: PPOSettings,
        network: PolicyNetwork,
        env: BatchEnv,
        seed: int,
        total_iterations: int | None = None,
        fast: bool = True,
    ) -> None:
        self.settings: PPOSettings = settings
        self.network, self.env = network, env
        self.total_iterations = total_iterations
        self.iteration = 0
        self.goes_on = True
        self.rng = np.random.default_rng(seed)
        self.value_scale = ValueScale()
        self.reward_scale = RunningRewardScale(env.num_envs)
        self.distribution = distribution_for(network.schema, settings.distribution)
        if self.distribution.head is not None:
            network.head = self.distribution.head
        self.collector = Collector(
            network, env, self.distribution, settings.gamma, settings.rollout_steps,
            settings.episodes_per_env, self._values, self.rng,
        )  # fmt: skip
        found = fast_steps(network, self.distribution, settings) if fast else None
        self.steps: GradientSteps[TrainBatch] = found or AutogradSteps(
            network, self.distribution, settings
        )
        self._rates = (settings.learning_rate, settings.learning_rate)
        self._entropy_coef = settings.entropy_coef
        self.reference: dict[str, dict[str, torch.Tensor]] | None = None

    @property
    def rollout(self) -> Rollout:
        """The steps that the newest update learnt from."""
        return self.collector.rollout

    @property
    def env_steps(self) -> int:
        """Environment steps taken."""
        return self.collector.env_steps

    @property
    def episodes(self) -> int:
        """Training episodes that ended."""
        return self.collector.returns.episodes

    def iterate(self) -> dict[str, float]:
        """Collect one rollout, learn from it, and return the metrics of both."""
        if self.settings.reference_coef > 0 and self.reference is None:
            self.reference = {
                name: {key: value.clone() for key, value in module.state_dict().items()}
                for name, module in self.network.modules.items()
                if name != "critic"
            }
        self._set_schedules()
        self._collect()
        batch = self.rollout.batch()
        metrics = self._learn(batch, *self._credit(batch))
        self.iteration += 1
        return metrics | self.collector.returns.metrics()

    # -- practising ---------------------------------------------------------------------------

    def _collect(self) -> None:
        self.collector.collect()

    def _values(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Read observations (B, F) -> what the critic says, in rewards; (B,)."""
        return self.value_scale.to_value(self.network.values(x).astype(np.float64))

    def _rewards(self) -> NDArray[np.float64]:
        """The rewards (T, N) that are credited."""
        rollout, how = self.rollout, self.settings.reward_scale
        if how == "running":
            return self.reward_scale(rollout)
        rewards = rollout.rewards[: rollout.steps]
        if how == "per_trajectory":
            return standardised_by_trajectory(rewards, rollout.dones[: rollout.steps])
        return rewards

    def _credit(
        self, batch: Batch
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Advantages, values and lambda-returns, each (M,)."""
        rollout, steps = self.rollout, self.rollout.steps
        values = self._values(batch.obs)
        advantages = rollout.pick(
            generalised_advantages(
                self._rewards(),
                rollout.spread(values),
                self.collector.last_values,
                rollout.dones[:steps],
                rollout.discounts[:steps],
                rollout.bootstrap[:steps],
                self.settings.gae_lambda,
            )
        )
        return advantages, values, advantages + values

    # -- learning -----------------------------------------------------------------------------

    def _learn(
        self,
        batch: Batch,
        advantages: NDArray[np.float64],
        values: NDArray[np.float64],
        returns: NDArray[np.float64],
    ) -> dict[str, float]:
        settings = self.settings
        explained = float(1 - advantages.var() / max(returns.var(), 1e-12))
        train_batch = self._train_batch(batch, advantages, values, returns)
        metrics = MetricAccumulator()
        count, stop = len(batch.obs), False
        for _ in range(settings.epochs):
            order = self.rng.permutation(count)
            kl_before, rows_before = metrics.stats[APPROX_KL], metrics.rows
            for rows in np.array_split(order, max(1, count // settings.minibatch_size)):
                stop = self._minibatch(train_batch, rows, metrics)
                if stop:
                    break
            kl = metrics.stats[APPROX_KL] - kl_before
            if stop or self._too_far(kl, metrics.rows - rows_before):
                stop = True
                break
        return {
            **metrics.means(),
            "explained_variance": explained,
            "learning_rate": self._rates[0],
            "stopped_early": float(stop),
        }

    def _train_batch(
        self,
        batch: Batch,
        advantages: NDArray[np.float64],
        values: NDArray[np.float64],
        returns: NDArray[np.float64],
    ) -> TrainBatch:
        """What minibatches are cut from; values from here on in the critic's own units."""
        settings, network, scale = self.settings, self.network, self.value_scale
        if settings.scale_values:
            scale.update(returns, network.critic)
        if settings.standardise_advantages == "rollout":
            advantages = _standardised(advantages)
        loss = None
        if self.iteration >= settings.critic_warmup:
            reference, coef = self._reference(batch.obs)
            loss = Surrogate(settings.clip_coef, self._entropy_coef, coef, reference)
        return TrainBatch(
            batch,
            network.tensor(batch.obs),
            network.tensor(scale.to_scaled(values).astype(np.float32)),
            network.tensor(scale.to_scaled(returns).astype(np.float32)),
            advantages.astype(np.float32),
            loss,
        )

    def _minibatch(
        self, batch: TrainBatch, rows: NDArray[np.int64], metrics: MetricAccumulator
    ) -> bool:
        """One gradient step of both networks; True, and no step, if the policy is too far."""
        settings = self.settings
        if settings.standardise_advantages == "minibatch":
            advantages = np.empty_like(batch.advantages)
            advantages[rows] = _standardised(batch.advantages[rows])
            batch = batch._replace(advantages=advantages)
        losses = self.steps.losses(batch, rows)
        metrics.add(losses)
        if settings.target_kl_after == "minibatch" and self._too_far(
            losses.stats[APPROX_KL], losses.rows
        ):
            return True
        metrics.grad_norm += self.steps.step(self._rates)
        metrics.batches += 1
        return False

    def _too_far(self, kl: float, rows: int) -> bool:
        target = self.settings.target_kl
        return target is not None and kl / max(rows, 1) > target

    def _reference(self, x: NDArray[np.float32]) -> tuple[torch.Tensor, float]:
        """What the start says of the rollout's observations, and how much it weighs now."""
        after_warmup = max(0, self.iteration - self.settings.critic_warmup)
        coef = self.settings.reference_coef * 0.5 ** (
            after_warmup / self.settings.reference_half_life
        )
        if self.reference is None or coef < 1e-4:
            return torch.zeros(1, 1), 0.0
        with torch.inference_mode():
            outputs = torch.func.functional_call(
                self.network.actor, self.reference["actor"], (self.network.tensor(x),)
            )
            log_std = self.reference.get("log_std", {}).get("value")
            return self.network.params(outputs, log_std), coef

    def _set_schedules(self) -> None:
        settings = self.settings
        done = 0.0
        if self.total_iterations:
            done = min(1.0, self.iteration / self.total_iterations)
        rate = settings.learning_rate
        if settings.final_learning_rate > 0:
            rate += done * (settings.final_learning_rate - rate)
        critic_rate = rate
        if settings.critic_learning_rate is not None:
            critic_rate *= settings.critic_learning_rate / settings.learning_rate
        self._rates = (rate, critic_rate)
        self._entropy_coef = settings.entropy_coef
        if settings.final_entropy_coef is not None:
            self._entropy_coef += done * (settings.final_entropy_coef - self._entropy_coef)

    # -- saving -------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything the next iteration depends on, but the network."""
        return {
            "iteration": self.iteration,
            "rng": self.rng.bit_generator.state,
            "collector": self.collector.state_dict(),
            "value_scale": self.value_scale.state_dict(),
            "reward_scale": self.reward_scale.state_dict(),
            "optimiser": self.steps.state_dict(),
            "reference": self.reference,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self.iteration = int(state["iteration"])
        self.rng.bit_generator.state = state["rng"]
        self.value_scale.load_state_dict(state["value_scale"])
        self.reward_scale.load_state_dict(state["reward_scale"])
        self.goes_on = self.collector.load_state_dict(state["collector"])
        if not self.goes_on:
            self.reward_scale.forget_episodes()
        self.steps.load_state_dict(state["optimiser"])
        reference, device = state["reference"], self.network.device
        if reference is not None:
            reference = {
                name: {key: value.to(device) for key, value in reference[name].items()}
                for name in self.network.modules
                if name != "critic"
            }
        self.reference = reference


class AutogradSteps:
    """The losses in plain autograd, for any modules, and Adam's steps down them.

    Two networks have a loss, a bound of the gradient's norm and an optimiser each; a joint network
    has the sum of both losses.
    """

    def __init__(
        self, network: PolicyNetwork, distribution: ActionDistribution, settings: PPOSettings
    ) -> None:
        self.network, self.distribution, self.settings = network, distribution, settings
        self.groups = network.parameter_groups()
        self.optimisers = [torch.optim.Adam(group, eps=settings.adam_eps) for group in self.groups]
        self._losses: list[torch.Tensor] = []

    def losses(self, batch: TrainBatch, rows: NDArray[np.int64]) -> ActorCriticLosses:
        """What some rows cost, remembered for `step`; while the critic warms up, it alone."""
        index = torch.from_numpy(rows).to(batch.obs.device)
        x = batch.obs[index]
        value = self._value_loss(batch, index, self.network.critic.values(x)[:, 0])
        self._losses = [self.settings.value_coef * value]
        if batch.loss is None:
            return ActorCriticLosses(np.zeros(NUM_STATS), 0, value.item())
        policy, stats = self._policy_loss(batch, rows, index, self.network.actor(x))
        self._losses.insert(0, policy)
        return ActorCriticLosses(stats, len(rows), value.item())

    def _policy_loss(
        self,
        batch: TrainBatch,
        rows: NDArray[np.int64],
        index: torch.Tensor,
        outputs: torch.Tensor,
    ) -> tuple[torch.Tensor, NDArray[np.float64]]:
        """Equation 7, less an entropy bonus, and a KL to where learning began."""
        loss, own, network = batch.loss, batch.batch, self.network
        assert loss is not None
        mask, actions = network.tensor(own.action_mask[rows]), network.tensor(own.actions[rows])
        advantages = network.tensor(batch.advantages[rows])
        params = network.params(outputs)
        log_ratio = self.distribution.log_prob(params, actions, mask) - network.tensor(
            own.log_probs[rows]
        )
        ratio = log_ratio.exp()
        bounded = ratio.clamp(1 - loss.clip_coef, 1 + loss.clip_coef)
        surrogate = torch.minimum(ratio * advantages, bounded * advantages)
        entropy = self.distribution.entropy(params, mask)
        policy = -surrogate.mean() - loss.entropy_coef * entropy.mean()
        reference_kl = torch.zeros_like(ratio)
        if loss.reference_coef > 0:
            reference_kl = self.distribution.kl(loss.reference[index], params, mask)
            policy = policy + loss.reference_coef * reference_kl.mean()
        stats = np.zeros(NUM_STATS)
        clipped = (bounded - ratio) * advantages.sign() < 0
        columns = {
            LOSS: -surrogate, ENTROPY: entropy, APPROX_KL: ratio - 1 - log_ratio,
            CLIPPED: clipped, REFERENCE_KL: reference_kl, RATIO: ratio,
        }  # fmt: skip
        for column, values in columns.items():
            stats[column] = float(values.detach().double().sum())
        return policy, stats

    def _value_loss(
        self, batch: TrainBatch, index: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        """Half the mean squared error; with `value_clip` the worse of two errors counts."""
        square = (values - batch.targets[index]) ** 2
        bound = self.settings.value_clip
        if bound > 0:
            old = batch.values[index]
            bounded = old + (values - old).clamp(-bound, bound)
            square = torch.maximum(square, (bounded - batch.targets[index]) ** 2)
        return square.mean() / 2

    def step(self, learning_rates: Sequence[float]) -> float:
        """See `GradientSteps.step`."""
        losses, groups = self._losses, list(zip(self.optimisers, self.groups, strict=True))
        rates = list(learning_rates)[: len(groups)]
        if self.network.joint:
            losses = [sum(losses, torch.zeros(()))]
        elif len(losses) < len(groups):  # the critic alone
            groups, rates = groups[1:], rates[1:]
        norms = []
        for loss, (optimiser, group), rate in zip(losses, groups, rates, strict=True):
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            bound = self.settings.max_grad_norm or torch.inf
            norms.append(float(torch.nn.utils.clip_grad_norm_(group, bound)))
            optimiser.param_groups[0]["lr"] = rate
            optimiser.step()
        return norms[0] if len(norms) == len(self.groups) else 0.0

    def state_dict(self) -> dict[str, Any]:
        """See `GradientSteps`."""
        return {"adam": [optimiser.state_dict() for optimiser in self.optimisers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `GradientSteps`."""
        for optimiser, saved in zip(self.optimisers, state["adam"], strict=True):
            optimiser.load_state_dict(saved)


def _standardised(advantages: NDArray[Any]) -> NDArray[Any]:
    """With mean 0 and deviation 1."""
    return np.asarray((advantages - advantages.mean()) / (advantages.std() + 1e-8))


def build(plan: BuildPlan) -> tuple[PPO, PolicyNetwork]:
    """PPO as a recipe describes it.

    Raises:
        InputError: a setting that does not fit the environment.
    """
    assert isinstance(plan.settings, PPOSettings)
    own = plan.settings
    network = policy_network(plan, own.networks, own.std, own.initial_std)
    return on_network(plan, own, network), network


def on_network(plan: BuildPlan, settings: PPOSettings, network: PolicyNetwork) -> PPO:
    """PPO on a network that is there, such as a clone."""
    env = plan.env(settings.num_envs)
    return PPO(settings, network, env, plan.recipe.seed + 1, plan.total)
