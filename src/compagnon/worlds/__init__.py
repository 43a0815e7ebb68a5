"""One folder a world: all that the product knows of an environment stands in it."""

from compagnon.worlds.registry import find_world, worlds
from compagnon.worlds.world import World

__all__ = ["World", "find_world", "worlds"]
