"""From an environment's id to its registration, wherever the package that registers it stands.

An id is Gymnasium's own (``CartPole-v1``), or ``module:ID``, Gymnasium's way of saying which module
registers it. ``module:NAME`` may also be a class or a function of the module that makes one.
Packages may say so themselves, by entry points of the group ``gymnasium.envs``.
"""

import contextlib
import difflib
import functools
import importlib
import re
import sys
import warnings
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import gymnasium
from gymnasium.envs import registration
from gymnasium.envs.registration import EnvSpec

from compagnon.errors import InputError, describe
from compagnon.plugins import brought_worlds

ENVS_GROUP: Final = "gymnasium.envs"
SESSION: Final = "session/"  # before the names of what only the running program has
_MODULE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def split_env_id(env_id: str) -> tuple[str | None, str]:
    """The module that registers an environment, if the id names one, and Gymnasium's own id."""
    module, colon, name = env_id.partition(":")
    return (module, name) if colon else (None, env_id)


def find_env(env_id: str) -> EnvSpec:
    """What Gymnasium has registered under an id, importing what registers it.

    Raises:
        InputError: there is no such environment (near names are given), or its module cannot be
            imported.
    """
    module, name = split_env_id(env_id)
    loaded = None
    if module is not None:
        loaded = import_named(module, f"no environment is called {env_id!r}")
    found = _registered(name) or _made_by(loaded, env_id, name)
    if found is None:
        load_plugins()
        found = _registered(name)
    if found is None:
        raise InputError(f"no environment is called {env_id!r}{_hint(env_id)}")
    return found


def import_named(module: str, wanted: str) -> Any:
    """A module that a person named; one in the folder that the program was started in, too.

    Args:
        wanted: how an error begins.

    Raises:
        InputError: there is no such module, or it fails when it is imported.
    """
    if _MODULE.fullmatch(module) is None:
        raise InputError(f"{wanted}: {module!r} is no name of a Python module, such as shop.envs")
    with in_this_folder():
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{module}.".startswith(f"{error.name}."):
                raise InputError(
                    f"{wanted}: there is no module {module!r}, neither installed nor in "
                    f"{Path.cwd()}"
                ) from None
            raise InputError(f"{wanted}: the module {module!r} needs {error.name!r}") from None
        except Exception as error:
            raise InputError(
                f"{wanted}: the module {module!r} cannot be imported: {describe(error)}"
            ) from None


@contextlib.contextmanager
def in_this_folder() -> Any:
    """Find modules of the folder that the program was started in, after all that is installed.

    What a module imports later, while it is used, is found as well: the folder stays where it is.
    """
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
        importlib.invalidate_caches()
    yield


@functools.cache
def load_plugins() -> None:
    """Let installed packages register their environments, once; a broken one is only named.

    Worlds register theirs, see `compagnon.worlds`. Of the group ``gymnasium.envs`` an entry point's
    name is the namespace of what it registers, as Gymnasium had it: its value is a function to
    call, or a module to import.
    """
    for point in entry_points(group=ENVS_GROUP):
        outer = registration.current_namespace
        try:
            # By hand: Gymnasium's own context stays in the namespace when something is raised.
            registration.current_namespace = None if point.name[:2] == "__" else point.name
            loaded = point.load()
            if callable(loaded):
                loaded()
        except Exception as error:
            warnings.warn(
                f"the environments of {point.value} (entry point {point.name}) cannot be "
                f"registered: {describe(error)}",
                stacklevel=2,
            )
        finally:
            registration.current_namespace = outer
    for world, package in brought_worlds():
        try:
            world.register()
        except Exception as error:
            warnings.warn(
                f"the environments of the world {world.name} of the package {package} cannot be "
                f"registered: {describe(error)}",
                stacklevel=2,
            )


def _made_by(module: Any, env_id: str, name: str) -> EnvSpec | None:
    """What a class or a function of a module makes; None where the module has none of that name."""
    if module is None or not all(part.isidentifier() for part in name.split(".")):
        return None
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return EnvSpec(env_id, entry_point=found) if callable(found) else None


def _registered(name: str) -> EnvSpec | None:
    try:
        return gymnasium.spec(name)
    except gymnasium.error.Error:
        return None


def _hint(env_id: str) -> str:
    """What may have been meant."""
    if env_id.startswith(SESSION):
        return ": it was an object or a function of a Python program; give it again there"
    module, name = split_env_id(env_id)
    names = list(gymnasium.registry)
    by_short_name = {known.rpartition("/")[2].lower(): known for known in names}
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    wanted = name.rpartition("/")[2].lower()
    near += [by_short_name[n] for n in difflib.get_close_matches(wanted, by_short_name, n=2)]
    if near:
        return f"; did you mean {' or '.join(dict.fromkeys(near))}?"
    if module is not None:
        return f": the module {module!r} does not register it"
    if "/" in name:
        return f"; if a module registers it, name the module too: MODULE:{name}"
    return ""
