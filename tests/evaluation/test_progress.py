"""Who waits for a comparison is told the share that is done, and the time that is left."""

from contextlib import contextmanager

import pytest

from compagnon import output
from compagnon.cli import main
from compagnon.evaluation.evaluate import evaluate
from compagnon.evaluation.progress import EvaluationProgress


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_the_share_and_the_time_left_of_two_policies():
    told: list[str] = []
    clock = Clock()
    progress = EvaluationProgress(told.append, 2, clock)
    progress.begin("random")
    clock.now += 30.0
    progress.at(0.5)  # a quarter of it all in 30 s
    clock.now += 30.0
    progress.at(1.0)
    progress.begin("constant:0")
    clock.now += 15.0
    progress.at(0.25)
    clock.now += 65.0
    progress.at(7.0)  # more is not done than there is
    assert told == [
        "random, 0% done",
        "random, 25% done, 1:30 left",
        "random, 50% done, 1:00 left",
        "constant:0, 50% done, 1:00 left",
        "constant:0, 62% done, 0:45 left",
        "constant:0, 100% done, 0:00 left",
    ]


def test_at_the_beginning_the_time_left_would_be_a_guess():
    told: list[str] = []
    clock = Clock()
    progress = EvaluationProgress(told.append, 1, clock)
    progress.begin("random")
    clock.now += 1.9
    progress.at(0.01)
    clock.now += 0.1
    progress.at(0.02)
    assert told == ["random, 0% done", "random, 1% done", "random, 2% done, 1:38 left"]


@pytest.fixture
def _every_step(monkeypatch):
    """Told after each step, not a few times a second."""
    monkeypatch.setattr("compagnon.evaluation.episodes._TELL_SECONDS", 0.0)


def shares(told, name):
    return [int(line.split(", ")[1].split("%")[0]) for line in told if line.startswith(name)]


def check_shares(told):
    """Both policies come to their end, one after the other, and nothing runs backwards."""
    first, second = shares(told, "random, "), shares(told, "constant:0, ")
    assert len(first) + len(second) == len(told)
    assert first[0] == 0
    assert second[0] == 50
    assert second[-1] == 100
    assert first + second == sorted(first + second)
    assert len(set(first)) > 5


@pytest.mark.usefixtures("_every_step")
def test_evaluate_tells_of_every_policy():
    told: list[str] = []
    evaluate(["random", "constant:0"], "MountainCar-v0", {}, episodes=3, progress=told.append)
    check_shares(told)


def test_a_share_that_runs_backwards_would_be_seen():
    told = [f"random, {share}% done" for share in (0, 10, 20, 30, 40, 49)]
    check_shares([*told, "constant:0, 50% done", "constant:0, 100% done, 0:00 left"])
    with pytest.raises(AssertionError):
        check_shares([*told[::-1], "constant:0, 50% done", "constant:0, 100% done, 0:00 left"])


@pytest.mark.usefixtures("_every_step")
def test_the_command_line_shows_it(monkeypatch):
    said: list[str] = []

    @contextmanager
    def busy(message):
        assert message == "playing"
        yield said.append

    monkeypatch.setattr(output, "busy", busy)
    words = ["random", "constant:0", "--env", "MountainCar-v0", "--episodes", "2"]
    assert main(["evaluate", *words]) == 0
    check_shares(said)
