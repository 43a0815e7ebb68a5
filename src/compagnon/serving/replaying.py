"""Makes logged decisions again, from their ids, features and masks, with the model of the log."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.drawing import decision_seed, draw, explored
from compagnon.policy.exported import ONNX_FILES
from compagnon.policy.loading import artefact_directory
from compagnon.policy.play import OTHER_BYTES, PLAYS, Play, PolicyOutput, others, played
from compagnon.serving.model_source import open_version
from compagnon.serving.models import Model, VectorModel
from compagnon.serving.trial import open_tried
from compagnon.serving.vectors import decide_vector, decided_before
from compagnon.store import DecisionRow, Store, registry
from compagnon.store.replay import Recompute
from compagnon.store.secrets import known

_TOGETHER: Final = 64  # rows of one run of the model; every model was tried with as many


def recompute_with(model: Model, secrets: Mapping[int, bytes]) -> Recompute:
    """What a model decides again.

    Args:
        secrets: that draws were made with, by their numbers in the log.
    """

    def recompute(rows: Sequence[DecisionRow]) -> list[DecisionRow]:
        again: list[DecisionRow] = []
        for start in range(0, len(rows), _TOGETHER):
            again += _again(model, rows[start : start + _TOGETHER], secrets)
        return again

    return recompute


def _again(
    model: Model, rows: Sequence[DecisionRow], secrets: Mapping[int, bytes]
) -> list[DecisionRow]:
    """Rows made again; one that no service can have written is not as it was logged: seed -1."""
    good = [row for row in rows if _fits(row, model) and row.secret in {None, *secrets}]
    found: dict[str, DecisionRow] = {}
    if good:
        obs = np.stack([np.frombuffer(row.features, "<f4") for row in good])
        obs = np.ascontiguousarray(obs, np.float32)
        if isinstance(model, VectorModel):
            decided = _vectors_again(model, good, obs, secrets)
        else:
            decided = _actions_again(model, good, obs, secrets)
        for row, parts in zip(good, decided, strict=True):
            if parts is not None:
                found[row.id] = row._replace(**parts)
    return [found.get(row.id, row._replace(seed=-1)) for row in rows]


def _seed(row: DecisionRow, secrets: Mapping[int, bytes]) -> int:
    secret = None if row.secret is None else secrets[row.secret]
    return decision_seed(row.id, row.application, secret)


def _play(row: DecisionRow) -> Play | None:
    """How a row was played; None where that was before it was told."""
    if row.play is None:
        return None
    if row.play not in PLAYS:
        raise InputError(f"no play is called {row.play!r}")
    return Play(row.play, row.epsilon, row.near)


def _vectors_again(
    model: VectorModel,
    rows: Sequence[DecisionRow],
    obs: NDArray[np.float32],
    secrets: Mapping[int, bytes],
) -> Iterator[dict[str, Any] | None]:
    said = model.say_vectors(obs)
    for place, row in enumerate(rows):
        seed = _seed(row, secrets)
        try:
            play = _play(row)
            if play is None:
                yield decided_before(model, said, place, seed, row.epsilon)
            else:
                yield decide_vector(model, said, place, play, seed, row.epsilon)
        except InputError:  # no such rate, or what the policy refuses
            yield None


def _actions_again(
    model: Model,
    rows: Sequence[DecisionRow],
    obs: NDArray[np.float32],
    secrets: Mapping[int, bytes],
) -> Iterator[dict[str, Any] | None]:
    actions = model.manifest.schema_.action.n
    packed = np.stack([np.frombuffer(row.mask or b"", np.uint8) for row in rows])
    masks = np.unpackbits(packed, axis=1, count=actions).astype(np.bool_)
    said = model.say(obs, masks)
    for place, row in enumerate(rows):
        one = slice(place, place + 1)
        own = PolicyOutput(
            said.outputs[one], said.action[one], said.probabilities[one], said.valued
        )
        try:
            yield _action_again(row, own, masks[one], _seed(row, secrets))
        except InputError:  # no action is possible, or no such rate
            yield None


def _action_again(
    row: DecisionRow, said: PolicyOutput, mask: NDArray[np.bool_], seed: int
) -> dict[str, Any]:
    """Of one row; `said` and `mask` (1, A)."""
    parts: dict[str, Any] = {"mask": np.packbits(mask).tobytes(), "seed": seed}
    play = _play(row)
    if play is None:
        probabilities = explored(said.probabilities[0], mask[0], row.epsilon)
        action = draw(probabilities, seed)
    else:
        action, probabilities, mode, rate = played(said, mask, play, [seed])[0]
        count = len(row.others or b"") // OTHER_BYTES
        parts |= {
            "mode": mode,
            "epsilon": rate,
            "others": others(said, mask, [action], [count])[0],
        }
    return {
        **parts,
        "probabilities": probabilities.astype("<f8").tobytes(),
        "action": action,
        "probability": float(probabilities[action]),
    }


def _fits(row: DecisionRow, model: Model) -> bool:
    """Whether its arrays have the sizes of a row that this model decided."""
    schema = model.manifest.schema_
    if len(row.features) != 4 * len(schema.observation.fields):
        return False
    if isinstance(model, VectorModel):
        return True
    return row.mask is not None and len(row.mask) == (schema.action.n + 7) // 8


def loader(store: Store, paths: Sequence[Path]) -> Callable[[str], Recompute]:
    """Finds models by the hash in the log: among artefacts on disk, then in the registry.

    Raises:
        InputError: one of the paths is no exported policy.
    """
    at = {}
    secrets = known(store)
    for path in paths:
        for precision in ONNX_FILES:
            if (artefact_directory(path) / ONNX_FILES[precision]).is_file():
                model = open_tried(path, precision)
                at[model.sha256] = model
    if paths and not at:
        raise InputError(f"{paths[0]} was not exported: run `compagnon export {paths[0]}`")

    def load(sha256: str) -> Recompute:
        if sha256 in at:
            return recompute_with(at[sha256], secrets)
        version = registry.version_of_file(store, sha256)
        if version is None:
            raise InputError(f"model {sha256[:12]}... is not in the registry; give its path")
        precision = "fp32" if version.files.get(ONNX_FILES["fp32"]) == sha256 else "int8"
        return recompute_with(open_version(store, version, precision), secrets)

    return load
