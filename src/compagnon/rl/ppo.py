"""Proximal policy optimisation (arXiv 1707.06347) over masked discrete actions and over vectors."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.policy.manifest import CategoricalHead, MatchingHead
from compagnon.rl.algorithm import BuildPlan
from compagnon.rl.buffers.collector import Collector
from compagnon.rl.buffers.reward_scale import (
    RunningRewardScale,
    standardised_by_trajectory,
)
from compagnon.rl.buffers.rollout import Batch, Rollout, generalised_advantages
from compagnon.rl.distributions import masked
from compagnon.rl.distributions.action_distribution import Surrogate, distribution_for
from compagnon.rl.networks.optim import ActorCriticSteps
from compagnon.rl.networks.trainable import PairwiseNetwork, PolicyNetwork
from compagnon.rl.networks.value_scale import ValueScale
from compagnon.rl.ppo_settings import PPOSettings

__all__ = ["PPO", "PPOSettings"]


class PPO:
    """Improves a policy by practice.

    Args:
        settings: see `PPOSettings`.
        network: trained in place; hand over a clone and PPO starts from it.
        env: the copies to practise in; this object resets them.
        seed: of action draws, minibatches and episodes.
        total_iterations: the budget, if known, that schedules run over.
    """

    imitating = False

    def __init__(
        self,
        settings: PPOSettings,
        network: PolicyNetwork,
        env: BatchEnv,
        seed: int,
        total_iterations: int | None = None,
    ) -> None:
        self.settings, self.network, self.env = settings, network, env
        self.total_iterations = total_iterations
        self.iteration = 0
        self.goes_on = True
        self.rng = np.random.default_rng(seed)
        self.value_scale = ValueScale()
        self.reward_scale = RunningRewardScale(env.num_envs)
        self.distribution = distribution_for(network)
        self.collector = Collector(
            network, env, self.distribution, settings.gamma, settings.rollout_steps,
            settings.episodes_per_env, self._values, self.rng,
        )  # fmt: skip
        self.steps = ActorCriticSteps(network, settings.adam_eps)
        self._rates = (settings.learning_rate, settings.learning_rate)
        self._entropy_coef = settings.entropy_coef
        self.reference: dict[str, dict[str, torch.Tensor]] | None = None

    @property
    def phase(self) -> str:
        """See `Algorithm`."""
        return self.settings.kind

    @property
    def practice(self) -> "PPO":
        """See `Algorithm`."""
        return self

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
            kl_before, rows_before = metrics.stats[masked.APPROX_KL], metrics.rows
            for rows in np.array_split(order, max(1, count // settings.minibatch_size)):
                with torch.inference_mode():
                    stop = self._minibatch(train_batch, rows, metrics)
                if stop:
                    break
            kl = metrics.stats[masked.APPROX_KL] - kl_before
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
    ) -> "TrainBatch":
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
        self, train_batch: "TrainBatch", rows: NDArray[np.int64], metrics: "MetricAccumulator"
    ) -> bool:
        """One gradient step of both networks; True, and no step, if the policy is too far."""
        settings, network = self.settings, self.network
        index = torch.from_numpy(rows)
        outputs, values = self.steps.forward(train_batch.obs[index], train_batch.loss is not None)
        value_gradient = self._value_gradient(train_batch, index, values, metrics)
        policy = None
        if outputs is not None and train_batch.loss is not None:
            advantages = train_batch.advantages
            if settings.standardise_advantages == "minibatch":
                advantages = np.empty_like(train_batch.advantages)
                advantages[rows] = _standardised(train_batch.advantages[rows])
            stats = np.empty((len(rows), masked.NUM_STATS), np.float32)
            by_output, by_log_std = self.distribution.gradient(
                outputs.cpu().numpy(), train_batch.batch, rows, advantages, train_batch.loss, stats
            )
            sums = stats.sum(axis=0, dtype=np.float64)
            metrics.stats += sums
            metrics.rows += len(rows)
            if settings.target_kl_after == "minibatch" and self._too_far(
                sums[masked.APPROX_KL], len(rows)
            ):
                return True
            log_std = None if by_log_std is None else network.tensor(by_log_std)
            policy = (network.tensor(by_output), log_std)
        metrics.grad_norm += self.steps.step(
            policy, value_gradient, self._rates, settings.max_grad_norm
        )
        metrics.batches += 1
        return False

    def _value_gradient(
        self,
        train_batch: "TrainBatch",
        index: torch.Tensor,
        values: torch.Tensor,
        metrics: "MetricAccumulator",
    ) -> torch.Tensor:
        """Of half the mean squared error, with respect to values (B,)."""
        settings = self.settings
        error = values - train_batch.targets[index]
        square = error**2
        gradient = error / (len(index) / settings.value_coef)
        if settings.value_clip > 0:
            # the worse of the two errors counts; that of the bounded value has no slope
            old, bound = train_batch.values[index], settings.value_clip
            bounded = (old + (values - old).clamp_(-bound, bound) - train_batch.targets[index]) ** 2
            gradient[bounded > square] = 0.0
            square = torch.maximum(square, bounded)
        metrics.value_loss += float(square.mean()) / 2
        return gradient

    def _too_far(self, kl: float, rows: int) -> bool:
        target = self.settings.target_kl
        return target is not None and kl / max(rows, 1) > target

    def _reference(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        """What the start says of the rollout's observations, and how much it weighs now."""
        after_warmup = max(0, self.iteration - self.settings.critic_warmup)
        coef = self.settings.reference_coef * 0.5 ** (
            after_warmup / self.settings.reference_half_life
        )
        if self.reference is None or coef < 1e-4:
            return np.zeros((1, 1), np.float32), 0.0
        with torch.inference_mode():
            outputs = torch.func.functional_call(
                self.network.actor, self.reference["actor"], (self.network.tensor(x),)
            )
        log_std = self.reference.get("log_std", {"value": torch.zeros(0)})["value"]
        return self.distribution.reference(outputs.cpu().numpy(), log_std.cpu().numpy()), coef

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
                name: {key: value.to(device) for key, value in module.items()}
                for name, module in reference.items()
            }
        self.reference = reference


