"""Where the policies of a run come from: its recipe, what it is trained on, what it began with."""

import contextlib
import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from compagnon.errors import InputError
from compagnon.files import file_sha256
from compagnon.policy.artefact import MANIFEST_FILE, WEIGHTS_FILE, load_manifest
from compagnon.policy.exported import ONNX_FILES
from compagnon.policy.loading import (
    DECISIONS,
    IN_MEMORY,
    ONNX_KINDS,
    artefact_directory,
    expert_points,
)
from compagnon.policy.network import NetworkPolicy
from compagnon.policy.provenance import (
    DataFile,
    Parent,
    Provenance,
    RecipeChange,
    canonical_sha256,
    data_sha256,
    env_sha256,
    timestamp,
)
from compagnon.rl.buffers.demonstrations import Demonstrations
from compagnon.rl.recipe import Recipe
from compagnon.worlds.registry import find_world

_EXPERT: Final = "algorithm.expert"
_LIBRARIES: Final = ("compagnon", "numpy", "torch", "numba", "gymnasium")


class Origin:
    """What all policies of a run have in common, looked at once: files are hashed when it begins.

    Args:
        expert: what is imitated, where the recipe has no name that it could be loaded by.
        clone: the folder of the policy after imitation, where there may be one.

    Raises:
        InputError: a file that it is trained on cannot be read.
    """

    def __init__(self, recipe: Recipe, expert: Any, clone: Path) -> None:
        self.recipe = recipe
        self.recipe_sha256 = recipe_sha256(recipe)
        self.data = training_data(recipe, expert)
        self.changes: tuple[RecipeChange, ...] = ()
        self._clone = clone
        self._parent: tuple[int, Parent, int] | None = None

    def provenance(self, iteration: int, env_steps: int) -> Provenance:
        """Of the policy as it is after so many iterations and environment steps."""
        recipe = self.recipe
        return Provenance(
            recipe=recipe.name,
            recipe_sha256=self.recipe_sha256,
            recipe_changes=self.changes,
            algorithm=recipe.algorithm.kind,
            seed=recipe.seed,
            env_args=recipe.env.args,
            env_sha256=env_sha256(recipe.env.id, recipe.env.args),
            data=self.data,
            data_sha256=data_sha256(self.data),
            parent=self._cloned_before(iteration),
            env_steps=env_steps,
            iteration=iteration,
            created=timestamp(),
            versions={name: version(name) for name in _LIBRARIES},
        )

    def _cloned_before(self, iteration: int) -> Parent | None:
        """The clone that practice began with; None of the clone itself, and of what was before."""
        try:
            written = (self._clone / MANIFEST_FILE).stat().st_mtime_ns
        except FileNotFoundError:
            return None
        if self._parent is None or self._parent[0] != written:
            manifest = load_manifest(self._clone)
            parent = Parent(how="clone", name=manifest.name, sha256=manifest.weights_sha256)
            self._parent = written, parent, manifest.provenance.iteration
        _, parent, cloned = self._parent
        return parent if iteration > cloned else None


def recipe_sha256(recipe: Recipe) -> str:
    """The hash of all settings of a recipe, whether they were given or are defaults."""
    return canonical_sha256(recipe.model_dump(mode="json", exclude_none=True))


def training_data(recipe: Recipe, expert: Any = None) -> tuple[DataFile, ...]:
    """What a run of the recipe is trained on, as far as it stands in files or arrays.

    Raises:
        InputError: a file cannot be read.
    """
    files = find_world(recipe.env.id).data_files(recipe.env.args)
    found = [
        DataFile(role=f"env.args.{name}", path=str(path), sha256=_path_sha256(path))
        for name, path in sorted(files.items())
    ]
    name = recipe.expert()
    taught = None if name is None else _expert_sha256(name, expert)
    if name is not None and taught is not None:
        found.append(DataFile(role=_EXPERT, path=name, sha256=taught))
    return tuple(found)


def _expert_sha256(name: str, given: Any) -> str | None:
    """The hash of what is imitated; None of a rule that ships, and of an object without weights.

    Recorded decisions, a rule's file or the file it is given, or a policy's weights.
    """
    if name == IN_MEMORY:
        return _arrays_sha256(given) if isinstance(given, Demonstrations) else None
    if name.startswith(DECISIONS):
        return file_sha256(Path(name.removeprefix(DECISIONS)))
    if isinstance(given, NetworkPolicy):
        return given.manifest.weights_sha256 or None
    kind, _, rest = name.partition(":")
    if kind == "expert":
        own, _, argument = rest.partition(":")
        if own in expert_points():
            return _sha256_if_file(argument)
        return _sha256_if_file(own)
    with contextlib.suppress(InputError):  # no policy on disk: a constant, or chance
        if kind in ONNX_KINDS:
            return file_sha256(artefact_directory(Path(rest)) / ONNX_FILES[ONNX_KINDS[kind]])
        return file_sha256(artefact_directory(Path(name)) / WEIGHTS_FILE)
    return None


def _sha256_if_file(name: str) -> str | None:
    try:
        return file_sha256(Path(name)) if Path(name).is_file() else None
    except OSError:  # a name that is too long for any file
        return None


def _path_sha256(path: Path) -> str:
    """Of a file, or of a folder the names and hashes of the files in it, hidden ones aside."""
    if not path.is_dir():
        return file_sha256(path)
    inside = sorted(one for one in path.iterdir() if one.is_file() and one.name[:1] != ".")
    return canonical_sha256([[one.name, file_sha256(one)] for one in inside])


def _arrays_sha256(recorded: Demonstrations) -> str:
    hashed = hashlib.sha256()
    for name in ("obs", "actions", "action_mask", "episodes"):
        array = getattr(recorded, name)
        if array is not None:
            hashed.update(f"{name} {array.dtype} {array.shape}".encode())
            if array.dtype == object:  # whose bytes are addresses
                hashed.update(repr(array.tolist()).encode())
            else:
                hashed.update(np.ascontiguousarray(array).tobytes())
    hashed.update(repr(list(recorded.fields or ())).encode())
    return hashed.hexdigest()
