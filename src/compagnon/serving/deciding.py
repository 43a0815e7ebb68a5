"""The decision itself: explored inside the mask, drawn by the decision's id, put into words."""

import os
import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from compagnon.policy.drawing import decision_seed, draw, draw_many, explored
from compagnon.serving.models import Model
from compagnon.serving.wire import Alternative, Answer

Likely = list[tuple[float, int]]


class Words(Protocol):
    """What each action means."""

    def __getitem__(self, action: int, /) -> str:
        """In words."""
        ...


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


def likeliest(vector: NDArray[np.float64], count: int) -> Likely:
    """The `count` + 1 likeliest actions of a vector of probabilities, (-p, action), in order.

    One more than asked for, since the action that was taken may be among them.
    """
    if count == 0:
        return []
    minus = -vector
    kept = min(count + 1, len(minus))
    found = minus.argpartition(kept - 1)[:kept]
    return sorted(zip(minus[found].tolist(), found.tolist(), strict=True))


def likeliest_many(vectors: list[NDArray[np.float64]], count: int) -> list[Likely]:
    """`likeliest` of each."""
    if count == 0:
        return [[] for _ in vectors]
    minus = -np.stack(vectors)
    kept = min(count + 1, minus.shape[1])
    found = minus.argpartition(kept - 1, axis=1)[:, :kept]
    chosen = minus[np.arange(len(minus))[:, None], found]
    return [
        sorted(zip(row, actions, strict=True))
        for row, actions in zip(chosen.tolist(), found.tolist(), strict=True)
    ]


def answer(
    decision_id: str,
    action: int,
    probability: float,
    likely: Likely,
    words: Words,
    alternatives: int,
    model_sha256: str,
) -> Answer:
    """The decision in words, with the most probable of the other possible actions."""
    others = [
        Alternative(other, words[other], -minus)
        for minus, other in likely
        if other != action and minus < 0
    ]
    return Answer(
        decision_id, action, words[action], probability, others[:alternatives], model_sha256
    )


def new_id() -> str:
    """A UUIDv7 (RFC 9562): milliseconds since 1970, then 74 random bits."""
    return new_ids(1)[0]


def new_ids(count: int) -> list[str]:
    """Several at once: asking the system for random bits is what takes the time."""
    milliseconds = (time.time_ns() // 1_000_000) & (2**48 - 1)
    random = os.urandom(10 * count)
    return [_uuid7(milliseconds, random[k : k + 10]) for k in range(0, 10 * count, 10)]


def _uuid7(milliseconds: int, random: bytes) -> str:
    bits = int.from_bytes(random)
    high = 0x7000 | bits >> 68
    low = 1 << 63 | bits & (2**62 - 1)
    text = f"{milliseconds:012x}{high:04x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
