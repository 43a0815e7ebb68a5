"""A run's directory: begun once, its metrics whole lines, its recipe kept."""

import pytest

from compagnon.errors import InputError
from compagnon.rl.run import Run
from compagnon.rl.trainer import start
from tests.rl.small import recipe_of


def test_a_run_keeps_its_recipe(tmp_path):
    recipe = recipe_of("alternate", seed=4)
    Run.create(tmp_path / "run", recipe)
    assert Run.open(tmp_path / "run").recipe == recipe


def test_a_directory_that_holds_something_is_refused_and_left_alone(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already: use --resume"):
        start(recipe_of(), tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        start(recipe_of(), tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


def test_an_empty_directory_is_used(tmp_path):
    (tmp_path / "run").mkdir()
    Run.create(tmp_path / "run", recipe_of())
    assert Run.open(tmp_path / "run").metrics() == []


def test_a_recipe_that_cannot_run_leaves_nothing(tmp_path):
    recipe = recipe_of(env__args={"demand": "none.csv"})
    with pytest.raises(InputError, match=r"demand='none\.csv'"):
        start(recipe, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_without_a_recipe_is_no_run(tmp_path):
    with pytest.raises(InputError, match=r"is not a run: it has no recipe\.toml"):
        Run.open(tmp_path)


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path):
    run = Run.create(tmp_path / "run", recipe_of())
    for iteration in (1, 2, 3):
        run.append_metrics({"iteration": iteration, "loss": 0.5})
    path = run.path / "metrics.jsonl"
    path.write_text(path.read_text()[:-5])
    assert [line["iteration"] for line in run.metrics()] == [1, 2]
    run.cut_metrics(9)
    run.append_metrics({"iteration": 3})
    assert [line["iteration"] for line in run.metrics()] == [1, 2, 3]


def test_metrics_after_a_checkpoint_are_forgotten(tmp_path):
    run = Run.create(tmp_path / "run", recipe_of())
    for iteration in (1, 2, 3):
        run.append_metrics({"iteration": iteration})
    run.cut_metrics(2)
    assert [line["iteration"] for line in run.metrics()] == [1, 2]


def test_a_run_without_metrics_has_none(tmp_path):
    run = Run.create(tmp_path / "run", recipe_of())
    (run.path / "metrics.jsonl").write_text('{"iteration": 1}\n3\n{"iteration": 2}\n')
    assert [line["iteration"] for line in run.metrics()] == [1]
    (run.path / "metrics.jsonl").unlink()
    assert run.metrics() == []


def test_a_policy_to_beat_that_is_none_leaves_nothing(tmp_path):
    recipe = recipe_of(evaluation={"against": "nobody"})
    with pytest.raises(InputError, match="no policy is called nobody"):
        start(recipe, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
