"""The decision itself: what the policy plays, drawn by the decision's id, put into words."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.policy.drawing import decision_seed
from compagnon.policy.play import Play, PlayedAction, Quota, others, played, unpacked
from compagnon.serving.models import Model
from compagnon.serving.schemas import Alternative, DecideAnswer
from compagnon.store.decisions import DecisionRow
from compagnon.store.secrets import Secret
from compagnon.worlds.codec import ActionLabels

Likely = list[tuple[int, float]]
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """How the decisions of a service are drawn.

    Attributes:
        play: of the policy.
        application: whose decisions they are.
        secret: that their seeds are made with; its number is 0 where there is none.
    """

    play: Play
    application: str
    secret: Secret

    def seeds(self, ids: Sequence[str]) -> list[int]:
        """The seed of each decision."""
        return [decision_seed(one, self.application, self.secret.value) for one in ids]


@dataclass(slots=True, eq=False)  # a frozen one takes three times as long to make
class DrawnDecision:
    """What was decided.

    Attributes:
        seed: of the draw.
        played: the action and what it was drawn from.
        others: what the policy would have liked instead, see `policy.play.others`.
    """

    seed: int
    played: PlayedAction
    others: bytes


def decide(
    model: Model,
    obs: NDArray[np.float32],
    mask: NDArray[np.bool_],
    ids: Sequence[str],
    draw: Draw,
    alternatives: Sequence[int],
    quota: Quota | None = None,
) -> list[DrawnDecision]:
    """Decide N times, row by row what each gives alone.

    Args:
        obs: (N, F), in the policy's units. mask: (N, A).
        alternatives: how many other actions each answer lists.
        quota: how much each may explore; without it as much as `draw.play` says.

    Raises:
        InputError: the policy makes no number of an observation.
    """
    said = model.say(obs, mask)
    seeds = draw.seeds(ids)
    made = played(said, mask, draw.play, seeds, quota)
    liked = others(said, mask, [one.action for one in made], alternatives)
    return [DrawnDecision(*each) for each in zip(seeds, made, liked, strict=True)]


def likeliest(probabilities: NDArray[np.float64], action: int, count: int) -> Likely:
    """The likeliest actions but for one, of a row from before the policy's liking was logged.

    Of those that are as likely the first comes first.
    """
    left, found = probabilities.copy(), []
    left[action] = 0.0
    for _ in range(min(count, len(left) - 1)):
        best = int(left.argmax())
        if left[best] > 0.0:
            found.append((best, float(left[best])))
        left[best] = 0.0
    return found


def answer(row: DecisionRow, words: ActionLabels, alternatives: int) -> DecideAnswer:
    """A logged decision in words, with the other actions that the policy likes best."""
    assert row.action is not None
    probabilities = np.frombuffer(row.probabilities, np.float64)
    if row.others is None:
        liked = likeliest(probabilities, row.action, alternatives)
    else:
        liked = unpacked(row.others)
    others = [
        Alternative(other, words[other], float(probabilities[other]), preference)
        for other, preference in liked
    ]
    return DecideAnswer(
        row.id, row.action, words[row.action], row.probability, others, row.model_sha256
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
