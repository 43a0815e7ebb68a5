"""What an expert's decisions say before anything is trained: inputs, labels, loss, ceiling."""

from dataclasses import dataclass
from math import log
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.evaluation.episodes import decisions
from compagnon.evaluation.labels import WorldLabels
from compagnon.policy import Policy

DEAD_SD = 1e-2  # beside inputs of unit size, a fresh network cannot tell so little from nothing
DUPLICATE = 0.9999  # correlation
OWN_PAST = ("last_", "reward_")
CLOCKS = ("time", "time_left", "minute_of_day", "next_sale")


class LabelledDecisions(NamedTuple):
    """What an expert did: obs (N, F) as the environment gives them, masks (N, A), labels (N,)."""

    obs: NDArray[np.float32]
    action_mask: NDArray[np.bool_]
    labels: NDArray[np.int64]


def demonstrate(
    env_id: str, env_args: dict[str, Any], expert: Policy, seeds: list[int]
) -> LabelledDecisions:
    """Every decision of the expert over the episodes of `seeds`."""
    env = BatchEnv(env_id, env_args, len(seeds))
    env.reset(seeds)
    parts = []
    for decision in decisions(env, expert):
        assert decision.action_mask is not None  # actions are discrete
        playing = decision.playing
        parts.append(
            (
                decision.obs[playing],
                decision.action_mask[playing],
                np.array(decision.action[playing], np.int64),
            )
        )
    return LabelledDecisions(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


@dataclass(frozen=True)
class InputFigures:
    """One input as the network sees it.

    Attributes:
        read: share of the expert's decisions that change when this input alone is taken from
            another moment: 0 where the expert does not look at it.
        dead: its standard deviation is below `DEAD_SD`.
        own_past: it says what the agent itself did or earned before.
    """

    name: str
    mean: float
    sd: float
    low: float
    high: float
    read: float
    dead: bool
    own_past: bool


@dataclass(frozen=True)
class Inputs:
    """Every input, and the pairs (name, name) of which each says what the other says."""

    fields: tuple[InputFigures, ...]
    duplicates: tuple[tuple[str, str], ...]


def what_expert_reads(expert: Policy, made: LabelledDecisions, seed: int) -> NDArray[np.float64]:
    """(F,): share of decisions that change when one field is shuffled among the decisions."""
    rng = np.random.default_rng(seed)
    changed = np.empty(made.obs.shape[1])
    for column in range(made.obs.shape[1]):
        obs = made.obs.copy()
        obs[:, column] = rng.permutation(obs[:, column])
        changed[column] = (expert.act(obs, made.action_mask) != made.labels).mean()
    return changed


def look_at_inputs(
    x: NDArray[np.float32], names: tuple[str, ...], read: NDArray[np.float64]
) -> Inputs:
    """Figures of inputs (N, F), scaled as the network gets them, called `names`.

    Args:
        read: (F,), see `what_expert_reads`.
    """
    x = x.astype(np.float64)
    sd = x.std(axis=0)
    # float32 leaves a shadow of the mean in a column that never varies
    varies = sd > 1e-6 * np.maximum(np.abs(x).max(axis=0), 1e-30)
    columns = zip(names, x.mean(axis=0), sd, x.min(axis=0), x.max(axis=0), read, strict=True)
    fields = tuple(
        InputFigures(
            name,
            float(mean),
            float(deviation),
            float(low),
            float(high),
            float(share),
            bool(deviation < DEAD_SD),
            name.startswith(OWN_PAST),
        )
        for name, mean, deviation, low, high, share in columns
    )
    live = np.flatnonzero(varies)
    standard = (x[:, live] - x[:, live].mean(axis=0)) / sd[live]
    same = np.abs(standard.T @ standard / max(len(x), 1)) > DUPLICATE
    duplicates = tuple(
        (names[live[i]], names[live[j]])
        for i in range(len(live))
        for j in range(i + 1, len(live))
        if same[i, j]
    )
    return Inputs(fields, duplicates)


@dataclass(frozen=True)
class Labels:
    """What the expert decided.

    Attributes:
        commonest, share: the commonest action, and how often it is right: the accuracy of a
            student that always gives it.
        entropy: in nats, of the labels' frequencies: the cross-entropy of a student that knows
            these and looks at nothing.
        families: action family -> decisions; empty where actions have no families.
    """

    decisions: int
    distinct: int
    commonest: int
    share: float
    entropy: float
    families: dict[str, int]


def look_at_labels(labels: NDArray[np.int64], words: WorldLabels) -> Labels:
    """Balance of labels (N,)."""
    counts = np.bincount(labels)
    shares = counts[counts > 0] / len(labels)
    by_family = np.bincount(words.family_of(labels), minlength=len(words.families))
    return Labels(
        decisions=len(labels),
        distinct=len(shares),
        commonest=int(counts.argmax()),
        share=float(counts.max() / len(labels)),
        entropy=float(-(shares * np.log(shares)).sum()),
        families={name: int(n) for name, n in zip(words.families, by_family, strict=False)},
    )


@dataclass(frozen=True)
class Guessing:
    """What a loss starts at: the cross-entropy of a uniform guess, in nats.

    Attributes:
        actions: how many there are. possible: how many the mask allows, a mean over decisions.
        among_all, among_possible: the cost of guessing among all, or among the possible ones.
    """

    actions: int
    possible: float
    among_all: float
    among_possible: float


def look_at_masks(action_mask: NDArray[np.bool_]) -> Guessing:
    """What guessing costs under masks (N, A)."""
    possible = action_mask.sum(axis=1)
    actions = action_mask.shape[1]
    return Guessing(actions, float(possible.mean()), log(actions), float(np.log(possible).mean()))


@dataclass(frozen=True)
class Ceiling:
    """The accuracy that no student can exceed, because equal inputs carry different labels.

    Attributes:
        inputs: how many are looked at. decisions, distinct: rows, and different rows.
        contradicted: decisions whose inputs also occur with another label.
        accuracy: of a student that gives the commonest label of each distinct row.
    """

    inputs: int
    decisions: int
    distinct: int
    contradicted: int
    accuracy: float


def look_at_contradictions(x: NDArray[np.float32], labels: NDArray[np.int64]) -> Ceiling:
    """The ceiling of inputs (N, F) with labels (N,)."""
    # Adding 0.0 makes one zero of -0.0 and 0.0, which differ in bytes alone.
    rows = np.ascontiguousarray(x + np.float32(0.0))
    as_bytes = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, group = np.unique(as_bytes, return_inverse=True)
    pairs, counts = np.unique(np.stack([group, labels]), axis=1, return_counts=True)
    size = int(group.max()) + 1
    best = np.zeros(size, np.int64)
    np.maximum.at(best, pairs[0], counts)
    several = np.bincount(pairs[0], minlength=size) > 1
    return Ceiling(
        inputs=x.shape[1],
        decisions=len(labels),
        distinct=size,
        contradicted=int(several[group].sum()),
        accuracy=float(best.sum() / len(labels)),
    )
