"""Plays the policy that is trained in many copies of its environment, and records what happened."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.rl.buffers.episode_returns import EpisodeReturns
from compagnon.rl.buffers.rollout import Rollout
from compagnon.rl.distributions.action_distribution import ActionDistribution
from compagnon.rl.networks.trainable import PolicyNetwork

_MOST_ROWS = 5_000_000  # an episode that goes on for ever would fill the memory

Values = Callable[[NDArray[np.float32]], NDArray[np.float64]]


class Collector:
    """Fills rollouts, either of so many steps or of so many whole episodes of each copy.

    Args:
        env: the copies to practise in; this object resets them.
        gamma: discount of one unit of the env's time.
        steps: of each copy in a rollout.
        episodes: of each copy in a rollout, instead of `steps`; 0 for steps. A copy that has played
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
        """Each copy's share of episodes; the observations that count, as the env gave them."""
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
        """One step of every copy, recorded as number t; the observations acted on, projected."""
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
