"""The worlds that installed packages bring: found by their entry points, imported when asked for.

A world is an entry point of the group ``compagnon.worlds``; its value is a `compagnon.worlds.World`
or a tuple of them. Our own come the same way. Nothing here knows what a world is made of, so that
every package, however low, may ask for the one part that it needs.
"""

import functools
import warnings
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, NamedTuple

from compagnon.errors import InputError, describe

WORLDS_GROUP: Final = "compagnon.worlds"
_OWN: Final = "compagnon."


class Brought(NamedTuple):
    """A world, and the package that brings it."""

    world: Any
    package: str


@functools.cache
def own_worlds() -> tuple[Any, ...]:
    """The worlds of this package, in the order of their entry points' names."""
    points = [point for point in _points() if _is_own(point)]
    return tuple(world for point in points for world in _worlds_of(point.load()))


@functools.cache
def brought_worlds() -> tuple[Brought, ...]:
    """Every world that an installed package brings, ours first.

    A package that fails is named in a warning, and the others are found.
    """
    found = [Brought(world, "compagnon") for world in own_worlds()]
    for point in _points():
        if not _is_own(point):
            found.extend(_of_others(point))
    return tuple(found)


def world_of(env_id: str) -> Any | None:
    """The world that an environment's id belongs to, ``module:ID`` being ``ID``; None for none.

    Raises:
        InputError: two packages claim it.
    """
    return _by_env_id().get(env_id.rpartition(":")[2])


def forget() -> None:
    """Look for entry points anew when next asked, as after a package was installed."""
    for cached in (own_worlds, brought_worlds, _by_env_id):
        cached.cache_clear()


@functools.cache
def _by_env_id() -> dict[str, Any]:
    claimed: dict[str, Brought] = {}
    for brought in brought_worlds():
        for env_id in brought.world.env_ids:
            other = claimed.setdefault(env_id, brought)
            if other is not brought:
                raise InputError(
                    f"two worlds claim {env_id}: {other.world.name} of the package {other.package} "
                    f"and {brought.world.name} of the package {brought.package}; uninstall one, or "
                    "give its environment another id"
                )
    return {env_id: brought.world for env_id, brought in claimed.items()}


def _points() -> list[EntryPoint]:
    """By name: installers write them down in any order."""
    return sorted(entry_points(group=WORLDS_GROUP), key=lambda point: point.name)


def _of_others(point: EntryPoint) -> Iterator[Brought]:
    package = point.value if point.dist is None else point.dist.name
    try:
        worlds = _worlds_of(point.load())
        for world in worlds:
            # What every floor relies on; a world that lacks it would fail far from here.
            _ = (str(world.name), tuple(world.env_ids), world.register)
    except Exception as error:  # another package's code: anything may be wrong with it
        warnings.warn(
            f"the worlds of the package {package} (entry point {point.name} = {point.value}) "
            f"cannot be used: {describe(error)}",
            stacklevel=3,
        )
        return
    for world in worlds:
        yield Brought(world, package)


def _worlds_of(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _is_own(point: EntryPoint) -> bool:
    return point.value.startswith(_OWN)
