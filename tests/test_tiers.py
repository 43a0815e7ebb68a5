"""Every test is in exactly one tier, and `.ci/run` runs each tier by the selection it names."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.conftest import COLLECTED, SLOW_TIMEOUT

ROOT = Path(__file__).parents[1]
PYTEST = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
CI = ROOT / ".ci" / "run"
TIERS = ("full", "slow")
# Files of which no test is quick; beside each, where quick ones hold the same promise.
LONG = {
    "tests/rl/test_own_spaces.py": "tests/rl/test_contract.py",
    "tests/store/test_kill.py": "tests/serving/test_processes.py",
    "tests/tuning/test_jobs.py": "tests/tuning/test_study.py",
}


def selections() -> dict[str, str]:
    """What each command selects by marks, as pyproject.toml (`make test`) and `.ci/run` say it."""
    (quick,) = re.findall(r"-m '([^']+)'", PYTEST["addopts"])
    full, slow = re.findall(r"pytest .*-m '([^']+)'", CI.read_text())
    return {"quick": quick, "full": full, "slow": slow}


def selects(selection: str, marks: frozenset[str]) -> bool:
    """As pytest does: each name is whether the test has that mark."""
    return bool(eval(selection, {}, {name: name in marks for name in TIERS}))


def test_every_test_is_in_exactly_one_tier(request: pytest.FixtureRequest) -> None:
    found = selections()
    tests = request.config.stash[COLLECTED]
    assert request.node.nodeid in tests
    for test, marks in tests.items():
        chosen = [tier for tier, selection in found.items() if selects(selection, marks)]
        assert len(chosen) == 1, f"{test} is in {chosen}"


@pytest.mark.parametrize(
    ("marks", "tier"),
    [((), "quick"), (("full",), "full"), (("slow",), "slow"), (("full", "slow"), "slow")],
)
def test_a_test_is_in_the_tier_of_its_dearest_mark(marks: tuple[str, ...], tier: str) -> None:
    chosen = [name for name, said in selections().items() if selects(said, frozenset(marks))]
    assert chosen == [tier]


def test_make_test_takes_the_default_selection_and_no_other() -> None:
    rule = re.search(r"^test:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert rule is not None
    assert "pytest" in rule[1]
    assert " -m" not in rule[1]


def test_every_file_has_a_quick_test_but_those_that_need_more(
    request: pytest.FixtureRequest,
) -> None:
    quick = selections()["quick"]
    tests = request.config.stash[COLLECTED]
    with_quick = {test.partition("::")[0] for test, marks in tests.items() if selects(quick, marks)}
    assert {test.partition("::")[0] for test in tests} - with_quick <= set(LONG)
    assert all((ROOT / name).exists() for name in [*LONG, *LONG.values()])


def test_a_hang_is_named_in_every_tier() -> None:
    assert 0 < PYTEST["timeout"] <= SLOW_TIMEOUT


@pytest.fixture
def ci(tmp_path: Path):
    """Runs `.ci/run` where `make` and pytest only note what they are asked, and end as told."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_bytes(CI.read_bytes())
    programs = {"bin/make": "make", ".venv/bin/pytest": "pytest"}
    for path, name in programs.items():
        program = tmp_path / path
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(
            f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/asked"\n'
            'case "$*" in *slow*full*) ;; *"$FAILS"*) exit "$CODE" ;; esac\n'
        )
        program.chmod(0o755)

    def run(fails: str = "nothing", code: int = 0) -> tuple[int, list[str]]:
        ended = subprocess.run(
            ["bash", str(tmp_path / ".ci" / "run")],
            env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "FAILS": fails, "CODE": str(code)},
            capture_output=True,
            check=False,
            timeout=60,
        )
        return ended.returncode, (tmp_path / "asked").read_text().splitlines()

    return run


def test_ci_runs_the_readmes_command_then_the_longer_tests(ci) -> None:
    code, asked = ci()
    assert code == 0
    assert asked[0] == "make test"
    assert [line.partition("-m ")[2] for line in asked[1:]] == ["full and not slow", "slow"]


def test_ci_fails_where_no_test_is_in_the_full_tier(ci) -> None:
    assert ci("full and", 5)[0] == 5


def test_ci_takes_a_share_without_a_slow_test_but_no_failure(ci) -> None:
    assert ci("-m slow", 5)[0] == 0
    assert ci("-m slow", 1)[0] == 1


def test_ci_goes_no_further_than_the_quick_tests_that_fail(ci) -> None:
    code, asked = ci("test", 2)
    assert code == 2
    assert asked == ["make test"]
