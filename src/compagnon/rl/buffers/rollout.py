"""On-policy experience: the policy plays many envs, each step is kept, each choice gets credit."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.envs.kernels import cached_njit
from compagnon.errors import InputError
from compagnon.policy.schema import ActionSchema
from compagnon.rl.buffers.episode_returns import EpisodeReturns
from compagnon.rl.distributions.action_distribution import ActionDistribution
from compagnon.rl.networks.trainable import PolicyNetwork

_MOST_ROWS = 5_000_000  # an episode that goes on for ever would fill the memory

Values = Callable[[NDArray[np.float32]], NDArray[np.float64]]


class Batch(NamedTuple):
    """The M steps of a rollout that count, in a row.

    Attributes:
        obs: (M, F). action_mask: (M, A). actions: (M,), or unclipped (M, D). log_probs: (M,).
    """

    obs: NDArray[np.float32]
    action_mask: NDArray[np.bool_]
    actions: NDArray[Any]
    log_probs: NDArray[np.float32]


class Rollout:
    """Arrays of T steps of N envs, filled step by step and read flat, step-major.

    Attributes:
        steps: T, how many are filled; the arrays may be longer.
        obs: (T, N, F) as the network reads it (scaled). action_mask: (T, N, A), with no columns
            where actions are vectors.
        actions: (T, N) of discrete ones; (T, N, D) of vectors, in units and not clipped.
        log_probs: (T, N). rewards: (T, N). dones: (T, N) an episode ended.
        discounts: (T, N), ``gamma ** duration``.
        bootstrap: (T, N), value added to the reward where an episode was cut short, else 0.
        used: (T, N), the steps that count; None where all of them do.
    """

    _ARRAYS = (
        "obs", "action_mask", "actions", "log_probs", "rewards", "dones", "discounts", "bootstrap",
    )  # fmt: skip

    def __init__(self, steps: int, num_envs: int, num_fields: int, action: ActionSchema) -> None:
        shape = (steps, num_envs)
        discrete = action.kind == "discrete"
        self.steps, self.num_envs = steps, num_envs
        self.obs: NDArray[np.float32] = np.zeros((*shape, num_fields), np.float32)
        self.action_mask: NDArray[np.bool_] = np.zeros(
            (*shape, action.n if discrete else 0), np.bool_
        )
        self.actions: NDArray[Any] = (
            np.zeros(shape, np.int64) if discrete else np.zeros((*shape, action.n), np.float32)
        )
        self.log_probs: NDArray[np.float32] = np.zeros(shape, np.float32)
        self.rewards: NDArray[np.float64] = np.zeros(shape)
        self.dones: NDArray[np.bool_] = np.zeros(shape, np.bool_)
        self.discounts: NDArray[np.float64] = np.zeros(shape)
        self.bootstrap: NDArray[np.float64] = np.zeros(shape)
        self.used: NDArray[np.bool_] | None = None

    @property
    def capacity(self) -> int:
        """Steps that the arrays have room for."""
        return len(self.rewards)

    def grow(self) -> None:
        """Make room for twice as many steps."""
        for name in self._ARRAYS:
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros_like(array)]))

    def __len__(self) -> int:
        return self.steps * self.num_envs if self.used is None else int(self.used.sum())

    def pick(self, array: NDArray[Any]) -> NDArray[Any]:
        """(T or longer, N, ...) -> (M, ...), what counts of it; a view where everything does."""
        if self.used is not None:
            return array[: self.steps][self.used]
        return array[: self.steps].reshape(len(self), *array.shape[2:])

    def spread(self, flat: NDArray[np.float64]) -> NDArray[np.float64]:
        """(M,) -> (T, N), 0 at the steps that do not count."""
        if self.used is None:
            return flat.reshape(self.steps, self.num_envs)
        whole = np.zeros((self.steps, self.num_envs))
        whole[self.used] = flat
        return whole

    def batch(self) -> Batch:
        """Everything that a gradient step reads, flat."""
        return Batch(
            self.pick(self.obs),
            self.pick(self.action_mask),
            self.pick(self.actions),
            self.pick(self.log_probs),
        )


@dataclass(frozen=True)
class Surrogate:
    """The parts of the actor's loss.

    Attributes:
        reference: (M, K), what the start says of the rollout's observations; (1, 1) without.
    """

    clip_coef: float
    entropy_coef: float
    reference_coef: float
    reference: torch.Tensor


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


class Collector:
    """Fills rollouts, either of so many steps or of so many whole episodes of each env.

    Args:
        env: the envs to practise in; this object resets them.
        gamma: discount of one unit of the env's time.
        steps: of each env in a rollout.
        episodes: of each env in a rollout, instead of `steps`; 0 for steps. An env that has played
            its own waits for the others: what it does meanwhile is neither used nor counted.
        values: read observations (B, F) -> their values (B,), for episodes that are cut short.
        rng: of actions and of episode seeds.

    Attributes:
        rollout: filled anew by each `collect`.
        last_values: (N,), of the states after the last step.
        env_steps: steps that counted. returns: of the episodes that ended.
    """

    def __init__(
        self,
        network: PolicyNetwork,
        env: BatchEnv,
        distribution: ActionDistribution,
        gamma: float,
        steps: int,
        episodes: int,
        values: Values,
        rng: np.random.Generator,
    ) -> None:
        self._network, self._env, self._distribution = network, env, distribution
        self._gamma, self._episodes, self._values, self._rng = gamma, episodes, values, rng
        fields = len(network.schema.observation.fields)
        self.rollout = Rollout(steps, env.num_envs, fields, network.schema.action)
        self.last_values = np.zeros(env.num_envs)
        self.env_steps = 0
        self.returns = EpisodeReturns(env.num_envs)
        self.started = False

    def collect(self) -> None:
        """Fill the rollout with the policy as it is now."""
        if not self.started or self._episodes:
            self._env.reset([int(s) for s in self._rng.integers(2**62, size=self._env.num_envs)])
            self.started = True
        if self._episodes:
            raw = self._whole_episodes()
        else:
            every = np.ones(self._env.num_envs, np.bool_)
            raw = [self._step(t, every) for t in range(self.rollout.steps)]
        self.env_steps += len(self.rollout)
        # Read as the rollout was: the scaler moves on only now.
        self.last_values = self._values(self._network.read(self._env.obs))
        if self._network.scaler is not None:
            self._network.scaler.update(np.concatenate(raw))

    def _whole_episodes(self) -> list[NDArray[np.float32]]:
        """Each env's share of episodes; the observations that count, as the env gave them."""
        rollout = self.rollout
        left = np.full(rollout.num_envs, self._episodes)
        playing: list[NDArray[np.bool_]] = []
        raw = []
        self.returns.restart()
        while left.any():
            t = len(playing)
            if t * rollout.num_envs >= _MOST_ROWS:
                raise InputError(
                    f"ppo: {self._env.env_id} has episodes that went on for {t:,} steps; "
                    "episodes_per_env needs episodes that end"
                )
            if t == rollout.capacity:
                rollout.grow()
            playing.append(left > 0)
            raw.append(self._step(t, playing[t])[playing[t]])
            left -= rollout.dones[t] & playing[t]
        rollout.steps, rollout.used = len(playing), np.stack(playing)
        return raw

    def _step(self, t: int, counts: NDArray[np.bool_]) -> NDArray[np.float32]:
        """One step of every env, recorded as number t; the observations acted on, projected."""
        rollout, network, env = self.rollout, self._network, self._env
        projected = network.project(env.obs).copy()
        rollout.obs[t] = network.scaled(projected)
        if env.action_mask is not None:
            rollout.action_mask[t] = env.action_mask
        actions = self._distribution.draw(
            network.action_params(rollout.obs[t]),
            rollout.action_mask[t],
            self._rng,
            rollout.actions[t],
            rollout.log_probs[t],
        )
        step = env.step(actions)
        rollout.rewards[t] = step.reward
        rollout.discounts[t] = self._gamma**step.duration
        rollout.dones[t] = step.terminated | step.truncated
        rollout.bootstrap[t] = 0.0
        truncated = step.truncated & ~step.terminated & counts
        if truncated.any():
            rollout.bootstrap[t, truncated] = rollout.discounts[t, truncated] * self._values(
                network.read(step.next_obs[truncated])
            )
        self.returns.count(step.reward, rollout.dones[t] & counts)
        return projected

    def state_dict(self) -> dict[str, Any]:
        """Everything the next rollout depends on, but network, value scale and generator."""
        going_on = self.started and not self._episodes  # whole episodes begin with a reset
        return {
            "env": self._env.state_dict() if going_on else None,
            "env_steps": self.env_steps,
            "returns": self.returns.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Continue from what `state_dict` gave; False where new episodes had to begin."""
        self.env_steps = int(state["env_steps"])
        self.returns.load_state_dict(state["returns"])
        self.started = state["env"] is not None
        if self.started and not self._env.load_state_dict(state["env"]):
            self.returns.restart()
            return False
        return True


@cached_njit
def generalised_advantages(
    rewards: NDArray[np.float64],
    values: NDArray[np.float64],
    last_values: NDArray[np.float64],
    dones: NDArray[np.bool_],
    discounts: NDArray[np.float64],
    bootstrap: NDArray[np.float64],
    gae_lambda: float,
) -> NDArray[np.float64]:
    """GAE (arXiv 1506.02438, equation 16), with a discount of its own for each step.

    ``delta_t = r_t + d_t V(s_{t+1}) - V(s_t)`` and ``A_t = delta_t + d_t lambda A_{t+1}``. Nothing
    crosses the end of an episode; where one was cut short rather than finished, `bootstrap` holds
    ``d_t V(final state)``.

    Args:
        rewards, values, discounts, bootstrap: (T, N). last_values: (N,). dones: (T, N).

    Returns:
        Advantages (T, N); ``advantages + values`` are the lambda-returns.
    """
    steps, num_envs = rewards.shape
    advantages = np.empty((steps, num_envs))
    for i in range(num_envs):
        following = 0.0
        next_value = last_values[i]
        for t in range(steps - 1, -1, -1):
            if dones[t, i]:
                delta = rewards[t, i] + bootstrap[t, i] - values[t, i]
                following = delta
            else:
                delta = rewards[t, i] + discounts[t, i] * next_value - values[t, i]
                following = delta + discounts[t, i] * gae_lambda * following
            advantages[t, i] = following
            next_value = values[t, i]
    return advantages
