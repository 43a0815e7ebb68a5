"""A budget is said in the same words to every verb that takes one."""

import inspect
from types import SimpleNamespace

import pytest

from compagnon.cli import learn as learn_module
from compagnon.cli import main
from compagnon.cli.app import groups, verbs

# What each verb makes of a budget, and whether it takes steps as well as times.
TAKE = {"learn": True, "tune": False}
TIMES = {
    "25s": 25.0,
    "90S": 90.0,
    "20m": 1_200.0,
    "5h": 18_000.0,
    "2d": 172_800.0,
    "1.5h": 5_400.0,
    "25 s": 25.0,
}
WRONG = (
    "soon",
    "5x",
    "-5m",
    "0s",
    "steps",
    "5m steps",
    "-7 steps",
    "1000 step",
    "s",
    "nanm",
    "1e99h9",
)


class Stop(Exception):
    """Nothing is trained here."""


@pytest.fixture
def understood(monkeypatch, tmp_path):
    """The budget that a verb made of its words: seconds, or steps."""
    monkeypatch.chdir(tmp_path)
    found = []

    def run(recipe, *_):
        found.append(recipe.budget)
        raise Stop

    def search(plan, *_):
        found.append(SimpleNamespace(minutes=plan.minutes, env_steps=None))
        raise Stop

    monkeypatch.setattr(learn_module, "_run", run)
    monkeypatch.setattr("compagnon.tuning.tune.tune", search)

    def say(verb, text):
        with pytest.raises(Stop):
            main([verb, "cartpole-ppo", "--budget", text])
        return found.pop()

    return say


def test_these_are_the_verbs_that_take_a_budget():
    every = {
        **verbs(),
        **{f"{g} {n}": v for g, (_, inner) in groups().items() for n, v in inner.items()},
    }
    found = {name for name, verb in every.items() if "budget" in inspect.signature(verb).parameters}
    assert found == set(TAKE)


@pytest.mark.parametrize("verb", TAKE)
@pytest.mark.parametrize("text", TIMES)
def test_times(understood, verb, text):
    assert understood(verb, text).minutes == pytest.approx(TIMES[text] / 60)


@pytest.mark.parametrize("text", ["1000", "1e3", "1000.0", "1000 steps", "1000steps", "1e3 Steps"])
def test_steps_take_the_place_of_the_recipe_s_own_bounds(understood, text, capsys):
    budget = understood("learn", text)
    assert budget.env_steps == 1000
    assert (budget.minutes, budget.iterations) == (None, None)
    assert main(["tune", "cartpole-ppo", "--budget", text]) == 2  # a search is no number of steps
    assert f"--budget {text}: give a time such as 90s, 20m, 2h or 7d" in capsys.readouterr().err


@pytest.mark.parametrize("verb", TAKE)
@pytest.mark.parametrize("text", WRONG)
def test_other_words_are_refused_in_one_sentence(understood, verb, text, capsys, tmp_path):
    assert main([verb, "cartpole-ppo", f"--budget={text}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"compagnon: --budget {text}: give a time such as ")
    assert ("steps such as 2e6" in line) == TAKE[verb]
    assert list(tmp_path.iterdir()) == []
