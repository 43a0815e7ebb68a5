"""What a server needs, and no more: no torch, no compiler, a small installation."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "numba", "llvmlite", "scipy", "PIL", "onnx", "pandas")
LIMIT = 250_000_000
SERVES = """
import json, sys, threading, urllib.request
from compagnon.cli import main
from compagnon.serving import lifespan

def ask(where, parts):
    body = {"state": {"time": 600, "raw": 12, "p1": 3, "p2_inter": 4, "p2": 0}}
    def asked():
        import os, signal
        said = {"content-type": "application/json"}
        request = urllib.request.Request(f"{where}/v1/decide", json.dumps(body).encode(), said)
        try:
            print(urllib.request.urlopen(request, timeout=60).read().decode())
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
    threading.Thread(target=asked).start()

before = lifespan.serve
lifespan.serve = lambda settings, ready, experiment: before(settings, ask, experiment)
code = main(["serve", sys.argv[1], "--port", "0", "--db", sys.argv[2]])
print("loaded:", [name for name in sys.argv[3].split(",") if name in sys.modules])
sys.exit(code)
"""
BLOCKS = """
import sys

class Blocks:
    def find_spec(name, path=None, target=None):
        if name in {!r}:
            raise ModuleNotFoundError(f"no {{name}} here", name=name)

sys.meta_path.insert(0, Blocks)
sys.path.insert(0, {!r})
"""


def serve(python, artefact, db, *before):
    code = "".join(f"{line}\n" for line in before) + SERVES
    words = [python, "-c", code, str(artefact), db, ",".join(HEAVY)]
    found = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode == 0, found.stderr
    assert '"meaning"' in found.stdout
    return found.stdout


def test_a_decision_needs_none_of_what_training_needs(artefact, sqlite):
    found = serve(sys.executable, artefact, sqlite, BLOCKS.format(HEAVY, str(ROOT / "src")))
    assert "loaded: []" in found


@pytest.mark.parametrize(
    ("package", "words", "extra"),
    [("numba", ["evaluate", "random", "--episodes", "1"], "worlds"),
     ("msgspec", ["serve", "POLICY", "--db", "DB", "--port", "0"], "serve")],
)  # fmt: skip
def test_what_is_not_installed_is_named_with_its_extra(artefact, sqlite, package, words, extra):
    words = [{"POLICY": str(artefact), "DB": sqlite}.get(word, word) for word in words]
    code = f"import sys; sys.modules[{package!r}] = None; from compagnon.cli import main\n"
    code += f"sys.exit(main({words!r}))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert found.returncode == 2
    assert f"compagnon[{extra}]" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.slow
def test_a_serving_installation_is_small_and_serves(artefact, sqlite, tmp_path):
    for name in ("src", "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / "tree" / name if name == "src" else _file(tmp_path, name))
    where = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", where], check=True, timeout=300)
    python = where / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-compile",
         "-c", ROOT / "constraints.txt", f"{tmp_path / 'tree'}[serve]"],
        check=True,
        timeout=1800,
    )  # fmt: skip
    # Before it has run: the bytecode that Python writes then is no part of what was installed.
    size = sum(file.lstat().st_blocks * 512 for file in where.rglob("*") if file.is_file())
    print(f"{size / 1e6:.0f} MB")
    assert size < LIMIT
    printed = serve(python, artefact, sqlite)
    assert "loaded: []" in printed
    for name in HEAVY:
        found = subprocess.run(
            [python, "-c", f"import {name}"], capture_output=True, check=False, timeout=120
        )
        assert found.returncode != 0, f"{name} is installed"


def _file(tmp_path, name):
    (tmp_path / "tree").mkdir(exist_ok=True)
    return tmp_path / "tree" / name
