"""`compagnon dispatch-poc table` shows what the roadmap hoped for beside what was played."""

import json

import numpy as np
import pytest

from compagnon.cli import main
from compagnon.evaluation.evaluate import evaluate
from compagnon.worlds.dispatch_poc import DISPATCH_POC
from compagnon.worlds.dispatch_poc.table import AGAINST, POLICIES, ROADMAP, make_table

FEW = ["--hours", "2", "--episodes", "8"]


def test_the_table_holds_the_roadmap_and_every_policy(capsys, tmp_path):
    file = tmp_path / "table.json"
    assert main(["dispatch-poc", "table", *FEW, "--faults", "--json", str(file)]) == 0
    text = capsys.readouterr().out
    for promise in ROADMAP:
        assert f"{promise.words} " in text
        assert promise.baseline in text
        assert promise.target in text
    for name in POLICIES:
        assert name.removeprefix("expert:dispatch-poc-") in text
    found = json.loads(file.read_text())
    assert [line["name"] for line in found["policies"]] == list(POLICIES)
    assert found["env_args"]["faults"] is True
    shown = found["policies"][0]["kpis"]["reward_per_step"]["mean"]
    assert f"{shown:.2f}" in text


@pytest.mark.full
def test_the_figures_are_those_of_evaluate():
    args = {"hours": 2}
    names = ["random", "expert:dispatch-poc-matching"]
    found = make_table(names, args, 10, 5)
    played = evaluate([AGAINST, *names], DISPATCH_POC, args, 10, 5)
    assert [line.policy for line in found.lines] == names
    for line, score in zip(found.lines, played.scores[1:], strict=True):
        for kpi, value in score.kpis.items():
            assert line.kpis[kpi].mean == pytest.approx(value)
        basis = played.scores[0].results.kpis["reward_per_step"]
        difference = score.results.kpis["reward_per_step"] - basis
        assert line.against.mean == pytest.approx(float(np.mean(difference)))
        assert line.decision_ms > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--drivers", "0"], "drivers=0"),
        (["--episodes", "0"], "episodes=0"),
        (["--policy", "expert:nobody"], "nobody"),
        (["--seed", "-1"], "--seed -1"),
    ],
)
def test_bad_input_is_named(capsys, words, message):
    assert main(["dispatch-poc", "table", *words]) == 2
    assert message in capsys.readouterr().err
