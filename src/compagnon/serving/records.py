"""What the log has, as a service tells it: decisions, and what people made of them."""

import math
from typing import Any

import numpy as np
from msgspec import UNSET

from compagnon.serving import schemas
from compagnon.serving.codec import (
    ActionCodec,
    Component,
    IndexCodec,
    VectorCodec,
    density_of,
    distribution_of,
    in_words,
    mask_of,
    named,
    vector_of,
)
from compagnon.serving.errors import unprocessable
from compagnon.store.decisions import DecisionRow
from compagnon.store.overrides import Override


def record_of(
    row: DecisionRow, codec: ActionCodec, schema_sha256: str, human: Override | None = None
) -> Any:
    """A row of the log as it is told: a `DecisionRecord` or a `VectorRecord`.

    Args:
        codec: of the service that tells it, whose schema has this hash. The log may hold decisions
            of other services too, and we know no labels of theirs.
        human: what a person made of it.
    """
    ours = row.schema_sha256 == schema_sha256
    told = None if human is None else override_as_told(human, row, codec if ours else None)
    features = np.frombuffer(row.features, np.float32).tolist()
    if row.action_vector is None:
        probabilities = np.frombuffer(row.probabilities, np.float64)
        action = -1 if row.action is None else row.action
        labels = codec.labels if ours and isinstance(codec, IndexCodec) else ()
        return schemas.DecisionRecord(
            **schemas.shown(row),
            action=action,
            meaning=labels[action] if 0 <= action < len(labels) else f"action {action}",
            probability=row.probability,
            probabilities=probabilities.tolist(),
            possible=np.flatnonzero(mask_of(row, len(probabilities))).tolist(),
            features=features,
            human=told,
        )
    vector = vector_of(row)
    mean, std = distribution_of(row)
    parts = components_of(row, codec if ours else None)
    return schemas.VectorRecord(
        **schemas.shown(row),
        action=named(parts, vector),
        meaning=in_words(parts, vector),
        density=density_of(row),
        log_density=row.log_density or 0.0,
        mean=named(parts, mean),
        std=named(parts, std),
        features=features,
        human=told,
    )


def override_of(
    decision_id: str, given: schemas.OverrideRequest, codec: ActionCodec, now: float
) -> Override:
    """What a person said, as it is kept.

    Args:
        now: the time where none is given, seconds since 1970.

    Raises:
        ApiError: 422 for an action that there is not.
    """
    for name in ("reason", "person"):
        if "\x00" in getattr(given, name):
            raise unprocessable(name, "it may not hold the character of code 0")
    action, vector = None, None
    if given.action is not UNSET:
        if isinstance(codec, IndexCodec):
            action = _index(given.action, len(codec.labels))
        else:
            vector = _vector(given.action, codec.components)
    time = now if given.time is None else given.time
    return Override(decision_id, given.verdict, action, vector, given.reason, given.person, time)


def _index(action: Any, count: int) -> int:
    if not isinstance(action, int) or not 0 <= action < count:
        raise unprocessable("action", f"give the number of an action, 0 to {count - 1}")
    return action


def _vector(action: Any, components: tuple[Component, ...]) -> bytes:
    names = [one.name for one in components]
    if not isinstance(action, dict) or action.keys() != set(names):
        raise unprocessable("action", f"give a number for each of {', '.join(names)}")
    values = np.array([action[name] for name in names], "<f4")
    if not np.isfinite(values).all():
        raise unprocessable("action", "give finite numbers")
    return values.tobytes()


def override_as_told(
    kept: Override, row: DecisionRow, codec: ActionCodec | None
) -> schemas.OverrideAnswer:
    """What a person made of a decision, and what was done then.

    Args:
        row: the decision. codec: of its schema; None where that is another service's.
    """
    action: Any
    if row.action_vector is None:
        action = row.action if kept.action is None else kept.action
        known = codec.labels if isinstance(codec, IndexCodec) else ()
        meaning = known[action] if 0 <= action < len(known) else f"action {action}"
    else:
        if kept.action_vector is not None:
            row = row._replace(action_vector=kept.action_vector)
        parts, vector = components_of(row, codec), vector_of(row)
        action, meaning = named(parts, vector), in_words(parts, vector)
    return schemas.OverrideAnswer(
        kept.decision_id, kept.verdict, action, meaning, kept.reason, kept.person, kept.time
    )


def components_of(row: DecisionRow, codec: ActionCodec | None) -> tuple[Component, ...]:
    """What each number of a logged vector is, as far as that is known here."""
    if isinstance(codec, VectorCodec):
        return codec.components
    low, high = -math.inf, math.inf
    count = len(vector_of(row))
    return tuple(Component(f"action_{k}", "", low, high) for k in range(count))
