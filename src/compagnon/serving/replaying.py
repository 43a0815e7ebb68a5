"""Makes logged decisions again, from their ids, features and masks, with the model of the log."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, cast

import numpy as np

from compagnon.errors import InputError
from compagnon.policy import Schema
from compagnon.policy.action_selection import FALLBACK, PLAYS, Play, PlayName
from compagnon.policy.exported import ONNX_FILES
from compagnon.policy.loading import artefact_directory
from compagnon.policy.sampling import decision_seed
from compagnon.serving.codec import ActionCodec, codec_of
from compagnon.serving.inference import Decider, Model
from compagnon.serving.model_source import open_version
from compagnon.serving.rule_model import PREFIX, RuleModel
from compagnon.serving.trial import open_tried
from compagnon.store import DecisionRow, Store, registry
from compagnon.store.replay import Recompute
from compagnon.store.secrets import known

_TOGETHER: Final = 64  # rows of one run of the model; every model was tried with as many


def recompute_with(model: Decider, schema: Schema, secrets: Mapping[int, bytes]) -> Recompute:
    """What a model, or a rule, decides again.

    Args:
        secrets: that draws were made with, by their numbers in the log.
    """

    codec = codec_of(schema)

    def recompute(rows: Sequence[DecisionRow]) -> list[DecisionRow]:
        again: list[DecisionRow] = []
        for start in range(0, len(rows), _TOGETHER):
            again += _again(model, codec, rows[start : start + _TOGETHER], secrets)
        return again

    return recompute


def _again(
    model: Decider,
    codec: ActionCodec,
    rows: Sequence[DecisionRow],
    secrets: Mapping[int, bytes],
) -> list[DecisionRow]:
    """Rows made again; one that no service can have written is not as it was logged: seed -1."""
    good = [
        row
        for row in rows
        if codec.fits(row) and row.secret in {None, *secrets} and row.play in (None, *PLAYS)
    ]
    found: dict[str, DecisionRow] = {}
    if good:
        obs = np.stack([np.frombuffer(row.features, "<f4") for row in good])
        obs = np.ascontiguousarray(obs, np.float32)
        seeds = [_seed(row, secrets) for row in good]
        plays = [_play(row) for row in good]
        decided = codec.decide_again(model, obs, good, seeds, plays)
        for row, columns in zip(good, decided, strict=True):
            if columns is not None:
                if row.mode == FALLBACK:  # the control decided, as it would have for itself
                    columns = {**columns, "mode": FALLBACK}
                found[row.id] = row._replace(**columns)
    return [found.get(row.id, row._replace(seed=-1)) for row in rows]


def _seed(row: DecisionRow, secrets: Mapping[int, bytes]) -> int:
    secret = None if row.secret is None else secrets[row.secret]
    return decision_seed(row.id, row.application, secret)


def _play(row: DecisionRow) -> Play | None:
    """How a row was played; None where that was before it was told."""
    if row.play is None:
        return None
    return Play(cast(PlayName, row.play), row.epsilon, row.near)


def loader(store: Store, paths: Sequence[Path]) -> Callable[[str], Recompute]:
    """Finds models by the hash in the log: among artefacts on disk, then in the registry.

    Args:
        paths: of exported policies; ``expert:NAME`` for a rule that decided for an arm, which reads
            as the first of the policies does.

    Raises:
        InputError: one of the paths is no exported policy.
    """
    at: dict[str, Model] = {}
    ruled: dict[str, Recompute] = {}
    secrets = known(store)
    rules = [str(path) for path in paths if str(path).startswith(PREFIX)]
    paths = [path for path in paths if not str(path).startswith(PREFIX)]
    for path in paths:
        for precision in ONNX_FILES:
            if (artefact_directory(path) / ONNX_FILES[precision]).is_file():
                model = open_tried(path, precision)
                at[model.sha256] = model
    if paths and not at:
        raise InputError(f"{paths[0]} was not exported: run `compagnon export {paths[0]}`")

    if rules and not at:
        raise InputError(f"{rules[0]}: give the exported policy that decided beside it, too")
    for name in rules:
        schema = next(iter(at.values())).manifest.schema_
        rule = RuleModel(name, schema)
        ruled[rule.sha256] = recompute_with(rule, schema, secrets)

    def load(sha256: str) -> Recompute:
        if sha256 in ruled:
            return ruled[sha256]
        if sha256 in at:
            return recompute_with(at[sha256], at[sha256].manifest.schema_, secrets)
        version = registry.version_of_file(store, sha256)
        if version is None:
            raise InputError(f"model {sha256[:12]}... is not in the registry; give its path")
        precision = "fp32" if version.files.get(ONNX_FILES["fp32"]) == sha256 else "int8"
        model = open_version(store, version, precision)
        return recompute_with(model, model.manifest.schema_, secrets)

    return load
