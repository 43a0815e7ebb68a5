"""Small environments that are not ours, each with one habit that people's environments have."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from compagnon.envs import BatchEnv


class Clock(gymnasium.Env):
    """Counts steps in one number; what each step is, a `script` says.

    A script maps the number of a step (0: the start) to what is special about it: ``obs``,
    ``reward``, ``info``, ``terminated``, ``truncated``.
    """

    observation_space = spaces.Box(0, 100, (1,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(self, script: dict[int, dict[str, Any]] | None = None, limit: int = 100) -> None:
        self.script, self.limit, self.actions = script or {}, limit, []
        self.own = np.zeros(1, np.float32)  # handed out itself: written into at each step

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        self.count = 0
        obs, _, _, _, info = self._now()
        return obs, info

    def step(self, action):
        self.actions.append(action)
        self.count += 1
        return self._now()

    def _now(self):
        said = self.script.get(self.count, {})
        self.own[:] = said.get("obs", self.count)
        return (
            self.own,
            said.get("reward", 1.0),
            said.get("terminated", False),
            said.get("truncated", self.count >= self.limit),
            dict(said.get("info", {})),
        )


class Spaces(gymnasium.Env):
    """Shows whatever `shown` holds, of a space; keeps the actions it was given."""

    def __init__(self, space: spaces.Space, shown: list[Any], action_space: spaces.Space) -> None:
        self.observation_space, self.action_space, self.shown = space, action_space, shown
        self.given: list[Any] = []
        self.mask: Any = None

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        self.place = 0
        return self.shown[0], self._info()

    def step(self, action):
        self.given.append(action)
        self.place = (self.place + 1) % len(self.shown)
        return self.shown[self.place], 0.0, False, False, self._info()

    def _info(self):
        return {} if self.mask is None else {"action_mask": self.mask}


def batch_of(monkeypatch, *envs: gymnasium.Env) -> BatchEnv:
    """A batch of these very objects, one copy each."""
    from compagnon.envs import making

    left = list(envs)
    monkeypatch.setattr(making, "find_env", lambda _: None)
    monkeypatch.setattr(making, "make", lambda *_, **__: left.pop(0))
    return BatchEnv("test/Own-v0", {}, len(envs))
