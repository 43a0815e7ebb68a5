"""`evaluate`: policies in any form on the same episodes, each beside the first."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from compagnon.envs.from_object import EnvLike, GivenEnv, given_env
from compagnon.errors import InputError
from compagnon.evaluation.evaluate import Evaluation
from compagnon.evaluation.evaluate import evaluate as evaluate_in
from compagnon.policy.bound import BoundPolicy, PolicyLike
from compagnon.policy.loading import recorded_env
from compagnon.policy.network import NetworkPolicy
from compagnon.policy.onnx_policy import OnnxPolicy


def evaluate(
    policies: PolicyLike | Sequence[PolicyLike] | Mapping[str, PolicyLike],
    env: EnvLike | None = None,
    *,
    episodes: int = 100,
    seed: int = 1_000_000,
    sampled: bool = False,
    env_args: Mapping[str, Any] | None = None,
    backend: Literal["gymnasium", "processes"] = "gymnasium",
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Play policies on the episodes of seeds ``seed .. seed + episodes - 1``.

    Every policy after the first is compared with the first, episode by episode. Printed, the result
    is a table.

    Args:
        policies: names (``random``, ``expert:NAME``, a path), policies, rules, or functions
            ``(obs, action_mask) -> actions`` of batches (N, F) and (N, A); a mapping gives them
            names to be called by.
        env: an id, ``module:ID``, an environment or a factory; without it, what the first trained
            policy learnt in.
        sampled: draw actions instead of taking the most probable one.
        env_args: the environment's arguments.
        backend: ``processes`` shares the episodes of a slow simulator out among processes; the
            figures are the same.
        progress: told who plays, the share that is done and about how long the rest takes.

    Raises:
        InputError: an unknown policy or environment, or a policy that does not fit.
    """
    names: list[str] | None = None
    if isinstance(policies, Mapping):
        names, given = list(policies), list(policies.values())
    elif isinstance(policies, Sequence) and not isinstance(policies, str):
        given = list(policies)
    else:
        given = [policies]
    where = given_env(env, env_args) if env is not None else _learnt_in(given, env_args)
    return evaluate_in(
        given, where.id, where.args, episodes, seed, sampled, progress, names, backend
    )


def _learnt_in(policies: Sequence[PolicyLike], env_args: Mapping[str, Any] | None) -> GivenEnv:
    """The environment of the first trained policy, with single arguments changed."""
    for policy in policies:
        recorded = env_of(policy)
        if recorded is not None:
            return GivenEnv(recorded.id, {**recorded.args, **(env_args or {})})
    raise InputError("evaluate: none of these policies was trained; give env as well")


def env_of(policy: PolicyLike) -> GivenEnv | None:
    """What a trained policy learnt in; None of a rule.

    Raises:
        InputError: a path that holds no policy, or a damaged one.
    """
    if isinstance(policy, BoundPolicy):
        policy = policy.policy
    if isinstance(policy, NetworkPolicy | OnnxPolicy):
        manifest = policy.manifest
        return GivenEnv(manifest.schema_.env_id, dict(manifest.provenance.env_args))
    if isinstance(policy, str | os.PathLike):
        recorded = recorded_env(os.fspath(policy))
        return None if recorded is None else GivenEnv(*recorded)
    return None
