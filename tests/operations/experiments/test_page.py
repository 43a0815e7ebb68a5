"""The page on experiments is true: its Python runs, and prints what stands there."""

import ast
import re
import shlex
from pathlib import Path

from compagnon.amounts import read_moment
from compagnon.cli import experiment, main
from compagnon.operations.experiments.plan_file import load_plan
from tests.operations.experiments.simulated import play

PAGE = (Path(__file__).parents[3] / "docs" / "experiments.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, flags=re.DOTALL)
CODE, PRINTED = BLOCKS[0][1], BLOCKS[1][1]
PLAN, RUN = (next(text for kind, text in BLOCKS if kind == one) for one in ("toml", "console"))


def test_the_python_prints_what_the_page_says(capsys):
    exec(compile(CODE, "docs/experiments.md", "exec"), {})
    assert capsys.readouterr().out == PRINTED


def test_it_is_short():
    assert len(ast.parse(CODE).body) <= 11  # statements, however long their lines


def test_the_run_on_the_command_line_prints_what_the_page_says(
    sqlite_store, tmp_path, capsys, monkeypatch
):
    """Each command on the day that stands above it, on a log that the plan's own arms made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPAGNON_DB", sqlite_store.address)
    Path("pooling.toml").write_text(PLAN)
    plan = load_plan(Path("pooling.toml"))
    play(sqlite_store, plan, gain=2.0, before=28, application="default")
    shown = []
    for line in RUN.splitlines():
        if line.startswith("# "):
            moment = read_moment(line[2:], "the page")
            monkeypatch.setattr(experiment, "now", lambda moment=moment: moment)
            shown.append(line)
        elif line.startswith("$ "):
            main(shlex.split(line)[2:])
            captured = capsys.readouterr()
            said = (captured.out + captured.err).splitlines()
            shown += [line, *(one.rstrip() for one in said)]
    assert shown == [line.rstrip() for line in RUN.splitlines()]
    assert len(shown) > 20
