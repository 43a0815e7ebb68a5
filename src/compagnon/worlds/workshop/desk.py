"""The workshop's 201 actions on a few keys: choose what and how many, do it, or let time pass."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

from gymnasium import spaces

from compagnon.worlds import controls
from compagnon.worlds.controls import Controls, Keys, Mask, MenuLine
from compagnon.worlds.workshop import constants

# Each family of actions: its name, the first one of it, and why none of it may be possible.
_FAMILIES: Final = (
    ("P1 on M1", constants.P1_START, "M1 is not free, or there is no raw"),
    ("P2 step 1 on M1", constants.STEP1_START, "M1 is not free, or there is no raw"),
    ("P2 step 2 on M2", constants.STEP2_START, "M2 is not free, or there is no half-finished P2"),
    ("order raw", constants.ORDER_START, "nothing can be ordered"),
)
_FIRST_SIZES: Final = (5, 5, 5, 20)


@dataclass
class WorkshopDesk(Controls):
    """What the person has chosen so far: a family of actions, and a batch size in each.

    Left and right (or 1 to 4) choose the family, up and down the size, do launches it, and wait
    lets time pass for as long as it is held.
    """

    turn_based: ClassVar[bool] = True
    family: int = 0
    sizes: list[int] = field(default_factory=lambda: list(_FIRST_SIZES))

    def for_space(self, space: spaces.Space[Any]) -> Self | None:
        """A desk of its own, for the workshop's actions."""
        fits = isinstance(space, spaces.Discrete) and space.n == constants.NUM_ACTIONS
        return type(self)() if fits else None

    def action(self, keys: Keys, step: int, mask: Mask | None) -> int | None:  # noqa: ARG002
        """What was launched, or a wait; None while the person chooses.

        At most one action a look: keys tapped after the one that launches are let go.
        """
        for key in keys.taps:
            if key == controls.DO:
                return self.chosen
            self._press(key)
        return constants.WAIT if controls.WAIT in keys.down else None

    @property
    def chosen(self) -> int:
        """The action that do would launch."""
        return _FAMILIES[self.family][1] + self.sizes[self.family] - 1

    def _press(self, key: str) -> None:
        if key in (controls.LEFT, controls.RIGHT):
            self.family = (self.family + (1 if key == controls.RIGHT else -1)) % len(_FAMILIES)
        elif key in (controls.UP, controls.DOWN):
            size = self.sizes[self.family] + (1 if key == controls.UP else -1)
            self.sizes[self.family] = min(max(1, size), constants.BATCHES)
        elif key.isdecimal() and 1 <= int(key) <= len(_FAMILIES):
            self.family = int(key) - 1

    def label(self, action: Any) -> str:
        """The action as the workshop describes it."""
        return constants.describe_action(int(action))

    def refusal(self, action: Any, mask: Mask) -> str:
        """Why it cannot be launched, and what could."""
        _, first, reason = _FAMILIES[int(action) // constants.BATCHES]
        most = _most(mask, first)
        words = self.label(action)
        if not most:
            return f"cannot {words}: {reason}"
        return f"cannot {words}: {most} at most"

    def menu(self, mask: Mask | None) -> list[MenuLine]:
        """The four families, each with its size and the most that is possible now."""
        lines = []
        for index, (name, first, _) in enumerate(_FAMILIES):
            most = constants.BATCHES if mask is None else _most(mask, first)
            limit = f"of {most}" if most else "not now"
            text = f"{index + 1}  {name}: {self.sizes[index]}  ({limit})"
            lines.append(MenuLine(text, index == self.family, most >= self.sizes[index]))
        return lines


def _most(mask: Mask, first: int) -> int:
    """The largest batch of a family that is possible, 0 where none is."""
    possible = mask[first : first + constants.BATCHES].nonzero()[0]
    return int(possible[-1]) + 1 if len(possible) else 0
