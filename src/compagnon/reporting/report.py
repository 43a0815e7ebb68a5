"""Writes what an evaluation found as one HTML file that needs nothing else to be read."""

import contextlib
import json
import platform
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from compagnon.evaluation.audit import Audit
from compagnon.evaluation.divergence import DAYS, Divergence, in_words
from compagnon.evaluation.evaluate import Evaluation, PolicyScore
from compagnon.evaluation.labels import WorldLabels, labels_of
from compagnon.evaluation.statistics import estimate
from compagnon.evaluation.verdict import amount, with_interval
from compagnon.files import write_file
from compagnon.reporting import svg
from compagnon.version import __version__

MAX_HISTOGRAMS = 4
MAX_KINDS = 12
Curves = Sequence[svg.Series] | Mapping[str, Sequence[svg.Series]]


class Figure(NamedTuple):
    """A chart and what stands above it."""

    image: Markup
    caption: str


@dataclass(frozen=True)
class Section:
    """One more evaluation in a report, for example on the reader's own order book."""

    heading: str
    evaluation: Evaluation
    audit: Audit | None = None
    divergence: Divergence | None = None
    note: str = ""
    part: Markup | None = None


def write_report(
    path: Path,
    title: str,
    evaluation: Evaluation,
    audit: Audit | None = None,
    divergence: Divergence | None = None,
    curves: Curves | None = None,
    sections: Sequence[Section] = (),
    command: str | Sequence[str] = "",
    settings: Mapping[str, object] | None = None,
    note: str = "",
    part: Markup | None = None,
) -> None:
    """Write the report to `path`, whole or not at all.

    Args:
        evaluation: what the headline table shows; its first policy is the one to beat.
        audit: of the same episodes; adds the split of the reward and the verdicts.
        curves: learning curves: series for one chart, or the title of each chart -> its series.
        sections: further evaluations, each with a heading of its own.
        command: what reproduces the report, as typed or as a list of arguments.
        settings: shown beside the command, for example the recipe of the run.
        note: a paragraph below the title.
        part: what only this environment has, see `compagnon.worlds.World.report_part`.
    """
    path = Path(path)
    write_file(
        path,
        render_report(
            title, evaluation, audit, divergence, curves, sections, command, settings, note, part
        ),
    )


