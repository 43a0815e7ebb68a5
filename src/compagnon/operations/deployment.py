"""A deployment as one TOML: who decides, for which application, and by which outcomes it is judged.

The service, the objective of slices and the alarms are made from it, so that none of them is told
something else than the others.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from compagnon.amounts import read_time
from compagnon.errors import InputError
from compagnon.files import read_text
from compagnon.operations.slices.objective import Objective
from compagnon.operations.validation import explain
from compagnon.policy import Schema
from compagnon.policy.artefact import load_manifest
from compagnon.policy.loading import artefact_directory, load_policy
from compagnon.serving.settings import REGISTRY, ServiceSettings

_MOST: Final = 1_000_000  # bytes
_OPTION: Final = re.compile(r"^--([a-z-]+)")
Policy = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OutcomeSpec(_Part):
    """An outcome that clients send.

    Attributes:
        weight: of one unit of it in the objective; below 0 for what costs, 0 for what is only
            watched.
        matures_after: how long after a decision it may come: ``90s``, ``20m``, ``2h``, ``7d``.
        missing: what it means that none came by then: ``missing`` (nobody knows), or ``zero`` for
            events that are told when they happen.
    """

    name: Name
    weight: float = Field(allow_inf_nan=False)
    matures_after: str
    missing: Literal["missing", "zero"] = "missing"

    @model_validator(mode="after")
    def _check(self) -> "OutcomeSpec":
        self.seconds  # noqa: B018 (a time that is none is refused here)
        return self

    @property
    def seconds(self) -> float:
        """`matures_after`, in seconds."""
        return read_time(self.matures_after, f"outcomes: {self.name}: matures_after")


class Service(_Part):
    """How decisions are served; see `ServiceSettings`."""

    host: str = "127.0.0.1"
    port: int = 8000
    mode: Literal["durable", "fast"] = "durable"
    play: Literal["greedy", "sampled"] = "greedy"
    explore: float = Field(0.0, allow_inf_nan=False)
    explore_cap: int = 10
    cost_episodes: int = 100
    rate: float = Field(10_000.0, allow_inf_nan=False)


class Deployment(_Part):
    """A policy at work.

    Attributes:
        application: whose decisions these are in the log.
        policy: who decides, an exported policy, a run, or ``registry:NAME``; in an experiment the
            control.
        arms: who may decide beside it in an experiment, by name: ``expert:NAME`` or an exported
            policy of the same schema.
        db: the store; without it that of the command line or of the environment.
        outcomes: by which it is judged; the objective is their weighted sum.
    """

    application: Name
    policy: Policy
    arms: Mapping[Name, Policy] = {}
    db: Annotated[str, Field(min_length=1)] | None = None
    service: Service = Service()
    outcomes: tuple[OutcomeSpec, ...]

    @model_validator(mode="after")
    def _check(self) -> "Deployment":
        names = [one.name for one in self.outcomes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"outcomes: {twice[0]} is there twice")
        if not any(one.weight for one in self.outcomes):
            raise ValueError(
                "outcomes: none has a weight, so there is no objective; give at least one a weight "
                "other than 0"
            )
        for name, policy in self.arms.items():
            if policy.startswith(REGISTRY):
                raise ValueError(
                    f"arms.{name}: {policy} is of the registry, which is for the policy in service "
                    "alone; give the exported policy itself, or expert:NAME"
                )
        return self

    @property
    def objective(self) -> Objective:
        """What it is for: the outcomes that have a weight."""
        weighed = {one.name: one.weight for one in self.outcomes if one.weight}
        zero = {one.name for one in self.outcomes if one.weight and one.missing == "zero"}
        return Objective(weighed, frozenset(zero))

    def settings(self, db: str) -> ServiceSettings:
        """Those of its service.

        Raises:
            InputError: a number that is out of its range.
        """
        return ServiceSettings(
            policy=self.policy, application=self.application, db=db, **self.service.model_dump()
        )


def load_deployment(path: Path) -> Deployment:
    """The deployment of a TOML file; paths in it are taken from the file's own folder.

    Raises:
        InputError: names the file, the key, and what would be right.
    """
    text = read_text(path, _MOST, "a deployment is TOML")
    try:
        tree: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not TOML: {error}") from None
    try:
        found = Deployment(**tree)
        found.settings("sqlite:///decisions.db")
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}") from None
    except (InputError, TypeError) as error:
        raise InputError(f"{path}: {_OPTION.sub(_as_key, str(error))}") from None
    arms = {name: _beside(path, policy) for name, policy in found.arms.items()}
    return found.model_copy(update={"policy": _beside(path, found.policy), "arms": arms})


def _as_key(option: "re.Match[str]") -> str:
    """What the settings call ``--explore-cap`` is ``service.explore_cap`` in the file."""
    return "service." + option[1].replace("-", "_")


def check_policies(deployment: Deployment) -> None:
    """Refuse policies that are not there, or that do not fit together.

    Raises:
        InputError: names the key, and what is wrong.
    """
    wanted: Schema | None = None
    for key, name in {"policy": deployment.policy, **_by_key(deployment.arms)}.items():
        try:
            if name.startswith(REGISTRY):
                continue
            if name.startswith("expert:"):
                if wanted is not None:
                    load_policy(name, wanted)
                continue
            found = load_manifest(artefact_directory(Path(name))).schema_
        except InputError as error:
            raise InputError(f"{key}: {error}") from None
        if wanted is not None and found.sha256() != wanted.sha256():
            raise InputError(f"{key}: {name} reads or chooses something else than the policy")
        wanted = wanted or found


def _by_key(arms: Mapping[str, str]) -> dict[str, str]:
    return {f"arms.{name}": policy for name, policy in arms.items()}


def _beside(path: Path, policy: str) -> str:
    """A path that is not absolute, from the folder of the file that names it."""
    if policy.startswith(("expert:", "registry:")) or Path(policy).is_absolute():
        return policy
    return str(path.parent / policy)


def template(application: str, policy: str, env_id: str, actions: int | None) -> str:
    """The text of a new deployment, with a word on each key.

    Args:
        env_id: that the policy learnt in. actions: that it chooses among; None for vectors.

    Raises:
        InputError: an application whose name cannot be one.
    """
    try:
        TypeAdapter(Name).validate_python(application)
    except ValidationError as error:
        raise InputError(f"--application {application!r}: {explain(error)}") from None
    choice = f"one of {actions} actions" if actions is not None else "a vector"
    return f"""\
# A deployment of a policy for {env_id}, which chooses {choice}.
application = {json.dumps(application)}    # whose decisions these are in the log
# An exported policy, a run, or "registry:NAME"; paths are from the folder of this file.
policy = {json.dumps(policy)}
# db = "sqlite:///decisions.db"    # or postgresql://...; without it --db, COMPAGNON_DB, or this one

[service]
port = 8000
play = "greedy"    # "sampled" draws from the policy
# Share of decisions that explore what is nearly as good; a log without tells of no other policy.
explore = 0.0

# Who may decide beside it in an experiment (compagnon experiment plan).
[arms]
# rule = "expert:NAME"

# What clients send with PUT /v1/outcomes/ID/NAME. The objective is the weighted sum.
[[outcomes]]
name = "profit"
weight = 1.0
matures_after = "1d"    # how long after a decision it may come
missing = "missing"    # "zero" for events that are told only when they happen
"""
