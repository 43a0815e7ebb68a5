"""An artefact as `compagnon export` writes it, as far as the registry looks into it."""

import hashlib
import json
from pathlib import Path
from typing import Any


def exported(
    folder: Path, weights: bytes = b"onnx-1", small: bytes | None = None, **said: Any
) -> Path:
    """Write one; other `weights` make another version, `said` stands in its manifest."""
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
        "figures": {"return": 12.5}, **said,
    }  # fmt: skip
    names = {"policy.onnx": "fp32", "policy.int8.onnx": "int8"}
    record: dict[str, Any] = {
        "format": 1,
        "schema_sha256": "5" * 64,
        "files": {
            names[name]: {"sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        },
    }
    text = json.dumps(manifest)
    (folder / "policy.json").write_text(text)
    if said:
        record["manifest_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "export.json").write_text(json.dumps(record))
    return folder
