"""No test waits for another thread or process without a deadline; what would is found here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_until

TESTS = Path(__file__).parent
# Called without arguments, these wait for ever (`", ".join` has one, and is something else).
FOR_EVER = {"join", "wait", "communicate", "acquire", "result"}
NEEDS_TIMEOUT = {"run", "check_output", "check_call", "call"}  # of subprocess


def waits_for_ever(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what) of every wait without a deadline."""
    for node in ast.walk(tree):
        if isinstance(node, ast.While) and not wants_progress(node):
            yield node.lineno, "a loop that only looks"
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, of = node.func.attr, node.func.value
        if name in FOR_EVER and not node.args and not node.keywords:
            yield node.lineno, f".{name}()"
        from_subprocess = isinstance(of, ast.Name) and of.id == "subprocess"
        given = {keyword.arg for keyword in node.keywords}
        if from_subprocess and name in NEEDS_TIMEOUT and "timeout" not in given:
            yield node.lineno, f"subprocess.{name}"


def wants_progress(loop: ast.While) -> bool:
    """Whether a loop does more than look and sleep, or gives up by itself."""
    if any(said in ast.unparse(loop.test) for said in (".step(", "monotonic()")):
        return True  # what is looked at moves because of the look; or there is a deadline
    for statement in loop.body:
        if isinstance(statement, ast.Pass):
            continue
        call = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("sleep"):
            continue
        if isinstance(statement, ast.Assert) and "monotonic" not in ast.dump(statement):
            continue  # that something still lives bounds nothing
        return True
    return False


def test_every_wait_of_every_test_has_a_deadline():
    found = [
        f"{path.relative_to(TESTS)}:{line}: {what}"
        for path in sorted(TESTS.rglob("*.py"))
        for line, what in waits_for_ever(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "while log.pending:\n    pass",
        "while not held:\n    time.sleep(0.1)",
        "while asked() == first:\n    assert process.poll() is None",
        "thread.join()",
        "start.wait()",
        "process.communicate()",
        "future.result()",
        "subprocess.run(['x'], check=True)",
    ],
)
def test_a_wait_without_a_deadline_is_found(code):
    assert len(list(waits_for_ever(ast.parse(code)))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "thread.join(60)",
        "', '.join(words)",
        "process.communicate(timeout=60)",
        "subprocess.run(['x'], check=True, timeout=5)",
        "while not ended:\n    ended = env.step(0)[2]",
        "while waiting() and time.monotonic() < end:\n    time.sleep(0.1)",
        "while not found():\n    assert time.monotonic() < deadline\n    time.sleep(0.1)",
    ],
)
def test_what_ends_by_itself_is_let_be(code):
    assert list(waits_for_ever(ast.parse(code))) == []


def test_what_never_comes_is_an_error():
    with pytest.raises(AssertionError, match=r"nothing came within 0\.02 s"):
        wait_until(lambda: False, seconds=0.02)
    assert wait_until(lambda: 7) == 7