def build(plan: BuildPlan) -> tuple[PPO, PolicyNetwork]:
    """PPO as a recipe describes it.

    Raises:
        InputError: a setting that does not fit the environment.
    """
    assert isinstance(plan.settings, PPOSettings)
    network = policy_network(plan, plan.settings)
    return on_network(plan, plan.settings, network), network


def on_network(plan: BuildPlan, settings: PPOSettings, network: PolicyNetwork) -> PPO:
    """PPO on a network that is there, such as a clone."""
    env = plan.env(settings.num_envs)
    return PPO(settings, network, env, plan.recipe.seed + 1, plan.total)


def policy_network(plan: BuildPlan, settings: PPOSettings) -> PolicyNetwork:
    """The actor and the critic that a recipe describes.

    Raises:
        InputError: a setting that does not fit the environment.
    """
    recipe, spec = plan.recipe, plan.recipe.network
    if spec.kind == "pairwise":
        if settings.networks == "joint":
            raise plan.refuse(
                "algorithm.networks 'joint' is for perceptrons; pairwise actors and critics are "
                "separate"
            )
        head = MatchingHead() if spec.greedy == "matching" else CategoricalHead()
        return PairwiseNetwork(
            plan.schema, spec.pairwise(), recipe.seed, spec.fields, recipe.device, head
        )
    return PolicyNetwork(
        plan.schema, spec.hidden, spec.activation, recipe.seed, spec.fields, spec.scale_inputs,
        recipe.device, settings.networks, settings.std, settings.initial_std,
    )  # fmt: skip


class TrainBatch(NamedTuple):
    """What the minibatches of one iteration are cut from.

    Attributes:
        obs: (M, F). values, targets: (M,), in the critic's units; values as they were collected.
        advantages: (M,). loss: the actor's; None while the critic is warmed up.
    """

    batch: Batch
    obs: torch.Tensor
    values: torch.Tensor
    targets: torch.Tensor
    advantages: NDArray[np.float32]
    loss: Surrogate | None


class MetricAccumulator:
    """Sums over the minibatches of an iteration."""

    def __init__(self) -> None:
        self.stats = np.zeros(masked.NUM_STATS)
        self.rows = self.batches = 0
        self.value_loss = self.grad_norm = 0.0

    def means(self) -> dict[str, float]:
        """The metrics."""
        stats, batches = self.stats / max(self.rows, 1), max(self.batches, 1)
        return {
            "policy_loss": float(stats[masked.LOSS]),
            "value_loss": self.value_loss / batches,
            "entropy": float(stats[masked.ENTROPY]),
            "approx_kl": float(stats[masked.APPROX_KL]),
            "clip_fraction": float(stats[masked.CLIPPED]),
            "reference_kl": float(stats[masked.REFERENCE_KL]),
            "grad_norm": self.grad_norm / batches,
        }


def _standardised(advantages: NDArray[Any]) -> NDArray[Any]:
    """With mean 0 and deviation 1."""
    return np.asarray((advantages - advantages.mean()) / (advantages.std() + 1e-8))
