"""Compares what a policy does with what an expert would have done, decision by decision."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import MAX_COPIES, decisions, seeds_from
from compagnon.evaluation.labels import WorldLabels, labels_of
from compagnon.evaluation.verdict import with_interval
from compagnon.evaluation.worth import Deviation, Worth, sample_deviations, worth_of
from compagnon.policy import Policy, Schema, load_policy
from compagnon.wide_table import WideTable

MINUTES_PER_DAY = 1440
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class EpisodeDecisions(NamedTuple):
    """Every decision of E episodes; row t is the t-th decision of each.

    Attributes:
        taken: (T, E) int64, what the policy that drove did.
        other: (T, E) int64, what the other one would have done there.
        time: (T, E) int32, time units since the episode began.
        playing: (T, E) whether the episode was still under way.
        returns: (E,) sums of rewards.
        profit: (E,) what the business earned; NaN where the environment does not say.
    """

    taken: NDArray[np.int64]
    other: NDArray[np.int64]
    time: NDArray[np.int32]
    playing: NDArray[np.bool_]
    returns: NDArray[np.float64]
    profit: NDArray[np.float64]

    @property
    def differs(self) -> NDArray[np.bool_]:
        """(T, E): the decisions that differ."""
        return np.asarray(self.playing & (self.taken != self.other), np.bool_)


@dataclass(frozen=True)
class DecisionDifference:
    """One kind of difference: what the expert would have done, and what the policy did.

    Attributes:
        expert, policy: action families, or action numbers where actions have no families.
        size_only: the same family in another size.
        per_episode: how often, a mean over episodes.
        share: of all the differences.
        worth: what one such decision is worth, None where that is not estimated.
    """

    expert: str
    policy: str
    size_only: bool
    per_episode: float
    share: float
    worth: Worth | None

    @property
    def label(self) -> str:
        """``step 1 -> wait``, or ``step 1, other size``."""
        return f"{self.expert}, other size" if self.size_only else f"{self.expert} -> {self.policy}"

    def as_json(self) -> dict[str, Any]:
        """The entry of `Divergence.as_json`."""
        return {
            "expert": self.expert,
            "policy": self.policy,
            "size_only": self.size_only,
            "per_episode": self.per_episode,
            "share": self.share,
            "worth": None if self.worth is None else self.worth.as_json(),
        }


@dataclass(frozen=True)
class Divergence:
    """Where, when and on what a policy and an expert differ, and what that is worth.

    Attributes:
        decisions: how many were compared.
        share: of them that differ, on the states the policy visits.
        share_active: the same where either of the two does something rather than wait; None
            where no action means waiting.
        share_on_expert: of decisions that differ on the states the expert visits.
        by_hour: (24,) share by hour of the day; by_day: (7,) by day; empty without a clock.
        labels: names of the rows and columns of `confusion`.
        confusion: (L, L) decisions an episode, by what the expert would have done (row) and what
            the policy did (column); equal decisions included.
        differences: every kind, the most frequent first.
        horizon: time units that a deviation is followed for; None to the episode's end.
        accounted: the sum of frequency times worth, None with a horizon: one that ends early
            credits what is begun and not what it displaces later. With every deviation sampled
            it is the difference in return itself (Kakade and Langford 2002, lemma 6.1).
        measured: mean return of the policy less that of the expert.
    """

    policy: str
    expert: str
    env: str
    env_args: dict[str, Any]
    episodes: int
    seed: int
    decisions: int
    share: float
    share_active: float | None
    share_on_expert: float
    by_hour: tuple[float, ...]
    by_day: tuple[float, ...]
    labels: tuple[str, ...]
    confusion: NDArray[np.float64]
    differences: list[DecisionDifference]
    horizon: int | None
    accounted: Worth | None
    measured: Worth

    def as_json(self) -> dict[str, Any]:
        """The documented JSON of ``compagnon divergence --json``."""
        return {
            "policy": self.policy,
            "expert": self.expert,
            "env": self.env,
            "env_args": self.env_args,
            "episodes": self.episodes,
            "seed": self.seed,
            "decisions": self.decisions,
            "share": self.share,
            "share_active": self.share_active,
            "share_on_expert": self.share_on_expert,
            "by_hour": list(self.by_hour),
            "by_day": list(self.by_day),
            "labels": list(self.labels),
            "confusion": self.confusion.tolist(),
            "differences": [difference.as_json() for difference in self.differences],
            "horizon": self.horizon,
            "accounted": None if self.accounted is None else self.accounted.as_json(),
            "measured": self.measured.as_json(),
        }


def divergence(
    policy: str | Policy,
    expert: str | Policy,
    env_id: str,
    env_args: dict[str, Any],
    episodes: int = 20,
    seed: int = 1_000_000,
    samples: int = 200,
    horizon: int | None = None,
) -> Divergence:
    """Play both policies on the same episodes and compare their decisions.

    What a kind of difference is worth is estimated where the environment can be restored: at
    sampled states the policy's action is taken once, and the expert's once, then the expert
    decides. Both meet the same demand and delays.

    Args:
        policy, expert: names (see `load_policy`) or policies bound to the environment.
        episodes: at most 1,024, of seeds ``seed .. seed + episodes - 1``; each week of an order
            book once.
        samples: states at which a deviation is tried, spread over the kinds; 0 for none.
        horizon: time units to follow a deviation for; None to the episode's end.

    Raises:
        InputError: an unknown policy or environment, actions that are not discrete, or numbers
            out of range.
    """
    _check(episodes, seed, samples, horizon)
    env = BatchEnv(env_id, env_args, 1)
    if not isinstance(env.action_space, spaces.Discrete):
        raise InputError(f"{env_id} has vectors for actions; decisions can be compared where they "
                         "are discrete")  # fmt: skip
    schema = Schema.of(env)
    chosen = load_policy(policy, schema) if isinstance(policy, str) else policy
    master = load_policy(expert, schema) if isinstance(expert, str) else expert
    labels = labels_of(env_id)
    seeds = seeds_from(env, seed, episodes)
    episodes = len(seeds)
    env = BatchEnv(env_id, env_args, episodes)
    mine = _record(env, seeds, chosen, master, labels)
    masters = _record(env, seeds, master, chosen, labels)
    kinds = _Kinds(labels, schema.action.n)
    deviations: list[Deviation] = []
    can_restore = bool(labels.families) and hasattr(env.vec, "state_dict")
    if samples and can_restore:
        chances = kinds.of(mine.other, mine.taken)
        deviations = sample_deviations(mine.differs, chances, samples, seed)
        worth_of(env, seeds, mine.taken, mine.other, deviations, master, labels, horizon)
    differences = _differences(mine, kinds, deviations, episodes)
    compared = int(mine.playing.sum())
    by_hour, by_day = _when(mine) if labels.clock else ((), ())
    return Divergence(
        policy=chosen.name,
        expert=master.name,
        env=env_id,
        env_args=env_args,
        episodes=episodes,
        seed=seed,
        decisions=compared,
        share=float(mine.differs.sum() / compared),
        share_active=_share_active(mine, labels),
        share_on_expert=float(masters.differs.sum() / masters.playing.sum()),
        by_hour=by_hour,
        by_day=by_day,
        labels=kinds.labels,
        confusion=kinds.table(mine) / episodes,
        differences=differences,
        horizon=horizon,
        accounted=Worth.total([(d.per_episode, d.worth) for d in differences if d.worth])
        if can_restore and samples and horizon is None
        else None,
        measured=Worth.of(mine.returns - masters.returns, mine.profit - masters.profit),
    )


def _check(episodes: int, seed: int, samples: int, horizon: int | None) -> None:
    if not 1 <= episodes <= MAX_COPIES:
        raise InputError(f"episodes={episodes}: between 1 and {MAX_COPIES}")
    if seed < 0:
        raise InputError(f"seed={seed}: 0 or more")
    if samples < 0:
        raise InputError(f"samples={samples}: 0 or more")
    if horizon is not None and horizon < 1:
        raise InputError(f"horizon={horizon}: at least 1, or none to follow to the end")


class _Kinds:
    """Numbers the kinds of difference: (expert's label, policy's label) as one integer."""

    def __init__(self, labels: WorldLabels, actions: int) -> None:
        self._domain = labels
        self.labels = labels.families or tuple(f"action {a}" for a in range(actions))

    def of(self, expert: NDArray[np.int64], policy: NDArray[np.int64]) -> NDArray[np.int64]:
        family = self._domain.family_of
        pair = family(expert) * len(self.labels) + family(policy)
        return np.asarray(pair, np.int64)

    def names(self, kind: int) -> tuple[str, str]:
        row, column = divmod(kind, len(self.labels))
        return self.labels[row], self.labels[column]

    def table(self, recording: EpisodeDecisions) -> NDArray[np.float64]:
        size = len(self.labels)
        kinds = self.of(recording.other, recording.taken)[recording.playing]
        return np.bincount(kinds, minlength=size * size).reshape(size, size).astype(np.float64)


def _record(
    env: BatchEnv, seeds: list[int], driver: Policy, other: Policy, labels: WorldLabels
) -> EpisodeDecisions:
    env.reset(seeds)
    taken, would, times, playing = [], [], [], []
    time = np.zeros(len(seeds), np.int64)
    returns = np.zeros(len(seeds))
    profit = np.full(len(seeds), np.nan)
    for decision in decisions(env, driver):
        step = decision.step
        taken.append(decision.action.astype(np.int64))
        would.append(other.act(decision.obs, decision.action_mask).astype(np.int64))
        times.append(time.astype(np.int32))
        playing.append(decision.playing)
        time = time + step.duration
        returns += step.reward * decision.playing
        if step.kpis is not None and labels.profit in env.kpi_names:
            ended = decision.playing & (step.terminated | step.truncated)
            profit[ended] = step.kpis[ended, env.kpi_names.index(labels.profit)]
    return EpisodeDecisions(
        np.stack(taken), np.stack(would), np.stack(times), np.stack(playing), returns, profit
    )


def _share_active(recording: EpisodeDecisions, labels: WorldLabels) -> float | None:
    """The share of differences among decisions where somebody does something."""
    if labels.idle < 0:
        return None
    family = labels.family_of
    mine = family(recording.taken)
    theirs = family(recording.other)
    active = recording.playing & ((mine != labels.idle) | (theirs != labels.idle))
    return float(recording.differs.sum() / max(int(active.sum()), 1))


def _when(recording: EpisodeDecisions) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The share of decisions that differ, by hour of the day and by day of the week."""
    differs = recording.differs[recording.playing]
    time = recording.time[recording.playing]
    days, minutes = np.divmod(time, MINUTES_PER_DAY)

    def shares(slot: NDArray[np.int32], count: int) -> Iterator[float]:
        every = np.bincount(slot, minlength=count)[:count]
        some = np.bincount(slot[differs], minlength=count)[:count]
        return (float(a / b) if b else 0.0 for a, b in zip(some, every, strict=True))

    return tuple(shares(minutes // 60, 24)), tuple(shares(days, 7))


def _differences(
    recording: EpisodeDecisions, kinds: _Kinds, deviations: list[Deviation], episodes: int
) -> list[DecisionDifference]:
    """The kinds of difference, the most frequent first, each with what it is worth."""
    present, counts = np.unique(
        kinds.of(recording.other, recording.taken)[recording.differs], return_counts=True
    )
    total = max(int(counts.sum()), 1)
    result = []
    for kind, count in sorted(zip(present, counts, strict=True), key=lambda pair: -pair[1]):
        expert, policy = kinds.names(int(kind))
        mine = [deviation for deviation in deviations if deviation.kind == kind]
        worth = (
            Worth.of(
                np.array([deviation.reward for deviation in mine]),
                np.array([deviation.profit for deviation in mine]),
            )
            if mine
            else None
        )
        share = float(count / total)
        frequency = float(count / episodes)
        result.append(DecisionDifference(expert, policy, expert == policy, frequency, share, worth))
    return result


def print_divergence(console: Console, divergence: Divergence) -> None:
    """What differs, how often, and what it is worth; by action, hour and day."""
    d, labels = divergence, labels_of(divergence.env)
    console.print(Text(in_words(d)), soft_wrap=True)
    if d.differences:
        table = WideTable(title=f"{d.expert} would -> {d.policy} does")
        columns = (f"times {labels.each}", "share", "reward each", "profit each", "tried")
        table.add_column("")
        for column in columns:
            table.add_column(column, justify="right")
        for kind in d.differences:
            worth = kind.worth
            table.add_row(
                kind.label,
                f"{kind.per_episode:,.1f}",
                f"{kind.share:.1%}",
                "" if worth is None else with_interval(worth.reward),
                "" if worth is None or worth.profit is None else with_interval(worth.profit),
                "" if worth is None else str(worth.samples),
            )
        console.print(table)
    if d.by_hour:
        title = "Decisions that differ, by day and by hour of the day"
        table = WideTable(title=title, repeat_first=False)
        for _ in range(8):
            table.add_column(justify="right")
        table.add_row(*DAYS, "")
        table.add_row(*(f"{share:.1%}" for share in d.by_day), "")
        table.add_section()
        for first in range(0, 24, 8):
            hours = range(first, first + 8)
            table.add_row(*(f"{hour:02}:00" for hour in hours), style="dim")
            table.add_row(*(f"{d.by_hour[hour]:.1%}" for hour in hours))
        table.show_header = False
        console.print(table)


def in_words(d: Divergence) -> str:
    """How much differs, and what it adds up to, in a few sentences."""
    labels = labels_of(d.env)
    if not d.differences:
        return (
            f"{d.policy} decides as {d.expert} does in all of its {d.decisions:,} decisions over "
            f"{labels.count(d.episodes)}."
        )
    text = f"{d.policy} differs from {d.expert} in {d.share:.1%} of its {d.decisions:,} decisions"
    if d.share_active is not None:
        text += f" ({d.share_active:.1%} of those where either of them does more than wait)"
    text += f", and in {d.share_on_expert:.1%} on the states that {d.expert} visits. "
    text += f"Against it, reward moves by {with_interval(d.measured.reward)} {labels.each}"
    if d.measured.profit is not None:
        text += f" and profit by {with_interval(d.measured.profit)}"
    text += "."
    if d.accounted is not None:
        text += " Decision by decision, the sampled deviations add up to "
        text += f"{with_interval(d.accounted.reward)}."
    return text
