"""The documentation says what the code says: its tables, its links, and no figure left open."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from compagnon.rl.recipe import load_recipe
from compagnon.worlds.registry import usual_world

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md"),
         *ROOT.glob("examples/*/*.md")]  # fmt: skip


@pytest.mark.full
def test_the_tables_are_those_of_the_code():
    checked = subprocess.run(
        [sys.executable, "docs/make_tables.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_relative_link_and_picture_is_there():
    assert len(PAGES) > 10
    missing = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if not target.startswith("http") and not (page.parent / target).exists()
    ]
    assert missing == []


def test_every_file_of_ours_that_a_page_names_is_there():
    """A page may shorten a path (`rl/ppo.py`), but what it names has to end so."""
    rooms = ("src", "tests", "benchmarks", "examples", "docs")
    listed = [path.relative_to(ROOT) for room in rooms for path in (ROOT / room).rglob("*.py")]
    assert len(listed) > 100
    missing = [
        f"{page.relative_to(ROOT)}: {named}"
        for page in PAGES
        for named in re.findall(r"`([\w/]+\.py)(?:::\w+)?`", page.read_text())
        if "NAME" not in named and not any(f"/{one}".endswith(f"/{named}") for one in listed)
    ]
    assert missing == []


def test_no_figure_is_left_open():
    left = [str(page.relative_to(ROOT)) for page in PAGES if "FIGURE" in page.read_text()]
    assert left == []


READMES = ("README.md", "README.fr.md")


def shown(text: str) -> list[str]:
    """The lines of all blocks that are no Python: commands, and what they print."""
    blocks = re.findall(r"```(\w*)\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for kind, block in blocks if kind != "python" for line in block.splitlines()]
    return [line.strip() for line in lines]


def claims(text: str) -> list[tuple[list[str], str]]:
    """Of each row of the table of what has been shown: its commands, and its figures' digits."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return [
        (re.findall(r"`[^`]+`", command), re.sub(r"\D", "", what + figures))
        for what, figures, command in rows[1:]
    ]


def test_both_readmes_give_the_same_commands_and_figures():
    english, french = ((ROOT / name).read_text() for name in READMES)
    assert len(shown(english)) > 40
    assert shown(english) == shown(french)
    assert len(claims(english)) > 6
    assert claims(english) == claims(french)
    assert all(commands and digits for commands, digits in claims(english))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("| a | 10,540.5 | `x` |", "| b | 10 540,5 | `x` |", True),
     ("| a | 10,540 | `x` |", "| a | 10,541 | `x` |", False),
     ("| a | 1 | `x` |", "| a | 1 | `y` |", False)],
)  # fmt: skip
def test_another_figure_or_command_is_seen(one, other, same):
    head = "| what | figures | command |\n"
    assert (claims(head + one) == claims(head + other)) is same


def test_the_readmes_are_short():
    # What takes more room has a page of its own.
    assert all(len((ROOT / name).read_text()) <= 10_240 for name in READMES)


@pytest.mark.parametrize("name", READMES)
def test_the_demo_s_output_is_that_of_its_recipe(name):
    text = (ROOT / name).read_text().partition("<!-- demo output -->")[2].partition("<!-- end")[0]
    recipe = load_recipe(usual_world().demo_recipe)
    assert f"{recipe.name}: {recipe.description}" in text
    assert str(recipe.evaluation.against) in text
    assert re.search(rf"practice +{recipe.budget.iterations} ", text)
