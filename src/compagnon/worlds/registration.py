"""Tells Gymnasium where compiled environments are; nothing is imported until one is made."""

import gymnasium


def register_compiled(env_id: str, single: str, vector: str) -> None:
    """Register an environment whose copies are stepped together, unless it is there already.

    Args:
        single, vector: ``module:Class`` of the one environment and of many copies.
    """
    if env_id not in gymnasium.registry:
        gymnasium.register(
            id=env_id,
            entry_point=single,
            vector_entry_point=vector,
            order_enforce=False,  # the environment answers in order by itself, and faster
            disable_env_checker=True,  # the tests run the checker
        )
