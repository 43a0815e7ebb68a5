"""Experts in any form, as a recipe names them and as DAgger asks them."""

import inspect
import os
from typing import Final, NamedTuple

from compagnon.api.envs import schema_of_given
from compagnon.envs.from_object import GivenEnv
from compagnon.policy.bound import BoundPolicy, PolicyLike, bind_policy, name_of
from compagnon.policy.loading import DECISIONS, IN_MEMORY, OBJECT, expert_points
from compagnon.policy.protocol import Policy
from compagnon.rl.buffers.demonstrations import Demonstrations

ExpertLike = PolicyLike | Demonstrations
_RECORDED: Final = (".csv", ".npz")


class GivenExpert(NamedTuple):
    """Whom to imitate.

    Attributes:
        name: what the recipe says.
        policy: what is asked, or what was recorded; None where it is loaded by its name.
    """

    name: str
    policy: Policy | Demonstrations | None


def given_expert(expert: ExpertLike, env: GivenEnv) -> GivenExpert:
    """Name an expert: by a name that outlives the program, where there is one.

    Raises:
        InputError: no such expert, or one that cannot act in the environment.
    """
    if isinstance(expert, str | os.PathLike):
        name = os.fspath(expert)
        if name.endswith(_RECORDED) and not name.startswith(DECISIONS):
            return GivenExpert(DECISIONS + name, None)
        known = name.partition(":")[0] in expert_points()
        return GivenExpert(f"expert:{name}" if known else name, None)
    if isinstance(expert, Demonstrations):
        expert.of(schema_of_given(env))  # what is wrong with them is said now
        in_file = expert.source.endswith(_RECORDED)
        return GivenExpert(DECISIONS + expert.source if in_file else IN_MEMORY, expert)
    if inspect.isclass(expert) and _can_be_imported(expert):
        return GivenExpert(f"expert:{expert.__module__}:{expert.__qualname__}", None)
    policy = bind_policy(expert, schema_of_given(env))
    inner = expert.policy if isinstance(expert, BoundPolicy) else expert
    return GivenExpert(OBJECT + name_of(inner), policy.policy)


def _can_be_imported(given: type) -> bool:
    return given.__module__ != "__main__" and given.__qualname__.isidentifier()
