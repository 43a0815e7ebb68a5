"""Outside `worlds/` nobody names a world: what the product knows of one stands in its folder.

Names in code and in texts are looked at, docstrings included. What is allowed stands below, with
its reason.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import compagnon

ROOT = Path(compagnon.__file__).parent
# Parts of names that stand for a world wherever they stand, and whole words that do.
PARTS = (
    "workshop", "cartpole", "mountaincar", "lunar", "pendulum", "acrobot", "bipedal", "carracing",
    "dispatchpoc",
)  # fmt: skip
WORDS = ("dispatch", "poc", "ball", "mountain")
NAMED = re.compile(rf"{'|'.join(PARTS)}|(?<![a-z])(?:{'|'.join(WORDS)})(?![a-z])", re.IGNORECASE)
# A line of a help or of a docstring that is a command to be typed.
EXAMPLE = re.compile(r"^\s*\$ compagnon .*$", re.MULTILINE)
# What else may be named, by file: a text that holds it, and why.
ALLOWED = {
    "envs/finding.py": ("``CartPole-v1``", "what an id looks like, by the best known one"),
}


def named(text: str) -> list[str]:
    """The worlds that a name or a text names."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text) if text.isidentifier() else text
    return NAMED.findall(text) or NAMED.findall(spaced)


def texts_of(source: str) -> Iterator[tuple[int, str]]:
    """Every name and every text of a module, with its line."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 1)
        if isinstance(node, ast.Name):
            yield line, node.id
        elif isinstance(node, ast.Attribute):
            yield line, node.attr
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            yield line, node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield line, node.name
        elif isinstance(node, ast.alias):
            yield line, node.name
            yield line, node.asname or ""
        elif isinstance(node, ast.ImportFrom):
            yield line, node.module or ""
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield line, EXAMPLE.sub("", node.value)


def namings(path: str, source: str) -> list[str]:
    """Where a module names a world: ``path:line: what it says``."""
    allowed = ALLOWED.get(path, ("\0", ""))[0]
    return [
        f"{path}:{line}: {text.strip()[:80]}"
        for line, text in texts_of(source)
        if named(text.replace(allowed, ""))
    ]


def files(*endings: str) -> list[str]:
    found = (path for ending in endings for path in ROOT.rglob(f"*.{ending}"))
    inside = (path.relative_to(ROOT).as_posix() for path in found)
    return sorted(path for path in inside if not path.startswith("worlds/"))


def test_nobody_names_a_world() -> None:
    assert len(files("py")) > 150
    found = [line for path in files("py") for line in namings(path, (ROOT / path).read_text())]
    assert not found, "\n".join(found)


def test_no_page_no_recipe_and_no_table_outside_names_one() -> None:
    found = [path for path in files("html", "toml", "csv", "json", "mako") if named(
        (ROOT / path).read_text())]  # fmt: skip
    assert not found


def test_what_is_allowed_is_still_there() -> None:
    for path, (text, reason) in ALLOWED.items():
        assert text in (ROOT / path).read_text(), path
        assert reason


@pytest.mark.parametrize(
    "source",
    [
        "from compagnon.worlds.workshop import rules",
        "import compagnon.worlds.ball.core as core",
        "def _dispatch_words(): ...",
        "class WorkshopReader: ...",
        "if env_id == DISPATCH_POC: ...",
        "x = 'compagnon/Ball-v0'",
        "x = {'CartPole': 1}",
        "def f(lunar=1): ...",
        "f'{a} is of the workshop'",
        '"""Says what the dispatch world does."""',
    ],
)
def test_a_naming_is_found(source: str) -> None:
    assert namings("made_up.py", source)


@pytest.mark.parametrize(
    "source",
    [
        "from numba.core.dispatcher import Dispatcher",
        "x = 'a football, a balloon and a dispatcher'",
        '"""Evaluate.\n\n    $ compagnon evaluate expert:workshop-v2 random\n"""',
        "from compagnon.worlds import find_world",
    ],
)
def test_what_names_none_is_left_alone(source: str) -> None:
    assert not namings("made_up.py", source)
