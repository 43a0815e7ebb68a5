"""Where a policy comes from: recipe, data and parent, each by its hash."""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from compagnon.policy.infinities import with_infinities, without_infinities

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class DataFile(_Part):
    """Something that a policy was trained on.

    Attributes:
        role: the setting that names it: ``env.args.demand``, ``algorithm.expert``.
        path: as the recipe names it.
        sha256: of a file; of a folder, over the names and the hashes of the files in it.
    """

    role: str
    path: str
    sha256: Sha256


class Parent(_Part):
    """What a policy was begun with: the clone that practised, or a model of another library.

    Attributes:
        how: it came from there: ``clone``, ``stable-baselines3``, ``onnx``.
        name: what it was called.
        sha256: of its weights (`weights_sha256` of a policy's manifest), or of the model's file.
    """

    how: str
    name: str
    sha256: Sha256


class RecipeChange(_Part):
    """Settings that a resumed run was given other values of.

    Attributes:
        iteration, env_steps: how far the run was. time: in UTC.
        fields: dotted key -> (value before, value after); None where there was none. What it was
            trained on stands there as ``data.ROLE``, with the hashes.
    """

    iteration: int
    env_steps: int = 0
    time: str = ""
    fields: dict[str, tuple[Any, Any]]

    @property
    def words(self) -> str:
        """``iteration 40: algorithm.learning_rate 0.001 -> 0.0005``."""
        changed = ", ".join(
            f"{key} {_shown(old)} -> {_shown(new)}" for key, (old, new) in self.fields.items()
        )
        return f"iteration {self.iteration}: {changed}"


class Provenance(_Part):
    """Where a policy comes from. What is not known is left empty.

    Attributes:
        recipe, recipe_sha256: its name, and the hash of all its settings in canonical form.
        recipe_changes: what was changed on the way; none where it is the recipe from the beginning.
        env_sha256: of the environment's id and arguments.
        data, data_sha256: what it was trained on, and one hash for all of it (`data_sha256`).
        parent: what it was begun with.
        iteration: of its training. training: how that ended, where it was not finished.
    """

    recipe: str = ""
    recipe_sha256: Sha256 | None = None
    recipe_changes: tuple[RecipeChange, ...] = ()
    algorithm: str = ""
    seed: int = 0
    env_args: dict[str, Any] = Field(default_factory=dict)
    env_sha256: Sha256 | None = None
    data: tuple[DataFile, ...] = ()
    data_sha256: Sha256 | None = None
    parent: Parent | None = None
    env_steps: int = 0
    iteration: int = 0
    training: str = ""
    created: str = ""
    versions: dict[str, str] = Field(default_factory=dict)

    @field_validator("env_args", mode="before")
    @classmethod
    def _numbers_again(cls, value: Any) -> Any:
        return with_infinities(value)


def canonical_sha256(tree: Any) -> str:
    """The hash of a tree as JSON: keys in order, no spaces, infinities as words."""
    text = json.dumps(without_infinities(tree), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def env_sha256(env_id: str, env_args: dict[str, Any]) -> str:
    """The hash of an environment's id and arguments."""
    return canonical_sha256({"id": env_id, "args": env_args})


def data_sha256(data: Iterable[DataFile]) -> str | None:
    """One hash of all that a policy was trained on; of one file its own, None of nothing.

    Where the files stood does not matter, what they were for does.
    """
    parts = sorted((one.role, one.sha256) for one in data)
    if len(parts) < 2:
        return parts[0][1] if parts else None
    return canonical_sha256(parts)


def timestamp() -> str:
    """Now, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str) and len(value) == 64:
        return f"{value[:12]}..."
    return json.dumps(value, default=str)
