"""The public names: cheap to bring, the same for Python and for type checkers, taken by nothing."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import compagnon as cp

HEAVY = ("torch", "numba", "scipy", "onnx", "onnxruntime", "pydantic", "sqlalchemy", "rich")


def modules_after(program: str) -> set[str]:
    """The heavy modules that a fresh Python has after `program`."""
    asked = f"{program}\nimport sys\nprint(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.split())


def test_to_import_it_brings_nothing_heavy():
    assert modules_after("import compagnon as cp\nassert 'PPO' in dir(cp)") == set()


def test_to_decide_and_to_compare_needs_no_torch():
    program = "import compagnon as cp\ncp.evaluate(['random'], 'CartPole-v1', episodes=1)"
    assert modules_after(program) & {"torch", "onnx", "sqlalchemy"} == set()
    assert "torch" in modules_after("import compagnon as cp\ncp.PPO")


def test_every_name_is_there():
    for name in cp.__all__:
        assert getattr(cp, name) is not None
    assert set(cp.__all__) <= set(dir(cp))
    with pytest.raises(AttributeError, match="no attribute 'PPPO'"):
        cp.PPPO  # noqa: B018


def test_type_checkers_see_the_same_names_from_the_same_homes():
    tree = ast.parse(Path(cp.__file__).read_text())
    block = next(
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test).endswith(
            "TYPE_CHECKING"
        )
    )  # fmt: skip
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == cp._HOME_OF
    assert sorted(seen) == sorted(cp.__all__)
    for name, home in seen.items():
        assert getattr(importlib.import_module(home), name) is getattr(cp, name)


def test_no_package_takes_a_public_name():
    """A submodule of the same name would stand in the place of the function once imported."""
    inside = {module.name for module in pkgutil.iter_modules(cp.__path__)}
    assert inside & set(cp.__all__) == set()


def test_what_is_missing_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.delitem(vars(cp), "TrainingError", raising=False)
    monkeypatch.setitem(sys.modules, "compagnon.rl.trainer", None)

    def missing(home: str):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(cp, "import_module", missing)
    with pytest.raises(ImportError, match=r"TrainingError needs torch: .*compagnon\[train\]"):
        cp.TrainingError  # noqa: B018


def test_the_keywords_are_those_of_the_settings():
    checked = subprocess.run(
        [sys.executable, "docs/make_keywords.py", "--check"],
        cwd=Path(__file__).parents[2],
        check=False,
        timeout=120,
    )
    assert checked.returncode == 0, "run python docs/make_keywords.py"


@pytest.mark.slow
def test_a_type_checker_knows_settings_and_what_comes_back(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import compagnon as cp\n"
        "reveal_type(cp.PPO('CartPole-v1').learn(1).policy)\n"
        "reveal_type(cp.evaluate(['random'], 'CartPole-v1'))\n"
        "cp.PPO('CartPole-v1', learning_rat=1.0)\n"
        "cp.DQN('CartPole-v1', double='yes')\n"
        "cp.Hybrid('random', 'CartPole-v1', ppo={'gamma': 0.9})\n"
    )
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(program)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        timeout=900,
    ).stdout
    lines = found.splitlines()
    assert ':2: note: Revealed type is "compagnon.policy.bound.BoundPolicy"' in found
    assert ':3: note: Revealed type is "compagnon.evaluation.evaluate.Evaluation"' in found
    assert any(":4: error: Unexpected keyword argument" in line for line in lines)
    assert any(":5: error: Argument" in line and "double" in line for line in lines)
    assert not any(":6: error" in line for line in lines)
