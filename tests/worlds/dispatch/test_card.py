"""On dispatch a terminal shows what a dispatcher looks at: who was served, who waited, how far."""

import json

import pytest

from compagnon.cli import main
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch.labels import CARD

WORDS = ["expert:dispatch-nearest", "random", "--env", DISPATCH, "--episodes", "2"]


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """What two days print, and their figures."""
    import contextlib
    import io

    file = tmp_path_factory.mktemp("dispatch") / "figures.json"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["evaluate", *WORDS, "--json", str(file)]) == 0
    return printed.getvalue(), json.loads(file.read_text())


def rows_of(text, title):
    """The cells of the table with that heading: what it says -> one cell a policy."""
    lines = text.splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith(title + "  "))
    found = {}
    for line in lines[start + 1 :]:
        if not line.strip():
            break
        *words, first, second = line.split()
        found[" ".join(words)] = (first, second)
    return found


@pytest.mark.parametrize("title", CARD)
def test_every_figure_of_the_card_is_printed_for_every_policy(played, title):
    text, figures = played
    rows = rows_of(text, title)
    assert list(rows) == [one.label for one in CARD[title]]
    for one in CARD[title]:
        kpis = [policy["kpis"][one.kpi] for policy in figures["policies"]]
        expected = tuple("-" if value is None else f"{value:{one.form}}" for value in kpis)
        assert rows[one.label] == expected


def test_the_figures_tell_the_two_apart(played):
    """A card that showed one policy twice would be seen."""
    text, _ = played
    first, second = zip(*rows_of(text, "Cost of the day").values(), strict=True)
    assert first != second


def test_another_environment_has_no_card(capsys):
    assert main(["evaluate", "random", "--env", "CartPole-v1", "--episodes", "1"]) == 0
    text = capsys.readouterr().out
    assert not any(title in text for title in CARD)
