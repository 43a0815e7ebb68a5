"""From keys to actions and back to words: what a person can press, without any window."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, ClassVar, Final, Self

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

LEFT: Final = "left"
RIGHT: Final = "right"
UP: Final = "up"
DOWN: Final = "down"
DO: Final = "do"
WAIT: Final = "wait"
PAUSE: Final = "pause"
RESTART: Final = "restart"
QUIT: Final = "quit"
DIRECTIONS: Final = frozenset((LEFT, RIGHT, UP, DOWN))
_OPPOSITES: Final = ((LEFT, RIGHT), (UP, DOWN))

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Keys:
    """What a person pressed since the last look: by meaning, whichever key it was.

    Attributes:
        held: the keys that are down now.
        taps: the keys that went down since the last look, in order; they may be up again.
    """

    held: frozenset[str] = frozenset()
    taps: tuple[str, ...] = ()

    @property
    def down(self) -> frozenset[str]:
        """Held now or tapped since the last look; a left and a right cancel each other."""
        down = self.held | frozenset(self.taps)
        for pair in _OPPOSITES:
            if down.issuperset(pair):
                down -= frozenset(pair)
        return down


@dataclass(frozen=True)
class MenuLine:
    """One line of a menu of actions."""

    text: str
    chosen: bool
    possible: bool


class Controls(ABC):
    """Turns keys into the actions of one environment, and its actions into words.

    Attributes:
        turn_based: the world stands still until the person chooses something.
    """

    turn_based: ClassVar[bool] = False

    @property
    def labels(self) -> tuple[str, ...]:
        """A short name for each action, where there are few; else nothing."""
        return ()

    @property
    def axes(self) -> "tuple[Axis, ...]":
        """What each number of a vector action is; nothing for other actions."""
        return ()

    @abstractmethod
    def for_space(self, space: spaces.Space[Any]) -> Self | None:
        """These controls made ready for an action space; None where they do not fit it."""

    @abstractmethod
    def action(self, keys: Keys, step: int, mask: Mask | None) -> Any | None:
        """The action that the keys mean in step number `step`; None where nothing is chosen."""

    @abstractmethod
    def label(self, action: Any) -> str:
        """An action for the eye."""

    def likeness(self, yours: Any, theirs: Any) -> float:
        """How alike two actions are, 0 to 1."""
        return float(yours == theirs)

    def refusal(self, action: Any, mask: Mask) -> str:  # noqa: ARG002
        """What to say of an action that the mask forbids."""
        return f"{self.label(action)} is not possible now"

    def menu(self, mask: Mask | None) -> Sequence[MenuLine]:  # noqa: ARG002
        """What can be chosen, for worlds that need a menu."""
        return ()


@dataclass(frozen=True)
class DiscreteKeys(Controls):
    """A few numbered actions, a key each.

    Attributes:
        names: one an action.
        rest: the action while no key is down.
        bindings: (key, action). While several are down they take turns, step by step.
    """

    names: tuple[str, ...]
    rest: int
    bindings: tuple[tuple[str, int], ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The actions' names."""
        return self.names

    def for_space(self, space: spaces.Space[Any]) -> Self | None:
        """Itself, for as many actions as there are names."""
        fits = isinstance(space, spaces.Discrete) and space.n == len(self.names)
        return self if fits and space.start == 0 else None  # type: ignore[attr-defined]

    def action(self, keys: Keys, step: int, mask: Mask | None) -> int:  # noqa: ARG002
        """The action of the keys that are down."""
        wanted = [action for key, action in self.bindings if key in keys.down]
        return wanted[step % len(wanted)] if wanted else self.rest

    def label(self, action: Any) -> str:
        """Its name."""
        return self.names[int(action)]


@dataclass(frozen=True)
class Axis:
    """One number of a vector action.

    Attributes:
        name: what it is.
        minus, plus: the keys that push it to `low` and to `high`.
        strength: how far they push it, as a share of the bound.
        low, high: its bounds; the environment's own take their place.
    """

    name: str
    minus: tuple[str, ...] = ()
    plus: tuple[str, ...] = ()
    strength: float = 1.0
    low: float = -1.0
    high: float = 1.0

    def value(self, down: frozenset[str]) -> float:
        """Where the keys push it; 0 (or the bound next to it) where none does, or both do."""
        up, back = not down.isdisjoint(self.plus), not down.isdisjoint(self.minus)
        if up != back:
            return self.strength * (self.high if up else self.low)
        return min(max(0.0, self.low), self.high)


