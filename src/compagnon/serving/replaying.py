"""Makes logged decisions again, from their ids, features and masks, with the model of the log."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from compagnon.errors import InputError
from compagnon.policy.drawing import decision_seed, draw, explored
from compagnon.policy.exported import ONNX_FILES
from compagnon.policy.loading import artefact_directory
from compagnon.serving.models import Model, VectorModel
from compagnon.serving.sources import open_version
from compagnon.serving.trial import open_tried
from compagnon.serving.vectors import decide_vector
from compagnon.store import DecisionRow, Store, registry
from compagnon.store.replay import Recompute

_TOGETHER: Final = 64  # rows of one run of the model; every model was tried with as many


def recompute_with(model: Model) -> Recompute:
    """What a model decides again."""

    def recompute(rows: Sequence[DecisionRow]) -> list[DecisionRow]:
        again: list[DecisionRow] = []
        for start in range(0, len(rows), _TOGETHER):
            again += _again(model, rows[start : start + _TOGETHER])
        return again

    return recompute


def _again(model: Model, rows: Sequence[DecisionRow]) -> list[DecisionRow]:
    if isinstance(model, VectorModel):
        return _vectors_again(model, rows)
    return _actions_again(model, rows)


def _vectors_again(model: VectorModel, rows: Sequence[DecisionRow]) -> list[DecisionRow]:
    size = 4 * len(model.manifest.schema_.observation.fields)
    good = [row for row in rows if len(row.features) == size]
    found: dict[str, DecisionRow] = {}
    if good:
        obs = np.stack([np.frombuffer(row.features, "<f4") for row in good])
        means, stds = model.distributions(np.ascontiguousarray(obs, np.float32))
        for row, mean, std in zip(good, means, stds, strict=True):
            with contextlib.suppress(InputError):  # no such epsilon, or what the policy refuses
                parts = decide_vector(model, mean, std, row.id, row.application, row.epsilon)
                found[row.id] = row._replace(**parts)
    return [found.get(row.id, row._replace(seed=-1)) for row in rows]


def _actions_again(model: Model, rows: Sequence[DecisionRow]) -> list[DecisionRow]:
    schema = model.manifest.schema_
    fields, actions = len(schema.observation.fields), schema.action.n
    # A row that no request of this policy can have written is not as it was logged.
    good = [row for row in rows if _fits(row, fields, actions)]
    found: dict[str, DecisionRow] = {}
    if good:
        obs = np.stack([np.frombuffer(row.features, "<f4") for row in good])
        packed = np.stack([np.frombuffer(row.mask or b"", np.uint8) for row in good])
        masks = np.unpackbits(packed, axis=1, count=actions).astype(np.bool_)
        own = model.probabilities(np.ascontiguousarray(obs, np.float32), masks)
        for row, mask, vector in zip(good, masks, own, strict=True):
            found[row.id] = _decided_again(row, mask, vector)
    return [found.get(row.id, row._replace(seed=-1)) for row in rows]


def _decided_again(row: DecisionRow, mask: np.ndarray, vector: np.ndarray) -> DecisionRow:
    try:
        probabilities = explored(vector, mask, row.epsilon)
    except InputError:  # no action is possible, or no such epsilon
        return row._replace(seed=-1)
    seed = decision_seed(row.id, row.application)
    action = draw(probabilities, seed)
    return row._replace(
        mask=np.packbits(mask).tobytes(),
        probabilities=probabilities.astype("<f8").tobytes(),
        action=action,
        probability=float(probabilities[action]),
        seed=seed,
    )


def _fits(row: DecisionRow, fields: int, actions: int) -> bool:
    return (
        len(row.features) == 4 * fields
        and row.mask is not None
        and len(row.mask) == (actions + 7) // 8
    )


def loader(store: Store, paths: Sequence[Path]) -> Callable[[str], Recompute]:
    """Finds models by the hash in the log: among artefacts on disk, then in the registry.

    Raises:
        InputError: one of the paths is no exported policy.
    """
    at = {}
    for path in paths:
        for precision in ONNX_FILES:
            if (artefact_directory(path) / ONNX_FILES[precision]).is_file():
                model = open_tried(path, precision)
                at[model.sha256] = model
    if paths and not at:
        raise InputError(f"{paths[0]} was not exported: run `compagnon export {paths[0]}`")

    def load(sha256: str) -> Recompute:
        if sha256 in at:
            return recompute_with(at[sha256])
        version = registry.version_of_file(store, sha256)
        if version is None:
            raise InputError(f"model {sha256[:12]}... is not in the registry; give its path")
        precision = "fp32" if version.files.get(ONNX_FILES["fp32"]) == sha256 else "int8"
        return recompute_with(open_version(store, version, precision))

    return load
