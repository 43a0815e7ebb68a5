"""Ways of bringing rewards to unit scale before they are credited to choices."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import cached_njit
from compagnon.rl.buffers.replay import NStep, ReplayBuffer
from compagnon.rl.buffers.rollout import Rollout
from compagnon.rl.networks.scaler import RunningScaler

_TINY = 1e-5


class RunningRewardScale:
    """Divides rewards by the running deviation of the discounted return.

    The return of an env is ``G <- d G + r``, begun anew with each episode: the practice of common
    implementations ("reward scaling", Engstrom et al. 2020, arXiv 2005.12729, section 2). A rollout
    is first taken into account and then divided by one number, so all its rewards mean the same.
    """

    def __init__(self, num_envs: int) -> None:
        self._returns = np.zeros(num_envs)
        self._statistics = RunningScaler(1)

    def __call__(self, rollout: Rollout) -> NDArray[np.float64]:
        """The rollout's rewards (T, N), scaled; its steps are taken into account first."""
        steps = rollout.steps
        if rollout.used is not None:  # whole episodes: none goes on from the last rollout
            self.forget_episodes()
        traces = discounted_returns(
            rollout.rewards[:steps], rollout.dones[:steps], rollout.discounts[:steps], self._returns
        )
        self._statistics.update(rollout.pick(traces).reshape(-1, 1))
        return rollout.rewards[:steps] / self._statistics.std

    def forget_episodes(self) -> None:
        """Every env begins a new episode."""
        self._returns[:] = 0.0

    def state_dict(self) -> dict[str, Any]:
        """The statistics, and the returns of the episodes under way."""
        return {"returns": self._returns.copy(), "statistics": self._statistics.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._returns = np.array(state["returns"])
        self._statistics.load_state_dict(state["statistics"])


class WarmUpRewardScale:
    """What an off-policy algorithm multiplies rewards by: a given number, or one it measures.

    "auto" divides by the root mean square of the rewards of the warm-up, which chance or rules
    play, where that is above 1: values of hundreds are learnt late, one unit of a Huber loss at a
    time. Smaller rewards stay what they are, since a rare large one may be still to come. One
    number counts for the whole run, and for what is remembered already: nothing is mixed.

    Args:
        given: the number, or "auto".

    Attributes:
        value: what rewards are multiplied by now.
    """

    def __init__(self, given: float | Literal["auto"]) -> None:
        self.value = 1.0 if given == "auto" else given
        self._auto = self._measures = given == "auto"
        self._squares = 0.0
        self._count = 0

    def count(self, rewards: NDArray[np.float64]) -> None:
        """Take the rewards of a step (N,) into account, until the scale is settled."""
        if self._measures:
            self._squares += float(np.square(rewards).sum())
            self._count += len(rewards)

    def settle(self, replay: ReplayBuffer, windows: NStep) -> None:
        """End the warm-up: choose, and bring what is remembered to it. Once; then nothing."""
        if not self._measures or self._count == 0:
            return
        self._measures = False
        self.value = 1.0 / max(1.0, float(np.sqrt(self._squares / self._count)))
        replay.scale_rewards(self.value)
        windows.scale_rewards(self.value)

    def state_dict(self) -> dict[str, float] | None:
        """The scale that was measured, or what it will be chosen by; None of a given number."""
        if not self._auto:
            return None
        if self._measures:
            return {"squares": self._squares, "count": self._count}
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, float] | None) -> None:
        """Restore what `state_dict` gave."""
        if state is None:
            return
        self._measures = "value" not in state
        if self._measures:
            self._squares, self._count = float(state["squares"]), int(state["count"])
        else:
            self.value = float(state["value"])


@cached_njit
def discounted_returns(
    rewards: NDArray[np.float64],
    dones: NDArray[np.bool_],
    discounts: NDArray[np.float64],
    returns: NDArray[np.float64],
) -> NDArray[np.float64]:
    """``G_t = d_t G_{t-1} + r_t`` within each episode.

    Args:
        rewards, dones, discounts: (T, N).
        returns: (N,), G before the first step; brought to what goes on after the last.

    Returns:
        (T, N).
    """
    traces = np.empty_like(rewards)
    for t in range(rewards.shape[0]):
        for i in range(rewards.shape[1]):
            returns[i] = discounts[t, i] * returns[i] + rewards[t, i]
            traces[t, i] = returns[i]
            if dones[t, i]:
                returns[i] = 0.0
    return traces


@cached_njit
def standardised_by_trajectory(
    rewards: NDArray[np.float64], dones: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Rewards less their mean, over their deviation plus 1e-5, in each episode by itself.

    Where a rollout holds only a part of an episode, that part is standardised. This changes the
    task: a reward that is the same at every step becomes 0, and so does the length of an episode.

    Args:
        rewards, dones: (T, N).
    """
    steps, num_envs = rewards.shape
    standard = np.empty_like(rewards)
    for i in range(num_envs):
        first = 0
        for t in range(steps):
            if dones[t, i] or t == steps - 1:
                episode = rewards[first : t + 1, i]
                mean, std = episode.mean(), episode.std()
                standard[first : t + 1, i] = (episode - mean) / (std + _TINY)
                first = t + 1
    return standard
