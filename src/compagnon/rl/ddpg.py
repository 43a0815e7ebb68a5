"""Deep deterministic policy gradients (Lillicrap et al. 2016), over vectors and discrete actions.

arXiv 1509.02971. The critic learns Bellman's equation for the actor; the actor climbs the critic.
What Fujimoto et al. 2018 (TD3, arXiv 1802.09477) added is behind switches: two critics, smoothed
targets, a slower actor.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.rl.algorithm import BuildPlan, Practising
from compagnon.rl.buffers.episode_returns import EpisodeReturns
from compagnon.rl.buffers.replay import NStep, ReplayBuffer, Transitions
from compagnon.rl.buffers.reward_scale import WarmUpRewardScale
from compagnon.rl.ddpg_settings import DDPGSettings
from compagnon.rl.exploration.explorer import Explorer
from compagnon.rl.fast.ddpg import fast_steps
from compagnon.rl.fast.protocol import DeterministicSteps
from compagnon.rl.networks.actor_critic import ActorCritic
from compagnon.rl.networks.modules import ModuleActorCritic

__all__ = ["DDPG", "DDPGSettings"]


class DDPG(Practising):
    """Learns an actor by climbing a critic of what it remembers.

    Args:
        settings: see `DDPGSettings`.
        network: trained in place.
        env: the envs to practise in; this object resets them.
        seed: of exploration, of what is replayed, and of episodes.
        total_iterations: the budget, if known, that schedules run over.
        fast: take the fast path, where there is one for the networks.

    Raises:
        InputError: settings that do not suit the actions.
    """

    def __init__(
        self,
        settings: DDPGSettings,
        network: ActorCritic,
        env: BatchEnv,
        seed: int,
        total_iterations: int | None = None,
        fast: bool = True,
    ) -> None:
        if network.discrete and settings.target_noise > 0:
            raise InputError("ddpg: target_noise is for vectors of actions, not for discrete ones")
        self.settings: DDPGSettings = settings
        self.network, self.env = network, env
        self.total_iterations = total_iterations
        self.iteration = self.env_steps = self.updates = 0
        self.rng = np.random.default_rng(seed)
        self.explorer = Explorer(settings, network, env.num_envs)
        found = fast_steps(network, settings) if fast else None
        self.steps: DeterministicSteps = found or AutogradSteps(network, settings)
        self._rates = settings.actor_learning_rate, settings.critic_learning_rate
        self.target_actor, self.target_critics = network.actor, network.critics
        if settings.version == "double":
            self.target_actor = copy.deepcopy(network.actor).requires_grad_(False)
            self.target_critics = copy.deepcopy(network.critics).requires_grad_(False)
        self._target_parts = _parts(self.target_actor, self.target_critics)
        self._own_parts = _parts(network.actor, network.critics)
        action, self._fields = network.schema.action, len(network.schema.observation.fields)
        # What is possible in a state stands behind what is seen of it, for the actor's own step.
        columns = self._fields + (action.n if network.discrete else 0)
        self.replay = ReplayBuffer(settings.capacity, columns, action)
        self.windows = NStep(settings.n_step, env.num_envs, columns, action)
        self.reward_scale = WarmUpRewardScale(settings.reward_scale)
        self._scaled_upto = 0
        self.returns = EpisodeReturns(env.num_envs)
        self._started = False
        self.goes_on = True

    @property
    def episodes(self) -> int:
        """Training episodes that ended."""
        return self.returns.episodes

    def iterate(self) -> dict[str, float]:
        """Practise for `iteration_steps`, learning on the way; the metrics."""
        settings = self.settings
        if not self._started:
            self.env.reset([int(s) for s in self.rng.integers(2**62, size=self.env.num_envs)])
            self.explorer.reset(np.ones(self.env.num_envs, np.bool_), self.rng)
            self._started = True
        self._set_learning_rates()
        totals, actor_totals = np.zeros(3), np.zeros(2)
        before, actor_updates, saturated = self.updates, 0, 0.0
        for _ in range(settings.steps_of_each):
            saturated += self._step()
            if self.env_steps < settings.learning_starts or len(self.replay) == 0:
                continue
            if self.env_steps // self.env.num_envs % settings.train_every == 0:
                if self._scaled_upto == 0:
                    self._update_scaler()
                self.reward_scale.settle(self.replay, self.windows)
                for _ in range(settings.updates):
                    critic, actor = self._update()
                    totals += critic
                    if actor is not None:
                        actor_totals += actor
                        actor_updates += 1
        self._update_scaler()
        self.iteration += 1
        metrics = {
            "updates": float(self.updates),
            "reward_scale": self.reward_scale.value,
            **self.explorer.metrics(),
        }
        if not self.network.discrete:
            metrics["saturation"] = saturated / settings.steps_of_each
        if self.updates > before:
            names = ("critic_loss", "q_mean", "critic_grad_norm")
            metrics |= dict(zip(names, (totals / (self.updates - before)).tolist(), strict=True))
        if actor_updates > 0:
            metrics["actor_q"], metrics["actor_grad_norm"] = (actor_totals / actor_updates).tolist()
        return metrics | self.returns.metrics()

    # -- practising ---------------------------------------------------------------------------

    def _step(self) -> float:
        """One step of every env, remembered; the share of the actions that are at a bound."""
        env, network = self.env, self.network
        # Our environments write into the arrays they handed out, so what is kept is copied.
        states = self._state(env.obs, env.action_mask)
        if self.env_steps < self.settings.learning_starts:
            chosen = self.explorer.anything(env.num_envs, env.action_mask, self.rng)
        else:
            x = network.scaled(states[:, : self._fields])
            chosen = self.explorer.explore(x, env.action_mask, self.rng)
        step = env.step(chosen if network.discrete else network.schema.action.from_units(chosen))
        self.reward_scale.count(step.reward)
        next_mask = step.next_action_mask
        self.replay.add(
            self.windows.push(
                states,
                chosen,
                step.reward * self.reward_scale.value,
                np.asarray(self.settings.gamma**step.duration, np.float64),
                self._state(step.next_obs, next_mask),
                np.zeros((env.num_envs, 0), np.bool_) if next_mask is None else next_mask,
                step.terminated,
                step.truncated,
            )
        )
        self.env_steps += env.num_envs
        dones = step.terminated | step.truncated
        self.returns.count(step.reward, dones)
        if dones.any():
            self.explorer.reset(dones, self.rng)
        return 0.0 if network.discrete else float((np.abs(chosen) >= 1).mean())

    def _state(
        self, obs: NDArray[np.float32], mask: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        """What is remembered of states: own columns, then what is possible; a copy."""
        own = self.network.project(obs)
        return own.copy() if mask is None else np.concatenate([own, mask], 1, dtype=np.float32)

    # -- learning -----------------------------------------------------------------------------

    @torch.no_grad()
    def _update(self) -> tuple[tuple[float, float, float], tuple[float, float] | None]:
        """A step of the critics, of the actor if it is due, and of the targets; see below."""
        settings = self.settings
        batch = self.replay.take(self.replay.sample(settings.batch_size, self.rng))
        x, mask = self._read(batch.obs)
        critic = self._train_critics(x, batch, self._targets(batch))
        self.updates += 1
        self._require_finite("critic's loss", critic[0])
        actor = None
        if self.updates % settings.actor_delay == 0:
            actor = self._train_actor(x, mask)
            self._require_finite("critic's value of the actor's actions", actor[0])
        if settings.version == "double" and self.updates % settings.target_interval == 0:
            self._move_targets()
        self.explorer.adapt(self.env_steps // self.env.num_envs, x, mask, self.rng)
        return critic, actor

    def _read(self, states: NDArray[np.float32]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """States of the replay as the networks read them, and what is possible in them."""
        network = self.network
        x = network.tensor(network.scaled(states[:, : self._fields]))
        return x, network.tensor(states[:, self._fields :] > 0) if network.discrete else None

    def _targets(self, batch: Transitions) -> torch.Tensor:
        """``y = r + d Q~(s', mu~(s'))``, (B,); d is 0 behind a true end."""
        network = self.network
        next_x, next_mask = self._read(batch.next_obs)
        said = self._target_actions(next_x, next_mask)
        first, *others = self.target_critics
        values: torch.Tensor = first(next_x, said)
        for critic in others:
            values = torch.minimum(values, critic(next_x, said))
        return torch.addcmul(network.tensor(batch.rewards), network.tensor(batch.discounts), values)

    def _target_actions(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """mu~(s), with TD3's noise if it is asked for; (B, D)."""
        settings, network = self.settings, self.network
        said = network.head_forward(self.target_actor(x), mask)
        if settings.target_noise == 0:
            return said
        draws = self.rng.standard_normal(tuple(said.shape)).astype(np.float32)
        clip = settings.target_noise_clip
        noise = np.clip(settings.target_noise * draws, -clip, clip)
        return (said + network.tensor(noise)).clamp_(-1, 1)

    def _train_critics(
        self, x: torch.Tensor, batch: Transitions, targets: torch.Tensor
    ) -> tuple[float, float, float]:
        """One step down ``mean (y - Q(s, a))^2``; that loss, the mean of Q, the gradient's norm."""
        network = self.network
        actions = network.tensor(batch.actions)
        if network.discrete:
            actions = torch.nn.functional.one_hot(actions, network.schema.action.n).float()
        with self._batch_statistics(network.critics):
            return self.steps.critics(x, actions, targets, self._rates[1])

    def _train_actor(self, x: torch.Tensor, mask: torch.Tensor | None) -> tuple[float, float]:
        """One step up ``mean Q(s, mu(s))``; that mean, the gradient's norm.

        The deterministic policy gradient (equation 6): dQ/da at a = mu(s), times dmu/dtheta.
        """
        with self._batch_statistics(self.network.actor):
            return self.steps.actor(x, mask, self._rates[0])

    def _move_targets(self) -> None:
        """``target <- target + tau (network - target)``, running statistics of norms included."""
        torch._foreach_lerp_(self._target_parts, self._own_parts, self.settings.tau)

    @contextmanager
    def _batch_statistics(self, module: nn.Module) -> Iterator[None]:
        """Batch norm uses the batch's own statistics, and remembers them, in what it learns from.

        Everywhere else (acting, targets, the critic that the actor climbs) it uses what it
        remembers, as the policy will.
        """
        if self.settings.norm != "batch":
            yield
            return
        module.train()
        yield
        module.eval()

    def _set_learning_rates(self) -> None:
        settings, share = self.settings, 1.0
        if self.total_iterations:
            done = min(1.0, self.iteration / self.total_iterations)
            share += done * (settings.final_rate_share - 1)
        self._rates = share * settings.actor_learning_rate, share * settings.critic_learning_rate

    def _update_scaler(self) -> None:
        """Take into account what has been seen since the last time."""
        scaler = self.network.scaler
        if scaler is not None and not scaler.frozen:
            new = self.replay.rows_since(self._scaled_upto)
            scaler.update(self.replay.data.obs[new, : self._fields])
            self._scaled_upto = self.replay.added

    def _require_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the {what} of update {self.updates:,} (step {self.env_steps:,}) is {value}"
            )

    # -- saving -------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything the next iteration depends on, but the network."""
        double, steps = self.settings.version == "double", self.steps.state_dict()
        return {
            "iteration": self.iteration,
            "env_steps": self.env_steps,
            "updates": self.updates,
            "rng": self.rng.bit_generator.state,
            "explorer": self.explorer.state_dict(),
            "target_actor": dict(self.target_actor.state_dict()) if double else None,
            "target_critics": dict(self.target_critics.state_dict()) if double else None,
            "actor_optimiser": steps["actor"],
            "critic_optimiser": steps["critics"],
            "replay": self.replay.state_dict(),
            "windows": self.windows.state_dict(),
            "reward_scale": self.reward_scale.state_dict(),
            "scaled_upto": self._scaled_upto,
            "env": self.env.state_dict() if self._started else None,
            "returns": self.returns.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self.iteration = int(state["iteration"])
        self.env_steps = int(state["env_steps"])
        self.updates = int(state["updates"])
        self.rng.bit_generator.state = state["rng"]
        self.explorer.load_state_dict(state["explorer"])
        if self.settings.version == "double":
            self.target_actor.load_state_dict(state["target_actor"])
            self.target_critics.load_state_dict(state["target_critics"])
        self.steps.load_state_dict(
            {"actor": state["actor_optimiser"], "critics": state["critic_optimiser"]}
        )
        self.replay.load_state_dict(state["replay"])
        self.windows.load_state_dict(state["windows"])
        self.reward_scale.load_state_dict(state["reward_scale"])
        self._scaled_upto = int(state["scaled_upto"])
        self.returns.load_state_dict(state["returns"])
        self._started = state["env"] is not None
        self.goes_on = not self._started or self.env.load_state_dict(state["env"])
        if not self.goes_on:
            self.returns.restart()
            self.windows.clear()
            self.explorer.reset(np.ones(self.env.num_envs, np.bool_), self.rng)


class AutogradSteps:
    """The losses in plain autograd, for any modules, and Adam's steps down them."""

    def __init__(self, network: ActorCritic, settings: DDPGSettings) -> None:
        self.network, self.bound = network, settings.max_grad_norm or torch.inf
        self.parts = _trained(network.actor), _trained(network.critics)
        self.optimisers = [torch.optim.Adam(part) for part in self.parts]

    @torch.enable_grad()
    def critics(
        self, x: torch.Tensor, actions: torch.Tensor, targets: torch.Tensor, rate: float
    ) -> tuple[float, float, float]:
        """See `DeterministicSteps.critics`; twin critics have the sum of their losses."""
        values = torch.stack([critic(x, actions) for critic in self.network.critics])
        losses = ((values - targets) ** 2).mean(dim=1)
        norm = self._step(1, losses.sum(), rate)
        return losses.mean().item(), values.mean().item(), norm

    @torch.enable_grad()
    def actor(self, x: torch.Tensor, mask: torch.Tensor | None, rate: float) -> tuple[float, float]:
        """See `DeterministicSteps.actor`."""
        network = self.network
        value = network.critics[0](x, network.head_forward(network.actor(x), mask)).mean()
        return value.item(), self._step(0, -value, rate)

    def _step(self, part: int, loss: torch.Tensor, rate: float) -> float:
        """One step of the actor (0) or of the critics (1) alone; the gradient's norm."""
        gradients = torch.autograd.grad(loss, self.parts[part], allow_unused=True)
        for parameter, gradient in zip(self.parts[part], gradients, strict=True):
            parameter.grad = gradient
        norm = float(torch.nn.utils.clip_grad_norm_(self.parts[part], self.bound))
        self.optimisers[part].param_groups[0]["lr"] = rate
        self.optimisers[part].step()
        return norm

    def state_dict(self) -> dict[str, Any]:
        """See `DeterministicSteps`."""
        actor, critics = (optimiser.state_dict() for optimiser in self.optimisers)
        return {"actor": actor, "critics": critics}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `DeterministicSteps`."""
        for optimiser, name in zip(self.optimisers, ("actor", "critics"), strict=True):
            optimiser.load_state_dict(state[name])


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [part for part in module.parameters() if part.requires_grad]


def _parts(*modules: nn.Module) -> list[torch.Tensor]:
    """Weights and running statistics."""
    return [
        part
        for module in modules
        for part in (*module.parameters(), *module.buffers())
        if part.is_floating_point()
    ]


def build(plan: BuildPlan) -> tuple[DDPG, ActorCritic]:
    """DDPG as a recipe describes it.

    Raises:
        InputError: a setting that does not fit the environment.
    """
    settings, recipe, spec = plan.settings, plan.recipe, plan.recipe.network
    assert isinstance(settings, DDPGSettings)
    network: ActorCritic
    if spec.kind == "mlp":
        if settings.critic_network is not None:
            raise plan.refuse(
                "algorithm.critic_network goes with a network.kind of your own; those of "
                "perceptrons are described by critic_hidden and the widths beside it"
            )
        network = ActorCritic(
            plan.schema, spec.hidden, spec.activation, recipe.seed, settings.critic_state_hidden,
            settings.critic_action_hidden, settings.critic_hidden, settings.norm, settings.squash,
            settings.twin_critics, spec.fields, spec.scale_inputs, recipe.device,
        )  # fmt: skip
    elif spec.kind == "pairwise":
        raise plan.refuse(
            "ddpg trains perceptrons (network.kind 'mlp') or networks of your own, no pairwise ones"
        )
    else:
        if settings.norm != "none":
            raise plan.refuse(
                f"algorithm.norm {settings.norm!r} is for perceptrons; a network of your own "
                "brings norms of its own (LayerNorm)"
            )
        network = ModuleActorCritic(
            plan.schema, spec.kind, spec.options, recipe.seed, settings.critic_network,
            settings.critic_options, settings.squash, settings.twin_critics, spec.fields,
            spec.scale_inputs, recipe.device,
        )  # fmt: skip
    env = plan.env(settings.num_envs)
    return DDPG(settings, network, env, recipe.seed + 1, plan.total), network
