"""What whoever waits is told: of a long iteration too, while it goes on."""

import io

import pytest
from rich.console import Console

from compagnon.api import progress
from compagnon.rl import expert_iteration
from compagnon.rl.run import Run
from compagnon.rl.trainer import Trainer
from tests.rl.test_expert_iteration import STOP, Always, LadderWorld, recipe


@pytest.fixture(autouse=True)
def world(monkeypatch):
    monkeypatch.setattr(expert_iteration, "find_world", lambda env_id: LadderWorld())


def trained(path, monkeypatch, terminal, every=0.0):
    """What is written while the small ladder is climbed."""
    said = io.StringIO()
    lines = Console(file=said, force_terminal=terminal, width=200)
    monkeypatch.setattr(progress, "Console", lambda **_: lines)
    monkeypatch.setattr(progress, "EVERY_SECONDS", every)
    small = recipe(rounds=1)
    trainer = Trainer(Run.create(path / "run", small), small, Always(STOP))
    with progress.shown(trainer) as callback:

        def stop(info):
            callback(info)
            return info.iteration < 2

        trainer.train(stop, signals=())
    return said.getvalue()


def test_without_a_terminal_a_line_now_and_then_says_how_far_a_look_ahead_is(tmp_path, monkeypatch):
    said = trained(tmp_path, monkeypatch, terminal=False)
    assert "look ahead, iteration 2: 50% done, about 0 min left" in said
    assert said.count("look ahead, iteration 2") == 19  # of 20 steps; the first has nothing to say


def test_what_takes_no_minute_says_nothing(tmp_path, monkeypatch):
    assert "look ahead" not in trained(tmp_path, monkeypatch, terminal=False, every=60.0)


def test_on_a_terminal_the_bar_says_what_it_is_at(tmp_path, monkeypatch):
    assert "look ahead" in trained(tmp_path, monkeypatch, terminal=True)


def test_an_iteration_says_how_far_it_is_and_never_that_it_is_done(tmp_path):
    small = recipe(rounds=1)
    trainer = Trainer(Run.create(tmp_path / "run", small), small, Always(STOP))
    told = []
    trainer.algorithm.under_way = told.append
    trainer.algorithm.iterate()
    assert told == []
    trainer.algorithm.iterate()
    assert told == [k / 20 for k in range(20)]
