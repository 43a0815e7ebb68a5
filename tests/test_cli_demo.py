"""`demo`: a recipe goes the whole way to a decision that is served, explained and replayed."""

import re
from pathlib import Path

import pytest

from compagnon.cli import main
from compagnon.cli.demo import answer_lines, service
from compagnon.errors import InputError
from compagnon.worlds.registry import recipe_texts, usual_world


def reason(action, meaning, why=None, cost=None):
    return {
        "action": action, "meaning": meaning, "possible": why is None, "cost": cost, "why": why,
    }  # fmt: skip


ANSWER = {
    "action": 1,
    "meaning": "go",
    "probability": 1.0,
    "alternatives": [{"action": 0, "meaning": "stay", "probability": 0.0, "preference": 0.25}],
    "reasons": [
        reason(0, "stay", cost=3.5),
        reason(1, "go", cost=1.0),
        reason(2, "lift 2", "it takes 2 hands, and there is 1"),
        reason(3, "lift 3", "it takes 3 hands, and there is 1"),
        reason(4, "fly", "nobody flies"),
    ],
}


def test_an_answer_is_told_with_what_else_was_possible_and_what_was_not() -> None:
    assert answer_lines(ANSWER) == [
        "decided   go, probability 1.0",
        "beside    stay, the policy's preference 0.25, +2.5 in cost",
        "not now   3 of 5 actions, such as",
        "          lift 2: it takes 2 hands, and there is 1",  # lift 3 is of the same kind
        "          fly: nobody flies",
    ]


def test_an_answer_without_reasons_or_with_a_vector_is_told_as_well() -> None:
    bare = {key: ANSWER[key] for key in ("action", "meaning", "probability", "alternatives")}
    assert answer_lines(bare)[1] == "beside    stay, the policy's preference 0.25"
    vector = {"action": {"push": 1.0}, "meaning": "push 1", "density": "deterministic"}
    assert answer_lines(vector) == ["decided   push 1, density deterministic"]


def test_the_usual_world_has_a_recipe_for_it() -> None:
    assert usual_world().demo_recipe in recipe_texts()


@pytest.mark.full
def test_a_service_that_does_not_begin_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"ended before it listened: compagnon: .*nothing"),
        service(tmp_path / "nothing", f"sqlite:///{tmp_path}/d.db"),
    ):
        pass


@pytest.mark.full
def test_the_demo_goes_the_whole_way(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["demo", "--quick", "--out", str(run)]) == 0
    shown = capsys.readouterr().out
    steps = re.findall(r"^\$ compagnon (\w+)", shown, flags=re.MULTILINE)
    assert steps == ["learn", "export", "report", "serve", "log"]
    for words in ("as served", "decided   ", "not now   ", "the store holds"):
        assert words in shown
    assert "1 decisions made again, 1 the same bit for bit" in shown
    assert (run / "best" / "policy.onnx").is_file()
    assert (run / "report.html").is_file()
    # Once more: what is there is gone on with, and nothing is in the way.
    assert main(["demo", "--quick", "--out", str(run)]) == 0
    assert main(["demo", "workshop-tight", "--quick", "--out", str(run)]) == 2
    assert "is a run of workshop-demo" in capsys.readouterr().err
