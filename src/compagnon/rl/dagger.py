"""DAgger: learn to do what an expert would do in the states that the student meets.

Ross, Gordon and Bagnell 2011, "A reduction of imitation learning and structured prediction to
no-regret online learning", algorithm 3.1.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy import DayReader, Policy, Schema, load_policy
from compagnon.policy.loading import DECISIONS, IN_MEMORY
from compagnon.rl.algorithm import BuildPlan, policy_network
from compagnon.rl.buffers.demonstration_buffer import DemonstrationBuffer
from compagnon.rl.buffers.demonstrations import Demonstrations
from compagnon.rl.dagger_settings import DaggerSettings
from compagnon.rl.fast import masked
from compagnon.rl.networks.trainable import PolicyNetwork
from compagnon.worlds.registry import usual_expert

__all__ = ["Dagger", "DaggerSettings"]
HELD_OUT_ONE_IN = 20  # episodes
_FEW_EPISODES = 8  # below which `DemonstrationBuffer.split` would hold none out


class Dagger:
    """Clones an expert.

    Args:
        settings: see `DaggerSettings`.
        network: trained in place.
        env: the envs to collect in; this object resets them.
        expert: bound to `env`, a planner that reads the running episodes among them; or decisions
            that one recorded, which are then all that is learnt from: nobody can be asked about
            the states that the student meets.
        seed: of episodes, mixing, draws and minibatches.

    Attributes:
        step_losses: (S,) mean cross-entropy of each gradient step of the last iteration.
    """

    imitating = True

    def __init__(
        self,
        settings: DaggerSettings,
        network: PolicyNetwork,
        env: BatchEnv,
        expert: Policy | Demonstrations,
        seed: int,
    ) -> None:
        if network.schema.action.kind != "discrete":
            raise InputError(f"dagger: {env.env_id} has {env.action_space}; Discrete is needed")
        if settings.gradient_steps == 0 and settings.epochs == 0:
            raise InputError("dagger: give gradient_steps or epochs, one of them above 0")
        self.settings, self.network, self.env = settings, network, env
        self.expert = None if isinstance(expert, Demonstrations) else expert
        self.recorded = expert.of(Schema.of(env)) if isinstance(expert, Demonstrations) else None
        self.iteration = 0
        self.goes_on = True  # each collection begins with new episodes
        self.env_steps = 0
        self.episodes = 0
        self.rng = np.random.default_rng(seed)
        self.optimiser = self._new_optimiser()
        self.data = DemonstrationBuffer(
            settings.capacity, len(network.schema.observation.fields), network.schema.action.n
        )
        self.collection_return = float("nan")
        self.step_losses = np.zeros(0)

    @property
    def phase(self) -> str:
        """See `Algorithm`."""
        return self.settings.kind

    @property
    def practice(self) -> "Dagger":
        """See `Algorithm`."""
        return self

    @property
    def finished(self) -> bool:
        """All iterations are done."""
        return self.iteration >= self.settings.iterations

    def iterate(self) -> dict[str, float]:
        """Collect with the mixed policy, then train on everything collected so far."""
        collected = self._read() if self.recorded is not None else self._ask()
        if self.network.scaler is not None and not self.network.scaler.frozen:
            # The scaler sees the expert's weeks alone; from then on inputs keep their meaning.
            self.network.scaler.update(self.data.obs[self._split()[0]])
            self.network.scaler.frozen = True
        if self.settings.fresh_optimiser:
            self.optimiser = self._new_optimiser()
        metrics = self._train()
        self.iteration += 1
        return {**metrics, "decisions": float(len(self.data)), **collected}

    def _read(self) -> dict[str, float]:
        """Take in what was recorded, once; further iterations train on it."""
        if self.iteration == 0:
            assert self.recorded is not None
            obs, mask, labels, episode = self.recorded
            self.data.new_episodes(int(episode.max()) + 1)
            self.data.add(
                self.network.project(obs), mask, labels, episode, self.rng, self.settings.keep_share
            )
        return {}

    def _ask(self) -> dict[str, float]:
        """Collect with the mixed policy, and ask the expert in every state."""
        share = self.settings.expert_share**self.iteration if self.iteration else 1.0
        self._collect(share)
        return {"expert_share": share, "collection_return": self.collection_return}

    def _collect(self, expert_share: float) -> None:
        settings, env = self.settings, self.env
        expert, known = self._begin()
        episode = self.data.new_episodes(env.num_envs)
        running = np.zeros(env.num_envs)
        finished: list[float] = []
        for _ in range(settings.collect_steps):
            if not known.any():
                expert, known = self._begin()
                episode, running = self.data.new_episodes(env.num_envs), np.zeros(env.num_envs)
            labels = self._labels(expert, known)
            assert env.action_mask is not None
            self.data.add(
                self.network.project(env.obs[known]), env.action_mask[known], labels[known],
                episode[known], self.rng, settings.keep_share,
            )  # fmt: skip
            actions = labels
            if expert_share < 1.0:
                actions = self._student(env.obs, env.action_mask)
                by_expert = self.rng.random(env.num_envs) < expert_share
                actions[by_expert] = labels[by_expert]
            step = env.step(actions)
            running += step.reward
            dones = step.terminated | step.truncated
            finished.extend(running[dones & known].tolist())
            self.episodes += int((dones & known).sum())
            episode[dones] = self.data.new_episodes(int(dones.sum()))
            running[dones] = 0.0
            if isinstance(self.expert, DayReader):
                known &= ~dones
        self.env_steps += settings.collect_steps * env.num_envs
        self.collection_return = float(np.mean(finished or running))

    def _begin(self) -> tuple[Policy, NDArray[np.bool_]]:
        """New episodes, and who is asked in them; (N,), in which: a planner knows but the first."""
        expert, env = self.expert, self.env
        assert expert is not None
        env.reset([int(s) for s in self.rng.integers(2**62, size=env.num_envs)])
        if isinstance(expert, DayReader):
            expert = expert.playing(env)
        return expert, np.ones(env.num_envs, np.bool_)

    def _labels(self, expert: Policy, known: NDArray[np.bool_]) -> NDArray[np.int64]:
        """What the expert does, (N,); of copies that it does not know something possible.

        Raises:
            InputError: it is not possible.
        """
        mask = self.env.action_mask
        assert mask is not None
        labels = expert.act(self.env.obs, mask)
        impossible = ~mask[np.arange(len(mask)), labels]
        if (impossible & known).any():
            row = int((impossible & known).argmax())
            raise InputError(
                f"dagger: {expert.name} chose action {labels[row]}, which the action mask "
                "does not allow there; an expert must choose what is possible"
            )
        return np.where(impossible, mask.argmax(axis=1), labels)

    def _student(self, obs: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        logits = self.network.logits(self.network.read(obs))
        actions = np.empty(len(obs), np.int64)
        if self.settings.student == "greedy":
            masked.greedy_actions(logits, mask, actions)
        else:
            log_probs = np.empty(len(obs), np.float32)
            masked.sample_actions(logits, mask, self.rng.random(len(obs)), actions, log_probs)
        return actions

    def _train(self) -> dict[str, float]:
        settings, data, tensor = self.settings, self.data, self.network.tensor
        x = tensor(self._scaled(data.obs[: len(data)]))
        labels = tensor(data.labels[: len(data)])
        possible = tensor(data.action_mask[: len(data)]) if settings.mask_loss else None
        training, held_out = self._split()
        weights = tensor(data.label_weights(settings.balance, training).astype(np.float32))
        batches = self._minibatches(training)
        found = []
        for number, rows in enumerate(batches):
            self._set_rate(number / len(batches))
            index = tensor(rows)
            logits, label = self.network.actor(x[index]), labels[index]
            row_losses = masked_cross_entropy(
                logits, None if possible is None else possible[index], label
            )
            row_weights = weights[label]
            self.optimiser.zero_grad()
            loss = row_losses.dot(row_weights) / row_weights.sum()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            found.append(row_losses.detach().mean())
        losses = torch.stack(found).cpu().numpy().astype(np.float64)
        self.step_losses = losses
        by_epoch = settings.gradient_steps == 0
        per_epoch = max(1, len(batches) // settings.epochs) if by_epoch else 20
        return {
            "first_cross_entropy": float(losses[:per_epoch].mean()),
            "cross_entropy": float(losses[-per_epoch:].mean()),
            **self._agreement(held_out),
        }

    def _split(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows to train on, and rows of episodes that take no part in training."""
        one_in = HELD_OUT_ONE_IN if self.settings.hold_out else 0
        if one_in and self.recorded is not None and self.data.episodes < _FEW_EPISODES:
            # A file holds what it holds: of a few episodes the last is held out, of one none.
            one_in = self.data.episodes if self.data.episodes > 1 else 0
        return self.data.split(one_in)

    def _agreement(self, rows: NDArray[np.int64]) -> dict[str, float]:
        """How often the student does what the expert would, in episodes it was not trained on."""
        if len(rows) == 0:
            return {}
        data = self.data
        logits = self.network.logits(self._scaled(data.obs[rows]))
        actions = np.empty(len(rows), np.int64)
        masked.greedy_actions(logits, data.action_mask[rows], actions)
        right = actions == data.labels[rows]
        rare = data.labels[rows] != data.commonest_label()
        metrics = {"accuracy": float(right.mean())}
        if rare.any():
            metrics["rare_accuracy"] = float(right[rare].mean())
        return metrics

    def _new_optimiser(self) -> torch.optim.Adam:
        rate = self.settings.learning_rate
        return torch.optim.Adam(self.network.actor.parameters(), lr=rate, fused=True)

    def _set_rate(self, done: float) -> None:
        # Always set: an optimiser that was restored holds the rate that it was saved with.
        settings = self.settings
        rate = settings.learning_rate
        if settings.final_learning_rate > 0:
            rate += done * (settings.final_learning_rate - rate)
        self.optimiser.param_groups[0]["lr"] = rate

    def _scaled(self, obs: NDArray[np.float32]) -> NDArray[np.float32]:
        return obs if self.network.scaler is None else self.network.scaler(obs)

    def _minibatches(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        settings = self.settings
        size = min(settings.batch_size, len(rows))
        if settings.gradient_steps > 0:
            return [self.rng.choice(rows, size) for _ in range(settings.gradient_steps)]
        batches: list[NDArray[np.int64]] = []
        for _ in range(settings.epochs):
            order = self.rng.permutation(rows)
            batches += [order[i : i + size] for i in range(0, len(rows), size)]
        return batches

    def state_dict(self) -> dict[str, Any]:
        """Everything the next iteration depends on, but the network."""
        return {
            "iteration": self.iteration,
            "env_steps": self.env_steps,
            "episodes": self.episodes,
            "rng": self.rng.bit_generator.state,
            "optimiser": self.optimiser.state_dict(),
            "data": self.data.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self.iteration = int(state["iteration"])
        self.env_steps = int(state["env_steps"])
        self.episodes = int(state["episodes"])
        self.rng.bit_generator.state = state["rng"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.data.load_state_dict(state["data"])


def masked_cross_entropy(
    logits: torch.Tensor, possible: torch.Tensor | None, labels: torch.Tensor
) -> torch.Tensor:
    """``-log pi(label | s, M)`` of each row, (B,), where pi is the softmax over possible actions.

    Args:
        logits: (B, A). possible: (B, A), the mask; None for all actions. labels: (B,), possible.
    """
    if possible is not None:
        logits = torch.where(possible, logits, -torch.inf)
    return cross_entropy(logits, labels, reduction="none")


def build(plan: BuildPlan) -> tuple[Dagger, PolicyNetwork]:
    """DAgger as a recipe describes it, on a network that PPO could go on with.

    Raises:
        InputError: a setting that does not fit the environment.
    """
    assert isinstance(plan.settings, DaggerSettings)
    network = policy_network(plan)
    return on_network(plan, plan.settings, network), network


def on_network(plan: BuildPlan, settings: DaggerSettings, network: PolicyNetwork) -> Dagger:
    """DAgger on a network that is there.

    Raises:
        InputError: there is no such expert.
    """
    expert = plan.expert
    if expert is None and settings.expert == IN_MEMORY:
        raise plan.refuse("what it imitates were arrays of a Python program; give them again there")
    if expert is None and settings.expert.startswith(DECISIONS):
        expert = Demonstrations.load(settings.expert.removeprefix(DECISIONS))
    if expert is None:
        expert = load_policy(settings.expert or usual_expert(plan.schema.env_id), plan.schema)
    return Dagger(settings, network, plan.env(settings.num_envs), expert, plan.recipe.seed)
