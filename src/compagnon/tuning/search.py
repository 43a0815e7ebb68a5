"""One process's share of a search: claims trials, trains them, and tells the study what came."""

import time
from collections.abc import Callable

import optuna
from optuna.trial import TrialState

from compagnon.tuning import comparison, study
from compagnon.tuning.plan import FINAL_SEED, SEARCH_SEED, StudyPlan
from compagnon.tuning.progress import StudyProgress, study_progress
from compagnon.tuning.storage import StudyStore
from compagnon.tuning.training import TrialTimes, evaluate_best, train

Watch = Callable[[StudyProgress], None]
Objective = Callable[[optuna.Trial, TrialTimes], float]

# What a trial may die of without taking the search with it; anything else is a fault of ours.
FAILURES = (RuntimeError, ValueError, ArithmeticError, MemoryError)
ERROR, TIMES, CURVE = "error", "seconds", "curve"
_LOOK_SECONDS = 1.0  # between two looks at the storage, while training or waiting


class Worker:
    """Works until the search and the comparison after it are done.

    Args:
        watch: told how things stand, about once a second.
    """

    def __init__(self, plan: StudyPlan, store: StudyStore, watch: Watch | None = None) -> None:
        self.plan, self.store, self.watch = plan, store, watch
        self._free_since = self._looked = time.monotonic()

    def run(self) -> None:
        """Take part in the search, then in the comparison.

        Raises:
            InputError: no trial of the search came to its end.
            KeyboardInterrupt: a signal asked to stop; the trial under way is queued again.
        """
        search = study.load(self.plan, self.store)
        self._work_on(search, self._search, study.deadline(search))
        self._work_on(comparison.begin(self.plan, self.store, search), self._compare, None)

    def _work_on(self, of: optuna.Study, objective: Objective, until: float | None) -> None:
        while True:
            trial = study.next_trial(self.store, of, until)
            if trial is not None:
                self._one(of, trial, objective)
            elif not study.running(of):
                return
            else:  # somebody may yet die, and leave a trial to take up
                time.sleep(_LOOK_SECONDS)
                self._free_since = time.monotonic()
            self._look(of, now=trial is not None)

    def _one(self, of: optuna.Study, trial: optuna.Trial, objective: Objective) -> None:
        times = TrialTimes()
        value, state = None, TrialState.FAIL
        with self.store.alive(trial._trial_id):
            try:
                value = objective(trial, times)
                state = TrialState.COMPLETE
            except optuna.TrialPruned:
                state = TrialState.PRUNED
            except FAILURES as error:
                self._note(trial, ERROR, str(error) or type(error).__name__)
            except KeyboardInterrupt:
                self._put_back(of, trial)
                raise
            now = time.monotonic()
            spent = times.as_json(whole=now - self._free_since)
            self._free_since = now
            self._note(trial, TIMES, spent)
        of.tell(trial, value, state, skip_if_finished=True)

    def _put_back(self, of: optuna.Study, trial: optuna.Trial) -> None:
        with self.store.exclusive():
            self._note(trial, ERROR, "interrupted")
            of.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            frozen = of.get_trials(deepcopy=False)[trial.number]
            study.put_back(of, frozen, tried=False)

    @staticmethod
    def _note(trial: optuna.Trial, name: str, value: object) -> None:
        try:
            trial.set_user_attr(name, value)
        except optuna.exceptions.UpdateFinishedTrialError:
            return  # it was taken for dead and given to somebody else; what it finds is not used

    def _search(self, trial: optuna.Trial, times: TrialTimes) -> float:
        recipe = self.plan.recipe_of(self.plan.space.suggest(trial))
        folder = self.plan.out / "trials" / f"{trial.number:04d}"

        def evaluated(number: int, value: float) -> None:
            trial.report(value, number)
            if trial.should_prune():
                raise optuna.TrialPruned

        train(recipe, folder, times, evaluated, lambda: self._look(trial.study))
        return evaluate_best(recipe, folder, SEARCH_SEED, self.plan.episodes, times)

    def _compare(self, trial: optuna.Trial, times: TrialTimes) -> float:
        who, seed = comparison.suggest(trial, self.plan)
        recipe = self.plan.recipe_of(comparison.changes(trial.study, who), seed)
        folder = self.plan.out / "comparison" / f"{who.replace(' ', '-')}-seed-{seed}"

        def evaluated(number: int, value: float) -> None:
            trial.report(value, number)  # for whoever follows it elsewhere; nothing is pruned

        curve = train(recipe, folder, times, evaluated, lambda: self._look(trial.study))
        self._note(trial, CURVE, vars(curve))
        return evaluate_best(recipe, folder, FINAL_SEED, self.plan.episodes, times)

    def _look(self, of: optuna.Study, now: bool = False) -> None:
        if self.watch is None or (not now and time.monotonic() - self._looked < _LOOK_SECONDS):
            return
        self.watch(study_progress(self.plan, of))
        self._looked = time.monotonic()
