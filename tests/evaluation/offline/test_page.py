"""What docs/off_policy.md shows is what its code prints."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "off_policy.md"


def test_the_page_s_code_prints_what_the_page_shows(capsys):
    text = PAGE.read_text()
    code, shown = re.findall(r"```(?:python)?\n(.*?)```", text, flags=re.DOTALL)[:2]
    exec(compile(code, "off_policy.md", "exec"), {})
    assert capsys.readouterr().out == shown
    assert len(shown.splitlines()) == 4


def test_the_page_names_every_estimator_and_test():
    text = PAGE.read_text()
    package = Path(__file__).parents[3] / "src/compagnon/evaluation/offline"
    named = set(re.findall(r'_Part\(\s*"([\w-]+)"', (package / "estimate.py").read_text()))
    assert len(named) == 8
    assert all(f"| `{one}` |" in text for one in named)
    tests = set(re.findall(r'^        "(\w+)": ', (package / "quality.py").read_text(), re.M))
    assert "greedy_rate" in tests
    assert all(f"`{one}`" in text or f"`rows_{one}`" in text for one in tests)
