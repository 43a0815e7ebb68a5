"""An artefact as `compagnon export` writes it, as far as the registry looks into it."""

import hashlib
import json
from pathlib import Path


def exported(folder: Path, weights: bytes = b"onnx-1", small: bytes | None = None) -> Path:
    """Write one; other `weights` make another version."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"policy.onnx": weights} | ({} if small is None else {"policy.int8.onnx": small})
    for name, data in files.items():
        (folder / name).write_bytes(data)
    schema = {
        "env_id": "compagnon/Workshop-v0",
        "observation": {"fields": [{"name": "stock"}, {"name": "demand"}], "scaling": "physical"},
        "action": {"kind": "discrete", "n": 5, "low": [], "high": []},
    }
    manifest = {
        "format": 1, "name": "shop", "schema": schema, "schema_sha256": "5" * 64,
        "figures": {"return": 12.5},
    }  # fmt: skip
    names = {"policy.onnx": "fp32", "policy.int8.onnx": "int8"}
    record = {
        "format": 1,
        "schema_sha256": "5" * 64,
        "files": {
            names[name]: {"sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        },
    }
    (folder / "policy.json").write_text(json.dumps(manifest))
    (folder / "export.json").write_text(json.dumps(record))
    return folder
