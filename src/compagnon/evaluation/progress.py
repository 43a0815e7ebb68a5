"""How far a comparison is, and about how long it still takes, for somebody who waits for it."""

import time
from collections.abc import Callable

from compagnon.envs.finding import find_env
from compagnon.errors import InputError
from compagnon.plugins import world_of

_SOON = 2.0  # seconds before which the time that is left is a guess


class EvaluationProgress:
    """Tells the share of the work that is done, and the time that is left.

    Args:
        tell: is told one line, such as ``random, 43 % done, 1:20 left``.
        policies: how many play, one after the other.
        clock: seconds.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        policies: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._policies = policies
        self._clock = clock
        self._began = clock()
        self._done = -1
        self._name = ""

    def begin(self, name: str) -> None:
        """The next policy plays."""
        self._done += 1
        self._name = name
        self.at(0.0)

    def at(self, share: float) -> None:
        """So much of this policy's play is done, from 0 to 1."""
        done = (self._done + min(1.0, share)) / self._policies
        words = f"{self._name}, {done:.0%} done"
        spent = self._clock() - self._began
        if done and spent >= _SOON:
            minutes, seconds = divmod(round(spent * (1 - done) / done), 60)
            words += f", {minutes}:{seconds:02d} left"
        self._tell(words)


def usual_length(env_id: str) -> int | None:
    """Time units of a whole episode, where all are as long or none is longer; None if unknown."""
    units = episode_units(env_id)
    if units is not None:
        return units
    try:
        return find_env(env_id).max_episode_steps
    except InputError:
        return None


def episode_units(env_id: str) -> int | None:
    """Time units of an episode, where the environment's world says how many there are."""
    world = world_of(env_id)
    units: int | None = None if world is None else world.episode_units
    return units
