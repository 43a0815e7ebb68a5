"""Small exported policies, and services of them, without a training run."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from compagnon.onnx_export.graph import build_model
from compagnon.policy import NetworkPolicy, save_policy
from compagnon.policy.artefact import load_artefact
from compagnon.policy.exported import ExportedFile, ExportRecord
from tests.policy.networks import network, schema_of

WORKSHOP = "compagnon/Workshop-v0"


def exported(
    path: Path, env_id: str = WORKSHOP, scale: float = 1.0, env_args=None, head=None
) -> Path:
    """An artefact with its ONNX file; `scale` makes another version of the same policy."""
    policy = network(schema_of(env_id, **(env_args or {})), head=head)
    provenance = policy.manifest.provenance.model_copy(update={"env_args": env_args or {}})
    manifest = policy.manifest.model_copy(update={"provenance": provenance})
    policy = replace(policy, manifest=manifest)
    weights = {name: array * np.float32(scale) for name, array in policy.weights.items()}
    return export(replace(policy, weights=weights), path)


def export(policy: NetworkPolicy, path: Path) -> Path:
    save_policy(policy, path)
    return add_onnx(path)


def add_onnx(path: Path) -> Path:
    """Write `policy.onnx` and `export.json` beside what stands in `path`."""
    saved = load_artefact(path)
    data = build_model(saved.manifest, saved.weights).SerializeToString(deterministic=True)
    (path / "policy.onnx").write_bytes(data)
    file = ExportedFile(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), opset=17)
    record = ExportRecord(
        schema_sha256=saved.manifest.schema_sha256,
        weights_sha256=saved.manifest.weights_sha256,
        files={"fp32": file},
        parity={},
    )
    (path / "export.json").write_text(json.dumps(record.model_dump(mode="json")))
    return path
