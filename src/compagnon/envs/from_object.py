"""An environment that a person hands over in Python, object or factory, as an id and arguments.

Everything here makes envs by an id: to practise in, to be judged in, to be
exported from. So what has no id yet gets one in Gymnasium's registry, for as long as the program
runs, and a factory that can be imported is called by where it stands, which outlives the program.
"""

import copy
import functools
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import gymnasium
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

from compagnon.envs.finding import SESSION, find_env
from compagnon.errors import InputError

EnvFactory = Callable[..., gymnasium.Env[Any, Any]]
EnvLike = str | gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any] | EnvFactory
"""An id, ``module:ID``, an environment, copies of one, or what makes one when it is called."""

# What `gymnasium.make_vec` writes beside an environment's own arguments, and what only draws.
_NOT_ITS_OWN: Final = ("num_envs", "vectorization_mode", "vector_kwargs", "wrappers", "render_mode")


@dataclass(frozen=True)
class GivenEnv:
    """What envs are made by.

    Attributes:
        id: any that `find_env` finds. args: the environment's arguments.
        num_envs: how many envs there were, where envs were given.
    """

    id: str
    args: dict[str, Any] = field(default_factory=dict)
    num_envs: int | None = None


def given_env(env: EnvLike, args: Mapping[str, Any] | None = None) -> GivenEnv:
    """Name an environment.

    An object that `gymnasium.make` made, and that nothing was wrapped around, is called by its
    `spec`: id and arguments. Any other object is a template: it is deep-copied now, each env that
    is needed is a deep copy of that, and the object itself is never stepped. A factory is called
    once an env.

    Args:
        args: the environment's arguments; of an object there are none left to give.

    Raises:
        InputError: there is no such environment, it is none, or it cannot be copied.
    """
    given = dict(args or {})
    if isinstance(env, str):
        find_env(env)
        return GivenEnv(env, given)
    if isinstance(env, gymnasium.Env | VectorEnv):
        if given:
            raise InputError(
                f"env_args: {env} is made already; give its id or a factory with arguments"
            )
        return _object(env) if isinstance(env, gymnasium.Env) else _copies(env)
    if not callable(env):
        raise InputError(
            f"env: {env!r} is no environment; give an id, a gymnasium.Env, or a function that "
            "makes one"
        )
    return GivenEnv(_importable(env) or _registered(env, _name_of(env)), given)


def register_again(env_id: str, env: EnvLike) -> None:
    """Give an environment the id that an earlier program knew one by.

    Raises:
        InputError: the id is not one of a program that has ended, or see `given_env`.
    """
    if not env_id.startswith(SESSION):
        raise InputError(f"env: it is found by its own name, {env_id}; leave env out")
    given = given_env(env)
    spec = find_env(given.id)
    gymnasium.registry.pop(env_id, None)
    gymnasium.register(
        env_id,
        entry_point=functools.partial(gymnasium.make, spec, **given.args),
        max_episode_steps=spec.max_episode_steps,
        disable_env_checker=True,
    )


def _object(env: gymnasium.Env[Any, Any]) -> GivenEnv:
    spec = env.spec
    known = None if spec is None else gymnasium.registry.get(spec.id)
    if spec is not None and known is not None and not spec.additional_wrappers:
        own = {k: v for k, v in spec.kwargs.items() if k not in _NOT_ITS_OWN}
        own = {k: v for k, v in own.items() if k not in known.kwargs or known.kwargs[k] != v}
        if spec.max_episode_steps != known.max_episode_steps:
            own["max_episode_steps"] = spec.max_episode_steps or -1
        if _can_be_written(own):
            return GivenEnv(spec.id, own)
    steps = None if spec is None else spec.max_episode_steps
    return GivenEnv(_registered(_template(env), type(env.unwrapped).__name__, steps))


def _copies(env: VectorEnv[Any, Any, Any]) -> GivenEnv:
    if isinstance(env, SyncVectorEnv):
        one = _object(env.envs[0])
    elif isinstance(env, AsyncVectorEnv):
        one = _object(env.env_fns[0]())
    elif env.spec is not None and env.spec.id in gymnasium.registry and env is env.unwrapped:
        known = gymnasium.registry[env.spec.id]
        own = {k: v for k, v in env.spec.kwargs.items() if k not in _NOT_ITS_OWN}
        if own.get("max_episode_steps") == known.max_episode_steps:
            own.pop("max_episode_steps", None)
        one = GivenEnv(env.spec.id, own)
    else:
        raise InputError(
            f"env: {env} is stepped as a whole, and other numbers of copies are needed to practise "
            "in and to be judged in; give the id of one environment, or a function that makes one"
        )
    return GivenEnv(one.id, one.args, env.num_envs)


def _template(env: gymnasium.Env[Any, Any]) -> EnvFactory:
    """Makes deep copies of an environment as it is now."""
    try:
        return functools.partial(copy.deepcopy, copy.deepcopy(env))
    except Exception as error:  # of somebody else's object
        raise InputError(
            f"env: {env} cannot be copied ({type(error).__name__}: {error}); give a function that "
            "makes one, such as lambda: MyEnv()"
        ) from None


def _importable(factory: EnvFactory) -> str | None:
    """``module:NAME`` of what stands in a module; None for what only this program has."""
    module, name = getattr(factory, "__module__", None), getattr(factory, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is factory else None


def _registered(factory: EnvFactory, name: str, steps: int | None = None) -> str:
    """The id of a factory for as long as the program runs; the same factory keeps its id."""
    known = re.sub(r"\W+", "_", name).strip("_") or "env"
    for number in range(1, len(gymnasium.registry) + 2):
        # No version: Gymnasium would call every one but the last out of date.
        env_id = f"{SESSION}{known}" + (f".{number}" if number > 1 else "")
        found = gymnasium.registry.get(env_id)
        if found is None:
            gymnasium.register(env_id, entry_point=factory, max_episode_steps=steps)
            return env_id
        if found.entry_point is factory:
            return env_id
    raise AssertionError("as many ids as environments are taken, and one more")


def _name_of(factory: EnvFactory) -> str:
    if isinstance(factory, functools.partial):
        return _name_of(factory.func)
    return str(getattr(factory, "__name__", type(factory).__name__))


def _can_be_written(value: Any) -> bool:
    """Whether a recipe, which is TOML, can hold it and give it back."""
    if isinstance(value, dict):
        return all(isinstance(k, str) and _can_be_written(v) for k, v in value.items())
    if type(value) is list:
        return all(map(_can_be_written, value))
    return type(value) in (bool, int, float, str)
