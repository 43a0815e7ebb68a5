"""Waiting for other threads and processes: never without a deadline, so that nothing hangs."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 120.0  # seconds; much longer than anything here takes, on a machine that is busy


def wait_until(what: Callable[[], T], seconds: float = PATIENCE, every: float = 0.005) -> T:
    """Look again and again until `what` gives something true; that.

    Raises:
        AssertionError: it did not in time.
    """
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"nothing came within {seconds:g} s"
        time.sleep(every)
    return found


def joined(threads: threading.Thread | Iterable[threading.Thread]) -> None:
    """Wait for threads to end.

    Raises:
        AssertionError: one did not in time.
    """
    for thread in [threads] if isinstance(threads, threading.Thread) else threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), f"{thread.name} goes on after {PATIENCE:g} s"
