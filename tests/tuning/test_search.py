"""A whole search: what it trains, what it survives, what it leaves behind."""

import tomllib

import optuna
import pytest
from optuna.trial import TrialState

from compagnon.errors import InputError
from compagnon.policy import load_artefact
from compagnon.rl.provenance import recipe_sha256
from compagnon.rl.recipe import load_recipe, parse_recipe
from compagnon.rl.trainer import TrainingError
from compagnon.tuning import plan as plans
from compagnon.tuning import search, study
from compagnon.tuning.comparison import DEFAULT
from compagnon.tuning.plan import FINAL_SEED, SEARCH_SEED, StudyPlan
from compagnon.tuning.storage import open_store
from compagnon.tuning.training import TrialTimes, evaluate_best, train
from compagnon.tuning.tune import tune
from tests.tuning.small import bandit, plan_in


def trials_of(plan: StudyPlan) -> list[optuna.trial.FrozenTrial]:
    store = open_store(plan.storage)
    try:
        return study.counted(study.load(plan, store).get_trials())
    finally:
        store.close()


def outcome(plan: StudyPlan) -> list[tuple]:
    return [(trial.state, trial.value, trial.params) for trial in trials_of(plan)]


def test_a_search_ends_with_a_winner_that_learn_runs_and_a_page(tmp_path):
    plan = plan_in(tmp_path, trials=3, candidates=1, command=("compagnon", "tune", "x.toml"))
    seen = []
    found = tune(plan, watch=seen.append)
    assert [trial.state for trial in trials_of(plan)] == [TrialState.COMPLETE] * 3
    assert [path.name for path in sorted((tmp_path / "trials").iterdir())] == [
        "0000",
        "0001",
        "0002",
    ]
    kept = {path.name for path in (tmp_path / "trials" / "0000").iterdir()}
    own = {"recipe.toml", "recipe.history.jsonl", "metrics.jsonl", "outcome.json", "best"}
    assert kept == own
    trial = load_recipe(str(tmp_path / "trials" / "0000" / "recipe.toml"))
    told = load_artefact(tmp_path / "trials" / "0000" / "best").manifest.provenance
    assert told.recipe_sha256 == recipe_sha256(trial) != recipe_sha256(plan.recipe)
    winner = load_recipe(str(found.winner))
    changed = found.comparison.winner.changes
    assert winner.algorithm.learning_rate == changed["algorithm.learning_rate"]
    assert winner.threads == plan.recipe.threads
    assert winner.env == plan.recipe.env
    assert winner.name == "bandit-tuned"
    assert set(found.comparison.winner.values) == {1000, 1001}
    assert set(found.comparison.default.values) == {1000, 1001}
    page = found.report.read_text()
    for said in ("compagnon tune x.toml", found.comparison.words.split(":")[0], "<svg", "trial 0"):
        assert said in page
    assert "src=" not in page
    assert "href=" not in page
    assert 0 <= found.spent.overhead < 1
    assert seen[-1].comparing
    assert (len(seen[-1].ended), seen[-1].total) == (4, 4)


def test_the_objective_and_the_comparison_play_episodes_that_training_never_saw(tmp_path):
    recipe = bandit()
    times, told = TrialTimes(), []
    curve = train(recipe, tmp_path / "run", times, lambda n, v: told.append((n, v)), lambda: None)
    assert [number for number, _ in told] == [1, 2, 3]
    assert curve.returns == [value for _, value in told]
    assert curve.steps == [20, 40, 60]
    assert times.training > 0
    value = evaluate_best(recipe, tmp_path / "run", SEARCH_SEED, 50, times)
    assert value == evaluate_best(recipe, tmp_path / "run", SEARCH_SEED, 50, times)
    assert value != evaluate_best(recipe, tmp_path / "run", FINAL_SEED, 50, times)


def test_which_episodes_judge_what(tmp_path, trained, monkeypatch):
    judged = []
    before = search.evaluate_best
    watched = lambda *args: judged.append(args[2]) or before(*args)  # noqa: E731
    monkeypatch.setattr(search, "evaluate_best", watched)
    plan = plan_in(tmp_path, pruner="none")
    tune(plan)
    assert judged == [SEARCH_SEED] * 4 + [FINAL_SEED] * 6
    chosen = plan.recipe.evaluation
    own = set(range(chosen.seed, chosen.seed + chosen.episodes))
    assert not own & {*range(SEARCH_SEED, SEARCH_SEED + 5), *range(FINAL_SEED, FINAL_SEED + 5)}
    assert [recipe.seed for recipe in trained] == [0] * 4 + [1000] * 3 + [1001] * 3


def test_the_same_seed_and_one_job_give_the_same_trials(tmp_path, trained):
    plans_of = {
        name: plan_in(tmp_path / name, trials=16, seed=seed)
        for name, seed in (("one", 0), ("two", 0), ("other", 1))
    }
    for plan in plans_of.values():
        tune(plan)
    assert outcome(plans_of["one"]) == outcome(plans_of["two"])
    assert outcome(plans_of["one"]) != outcome(plans_of["other"])
    assert any(trial.state == TrialState.PRUNED for trial in trials_of(plans_of["one"]))


@pytest.mark.slow
def test_real_trainings_with_the_same_seed_are_the_same_too(tmp_path):
    found = [
        outcome(plan)
        for name in ("one", "two")
        for plan in (plan_in(tmp_path / name, trials=2, candidates=1, episodes=20),)
        if tune(plan)
    ]
    assert found[0] == found[1]


def test_a_search_finds_what_is_better_and_says_so(tmp_path, trained):
    plan = plan_in(tmp_path, trials=16, seeds=5, recipe=bandit(learning_rate=1e-4))
    found = tune(plan)
    assert found.comparison.beaten
    assert abs(found.comparison.winner.changes["algorithm.learning_rate"] - 0.01) < 0.01
    assert "beats the default" in tomllib.loads(found.winner.read_text())["description"]


def test_a_search_that_finds_nothing_better_says_so(tmp_path, trained):
    found = tune(plan_in(tmp_path, trials=4, recipe=bandit(learning_rate=1e-2)))
    assert not found.comparison.beaten
    text = tomllib.loads(found.winner.read_text())["description"]
    assert "not shown to beat the default" in text
    assert "The default" in found.report.read_text()


def broken(error: Exception, monkeypatch, numbers: tuple[int, ...] = (0, 2)) -> None:
    """Let the trainings of these numbers end with an error."""
    before, count = search.train, iter(range(1000))

    def fail(*args):
        if next(count) in numbers:
            raise error
        return before(*args)

    monkeypatch.setattr(search, "train", fail)


@pytest.mark.parametrize(
    "error",
    [
        InputError("learning_starts: more than capacity holds"),
        TrainingError("training went wrong at iteration 3"),
        FloatingPointError("loss is nan"),
        RuntimeError("out of memory"),
        MemoryError(),
    ],
)
def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(
    tmp_path, trained, monkeypatch, error
):
    broken(error, monkeypatch)
    plan = plan_in(tmp_path, trials=5)
    found = tune(plan)
    states = [trial.state for trial in trials_of(plan)]
    assert [i for i, state in enumerate(states) if state == TrialState.FAIL] == [0, 2]
    message = str(error) or "MemoryError"
    assert trials_of(plan)[0].user_attrs["error"] == message
    assert message in found.report.read_text()


def test_a_fault_of_ours_is_not_taken_for_a_bad_trial(tmp_path, trained, monkeypatch):
    broken(AssertionError("ours"), monkeypatch)
    with pytest.raises(AssertionError, match="ours"):
        tune(plan_in(tmp_path))


def test_a_policy_whose_return_is_no_number_fails_its_trial(tmp_path, trained, monkeypatch):
    def nothing(*args):
        raise FloatingPointError("the mean return is nan")

    monkeypatch.setattr(search, "evaluate_best", nothing)
    with pytest.raises(InputError, match="no trial of the search came to its end; one said: the"):
        tune(plan_in(tmp_path))


def test_a_search_that_is_interrupted_goes_on_where_it_was(tmp_path, trained):
    whole = plan_in(tmp_path / "whole", trials=8)
    tune(whole)
    plan = plan_in(tmp_path / "parts", trials=8)

    def stop(now) -> None:
        if len(now.ended) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(plan, watch=stop)
    before = outcome(plan)
    with pytest.raises(InputError, match="use --resume"):
        tune(plan)
    found = tune(plan, resume=True)
    assert outcome(plan)[:3] == before[:3] == outcome(whole)[:3]
    assert len(outcome(plan)) == 8
    assert found.report.is_file()
    done = len(trained)
    assert tune(plan, resume=True).comparison.words == found.comparison.words
    assert len(trained) == done  # nothing was left to train


def test_a_training_that_a_signal_stops_is_queued_again(tmp_path, trained, monkeypatch):
    broken(KeyboardInterrupt(), monkeypatch, (1,))  # what `train` raises then
    plan = plan_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        tune(plan)
    store = open_store(plan.storage)
    trials = study.load(plan, store).get_trials()
    store.close()
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", *["WAITING"] * 3]
    assert trials[1].user_attrs["error"] == "interrupted"
    tune(plan, resume=True)
    again = trials_of(plan)
    assert [trial.state for trial in again] == [TrialState.COMPLETE] * 4
    assert trials[1].params in [trial.params for trial in again]


def test_the_budget_ends_the_search_and_not_the_comparison(tmp_path, trained, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(study.time, "time", lambda: clock[0])

    def later(now) -> None:
        clock[0] += 0 if now.comparing else 25

    plan = plan_in(tmp_path, trials=50, minutes=1, pruner="none")
    monkeypatch.setattr(search, "_LOOK_SECONDS", 1e9)
    found = tune(plan, watch=later)
    ended = [trial for trial in trials_of(plan) if trial.state.is_finished()]
    assert len(ended) == 3  # begun after 0, 25 and 50 seconds
    assert len(found.comparison.winner.values) == 2


def test_jobs_share_the_cores_and_never_take_more_than_the_recipe_wants(tmp_path, monkeypatch):
    monkeypatch.setattr(plans, "cores", lambda: 8)

    def threads(wanted: int, jobs: int) -> int:
        tree = bandit().model_dump(mode="json", exclude_none=True)
        recipe = parse_recipe({**tree, "threads": wanted}, "a test")
        plan = plan_in(tmp_path, recipe=recipe, jobs=jobs)
        assert plan.recipe_of({}).threads == plan.threads
        return plan.threads

    assert [threads(8, jobs) for jobs in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]
    assert threads(2, 1) == 2


def test_a_trial_films_nothing_and_runs_no_variants(tmp_path):
    recipe = load_recipe("mountaincar-dqn")
    assert recipe.video.every_episodes > 0
    own = plan_in(tmp_path, recipe=recipe).recipe_of({"algorithm.gamma": 0.98}, seed=5)
    assert own.video.every_episodes == 0
    assert (own.algorithm.gamma, own.seed) == (0.98, 5)
    assert own.budget == recipe.budget


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trials": 0}, "--trials 0: at least 1"),
        ({"jobs": 0}, "--jobs 0"),
        ({"candidates": 0}, "--candidates 0"),
        ({"seeds": 1}, "--seeds 1: an interval needs at least 2"),
        ({"episodes": 0}, "--episodes 0"),
        ({"episodes": 1_000_001}, "at most 1000000"),
    ],
)
def test_numbers_that_make_no_search_are_refused(tmp_path, changes, said):
    with pytest.raises(InputError) as caught:
        tune(plan_in(tmp_path / "out", **changes))
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("seed", [FINAL_SEED, SEARCH_SEED + 3, FINAL_SEED - 2])
def test_a_recipe_that_is_evaluated_on_the_judging_episodes_is_refused(tmp_path, seed):
    tree = bandit().model_dump(mode="json", exclude_none=True)
    tree["evaluation"]["seed"] = seed
    plan = plan_in(tmp_path / "out", recipe=parse_recipe(tree, "a test"))
    with pytest.raises(InputError, match=r"evaluation\.seed"):
        tune(plan)


def test_a_recipe_that_cannot_run_is_refused_before_anything_is_written(tmp_path):
    tree = bandit().model_dump(mode="json", exclude_none=True)
    tree["env"]["id"] = "Pendulum-v1"
    with pytest.raises(InputError, match="dqn serves discrete actions"):
        tune(plan_in(tmp_path / "out", recipe=parse_recipe(tree, "a test")))
    assert not (tmp_path / "out").exists()


def test_an_out_that_is_a_file_is_refused(tmp_path, trained):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="is not a folder"):
        tune(plan_in(tmp_path / "out"))
    assert trained == []


def test_the_default_is_among_those_that_are_compared(tmp_path, trained):
    plan = plan_in(tmp_path)
    found = tune(plan)
    assert found.comparison.default.who == DEFAULT
    defaults = [one for one in trained if one.algorithm == plan.recipe.algorithm]
    assert [one.seed for one in defaults] == [1000, 1001]
