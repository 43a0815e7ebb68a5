"""The ball as a world: what the product knows of it, and where each part stands."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from compagnon.worlds.ball import BALL
from compagnon.worlds.registration import register_compiled
from compagnon.worlds.world import World

if TYPE_CHECKING:
    from compagnon.policy import Schema
    from compagnon.worlds.game import Game

_HERE: Final = "compagnon.worlds.ball"


class Ball(World):
    """A ball that is pushed about, to be kept in its box."""

    name = "ball"
    env_ids = (BALL,)
    compiled = True

    def register(self) -> None:
        """Register `compagnon/Ball-v0`."""
        register_compiled(BALL, f"{_HERE}.env:BallEnv", f"{_HERE}.vector:BallVectorEnv")

    def action_components(self, schema: "Schema") -> Sequence[tuple[str, str]]:
        """A push along each axis."""
        return [(f"push_{k}", "") for k in range(schema.action.n)]

    def game(self) -> "Game":
        """Pushed with the arrows."""
        from compagnon.worlds.ball.game import GAME

        return GAME


WORLD: Final = Ball()
