"""Callbacks see every iteration, and end a run without losing anything of it."""

import math
import signal

import pytest

from compagnon.errors import InputError
from compagnon.rl.callbacks import (
    IterationInfo,
    StopLearning,
    StopOnPlateau,
    tell_all,
)
from compagnon.rl.run import Run
from compagnon.rl.trainer import Trainer, TrainingError, start
from tests.rl.small import recipe_of
from tests.rl.test_trainer import assert_same_run, metrics_of


def judged(value: float | None, iteration: int = 1, phase: str = "ppo") -> IterationInfo:
    metrics = {} if value is None else {"eval/return": value}
    return IterationInfo(iteration, 10, 100, 1.0, phase, metrics)


def stopped_at(callback: StopOnPlateau, values: list[float | None]) -> int | None:
    """The place of the iteration that ended it; None where it went through."""
    for place, value in enumerate(values):
        try:
            callback(judged(value))
        except StopLearning:
            return place
    return None


def returning_false(info: IterationInfo) -> bool | None:
    return False if info.iteration == 2 else None


def raising(info: IterationInfo) -> None:
    if info.iteration == 2:
        raise StopLearning("enough")


# -- a run that is ended --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("callback", "reason"), [(returning_false, "a callback ended it"), (raising, "enough")]
)
def test_a_callback_ends_the_run_and_everything_is_kept(callback, reason, tmp_path):
    outcome = start(recipe_of("cartpole"), tmp_path / "run").train(callback)
    assert (outcome.state, outcome.iterations) == ("stopped", 2)
    assert outcome.words == f"stopped after 2 of 6 iterations: {reason}"
    assert Run.open(tmp_path / "run").outcome()["state"] == "stopped"
    assert Trainer.resume(tmp_path / "run").train().finished
    start(recipe_of("cartpole"), tmp_path / "whole").train()
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("said", [None, True])
def test_what_is_not_false_lets_it_go_on(said, tmp_path):
    seen: list[IterationInfo] = []

    def look(info: IterationInfo) -> bool | None:
        seen.append(info)
        return said

    assert start(recipe_of("cartpole"), tmp_path / "run").train(look).finished
    assert [info.iteration for info in seen] == [1, 2, 3, 4, 5, 6]
    assert [info.evaluation is not None for info in seen] == [False, False, True] * 2
    for info, line in zip(seen, metrics_of(tmp_path / "run"), strict=True):
        assert info.metrics == {name: line[name] for name in info.metrics}


def test_a_run_that_ends_with_the_budget_is_finished(tmp_path):
    outcome = start(recipe_of("cartpole"), tmp_path / "run").train(lambda info: info.iteration < 6)
    assert (outcome.state, outcome.words) == ("finished", "")


def test_all_are_told_though_one_ends_it():
    told: list[str] = []

    def first(info: IterationInfo) -> None:
        told.append("first")
        raise StopLearning("first")

    def second(info: IterationInfo) -> bool:
        told.append("second")
        return False

    with pytest.raises(StopLearning, match=r"^first$"):
        tell_all([first, second], judged(1.0))
    assert told == ["first", "second"]
    tell_all([], judged(1.0))


def test_any_other_exception_is_the_caller_s(tmp_path):
    def fail(info: IterationInfo) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        start(recipe_of("cartpole"), tmp_path / "run").train(fail)


# -- a loop over iterations -----------------------------------------------------------------------


def test_a_loop_is_the_same_run(tmp_path):
    start(recipe_of("cartpole"), tmp_path / "whole").train()
    numbers = [info.iteration for info in start(recipe_of("cartpole"), tmp_path / "run").stream()]
    assert numbers == [1, 2, 3, 4, 5, 6]
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    assert Run.open(tmp_path / "run").outcome()["state"] == "finished"


def test_to_leave_the_loop_ends_the_run(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    stream = start(recipe_of("cartpole"), tmp_path / "run").stream()
    for info in stream:
        assert signal.getsignal(signal.SIGINT) is before
        if info.iteration == 4:
            break
    stream.close()
    outcome = Run.open(tmp_path / "run").outcome()
    assert (outcome["state"], outcome["iterations"]) == ("stopped", 4)
    assert Trainer.resume(tmp_path / "run").train().finished
    start(recipe_of("cartpole"), tmp_path / "whole").train()
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_loop_over_a_run_that_goes_wrong_saves_nothing_of_it(tmp_path):
    trainer = start(recipe_of("cartpole"), tmp_path / "run")
    stream = trainer.stream()
    next(stream)
    next(stream)
    next(trainer.network.actor.parameters()).data.fill_(math.nan)
    with pytest.raises(TrainingError, match="iteration 3"):
        next(stream)
    assert not any((tmp_path / "run" / "checkpoints").glob("*"))


# -- the plateau ----------------------------------------------------------------------------------


def test_patience_is_counted_in_evaluations_since_the_best():
    assert stopped_at(StopOnPlateau(patience=2), [1, None, 2, None, None, 2, 1.9]) == 6
    assert stopped_at(StopOnPlateau(patience=1), [1, None, None, 1]) == 3
    assert stopped_at(StopOnPlateau(patience=2), [1, 0.5, 1.5, 0.5, 2, 1]) is None


def test_a_gain_within_min_delta_is_none():
    assert stopped_at(StopOnPlateau(patience=2, min_delta=1), [0, 0.9, 1.0]) == 2
    assert stopped_at(StopOnPlateau(patience=2, min_delta=1), [0, 0.9, 1.1, 2.0]) is None


def test_practice_after_imitation_is_counted_anew():
    plateau = StopOnPlateau(patience=2)
    for phase, value in (("dagger", 5.0), ("dagger", 5.0), ("ppo", 4.0), ("ppo", 4.0)):
        plateau(judged(value, phase=phase))
    with pytest.raises(StopLearning, match=r"eval/return was not better than 4 in 2 evaluations"):
        plateau(judged(4.0))


def test_another_metric_may_be_watched():
    plateau = StopOnPlateau(patience=1, metric="entropy")
    plateau(judged(1.0))
    info = IterationInfo(1, None, 1, 1.0, "ppo", {"entropy": 0.5})
    plateau(info)
    with pytest.raises(StopLearning, match="entropy was not better"):
        plateau(info)


@pytest.mark.parametrize("wrong", [{"patience": 0}, {"min_delta": -0.1}, {"min_delta": math.nan}])
def test_a_plateau_that_cannot_be_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        StopOnPlateau(**wrong)


def test_a_run_whose_evaluations_stand_still_is_ended(tmp_path):
    """Nothing is learnt with such steps, so no evaluation is better than the first."""
    recipe = recipe_of("cartpole", evaluation__every=1, algorithm__learning_rate=1e-12)
    outcome = start(recipe, tmp_path / "run").train(StopOnPlateau(patience=2))
    assert (outcome.state, outcome.iterations) == ("stopped", 3)
