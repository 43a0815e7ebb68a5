"""Make one env or many, from any Gymnasium id, with errors for a person."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import gymnasium
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from compagnon.envs import known_state
from compagnon.envs.adapter import Adapter
from compagnon.envs.finding import find_env, split_env_id
from compagnon.envs.recorded import Recorded
from compagnon.errors import InputError
from compagnon.extras import extra_of, pip
from compagnon.plugins import world_of

GYMNASIUM: Final = "gymnasium"
ENVPOOL: Final = "envpool"
PROCESSES: Final = "processes"
BACKENDS: Final = (GYMNASIUM, ENVPOOL, PROCESSES)
SAME_EPISODES: Final = (GYMNASIUM, PROCESSES)  # a seed is the same episode with either of them
MAX_COPIES: Final = 1_000_000  # more fill the memory of any machine, and nothing says why


def check_env_id(env_id: str) -> None:
    """Raise InputError, with near names, unless there is such an environment; see `find_env`."""
    find_env(env_id)


def make(env_id: str, /, **arguments: Any) -> gymnasium.Env[Any, Any]:
    """One environment, as its author wrote it; `env_id` may be ``module:ID``.

    Raises:
        InputError: an id that does not exist, or an argument that it does not take.
    """
    spec, name = find_env(env_id), split_env_id(env_id)[1]
    with _explained(env_id):
        return gymnasium.make(name if name in gymnasium.registry else spec, **arguments)


def make_adapted(env_id: str, /, *, copy: int = 0, **arguments: Any) -> gymnasium.Env[Any, Any]:
    """One environment as policies play it: vectors of named numbers, see `Adapter`.

    Ours are such already, and so are Gymnasium's classic five.

    Raises:
        InputError: as `make`; or spaces that are not served.
    """
    env = make(env_id, **arguments)
    if is_compiled(env_id) or known_state.is_known(env):
        return env
    try:
        return Adapter(env, copy)
    except InputError as error:
        env.close()
        raise InputError(f"{env_id}: {error}") from None


def _make_copy(env_id: str, /, *, copy: int, **arguments: Any) -> gymnasium.Env[Any, Any]:
    """One of several envs, which can be saved in the middle of an episode."""
    env = make_adapted(env_id, copy=copy, **arguments)
    return env if known_state.is_known(env) else Recorded(env, env_id, copy)


@contextmanager
def _explained(env_id: str) -> Iterator[None]:
    """Turn what an environment's maker raises over its arguments into an InputError."""
    try:
        yield
    except InputError:
        raise
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        hint = str(error)
        if ".box2d" in str(find_env(env_id).entry_point):
            hint = "it needs Box2D: pip install 'compagnon[control]'"
        elif isinstance(error, ImportError) and extra_of(error.name or "") is not None:
            hint = f"it needs {error.name}: {pip(extra_of(error.name or '') or '')}"
        raise InputError(f"{env_id} cannot be made: {hint}") from None
    except (TypeError, ValueError, KeyError, AssertionError, gymnasium.error.Error) as error:
        reason = str(error).strip() or type(error).__name__
        raise InputError(f"{env_id}: {reason}") from None


def is_compiled(env_id: str) -> bool:
    """Whether an id's envs are stepped together in one compiled kernel: its world says so."""
    world = world_of(env_id)
    return world is not None and bool(world.compiled)


def make_vec(
    env_id: str,
    /,
    num_envs: int,
    *,
    backend: str = GYMNASIUM,
    batch: Callable[[str, dict[str, Any], int], Any] | None = None,
    **arguments: Any,
) -> VectorEnv[Any, Any, Any]:
    """`num_envs` of them as a `gymnasium.vector.VectorEnv` that resets within the step.

    Ours are compiled and step together; any other Gymnasium id is stepped env by env, or by
    EnvPool where that is asked for.

    Args:
        backend: `gymnasium`; `processes`, the same episodes with the envs shared out among
            processes, for slow simulators; or `envpool` for the environments that `pool.served_ids`
            lists. It is never chosen by what is installed: the same seed gives other episodes.
        batch: makes the envs of one of the `processes`; `BatchEnv` hands over itself.

    Raises:
        InputError: an id that does not exist, an argument that it does not take, or a backend that
            does not serve it.
    """
    check_env_id(env_id)
    if not 1 <= num_envs <= MAX_COPIES:
        raise InputError(f"num_envs={num_envs}: give 1 to {MAX_COPIES:,}")
    if backend not in BACKENDS:
        raise InputError(f"backend={backend!r}: use {' or '.join(BACKENDS)}")
    if backend == PROCESSES and is_compiled(env_id):
        raise InputError(
            f"backend='processes' is for slow environments; the copies of {env_id} are stepped "
            "together in one compiled kernel"
        )
    if backend == PROCESSES and batch is None:
        raise InputError(f"backend='processes': BatchEnv({env_id!r}, ...) makes such copies")
    with _explained(env_id):
        if backend == ENVPOOL:
            from compagnon.envs.pool import PoolVectorEnv

            return PoolVectorEnv(env_id, num_envs, **arguments)
        if backend == PROCESSES and batch is not None:
            from compagnon.envs.processes import ProcessVectorEnv

            return ProcessVectorEnv(env_id, num_envs, arguments, batch)
        if is_compiled(env_id) and find_env(env_id).vector_entry_point is not None:
            return gymnasium.make_vec(env_id, num_envs=num_envs, **arguments)
        copies = [
            functools.partial(_make_copy, env_id, copy=copy, **arguments)
            for copy in range(num_envs)
        ]
        return SyncVectorEnv(copies, autoreset_mode=AutoresetMode.SAME_STEP)
