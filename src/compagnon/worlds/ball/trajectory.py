"""Where one ball has been in its episode, for whoever wants to see it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Trajectory:
    """The moments of one episode, in time order.

    Attributes:
        steps: (T,), how many steps had been played; the last one is now.
        positions: (T, d).
        max_steps: how long a whole episode lasts.
        episode_return: sum of the rewards so far.
    """

    steps: NDArray[np.int64]
    positions: NDArray[np.float64]
    max_steps: int
    episode_return: float


class Recorder:
    """Keeps the moments of the running episode of one ball."""

    def __init__(self, max_steps: int) -> None:
        self._max_steps = max_steps
        self._steps: list[int] = []
        self._positions: list[NDArray[np.float64]] = []
        self._return = 0.0

    def begin(self, step: int, position: NDArray[np.float64]) -> None:
        """Forget everything and start from this moment."""
        self._steps.clear()
        self._positions.clear()
        self._return = 0.0
        self.append(step, position, 0.0)

    def append(self, step: int, position: NDArray[np.float64], reward: float) -> None:
        """Add the moment at which a step ended."""
        self._steps.append(step)
        self._positions.append(position.copy())
        self._return += reward

    @property
    def trajectory(self) -> Trajectory:
        """The moments so far."""
        return Trajectory(
            np.array(self._steps), np.stack(self._positions), self._max_steps, self._return
        )


def to_text(trajectory: Trajectory) -> str:
    """A ball in one line."""
    position = " ".join(f"{value:+.2f}" for value in trajectory.positions[-1])
    step = f"step {trajectory.steps[-1]} of {trajectory.max_steps}"
    return f"{step}   position {position}   return {trajectory.episode_return:,.0f}"
