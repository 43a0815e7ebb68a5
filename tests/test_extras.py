"""Each extra brings what its verbs import, and a verb that misses something names one extra."""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from compagnon.cli import main
from compagnon.cli.app import groups, needs, verbs
from compagnon.extras import _EXTRA_OF, advice, extra_of

NEEDS = needs()
ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = {"": [], **PROJECT["optional-dependencies"]}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def direct(extra: str) -> set[str]:
    """What an extra asks for itself, and by the extras of this package that it names."""
    found: set[str] = set()
    for text in [*PROJECT["dependencies"], *EXTRAS[extra]]:
        name, inner = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", text).groups()  # type: ignore[union-attr]
        if plain(name) == "compagnon":
            found |= {one for part in inner.split(",") for one in direct(part)}
        else:
            found.add(plain(name))
    return found


def modules_of(extra: str) -> set[str]:
    """Top-level modules of everything that an extra brings, at any remove."""
    wanted, todo = set(), list(direct(extra))
    while todo:
        name = todo.pop()
        if name in wanted:
            continue
        wanted.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        todo += [plain(re.match(r"[\w.-]+", one)[0]) for one in needs if "extra ==" not in one]  # type: ignore[index]
    if "psycopg" in wanted:  # asked for with its own extra
        wanted.add("psycopg-binary")
    if extra in ("control", "play", "bench", "envpool"):
        wanted |= {"box2d", "pygame", "pygame-ce"}
    return {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if any(plain(owner) in wanted | {"compagnon"} for owner in owners)
    }


def test_every_verb_that_needs_an_extra_needs_one_that_there_is() -> None:
    assert {extra for extra, _ in NEEDS.values()} <= set(EXTRAS)
    assert {name.partition(" ")[0] for name in NEEDS} <= {*verbs(), *groups()}


@pytest.mark.parametrize("verb", NEEDS)
def test_the_extra_that_a_verb_names_brings_all_that_it_asks_for(verb: str) -> None:
    extra, packages = NEEDS[verb]
    owners = importlib.metadata.packages_distributions()
    brought = direct(extra) | {"pygame-ce"} if extra == "play" else direct(extra)
    for package in packages:
        names = {plain(one) for one in owners.get(package, [package])}
        assert names & brought, f"{package} does not come with compagnon[{extra}]"


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (["learn", "workshop-tight"], {"torch"}),
        (["learn", "workshop-tight"], {"numba"}),
        (["tune", "mountaincar-dqn"], {"torch", "optuna"}),
        (["tune", "mountaincar-dqn"], {"optuna"}),
        (["export", "nowhere"], {"onnx", "onnxruntime", "torch"}),
        (["serve", "nowhere"], {"sqlalchemy", "starlette"}),
        (["db", "check"], {"sqlalchemy"}),
        (["data", "collect", "--from", "sqlite:///x.db"], {"sqlalchemy"}),
        (["play", "car"], {"pygame"}),
    ],
)
def test_one_line_installs_everything(
    words: list[str],
    gone: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in gone else before(name)
    )
    assert main(words) == 2
    extra = (NEEDS.get(" ".join(words[:2])) or NEEDS[words[0]])[0]
    said = capsys.readouterr().err
    assert said.endswith(f"pip install 'compagnon[{extra}]'\n")
    assert said.count("pip install") == 1


def test_what_is_missed_on_the_way_names_the_extra_of_the_verb() -> None:
    assert advice(["tune", "x"], "torch") == "this needs torch: pip install 'compagnon[tune]'"
    assert advice(["evaluate", "x"], "numba") == "this needs numba: pip install 'compagnon[worlds]'"
    assert advice(["evaluate", "x"], "unheard_of") is None
    assert {extra_of(name) for name in (*_EXTRA_OF, "ortools")} <= set(EXTRAS)


BARE = """
import sys
from importlib.machinery import PathFinder
allowed, words = set(sys.argv[1].split(",")), sys.argv[2:]

def only_these(name, path=None, target=None, find=PathFinder.find_spec):
    spec = find(name, path, target)
    if path is None and spec is not None and name not in allowed:
        if "site-packages" in str(spec.origin or spec.submodule_search_locations):
            return None  # as if it were not installed
    return spec

PathFinder.find_spec = staticmethod(only_these)
from compagnon.cli import main
sys.exit(main(words))
"""
TINY = ["--set", "budget.iterations=1", "evaluation.episodes=1", "algo.iteration_steps=50"]
TRIED = {
    "policies": ("", ["policies"]),
    "recipes": ("", ["recipes"]),
    "an environment": ("", ["envs", "CartPole-v1"]),
    "evaluate": ("", ["evaluate", "random", "--env", "CartPole-v1", "--episodes", "1"]),
    "the workshop": ("worlds", ["evaluate", "expert:workshop-v2", "--episodes", "1"]),
    "search-rule": ("worlds", ["search-rule", "--trials", "1"]),
    "data": ("worlds", ["data", "generate", "{out}", "--days", "1"]),
    "order-book": ("worlds", ["order-book", "generate", "{out}"]),
    "learn": ("train", ["learn", "mountaincar-dqn", "--out", "{out}", *TINY,
                        "video.every_episodes=0"]),
    "tune": ("tune", ["tune", "mountaincar-dqn", "--out", "{out}", "--trials", "1", "--seeds", "2",
                      "--candidates", "1", "--episodes", "1", *TINY, "video.every_episodes=0"]),
    "db": ("serve", ["db", "upgrade", "--db", "sqlite:///{out}"]),
    "watch": ("video", ["watch", "expert:workshop-v2", "--minutes", "2", "--video", "{out}.mp4"]),
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [name if name == "policies" else pytest.param(name, marks=pytest.mark.slow) for name in TRIED],
)
def test_a_verb_runs_with_nothing_but_its_extra(name: str, tmp_path: Path) -> None:
    extra, words = TRIED[name]
    words = [word.replace("{out}", str(tmp_path / "out")) for word in words]
    allowed = ",".join(sorted(modules_of(extra)))
    done = subprocess.run(
        [sys.executable, "-c", BARE, allowed, *words],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    if name == "policies":
        assert "expert:workshop-v2" in done.stdout
        assert "needs numba: pip install 'compagnon[worlds]'" in " ".join(done.stdout.split())


def test_every_package_of_every_extra_is_pinned_within_its_bounds() -> None:
    from packaging.requirements import Requirement

    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    pinned = {plain(name): version for name, version in pins.items()}
    for text in {one for extra in EXTRAS.values() for one in extra} | set(PROJECT["dependencies"]):
        asked = Requirement(text)
        if plain(asked.name) != "compagnon":
            assert asked.specifier.contains(pinned[plain(asked.name)]), text
