"""The page on one's own environment is true: its files are written, and its commands run."""

import json
import re
import shlex
import sys
import urllib.request
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from compagnon.cli import main
from tests.serving.processes import serving, start

PAGE = (Path(__file__).parents[1] / "docs" / "own_environment.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)
COMMANDS = [
    line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if line.strip()
]
# What makes each command short: its answers are looked at, not its figures.
SHORT = {
    "evaluate": ["--episodes", "8"],
    "audit": ["--episodes", "8"],
    "report": ["--episodes", "8"],
    "export": ["--states", "256", "--episodes", "4"],
    "learn": [
        "--set",
        "budget.iterations=4",
        "algorithm.dagger.gradient_steps=20",
        "evaluation.every=2",
        "evaluation.episodes=4",
    ],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the page's files, where its commands are run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setenv("COLUMNS", "160")
    files = 0
    for kind, text in BLOCKS:
        if kind in ("python", "toml"):
            name, _, body = text.partition("\n")
            (tmp_path / name.removeprefix("# ")).write_text(body)
            files += 1
    assert files == 3
    yield tmp_path
    sys.modules.pop("shop", None)
    gymnasium.registry.pop("shop/Inventory-v0", None)


def words_of(command: str) -> list[str]:
    _, *words = shlex.split(command)
    return [*words, *SHORT.get(words[0], [])]


def test_the_page_goes_the_whole_way():
    verbs = [shlex.split(command)[1] for command in COMMANDS if command.startswith("compagnon ")]
    wanted = ["envs", "evaluate", "audit", "watch", "learn", "report", "export", "serve", "log"]
    assert [verb for verb in verbs if verb in wanted] == wanted


def test_the_environment_and_the_rule_are_played(folder, capsys):
    for command in COMMANDS:
        if shlex.split(command)[1] in ("envs", "evaluate", "audit", "watch"):
            assert main(words_of(command)) == 0, command
    shown = capsys.readouterr().out
    for words in ("weekday=6", "stock", "expert:rules.py:OrderUpTo:10", "purchases", "profit"):
        assert words in shown


def test_the_environment_is_one_that_gymnasium_accepts(folder):
    from gymnasium.utils.env_checker import check_env

    from compagnon.envs import make

    env = make("shop:shop/Inventory-v0").unwrapped
    check_env(env, skip_render_check=True)
    env.reset(seed=1)
    assert env._mask().sum() == 11
    env.stock = 17
    assert np.flatnonzero(env._mask()).tolist() == [0, 1, 2, 3]


def run(words: list[str]) -> str:
    process = start(*words)
    shown, _ = process.communicate(timeout=600)
    assert process.returncode == 0, f"{words}\n{shown}"
    return shown


@pytest.mark.slow
def test_every_command_runs_as_printed(folder):
    answer = {}
    served = None
    for command in COMMANDS:
        words = shlex.split(command)
        if words[0] == "curl":
            with serving(*served) as process:
                answer = ask(process.address, words)
                assert process.end() == 0
        elif words[1] == "serve":
            served = words[2:]
        else:
            shown = run(words_of(command))
            if words[1] == "learn":  # the command that is printed for what comes next
                assert "next: compagnon report runs/inventory" in shown
    assert answer["id"] == "saturday-1"
    assert 0 <= answer["action"] <= 10
    manifest = json.loads((folder / "runs/inventory/best/policy.json").read_text())
    assert manifest["schema"]["env_id"] == "shop:shop/Inventory-v0"
    # The trained policy finds its environment again without being told.
    assert "shop:shop/Inventory-v0" in run(["evaluate", "runs/inventory", *SHORT["evaluate"]])
    assert "shop:shop/Inventory-v0" in run(["evaluate", "onnx:runs/inventory", "--episodes", "4"])


def ask(address: str, words: list[str]) -> dict[str, object]:
    """What curl would be answered."""
    url = next(word for word in words if word.startswith("http"))
    header = words[words.index("-H") + 1].split(": ")
    body = words[words.index("-d") + 1].encode()
    request = urllib.request.Request(
        url.replace("http://127.0.0.1:8000", address), body, {header[0]: header[1]}
    )
    with urllib.request.urlopen(request, timeout=60) as found:
        read: dict[str, object] = json.load(found)
    return read
