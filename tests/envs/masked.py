"""A masked environment that is not ours: it counts, and its mask follows from its count."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

COUNTER = "test/Counter-v0"


class Counter(gymnasium.Env):
    """Observes its count of steps; action ``count % 3`` is the one that is forbidden.

    Terminated by action 2 where `deadly`, truncated after `limit` steps. With ``tells_end=False``
    it gives no mask with its last observation.
    """

    observation_space = spaces.Box(0, 100, (1,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(self, limit: int = 4, deadly: bool = False, tells_end: bool = True) -> None:
        self.limit, self.deadly, self.tells_end = limit, deadly, tells_end

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        self.count = int(self.np_random.integers(3))
        self.steps = 0
        return self._obs(), {"action_mask": self._mask()}

    def step(self, action):
        self.count += 1
        self.steps += 1
        terminated = self.deadly and action == 2
        truncated = self.steps >= self.limit
        tells = self.tells_end or not (terminated or truncated)
        info = {"action_mask": self._mask()} if tells else {}
        return self._obs(), 1.0, terminated, truncated, info

    def _obs(self):
        return np.array([self.count], np.float32)

    def _mask(self):
        return np.arange(3) != self.count % 3


def register_counter() -> None:
    if COUNTER not in gymnasium.registry:
        gymnasium.register(COUNTER, entry_point=Counter)
