"""How a search stands, for whoever watches it, and how its time was spent."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from compagnon.tuning import study as studies
from compagnon.tuning.plan import StudyPlan


@dataclass(frozen=True)
class StudyProgress:
    """What is done and what is left of one part of a search.

    Attributes:
        comparing: it is the comparison, not the search itself.
        total: trials, those that are left included.
        best: the highest value so far, and whose it is; None before there is one.
        seconds_left: a guess from the trials so far; None before there is one.
        ended: the trials that have ended, in the order of their numbers.
    """

    comparing: bool
    total: int
    done: int
    pruned: int
    failed: int
    best: tuple[float, int] | None
    seconds_left: float | None
    ended: Sequence[FrozenTrial]


@dataclass(frozen=True)
class Spent:
    """Where the workers' seconds went, over all trials of a search and its comparison."""

    whole: float
    training: float
    evaluating: float

    @property
    def overhead(self) -> float:
        """Share of the time that was neither training nor judging a policy."""
        return 1 - (self.training + self.evaluating) / self.whole if self.whole else 0.0


def study_progress(plan: StudyPlan, study: optuna.Study) -> StudyProgress:
    """How `study`, the plan's search or its comparison, stands now."""
    trials = studies.counted(study.get_trials(deepcopy=False))
    ended = [trial for trial in trials if trial.state.is_finished()]
    comparing = study.study_name != plan.name
    return StudyProgress(
        comparing,
        len(trials),
        sum(trial.state == TrialState.COMPLETE for trial in trials),
        sum(trial.state == TrialState.PRUNED for trial in trials),
        sum(trial.state == TrialState.FAIL for trial in trials),
        None if comparing else _best(trials),
        _seconds_left(trials, ended, None if comparing else studies.deadline(study)),
        ended,
    )


def _best(trials: Sequence[FrozenTrial]) -> tuple[float, int] | None:
    found = [
        (trial.value, trial.number)
        for trial in trials
        if trial.state == TrialState.COMPLETE and trial.value is not None
    ]
    return max(found, key=lambda one: (one[0], -one[1]), default=None)


def _seconds_left(
    trials: Sequence[FrozenTrial], ended: Sequence[FrozenTrial], until: float | None
) -> float | None:
    """What is left at the pace so far, or until the deadline if that comes first."""
    took = [trial.duration.total_seconds() for trial in ended if trial.duration is not None]
    at_work = max(1, sum(trial.state == TrialState.RUNNING for trial in trials))
    guess = None if not took else sum(took) / len(took) * (len(trials) - len(ended)) / at_work
    if until is None:
        return guess
    to_deadline = max(0.0, until - time.time())
    return to_deadline if guess is None else min(guess, to_deadline)


def spent(studies_of_search: Sequence[optuna.Study]) -> Spent:
    """The time of all trials that ended, on whichever machine."""
    parts = [
        trial.user_attrs["seconds"]
        for study in studies_of_search
        for trial in study.get_trials(deepcopy=False)
        if "seconds" in trial.user_attrs
    ]
    whole, training, evaluating = (
        sum(float(part[name]) for part in parts) for name in ("whole", "training", "judging")
    )
    return Spent(whole, training, evaluating)
