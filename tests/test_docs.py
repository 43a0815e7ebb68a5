"""The documentation says what the code says: its tables, its links, and no figure left open."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_no_figure_is_left_open():
    left = [str(page.relative_to(ROOT)) for page in PAGES if "FIGURE" in page.read_text()]
    assert left == []


def test_both_readmes_give_the_same_figures():
    def figures(name: str) -> list[str]:
        shown = (ROOT / name).read_text().partition("<!-- demo output -->")[2]
        code = re.findall(r"```.*?```", shown, flags=re.DOTALL)
        return [line for block in code for line in block.splitlines() if line[:1] != "#"]

    english, french = figures("README.md"), figures("README.fr.md")
    assert len(english) > 20
    commands = {line for line in english if line.startswith(("compagnon ", "make "))}
    assert commands <= set(french)
