"""The page on networks and algorithms of one's own: its code runs as it stands."""

import re
from pathlib import Path

import pytest

from compagnon.rl import registry
from compagnon.rl.networks import registry as networks

PAGE = Path(__file__).parents[2] / "docs" / "algorithms" / "own.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
@pytest.mark.full
def test_an_example_runs(number, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(networks, "_registered", {})
    exec(compile(BLOCKS[number], f"example {number}", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.strip()


def test_the_example_of_a_network_is_short():
    assert len(BLOCKS) == 2
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) <= 25
