"""The decision itself: explored inside the mask, drawn by the decision's id, put into words."""

import os
import time
import uuid
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compagnon.policy.drawing import decision_seed, draw, draw_many, explored
from compagnon.serving.models import Model
from compagnon.serving.wire import Alternative, Answer


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What was decided.

    Attributes:
        seed: of the draw.
        probabilities: (A,) float64, what was drawn from: explored, 0 outside the mask.
    """

    action: int
    seed: int
    probabilities: NDArray[np.float64]


def decide(
    model: Model,
    obs: NDArray[np.float32],
    mask: NDArray[np.bool_],
    decision_id: str,
    application: str,
    epsilon: float,
) -> Decision:
    """Decide once. `obs` (F,) in the policy's units, `mask` (A,).

    Raises:
        InputError: the policy makes no number of this observation.
    """
    probabilities = explored(model.probabilities(obs[None], mask[None])[0], mask, epsilon)
    seed = decision_seed(decision_id, application)
    return Decision(draw(probabilities, seed), seed, probabilities)


def decide_many(
    model: Model,
    obs: NDArray[np.float32],
    mask: NDArray[np.bool_],
    ids: list[str],
    application: str,
    epsilon: float,
) -> list[Decision]:
    """Decide a batch, row by row what `decide` gives. `obs` (N, F), `mask` (N, A)."""
    probabilities = explored(model.probabilities(obs, mask), mask, epsilon)
    seeds = [decision_seed(decision_id, application) for decision_id in ids]
    actions = draw_many(probabilities, np.array(seeds, np.int64))
    return [
        Decision(action, seed, row)
        for action, seed, row in zip(actions.tolist(), seeds, probabilities, strict=True)
    ]


def answer(
    decision_id: str,
    action: int,
    probabilities: NDArray[np.float64],
    words: tuple[str, ...],
    alternatives: int,
    model_sha256: str,
) -> Answer:
    """The decision in words, with the most probable of the other possible actions."""
    others: list[Alternative] = []
    if alternatives:
        count = min(alternatives + 1, len(probabilities))
        first = probabilities.argpartition(-count)[-count:] if count < len(probabilities) else None
        ranked = np.arange(len(probabilities)) if first is None else first
        found = sorted(zip((-probabilities[ranked]).tolist(), ranked.tolist(), strict=True))
        others = [
            Alternative(other, words[other], -minus)
            for minus, other in found
            if other != action and minus < 0
        ][:alternatives]
    return Answer(
        decision_id, action, words[action], float(probabilities[action]), others, model_sha256
    )


def new_id() -> str:
    """A UUIDv7 (RFC 9562): milliseconds since 1970, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (2**48 - 1)) << 80
    value |= 0x7 << 76 | (random >> 68 & 0xFFF) << 64 | 0b10 << 62 | random & (2**62 - 1)
    return str(uuid.UUID(int=value))
