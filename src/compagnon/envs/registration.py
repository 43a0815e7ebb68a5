"""Tells Gymnasium where our environments are; nothing is imported until one is made."""

from typing import Final

import gymnasium

WORKSHOP: Final = "compagnon/Workshop-v0"


def register_all() -> None:
    """Register every environment of this package with Gymnasium, once."""
    if WORKSHOP not in gymnasium.registry:
        gymnasium.register(
            id=WORKSHOP,
            entry_point="compagnon.envs.workshop.env:WorkshopEnv",
            vector_entry_point="compagnon.envs.workshop.vector:WorkshopVectorEnv",
            order_enforce=False,  # the environment answers in order by itself, and faster
            disable_env_checker=True,  # the tests run the checker
        )
