"""Copies an environment in the middle of its episodes, so that what might come can be tried."""

from typing import Any

import numpy as np
from gymnasium.vector import SyncVectorEnv
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.envs.making import is_compiled
from compagnon.envs.recorded import Recorded
from compagnon.errors import InputError

# Everything that the next step depends on, arrays with a leading axis of copies. Of environments
# that are stepped one by one it is one array, of what each of them says of its own state.
States = dict[str, NDArray[Any]]
_OWN = "own"


def check_copies(env: BatchEnv, who: str) -> None:
    """Refuse an environment that cannot be copied.

    Raises:
        InputError: says what it lacks.
    """
    if is_compiled(env.env_id):
        return
    if not isinstance(env.vec, SyncVectorEnv):
        raise InputError(f"{who}: env.backend = 'gymnasium' is needed to look ahead")
    if not all(isinstance(one, Recorded) and one.owns_state for one in env.vec.envs):
        raise InputError(
            f"{who}: {env.env_id} cannot be copied in the middle of an episode, so nothing can be "
            "tried in it; it needs state_dict() and load_state_dict(state)"
        )


def states_of(env: BatchEnv) -> States:
    """Where the copies stand."""
    if is_compiled(env.env_id):
        found: States = env.vec.state_dict()
        return found
    saved = np.empty(env.num_envs, object)
    saved[:] = [one.saved for one in env.vec.envs]
    return {_OWN: saved}


def put(env: BatchEnv, states: States, who: str, rows: NDArray[np.int64]) -> None:
    """Let copy i stand where row ``rows[i]`` of the states does.

    Raises:
        InputError: one of them does not.
    """
    if _OWN not in states:
        load_rows = getattr(env.vec, "load_rows", None)
        if load_rows is not None:
            load_rows(states, rows)
        else:
            env.vec.load_state_dict({name: array[rows] for name, array in states.items()})
        return
    for one, saved in zip(env.vec.envs, states[_OWN][rows], strict=True):
        one.saved = saved
        if not one.restored:
            why = one.fault or "what it says of its state is not what it was given"
            raise InputError(f"{who}: {env.env_id} cannot be copied: {why}")


def bytes_of(states: States) -> int:
    """The memory that states take, about."""
    return sum(array.nbytes for array in states.values())
