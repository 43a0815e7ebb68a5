"""A policy on disk: `policy.json` and `weights.safetensors`, hash-checked, never a pickle."""

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from compagnon.errors import InputError
from compagnon.files import read_file, replace_directory
from compagnon.policy.graphs import shapes
from compagnon.policy.groups import Groups
from compagnon.policy.infinities import without_infinities
from compagnon.policy.manifest import (
    GaussianHead,
    Manifest,
    MatchingHead,
    OnnxSpec,
    PairwiseSpec,
)
from compagnon.policy.network import NetworkPolicy, network_policy
from compagnon.policy.onnx_network import check_graph

MANIFEST_FILE = "policy.json"
WEIGHTS_FILE = "weights.safetensors"
_MAX_MANIFEST = 10_000_000
_MAX_WEIGHTS = 1_000_000_000


def save_policy(policy: NetworkPolicy, path: Path) -> None:
    """Write an artefact to the directory `path`, whole or not at all."""
    weights = {name: np.ascontiguousarray(array) for name, array in sorted(policy.weights.items())}
    data = save_tensors(weights)
    manifest = policy.manifest.model_copy(
        update={"weights_sha256": hashlib.sha256(data).hexdigest()}
    )
    tree = without_infinities(manifest.model_dump(mode="json", by_alias=True))
    text = json.dumps(tree, indent=1, allow_nan=False)
    with replace_directory(path) as fresh:
        (fresh / WEIGHTS_FILE).write_bytes(data)
        (fresh / MANIFEST_FILE).write_text(text + "\n")


def load_manifest(path: Path) -> Manifest:
    """Read and verify what an artefact says of itself, without its weights.

    Raises:
        InputError: there is none, it is damaged, or it contradicts itself.
    """
    file = path / MANIFEST_FILE
    if not file.is_file():
        raise InputError(f"{path} is not a policy: it has no {file.name}")
    try:
        manifest = Manifest.model_validate_json(read_file(file, _MAX_MANIFEST))
    except ValidationError as error:
        raise InputError(f"{file}: {_first_line(error)}") from None
    if manifest.schema_.sha256() != manifest.schema_sha256:
        raise InputError(f"{file}: the schema does not have its hash; it was changed")
    _check_head(manifest, file)
    _check_pairs(manifest, file)
    return manifest


def load_artefact(path: Path) -> NetworkPolicy:
    """Read and verify an artefact.

    Raises:
        InputError: a file is missing, is not what it should be, or does not have its hash.
    """
    manifest, weights_file = load_manifest(path), path / WEIGHTS_FILE
    if not weights_file.is_file():
        raise InputError(f"{path} is not a policy: it has no {weights_file.name}")
    data = read_file(weights_file, _MAX_WEIGHTS)
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.weights_sha256:
        raise InputError(
            f"{weights_file} is not the file that {MANIFEST_FILE} describes: its SHA-256 is "
            f"{found[:12]}..., not {manifest.weights_sha256[:12]}...; it was changed or damaged"
        )
    try:
        weights = load_tensors(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{weights_file}: {_first_line(error)}") from None
    _check_shapes(manifest, weights, weights_file)
    return network_policy(manifest, weights, label=str(path))


def _check_head(manifest: Manifest, file: Path) -> None:
    served = "discrete" if manifest.head.kind.startswith("masked") else "box"
    if manifest.schema_.action.kind != served:
        raise InputError(
            f"{file}: head.kind {manifest.head.kind!r} serves {served} actions; the schema's are "
            f"{manifest.schema_.action.kind}"
        )


def _check_pairs(manifest: Manifest, file: Path) -> None:
    """A network of pairs, and a head that matches them, need observations of pairs."""
    if not isinstance(manifest.network, PairwiseSpec):
        if isinstance(manifest.head, MatchingHead):
            raise InputError(
                f"{file}: head.kind 'masked_matching' needs a network of kind 'pairwise'"
            )
        return
    schema = manifest.schema_
    groups = Groups.of(schema.observation.names, str(file))
    if groups.names != schema.observation.names or groups.actions != schema.action.n:
        raise InputError(
            f"{file}: schema: should be the fields of {groups.drivers} drivers, {groups.places} "
            f"places and their pairs, group by group, and {groups.actions} actions"
        )
    if schema.observation.scaling != "published" or manifest.scaler is not None:
        raise InputError(
            f"{file}: a network of kind 'pairwise' reads fields divided by their divisors: "
            "schema.observation.scaling should be 'published' and scaler null"
        )


def _check_shapes(manifest: Manifest, weights: dict[str, NDArray[np.generic]], file: Path) -> None:
    inputs = len(manifest.schema_.observation.fields)
    expected = shapes(manifest)
    head = manifest.head
    if isinstance(manifest.network, OnnxSpec):
        check_graph(manifest, weights, str(file))
    if isinstance(head, GaussianHead) and not head.state_dependent:
        expected["head.log_std"] = (manifest.schema_.action.n,)
    if manifest.scaler is not None:
        expected["scaler.mean"] = expected["scaler.std"] = (inputs,)
    for name, shape in expected.items():
        if name not in weights or weights[name].shape != shape:
            found = weights[name].shape if name in weights else "nothing"
            raise InputError(f"{file}: {name} should have shape {shape}, found {found}")
        if weights[name].dtype != np.float32:
            raise InputError(f"{file}: {name} should be float32, found {weights[name].dtype}")
        if not np.isfinite(weights[name]).all():
            raise InputError(f"{file}: {name} holds numbers that are not finite")
    if manifest.scaler is not None and not np.all(weights["scaler.std"] > np.float32(0)):
        raise InputError(f"{file}: scaler.std should be above 0 everywhere")


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        return f"{where}: {first['msg']}"
    return str(error).splitlines()[0]
