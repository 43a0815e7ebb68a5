"""The workshop as a world: what the product knows of it, and where each part stands."""

from collections.abc import Mapping
from typing import Final

from compagnon.worlds.registration import register_compiled
from compagnon.worlds.workshop import WORKSHOP
from compagnon.worlds.world import World

_HERE: Final = "compagnon.worlds.workshop"


class Workshop(World):
    """Two machines, two products, a store and a week of demand."""

    name = "workshop"
    env_ids = (WORKSHOP,)
    episode_units = 7 * 24 * 60  # minutes
    always_masked = True

    def experts(self) -> Mapping[str, str]:
        """Its rules and solvers."""
        return {
            "workshop-v2": f"{_HERE}.experts:workshop_v2",
            "workshop-base-stock": f"{_HERE}.experts:workshop_base_stock",
            "workshop-over-producer": f"{_HERE}.experts:workshop_over_producer",
        }

    def register(self) -> None:
        """Register `compagnon/Workshop-v0`."""
        register_compiled(WORKSHOP, f"{_HERE}.env:WorkshopEnv", f"{_HERE}.vector:WorkshopVectorEnv")


WORLD: Final = Workshop()
