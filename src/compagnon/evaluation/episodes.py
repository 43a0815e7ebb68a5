"""Plays policies on the same episodes, many at once, and keeps what each episode gave."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from compagnon.envs import BatchEnv, Step
from compagnon.envs.making import GYMNASIUM, SAME_EPISODES
from compagnon.errors import InputError
from compagnon.evaluation.progress import usual_length
from compagnon.evaluation.statistics import finite_or_none
from compagnon.policy import DayReader, Policy

MAX_COPIES = 1024
MAX_EPISODES = 1_000_000
_TELL_SECONDS = 0.2  # between two words about how far it is


@dataclass(frozen=True)
class EpisodeResults:
    """One row an episode, in the order of the seeds.

    Attributes:
        returns: (E,) undiscounted sums of rewards.
        lengths: (E,) steps.
        kpis: name -> (E,).
    """

    seeds: tuple[int, ...]
    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    kpis: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Every figure of every episode, in the order of the seeds; null for what is unknown."""
        return {
            "returns": [finite_or_none(value) for value in self.returns],
            "lengths": self.lengths.tolist(),
            "kpis": {
                name: [finite_or_none(value) for value in values]
                for name, values in self.kpis.items()
            },
        }


class EpisodeDecision(NamedTuple):
    """One decision of N copies and what it led to; arrays are valid until the next one.

    Attributes:
        obs: (N, F) what the policy saw.
        action_mask: (N, A) what it could do, or None.
        action: (N,) or (N, D) what it did.
        step: what came of it.
        playing: (N,) the copies whose first episode was still under way; ignore the others.
    """

    obs: NDArray[np.float32]
    action_mask: NDArray[np.bool_] | None
    action: NDArray[Any]
    step: Step
    playing: NDArray[np.bool_]


def seeds_from(env: BatchEnv, first: int, episodes: int) -> list[int]:
    """Seeds of `episodes` episodes, or of as many different ones as `env` has.

    An order book has so many weeks; playing one twice would make intervals too narrow.

    Raises:
        InputError: more episodes than anybody could wait for.
    """
    if episodes > MAX_EPISODES:
        raise InputError(f"episodes={episodes}: at most {MAX_EPISODES:,}")
    if env.distinct_episodes is not None:
        episodes = min(episodes, env.distinct_episodes)
    return list(range(first, first + episodes))


def decisions(
    env: BatchEnv, policy: Policy, rng: np.random.Generator | None = None
) -> Iterator[EpisodeDecision]:
    """Play until every copy has ended one episode, from where `env` stands.

    Args:
        env: freshly reset, or restored; it keeps stepping copies that have ended.
        policy: bound to the environment's schema.
        rng: draws the actions; None plays greedily.

    Raises:
        InputError: the policy chose a masked action (one that is made to, to measure what it
            costs, says so with an attribute ``ignores_mask``).
    """
    playing = np.ones(env.num_envs, np.bool_)
    if isinstance(policy, DayReader):
        policy = policy.playing(env)
    while playing.any():
        # Our environments write into the arrays they handed out, so these are copied.
        obs = env.obs.copy()
        mask = None if env.action_mask is None else env.action_mask.copy()
        action = policy.act(obs, mask, rng)
        if mask is not None and not getattr(policy, "ignores_mask", False):
            _require_possible(policy, mask, action)
        step = env.step(action)
        yield EpisodeDecision(obs, mask, action, step, playing)
        playing = playing & ~(step.terminated | step.truncated)


def _require_possible(policy: Policy, mask: NDArray[np.bool_], action: NDArray[np.int64]) -> None:
    rows = np.arange(len(mask))
    possible = mask[rows, np.clip(action, 0, mask.shape[1] - 1)]
    if not possible.all():
        row = int(np.argmin(possible))
        raise InputError(
            f"{policy.name} chose action {action[row]}, which its action mask forbids; "
            "a policy must choose among the actions that the mask allows"
        )


