"""Artefacts with ONNX files in them, made without playing anything."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from compagnon.onnx_export.graph import build_model
from compagnon.onnx_export.nodes import OPSET
from compagnon.policy import NetworkPolicy, load_artefact, save_policy
from compagnon.policy.exported import ONNX_FILES, RECORD_FILE, ExportedFile, ExportRecord


def model_of(policy: NetworkPolicy) -> Any:
    return build_model(policy.manifest, policy.weights)


def write_export(policy: NetworkPolicy, directory: Path, model: Any = None) -> NetworkPolicy:
    """An artefact with the FP32 file (or `model` in its place, honestly hashed); as loaded."""
    save_policy(policy, directory)
    saved = load_artefact(directory)
    data = (model or model_of(saved)).SerializeToString()
    write_onnx(directory, data)
    return saved


def write_onnx(directory: Path, data: bytes) -> None:
    """Put `data` in the place of the FP32 file, with a record that describes it."""
    manifest = load_artefact(directory).manifest
    described = ExportedFile(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), opset=OPSET)
    record = ExportRecord(
        schema_sha256=manifest.schema_sha256,
        weights_sha256=manifest.weights_sha256,
        files={"fp32": described},
        parity={},
    )
    (directory / ONNX_FILES["fp32"]).write_bytes(data)
    (directory / RECORD_FILE).write_text(record.model_dump_json())


def masks(rows: int, actions: int, seed: int = 0) -> np.ndarray:
    """Of every density, never empty."""
    rng = np.random.default_rng(seed)
    mask = rng.random((rows, actions)) < rng.random((rows, 1))
    mask[np.arange(rows), rng.integers(actions, size=rows)] = True
    return mask
