"""The part of a report that only dispatch has: scorecard, time to decide, a day on the map."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from compagnon.envs import BatchEnv
from compagnon.evaluation.evaluate import Evaluation
from compagnon.evaluation.statistics import Estimate, estimate
from compagnon.policy import Policy
from compagnon.reporting import svg
from compagnon.reporting.report import Figure
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch.report.replay import record, to_html
from compagnon.worlds.dispatch.report.scorecard import (
    SMALL_DAY,
    DecisionTimes,
    ScoreLine,
    cheapest_days,
    decision_times,
    scorecard,
)

REPLAYED: Final = 2  # policies beside each other on the map: the first and the last


def report_part(
    evaluation: Evaluation, policies: Sequence[Policy] = (), times: bool = True
) -> Markup:
    """The fragment of the page.

    Args:
        policies: those of the evaluation, bound to its environment, to play a day on the map and to
            time; without them neither is shown.
        times: whether decisions are timed.
    """
    card = scorecard(evaluation)
    shown = [policies[0], *policies[1:][-(REPLAYED - 1) :]] if policies else []
    templates = Environment(
        loader=PackageLoader("compagnon.worlds.dispatch.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    fragment = templates.get_template("page.html").render(
        policies=[score.name for score in evaluation.scores],
        card=[(heading, [_line(line) for line in lines]) for heading, lines in card.items()],
        charts=_charts(evaluation, card),
        bound=_bound(evaluation),
        small=SMALL_DAY,
        times=_times(evaluation, policies) if times else [],
        replay=draw_episode(shown, evaluation.env_args, evaluation.seed) if shown else None,
    )
    return Markup(fragment)


def _line(line: ScoreLine) -> dict[str, Any]:
    form = line.figure.form
    cells = []
    for k, value in enumerate(line.values):
        cell = {"value": _number(value.mean, form), "difference": "", "tone": ""}
        if k:
            difference = line.differences[k - 1]
            cell["difference"] = _difference(difference, form)
            cell["tone"] = _tone(difference, line.figure.better)
        cells.append(cell)
    return {"words": line.figure.label, "cells": cells}


def _number(value: float, form: str, sign: bool = False) -> str:
    return f"{value:{'+' if sign else ''}z{form}}".replace("-", "\N{MINUS SIGN}")


def _difference(found: Estimate, form: str) -> str:
    if found.mean == 0.0 and found.ci95 == (0.0, 0.0):
        return "the same"
    ends = [_number(end, form, sign=True) for end in found.ci95]
    if not np.isfinite(found.ci95).all():
        return _number(found.mean, form, sign=True)
    return f"{_number(found.mean, form, sign=True)} [{ends[0]}, {ends[1]}]"


def _tone(found: Estimate, better: str) -> str:
    """``good`` or ``bad`` where the interval leaves 0 out and one way is better."""
    low, high = found.ci95
    if not better or not np.isfinite(found.ci95).all() or low <= 0.0 <= high:
        return ""
    return "good" if (low > 0.0) == (better == "more") else "bad"


def _charts(evaluation: Evaluation, card: dict[str, list[ScoreLine]]) -> list[Figure]:
    """Savings paired by day, and the parts of the cost."""
    parts = card["Cost of the day"]
    made = []
    if len(evaluation.scores) > 1:
        first = evaluation.scores[0].name
        rows = [
            svg.Interval(score.name, found.mean, *found.ci95)
            for score, found in zip(evaluation.scores[1:], parts[0].differences, strict=True)
        ]
        title = f"Cost of a day more than {first}, paired by day, with 95 % intervals"
        chart = svg.interval_plot(rows, title, "cost; left of 0 is cheaper", zero=True)
        made.append(Figure(Markup(chart), title))
        served = card["Rides"][1]
        rows = [
            svg.Interval(score.name, found.mean, *found.ci95)
            for score, found in zip(evaluation.scores, served.values, strict=True)
        ]
        title = "Rides served a day, with 95 % intervals"
        made.append(Figure(Markup(svg.interval_plot(rows, title, "rides served")), title))
    title = "What the cost of a day is made of"
    chart = svg.term_bars(
        [score.name for score in evaluation.scores],
        [line.figure.label for line in parts[1:]],
        [[line.values[k].mean for line in parts[1:]] for k in range(len(evaluation.scores))],
        title,
        "cost of a day by part; the mark is the sum",
    )
    return [*made, Figure(Markup(chart), title)]


def _bound(evaluation: Evaluation) -> dict[str, Any] | None:
    seeds = [evaluation.seed + k for k in range(evaluation.episodes)]
    cheapest = cheapest_days(evaluation.env_args, seeds)
    if cheapest is None:
        return None
    rows = []
    for score in evaluation.scores:
        above = estimate(score.results.kpis["cost"] - cheapest)
        share = above.mean / max(float(cheapest.mean()), 1e-9)
        ends = [_number(end, ",.1f") for end in above.ci95]
        rows.append(
            {
                "name": score.name,
                "above": _number(above.mean, ",.1f"),
                "ci": f"[{ends[0]}, {ends[1]}]" if np.isfinite(above.ci95).all() else "",
                "share": f"{share:.1%}",
            }
        )
    return {"cost": f"{cheapest.mean():,.1f}", "rows": rows}


def _times(evaluation: Evaluation, policies: Sequence[Policy]) -> list[dict[str, str]]:
    def words(name: str, found: DecisionTimes) -> dict[str, str]:
        return {
            "name": name,
            "mean": f"{found.mean:.2f}",
            "p95": f"{found.p95:.2f}",
            "most": f"{found.most:.2f}",
            "count": f"{found.decisions:,}",
        }

    return [
        words(policy.name, decision_times(policy, evaluation.env_args, evaluation.seed))
        for policy in policies
    ]


def draw_episode(policies: Sequence[Policy], env_args: dict[str, Any], seed: int) -> Markup:
    """The day of one seed on a map, for each policy, bound to the environment's schema."""
    recordings = [record(policy, env_args, seed) for policy in policies]
    title = f"The day of seed {seed}, the same requests for everybody"
    if not env_args.get("days"):
        title += f" ({BatchEnv(DISPATCH, env_args, 1).vec.options.preset})"
    return to_html(recordings, title)
