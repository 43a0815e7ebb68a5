"""Model files under their hash: a folder a version, never changed, checked whenever it is used."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from compagnon.errors import InputError
from compagnon.files import read_file, replace_directory, write_file

MANIFEST, MODEL, SMALL, RECORD = "policy.json", "policy.onnx", "policy.int8.onnx", "export.json"
_LIMITS = {MANIFEST: 10_000_000, MODEL: 1_000_000_000, SMALL: 1_000_000_000, RECORD: 10_000_000}
_OPTIONAL = (SMALL,)


class ExportedModel(NamedTuple):
    """An exported artefact, read whole.

    Attributes:
        sha256: of `policy.onnx`; it is the version's.
        files: their bytes by name.
        manifest: what `policy.json` holds.
    """

    sha256: str
    files: dict[str, bytes]
    manifest: dict[str, Any]

    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file."""
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}


def read_exported(directory: Path) -> ExportedModel:
    """Read what `compagnon export` wrote, and nothing else that may lie there.

    Raises:
        InputError: a file is missing, is not what it should be, or does not have the hash that
            `export.json` says.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is not a folder; give an exported policy")
    files = {}
    for name, limit in _LIMITS.items():
        path = directory / name
        if path.exists():
            files[name] = read_file(path, limit)
        elif name not in _OPTIONAL:
            raise InputError(f"{directory} has no {name}: run compagnon export {directory}")
    manifest = _object(directory / MANIFEST, files[MANIFEST])
    record = _object(directory / RECORD, files[RECORD])
    for key in ("name", "schema", "schema_sha256"):
        if key not in manifest:
            raise InputError(f"{directory / MANIFEST}: {key} is missing; it is no policy's")
    if record.get("schema_sha256") != manifest["schema_sha256"]:
        raise InputError(
            f"{directory / RECORD} is of another schema than {MANIFEST}: "
            f"run compagnon export {directory} again"
        )
    described = record.get("manifest_sha256")  # older exports do not say it
    if described is not None and described != hashlib.sha256(files[MANIFEST]).hexdigest():
        raise InputError(
            f"{directory / MANIFEST} is not the one that was exported: it was changed afterwards; "
            f"run compagnon export {directory} again"
        )
    exported = ExportedModel(hashlib.sha256(files[MODEL]).hexdigest(), files, manifest)
    _check_record(directory, record, exported.hashes())
    return exported


def keep(folder: Path, exported: ExportedModel) -> Path:
    """Write the files under their version's hash; what stands there already stays.

    Raises:
        InputError: other files stand there, or the folder cannot be written.
    """
    target = folder / exported.sha256
    if target.exists():
        fault = first_fault(folder, exported.sha256, exported.hashes())
        if fault is not None:
            raise InputError(f"{fault}; what is kept under a hash is never changed")
        return target
    try:
        with replace_directory(target, private=True) as fresh:
            for name, data in exported.files.items():
                write_file(fresh / name, data, private=True)
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror or error})") from None
    return target


def first_fault(folder: Path, sha256: str, files: Mapping[str, str]) -> str | None:
    """What is wrong first with the files of a version; None when each has its hash."""
    for name, said in sorted(files.items()):
        path = folder / sha256 / name
        if not path.is_file():
            return f"{path} is missing"
        found = hashlib.sha256(read_file(path, _LIMITS.get(name, 0))).hexdigest()
        if found != said:
            return f"{path} was changed: its SHA-256 is {found[:12]}..., not {said[:12]}..."
    return None


def _check_record(directory: Path, record: dict[str, Any], hashes: dict[str, str]) -> None:
    listed = record.get("files")
    for precision, name in (("fp32", MODEL), ("int8", SMALL)):
        entry = listed.get(precision) if isinstance(listed, dict) else None
        said = entry.get("sha256") if isinstance(entry, dict) else None
        if name in hashes and said != hashes[name]:
            raise InputError(
                f"{directory / name} is not the file that {RECORD} describes; it was changed, or "
                f"not exported: run compagnon export {directory}"
            )


def _object(path: Path, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} should hold an object of JSON")
    return value
