"""The decision itself: what the policy plays, drawn by the decision's id, as columns of the log.

For actions that are one of several (`decide`) and for vectors (`decide_vectors`) alike the result
is everything of a `DecisionRow` that follows from the observation, the mask, the id and the model;
so the service writes with the functions that a replay computes again with.
"""

import functools
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from compagnon.policy.action_selection import (
    DETERMINISTIC,
    OTHER_BYTES,
    SAMPLED,
    Play,
    PolicyOutput,
    Quota,
    others,
    played,
)
from compagnon.policy.exported import ACTION, ACTION_MASK, OBS, OUTPUTS, PROBABILITIES, STD
from compagnon.policy.manifest import GaussianHead, Manifest, ValuesHead
from compagnon.policy.onnx_policy import OnnxPolicy
from compagnon.policy.sampling import decision_seed, draw, explored
from compagnon.policy.vector_action_selection import (
    VectorsSaid,
    played_vector,
    said_by_normals,
    said_surely,
)
from compagnon.policy.vector_sampling import Bounds, draw_vector
from compagnon.store.decisions import DecisionRow
from compagnon.store.secrets import Secret

Columns = dict[str, Any]  # of a `DecisionRow`
_WANTED: Final = [OUTPUTS, ACTION, PROBABILITIES]
_MOST: Final = 1e300  # of a density that a column holds
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


@dataclass(frozen=True, eq=False)
class Model:
    """One version of a policy.

    Attributes:
        sha256: of the file that the policy was read from; answers and the log name it.
        rowwise: what is said of a row depends, in its last bits, on the rows beside it, so that
            batches are decided row by row: a replay must find the same bits.
    """

    policy: OnnxPolicy
    sha256: str
    rowwise: bool = False

    @property
    def manifest(self) -> Manifest:
        """What the policy reads and chooses, and where it comes from."""
        return self.policy.manifest

    def say(self, obs: NDArray[np.float32], mask: NDArray[np.bool_]) -> PolicyOutput:
        """What the policy says of N observations, row by row the same bits in every batch.

        Observations and masks were checked by whoever read the request.
        """
        if self.rowwise and len(obs) > 1:
            rows = [run(self.policy, obs[k : k + 1], mask[k : k + 1]) for k in range(len(obs))]
            parts = [np.concatenate(part) for part in zip(*rows, strict=True)]
        else:
            parts = run(self.policy, obs, mask)
        outputs, action, probabilities = parts
        return PolicyOutput(outputs, action, probabilities, self._valued)

    def say_vectors(self, obs: NDArray[np.float32]) -> VectorsSaid:
        """The same of a policy whose actions are vectors."""
        if self.rowwise and len(obs) > 1:
            rows = [run_vectors(self.policy, obs[k : k + 1]) for k in range(len(obs))]
            parts = [np.concatenate(part) for part in zip(*rows, strict=True)]
        else:
            parts = run_vectors(self.policy, obs)
        if not isinstance(self.manifest.head, GaussianHead):
            return said_surely(parts[0])
        schema = self.manifest.schema_.action
        action, outputs, std = parts
        return said_by_normals(schema, action, outputs[:, : schema.n], std)

    @functools.cached_property
    def _valued(self) -> bool:
        return isinstance(self.manifest.head, ValuesHead)


class Decider(Protocol):
    """A policy that decides: a model, or a rule."""

    @property
    def sha256(self) -> str:
        """What the log names it by."""
        ...

    def say(self, obs: NDArray[np.float32], mask: NDArray[np.bool_]) -> PolicyOutput:
        """See `Model`."""
        ...

    def say_vectors(self, obs: NDArray[np.float32]) -> VectorsSaid:
        """See `Model`."""
        ...


def run(
    policy: OnnxPolicy, obs: NDArray[np.float32], mask: NDArray[np.bool_]
) -> list[NDArray[Any]]:
    """Outputs, the best actions and probabilities, without the checks of `OnnxPolicy.answer`."""
    found: list[NDArray[Any]] = policy.session.run(_WANTED, {OBS: obs, ACTION_MASK: mask})
    return found


