"""The roadmap's KPI table, reproduced: what it hoped for beside what each policy gets here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, Final

import numpy as np

from compagnon.envs import BatchEnv
from compagnon.evaluation.episodes import EpisodeResults
from compagnon.evaluation.evaluate import evaluate
from compagnon.evaluation.statistics import Estimate, estimate_each
from compagnon.policy import Policy, Schema, load_policy
from compagnon.worlds.dispatch_poc import DISPATCH_POC

POLICIES: Final = (
    "expert:dispatch-poc-random-unmasked",
    "random",
    "expert:dispatch-poc-least-loaded",
    "expert:dispatch-poc-nearest",
    "expert:dispatch-poc-earliest",
    "expert:dispatch-poc-matching",
    "expert:dispatch-poc-outlook",
)
AGAINST: Final = "expert:dispatch-poc-earliest"
TRIPS_RULE: Final = "expert:dispatch-poc-outlook"  # reads what only observation="trips" shows
_WARM_UP = 10  # decisions before the clock starts


@dataclass(frozen=True)
class Promise:
    """A line of the roadmap: a KPI, its unit, and what was promised of it."""

    kpi: str
    words: str
    baseline: str
    target: str


ROADMAP: Final = (
    Promise("reward_per_step", "reward per step", "-105", "+45"),
    Promise("completion", "completion", "10 %", "88 %"),
    Promise("mean_distance", "mean distance, km", "12", "6.5"),
    Promise("late_share", "late pick-ups", "40 %", "12 %"),
    Promise("satisfaction", "satisfaction, of 5", "3.8", "4.6"),
)
LATENCY: Final = Promise("decision_ms", "decision, ms", "-", "28")
SHARES: Final = ("completion", "late_share")


@dataclass(frozen=True)
class TableRow:
    """One policy: its KPIs, reward against the earliest deadline, and time to decide."""

    policy: str
    kpis: dict[str, Estimate]
    against: Estimate
    decision_ms: float
    results: EpisodeResults


@dataclass(frozen=True)
class PocTable:
    """The table: the days it was played on, and a line a policy."""

    env_args: dict[str, Any]
    episodes: int
    seed: int
    lines: list[TableRow]

    def as_json(self) -> dict[str, Any]:
        """The documented JSON of ``compagnon dispatch-poc table --json``."""
        return {
            "env": DISPATCH_POC,
            "env_args": self.env_args,
            "episodes": self.episodes,
            "seed": self.seed,
            "roadmap": [vars(promise) for promise in (*ROADMAP, LATENCY)],
            "against": AGAINST,
            "seeds": list(range(self.seed, self.seed + self.episodes)),
            "policies": [
                {
                    "name": line.policy,
                    "kpis": {name: found.as_json() for name, found in line.kpis.items()},
                    "reward_per_step_less_against": line.against.as_json(),
                    "decision_ms": line.decision_ms,
                    "per_episode": line.results.as_json(),
                }
                for line in self.lines
            ],
        }


def make_table(
    policies: Sequence[str],
    env_args: dict[str, Any],
    episodes: int = 100,
    seed: int = 1_000_000,
    progress: Callable[[str], None] | None = None,
) -> PocTable:
    """Play every policy on the same days.

    Args:
        policies: names, see `load_policy`; those that learnt read what they need by name.
        env_args: options of the environment.
        episodes, seed: the days are those of the seeds ``seed .. seed + episodes - 1``.

    Raises:
        InputError: an unknown policy, a bad option, or fewer than one episode.
    """
    wanted = list(dict.fromkeys(policies))
    names = [*wanted, *([] if AGAINST in wanted else [AGAINST])]
    found = evaluate(names, DISPATCH_POC, env_args, episodes, seed, progress=progress)
    schema = Schema.of(BatchEnv(DISPATCH_POC, env_args, 1))
    results = {name: score.results for name, score in zip(names, found.scores, strict=True)}
    basis = results[AGAINST].kpis["reward_per_step"]
    lines = []
    for name in wanted:
        kpis = results[name].kpis
        figures = estimate_each({**kpis, "against": kpis["reward_per_step"] - basis})
        against = figures.pop("against")
        ms = decision_ms(load_policy(name, schema), env_args, seed)
        lines.append(TableRow(name, figures, against, ms, results[name]))
    return PocTable(env_args, found.episodes, seed, lines)


def decision_ms(policy: Policy, env_args: dict[str, Any], seed: int) -> float:
    """Median time of one decision on one board, over one day, in milliseconds."""
    env = BatchEnv(DISPATCH_POC, env_args, 1)
    env.reset([seed])
    taken = []
    over = False
    while not over:
        start = perf_counter()
        action = policy.act(env.obs, env.action_mask)
        taken.append(perf_counter() - start)
        over = bool(env.step(np.asarray(action)).terminated[0])
    return 1000 * median(taken[_WARM_UP:] or taken)
