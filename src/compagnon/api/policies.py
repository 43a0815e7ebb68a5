"""`load_policy`, `export`: policies on disk, from Python."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compagnon.api.envs import schema_of
from compagnon.envs.from_object import EnvLike, given_env
from compagnon.errors import InputError
from compagnon.policy.bound import BoundPolicy, PolicyLike, bind_policy, load_own
from compagnon.policy.network import NetworkPolicy, network_policy
from compagnon.policy.onnx_network import Gives, manifest_of_onnx
from compagnon.policy.sb3 import from_sb3 as policy_of_sb3
from compagnon.policy.schema import Schema

if TYPE_CHECKING:
    from compagnon.onnx_export.export import ExportResult


def load_policy(
    name: PolicyLike,
    env: EnvLike | None = None,
    *,
    env_args: Mapping[str, Any] | None = None,
) -> BoundPolicy:
    """A policy that acts on one observation or on many.

    Args:
        name: the path of a policy or of a run, ``onnx:PATH`` for what was exported from it,
            ``expert:NAME``, ``random``; or a rule: an object, a class or a function.
        env: what it is to act in: an id, ``module:ID``, an environment or a factory. A policy on
            disk does without, and then reads its own fields in its own order.
        env_args: the environment's arguments.

    Raises:
        InputError: no such policy, one that cannot act there, or a rule without an environment.
    """
    if env is not None:
        return bind_policy(name, schema_of(env, env_args))
    if isinstance(name, BoundPolicy):
        return name
    if isinstance(name, str | os.PathLike):
        return load_own(os.fspath(name))
    raise InputError("load_policy: give env as well; a rule does not say what it acts in")


def export(
    policy: BoundPolicy | NetworkPolicy | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    int8: bool = False,
    env: EnvLike | None = None,
    env_args: Mapping[str, Any] | None = None,
    states: int = 4096,
    episodes: int = 100,
) -> "ExportResult":
    """Write a trained policy with its ONNX file, which `compagnon serve` serves without torch.

    The graph is compared with torch, state by state, before anything is written.

    Args:
        policy: a trained one, or the path of one or of a run.
        path: a folder; what is in it is replaced if it is a policy, and refused if it is not.
        int8: an INT8 file as well, judged by what it decides.
        env: where real states are drawn from; without it, what the policy learnt in.
        states: so many of them are compared. episodes: that INT8 and FP32 both play.

    Raises:
        InputError: no network, an environment that cannot be played, or a graph that does not say
            what torch says. Then nothing has been written.
    """
    from compagnon.onnx_export.export import ExportSettings, export_policy

    given = None if env is None else given_env(env, env_args)
    where = None if given is None else (given.id, given.args)
    settings = ExportSettings(int8=int8, real=states, episodes=episodes)
    if isinstance(policy, str | os.PathLike):
        return export_policy(Path(policy), Path(path), settings, where)
    own = policy.policy if isinstance(policy, BoundPolicy) else policy
    if not isinstance(own, NetworkPolicy):
        raise InputError(f"export: {own.name} is not a trained policy: it has no network")
    with tempfile.TemporaryDirectory() as folder:
        kept = BoundPolicy(own, own.schema).save(Path(folder) / "policy")
        return export_policy(kept, Path(path), settings, where)


def from_sb3(
    model: Any,
    env: EnvLike | None = None,
    *,
    env_args: Mapping[str, Any] | None = None,
    normalise: Any = None,
    name: str | None = None,
) -> BoundPolicy:
    """The policy of a Stable-Baselines3 model, to be evaluated, saved, exported and served.

    Args:
        model: the model, or the path of the zip that ``model.save`` wrote, of which nothing is
            unpickled. PPO, A2C, TRPO, MaskablePPO, DQN, DDPG, TD3, SAC, with ``MlpPolicy``.
        env: what it acts in; needed for a zip. Fields get their names from it.
        normalise: the `VecNormalize` that the model was trained behind, where the model does not
            know it itself.
        name: what the policy is called.

    Raises:
        InputError: no such model, one that is no perceptron, or another environment's.
    """
    schema = None if env is None else schema_of(env, env_args)
    policy = policy_of_sb3(model, schema, normalise, name)
    return BoundPolicy(policy, policy.schema)


def from_onnx(
    path: str | os.PathLike[str],
    schema: Schema | EnvLike,
    *,
    env_args: Mapping[str, Any] | None = None,
    gives: Gives | None = None,
    output: str | None = None,
    name: str | None = None,
) -> BoundPolicy:
    """Any ONNX policy, to be evaluated, saved, exported and served.

    Args:
        path: the file: a graph that reads float observations (N, F) and gives, for each, logits or
            values (N, A), an action (N,), or a vector (N, D) in the action's own units; or one that
            `export` wrote, which says by itself what it reads and gives.
        schema: what its columns are and what it may choose: that of an environment, by
            `schema_of`; or the environment itself. One that `export` wrote takes those that it
            reads, by their names.
        env_args: the environment's arguments.
        gives: ``logits``, ``values`` or ``actions``. Without it, whole numbers and vectors are
            actions, and other numbers logits.
        output: which output is read; the first without it.
        name: what the policy is called; without it what one that `export` wrote was called, or the
            file's name.

    Raises:
        InputError: no ONNX file, or a graph that does not fit.
    """
    given = schema if isinstance(schema, Schema) else schema_of(schema, env_args)
    policy = network_policy(*manifest_of_onnx(Path(path), given, gives, output, name))
    if policy.schema.observation != given.observation:
        return bind_policy(policy, given)
    return BoundPolicy(policy, policy.schema)
