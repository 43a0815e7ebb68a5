"""What is said of practice is beside the clone that it began with, and a share only of a gain."""

import pytest

from compagnon.rl.progress import RunOutcome, RunProgress
from compagnon.rl.recipe import BudgetSpec


def after(*evaluations: tuple[str, float]) -> RunProgress:
    progress = RunProgress()
    for what, mean in evaluations:
        (progress.new_clone if what == "clone" else progress.trained)(mean)
    return progress


def test_practice_before_any_clone_says_nothing():
    assert after(("practice", -5.0)).guard() == ""
    assert after(("clone", 100.0)).guard() == ""


def test_in_sequence_it_is_the_lowest_after_the_clone():
    progress = after(("clone", 100.0), ("practice", 98.0), ("practice", 120.0))
    assert progress.guard() == "lowest evaluation during practice: 98.0% of the clone's"
    assert (progress.clone_return, progress.lowest_after_clone) == (100.0, 98.0)
    progress = after(("clone", 100.0), ("practice", 103.0))
    assert progress.guard() == "lowest evaluation during practice: 103.0% of the clone's"


def test_in_turns_each_practice_stands_beside_its_own_clone():
    """A first clone that knows little is no measure of practice with a later one that does."""
    turns = [("clone", 5.0), ("practice", 4.0), ("clone", 1000.0), ("practice", 990.0)]
    progress = after(*turns)
    assert progress.guard() == "lowest evaluation during practice: 99.0% of the clone's"
    assert (progress.clone_return, progress.lowest_after_clone) == (1000.0, 990.0)
    progress = after(*turns, ("clone", 1100.0), ("practice", 1200.0))
    assert progress.guard() == "lowest evaluation during practice: 99.0% of the clone's"


@pytest.mark.parametrize("clone", [-100.0, 0.0])
def test_of_a_return_below_0_no_share_is_told(clone):
    progress = after(("clone", clone), ("practice", clone - 1816.0))
    assert "%" not in progress.guard()
    assert progress.guard() == (
        f"lowest evaluation during practice: {clone - 1816:,.6g}, -1,816 beside the clone's"
    )


@pytest.mark.parametrize(
    ("minutes", "said"), [(7.0, "7 minutes"), (1.5, "1.5 minutes"), (25 / 60, "25 seconds")]
)
def test_the_bound_that_cut_a_run_is_said_as_it_was_given(minutes, said):
    outcome = RunOutcome("cut", RunProgress(), 3, 300, 40, BudgetSpec(minutes=minutes))
    assert outcome.words.startswith(f"cut after 3 of 40 iterations by its {said}: not finished")
