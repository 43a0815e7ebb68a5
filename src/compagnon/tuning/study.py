"""A study: begun once, joined by every worker of the same search, and continued after a kill."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from compagnon.errors import InputError
from compagnon.tuning.plan import StudyPlan
from compagnon.tuning.storage import AGAIN, StudyStore

_SETTINGS, _HASH, _DEADLINE = "settings", "recipe_sha256", "deadline"
_TRIES = "tries"
MAX_TRIES = 3  # a trial whose process dies so often is at fault itself
_PRUNED_FROM = 5  # trials that are trained to the end before the median means anything


class SeededTPE(BaseSampler):
    """TPE whose every trial has a generator of its own, from the study's seed and its number.

    So a search that is continued draws what it would have drawn, and two workers draw differently.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._of: tuple[int, TPESampler] | None = None

    def _sampler(self, trial: FrozenTrial) -> TPESampler:
        if self._of is None or self._of[0] != trial.number:
            own = np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0]
            self._of = (trial.number, TPESampler(seed=int(own)))
        return self._of[1]

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """See TPESampler."""
        return self._sampler(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See TPESampler."""
        return self._sampler(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """See TPESampler."""
        return self._sampler(trial).sample_independent(study, trial, param_name, param_distribution)


def pruner_of(plan: StudyPlan) -> BasePruner:
    """What stops trials that fall behind; a step is one evaluation of the training."""
    if plan.pruner == "none":
        return NopPruner()
    evaluations = plan.evaluations or 12
    if plan.pruner == "halving":
        return SuccessiveHalvingPruner(min_resource=max(1, evaluations // 9), reduction_factor=3)
    return MedianPruner(n_startup_trials=_PRUNED_FROM, n_warmup_steps=evaluations // 4)


def begin(plan: StudyPlan, store: StudyStore, resume: bool, shared: bool) -> optuna.Study:
    """Create the plan's study, or join it where it is there already.

    Args:
        resume: go on with it: the budget begins anew.
        shared: the storage was named, so that others may have begun the study.

    Raises:
        InputError: another search has this name, or the study is there and nobody said to go on.
    """
    with store.exclusive():
        names = optuna.get_all_study_names(store.storage)
        if plan.name not in names:
            study = optuna.create_study(
                storage=store.storage, study_name=plan.name, direction="maximize"
            )
        study = load(plan, store)
        if _SETTINGS in study.user_attrs or study.get_trials(deepcopy=False):
            _check_same(plan, study, store)
            if not resume and not shared:
                raise InputError(
                    f"{store.where} holds a search of {plan.name} already: use --resume to go on "
                    "with it, or another --out"
                )
            if resume:
                _set_deadline(plan, study)
        else:
            _set_deadline(plan, study)
            study.set_user_attr(_HASH, plan.recipe_sha256)
            study.set_user_attr(_SETTINGS, plan.settings())
        put_back_lost(store, study)
        for _ in range(plan.trials - len(counted(study.get_trials(deepcopy=False)))):
            study.enqueue_trial({})
    return study


def load(plan: StudyPlan, store: StudyStore, name: str | None = None) -> optuna.Study:
    """The plan's study, or another one of the same storage, ready to draw trials from."""
    return optuna.load_study(
        study_name=name or plan.name,
        storage=store.storage,
        sampler=SeededTPE(plan.seed),
        pruner=pruner_of(plan),
    )


def _set_deadline(plan: StudyPlan, study: optuna.Study) -> None:
    # One for all machines: who would begin trials when the others compare already?
    end = None if plan.minutes is None else time.time() + 60 * plan.minutes
    study.set_user_attr(_DEADLINE, end)


def deadline(study: optuna.Study) -> float | None:
    """The Unix time after which no trial of a search is begun."""
    end = study.user_attrs.get(_DEADLINE)
    return None if end is None else float(end)


def _check_same(plan: StudyPlan, study: optuna.Study, store: StudyStore) -> None:
    kept = study.user_attrs.get(_SETTINGS)
    if not isinstance(kept, dict):
        raise InputError(
            f"{store.where} holds a study {plan.name!r} that is no search of this program's; "
            "give another --study"
        )
    differs = next(_differences(kept, plan.settings()), None)
    if differs is None and study.user_attrs.get(_HASH) == plan.recipe_sha256:
        return
    key, there, here = differs or ("recipe", "another", "this one")
    what = "recipe" if key.startswith("recipe") else "search"
    raise InputError(
        f"{store.where} holds a search {plan.name!r} of another {what}: "
        f"{key.removeprefix('recipe.')} is {there!r} there and {here!r} here; give another --study"
    )


def _differences(one: Any, other: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            path = f"{prefix}.{key}" if prefix else key
            yield from _differences(one.get(key), other.get(key), path)
    elif one != other:
        yield prefix, one, other


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that count: all but those that were lost and are taken up by another."""
    again = {trial.user_attrs.get(AGAIN) for trial in trials}
    return [trial for trial in trials if trial.number not in again]


def put_back(study: optuna.Study, trial: FrozenTrial, tried: bool = True) -> None:
    """Queue a failed trial's parameters once more, unless it has been tried often enough.

    Args:
        tried: it counts as a try; a trial that somebody interrupted was none.
    """
    tries = trial.user_attrs.get(_TRIES, 0) + tried
    if tries < MAX_TRIES:
        params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        study.enqueue_trial(params, user_attrs={AGAIN: trial.number, _TRIES: tries})


def put_back_lost(store: StudyStore, study: optuna.Study) -> None:
    """Take up the trials whose process is gone; call it within `store.exclusive`."""
    for trial in store.fail_lost(study):
        put_back(study, trial)


def next_trial(store: StudyStore, study: optuna.Study, until: float | None) -> optuna.Trial | None:
    """Claim a waiting trial, one that was lost first; None if there is none, or time is up."""
    with store.exclusive():
        put_back_lost(store, study)
        if until is not None and time.time() >= until:
            return None
        waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        waiting.sort(key=lambda trial: (AGAIN not in trial.user_attrs, trial.number))
        claimed = next((one for one in waiting if store.claim(one._trial_id)), None)
    return None if claimed is None else optuna.Trial(study, claimed._trial_id)


def running(study: optuna.Study) -> bool:
    """Whether anybody is at work on a trial."""
    return bool(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
