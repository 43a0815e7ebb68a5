"""Experts in any form, as a recipe names them and as DAgger asks them."""

import inspect
import os
from typing import NamedTuple

from compagnon.api.envs import schema_of_given
from compagnon.envs.given import GivenEnv
from compagnon.policy.bound import BoundPolicy, PolicyLike, bind_policy, name_of
from compagnon.policy.loading import OBJECT, expert_points
from compagnon.policy.protocol import Policy


class GivenExpert(NamedTuple):
    """Whom to imitate.

    Attributes:
        name: what the recipe says.
        policy: what is asked; None where it is loaded by its name.
    """

    name: str
    policy: Policy | None


def given_expert(expert: PolicyLike, env: GivenEnv) -> GivenExpert:
    """Name an expert: by a name that outlives the program, where there is one.

    Raises:
        InputError: no such expert, or one that cannot act in the environment.
    """
    if isinstance(expert, str | os.PathLike):
        name = os.fspath(expert)
        known = name.partition(":")[0] in expert_points()
        return GivenExpert(f"expert:{name}" if known else name, None)
    if inspect.isclass(expert) and _can_be_imported(expert):
        return GivenExpert(f"expert:{expert.__module__}:{expert.__qualname__}", None)
    policy = bind_policy(expert, schema_of_given(env))
    inner = expert.policy if isinstance(expert, BoundPolicy) else expert
    return GivenExpert(OBJECT + name_of(inner), policy.policy)


def _can_be_imported(given: type) -> bool:
    return given.__module__ != "__main__" and given.__qualname__.isidentifier()
