"""The worlds that a person can play: what each is, which keys it takes, how fast it goes."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from gymnasium import spaces

from compagnon.errors import InputError
from compagnon.play.controls import DOWN, LEFT, RIGHT, UP, Axis, Controls, DiscreteKeys, VectorKeys
from compagnon.play.desk import WorkshopDesk
from compagnon.worlds.ball import BALL
from compagnon.worlds.workshop import WORKSHOP
from compagnon.worlds.workshop.rules import MINUTES_PER_DAY

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class World:
    """One game.

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
        if not self.calendar:
            return f"{elapsed / self.fps:.1f} s"
        day, minute = divmod(elapsed, MINUTES_PER_DAY)
        name = _DAYS[day] if day < len(_DAYS) else "end"
        return f"{name} {minute // 60:02}:{minute % 60:02}"


_CAR: Final = World(
    name="car",
    title="Car",
    goal="Drive the whole track, and quickly: each tile pays, each step costs 0.1.",
    env_id="CarRacing-v3",
    controls=(
        VectorKeys(
            (
                Axis("steer", (LEFT,), (RIGHT,)),
                Axis("gas", (), (UP,)),
                Axis("brake", (), (DOWN,), strength=0.8),  # from 0.9 on the wheels lock
            )
        ),
        DiscreteKeys(
            ("NOTHING", "RIGHT", "LEFT", "GAS", "BRAKE"),
            rest=0,
            bindings=((LEFT, 2), (RIGHT, 1), (UP, 3), (DOWN, 4)),
        ),
    ),
    legend=(("A D", "steer"), ("W", "gas"), ("S", "brake")),
    fps=50,
    needs=("Box2D",),
)
_MOUNTAIN: Final = World(
    name="mountain",
    title="Mountain",
    goal="Swing up to the flag: the engine alone is too weak. Each step costs 1.",
    env_id="MountainCar-v0",
    controls=(
        DiscreteKeys(
            ("LEFT", "COAST", "RIGHT"), rest=1, bindings=((LEFT, 0), (DOWN, 1), (RIGHT, 2))
        ),
        VectorKeys((Axis("push", (LEFT,), (RIGHT,)),), gentle=frozenset((DOWN,))),
    ),
    legend=(("A D", "push left, right"), ("S", "coast (or no key)")),
    fps=30,
    relatives=("MountainCarContinuous-v0",),
)
_LUNAR: Final = World(
    name="lunar",
    title="Lunar",
    goal="Land between the flags, upright and slowly. 200 points are a landing.",
    env_id="LunarLander-v3",
    controls=(
        DiscreteKeys(
            ("NOTHING", "LEFT", "MAIN", "RIGHT"), rest=0, bindings=((LEFT, 1), (UP, 2), (RIGHT, 3))
        ),
        VectorKeys((Axis("main", (), (UP,)), Axis("side", (LEFT,), (RIGHT,)))),
    ),
    legend=(("A D", "side engines: turn"), ("W", "main engine")),
    fps=50,
    relatives=("LunarLanderContinuous-v3",),
    needs=("Box2D",),
)
_PENDULUM: Final = World(
    name="pendulum",
    title="Pendulum",
    goal="Swing it up and keep it up: what it hangs and what it swings costs.",
    env_id="Pendulum-v1",
    # A positive torque turns against the clock: to the left, once it stands.
    controls=(VectorKeys((Axis("torque", (RIGHT,), (LEFT,)),), gentle=frozenset((UP, DOWN))),),
    legend=(("A D", "turn left, right"), ("W or S", "hold too: a quarter of it")),
    fps=20,
)
_BALL: Final = World(
    name="ball",
    title="Ball",
    goal="Keep the ball in the box: 1 a step, and it is pushed about all the time.",
    env_id=BALL,
    env_args=MappingProxyType({"dimension": 2}),
    controls=(
        # Half the bound: a whole push crosses the box before a hand has answered the eye.
        VectorKeys((Axis("x", (LEFT, DOWN), (RIGHT, UP), strength=0.5),)),  # drawn upwards
        VectorKeys(
            (
                Axis("x", (LEFT,), (RIGHT,), strength=0.5),
                Axis("y", (DOWN,), (UP,), strength=0.5),
            )
        ),
    ),
    legend=(("A D", "push left, right"), ("W S", "push up, down")),
    fps=8,
)
_WORKSHOP: Final = World(
    name="workshop",
    title="Workshop",
    goal="Sell P1 (2 each) and P2 (20 each); raw costs 1, late orders 0.02 a quarter.",
    env_id=WORKSHOP,
    env_args=MappingProxyType({"decision_points": True, "reward": "profit"}),
    controls=(WorkshopDesk(),),
    legend=(
        ("A D or 1-4", "choose what"),
        ("W S", "choose how many"),
        ("Enter", "do it"),
        ("Space", "wait (hold it: time runs)"),
    ),
    fps=12,
    calendar=True,
)

WORLDS: Final[Mapping[str, World]] = MappingProxyType(
    {world.name: world for world in (_CAR, _MOUNTAIN, _LUNAR, _PENDULUM, _BALL, _WORKSHOP)}
)


def find_world(name: str) -> World:
    """The world of this name, in any case of letters.

    Raises:
        InputError: there is none; the message gives near names.
    """
    world = WORLDS.get(name.lower())
    if world is not None:
        return world
    by_id = {world.env_id.lower(): world.name for world in WORLDS.values()}
    near = difflib.get_close_matches(name.lower(), [*WORLDS, *by_id], n=2, cutoff=0.5)
    names = dict.fromkeys(by_id.get(item, item) for item in near)
    hint = f"did you mean {' or '.join(names)}?" if near else f"there are {', '.join(WORLDS)}"
    raise InputError(f"no world is called {name!r}; {hint}")