@dataclass(frozen=True)
class VectorKeys(Controls):
    """A vector within bounds, two keys a number.

    Attributes:
        numbers: one axis a number of the action.
        gentle: the keys that soften a push to `softness` of it while they are down.
    """

    numbers: tuple[Axis, ...]
    gentle: frozenset[str] = frozenset()
    softness: float = 0.25

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What each number is."""
        return self.numbers

    def for_space(self, space: spaces.Space[Any]) -> Self | None:
        """The same with the space's bounds, if it has as many numbers."""
        if not isinstance(space, spaces.Box) or space.shape != (len(self.numbers),):
            return None
        bounds = zip(self.numbers, space.low.tolist(), space.high.tolist(), strict=True)
        numbers = tuple(replace(axis, low=low, high=high) for axis, low, high in bounds)
        return replace(self, numbers=numbers)

    def action(self, keys: Keys, step: int, mask: Mask | None) -> NDArray[np.float32]:  # noqa: ARG002
        """Where the keys push each number, float32 (D,)."""
        down = keys.down
        share = self.softness if down & self.gentle else 1.0
        return np.array([share * axis.value(down) for axis in self.numbers], np.float32)

    def label(self, action: Any) -> str:
        """Each number with its name."""
        pairs = zip(self.numbers, np.asarray(action).tolist(), strict=True)
        return ", ".join(f"{axis.name} {value:+.2f}" for axis, value in pairs)

    def likeness(self, yours: Any, theirs: Any) -> float:
        """1 less the mean distance, as a share of each number's range."""
        span = np.array([axis.high - axis.low for axis in self.numbers])
        apart = np.abs(np.asarray(yours, float) - np.asarray(theirs, float)) / span
        return float(1.0 - min(1.0, apart.mean()))


@dataclass
class Parts(Controls):
    """Several numbers on a few keys, such as the crates that are ordered of each product.

    Left and right choose a part, up and down its number, do takes them all; wait takes none of
    any, for as long as it is held.
    Actions are numbered as combinations, the last part fastest, as `envs.products` numbers those of
    a MultiDiscrete space.

    Attributes:
        names: of the parts.
        counts: how many choices each has, from 0.
        say: an action in words; without it the numbers with their names.
        part, numbers: what the person has chosen so far.
    """

    turn_based: ClassVar[bool] = True
    names: tuple[str, ...]
    counts: tuple[int, ...]
    say: Callable[[int], str] | None = None
    part: int = 0
    numbers: list[int] = field(default_factory=list)

    def for_space(self, space: spaces.Space[Any]) -> Self | None:
        """A sheet of its own, for as many actions as there are combinations."""
        fits = isinstance(space, spaces.Discrete) and space.n == prod(self.counts)
        if not fits or space.start != 0:  # type: ignore[attr-defined]
            return None
        return replace(self, part=0, numbers=[0] * len(self.names))

    def action(self, keys: Keys, step: int, mask: Mask | None) -> int | None:  # noqa: ARG002
        """The combination that was taken; None while the person chooses."""
        for key in keys.taps:
            if key == DO:
                return int(np.ravel_multi_index(self.numbers, self.counts))
            if key in (LEFT, RIGHT):
                self.part = (self.part + (1 if key == RIGHT else -1)) % len(self.names)
            elif key in (UP, DOWN):
                number = self.numbers[self.part] + (1 if key == UP else -1)
                self.numbers[self.part] = min(max(0, number), self.counts[self.part] - 1)
        return 0 if WAIT in keys.down else None

    def label(self, action: Any) -> str:
        """The combination."""
        if self.say is not None:
            return self.say(int(action))
        parts = zip(np.unravel_index(int(action), self.counts), self.names, strict=True)
        return ", ".join(f"{number} {name}" for number, name in parts)

    def menu(self, mask: Mask | None) -> list[MenuLine]:
        """Each part with its number, and the most of it that anything possible has."""
        most = [count - 1 for count in self.counts]
        if mask is not None:
            most = [int(p.max()) for p in np.unravel_index(np.flatnonzero(mask), self.counts)]
        rows = zip(self.names, self.numbers, most, strict=True)
        return [
            MenuLine(f"{name}: {number}  (of {top})", k == self.part, number <= top)
            for k, (name, number, top) in enumerate(rows)
        ]
