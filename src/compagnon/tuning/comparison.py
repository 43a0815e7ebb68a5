"""The best candidates trained again with fresh seeds, beside the default with the same seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from compagnon.errors import InputError
from compagnon.evaluation.statistics import mean_interval
from compagnon.evaluation.verdict import amount
from compagnon.tuning import study as studies
from compagnon.tuning.plan import StudyPlan
from compagnon.tuning.storage import StudyStore

DEFAULT = "the default"
_CHANGES = "changes"  # of the study: who -> the dotted keys that it changes
_WHO, _SEED = "recipe", "training_seed"
_LEVEL = 0.95


@dataclass(frozen=True)
class Retrained:
    """One recipe trained with several seeds.

    Attributes:
        changes: dotted keys that differ from the default.
        values: training seed -> mean return on the episodes that nobody saw.
        failures: training seed -> what went wrong.
        curves: of each training that ended: environment steps, and the evaluation's mean return.
    """

    who: str
    changes: dict[str, Any]
    values: dict[int, float] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    curves: list[tuple[list[int], list[float]]] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Over the seeds; NaN where none ended."""
        return float(np.mean(list(self.values.values()))) if self.values else float("nan")


@dataclass(frozen=True)
class CandidateDifference:
    """How much more a candidate earns than the default, paired by training seed."""

    mean: float
    interval: tuple[float, float]
    seeds: int

    @property
    def beats(self) -> bool:
        """The whole interval is above 0; one that is unknown is not."""
        return self.interval[0] > 0


@dataclass(frozen=True)
class Comparison:
    """The default, the candidates in the order of their means, and what may be said of them.

    Attributes:
        level: of the intervals: wide enough that all of them hold together 95 times in 100, since
            the winner is picked from among them.
    """

    default: Retrained
    candidates: list[Retrained]
    differences: dict[str, CandidateDifference]
    level: float

    @property
    def winner(self) -> Retrained:
        """The candidate with the highest mean; one that failed with a seed comes after all."""
        return self.candidates[0]

    @property
    def beaten(self) -> bool:
        """Whether the default is shown to be beaten."""
        return not self.winner.failures and self.differences[self.winner.who].beats

    @property
    def words(self) -> str:
        """The verdict in a sentence or two."""
        winner, default = self.winner, self.default
        gain = self.differences[winner.who]
        if not winner.values or not default.values:
            lost = winner if not winner.values else default
            why = next(iter(lost.failures.values()), "nothing was trained")
            return f"No comparison: {lost.who} could not be trained with any fresh seed ({why})."
        low, high = gain.interval
        figures = (
            f"{winner.who} earns {amount(winner.mean, sign=False)} over {len(winner.values)} fresh "
            f"seeds, the default {amount(default.mean, sign=False)}: {amount(gain.mean)} "
        )
        if not np.isfinite(low):
            return f"Nothing is shown: {figures}with one seed in common, so without an interval."
        figures += f"[{amount(low)}, {amount(high)}], paired by seed ({self.level:.1%} interval)."
        if winner.failures:
            seeds = ", ".join(map(str, winner.failures))
            return f"Not beaten: every candidate failed with a seed ({seeds}); {figures}"
        if self.beaten:
            return f"The default is beaten: {figures}"
        if high < 0:
            return f"The default is better than anything found: {figures} Keep it."
        chance = "The interval holds 0: it may be chance, which more seeds would tell."
        return f"The default is not beaten: {figures} {chance}"


def candidates(search: optuna.Study, most: int) -> list[FrozenTrial]:
    """The best trials that came to their end, no parameters twice, best first."""
    done = search.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    done.sort(key=lambda trial: (-(trial.value or 0.0), trial.number))
    chosen: list[FrozenTrial] = []
    for trial in done:
        if all(trial.params != other.params for other in chosen):
            chosen.append(trial)
    return chosen[:most]


