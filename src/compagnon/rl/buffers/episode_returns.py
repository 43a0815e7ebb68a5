"""The returns of the episodes that were practised, as training metrics show them."""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LAST = 100


class EpisodeReturns:
    """Adds up rewards of each env until its episode ends.

    Attributes:
        episodes: how many have ended. last: returns of the last 100 of them.
        running: (N,), of those under way, so far.
    """

    def __init__(self, num_envs: int) -> None:
        self.episodes = 0
        self.running = np.zeros(num_envs)
        self.last: deque[float] = deque(maxlen=_LAST)

    def count(self, reward: NDArray[np.float64], dones: NDArray[np.bool_]) -> None:
        """Take a step of every env: its rewards (N,), and whose episode it ended (N,)."""
        self.running += reward
        if dones.any():
            self.episodes += int(dones.sum())
            self.last.extend(self.running[dones].tolist())
            self.running[dones] = 0.0

    def restart(self) -> None:
        """Every env begins a new episode; those under way do not count."""
        self.running[:] = 0.0

    def metrics(self) -> dict[str, float]:
        """``episode_return``, the mean of the last 100; nothing before the first end."""
        return {"episode_return": float(np.mean(self.last))} if self.last else {}

    def state_dict(self) -> dict[str, Any]:
        """Everything."""
        return {
            "episodes": self.episodes,
            "last": list(self.last),
            "running": self.running.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.episodes = int(state["episodes"])
        self.last = deque(state["last"], maxlen=_LAST)
        self.running = np.array(state["running"])
