"""Says where a gain in reward comes from, because a reward can rise while the business loses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from compagnon.envs import BatchEnv
from compagnon.envs.making import GYMNASIUM
from compagnon.errors import InputError
from compagnon.evaluation.episodes import EpisodeResults
from compagnon.evaluation.evaluate import Evaluation, evaluate
from compagnon.evaluation.labels import WorldLabels, labels_of
from compagnon.evaluation.statistics import Estimate, estimate_each
from compagnon.evaluation.verdict import Verdict, give_verdict
from compagnon.policy import Policy
from compagnon.wide_table import WideTable

REWARD, OTHER = "reward", "other"


@dataclass(frozen=True)
class PolicyAudit:
    """One policy's episodes, or how it differs from the first policy on the same ones.

    Attributes:
        reward: the sum of `terms`.
        terms: the reward terms that count in this reward.
        aside: terms that the environment keeps track of and this reward leaves out.
        profit: what the business earns, where the environment says so.
        lost: units made or bought for nothing, by KPI.
        served: share of demand met, by KPI.
    """

    name: str
    reward: Estimate
    terms: dict[str, Estimate]
    aside: dict[str, Estimate]
    profit: Estimate | None
    lost: dict[str, Estimate]
    served: dict[str, Estimate]

    def as_json(self) -> dict[str, Any]:
        """Every estimate as ``{"mean", "ci95"}``."""
        groups = {"terms": self.terms, "aside": self.aside, "lost": self.lost}
        return {
            "name": self.name,
            "reward": self.reward.as_json(),
            "profit": None if self.profit is None else self.profit.as_json(),
            **{
                group: {name: value.as_json() for name, value in values.items()}
                for group, values in {**groups, "served": self.served}.items()
            },
        }


@dataclass(frozen=True)
class Gain:
    """What a policy has over the first one, by term, and what that means.

    Attributes:
        difference: every figure paired by episode, `policy` less `against`.
        verdict: the kind of gain, and the sentence for people.
    """

    policy: str
    against: str
    difference: PolicyAudit
    verdict: Verdict

    @property
    def words(self) -> str:
        """The verdict's sentence."""
        return self.verdict.words


@dataclass(frozen=True)
class Audit:
    """Reward, term by term, beside what the business earns; each later policy against the first.

    Attributes:
        results: the episodes of each of `policies`, from which every figure here comes.
    """

    env: str
    env_args: dict[str, Any]
    episodes: int
    seed: int
    policies: list[PolicyAudit]
    gains: list[Gain]
    results: list[EpisodeResults]

    @property
    def labels(self) -> WorldLabels:
        """The words for this environment."""
        return labels_of(self.env)

    def as_json(self) -> dict[str, Any]:
        """The documented JSON of ``compagnon audit --json``, with every episode's figures."""
        return {
            "env": self.env,
            "env_args": self.env_args,
            "episodes": self.episodes,
            "seed": self.seed,
            "seeds": list(self.results[0].seeds),
            "labels": self.labels.as_json(self.results[0].kpis),
            "policies": [
                {**policy.as_json(), "per_episode": result.as_json()}
                for policy, result in zip(self.policies, self.results, strict=True)
            ],
            "gains": [
                {
                    "policy": gain.policy,
                    "against": gain.against,
                    "verdict": gain.verdict.kind,
                    "words": gain.words,
                    "difference": gain.difference.as_json(),
                }
                for gain in self.gains
            ],
        }


def audit(
    policies: Sequence[str | Policy],
    env_id: str,
    env_args: dict[str, Any],
    episodes: int = 100,
    seed: int = 1_000_000,
    sampled: bool = False,
    progress: Callable[[str], None] | None = None,
    backend: str = GYMNASIUM,
) -> Audit:
    """Play the policies as `evaluate` does, and account for every unit of reward.

    Raises:
        InputError: as `evaluate`; or the environment does not split its reward into terms.
    """
    check_auditable(env_id, env_args)  # refuse before an hour of play, not after
    played = evaluate(
        policies, env_id, env_args, episodes, seed, sampled, progress, backend=backend
    )
    return audit_evaluation(played)


def audit_evaluation(evaluation: Evaluation) -> Audit:
    """The audit of episodes that have been played already.

    Raises:
        InputError: the environment does not split its reward into terms.
    """
    names = check_auditable(evaluation.env, evaluation.env_args)
    labels = labels_of(evaluation.env)
    results = [score.results for score in evaluation.scores]
    counted = _counted_terms(names, labels, results)
    columns = [_columns(names, counted, labels, result) for result in results]
    policies = [
        _policy_audit(score.name, names, counted, labels, column)
        for score, column in zip(evaluation.scores, columns, strict=True)
    ]
    gains = []
    for policy, column in zip(policies[1:], columns[1:], strict=True):
        difference = {name: values - columns[0][name] for name, values in column.items()}
        paired = _policy_audit(policy.name, names, counted, labels, difference)
        verdict = give_verdict(
            labels,
            against=policies[0].name,
            reward=paired.reward,
            terms=paired.terms,
            profit=paired.profit,
            lost={name: (policy.lost[name].mean, paired.lost[name]) for name in paired.lost},
        )
        gains.append(Gain(policy.name, policies[0].name, paired, verdict))
    return Audit(
        evaluation.env, evaluation.env_args, evaluation.episodes, evaluation.seed, policies, gains,
        results,
    )  # fmt: skip


