"""The game without its window: keys held, action, step, score; and the agent's choice beside."""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy import Policy
from compagnon.reporting.video import play
from compagnon.worlds import controls as keyboard
from compagnon.worlds.controls import Controls, Keys, Mask
from compagnon.worlds.game import Game

GymEnv = gymnasium.Env[Any, Any]


class Phase(StrEnum):
    """Where a game stands."""

    READY = "ready"  # waits for the first key of an episode
    PLAYING = "playing"
    PAUSED = "paused"
    OVER = "over"  # the episode has ended; shows how
    DONE = "done"  # the person has left, or played all they wanted


@dataclass(frozen=True)
class Agent:
    """A policy, and a copy of the environment for it to play in; one that draws nothing."""

    policy: Policy
    env: GymEnv


@dataclass(frozen=True)
class PlayedEpisode:
    """What came of one episode.

    Attributes:
        seed: which episode.
        score: sum of the rewards.
        steps, elapsed: decisions, and time units (steps, where the environment counts no time).
        ended: it came to its end; else the person left.
        agent_score, agent_steps: the agent's on the same seed, for at least as long as the person
            played where that one left; None without an agent.
        likeness: how alike the choices were, 0 to 1, at the person's own moments.
    """

    seed: int
    score: float
    steps: int
    elapsed: int
    ended: bool
    agent_score: float | None = None
    agent_steps: int | None = None
    likeness: float | None = None


class Session:
    """One person, one world, episode after episode.

    Attributes:
        phase: where it stands.
        score, steps, elapsed: of the episode so far.
        yours, theirs: the last choice, and the agent's at that same moment; None before the first.
        advice: the agent's choice at this moment; None without an agent.
        message: what the person should read, such as why a choice was refused.
        results: the episodes that were played.

    Args:
        env: renders in `rgb_array`.
        controls: fit the environment's actions.
        seed: of the first episode; the next one has the next seed.
        episodes: how many; None for as many as the person likes.
        at_once: do not wait for a first key.
    """

    def __init__(
        self,
        world: Game,
        env: GymEnv,
        controls: Controls,
        seed: int,
        agent: Agent | None = None,
        episodes: int | None = None,
        at_once: bool = False,
    ) -> None:
        self.world = world
        self.controls = controls
        self.agent = agent
        self.episodes = episodes
        self.results: list[PlayedEpisode] = []
        self.episode = 0
        self._env = env
        self._first_seed = seed
        self._at_once = at_once or controls.turn_based
        space = env.action_space
        self._everything: Mask | None = (
            np.ones(int(space.n), np.bool_) if isinstance(space, spaces.Discrete) else None
        )
        self.phase = Phase.READY
        self._begun = -1
        self._begin()

    @property
    def seed(self) -> int:
        """Which episode is played."""
        return self._first_seed + self.episode

    @property
    def likeness(self) -> float | None:
        """How alike the choices of this episode are, 0 to 1; None where there are none yet."""
        if self.agent is None or not self.steps:
            return None
        return self._alike / self.steps

    @property
    def moment(self) -> tuple[int, int]:
        """Changes whenever the picture may have."""
        return self._begun, self.steps

    @property
    def mask(self) -> Mask | None:
        """(A,): what is possible now; None where actions are vectors."""
        return self._mask

    def picture(self) -> NDArray[np.uint8]:
        """The world as it looks now, uint8 (H, W, 3)."""
        return np.asarray(self._env.render(), np.uint8)

    def tick(self, keys: Keys) -> None:
        """Go on by one frame: at most one step of the world."""
        if self.phase is Phase.DONE:
            return
        if keyboard.QUIT in keys.taps:
            self.leave()
        elif keyboard.RESTART in keys.taps:
            self._begin()
        elif self.phase is Phase.OVER:
            if keyboard.DO in keys.taps:
                self._next()
        elif keyboard.PAUSE in keys.taps:
            self._toggle_pause()
        elif self.phase is not Phase.PAUSED:
            if self.phase is Phase.READY and keys.down & keyboard.DIRECTIONS:
                self.phase = Phase.PLAYING
            if self.phase is Phase.PLAYING:
                self._play(keys)

    def leave(self) -> None:
        """End the game here; an episode under way counts as left."""
        if self.phase not in (Phase.OVER, Phase.DONE) and self.steps:
            self.results.append(self._played(ended=False))
        self.phase = Phase.DONE

    def _begin(self) -> None:
        """Begin the present episode, from its start."""
        obs, info = self._env.reset(seed=self.seed)
        self.phase = Phase.PLAYING if self._at_once else Phase.READY
        self.score, self.steps, self.elapsed = 0.0, 0, 0
        self.yours: Any = None
        self.theirs: Any = None
        self.message = ""
        self._alike = 0.0
        self._begun += 1
        self._see(obs, info)

    def _next(self) -> None:
        if self.episodes is not None and self.episode + 1 >= self.episodes:
            self.phase = Phase.DONE
            return
        self.episode += 1
        self._begin()

    def _toggle_pause(self) -> None:
        if self.phase is Phase.PLAYING:
            self.phase = Phase.PAUSED
        elif self.phase is Phase.PAUSED:
            self.phase = Phase.PLAYING

    def _play(self, keys: Keys) -> None:
        action = self.controls.action(keys, self.steps, self._mask)
        if action is None:
            return
        if self._mask is not None and not self._mask[action]:
            self.message = self.controls.refusal(action, self._mask)
            return
        self.message = ""
        self.yours, self.theirs = action, self.advice
        if self.theirs is not None:
            self._alike += self.controls.likeness(self.yours, self.theirs)
        obs, reward, terminated, truncated, info = self._env.step(action)
        self.score += float(reward)
        self.steps += 1
        self.elapsed += int(info.get("elapsed", 1))
        self._see(obs, info)
        if terminated or truncated:
            self.results.append(self._played(ended=True))
            self.phase = Phase.OVER

    def _see(self, obs: Any, info: dict[str, Any]) -> None:
        """Take in a moment: what is possible, and what the agent would do."""
        mask = info.get("action_mask")
        self._mask = self._everything if mask is None else np.asarray(mask, np.bool_)
        self.advice: Any = None
        if self.agent is not None:
            masks = None if self._mask is None else self._mask[None]
            self.advice = self.agent.policy.act(np.asarray(obs, np.float32)[None], masks)[0]

    def _played(self, ended: bool) -> PlayedEpisode:
        agent_score = agent_steps = None
        if self.agent is not None:
            limit = None if ended else self.elapsed
            moments = play(self.agent.env, self.agent.policy, self.seed, minutes=limit)
            last = deque(moments, maxlen=1)[0]
            agent_score, agent_steps = last.episode_return, last.steps
        return PlayedEpisode(
            self.seed,
            self.score,
            self.steps,
            self.elapsed,
            ended,
            agent_score,
            agent_steps,
            self.likeness,
        )


def check_agent_sees(world: Game, env: GymEnv) -> None:
    """Raise InputError where no policy can read what the environment shows."""
    space = env.observation_space
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        shape = " x ".join(map(str, space.shape or ()))
        raise InputError(
            f"{world.name} shows pictures ({shape}), and policies here read vectors of numbers: "
            "play it without --show-agent"
        )