def render_report(
    title: str,
    evaluation: Evaluation,
    audit: Audit | None = None,
    divergence: Divergence | None = None,
    curves: Curves | None = None,
    sections: Sequence[Section] = (),
    command: str | Sequence[str] = "",
    settings: Mapping[str, object] | None = None,
    note: str = "",
    part: Markup | None = None,
) -> str:
    """The HTML that `write_report` writes."""
    first = Section("Results", evaluation, audit, divergence, part=part)
    templates = Environment(
        loader=PackageLoader("compagnon.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("report.html").render(
        title=title,
        note=note,
        sections=[_section(section) for section in (first, *sections)],
        curves=_curves(curves),
        command=command if isinstance(command, str) else shlex.join(command),
        settings=_settings(settings or {}),
        versions=versions(),
    )


def _section(section: Section) -> dict[str, Any]:
    """What the template shows of one evaluation."""
    evaluation, audit = section.evaluation, section.audit
    labels = labels_of(evaluation.env)
    charts = list(_score_plots(evaluation, labels))
    if audit is not None:
        charts.append(_terms_chart(audit, labels))
    charts += _histograms(evaluation, labels)
    return {
        "heading": section.heading,
        "note": section.note,
        "about": _about(evaluation, labels),
        "episode": labels.episode,
        "each": labels.each,
        "has_profit": labels.profit in evaluation.scores[0].kpis,
        "rows": _headline(evaluation, labels),
        "verdicts": []
        if audit is None
        else [
            {"policy": gain.policy, "kind": gain.verdict.kind, "words": gain.words}
            for gain in audit.gains
        ],
        "charts": charts,
        "part": section.part,
        "kpis": [] if section.part is not None else _kpis(evaluation, labels),
        "policies": [score.name for score in evaluation.scores],
        "divergence": None if section.divergence is None else _divergence(section.divergence),
    }


def _about(evaluation: Evaluation, labels: WorldLabels) -> str:
    last = evaluation.seed + evaluation.episodes - 1
    options = ", ".join(f"{key}={value}" for key, value in evaluation.env_args.items())
    how = "actions drawn from the policy" if evaluation.sampled else "greedy play"
    return (
        f"{evaluation.env}{f' with {options}' if options else ''}; "
        f"{labels.count(evaluation.episodes)}, seeds {evaluation.seed} to {last}, "
        f"the same for every policy; {how}."
    )


def _headline(evaluation: Evaluation, labels: WorldLabels) -> list[dict[str, str]]:
    paired = {id(s): p for s, p in zip(evaluation.scores[1:], evaluation.paired, strict=True)}
    rows = []
    for score in evaluation.scores:
        profit = score.results.kpis.get(labels.profit or "")
        pair = paired.get(id(score))
        rows.append(
            {
                "name": score.name,
                "mean": f"{score.mean:z,.0f}" if abs(score.mean) >= 100 else f"{score.mean:z,.1f}",
                "ci": _interval(score.ci95),
                "sd": amount(score.sd, sign=False),
                "profit": "" if profit is None else f"{profit.mean():z,.0f}",
                "profit_ci": "" if profit is None else _interval(estimate(profit).ci95),
                "difference": "" if pair is None else amount(pair.mean),
                "difference_ci": "" if pair is None else _interval(pair.ci95, sign=True),
                "wins": "" if pair is None else f"{pair.win_share:.0%}",
            }
        )
    return rows


def _interval(ends: tuple[float, float], sign: bool = False) -> str:
    if not np.isfinite(ends).all():
        return "no interval"
    return f"[{amount(ends[0], sign)}, {amount(ends[1], sign)}]"


def _score_plots(evaluation: Evaluation, labels: WorldLabels) -> Iterable[Figure]:
    rows = [svg.Interval(score.name, score.mean, *score.ci95) for score in evaluation.scores]
    title = "Mean reward of each policy, with 95 % intervals"
    label = f"reward {labels.each}"
    yield Figure(Markup(svg.interval_plot(rows, title, label)), title)
    if labels.profit in evaluation.scores[0].kpis:
        profits = [estimate(score.results.kpis[labels.profit]) for score in evaluation.scores]
        rows = [
            svg.Interval(score.name, profit.mean, *profit.ci95)
            for score, profit in zip(evaluation.scores, profits, strict=True)
        ]
        title = "Mean profit of each policy, with 95 % intervals"
        yield Figure(Markup(svg.interval_plot(rows, title, f"profit {labels.each}")), title)


def _terms_chart(audit: Audit, labels: WorldLabels) -> Figure:
    terms = list(audit.policies[0].terms)
    title = "What the reward is made of"
    image = svg.term_bars(
        [policy.name for policy in audit.policies],
        [labels.label(term) for term in terms],
        [[policy.terms[term].mean for term in terms] for policy in audit.policies],
        title,
        f"reward {labels.each} by term; the mark is the sum",
    )
    return Figure(Markup(image), title)


def _histograms(evaluation: Evaluation, labels: WorldLabels) -> Iterable[Figure]:
    first = evaluation.scores[0]
    if evaluation.episodes < 2:
        return
    for score in evaluation.scores[1 : 1 + MAX_HISTOGRAMS]:
        title = f"{score.name} less {first.name}, {labels.episode} by {labels.episode}"
        difference = score.results.returns - first.results.returns
        yield Figure(Markup(svg.histogram(difference, title, "difference in reward")), title)


def _kpis(evaluation: Evaluation, labels: WorldLabels) -> list[tuple[str, list[str]]]:
    """Rows of (KPI in words, a cell for each policy); those that are 0 everywhere are left out."""

    def cells(name: str, scores: list[PolicyScore]) -> list[str]:
        values = [score.kpis[name] for score in scores]
        as_share = name.endswith(("share", "share_p1", "share_p2", "utilisation"))
        if as_share:
            return [f"{value:.1%}" for value in values]
        return [amount(value, sign=False) if value else "0" for value in values]

    return [
        (labels.with_unit(name), cells(name, evaluation.scores))
        for name in evaluation.scores[0].kpis
        if any(score.kpis[name] for score in evaluation.scores)
    ]


def _divergence(found: Divergence) -> dict[str, Any]:
    labels = labels_of(found.env)
    charts = []
    if len(found.labels) <= MAX_KINDS:
        title = (
            f"Decisions {labels.each}: what {found.expert} would do, and what {found.policy} does"
        )
        image = svg.heat_table(
            found.labels,
            found.labels,
            found.confusion,
            title,
            row_label="would do",
            column_label="does",
            diagonal=True,
        )
        charts.append(Figure(Markup(image), title))
    if found.by_hour:
        hours = [f"{hour:02}" for hour in range(24)]
        for names, shares, when in (
            (hours, found.by_hour, "hour of the day"),
            (DAYS, found.by_day, "day of the week"),
        ):
            title = f"Share of decisions that differ, by {when}"
            charts.append(Figure(Markup(svg.column_chart(names, shares, title)), title))
    kinds = [
        {
            "label": kind.label,
            "often": f"{kind.per_episode:,.1f}",
            "share": f"{kind.share:.1%}",
            "reward": "" if kind.worth is None else with_interval(kind.worth.reward),
            "profit": ""
            if kind.worth is None or kind.worth.profit is None
            else with_interval(kind.worth.profit),
            "tried": "" if kind.worth is None else str(kind.worth.samples),
        }
        for kind in found.differences[:MAX_KINDS]
    ]
    horizon = "to the end" if found.horizon is None else f"for {found.horizon:,} time units"
    return {
        "words": in_words(found),
        "policy": found.policy,
        "expert": found.expert,
        "charts": charts,
        "kinds": kinds,
        "horizon": horizon,
        "seeds": f"{labels.count(found.episodes)}, seeds {found.seed} to "
        f"{found.seed + found.episodes - 1}",
    }


def _curves(curves: Curves | None) -> list[Figure]:
    if not curves:
        return []
    panels = curves if isinstance(curves, Mapping) else {"Learning curve": curves}
    return [
        Figure(Markup(svg.line_chart(series, title, "environment steps", "")), title)
        for title, series in panels.items()
    ]


def _settings(settings: Mapping[str, object]) -> list[tuple[str, str]]:
    return [
        (key, value if isinstance(value, str) else json.dumps(value, default=str))
        for key, value in settings.items()
    ]


def versions() -> str:
    """What a page was made with."""
    found = {"compagnon": __version__, "Python": platform.python_version()}
    for package in ("numpy", "numba", "gymnasium"):
        with contextlib.suppress(PackageNotFoundError):  # numba is there where worlds are
            found[package] = version(package)
    return ", ".join(f"{name} {number}" for name, number in found.items())
