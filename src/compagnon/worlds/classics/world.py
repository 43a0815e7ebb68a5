"""Gymnasium's own small environments as worlds: how they are called, drawn and played."""

from typing import Final

from compagnon.worlds.classics import DISCRETE_PENDULUM
from compagnon.worlds.registration import register_compiled
from compagnon.worlds.world import World

_HERE: Final = "compagnon.worlds.classics"


class DiscretePendulum(World):
    """The pendulum with a few torques to choose from."""

    name = "discrete-pendulum"
    env_ids = (DISCRETE_PENDULUM,)

    def register(self) -> None:
        """Register `compagnon/DiscretePendulum-v1`."""
        register_compiled(
            DISCRETE_PENDULUM,
            f"{_HERE}.discrete_pendulum:DiscretePendulumEnv",
            f"{_HERE}.discrete_pendulum:DiscretePendulumVectorEnv",
        )


WORLDS: Final[tuple[World, ...]] = (DiscretePendulum(),)