def check_auditable(env_id: str, env_args: dict[str, Any]) -> tuple[str, ...]:
    """The names of an environment's reward terms.

    Raises:
        InputError: it does not split its reward into terms that its KPIs report.
    """
    env = BatchEnv(env_id, env_args, 1)
    names, kpis = env.reward_term_names, env.kpi_names
    if not names:
        raise InputError(
            f"{env_id} does not split its reward into terms, so there is nothing to audit; "
            "an environment that can be audited has `reward_term_names` and `kpi_names`"
        )
    missing = [name for name in names if name not in kpis]
    if missing:
        raise InputError(
            f"{env_id} cannot be audited: its reward term {missing[0]!r} is not among its KPIs "
            f"({', '.join(kpis) or 'it has none'})"
        )
    return names


def _counted_terms(
    names: tuple[str, ...], labels: WorldLabels, results: list[EpisodeResults]
) -> tuple[str, ...]:
    """The terms that make up this reward: all of them, or those of the profit."""
    for terms in (names, tuple(name for name in names if name in labels.profit_terms)):
        if terms and all(np.allclose(_sum(terms, r), r.returns, atol=1e-3) for r in results):
            return terms
    return (*names, OTHER)


def _sum(terms: tuple[str, ...], result: EpisodeResults) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.stack([result.kpis[name] for name in terms]).sum(axis=0)
    return total


def _columns(
    names: tuple[str, ...], counted: tuple[str, ...], labels: WorldLabels, result: EpisodeResults
) -> dict[str, NDArray[np.float64]]:
    """Everything an audit looks at, one figure an episode."""
    wanted = [*names, *labels.lost, *labels.served, *([labels.profit] if labels.profit else [])]
    columns = {name: result.kpis[name] for name in wanted if name in result.kpis}
    if OTHER in counted:
        columns[OTHER] = result.returns - _sum(names, result)
    columns[REWARD] = result.returns
    return columns


def _policy_audit(
    name: str,
    names: tuple[str, ...],
    counted: tuple[str, ...],
    labels: WorldLabels,
    columns: dict[str, NDArray[np.float64]],
) -> PolicyAudit:
    figures = estimate_each(columns)
    return PolicyAudit(
        name,
        figures[REWARD],
        {term: figures[term] for term in counted},
        {term: figures[term] for term in names if term not in counted},
        figures.get(labels.profit or ""),
        {kpi: figures[kpi] for kpi in labels.lost if kpi in figures},
        {kpi: figures[kpi] for kpi in labels.served if kpi in figures},
    )


def print_audit(console: Console, audit: Audit) -> None:
    """The table of terms, one column a policy, and a verdict for each gain."""
    labels = audit.labels
    table = WideTable(title=f"Where the reward comes from, mean {labels.each}")
    table.add_column("")
    for policy in audit.policies:
        table.add_column(policy.name, justify="right", overflow="fold")
    first = audit.policies[0]

    def row(
        label: str, values: list[Estimate | None], form: str = "z,.0f", style: str = ""
    ) -> None:
        cells = [f"{value.mean:{form}}" if value is not None else "" for value in values]
        table.add_row(label, *cells, style=style)

    for term in first.terms:
        # So that +2,000 of sales and -2,000 of costs read as what they are.
        row(labels.label(term), [policy.terms[term] for policy in audit.policies], "+z,.0f")
    row("reward", [policy.reward for policy in audit.policies], style="bold")
    table.add_section()
    if first.profit is not None:
        row("profit", [policy.profit for policy in audit.policies], style="bold")
    for term in first.aside:
        label = f"{labels.label(term)} (not in this reward)"
        row(label, [policy.aside[term] for policy in audit.policies], "+z,.0f", "dim")
    for kpi in first.lost:
        row(labels.label(kpi), [policy.lost[kpi] for policy in audit.policies], ",.1f")
    for kpi in first.served:
        row(labels.label(kpi), [policy.served[kpi] for policy in audit.policies], ".1%")
    console.print(table)
    for gain in audit.gains:
        console.print(Text.assemble((gain.policy, "bold"), ": ", gain.words), soft_wrap=True)