def run_vectors(policy: OnnxPolicy, obs: NDArray[np.float32]) -> list[NDArray[Any]]:
    """The best vectors; of a Gaussian policy its outputs and deviations as well."""
    gaussian = isinstance(policy.manifest.head, GaussianHead)
    found: list[NDArray[Any]] = policy.session.run(
        [ACTION, OUTPUTS, STD] if gaussian else [ACTION], {OBS: obs}
    )
    return found


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


# ------------------------------------------------------------------ one of several actions


def decide(
    model: Decider,
    obs: NDArray[np.float32],
    mask: NDArray[np.bool_],
    ids: Sequence[str],
    draw: Draw,
    alternatives: Sequence[int],
    quota: Quota | None = None,
) -> list[Columns]:
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
    packed = np.packbits(mask, axis=1)
    found = []
    for k, (action, probabilities, mode, rate) in enumerate(made):
        found.append(
            {
                "mask": packed[k].tobytes(),
                "probabilities": probabilities.astype("<f8", copy=False).tobytes(),
                "action": action,
                "action_vector": None,
                "probability": float(probabilities[action]),
                "seed": seeds[k],
                "mode": mode,
                "epsilon": rate,
                "others": liked[k],
            }
        )
    return found


def decide_again(
    row: DecisionRow, said: PolicyOutput, mask: NDArray[np.bool_], seed: int, play: Play | None
) -> Columns:
    """What `decide` makes of a logged decision.

    Args:
        said: of this row alone; `mask` (1, A) likewise.
        play: how it was played; None where that was before it was told: those were drawn from the
            policy, and explored everything that was possible.

    Raises:
        InputError: no action is possible, or there is no such rate.
    """
    again: Columns = {"mask": np.packbits(mask).tobytes(), "seed": seed}
    if play is None:
        probabilities = explored(said.probabilities[0], mask[0], row.epsilon)
        action = draw(probabilities, seed)
    else:
        action, probabilities, mode, rate = played(said, mask, play, [seed])[0]
        count = len(row.others or b"") // OTHER_BYTES
        liked = others(said, mask, [action], [count])[0]
        again |= {"mode": mode, "epsilon": rate, "others": liked}
    return {
        **again,
        "probabilities": probabilities.astype("<f8").tobytes(),
        "action": action,
        "probability": float(probabilities[action]),
    }


# ------------------------------------------------------------------ vectors


def decide_vector(
    said: VectorsSaid, row: int, bounds: Bounds, play: Play, seed: int, rate: float
) -> Columns:
    """Play a vector.

    Args:
        said: from `Model.say_vectors`; `row` of it is decided.
        rate: the share of exploration that applies.

    Raises:
        InputError: the policy makes no numbers of the observation.
    """
    made = played_vector(said, row, bounds, play, seed, rate)
    return {
        **_vector_columns(made.action, made.log_density, seed, made.mean, made.std),
        "mode": made.mode,
        "epsilon": made.rate,
    }


def decide_vector_again(
    row: DecisionRow, said: VectorsSaid, place: int, bounds: Bounds, seed: int, play: Play | None
) -> Columns:
    """What `decide_vector` makes of a logged decision.

    Args:
        play: None where that was before it was told: drawn, or uniform within the bounds.

    Raises:
        InputError: there is no such rate, or the policy refuses the observation.
    """
    if play is not None:
        return decide_vector(said, place, bounds, play, seed, row.epsilon)
    mean, std = said.mean[place], said.std[place]
    drawn = draw_vector(mean, std, bounds, row.epsilon, seed)
    sure = not row.epsilon and not std.any()
    return {
        **_vector_columns(drawn.action, drawn.log_density, seed, mean, std),
        "mode": DETERMINISTIC if sure else SAMPLED,
    }


def _vector_columns(
    action: NDArray[np.float32],
    log_density: float,
    seed: int,
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
) -> Columns:
    return {
        "mask": None,
        "probabilities": b"",
        "action": None,
        "action_vector": action.astype("<f4").tobytes(),
        "probability": min(math.exp(min(log_density, 700.0)), _MOST),
        "seed": seed,
        "distribution": np.stack([mean, std]).astype("<f8").tobytes(),
        "log_density": log_density,
    }


# ------------------------------------------------------------------ ids


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
