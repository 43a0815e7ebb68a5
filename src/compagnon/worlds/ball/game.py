"""The ball as a game: pushed about with the arrows."""

from types import MappingProxyType
from typing import Final

from compagnon.worlds.ball import BALL
from compagnon.worlds.controls import DOWN, LEFT, RIGHT, UP, Axis, VectorKeys
from compagnon.worlds.game import Game

GAME: Final = Game(
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
