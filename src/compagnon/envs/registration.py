"""Tells Gymnasium where our environments are; nothing is imported until one is made."""

from typing import Final

import gymnasium

WORKSHOP: Final = "compagnon/Workshop-v0"
BALL: Final = "compagnon/Ball-v0"
DISPATCH_POC: Final = "compagnon/DispatchPOC-v0"
DISPATCH: Final = "compagnon/Dispatch-v0"
DISCRETE_PENDULUM: Final = "compagnon/DiscretePendulum-v1"

# Of these it was known that they give masks before policies recorded it: see `Schema.needs_mask`.
MASKED: Final = (WORKSHOP, DISPATCH, DISPATCH_POC)

_OURS: Final = {
    WORKSHOP: ("worlds.workshop.env:WorkshopEnv", "worlds.workshop.vector:WorkshopVectorEnv"),
    BALL: ("worlds.ball.env:BallEnv", "worlds.ball.vector:BallVectorEnv"),
    DISPATCH_POC: (
        "worlds.dispatch_poc.env:DispatchPocEnv",
        "worlds.dispatch_poc.vector:DispatchPocVectorEnv",
    ),
    DISPATCH: ("worlds.dispatch.env:DispatchEnv", "worlds.dispatch.vector:DispatchVectorEnv"),
    DISCRETE_PENDULUM: (
        "envs.discrete_actions:DiscretePendulumEnv",
        "envs.discrete_actions:DiscretePendulumVectorEnv",
    ),
}


def register_all() -> None:
    """Register every environment of this package with Gymnasium, once."""
    for env_id, (single, vector) in _OURS.items():
        if env_id not in gymnasium.registry:
            gymnasium.register(
                id=env_id,
                entry_point=f"compagnon.{single}",
                vector_entry_point=f"compagnon.{vector}",
                order_enforce=False,  # the environment answers in order by itself, and faster
                disable_env_checker=True,  # the tests run the checker
            )
