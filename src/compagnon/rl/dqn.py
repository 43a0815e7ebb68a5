"""Deep Q-learning (Mnih et al. 2015) over masked discrete actions, with what has improved it since.

Double (arXiv 1509.06461), dueling (arXiv 1511.06581), prioritised replay (arXiv 1511.05952) and
n-step returns, each behind a switch.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy.manifest import Head, MatchingHead, PairwiseSpec, ValuesHead
from compagnon.policy.schema import Schema
from compagnon.rl.algorithm import BuildPlan, Practising
from compagnon.rl.buffers.episode_returns import EpisodeReturns
from compagnon.rl.buffers.prioritized import PrioritizedSampler
from compagnon.rl.buffers.replay import NStep, ReplayBuffer, Transitions
from compagnon.rl.buffers.reward_scale import WarmUpRewardScale
from compagnon.rl.dqn_settings import DQNSettings
from compagnon.rl.fast.dqn import fast_steps
from compagnon.rl.fast.protocol import ValueLosses, ValueSteps
from compagnon.rl.fast.q_values import epsilon_greedy
from compagnon.rl.networks.mlp import Activation, DuelingMlp, Mlp
from compagnon.rl.networks.modules import ModuleValueNetwork
from compagnon.rl.networks.pairwise import PairwiseActor
from compagnon.rl.networks.trainable import ScaleInputs, TrainableNetwork, board_groups

__all__ = ["DQN", "DQNSettings", "PairwiseQNetwork", "QNetwork"]


class QNetwork(TrainableNetwork):
    """Gives the value of every action; the policy takes the best possible one.

    Args:
        hidden: sizes of the hidden layers. dueling: see `DuelingMlp`.
    """

    head: Head = ValuesHead()

    def __init__(
        self,
        given: Schema,
        hidden: Sequence[int],
        activation: Activation,
        seed: int,
        dueling: bool = False,
        observation: Sequence[str] | None = None,
        scale_inputs: ScaleInputs = True,
        device: str = "cpu",
    ) -> None:
        super().__init__(given, observation, scale_inputs, device)
        if dueling and not hidden:
            raise InputError("dqn: dueling needs a hidden layer; network.hidden is empty")
        generator = torch.Generator().manual_seed(seed)
        sizes = [len(self.schema.observation.fields), *hidden, given.action.n]
        actor = (
            DuelingMlp(sizes, activation, generator)
            if dueling
            else Mlp(sizes, activation, 1.0, generator)
        )
        self.actor = actor.to(self.device)


class PairwiseQNetwork(QNetwork):
    """The same with one shared scorer of pairs; see `networks.pairwise`.

    Args:
        fields: kinds of fields to read; None for all.
        head: whether the policy takes the best action, or matches a batch of pairs.
    """

    def __init__(
        self,
        given: Schema,
        spec: PairwiseSpec,
        seed: int,
        fields: Sequence[str] | None = None,
        device: str = "cpu",
        head: ValuesHead | MatchingHead | None = None,
    ) -> None:
        groups = board_groups(given, fields)
        TrainableNetwork.__init__(self, given, groups.names, False, device, "published")
        self.head = head or ValuesHead()
        generator = torch.Generator().manual_seed(seed)
        self.actor = PairwiseActor(spec, groups, generator, output_gain=1.0).to(self.device)


class DQN(Practising):
    """Learns the values of actions from what it remembers.

    Args:
        settings: see `DQNSettings`.
        network: trained in place.
        env: the envs to practise in; this object resets them.
        seed: of exploration, of what is replayed, and of episodes.
        total_iterations: the budget, if known, that schedules run over.
        fast: take the fast path, where there is one for the network.
    """

    def __init__(
        self,
        settings: DQNSettings,
        network: TrainableNetwork,
        env: BatchEnv,
        seed: int,
        total_iterations: int | None = None,
        fast: bool = True,
    ) -> None:
        self.settings: DQNSettings = settings
        self.network, self.env = network, env
        self.total_iterations = total_iterations
        self.iteration = self.env_steps = self.updates = 0
        self.rng = np.random.default_rng(seed)
        self.target = copy.deepcopy(network.actor).requires_grad_(False)
        found = fast_steps(network.actor, self.target, settings) if fast else None
        self.steps: ValueSteps[Transitions] = found or AutogradSteps(
            network.actor, self.target, settings
        )
        self._rate = settings.learning_rate
        fields, action = len(network.schema.observation.fields), network.schema.action
        self.replay = ReplayBuffer(settings.capacity, fields, action)
        self.windows = NStep(settings.n_step, env.num_envs, fields, action)
        self.priorities = (
            PrioritizedSampler(settings.capacity, settings.alpha) if settings.prioritised else None
        )
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
        if not self._started:
            self.env.reset([int(s) for s in self.rng.integers(2**62, size=self.env.num_envs)])
            self._started = True
        self._set_learning_rate()
        totals = np.zeros(4)  # loss, value, |error|, gradient norm
        before = self.updates
        for _ in range(self.settings.steps_of_each):
            self._step()
            if len(self.replay) < self.settings.learning_starts:
                continue
            if self.env_steps // self.env.num_envs % self.settings.train_every == 0:
                if self._scaled_upto == 0:
                    self._update_scaler()
                self.reward_scale.settle(self.replay, self.windows)
                for _ in range(self.settings.updates):
                    totals += np.array(self._update())
        self._update_scaler()
        self.iteration += 1
        metrics = {
            "epsilon": self.epsilon(),
            "updates": float(self.updates),
            "reward_scale": self.reward_scale.value,
        }
        if self.updates > before:
            names = ("loss", "q_mean", "td_error", "grad_norm")
            metrics |= dict(zip(names, (totals / (self.updates - before)).tolist(), strict=True))
        return metrics | self.returns.metrics()

    # -- practising ---------------------------------------------------------------------------

    def _step(self) -> None:
        """One step of every env, remembered."""
        env, network = self.env, self.network
        # Our environments write into the arrays they handed out, so what is kept is copied.
        obs = network.project(env.obs).copy()
        actions = self._explore(obs)
        step = env.step(actions)
        self.reward_scale.count(step.reward)
        assert step.next_action_mask is not None
        rows = self.replay.add(
            self.windows.push(
                obs,
                actions,
                step.reward * self.reward_scale.value,
                np.power(self.settings.gamma, step.duration),
                network.project(step.next_obs),
                step.next_action_mask,
                step.terminated,
                step.truncated,
            )
        )
        if self.priorities is not None:
            self.priorities.add(rows)
        self.returns.count(step.reward, step.terminated | step.truncated)
        every, before = self.settings.target_every, self.env_steps
        self.env_steps += env.num_envs
        if self.env_steps // every > before // every:
            self._move_target()

    def _explore(self, obs: NDArray[np.float32]) -> NDArray[np.int64]:
        mask = self.env.action_mask
        assert mask is not None
        coins, draws = self.rng.random((2, len(obs)))
        epsilons = self._epsilons()
        if (coins < epsilons).all():
            values = np.zeros(mask.shape, np.float32)
        else:
            values = self.steps.values(self.network.scaled(obs))
        return epsilon_greedy(values, mask, epsilons, coins, draws)

    def epsilon(self) -> float:
        """The share of random actions now."""
        settings = self.settings
        if settings.epsilon_episodes is not None:
            done = self.episodes / settings.epsilon_episodes
        else:
            done = self.env_steps / settings.epsilon_steps
        done = min(1.0, done)
        start, end = settings.epsilon_start, settings.epsilon_end
        if settings.epsilon_decay == "linear":
            return start + done * (end - start)
        return float(start * (end / start) ** done)

    def _epsilons(self) -> NDArray[np.float64]:
        """A share for each env, (N,); with a spread the first explores most (arXiv 1803.00933)."""
        share = np.linspace(0.0, 1.0, self.env.num_envs)
        return np.asarray(self.epsilon() ** (1 + self.settings.epsilon_spread * share))

    # -- learning -----------------------------------------------------------------------------

    def _update(self) -> tuple[float, float, float, float]:
        """One gradient step; loss, mean value, mean |error| and gradient norm."""
        network = self.network
        rows, weights = self._draw()
        batch = self.replay.take(rows)
        batch = batch._replace(
            obs=network.scaled(batch.obs), next_obs=network.scaled(batch.next_obs)
        )
        found = self.steps.losses(batch, weights)
        self.updates += 1
        if not math.isfinite(found.loss):
            raise FloatingPointError(
                f"the loss of update {self.updates:,} (step {self.env_steps:,}) is {found.loss}"
            )
        norm = self.steps.step(self._rate)
        if self.priorities is not None:
            self.priorities.update(rows, found.errors)
        return found.loss, found.q_mean, found.error, norm

    def _draw(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows of the replay, and how much each counts."""
        size = self.settings.batch_size
        if self.priorities is None:
            return self.replay.sample(size, self.rng), np.ones(size, np.float32)
        beta = self.settings.beta + self._done() * (1 - self.settings.beta)
        return self.priorities.sample(size, len(self.replay), beta, self.rng)

    def _move_target(self) -> None:
        """target <- target + tau (network - target)."""
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.target.parameters()),
                list(self.network.actor.parameters()),
                self.settings.tau,
            )

    def _update_scaler(self) -> None:
        """Take into account what has been seen since the last time."""
        scaler = self.network.scaler
        if scaler is not None and not scaler.frozen:
            new = self.replay.rows_since(self._scaled_upto)
            scaler.update(self.replay.data.obs[new])
            self._scaled_upto = self.replay.added

    def _done(self) -> float:
        """The share of the budget that is spent, as far as it is known in iterations."""
        if not self.total_iterations:
            return 0.0
        return min(1.0, self.iteration / self.total_iterations)

    def _set_learning_rate(self) -> None:
        rate, final = self.settings.learning_rate, self.settings.final_learning_rate
        if final > 0:
            rate += self._done() * (final - rate)
        self._rate = rate

    # -- saving -------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything the next iteration depends on, but the network."""
        return {
            "iteration": self.iteration,
            "env_steps": self.env_steps,
            "updates": self.updates,
            "rng": self.rng.bit_generator.state,
            "target": dict(self.target.state_dict()),
            "optimiser": self.steps.state_dict(),
            "replay": self.replay.state_dict(),
            "windows": self.windows.state_dict(),
            "priorities": None if self.priorities is None else self.priorities.state_dict(),
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
        self.target.load_state_dict(state["target"])
        self.steps.load_state_dict(state["optimiser"])
        self.replay.load_state_dict(state["replay"])
        self.windows.load_state_dict(state["windows"])
        if self.priorities is not None:
            self.priorities.load_state_dict(state["priorities"])
        self.reward_scale.load_state_dict(state["reward_scale"])
        self._scaled_upto = int(state["scaled_upto"])
        self.returns.load_state_dict(state["returns"])
        self._started = state["env"] is not None
        self.goes_on = not self._started or self.env.load_state_dict(state["env"])
        if not self.goes_on:
            self.returns.restart()
            self.windows.clear()


class AutogradSteps:
    """The loss in plain autograd, for any module, and Adam's steps down it.

    Args:
        online: what is trained. target: what values the state after; it is moved elsewhere.
    """

    def __init__(self, online: nn.Module, target: nn.Module, settings: DQNSettings) -> None:
        self.online, self.target, self.settings = online, target, settings
        self.optimiser = torch.optim.Adam(online.parameters())
        self.device = next(online.parameters()).device
        self._loss = torch.zeros(())

    @torch.no_grad()
    def values(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `ValueSteps.values`."""
        return self.online(self._tensor(x)).cpu().numpy()  # type: ignore[no-any-return]

    def losses(self, batch: Transitions, weights: NDArray[np.float32]) -> ValueLosses:
        """See `ValueSteps.losses`."""
        obs, actions, *following = map(self._tensor, batch)
        targets = self._targets(*following)
        values = self.online(obs).gather(1, actions[:, None])[:, 0]
        errors = values - targets
        rows = errors**2
        if self.settings.loss == "huber":  # with its corner at 1
            rows = torch.nn.functional.smooth_l1_loss(values, targets, reduction="none")
        self._loss = (self._tensor(weights) * rows).mean()
        found = errors.detach()
        means = float(values.detach().mean()), float(found.abs().mean())
        return ValueLosses(found.cpu().numpy(), self._loss.item(), *means)

    @torch.no_grad()
    def _targets(
        self,
        rewards: torch.Tensor,
        discounts: torch.Tensor,
        next_obs: torch.Tensor,
        next_mask: torch.Tensor,
    ) -> torch.Tensor:
        """``r + d Q~(s', a')``, where a' is best by Q~, or by Q in double DQN; (B,)."""
        values = self.target(next_obs)
        choosing = self.online(next_obs) if self.settings.double else values
        best = choosing.masked_fill(~next_mask, -torch.inf).argmax(1, keepdim=True)
        goes_on = (discounts > 0) & next_mask.any(1)  # behind a true end nothing is read
        following = torch.where(goes_on, values.gather(1, best)[:, 0], 0.0)
        return rewards + discounts * following

    def step(self, learning_rate: float) -> float:
        """See `ValueSteps.step`."""
        settings, parameters = self.settings, list(self.online.parameters())
        self.optimiser.zero_grad()
        self._loss.backward()  # type: ignore[no-untyped-call]
        norm = float(
            torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        )
        if settings.max_grad_value > 0:
            torch.nn.utils.clip_grad_value_(parameters, settings.max_grad_value)
        if settings.max_grad_norm > 0:
            torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        self.optimiser.param_groups[0]["lr"] = learning_rate
        self.optimiser.step()
        return norm

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)

    def state_dict(self) -> dict[str, Any]:
        """See `ValueSteps`."""
        return {"adam": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `ValueSteps`."""
        self.optimiser.load_state_dict(state["adam"])


def build(plan: BuildPlan) -> tuple[DQN, TrainableNetwork]:
    """DQN as a recipe describes it.

    Raises:
        InputError: a setting that does not fit the environment.
    """
    settings, recipe, spec = plan.settings, plan.recipe, plan.recipe.network
    assert isinstance(settings, DQNSettings)
    if spec.kind == "pairwise":
        if settings.dueling:
            raise plan.refuse("algorithm.dueling is for perceptrons, not pairwise networks")
        network: TrainableNetwork = PairwiseQNetwork(
            plan.schema, spec.pairwise(), recipe.seed, spec.fields, recipe.device,
            MatchingHead() if spec.greedy == "matching" else ValuesHead(),
        )  # fmt: skip
    elif spec.kind != "mlp":
        if settings.dueling:
            raise plan.refuse("algorithm.dueling is for perceptrons, not networks of your own")
        network = ModuleValueNetwork(
            plan.schema, spec.kind, spec.options, recipe.seed, ValuesHead(), spec.fields,
            spec.scale_inputs, recipe.device,
        )  # fmt: skip
    else:
        network = QNetwork(
            plan.schema, spec.hidden, spec.activation, recipe.seed, settings.dueling, spec.fields,
            spec.scale_inputs, recipe.device,
        )  # fmt: skip
    env = plan.env(settings.num_envs)
    return DQN(settings, network, env, recipe.seed + 1, plan.total), network
