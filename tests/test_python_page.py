"""The page on Python is true: its blocks run in one folder, in their order, made short."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest

import compagnon as cp
from compagnon.errors import InputError

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text()
BLOCKS = {
    text.partition("\n")[0].removeprefix("# "): text.partition("\n")[2]
    for text in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
}
QUOTED = re.findall(r"```py\n(.*?)```", PAGE, flags=re.DOTALL)
# Budgets, made short: what comes of them is not looked at.
SHORT = (
    (r"\.learn\(1_000_000\)", '.learn({"iterations": 2})'),
    (r"1_000_000|50_000|30_000|20_000|10_000|2_000", "256"),
    (r'"episodes": 16', '"episodes": 2'),
    (r"episodes=50", "episodes=4"),
    (r"range\(1000\)", "range(20)"),
    (r"gradient_steps=200", "gradient_steps=20"),
    (r'decisions, "CartPole-v1"', 'decisions, "CartPole-v1", dagger={"gradient_steps": 5}'),
)


def shortened(text: str) -> str:
    for long, short in SHORT:
        text = re.sub(long, short, text)
    return text


def lines_of(text: str) -> list[str]:
    """The lines of code: neither blank ones nor remarks."""
    return [line for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"]


def decisions_file() -> None:
    """What a person recorded: pushes to the side to which the pole falls."""
    fields = cp.schema_of("CartPole-v1").observation.names
    obs = np.random.default_rng(0).normal(size=(200, 4)).round(4)
    rows = [
        ",".join([*map(str, row), str(int(row[2] > 0)), str(number // 20)])
        for number, row in enumerate(obs)
    ]
    header = ",".join([*fields, "action", "episode"])
    Path("decisions.csv").write_text("\n".join([header, *rows]))


@pytest.mark.full
@pytest.mark.timeout(900)
def test_every_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    decisions_file()
    printed = io.StringIO()
    for name, text in BLOCKS.items():
        known = {"x": np.zeros((3, 4)), "__name__": "__main__"}
        with contextlib.redirect_stdout(printed):
            code = compile(shortened(text), f"docs/python.md: {name}", "exec")
            if name == "mistakes":
                with pytest.raises(InputError) as refused:
                    exec(code, known)
                assert f"compagnon.errors.InputError: {refused.value}\n" in PAGE
            else:
                exec(code, known)
    assert "Against mine, on the same episodes" in printed.getvalue()
    for made in ("cartpole", "theirs", "anybody's", "served", "runs/cartpole/best", "runs/mine"):
        assert Path(made).is_dir()


def test_the_page_goes_the_whole_way():
    assert list(BLOCKS) == [
        "sb3", "ours", "recorded", "environments", "learn", "mistakes", "callbacks", "loop",
        "expert", "compare", "use", "from_sb3", "from_onnx", "recipes",
    ]  # fmt: skip
    for name, text in BLOCKS.items():
        compile(text, name, "exec")


def test_ours_is_not_a_line_longer():
    assert len(lines_of(BLOCKS["ours"])) <= len(lines_of(BLOCKS["sb3"]))
    (theirs,) = QUOTED
    assert len(lines_of(BLOCKS["recorded"])) <= len(lines_of(theirs))


# -- the README's ---------------------------------------------------------------------------------

READMES = ("README.md", "README.fr.md")
QUICK = (
    (r"1_750", "30"),
    (r'"iterations": 2', '"iterations": 2, "gradient_steps": 5'),
    (r"1_000_000", '{"iterations": 3}'),
    (r"episodes=50", "episodes=2"),
    (r'"served"\)', '"served", states=64)'),
)


def blocks_of(name: str) -> list[str]:
    text = (Path(__file__).parents[1] / name).read_text()
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def run_blocks(name: str) -> None:
    """Run every block of a page, made short."""
    for number, block in enumerate(blocks_of(name)):
        for long, short in QUICK:
            block = re.sub(long, short, block)
        exec(compile(block, f"{name}, block {number}", "exec"), {"__name__": "__main__"})


def test_both_readmes_have_the_same_code():
    english, french = (
        [lines_of(re.sub(r"  #.*", "", block)) for block in blocks_of(name)] for name in READMES
    )
    assert english == french
    assert len(english[0]) <= 10


@pytest.mark.full
@pytest.mark.timeout(900)
def test_the_readme_s_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_blocks("README.md")
    shown = capsys.readouterr().out
    for words in ("clone", "policy", "Against rule, on the same episodes"):
        assert words in shown
    assert Path("served/policy.onnx").is_file()


@pytest.mark.full
def test_the_page_of_experts_has_a_rule_that_plays(capsys):
    run_blocks("docs/experts.md")
    assert "one-by-one" in capsys.readouterr().out
