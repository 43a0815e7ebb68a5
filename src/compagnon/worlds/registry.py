"""Finds the world of an environment or an expert, whichever package brings it."""

from collections.abc import Sequence
from typing import cast

from compagnon.errors import InputError
from compagnon.plugins import brought_worlds, world_of
from compagnon.worlds.world import World


class UnknownWorld(World):
    """What is known of an environment that no world claims: nothing."""

    name = "environment"

    def __init__(self, env_id: str) -> None:
        self.env_ids = (env_id,)


def worlds() -> tuple[World, ...]:
    """Every world that is installed, ours first."""
    return tuple(brought.world for brought in brought_worlds())


def find_world(env_id: str) -> World:
    """The world of an environment's id; one without optional parts where none claims it.

    Raises:
        InputError: two packages claim it.
    """
    return cast(World, world_of(env_id) or UnknownWorld(env_id))


def usual_env(policies: Sequence[str] = ()) -> str:
    """The environment that is meant where nobody names one.

    That of the first expert among the policies' names which a world brings; else of the world that
    is usually played.
    """
    known = worlds()
    for name in policies:
        kind, _, rest = name.partition(":")
        expert = rest.partition(":")[0]
        for world in known:
            if kind == "expert" and expert in world.experts():
                return world.env_ids[0]
    return usual_world().env_ids[0]


def usual_world() -> World:
    """The world that is meant where nobody names one."""
    for world in worlds():
        if world.usual:
            return world
    raise InputError(
        "no world is installed: the entry points of this package are missing; install it, such as "
        "by pip install -e ."
    )


def usual_expert(env_id: str) -> str:
    """The first expert of an environment's world.

    Raises:
        InputError: it brings none.
    """
    for name in find_world(env_id).experts():
        return f"expert:{name}"
    raise InputError(
        f"name the expert to imitate: the world of {env_id} brings none of its own; a rule of your "
        "own is expert:FILE.py:CLASS"
    )


def recipe_texts() -> dict[str, str]:
    """Name -> TOML of each recipe that ships with a world, sorted by name."""
    found: dict[str, str] = {}
    for world in worlds():
        for name, text in world.recipes().items():
            found.setdefault(name, text)
    return dict(sorted(found.items()))
