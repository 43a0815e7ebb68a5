"""`tune` from the command line: what it refuses, before anything is started."""

import importlib.util
from pathlib import Path

import pytest

from compagnon.cli import main
from compagnon.cli.tune import _figures
from compagnon.tuning.progress import StudyProgress
from tests.tuning.small import CARTPOLE, SPACE


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(CARTPOLE)
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget", "soon"], "--budget soon"),
        (["--budget", "-5m"], "--budget -5m"),
        (["--budget", "20"], "--budget 20"),
        (["--trials", "0"], "--trials 0"),
        (["--seed", "-1"], "--seed -1"),
        (["--space", "nosuch.toml"], "nosuch.toml cannot be read"),
        (["--storage", "sqlite:///x.db"], "give a file, or postgresql://"),
        (["--storage", "postgresql://me:pw@127.0.0.1:9/x"], "cannot be reached"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(recipe, tmp_path, capsys, words, said):
    out = tmp_path / "out"
    assert main(["tune", str(recipe), "--out", str(out), *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not (out / "trials").exists()


def test_an_unknown_parameter_and_a_range_that_is_refused(recipe, tmp_path, capsys):
    space, out = tmp_path / "space.toml", tmp_path / "out"
    words = ["tune", str(recipe), "--out", str(out), "--space", str(space)]
    for text, said in (
        (SPACE.replace("learning_rate", "lerning_rate"), "did you mean learning_rate"),
        (SPACE.replace("values = [8, 16]", "values = [8, -1]"), "algorithm.batch_size = -1"),
        ("[env.args.max_episode_steps]\nkind = 'int'\nlow = 1\nhigh = 9", "is the task"),
    ):
        space.write_text(text)
        assert main(words) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"compagnon: {space}: ")
        assert said in error
        assert len(error.strip().splitlines()) == 1
    assert not out.exists()


def test_without_optuna_it_says_what_to_install(recipe, capsys, monkeypatch):
    before = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "optuna" else before(name)
    )
    assert main(["tune", str(recipe)]) == 2
    assert "pip install 'compagnon[tune]'" in capsys.readouterr().err


def test_progress_says_what_is_done_and_what_is_left():
    now = StudyProgress(False, 50, 3, 2, 1, (-104.25, 7), 125.0, [None] * 6)
    said = _figures(now)
    assert said == "6 of 50, 2 pruned, 1 failed, best -104.2 (trial 7), 2:05 left"
    begun = StudyProgress(True, 20, 0, 0, 0, None, None, [])
    assert _figures(begun) == "0 of 20, 0 failed"
