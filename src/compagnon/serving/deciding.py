"""The decision itself: explored inside the mask, drawn by the decision's id, put into words."""

import os
import time
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from compagnon.policy.drawing import decision_seed, draw, draw_many, explored
from compagnon.serving.models import Model
from compagnon.serving.wire import Alternative, Answer

Likely = list[tuple[float, int]]
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class Words(Protocol):
    """What each action means."""

    def __getitem__(self, action: int, /) -> str:
        """In words."""
        ...


@dataclass(slots=True, eq=False)  # a frozen one takes three times as long to make
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

    One more than asked for, since the action that was taken may be among them. Of those that are
    as likely the first comes first.
    """
    if count == 0:
        return []
    left, found = vector.copy(), []
    for _ in range(min(count + 1, len(vector))):  # a few passes that only compare, without a sort
        action = int(left.argmax())
        found.append((-float(left[action]), action))
        left[action] = -1.0
    return found


def likeliest_many(vectors: list[NDArray[np.float64]], count: int) -> list[Likely]:
    """`likeliest` of each."""
    if count == 0:
        return [[] for _ in vectors]
    left = np.stack(vectors)
    kept = min(count + 1, left.shape[1])
    rows = np.arange(len(left))
    found = np.empty((len(left), kept), np.int64)
    values = np.empty((len(left), kept))
    for place in range(kept):
        found[:, place] = best = left.argmax(axis=1)
        values[:, place] = left[rows, best]
        left[rows, best] = -1.0
    return [
        list(zip(row, actions, strict=True))
        for row, actions in zip((-values).tolist(), found.tolist(), strict=True)
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
    stamp = f"{(time.time_ns() // 1_000_000) & (2**48 - 1):012x}"
    begin = f"{stamp[:8]}-{stamp[8:]}-7"
    random = os.urandom(10 * count).hex()
    return [_uuid7(begin, random[k : k + 20]) for k in range(0, 20 * count, 20)]


def _uuid7(begin: str, digits: str) -> str:
    """Of 20 random digits 18 and a half are used: 4 bits say the version, 2 the variant."""
    variant = _VARIANT[digits[3]]
    return f"{begin}{digits[:3]}-{variant}{digits[4:7]}-{digits[7:19]}"
