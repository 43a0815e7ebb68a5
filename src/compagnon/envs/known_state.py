"""Saves and restores Gymnasium's environments of which everything that they keep is known.

A run that is resumed must be the run that was saved. Gymnasium's environments have no state to
hand out; the worlds say of some what they keep (`World.kept_attributes`), so that their episodes
need not begin anew at each checkpoint.
"""

from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from compagnon.plugins import brought_worlds

_WRAPPERS: Final = (TimeLimit, OrderEnforcing, PassiveEnvChecker)


def can_be_saved(vec: object) -> bool:
    """Whether every env is known, and wrapped by nothing but what Gymnasium puts around it.

    A subclass may keep more than its parent does, so it does not count.
    """
    return isinstance(vec, SyncVectorEnv) and all(is_known(env) for env in vec.envs)


def is_known(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether all that it keeps is known, and it is wrapped by nothing but Gymnasium's own."""
    while isinstance(env, gymnasium.Wrapper):
        if type(env) not in _WRAPPERS:
            return False
        env = env.env
    return type(env) in _kept()


def _kept() -> dict[type, tuple[str, ...]]:
    """What each keeps beside `state` and its random generator, and changes while it is played."""
    found: dict[type, tuple[str, ...]] = {}
    for world, _ in brought_worlds():
        found |= world.kept_attributes()
    return found


def state_dict(vec: SyncVectorEnv) -> dict[str, Any]:
    """Everything that the next step depends on: arrays, plain values, and lists of them."""
    return {
        "copies": [_save(env) for env in vec.envs],
        "obs": np.array(vec._observations),
        "terminations": np.array(vec._terminations),
        "truncations": np.array(vec._truncations),
    }


def load_state_dict(vec: SyncVectorEnv, state: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Continue from what `state_dict` gave.

    Returns:
        What every env shows, (N, F), a copy.
    """
    for env, saved in zip(vec.envs, state["copies"], strict=True):
        _restore(env, saved)
    # Gymnasium's own buffers, as its step would have left them.
    obs = np.array(state["obs"])
    vec._env_obs = list(obs.copy())
    vec._observations = obs.copy()
    vec._terminations = np.array(state["terminations"], np.bool_)
    vec._truncations = np.array(state["truncations"], np.bool_)
    vec._autoreset_envs = vec._terminations | vec._truncations
    return obs


def _save(env: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    world: Any = env.unwrapped
    return {
        # As an array with its type: some go on in the precision they began with.
        "state": np.array(world.state),
        "extras": {name: _plain(getattr(world, name)) for name in _kept()[type(world)]},
        "rng": world.np_random.bit_generator.state,
        "elapsed_steps": [wrapper._elapsed_steps for wrapper in _time_limits(env)],
    }


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _restore(env: gymnasium.Env[Any, Any], saved: dict[str, Any]) -> None:
    # Wrappers ask to be reset first; the seed is of no account, its episode is replaced.
    env.reset(seed=0)
    world: Any = env.unwrapped
    world.state = np.array(saved["state"])
    for name, value in saved["extras"].items():
        setattr(world, name, value)
    world.np_random.bit_generator.state = saved["rng"]
    for wrapper, elapsed in zip(_time_limits(env), saved["elapsed_steps"], strict=True):
        wrapper._elapsed_steps = elapsed


def _time_limits(env: gymnasium.Env[Any, Any]) -> list[Any]:
    found = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, TimeLimit):
            found.append(env)
        env = env.env
    return found