def play_episodes(
    env_id: str,
    env_args: dict[str, Any],
    policy: Policy,
    seeds: list[int],
    sample_seed: int | None = None,
    progress: Callable[[float], None] | None = None,
    backend: str = GYMNASIUM,
) -> EpisodeResults:
    """Play one episode of each seed.

    Args:
        policy: bound to this environment's schema.
        seeds: the episode of seed s is the same for every policy.
        sample_seed: draw actions with this seed; None plays greedily.
        progress: told the share that is done, from 0 to 1, a few times a second.
        backend: ``processes`` shares the copies of a slow simulator out among processes; the
            results are the same. A `DayReader` reads the copies, which are in this process then.

    Raises:
        InputError: a backend that plays other episodes, or does not serve the environment.
    """
    if backend not in SAME_EPISODES:
        raise InputError(
            f"backend={backend!r}: policies are compared on the episodes of "
            f"{' or '.join(SAME_EPISODES)}, which are the same"
        )
    if isinstance(policy, DayReader):
        backend = GYMNASIUM
    # A policy's matrices are small: a second BLAS thread costs more than it brings.
    with threadpool_limits(1, user_api="blas"):
        parts = []
        for i in range(0, len(seeds), MAX_COPIES):
            some = seeds[i : i + MAX_COPIES]
            watch = _Watch(progress, env_id, i, len(some), len(seeds))
            with closing(BatchEnv(env_id, env_args, len(some), backend)) as env:
                parts.append(_play_in(env, policy, some, sample_seed, watch))
    return EpisodeResults(
        tuple(seeds),
        np.concatenate([part.returns for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        {name: np.concatenate([_kpi(part, name) for part in parts]) for name in parts[0].kpis},
    )


class _Watch:
    """Tells how much of a policy's play is done: episodes by their time, where that is known."""

    def __init__(
        self,
        tell: Callable[[float], None] | None,
        env_id: str,
        before: int,
        copies: int,
        total: int,
    ) -> None:
        self._tell = tell
        self._length = None if tell is None else usual_length(env_id)
        self._before, self._copies, self._total = before, copies, total
        self._lived = 0.0  # time units of an episode that has not ended, on average
        self._told = time.monotonic()

    def stepped(self, step: Step, playing: NDArray[np.bool_]) -> None:
        """The copies of `playing` made a step."""
        if self._tell is None:
            return
        self._lived += float(step.duration[playing].mean()) if playing.any() else 0.0
        now = time.monotonic()
        if now - self._told < _TELL_SECONDS:
            return
        self._told = now
        on = playing & ~(step.terminated | step.truncated)
        ended = 1.0 - float(on.sum()) / self._copies
        lived = 0.0 if self._length is None else min(1.0, self._lived / self._length)
        share = ended + (1.0 - ended) * lived
        self._tell((self._before + share * self._copies) / self._total)


def _kpi(part: EpisodeResults, name: str) -> NDArray[np.float64]:
    """A KPI of some episodes; NaN where these, unlike others, did not give it."""
    return part.kpis[name] if name in part.kpis else np.full(len(part.seeds), np.nan)


def _play_in(
    env: BatchEnv, policy: Policy, seeds: list[int], sample_seed: int | None, watch: "_Watch"
) -> EpisodeResults:
    env.reset(seeds)
    rng = None if sample_seed is None else np.random.default_rng([sample_seed, *seeds[:1]])
    returns = np.zeros(len(seeds))
    lengths = np.zeros(len(seeds), np.int64)
    kpis = np.full((len(seeds), len(env.kpi_names)), np.nan)
    for _, _, _, step, playing in decisions(env, policy, rng):
        returns[playing] += step.reward[playing]
        lengths[playing] += 1
        if step.kpis is not None:
            if step.kpis.shape[1] > kpis.shape[1]:  # the first end has named them
                kpis = np.full((len(seeds), len(env.kpi_names)), np.nan)
            ended = playing & (step.terminated | step.truncated)
            kpis[ended] = step.kpis[ended]
        watch.stepped(step, playing)
    by_name = dict(zip(env.kpi_names, kpis.T, strict=True))
    return EpisodeResults(tuple(seeds), returns, lengths, by_name)
