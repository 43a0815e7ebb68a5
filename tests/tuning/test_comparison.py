"""The comparison's figures by hand, its verdict in words, and who is a candidate."""

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from compagnon.tuning import comparison
from compagnon.tuning.comparison import DEFAULT, Retrained
from compagnon.tuning.storage import open_store
from compagnon.tuning.study import begin, load
from tests.tuning.small import plan_in

RATE = optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)
BATCH = optuna.distributions.CategoricalDistribution(("8", "16"))


def finished(value: float | None, rate: float, state: TrialState = TrialState.COMPLETE):
    return create_trial(
        state=state,
        value=value,
        params={"algorithm.learning_rate": rate, "algorithm.batch_size": "8"},
        distributions={"algorithm.learning_rate": RATE, "algorithm.batch_size": BATCH},
    )


@pytest.fixture
def plan(tmp_path):
    return plan_in(tmp_path, seeds=3, trials=1)


@pytest.fixture
def store(plan):
    store = open_store(plan.storage)
    yield store
    store.close()


@pytest.fixture
def compared(plan, store):
    """A function: what each recipe earned, by seed -> the comparison as read."""

    def read(**values: list[float | None]) -> comparison.Comparison:
        study = begin(plan, store, resume=False, shared=False)
        for i in range(len(values) - 1):
            study.add_trial(finished(10.0 - i, 0.01 + i / 100))
        found = comparison.begin(plan, store, study)
        names = dict(zip(found.user_attrs["changes"], values.values(), strict=True))
        while (trial := _next(store, found)) is not None:
            who, seed = comparison.suggest(trial, plan)
            value = names[who][plan.fresh_seeds.index(seed)]
            if value is None:
                trial.set_user_attr("error", "it broke")
                found.tell(trial, state=TrialState.FAIL)
            else:
                trial.set_user_attr("curve", {"steps": [1, 2], "returns": [0.0, value]})
                found.tell(trial, value)
        return comparison.read(load(plan, store, found.study_name))

    return read


def _next(store, study):
    from compagnon.tuning.study import next_trial

    return next_trial(store, study, None)


def test_the_difference_is_paired_by_seed_and_its_interval_is_students(compared):
    found = compared(default=[1.0, 2.0, 6.0], one=[3.0, 5.0, 10.0])
    gain = found.differences[found.winner.who]
    assert gain.mean == pytest.approx(3.0)  # of 2, 3 and 4
    half = 4.302653 / np.sqrt(3)  # t of 2 degrees of freedom at 97.5 %; deviation 1
    assert gain.interval == pytest.approx((3 - half, 3 + half), rel=1e-5)
    assert found.level == 0.95
    assert found.beaten
    assert found.words.startswith("The default is beaten: trial 1 earns 6.0 over 3 fresh seeds")
    assert len(found.default.curves) == 3


def test_intervals_are_wider_where_more_candidates_were_tried(compared):
    # t of 2 degrees of freedom at 98.75 % is 6.2053: the same figures no longer exclude 0.
    found = compared(default=[1.0, 2.0, 6.0], one=[3.0, 5.0, 10.0], two=[1.5, 2.5, 6.5])
    assert found.level == 0.975
    half = 6.205347 / np.sqrt(3)
    assert found.differences["trial 1"].interval == pytest.approx((3 - half, 3 + half), rel=1e-5)
    assert not found.beaten
    assert "The default is not beaten" in found.words
    assert "it may be chance" in found.words


def test_a_candidate_that_is_worse_is_said_to_be(compared):
    found = compared(default=[5.0, 6.0, 7.0], one=[1.0, 2.0, 3.1])
    assert not found.beaten
    assert found.words.startswith("The default is better than anything found")


def test_a_candidate_that_fails_with_a_seed_wins_only_among_its_like(compared):
    found = compared(default=[1.0, 1.0, 1.1], one=[None, 9.0, 9.1], two=[2.0, 2.0, 2.1])
    assert found.winner.who == "trial 2"
    assert [one.who for one in found.candidates] == ["trial 2", "trial 1"]
    assert found.candidates[1].failures == {1000: "it broke"}
    assert found.differences["trial 1"].seeds == 2


def test_where_every_candidate_failed_with_a_seed_nothing_is_beaten(compared):
    found = compared(default=[1.0, 1.0, 1.1], one=[None, 9.0, 9.1])
    assert not found.beaten
    assert found.words.startswith("Not beaten: every candidate failed with a seed (1000)")


def test_where_nothing_could_be_trained_the_reason_is_said(compared):
    found = compared(default=[None, None, None], one=[1.0, 2.0, 3.0])
    assert found.words.startswith("No comparison: the default could not be trained")
    assert "it broke" in found.words


def test_candidates_are_the_best_that_came_to_their_end_none_twice():
    study = optuna.create_study(direction="maximize")
    for value, rate in ((1.0, 0.01), (3.0, 0.02), (3.0, 0.02), (2.0, 0.03)):
        study.add_trial(finished(value, rate))
    study.add_trial(finished(9.0, 0.04, TrialState.PRUNED))
    study.add_trial(finished(None, 0.05, TrialState.FAIL))
    assert [trial.number for trial in comparison.candidates(study, 2)] == [1, 3]
    assert [trial.number for trial in comparison.candidates(study, 9)] == [1, 3, 0]


def test_the_comparison_is_queued_once_and_what_a_kill_left_out_is_added(plan, store):
    search = begin(plan, store, resume=False, shared=False)
    search.add_trial(finished(1.0, 0.01))
    found = comparison.begin(plan, store, search)
    asked = [trial.system_attrs["fixed_params"] for trial in found.get_trials()]
    assert len(asked) == 2 * 3
    assert {one["training_seed"] for one in asked} == {1000, 1001, 1002}
    assert {one["recipe"] for one in asked} == {DEFAULT, "trial 1"}
    assert len(comparison.begin(plan, store, search).get_trials()) == 6
    optuna.delete_study(study_name=found.study_name, storage=store.storage)
    optuna.create_study(study_name=found.study_name, storage=store.storage, direction="maximize")
    assert len(comparison.begin(plan, store, search).get_trials()) == 6
    assert comparison.find(plan, store, search).study_name == found.study_name


def test_the_mean_of_nothing_is_unknown():
    assert np.isnan(Retrained("nobody", {}).mean)
