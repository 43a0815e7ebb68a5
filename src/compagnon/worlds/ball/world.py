"""The ball as a world: what the product knows of it, and where each part stands."""

from typing import Final

from compagnon.worlds.ball import BALL
from compagnon.worlds.registration import register_compiled
from compagnon.worlds.world import World

_HERE: Final = "compagnon.worlds.ball"


class Ball(World):
    """A ball that is pushed about, to be kept in its box."""

    name = "ball"
    env_ids = (BALL,)

    def register(self) -> None:
        """Register `compagnon/Ball-v0`."""
        register_compiled(BALL, f"{_HERE}.env:BallEnv", f"{_HERE}.vector:BallVectorEnv")


WORLD: Final = Ball()
