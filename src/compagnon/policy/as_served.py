"""A policy as a service plays it, for whoever plays episodes: the same draw, the same cap."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.policy.action_selection import EXPLORED, Play, played
from compagnon.policy.network import NetworkPolicy
from compagnon.policy.onnx_policy import OnnxPolicy
from compagnon.policy.vector_action_selection import played_vector
from compagnon.policy.vector_sampling import Bounds

_SEEDS = 2**63


class AsServed:
    """A trained policy under a play of the service; see `policy.action_selection`.

    It is a `DayReader`, since the cap on exploration counts within each episode.

    Args:
        policy: bound to the environment's schema.
        play: how it is played.
        cap: explored decisions of one episode, at most; 0 for no limit.
        seed: of the draws.
    """

    def __init__(
        self,
        policy: NetworkPolicy | OnnxPolicy,
        play: Play | None = None,
        cap: int = 0,
        seed: int = 0,
        name: str = "as served",
    ) -> None:
        self.policy = policy
        self.play = play or Play()
        self.cap = cap
        self.seed = seed
        self.name = name

    def playing(self, env: BatchEnv) -> "Serving":
        """The policy for these copies, until each has ended one episode."""
        return Serving(self, env.num_envs)

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        """Decisions that belong to no episode; `rng` draws them."""
        serving = Serving(self, len(obs))
        serving.rng = rng or serving.rng
        return serving.act(obs, action_mask)


class Serving:
    """One playing of N copies: it counts what each of them explores."""

    def __init__(self, served: AsServed, copies: int) -> None:
        self.name = served.name
        self.rng = np.random.default_rng(served.seed)
        self.explored_decisions = np.zeros(copies, np.int64)
        self._served = served
        action = served.policy.schema.action
        self._bounds = None if action.kind == "discrete" else Bounds(action.low, action.high)

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[Any]:
        """What the service would decide for each copy."""
        seeds = self.rng.integers(_SEEDS, size=len(obs), dtype=np.uint64).tolist()
        if self._bounds is not None:
            return self._vectors(obs, seeds, self._bounds)
        policy, play = self._served.policy, self._served.play
        if action_mask is None:
            action_mask = np.ones((len(obs), policy.schema.action.n), np.bool_)
        said = policy.say(obs, action_mask)
        return np.array([one.action for one in played(said, action_mask, play, seeds, self)])

    def rate(self, row: int, /) -> float:
        """The share of exploration that applies to a copy, see `play.Quota`."""
        cap = self._served.cap
        return 0.0 if cap and self.explored_decisions[row] >= cap else self._served.play.explore

    def explored(self, row: int, /) -> None:
        """A copy explores."""
        self.explored_decisions[row] += 1

    def _vectors(
        self, obs: NDArray[np.float32], seeds: Sequence[int], bounds: Bounds
    ) -> NDArray[np.float32]:
        said = self._served.policy.say_vectors(obs)
        actions = np.empty_like(said.action)
        for row, seed in enumerate(seeds):
            rate = self.rate(row)
            made = played_vector(said, row, bounds, self._served.play, seed, rate)
            if made.mode == EXPLORED:
                self.explored(row)
            actions[row] = made.action
        return actions
