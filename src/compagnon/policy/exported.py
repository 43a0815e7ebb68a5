"""`export.json`: what was exported from an artefact, how it was checked, and the files' hashes."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compagnon.errors import InputError
from compagnon.files import read_file

Precision = Literal["fp32", "int8"]

RECORD_FILE = "export.json"
ONNX_FILES: dict[Precision, str] = {"fp32": "policy.onnx", "int8": "policy.int8.onnx"}
# Names of the graph's inputs and outputs, which whoever reads the file may rely on.
OBS, ACTION_MASK = "obs", "action_mask"
OUTPUTS, PROBABILITIES, ACTION, STD = "outputs", "probabilities", "action", "std"
# Keys of the metadata inside the file.
SCHEMA_KEY, WEIGHTS_KEY = "compagnon.schema_sha256", "compagnon.weights_sha256"
NAME_KEY, FIELDS_KEY, SCALING_KEY = "compagnon.name", "compagnon.fields", "compagnon.scaling"
HEAD_KEY = "compagnon.head"  # what is made of `outputs`, as `policy.json` says it
_MAX_RECORD = 10_000_000


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExportedFile(_Part):
    """One ONNX file.

    `method` and `calibration` say how an INT8 file was made, `judged` how it plays beside FP32.
    """

    sha256: str
    bytes: int
    opset: int
    method: Literal["static", "dynamic"] | None = None
    calibration: dict[str, Any] = Field(default_factory=dict)
    judged: dict[str, Any] = Field(default_factory=dict)


class ExportRecord(_Part):
    """Everything that `export.json` says.

    Attributes:
        policy, weights_sha256: what it was exported from: its name, and the hash of its weights.
        manifest_sha256: of `policy.json` as it stood then; none in older files.
        parity: the figures of the check with torch.
    """

    format: Literal[1] = 1
    policy: str = ""
    schema_sha256: str
    weights_sha256: str
    manifest_sha256: str | None = None
    files: dict[Precision, ExportedFile]
    parity: dict[str, Any]
    created: str = ""
    versions: dict[str, str] = Field(default_factory=dict)


def read_record(directory: Path) -> ExportRecord:
    """The record of what was exported into an artefact.

    Raises:
        InputError: nothing was, or the record is damaged.
    """
    file = directory / RECORD_FILE
    if not file.is_file():
        raise InputError(
            f"{directory} was not exported: it has no {RECORD_FILE}; "
            f"make it with `compagnon export {directory}`"
        )
    try:
        return ExportRecord.model_validate_json(read_file(file, _MAX_RECORD))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{file}: {where}: {first['msg']}") from None
