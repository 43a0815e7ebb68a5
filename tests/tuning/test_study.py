"""A study is begun once, continued on request, and its draws follow from the seed alone."""

import time

import optuna
import pytest
from optuna.trial import TrialState

from compagnon.errors import InputError
from compagnon.tuning import study as studies
from compagnon.tuning.storage import AGAIN, open_store
from compagnon.tuning.study import begin, counted, next_trial, put_back
from tests.tuning.small import RANGES, bandit, plan_in


@pytest.fixture
def plan(tmp_path):
    return plan_in(tmp_path, trials=3)


@pytest.fixture
def store(plan):
    store = open_store(plan.storage)
    yield store
    store.close()


def refused(plan, store, resume=True, shared=True) -> str:
    with pytest.raises(InputError) as caught:
        begin(plan, store, resume, shared)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_study_that_is_there_is_joined_on_request_alone(plan, store):
    assert len(begin(plan, store, resume=False, shared=False).get_trials()) == 3
    assert "use --resume" in refused(plan, store, resume=False, shared=False)
    assert len(begin(plan, store, resume=True, shared=False).get_trials()) == 3
    assert len(begin(plan, store, resume=False, shared=True).get_trials()) == 3


def test_more_trials_are_added_when_more_are_asked_for(plan, store, tmp_path):
    begin(plan, store, resume=False, shared=False)
    assert len(begin(plan_in(tmp_path, trials=5), store, True, False).get_trials()) == 5
    assert len(begin(plan, store, True, False).get_trials()) == 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipe": bandit(gamma=0.9)}, "another recipe: algorithm.gamma is 0.99 there and 0.9"),
        ({"seed": 1}, "of another search: seed is 0 there and 1 here"),
        ({"pruner": "none"}, "pruner is 'median' there and 'none' here"),
        ({"episodes": 6}, "episodes is 5 there and 6 here"),
        (
            {"ranges": {"algorithm.batch_size": {"kind": "choice", "values": [8, 16]}}},
            "space.algorithm.learning_rate",
        ),
    ],
)
def test_a_study_of_another_recipe_or_search_is_refused(plan, store, tmp_path, changes, said):
    begin(plan, store, resume=False, shared=False)
    message = refused(plan_in(tmp_path, **changes), store)
    assert said in message
    assert "give another --study" in message


def test_a_study_of_another_program_is_refused(plan, store):
    other = optuna.create_study(storage=store.storage, study_name=plan.name, direction="maximize")
    other.add_trial(optuna.create_trial(value=1.0))
    assert "no search of this program's" in refused(plan, store)


def test_the_hash_of_the_recipe_is_kept_and_changes_with_it(plan, store, tmp_path):
    kept = begin(plan, store, False, False).user_attrs
    assert kept["recipe_sha256"] == plan.recipe_sha256
    assert kept["recipe_sha256"] != plan_in(tmp_path, recipe=bandit(tau=0.5)).recipe_sha256


def drawn(plan, store, name) -> list[dict]:
    study = optuna.create_study(
        storage=store.storage, study_name=name, sampler=studies.SeededTPE(plan.seed)
    )
    for _ in range(14):  # beyond the ten that are drawn at random
        trial = study.ask()
        changes = plan.space.suggest(trial)
        study.tell(trial, (changes["algorithm.learning_rate"] - 0.01) ** 2)
    return [trial.params for trial in study.get_trials()]


def test_draws_follow_from_the_seed(plan, store, tmp_path):
    first = drawn(plan, store, "one")
    assert drawn(plan, store, "two") == first
    assert drawn(plan_in(tmp_path, seed=1), store, "three") != first
    rates = [params["algorithm.learning_rate"] for params in first]
    assert len(set(rates)) == 14


def test_a_search_that_is_continued_draws_what_it_would_have_drawn(plan, store):
    whole = drawn(plan, store, "whole")
    study = optuna.create_study(storage=store.storage, study_name="parts")
    for number in range(14):  # as if each trial had a process of its own
        study = optuna.load_study(
            storage=store.storage, study_name="parts", sampler=studies.SeededTPE(plan.seed)
        )
        trial = study.ask()
        changes = plan.space.suggest(trial)
        assert trial.params == whole[number]
        study.tell(trial, (changes["algorithm.learning_rate"] - 0.01) ** 2)


def test_a_trial_that_was_lost_is_taken_up_first_with_the_same_parameters(plan, store):
    study = begin(plan, store, False, False)
    trial = next_trial(store, study, None)
    changes = plan.space.suggest(trial)
    study.tell(trial, state=TrialState.FAIL)
    put_back(study, study.get_trials()[trial.number])
    again = next_trial(store, study, None)
    assert again.number == 3
    assert plan.space.suggest(again) == changes
    assert [one.number for one in counted(study.get_trials())] == [1, 2, 3]
    assert study.get_trials()[3].user_attrs[AGAIN] == trial.number


def test_a_trial_whose_process_dies_each_time_is_given_up(plan, store):
    study = begin(plan, store, False, False)
    numbers = []
    for _ in range(studies.MAX_TRIES):
        trial = next_trial(store, study, None)
        numbers.append(trial.number)
        study.tell(trial, state=TrialState.FAIL)
        put_back(study, study.get_trials()[trial.number])
    assert numbers == [0, 3, 4]
    assert len(study.get_trials()) == 5
    assert [one.number for one in counted(study.get_trials())] == [1, 2, 4]


def test_an_interruption_is_no_try(plan, store):
    study = begin(plan, store, False, False)
    for _ in range(2 * studies.MAX_TRIES):
        trial = next_trial(store, study, None)
        study.tell(trial, state=TrialState.FAIL)
        put_back(study, study.get_trials()[trial.number], tried=False)
    assert len(counted(study.get_trials())) == 3


def test_no_trial_is_begun_after_the_deadline(plan, store):
    study = begin(plan, store, False, False)
    assert next_trial(store, study, time.time() - 1) is None
    assert next_trial(store, study, time.time() + 1000) is not None


def test_the_first_sets_the_deadline_for_all_and_resuming_sets_it_anew(plan, store, tmp_path):
    limited = plan_in(tmp_path, trials=3, minutes=10)
    end = studies.deadline(begin(limited, store, False, True))
    assert studies.deadline(begin(plan, store, False, True)) == end
    assert studies.deadline(begin(plan, store, True, True)) is None


def test_pruners_know_how_long_a_training_is(tmp_path):
    def step_of(kind):
        return studies.pruner_of(plan_in(tmp_path, pruner=kind))

    assert isinstance(step_of("none"), optuna.pruners.NopPruner)
    assert isinstance(step_of("halving"), optuna.pruners.SuccessiveHalvingPruner)
    assert isinstance(step_of("median"), optuna.pruners.MedianPruner)
    assert plan_in(tmp_path).evaluations == 3


@pytest.mark.parametrize("kind", ["median", "halving", "none"])
def test_a_trial_that_falls_behind_is_pruned(tmp_path, store, kind):
    plan = plan_in(tmp_path, pruner=kind, trials=12, ranges=RANGES)
    study = begin(plan, store, False, False)
    for value in (5, 6, 7, 8, 9, 10, 11, 12, 13, 14):
        trial = next_trial(store, study, None)
        for step in (1, 2, 3):
            trial.report(value, step)
            trial.should_prune()
        study.tell(trial, value)
    worst = next_trial(store, study, None)
    worst.report(0.0, 3)
    assert bool(worst.should_prune()) == (kind != "none")
    best = next_trial(store, study, None)
    best.report(20.0, 3)
    assert not best.should_prune()
