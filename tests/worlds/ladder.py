"""A small environment in plain Python that can be looked ahead in, known through and through."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from compagnon.envs import BatchEnv
from compagnon.policy import Schema
from compagnon.worlds.lookahead import LookAhead

LADDER = "tests/Ladder-v0"
STOP, UP, DOWN = range(3)


class Ladder(gymnasium.Env[np.ndarray, int]):
    """Rungs 0 to 4: STOP ends the episode and pays nothing; UP costs 1 and pays 10 at the top.

    DOWN costs 2 and is impossible on the lowest rung. Each step pays a whole number from -noise to
    noise more, whatever is done. To go up is best everywhere: 9 from rung 4, and 1 less a rung. But
    whoever would stop on the next rung does not gain by going there, except on the topmost.

    Args:
        start: where each episode begins; drawn without it.
        keeps: it goes where it is put; how the next step will pay is settled one step before.
    """

    RUNGS = 5

    def __init__(self, noise: int = 0, start: int | None = None, keeps: bool = True) -> None:
        self.noise, self.start, self.keeps = noise, start, keeps
        self.observation_space = spaces.Box(0.0, 1.0, (self.RUNGS,), np.float32)
        self.action_space = spaces.Discrete(3)
        self.luck = 0

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(self.RUNGS))
        self.rung = drawn if self.start is None else self.start
        self._draw()
        return self._see(), self._info()

    def step(self, action: int):
        assert self.possible()[action], f"the masked action {action} was taken"
        self.rung += (0, 1, -1)[action]
        end = action == STOP or self.rung == self.RUNGS
        reward = self.luck + (0.0, -1.0, -2.0)[action] + 10.0 * (self.rung == self.RUNGS)
        self.rung = min(self.rung, self.RUNGS - 1)
        self._draw()
        return self._see(), reward, end, False, self._info()

    def possible(self) -> np.ndarray:
        return np.array([True, True, self.rung > 0])

    def redraw(self, seed: int) -> None:
        """Draw anew what nobody can know."""
        self.np_random = np.random.default_rng(seed)
        self._draw()

    def state_dict(self) -> dict[str, int]:
        return {"rung": self.rung, "luck": self.luck}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.rung, self.luck = int(state["rung"]) * self.keeps, int(state["luck"])

    def _draw(self) -> None:
        self.luck = int(self.np_random.integers(-self.noise, self.noise + 1))

    def _see(self) -> np.ndarray:
        return np.eye(self.RUNGS, dtype=np.float32)[self.rung]

    def _info(self) -> dict[str, np.ndarray]:
        return {"action_mask": self.possible()}


class LadderForks:
    """To the end of the episode; everything that is possible."""

    horizon: int | None = None
    most = 3

    def redraw(self, vec: Any, seeds: np.ndarray) -> None:
        for env, seed in zip(vec.envs, seeds, strict=True):
            env.unwrapped.redraw(int(seed))

    def finish(self, vec: Any, first: np.ndarray, below: Any, roots: np.ndarray) -> None:
        return None

    def candidates(self, schema: Schema, obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
        return np.flatnonzero(action_mask)


class Always:
    """One action, whatever is seen, where it is possible; else the first that is."""

    def __init__(self, action: int) -> None:
        self.action, self.name = action, f"always {action}"

    def act(self, obs: Any, action_mask: Any = None, rng: Any = None) -> np.ndarray:
        return np.where(action_mask[:, self.action], self.action, action_mask.argmax(axis=1))


def ahead(args: dict[str, Any], action: int = STOP, futures: int = 8) -> LookAhead:
    schema = Schema.of(BatchEnv(LADDER, args, 1))
    return LookAhead("ahead", schema, Always(action), LadderForks(), futures)


if LADDER not in gymnasium.registry:
    gymnasium.register(LADDER, entry_point=Ladder)
