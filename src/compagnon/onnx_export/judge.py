"""Judges an INT8 policy by what it decides and what that costs, not by its arithmetic."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from compagnon.evaluation.evaluate import PairedDifference, evaluate
from compagnon.onnx_export.states import States
from compagnon.policy.onnx_policy import OnnxPolicy

CLOSE = 0.01  # vectors agree within so much of the range of each component


@dataclass(frozen=True)
class Judgement:
    """INT8 beside FP32.

    Attributes:
        states: real ones, none of which calibrated anything.
        agreement: the share of them with the same greedy action (vectors: within `CLOSE`).
        moved: the mean of how far decisions moved: total variation between probabilities, or the
            share of the range between vectors.
        episodes: that both played. fp32_return: the mean of FP32.
        difference, low, high: INT8's return less FP32's on the same episodes, with its 95 %
            interval; NaN for the ends where one episode gives none.
        fp32_bytes, int8_bytes: of the files.
        verdict: all that in words.
    """

    states: int
    agreement: float
    moved: float
    episodes: int
    fp32_return: float
    difference: float
    low: float
    high: float
    fp32_bytes: int
    int8_bytes: int
    verdict: str = ""

    def as_json(self) -> dict[str, Any]:
        """The figures, by name; an end of an interval that is not known is null."""
        known = {"low": _or_none(self.low), "high": _or_none(self.high)}
        return {**asdict(self), **known}


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def judge(
    fp32: OnnxPolicy,
    int8: OnnxPolicy,
    states: States,
    env_id: str,
    env_args: dict[str, Any],
    episodes: int,
    seed: int,
    sizes: tuple[int, int],
) -> Judgement:
    """Compare two forms of one policy.

    Args:
        fp32, int8: bound to the environment's schema. states: in the policy's own fields.
        sizes: bytes of the two files.
    """
    agreement, moved = agree(fp32, int8, states)
    found = evaluate([fp32, int8], env_id, env_args, episodes, seed)
    pair, mean = found.paired[0], found.scores[0].mean
    alike = f"in {agreement:.1%} of real states"
    if not fp32.discrete:
        alike = f"within {CLOSE:.0%} of the range {alike} ({moved:.1%} apart on average)"
    verdict = in_words(alike, pair, mean, sizes)
    return Judgement(
        len(states), agreement, moved, found.episodes, mean, pair.mean, *pair.ci95, *sizes, verdict
    )


def agree(fp32: OnnxPolicy, int8: OnnxPolicy, states: States) -> tuple[float, float]:
    """The share of states in which both decide alike, and how far decisions moved on average."""
    own = fp32.schema
    one, other = (policy.bind(own).answer(states.obs, states.mask) for policy in (fp32, int8))
    if one.probabilities is not None and other.probabilities is not None:
        distance = 0.5 * np.abs(one.probabilities - other.probabilities).sum(axis=1)
        return float((one.action == other.action).mean()), float(distance.mean())
    _, half = own.action.middle_and_half()
    share = np.abs(one.action - other.action) / (2 * np.where(half > 0, half, 1))
    return float((share <= CLOSE).all(axis=1).mean()), float(share.mean())


def in_words(alike: str, pair: PairedDifference, mean: float, sizes: tuple[int, int]) -> str:
    """What a person who must choose between the two files should know.

    Args:
        alike: how often both decide alike. pair: INT8's return less FP32's. mean: FP32's.
        sizes: bytes of FP32 and INT8.
    """
    low, high = pair.ci95
    ratio = sizes[0] / sizes[1]
    smaller = f"{ratio:.1f} times smaller" if ratio >= 1 else f"{1 / ratio:.1f} times larger"
    size = f"{smaller} than FP32"
    if low == high == 0:
        played = "and plays every episode to the same return"
    elif high < 0:
        played = f"but loses {_cost(-pair.mean, mean)}: keep FP32 unless size is what counts"
    elif low > 0:
        played = f"and earns {_cost(pair.mean, mean)} more on these episodes"
    elif not np.isfinite(low):
        played = "and was played too little to say what that costs"
    else:
        played = f"and loses nothing that shows; more than {_cost(-low, mean)} is ruled out"
    return f"INT8 is {size}, decides alike {alike} {played}"


def _cost(amount: float, mean: float) -> str:
    share = amount / abs(mean) if mean else 0.0
    words = f"{share:.2%}" if share >= 1e-4 else "under 0.01%"
    return f"{amount:,.4g} an episode" + (f" ({words} of FP32's)" if mean else "")