def begin(plan: StudyPlan, store: StudyStore, search: optuna.Study) -> optuna.Study:
    """Queue every training of the comparison, once, whoever comes first.

    Raises:
        InputError: no trial of the search came to its end.
    """
    best = candidates(search, plan.candidates)
    if not best:
        raise InputError(_nothing_found(search))
    name = _name(plan, best)
    with store.exclusive():
        if name not in optuna.get_all_study_names(store.storage):
            optuna.create_study(storage=store.storage, study_name=name, direction="maximize")
        study = studies.load(plan, store, name)
        changes: dict[str, Any] = {DEFAULT: {}}
        changes |= {f"trial {trial.number}": plan.space.changes(trial.params) for trial in best}
        study.set_user_attr(_CHANGES, changes)
        there = [_asked(trial) for trial in study.get_trials(deepcopy=False)]
        for seed in plan.fresh_seeds:
            for who in changes:
                if (who, seed) not in there:
                    study.enqueue_trial({_WHO: who, _SEED: seed})
    return study


def find(plan: StudyPlan, store: StudyStore, search: optuna.Study) -> optuna.Study | None:
    """The comparison of the search as it stands, if somebody has begun it."""
    name = _name(plan, candidates(search, plan.candidates))
    if name not in optuna.get_all_study_names(store.storage):
        return None
    return studies.load(plan, store, name)


def _name(plan: StudyPlan, best: Sequence[FrozenTrial]) -> str:
    numbers = " ".join(str(trial.number) for trial in best)
    return f"{plan.name}: trials {numbers} with {plan.seeds} seeds"


def _asked(trial: FrozenTrial) -> tuple[Any, Any]:
    params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    return params.get(_WHO), params.get(_SEED)


def _nothing_found(search: optuna.Study) -> str:
    trials = search.get_trials(deepcopy=False)
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    errors = [str(t.user_attrs["error"]) for t in failed if "error" in t.user_attrs]
    if errors:
        return f"no trial of the search came to its end; one said: {errors[0]}"
    return "no trial of the search came to its end: give it more time with --budget"


def suggest(trial: optuna.Trial, plan: StudyPlan) -> tuple[str, int]:
    """Which recipe a queued trial trains, and with which seed."""
    who = trial.suggest_categorical(_WHO, list(trial.study.user_attrs[_CHANGES]))
    return who, trial.suggest_int(_SEED, min(plan.fresh_seeds), max(plan.fresh_seeds))


def changes(study: optuna.Study, who: str) -> dict[str, Any]:
    """The dotted keys in which a recipe of the comparison differs from the default."""
    found: dict[str, Any] = study.user_attrs[_CHANGES][who]
    return found


def read(study: optuna.Study) -> Comparison:
    """What the trainings of a comparison say."""
    kept: dict[str, dict[str, Any]] = study.user_attrs[_CHANGES]
    retrained = {who: Retrained(who, changed) for who, changed in kept.items()}
    for trial in studies.counted(study.get_trials(deepcopy=False)):
        who, seed = _asked(trial)
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            retrained[who].values[seed] = trial.value
            curve = trial.user_attrs.get("curve", {"steps": [], "returns": []})
            retrained[who].curves.append((curve["steps"], curve["returns"]))
        elif trial.state == TrialState.FAIL:
            retrained[who].failures[seed] = str(trial.user_attrs.get("error", "its process died"))
    default = retrained.pop(DEFAULT)
    level = 1 - (1 - _LEVEL) / len(retrained)
    order = sorted(retrained.values(), key=_rank)
    differences = {one.who: _difference(one, default, level) for one in order}
    return Comparison(default, order, differences, level)


def _rank(one: Retrained) -> tuple[bool, float]:
    return bool(one.failures), -one.mean if one.values else math.inf


def _difference(one: Retrained, default: Retrained, level: float) -> CandidateDifference:
    common = sorted(one.values.keys() & default.values.keys())
    gains = np.array([one.values[seed] - default.values[seed] for seed in common])
    mean = float(gains.mean()) if len(gains) else float("nan")
    return CandidateDifference(mean, mean_interval(gains, level), len(gains))
