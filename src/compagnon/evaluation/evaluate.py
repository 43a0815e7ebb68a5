"""Compares policies on the same episodes: means, intervals, and differences paired by seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from compagnon.envs import BatchEnv
from compagnon.envs.making import GYMNASIUM
from compagnon.errors import InputError
from compagnon.evaluation.episodes import EpisodeResults, play_episodes, seeds_from
from compagnon.evaluation.labels import labels_of
from compagnon.evaluation.progress import EvaluationProgress
from compagnon.evaluation.statistics import finite_or_none, interval_json, mean_interval
from compagnon.policy import Schema
from compagnon.policy.bound import PolicyLike, bind_policy
from compagnon.text import interval, number, text_table

Rows = list[list[str]]


@dataclass(frozen=True)
class PolicyScore:
    """What one policy gave over the common episodes."""

    name: str
    mean: float
    sd: float
    ci95: tuple[float, float]
    kpis: dict[str, float]
    results: EpisodeResults


@dataclass(frozen=True)
class PairedDifference:
    """How much more `policy` earned than `against` on the same episodes."""

    policy: str
    against: str
    mean: float
    ci95: tuple[float, float]
    win_share: float


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Scores of several policies on common seeds; every later one is compared with the first.

    As text it is what ``compagnon evaluate`` prints.
    """

    env: str
    env_args: dict[str, Any]
    episodes: int
    seed: int
    scores: list[PolicyScore]
    paired: list[PairedDifference]
    sampled: bool = False

    def __str__(self) -> str:
        parts = [self.headline, text_table(*self.score_table())]
        if self.paired:
            parts.append(f"Against {self.paired[0].against}, on the same episodes")
            parts.append(text_table(*self.paired_table()))
        return "\n\n".join(parts)

    __repr__ = __str__

    @property
    def headline(self) -> str:
        """What was played."""
        options = "".join(f" {key}={value}" for key, value in self.env_args.items())
        last = self.seed + self.episodes - 1
        many = "episode" if self.episodes == 1 else "episodes"
        how = "sampled" if self.sampled else "greedy"
        return f"{self.env}{options}: {self.episodes} {many}, seeds {self.seed} to {last}, {how}"

    def score_table(self) -> tuple[list[str], Rows]:
        """Columns and rows of the scores, to print."""
        profits = bool(self.scores) and "profit" in self.scores[0].kpis
        columns = ["policy", "mean return", "sd", "95 % interval", *(["profit"] if profits else [])]
        return columns, [
            [
                score.name,
                number(score.mean),
                number(score.sd),
                interval(score.ci95),
                *([number(score.kpis["profit"])] if profits else []),
            ]
            for score in self.scores
        ]

    def paired_table(self) -> tuple[list[str], Rows]:
        """Columns and rows of the paired differences, to print."""
        return ["policy", "difference", "95 % interval", "wins"], [
            [pair.policy, number(pair.mean), interval(pair.ci95), f"{pair.win_share:.0%}"]
            for pair in self.paired
        ]

    def as_json(self) -> dict[str, Any]:
        """The documented JSON of ``compagnon evaluate --json``.

        It holds every episode's figures, so that anybody can find the intervals again.
        """
        return {
            "env": self.env,
            "env_args": self.env_args,
            "episodes": self.episodes,
            "seed": self.seed,
            "sampled": self.sampled,
            "seeds": list(self.scores[0].results.seeds) if self.scores else [],
            "labels": labels_of(self.env).as_json(self.scores[0].kpis if self.scores else ()),
            "policies": [
                {
                    "name": score.name,
                    "mean": score.mean,
                    "sd": score.sd,
                    "ci95": interval_json(score.ci95),
                    "kpis": {name: finite_or_none(kpi) for name, kpi in score.kpis.items()},
                    "per_episode": score.results.as_json(),
                }
                for score in self.scores
            ],
            "paired": [
                {
                    "policy": pair.policy,
                    "against": pair.against,
                    "mean": pair.mean,
                    "ci95": interval_json(pair.ci95),
                    "win_share": pair.win_share,
                }
                for pair in self.paired
            ],
        }


def score_policy(name: str, results: EpisodeResults) -> PolicyScore:
    """Mean, standard deviation (n - 1) and interval of the mean return; means of the KPIs."""
    returns = results.returns
    sd = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    kpis = {name: float(values.mean()) for name, values in results.kpis.items()}
    return PolicyScore(name, float(returns.mean()), sd, mean_interval(returns), kpis, results)


def compare(policy: PolicyScore, against: PolicyScore) -> PairedDifference:
    """The paired difference of returns; a tie counts as half a win."""
    if policy.results.seeds != against.results.seeds:
        raise InputError("only results on the same seeds can be compared")
    difference = policy.results.returns - against.results.returns
    wins = float((difference > 0).mean() + 0.5 * (difference == 0).mean())
    return PairedDifference(
        policy.name, against.name, float(difference.mean()), mean_interval(difference), wins
    )


def evaluate(
    policies: Sequence[PolicyLike],
    env_id: str,
    env_args: dict[str, Any],
    episodes: int = 100,
    seed: int = 1_000_000,
    sampled: bool = False,
    progress: Callable[[str], None] | None = None,
    names: Sequence[str] | None = None,
    backend: str = GYMNASIUM,
) -> Evaluation:
    """Play each policy on the episodes of seeds ``seed .. seed + episodes - 1``.

    Where there are fewer different episodes than asked for (the weeks of an order book), each is
    played once: playing one twice would make the intervals too narrow.

    Args:
        policies: names (see `load_policy`), policies, or rules; see `bind_policy`.
        sampled: draw actions from the policy instead of taking the most probable one.
        progress: told who plays, the share that is done and about how long the rest takes.
        names: what the policies are called in the figures; their own names without it, and a
            number behind one that comes again.
        backend: what steps the copies, see `play_episodes`.

    Raises:
        InputError: an unknown policy or environment, or a policy that does not fit.
    """
    if episodes < 1:
        raise InputError(f"episodes={episodes}: at least 1")
    if seed < 0:
        raise InputError(f"seed={seed}: 0 or more")
    if not policies:
        raise InputError("name at least one policy to evaluate")
    env = BatchEnv(env_id, env_args, 1)
    schema = Schema.of(env)
    bound = [bind_policy(policy, schema).policy for policy in policies]
    called = names or _distinct([policy.name for policy in bound])
    seeds = seeds_from(env, seed, episodes)
    scores = []
    told = None if progress is None else EvaluationProgress(progress, len(bound))
    for name, policy in zip(called, bound, strict=True):
        if told is not None:
            told.begin(name)
        results = play_episodes(
            env_id,
            env_args,
            policy,
            seeds,
            sample_seed=seed if sampled else None,
            progress=None if told is None else told.at,
            backend=backend,
        )
        scores.append(score_policy(name, results))
    paired = [compare(score, scores[0]) for score in scores[1:]]
    return Evaluation(env_id, env_args, len(seeds), seed, scores, paired, sampled)


def _distinct(names: Sequence[str]) -> list[str]:
    """The names with a number behind each that was there before."""
    found: list[str] = []
    for name in names:
        number = 1 + sum(other == name for other in names[: len(found)])
        found.append(name if number == 1 else f"{name} ({number})")
    return found
