"""Loads a policy for the service: verified, warmed up, tried for the same bits in every batch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.loading import artefact_directory
from compagnon.policy.onnx_policy import OnnxPolicy, load_onnx
from compagnon.serving.inference import Model, run, run_vectors

_WARM_UP: Final = 64  # observations that a fresh model is tried on
_PARTS: Final = (2, 3, 7, 64)  # batch sizes that must give the same bits as one at a time


def open_model(
    path: Path,
    precision: str = "fp32",
    schema_sha256: str | None = None,
    *,
    sha256: str | None = None,
) -> Model:
    """Load, verify and warm up a policy, or the best policy of a run.

    It runs in this process: `trial.open_tried` is for a model that nobody has tried.

    Args:
        precision: ``fp32`` or ``int8``.
        schema_sha256: refuse a policy of any other schema.
        sha256: refuse any other file, before it is opened.

    Raises:
        InputError: no policy, not exported, tampered with, of another schema, or one that does not
            answer what it should.
    """
    if precision not in ("fp32", "int8"):
        raise InputError(f"precision={precision!r}: use fp32 or int8")
    policy = load_onnx(artefact_directory(path), precision, sha256=sha256)  # type: ignore[arg-type]
    manifest = policy.manifest
    if schema_sha256 is not None and manifest.schema_sha256 != schema_sha256:
        raise InputError(
            f"{path} reads or chooses something else than the policy in service (schema "
            f"{manifest.schema_sha256[:12]}..., not {schema_sha256[:12]}...); start another service"
        )
    discrete = manifest.schema_.action.kind == "discrete"
    warm_up = _warm_up if discrete else _warm_up_vectors
    return Model(policy, policy.sha256, rowwise=warm_up(policy, str(path)))


def _warm_up(policy: OnnxPolicy, who: str) -> bool:
    """Let a policy answer before anybody asks; whether its batches change the bits of a row.

    Raises:
        InputError: what it says are no probabilities inside the mask.
    """
    schema = policy.schema
    obs, mask = _examples(schema.observation.fields, schema.action.n, schema.observation.scaling)
    alone = np.concatenate(
        [policy.probabilities(obs[k : k + 1], mask[k : k + 1]) for k in range(len(obs))]
    )
    good = np.isfinite(alone).all() and not alone[~mask].any() and (alone >= 0).all()
    if not good or np.abs(alone.sum(axis=1) - 1).max() > 1e-6:
        raise InputError(f"{who}: on a trial it gave no probabilities inside the mask")
    return _rows_depend(lambda part: run(policy, obs[part], mask[part]), len(obs))


def _warm_up_vectors(policy: OnnxPolicy, who: str) -> bool:
    """The same for vectors of actions.

    Raises:
        InputError: what it says are no vectors within the bounds, or no deviations.
    """
    schema = policy.schema
    obs, _ = _examples(schema.observation.fields, 1, schema.observation.scaling)
    low, high = (np.array(bound, np.float32) for bound in (schema.action.low, schema.action.high))
    answer = policy.answer(obs)
    good = ((answer.action >= low) & (answer.action <= high)).all()
    if answer.std is not None:
        good = good and np.isfinite(answer.std).all() and (answer.std >= 0).all()
    if not good:
        raise InputError(f"{who}: on a trial it gave no vectors within the bounds")
    return _rows_depend(lambda part: run_vectors(policy, obs[part]), len(obs))


def _rows_depend(run: Callable[[slice], list[NDArray[Any]]], count: int) -> bool:
    """Whether batches change the bits that a row has alone, in anything that the graph gives."""

    def parts(size: int) -> list[NDArray[Any]]:
        some = [run(slice(k, k + size)) for k in range(0, count, size)]
        return [np.concatenate(part) for part in zip(*some, strict=True)]

    first = parts(1)
    return any(
        not np.array_equal(found, alone)
        for size in _PARTS
        for found, alone in zip(parts(size), first, strict=True)
    )


def _examples(
    fields: Any, actions: int, scaling: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Observations within the ranges of their fields, and masks of every density."""
    rng = np.random.default_rng(0)
    divisors = np.array([one.divisor if scaling == "published" else 1.0 for one in fields])
    low = np.clip([one.low for one in fields], -100, 100) / divisors
    high = np.clip([one.high for one in fields], -100, 100) / divisors
    obs = rng.uniform(low, np.maximum(low, high), (_WARM_UP, len(divisors))).astype(np.float32)
    mask = rng.random((_WARM_UP, actions)) < rng.random((_WARM_UP, 1))
    mask[np.arange(_WARM_UP), rng.integers(actions, size=_WARM_UP)] = True
    return obs, mask
