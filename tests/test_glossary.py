"""The glossary is whole, in both languages, and what it points to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CELLS = 5  # word, term, two sentences, where


def rows(text: str) -> list[list[str]]:
    """The rows of all tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if not row[0].startswith("word")]


def faults(text: str) -> list[str]:
    """What is missing in a glossary, row by row."""
    found, known = [], set()
    for row in rows(text):
        word = row[0]
        if len(row) != CELLS or not all(row):
            found.append(f"{word}: {CELLS} cells, none empty")
            continue
        if " · " not in word or " · " not in row[1]:
            found.append(f"{word}: in both languages")
        if word in known:
            found.append(f"{word}: twice")
        known.add(word)
        found += [f"{word}: {one}" for one in row[2:4] if not one.endswith(".")]
        paths = re.findall(r"`([^`]+)`", row[4])
        if not paths:
            found.append(f"{word}: lives nowhere")
        found += [f"{word}: no {p}" for p in paths if not (ROOT / "src/compagnon" / p).is_file()]
    return found


def test_every_word_has_its_term_two_sentences_and_a_home() -> None:
    text = (ROOT / "docs/glossary.md").read_text()
    assert len(rows(text)) > 40
    assert faults(text) == []


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("| a · b | c · d | One. | Un. | `rl/nowhere.py` |", "no rl/nowhere.py"),
        ("| a · b | c · d | One. | Un. | somewhere |", "lives nowhere"),
        ("| a · b | c · d | One. | | `rl/ppo.py` |", "none empty"),
        ("| a | c · d | One. | Un. | `rl/ppo.py` |", "in both languages"),
        ("| a · b | c · d | One. | Un | `rl/ppo.py` |", "Un"),
        ("| a · b | c · d | One. | Un. | `rl/ppo.py` |\n" * 2, "twice"),
    ],
)
def test_what_is_missing_is_found(row: str, fault: str) -> None:
    assert any(fault in one for one in faults(row))


@pytest.mark.parametrize("page", ["README.md", "README.fr.md", "docs/index.md"])
def test_it_is_linked(page: str) -> None:
    assert "glossary.md)" in (ROOT / page).read_text()
