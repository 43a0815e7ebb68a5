"""A world as a game for a person: what it is called, which keys it takes, how fast it goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gymnasium import spaces

from compagnon.errors import InputError
from compagnon.worlds.controls import Controls

_MINUTES_PER_DAY: Final = 1440
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Game:
    """One world as a person plays it.

    Attributes:
        name: what it is called on the command line.
        title, goal: what the window says.
        env_id: a Gymnasium id.
        controls: the first that fits the environment's actions is played with.
        legend: (keys, what they do).
        fps: steps a second, at the speed 1.
        env_args: the environment's arguments, unless told otherwise.
        relatives: ids of the same world with other actions; a policy may have learnt in one.
        needs: packages beside pygame that the environment cannot do without.
        calendar: its time is minutes of a week, rather than steps of a clock.
        time_unit: what one unit of time is called, such as ``day``, where it is no fraction of a
            second.
    """

    name: str
    title: str
    goal: str
    env_id: str
    controls: tuple[Controls, ...]
    legend: tuple[tuple[str, str], ...]
    fps: int
    env_args: Mapping[str, Any] = field(default_factory=dict)
    relatives: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    calendar: bool = False
    time_unit: str = ""

    def controls_for(self, space: spaces.Space[Any]) -> Controls:
        """Fresh controls for an action space.

        Raises:
            InputError: no keys are known for it.
        """
        for controls in self.controls:
            ready = controls.for_space(space)
            if ready is not None:
                return ready
        raise InputError(f"{self.name}: there are no keys for the actions {space}")

    def clock(self, elapsed: int) -> str:
        """How late it is after so many time units."""
        if self.time_unit:
            return f"{elapsed} {self.time_unit}{'' if elapsed == 1 else 's'}"
        if not self.calendar:
            return f"{elapsed / self.fps:.1f} s"
        day, minute = divmod(elapsed, _MINUTES_PER_DAY)
        name = _DAYS[day] if day < len(_DAYS) else "end"
        return f"{name} {minute // 60:02}:{minute % 60:02}"
