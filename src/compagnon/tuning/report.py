"""The page of a search: what won, by how much, where was looked, and where the time went."""

import json
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from optuna.trial import FrozenTrial, TrialState

from compagnon.evaluation.verdict import amount
from compagnon.files import write_file
from compagnon.reporting import svg
from compagnon.reporting.report import Figure, versions
from compagnon.reporting.svg_trials import Dimension, Dot, history_chart, parallel_chart
from compagnon.tuning import study as studies
from compagnon.tuning.comparison import Comparison, Retrained
from compagnon.tuning.plan import FINAL_SEED, SEARCH_SEED, StudyPlan
from compagnon.tuning.progress import Spent
from compagnon.tuning.space import ChoiceRange, IntRange

_FEW = 10  # trials that came to their end; below, importances say nothing
_STATES = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def write_report(
    path: Path, plan: StudyPlan, search: optuna.Study, found: Comparison, spent: Spent
) -> None:
    """Write the page of a search, whole or not at all; it needs nothing else to be read."""
    templates = Environment(
        loader=ChoiceLoader(
            [
                PackageLoader("compagnon.tuning", "templates"),
                PackageLoader("compagnon.reporting", "templates"),
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    trials = [
        trial
        for trial in studies.counted(search.get_trials(deepcopy=False))
        if trial.state.is_finished()
    ]
    page = templates.get_template("tuning.html").render(
        title=f"{plan.recipe.name}: the search of its settings",
        found=found,
        rows=_rows(found),
        failures=any(one.failures for one in (found.default, *found.candidates)),
        about=_about(plan),
        settings=_changed(plan, found.winner),
        comparison=list(_comparison_charts(found)),
        counts=counts_in_words(trials),
        pictures=list(_search_charts(plan, search, trials, found)),
        columns=list(plan.space),
        trials=[_trial_row(plan, trial) for trial in trials],
        errors=any(trial.state == TrialState.FAIL for trial in trials),
        time=spent_in_words(spent),
        command=shlex.join(plan.command),
        space=[(key, json.dumps(one)) for key, one in plan.space.as_json().items()],
        versions=f"{versions()}, optuna {optuna.__version__}",
    )
    write_file(path, page)


def counts_in_words(trials: Sequence[FrozenTrial]) -> str:
    """How many trials there were, and how they ended."""
    number = {state: sum(trial.state == state for trial in trials) for state in _STATES}
    return (
        f"{len(trials)} trials: {number[TrialState.COMPLETE]} came to their end, "
        f"{number[TrialState.PRUNED]} were pruned, {number[TrialState.FAIL]} failed"
    )


def spent_in_words(spent: Spent) -> str:
    """Where the time went, and what the search itself took of it."""
    if not spent.whole:
        return "No time was measured."
    return (
        f"The workers spent {spent.whole / 60:.1f} minutes: {spent.training / spent.whole:.1%} in "
        f"training, {spent.evaluating / spent.whole:.1%} in judging the best policies on unseen "
        f"episodes, and {spent.overhead:.2%} in everything else."
    )


def _about(plan: StudyPlan) -> str:
    last = FINAL_SEED + plan.episodes - 1
    words = (
        f"Training seeds {', '.join(map(str, plan.fresh_seeds))}, which no trial had; each best "
        f"policy played greedily on the episodes of seeds {FINAL_SEED} to {last}, which neither "
        f"training nor the search saw. Trials were chosen by seeds {SEARCH_SEED} to "
        f"{SEARCH_SEED + plan.episodes - 1}."
    )
    few = plan.distinct_episodes
    if few is not None:
        words += f" This environment has only {few} different episodes, so none are unseen."
    return words


def _rows(found: Comparison) -> list[dict[str, str]]:
    rows = []
    for one in (found.default, *found.candidates):
        gain = found.differences.get(one.who)
        values = list(one.values.values())
        rows.append(
            {
                "who": one.who,
                "mean": _figure(one.mean),
                "spread": f"{_figure(min(values))} to {_figure(max(values))}" if values else "",
                "gain": "" if gain is None else _figure(gain.mean, sign=True),
                "interval": "" if gain is None else _interval(gain.interval),
                "failed": "; ".join(f"seed {seed}: {why}" for seed, why in one.failures.items()),
            }
        )
    return rows


def _figure(value: float, sign: bool = False) -> str:
    return amount(value, sign) if np.isfinite(value) else "-"


def _interval(ends: tuple[float, float]) -> str:
    if not np.isfinite(ends).all():
        return "no interval"
    return f"[{amount(ends[0])}, {amount(ends[1])}]"


def _changed(plan: StudyPlan, winner: Retrained) -> list[tuple[str, str, str]]:
    """Key, the default's value, the winner's value."""
    tree = plan.recipe.model_dump(mode="json")
    rows = []
    for key, value in winner.changes.items():
        own: Any = tree
        for part in key.split("."):
            own = own.get(part) if isinstance(own, dict) else None
        rows.append((key, json.dumps(own), json.dumps(value)))
    return rows


def _comparison_charts(found: Comparison) -> Sequence[Figure]:
    rows = [
        svg.Interval(one.who, gain.mean, *gain.interval)
        for one in found.candidates
        for gain in (found.differences[one.who],)
        if np.isfinite(gain.mean)
    ]
    charts = []
    if rows:
        title = f"Mean return more than the default, paired by seed, {found.level:.1%} intervals"
        charts.append(Figure(Markup(svg.interval_plot(rows, title, "difference", True)), title))
    curves = [_curve(one) for one in (found.winner, found.default) if one.curves]
    if curves:
        title = "Learning curves: the evaluations' mean return, mean and range over the seeds"
        image = svg.line_chart(curves, title, "environment steps", "mean return")
        charts.append(Figure(Markup(image), title))
    return charts


def _curve(one: Retrained) -> svg.Series:
    """The mean over the seeds, as far as all of them go, with the range between them."""
    length = min(len(steps) for steps, _ in one.curves)
    steps = np.array([steps[:length] for steps, _ in one.curves], np.float64)
    returns = np.array([returns[:length] for _, returns in one.curves], np.float64)
    return svg.Series(
        one.who, steps.mean(axis=0), returns.mean(axis=0), returns.min(axis=0), returns.max(axis=0)
    )


def _search_charts(
    plan: StudyPlan, search: optuna.Study, trials: Sequence[FrozenTrial], found: Comparison
) -> Sequence[Figure]:
    title = "History: the mean return of each trial on unseen episodes"
    dots = [
        Dot(trial.number, trial.value, trial.state == TrialState.COMPLETE, f"trial {trial.number}")
        for trial in trials
        if trial.value is not None and trial.state != TrialState.FAIL
    ]
    level = found.default.mean if np.isfinite(found.default.mean) else None
    charts = [Figure(Markup(history_chart(dots, level, title, "mean return")), title)]
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if done:
        title = "Parallel coordinates: the trials that came to their end; bold: the best"
        best = max(range(len(done)), key=lambda i: done[i].value or 0.0)
        image = parallel_chart([*_dimensions(plan, done)], title, best)
        charts.append(Figure(Markup(image), title))
    importances = _importances(search, len(done))
    if importances:
        title = "Importances: share of what tells good trials from the others, in %"
        values = [[100 * share] for share in importances.values()]
        image = svg.term_bars(list(importances), ["importance"], values, title, "PED-ANOVA, %")
        charts.append(Figure(Markup(image), title))
    return charts


def _dimensions(plan: StudyPlan, trials: Sequence[FrozenTrial]) -> list[Dimension]:
    made = []
    for key, one in plan.space.ranges.items():
        values = [plan.space.changes(trial.params).get(key) for trial in trials]
        name = key.rpartition(".")[2]
        if isinstance(one, ChoiceRange):
            places = [np.nan if v is None else one.labels.index(json.dumps(v)) for v in values]
            made.append(Dimension(name, places, one.labels))
        else:
            numbers = [np.nan if v is None else float(v) for v in values]
            plain = isinstance(one, IntRange) or not one.complement
            made.append(Dimension(name, numbers, log=one.log and plain))
    return [*made, Dimension("mean return", [trial.value or 0.0 for trial in trials])]


def _importances(search: optuna.Study, done: int) -> dict[str, float]:
    """Parameter -> share; empty where the trials are too few to say (PED-ANOVA, Watanabe 2023)."""
    if done < _FEW:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(
            search, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
    return found if all(map(np.isfinite, found.values())) and sum(found.values()) > 0 else {}


def _trial_row(plan: StudyPlan, trial: FrozenTrial) -> dict[str, Any]:
    changes = plan.space.changes(trial.params)
    seconds = trial.duration.total_seconds() if trial.duration is not None else float("nan")
    error = "its process died" if trial.state == TrialState.FAIL else ""
    return {
        "number": trial.number,
        "state": _STATES[trial.state],
        "value": "" if trial.value is None else _figure(trial.value),
        "cells": [json.dumps(changes[key]) if key in changes else "" for key in plan.space],
        "seconds": _figure(seconds),
        "error": trial.user_attrs.get("error", error),
    }
