"""The page on experiments is true: its Python runs, and prints what stands there."""

import ast
import re
from pathlib import Path

PAGE = (Path(__file__).parents[3] / "docs" / "experiments.md").read_text()
CODE, PRINTED = re.findall(r"```(?:python)?\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_python_prints_what_the_page_says(capsys):
    exec(compile(CODE, "docs/experiments.md", "exec"), {})
    assert capsys.readouterr().out == PRINTED


def test_it_is_short():
    assert len(ast.parse(CODE).body) <= 11  # statements, however long their lines
