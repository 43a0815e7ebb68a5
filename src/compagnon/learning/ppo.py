"""Proximal policy optimisation (arXiv 1707.06347) over masked discrete actions."""

from collections import deque
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.learning import masked
from compagnon.learning.networks import PolicyNetwork
from compagnon.learning.rollout import Rollout, generalised_advantages
from compagnon.learning.settings import AlgorithmSettings
from compagnon.learning.value_scale import ValueScale


class PPOSettings(AlgorithmSettings):
    """Settings of masked PPO."""

    kind: Literal["ppo"] = "ppo"
    num_envs: int = Field(256, ge=1, description="copies of the environment")
    rollout_steps: int = Field(64, ge=1, description="steps of each copy between two updates")
    epochs: int = Field(3, ge=1, description="passes over a rollout")
    minibatch_size: int = Field(2048, ge=1, description="rows of one gradient step")
    learning_rate: float = Field(3e-4, gt=0, description="Adam's step size at the start")
    final_learning_rate: float = Field(
        0.0, ge=0, description="step size reached at the end of the budget, linearly; 0 stays put"
    )
    gamma: float = Field(0.999, gt=0, le=1, description="discount of one unit of the env's time")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="1 gives rewards-to-go")
    clip_coef: float = Field(0.2, gt=0, description="how far the ratio may usefully move")
    entropy_coef: float = Field(0.0, ge=0, description="weight of the entropy bonus")
    final_entropy_coef: float | None = Field(
        None, ge=0, description="weight reached at the end of the budget, linearly"
    )
    max_grad_norm: float = Field(0.5, gt=0, description="gradient norm of each network at most")
    target_kl: float | None = Field(
        None, gt=0, description="stop the epochs when the policy has moved so far"
    )
    critic_warmup: int = Field(
        0, ge=0, description="first iterations that train the critic alone, for a policy that knows"
    )
    reference_coef: float = Field(
        0.0, ge=0, description="weight of KL(start || policy): how hard the start is held on to"
    )
    reference_half_life: float = Field(
        50.0, gt=0, description="iterations after the warm-up in which that weight halves"
    )

    def iterations_for(self, env_steps: int) -> int | None:
        """Iterations until so many environment steps are taken."""
        return -(-env_steps // (self.num_envs * self.rollout_steps))


class PPO:
    """Improves a policy by practice.

    Args:
        settings: see `PPOSettings`.
        network: trained in place; hand over a clone and PPO starts from it.
        env: the copies to practise in; this object resets them.
        seed: of action draws, minibatches and episodes.
        total_iterations: the budget, if known, that schedules run over.
    """

    def __init__(
        self,
        settings: PPOSettings,
        network: PolicyNetwork,
        env: BatchEnv,
        seed: int,
        total_iterations: int | None = None,
    ) -> None:
        if network.schema.action.kind != "discrete":
            raise InputError(f"ppo: {env.env_id} has {env.action_space}; Discrete is needed")
        self.settings, self.network, self.env = settings, network, env
        self.total_iterations = total_iterations
        self.iteration = 0
        self.env_steps = 0
        self.episodes = 0
        self.rng = np.random.default_rng(seed)
        self.value_scale = ValueScale()
        # fused: one pass over the weights; the default loops over tensors in Python
        self.optimiser = torch.optim.Adam(
            [
                {"params": list(network.actor.parameters())},
                {"params": list(network.critic.parameters())},
            ],
            lr=settings.learning_rate,
            eps=1e-5,
            fused=True,
        )
        self.reference: dict[str, torch.Tensor] | None = None
        fields, actions = len(network.schema.observation.fields), network.schema.action.n
        self.rollout = Rollout(settings.rollout_steps, settings.num_envs, fields, actions)
        self._episode_returns: deque[float] = deque(maxlen=100)
        self._running_return = np.zeros(env.num_envs)
        self._started = False

    def iterate(self) -> dict[str, float]:
        """Collect one rollout, learn from it, and return the metrics of both."""
        if not self._started:
            self.env.reset([int(s) for s in self.rng.integers(2**62, size=self.env.num_envs)])
            self._started = True
            if self.settings.reference_coef > 0:
                self.reference = {
                    name: value.clone() for name, value in self.network.actor.state_dict().items()
                }
        self._set_schedules()
        self._collect()
        advantages, returns = self._credit()
        metrics = self._learn(advantages, returns)
        self.iteration += 1
        if self._episode_returns:
            metrics["episode_return"] = float(np.mean(self._episode_returns))
        return metrics

    # -- collecting ---------------------------------------------------------------------------

    def _collect(self) -> None:
        rollout, network, env = self.rollout, self.network, self.env
        raw: list[NDArray[np.float32]] = []
        for t in range(rollout.steps):
            raw.append(network.project(env.obs).copy())
            rollout.obs[t] = network.read(env.obs)
            assert env.action_mask is not None
            rollout.action_mask[t] = env.action_mask
            masked.sample_actions(
                network.logits(rollout.obs[t]),
                rollout.action_mask[t],
                self.rng.random(env.num_envs),
                rollout.actions[t],
                rollout.log_probs[t],
            )
            step = env.step(rollout.actions[t])
            rollout.rewards[t] = step.reward
            rollout.discounts[t] = self.settings.gamma**step.elapsed
            rollout.ends[t] = step.terminated | step.truncated
            rollout.bootstrap[t] = 0.0
            cut = step.truncated & ~step.terminated
            if cut.any():
                rollout.bootstrap[t, cut] = rollout.discounts[t, cut] * self._values(
                    network.read(step.next_obs[cut])
                )
            self._count_returns(step.reward, rollout.ends[t])
        self.env_steps += len(rollout)
        # Read as the rollout was: the scaler moves on only now.
        self._last_values = self._values(network.read(env.obs))
        if network.scaler is not None:
            network.scaler.update(np.concatenate(raw))

    def _count_returns(self, reward: NDArray[np.float64], ends: NDArray[np.bool_]) -> None:
        self._running_return += reward
        if ends.any():
            self.episodes += int(ends.sum())
            self._episode_returns.extend(self._running_return[ends].tolist())
            self._running_return[ends] = 0.0

    def _values(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.inference_mode():
            scaled = self.network.critic(torch.from_numpy(x).to(self.network.device))
        return self.value_scale.to_value(scaled.cpu().numpy()[:, 0].astype(np.float64))

    def _credit(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Standardised advantages (M,) and lambda-returns (M,)."""
        rollout = self.rollout
        flat = rollout.obs.reshape(len(rollout), -1)
        values = self._values(flat).reshape(rollout.steps, rollout.num_envs)
        advantages = generalised_advantages(
            rollout.rewards,
            values,
            self._last_values,
            rollout.ends,
            rollout.discounts,
            rollout.bootstrap,
            self.settings.gae_lambda,
        )
        returns = (advantages + values).reshape(-1)
        self._explained = float(1 - advantages.var() / max(returns.var(), 1e-12))
        standard = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        return standard.reshape(-1).astype(np.float32), returns

    # -- learning -----------------------------------------------------------------------------

    def _learn(
        self, advantages: NDArray[np.float32], returns: NDArray[np.float64]
    ) -> dict[str, float]:
        rollout, network, settings = self.rollout, self.network, self.settings
        self.value_scale.update(returns, network.critic)
        targets = torch.from_numpy(self.value_scale.to_scaled(returns).astype(np.float32))
        obs = torch.from_numpy(rollout.obs.reshape(len(rollout), -1)).to(network.device)
        targets = targets.to(network.device)
        mask = rollout.action_mask.reshape(len(rollout), -1)
        actions, log_probs = rollout.actions.reshape(-1), rollout.log_probs.reshape(-1)
        warming = self.iteration < settings.critic_warmup
        reference, coef = self._reference(rollout.obs.reshape(len(rollout), -1))
        totals = np.zeros(masked.NUM_STATS)
        value_loss, grad_norm, batches, seen, stop = 0.0, 0.0, 0, 0, False
        for _ in range(settings.epochs):
            order = self.rng.permutation(len(rollout))
            epoch_kl, epoch_rows = 0.0, 0
            for rows in np.array_split(order, max(1, len(order) // settings.minibatch_size)):
                x = obs[torch.from_numpy(rows)]
                value = network.critic(x)[:, 0]
                error = value - targets[torch.from_numpy(rows)]
                heads, gradients = [value], [error.detach() / len(rows)]
                value_loss += float((error.detach() ** 2).mean()) / 2
                if not warming:
                    logits = network.actor(x)
                    seen_logits = logits.detach().cpu().numpy()
                    gradient = np.empty_like(seen_logits)
                    stats = np.empty((len(rows), masked.NUM_STATS), np.float32)
                    masked.ppo_gradient(
                        seen_logits, mask, rows, actions, log_probs, advantages,
                        settings.clip_coef, self._entropy_coef, reference, coef, gradient, stats,
                    )  # fmt: skip
                    heads.append(logits)
                    gradients.append(torch.from_numpy(gradient).to(network.device))
                    sums = stats.sum(axis=0, dtype=np.float64)
                    totals += sums
                    epoch_kl += sums[masked.APPROX_KL]
                    seen += len(rows)
                epoch_rows += len(rows)
                self.optimiser.zero_grad()
                torch.autograd.backward(heads, gradients)
                grad_norm += self._clip_gradients()
                self.optimiser.step()
                batches += 1
            if settings.target_kl is not None and epoch_kl / epoch_rows > settings.target_kl:
                stop = True
                break
        totals /= max(seen, 1)
        return {
            "policy_loss": float(totals[masked.LOSS]),
            "value_loss": value_loss / batches,
            "entropy": float(totals[masked.ENTROPY]),
            "approx_kl": float(totals[masked.APPROX_KL]),
            "clip_fraction": float(totals[masked.CLIPPED]),
            "reference_kl": float(totals[masked.REFERENCE_KL]),
            "explained_variance": self._explained,
            "grad_norm": grad_norm / batches,
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "stopped_early": float(stop),
        }

    def _reference(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        """The start's logits on the rollout, and how much they weigh now."""
        after_warmup = max(0, self.iteration - self.settings.critic_warmup)
        coef = self.settings.reference_coef * 0.5 ** (
            after_warmup / self.settings.reference_half_life
        )
        if self.reference is None or coef < 1e-4:
            return np.zeros((1, 1), np.float32), 0.0
        with torch.inference_mode():
            logits = torch.func.functional_call(
                self.network.actor, self.reference, (torch.from_numpy(x).to(self.network.device),)
            )
        return logits.cpu().numpy(), coef

    def _clip_gradients(self) -> float:
        """Bound the gradient of each network by itself; the actor's norm before that."""
        bound = self.settings.max_grad_norm
        actor = torch.nn.utils.clip_grad_norm_(self.network.actor.parameters(), bound)
        torch.nn.utils.clip_grad_norm_(self.network.critic.parameters(), bound)
        return float(actor)

    def _set_schedules(self) -> None:
        settings = self.settings
        done = 0.0
        if self.total_iterations:
            done = min(1.0, self.iteration / self.total_iterations)
        rate = settings.learning_rate
        if settings.final_learning_rate > 0:
            rate += done * (settings.final_learning_rate - rate)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self._entropy_coef = settings.entropy_coef
        if settings.final_entropy_coef is not None:
            self._entropy_coef += done * (settings.final_entropy_coef - self._entropy_coef)

    # -- saving -------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything the next iteration depends on, but the network."""
        env = self.env.state_dict() if self._started else None
        if env is not None and "restarts" in env:  # it has begun new episodes
            self._running_return[:] = 0.0
        return {
            "iteration": self.iteration,
            "env_steps": self.env_steps,
            "episodes": self.episodes,
            "rng": self.rng.bit_generator.state,
            "value_scale": self.value_scale.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "reference": self.reference,
            "env": env,
            "episode_returns": list(self._episode_returns),
            "running_return": self._running_return.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self.iteration = int(state["iteration"])
        self.env_steps = int(state["env_steps"])
        self.episodes = int(state["episodes"])
        self.rng.bit_generator.state = state["rng"]
        self.value_scale.load_state_dict(state["value_scale"])
        self.optimiser.load_state_dict(state["optimiser"])
        reference, device = state["reference"], self.network.device
        if reference is not None:
            reference = {name: value.to(device) for name, value in reference.items()}
        self.reference = reference
        self._started = state["env"] is not None
        if self._started:
            self.env.load_state_dict(state["env"])
        self._episode_returns = deque(state["episode_returns"], maxlen=100)
        self._running_return = np.array(state["running_return"])
