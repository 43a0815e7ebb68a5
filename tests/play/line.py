"""A small world whose every number can be worked out by hand, and policies for it."""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from compagnon.play.session import Agent, Session
from compagnon.worlds.controls import LEFT, RIGHT, DiscreteKeys
from compagnon.worlds.game import Game

LENGTH = 5
KEYS = DiscreteKeys(("LEFT", "STAY", "RIGHT"), rest=1, bindings=((LEFT, 0), (RIGHT, 2)))
WORLD = Game("line", "Line", "Go right.", "Line-v0", (KEYS,), (("A D", "go"),), fps=10)


class Line(gymnasium.Env[Any, Any]):
    """Actions 0, 1, 2 go by -1, 0, 1; the reward is the place arrived at; ends after 5 steps.

    It begins at the seed's last digit. With `walls`, places beyond 1 are masked.
    """

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    observation_space = spaces.Box(-100, 100, (1,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(self, walls: bool = False) -> None:
        self.walls = walls
        self.taken: list[int] = []
        self.place = self.steps = 0

    def _info(self) -> dict[str, Any]:
        if not self.walls:
            return {}
        return {"action_mask": np.array([self.place > -1, True, self.place < 1])}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        assert seed is not None
        self.place, self.steps = seed % 10, 0
        return np.array([self.place], np.float32), self._info()

    def step(self, action: int) -> Any:
        self.taken.append(action)
        self.place += action - 1
        self.steps += 1
        obs = np.array([self.place], np.float32)
        return obs, float(self.place), self.steps == LENGTH, False, self._info()

    def render(self) -> Any:
        return np.full((40, 60, 3), 10 + self.steps, np.uint8)


@dataclass(frozen=True)
class Always:
    """A policy that always goes one way, if the mask allows it."""

    action: int
    name: str = "always"

    def act(self, obs: Any, action_mask: Any = None, rng: Any = None) -> Any:
        assert obs.dtype == np.float32
        assert obs.shape == (1, 1)
        assert rng is None
        assert action_mask.shape == (1, 3)
        possible = action_mask[0, self.action]
        return np.array([self.action if possible else 1], np.int64)


def session(
    *,
    seed: int = 0,
    agent: int | None = None,
    walls: bool = False,
    at_once: bool = True,
    **more: Any,
) -> tuple[Session, Line]:
    """A game on the line, and the environment that the person plays in."""
    env = Line(walls)
    shown = None if agent is None else Agent(Always(agent), Line(walls))
    return Session(WORLD, env, KEYS, seed, shown, at_once=at_once, **more), env
