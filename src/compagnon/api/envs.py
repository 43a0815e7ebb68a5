"""Environments as the Python side takes them: made one by one, and asked for their schema."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import gymnasium

from compagnon.envs import BatchEnv, make_adapted
from compagnon.envs.from_object import EnvLike, GivenEnv, given_env
from compagnon.policy.schema import Schema


def make(
    env: EnvLike, env_args: Mapping[str, Any] | None = None, **arguments: Any
) -> gymnasium.Env[Any, Any]:
    """One environment as policies play it: vectors of named numbers in, numbered actions out.

    Args:
        env: an id, ``module:ID``, an environment or a factory.
        env_args: its arguments; `arguments` are more of them, such as ``render_mode``.

    Raises:
        InputError: there is no such environment, or spaces that are not served.
    """
    given = given_env(env, env_args)
    return make_adapted(given.id, **{**given.args, **arguments})


def schema_of(env: EnvLike, env_args: Mapping[str, Any] | None = None) -> Schema:
    """What a policy of an environment reads, and what it may choose.

    Raises:
        InputError: there is no such environment, or spaces that are not served.
    """
    return schema_of_given(given_env(env, env_args))


def schema_of_given(given: GivenEnv) -> Schema:
    """The same of an environment that has its name."""
    with closing(BatchEnv(given.id, given.args, 1)) as one:
        return Schema.of(one)
