"""`compagnon export`: an artefact gets its ONNX files, each of them checked, or stays as it was."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.files import file_sha256, replace_directory
from compagnon.onnx_export.graph import build_model
from compagnon.onnx_export.judge import judge
from compagnon.onnx_export.nodes import OPSET
from compagnon.onnx_export.parity import check_parity
from compagnon.onnx_export.quantise import Method, quantise
from compagnon.onnx_export.states import States, adversarial_states, real_states
from compagnon.policy.artefact import MANIFEST_FILE, WEIGHTS_FILE, load_artefact
from compagnon.policy.exported import (
    ONNX_FILES,
    RECORD_FILE,
    ExportedFile,
    ExportRecord,
    Precision,
)
from compagnon.policy.loading import artefact_directory
from compagnon.policy.network import NetworkPolicy
from compagnon.policy.onnx_file import open_session
from compagnon.policy.onnx_policy import OnnxPolicy
from compagnon.policy.provenance import timestamp
from compagnon.policy.schema import Schema

Env = tuple[str, dict[str, Any]]

# Seeds apart from each other, and from those of training and of `evaluate`'s default.
_PARITY_SEED, _CALIBRATION_SEED, _ODD_SEED = 3_000_000, 4_000_000, 5


@dataclass(frozen=True)
class ExportSettings:
    """How much is checked.

    Attributes:
        int8: make an INT8 file as well, by `method`.
        real, adversarial: states for the check with torch; `real` are also those on which INT8
            and FP32 are compared. calibration: states for static INT8.
        episodes, seed: that INT8 and FP32 play.
    """

    int8: bool = False
    method: Method = "static"
    real: int = 4096
    adversarial: int = 2048
    calibration: int = 2048
    episodes: int = 100
    seed: int = 1_000_000


@dataclass(frozen=True)
class ExportResult:
    """Where the files are, and what is known of them."""

    directory: Path
    record: ExportRecord


def export_policy(
    path: Path,
    out: Path | None = None,
    settings: ExportSettings | None = None,
    env: Env | None = None,
    say: Callable[[str], None] | None = None,
) -> ExportResult:
    """Write a policy as ONNX, into its artefact or into a copy of it.

    Args:
        path: an artefact, or a run, whose best policy is meant.
        out: a folder for a copy of the artefact; None writes into the artefact itself.
        env: what real states are drawn from; None for what the policy learnt in.
        say: told what is being worked on.

    Raises:
        InputError: no artefact, an environment that cannot be played, or a graph that does not
            say what torch says. Then nothing has been written.
    """
    settings = settings or ExportSettings()
    tell = say or (lambda _: None)
    directory = artefact_directory(path)
    policy = load_artefact(directory)
    if out is not None:
        check_out(out)
    manifest = policy.manifest
    env = env or (manifest.schema_.env_id, dict(manifest.provenance.env_args))

    tell("real states")
    real = real_states(policy, *env, settings.real, _PARITY_SEED)
    odd = adversarial_states(policy.schema, real, settings.adversarial, _ODD_SEED)
    tell("the graph beside torch")
    model = build_model(manifest, policy.weights)
    made: dict[Precision, bytes] = {"fp32": model.SerializeToString()}
    session = open_session(made["fp32"], ONNX_FILES["fp32"])
    parity = check_parity(manifest, policy.weights, session, real, odd)
    files: dict[Precision, ExportedFile] = {"fp32": _described(made["fp32"])}
    if settings.int8:
        tell("INT8")
        calibration = States(real.obs[:0], None)
        if settings.method == "static":
            calibration = real_states(policy, *env, settings.calibration, _CALIBRATION_SEED)
        data = quantise(model, manifest, settings.method, calibration).SerializeToString()
        made["int8"] = data
        tell("INT8 beside FP32")
        both = {name: _opened(policy, made[name], name, env) for name in made}
        sizes = (len(made["fp32"]), len(data))
        judged = judge(
            both["fp32"], both["int8"], real, *env, settings.episodes, settings.seed, sizes
        )
        files["int8"] = _described(data).model_copy(
            update={
                "method": settings.method,
                "calibration": _calibration(calibration, env) if len(calibration) else {},
                "judged": judged.as_json(),
            }
        )
    record = ExportRecord(
        policy=manifest.name,
        schema_sha256=manifest.schema_sha256,
        manifest_sha256=file_sha256(directory / MANIFEST_FILE),
        weights_sha256=manifest.weights_sha256,
        files=files,
        parity=parity,
        created=timestamp(),
        versions={name: version(name) for name in ("compagnon", "onnx", "onnxruntime", "torch")},
    )
    target = directory if out is None else out
    _write(directory, target, made, record)
    return ExportResult(target, record)


def check_out(out: Path) -> None:
    """Refuse a folder that holds something else than a policy: it would be replaced.

    Raises:
        InputError: it does, or it is a file.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; give the name of a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST_FILE).is_file():
        raise InputError(f"--out {out} holds something else than a policy; give another folder")


def _described(data: bytes) -> ExportedFile:
    return ExportedFile(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), opset=OPSET)


def _opened(policy: NetworkPolicy, data: bytes, precision: Precision, env: Env) -> OnnxPolicy:
    """A policy from bytes that are not on disk yet, bound to what it will play."""
    file = ONNX_FILES[precision]
    session, sha256 = open_session(data, file), hashlib.sha256(data).hexdigest()
    made = OnnxPolicy(policy.manifest, session, sha256, precision, precision)
    batch = BatchEnv(*env, 1)
    schema = Schema.of(batch)
    batch.close()
    return made.bind(schema)


def _calibration(states: States, env: Env) -> dict[str, Any]:
    return {
        "states": len(states),
        "seed": _CALIBRATION_SEED,
        "env_id": env[0],
        "env_args": env[1],
        "ranges": "the smallest and largest value seen",
    }


def _write(source: Path, target: Path, made: dict[Precision, bytes], record: ExportRecord) -> None:
    """The artefact with its ONNX files in the place of `target`, whole or not at all."""
    # A link to an artefact stays one: what it points to is replaced.
    with replace_directory(target.resolve()) as fresh:
        if (
            source.resolve() == target.resolve()
        ):  # whatever else a person keeps beside the policy stays
            shutil.copytree(source, fresh, dirs_exist_ok=True)
            for name in ONNX_FILES.values():
                (fresh / name).unlink(missing_ok=True)
        else:
            for name in (MANIFEST_FILE, WEIGHTS_FILE):
                shutil.copyfile(source / name, fresh / name)
        for precision, data in made.items():
            (fresh / ONNX_FILES[precision]).write_bytes(data)
        (fresh / RECORD_FILE).write_text(record.model_dump_json(indent=1) + "\n")
