"""Decisions before everything else, and nobody for ever last."""

import threading
import time

import pytest

from compagnon.store.turns import Turns
from tests.waiting import wait_until

LATE = 30.0


def later(turns, order, name, urgent, until=LATE):
    """A thread that waits for its turn; it has begun to wait when this returns."""
    waiting = len(turns._urgent) + len(turns._others)

    def work():
        with turns.turn(time.monotonic() + until, urgent):
            order.append(name)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    wait_until(lambda: len(turns._urgent) + len(turns._others) != waiting)
    return thread


@pytest.mark.parametrize(
    ("aged", "order"), [(1e9, ["decision", "decision", "outcome"]), (-1.0, ["outcome"])]
)
def test_the_urgent_go_first_unless_another_has_waited_long(aged, order):
    turns, found = Turns(aged), []
    with turns.turn(time.monotonic() + LATE):
        threads = [
            later(turns, found, "outcome", False),
            later(turns, found, "decision", True),
            later(turns, found, "decision", True),
        ]
    for thread in threads:
        thread.join(LATE)
    assert found[: len(order)] == order
    assert sorted(found) == ["decision", "decision", "outcome"]


@pytest.mark.parametrize("urgent", [False, True])
def test_who_waits_too_long_gives_up_and_is_in_nobodys_way(urgent):
    turns = Turns()
    found = []
    with turns.turn(time.monotonic() + LATE):
        thread = later(turns, found, "next", not urgent)
        with pytest.raises(RuntimeError, match="within a transaction"):
            turns._take(time.monotonic() + LATE, urgent)
        errors = []

        def gives_up():
            try:
                turns._take(time.monotonic() + 0.01, urgent)
            except TimeoutError as error:
                errors.append(error)

        other = threading.Thread(target=gives_up)
        other.start()
        other.join(LATE)
        assert len(errors) == 1
    thread.join(LATE)
    assert found == ["next"]
