"""CONTRIBUTING names the files by which a recipe becomes a policy: few, and no others are run."""

import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import compagnon
from compagnon.cli import main

PACKAGE = Path(compagnon.__file__).parent
TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
MOST = 15
# What runs beside them, by what it is for: who follows a recipe sees by the call what it does.
ASIDE = {
    "the command line and its words": r"(cli|api)/.*|(__init__|amounts|arguments|compiling)\.py",
    "what it prints": r"(extras|output|text)\.py",
    "how worlds and ids are found": r"worlds/.*|plugins\.py|envs/(finding|making|options)\.py",
    "how one env is read": r"envs/(adapter|encoding|field|known_state|products|recorded)\.py",
    "what is refused of an env": r"envs/step_checks\.py",
    "what is kept on disk": r"files\.py|rl/(checkpoint|provenance|recipe_history|run)\.py",
    "what a policy is, and how it plays": r"policy/.*",
    "how far it is": r"rl/(callbacks|filming|process|progress)\.py",
    "what its evaluations say": r"evaluation/(progress|statistics)\.py",
    "settings": r"rl/(problem_defaults|settings)\.py|rl/networks/registry\.py",
    "sums and scales by name": r"rl/buffers/(episode_returns|reward_scale)\.py",
    "the same, faster": r"rl/fast/.*",
}


def reading_path() -> list[str]:
    """The files that CONTRIBUTING names, in its order."""
    part = TEXT[TEXT.index("From a recipe to a trained policy") :].partition("\n\n")[0]
    names = re.findall(r"`([\w/]+\.py)`", part.partition(". What else")[0])
    assert names
    return names


def run_files(do: Any) -> set[str]:
    """The files of the package whose functions run."""
    seen: set[str] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_name != "<module>":
            seen.add(code.co_filename)

    sys.setprofile(note)
    try:
        do()
    finally:
        sys.setprofile(None)
    inside = (Path(name) for name in seen)
    return {str(p.relative_to(PACKAGE)) for p in inside if p.is_relative_to(PACKAGE)}


def learn(folder: Path) -> None:
    short = ["budget.iterations=1", "budget.env_steps=1000", "evaluation.episodes=1"]
    sets = [part for one in short for part in ("--set", one)]
    assert main(["learn", "cartpole-ppo", "--out", str(folder), *sets]) == 0


@pytest.mark.full
def test_what_a_recipe_runs_through_is_on_the_path_or_aside(tmp_path, capsys):
    learn(tmp_path / "first")  # what is imported, and looked up once, has been
    found = run_files(lambda: learn(tmp_path / "run"))
    path = reading_path()
    assert len(path) <= MOST
    assert set(path) <= found, "a file is named that takes no part"
    aside = re.compile("|".join(ASIDE.values()))
    assert {name for name in found - set(path) if not aside.fullmatch(name)} == set()
    assert (tmp_path / "run" / "best" / "policy.json").is_file()
    capsys.readouterr()


def test_the_path_is_short_and_its_files_are_there():
    path = reading_path()
    assert len(path) == len(set(path)) <= MOST
    assert [name for name in path if not (PACKAGE / name).is_file()] == []
