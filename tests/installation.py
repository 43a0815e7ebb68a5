"""Environments that hold exactly what an extra asks for, made in a moment of what is installed.

A fresh installation of each extra would take gigabytes and many minutes. What it would hold follows
from what the packages ask for; of exactly these distributions, and of the wheel, an empty virtual
environment gets links. What nobody asks for is not there.
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
OWN = "compagnon"
_SETUPTOOLS = Version("77")  # as pyproject.toml asks for
_BUILT_FROM = ("src", "pyproject.toml", "README.md", "LICENSE")


def build_wheel(folder: Path, without: str = "") -> Path:
    """The wheel of this tree; `without` is taken out of its pyproject.toml."""
    tree = folder / "tree"
    tree.mkdir(parents=True)
    for name in _BUILT_FROM:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, tree / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, tree / name)
    project = (tree / "pyproject.toml").read_text()
    assert without in project
    (tree / "pyproject.toml").write_text(project.replace(without, ""))
    words = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--disable-pip-version-check"]
    # Without a setuptools that reads our metadata, pip fetches one.
    if any(
        one.name == "setuptools" and Version(one.version) >= _SETUPTOOLS
        for one in importlib.metadata.distributions()
    ):
        words += ["--no-build-isolation", "--no-index"]
    _run([*words, "--wheel-dir", folder, tree])
    (wheel,) = folder.glob("*.whl")
    return wheel


def missing_from(wheel: Path) -> set[str]:
    """What stands under `src` and not in the wheel, or otherwise than there."""
    with zipfile.ZipFile(wheel) as file:
        held = {name: file.read(name) for name in file.namelist()}
    source = ROOT / "src"
    files = [
        path
        for path in (source / OWN).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return {
        name
        for path in files
        if held.get(name := path.relative_to(source).as_posix()) != path.read_bytes()
    }


def own_requirements(wheel: Path) -> list[str]:
    """What the wheel's metadata asks for."""
    with zipfile.ZipFile(wheel) as file:
        (name,) = (one for one in file.namelist() if one.endswith(".dist-info/METADATA"))
        text = file.read(name).decode()
    return re.findall(r"^Requires-Dist: (.*)$", text, re.MULTILINE)


def without_package(requirements: Iterable[str], package: str) -> list[str]:
    """The requirements but those of a package, whichever extras ask for it."""
    return [one for one in requirements if canonicalize_name(Requirement(one).name) != package]


def closure(requirements: Iterable[str], extra: str) -> dict[str, Distribution]:
    """Distributions by name: what an extra asks for, at any remove.

    Raises:
        PackageNotFoundError: one of them is not installed here.
    """
    own = list(requirements)
    found: dict[str, Distribution] = {}
    todo = [(OWN, ""), (OWN, extra)]
    seen: set[tuple[str, str]] = set()
    while todo:
        name, wanted = todo.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        if name != OWN:
            found[name] = importlib.metadata.distribution(name)
        for text in own if name == OWN else found[name].requires or []:
            asked = Requirement(text)
            if asked.marker is None or asked.marker.evaluate({"extra": wanted}):
                inner = canonicalize_name(asked.name)
                todo += [(inner, one) for one in ("", *asked.extras)]
    return found


class Installations:
    """Virtual environments side by side, whose packages are links.

    Args:
        wheel: installed once, by pip; the others see that installation.
    """

    def __init__(self, folder: Path, wheel: Path) -> None:
        self._folder = folder
        self.requirements = own_requirements(wheel)
        installed = self._empty("installed")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        pip += ["--python", installed / "bin" / "python"]
        _run([*pip, "install", "--no-deps", "--no-index", "--no-compile", wheel])
        self.program = installed / "bin" / OWN
        self._own = _site(installed)
        self._take_compiled()
        # Whose a file is: some packages share a folder, such as google/.
        self._owners: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for distribution in importlib.metadata.distributions():
            name = canonicalize_name(distribution.name)
            for parts in _files(distribution):
                for end in range(1, len(parts) + 1):
                    self._owners[parts[:end]].add(name)

    def of(self, extra: str, without: str = "") -> Path:
        """The Python of an environment that holds an extra; `without` a package that it needs."""
        asked = self.requirements
        if without:
            asked = without_package(asked, without)
        where = self._empty("-".join(filter(None, ("extra", extra, without and f"no-{without}"))))
        site = _site(where)
        for own in self._own.iterdir():
            (site / own.name).symlink_to(own)
        self._link(closure(asked, extra), site)
        return where / "bin" / "python"

    def _empty(self, name: str) -> Path:
        where = self._folder / name
        _run([sys.executable, "-m", "venv", "--without-pip", where])
        return where

    def _link(self, wanted: Mapping[str, Distribution], site: Path) -> None:
        allowed = set(wanted)
        for distribution in wanted.values():
            for parts in _files(distribution):
                for end in range(1, len(parts) + 1):
                    target = site.joinpath(*parts[:end])
                    if target.is_symlink():
                        break
                    if self._owners[parts[:end]] <= allowed:
                        target.symlink_to(distribution.locate_file("/".join(parts[:end])))
                        break
                    target.mkdir(exist_ok=True)

    def _take_compiled(self) -> None:
        """Kernels that are compiled here are not compiled again: they are made of the same."""
        source = ROOT / "src"
        for path in (source / OWN).rglob("*.nbc"):
            target = self._own / path.relative_to(source)
            if target.parents[1].is_dir():  # else its module is there no more
                target.parent.mkdir(exist_ok=True)
                shutil.copy2(path, target)


def run_in(python: Path, code: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run code in one of the environments, which sees nothing of this one."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [python, "-c", code, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=env | {"SDL_VIDEODRIVER": "dummy", "XDG_CACHE_HOME": str(cwd)},
        timeout=280,
    )


def _files(distribution: Distribution) -> Iterable[tuple[str, ...]]:
    """The files of a distribution within site-packages; programs in ``bin`` are not."""
    return (file.parts for file in distribution.files or () if file.parts[0] != "..")


def _site(environment: Path) -> Path:
    (site,) = environment.glob("lib/python*/site-packages")
    return site


def _run(words: list[object]) -> None:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr
