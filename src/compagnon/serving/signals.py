"""How a process is told to end, and ends in time; and what a hang-up does to one.

SIGHUP has a service look for another model. Until its handler stands, and once it is gone while the
last decisions are written, the signal would end the process. So it is blocked from the first line
on, and let through only while the handler stands. Processes that are started meanwhile inherit
that, until they let it through themselves.
"""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Final

GRACE: Final = 5.0  # seconds beyond the drain time, for what should have ended by itself
_EXIT: Final = 70  # of sysexits.h: an internal fault
_logger = logging.getLogger("compagnon.serving")


def hold() -> None:
    """Let hang-ups wait, in this thread and those that it starts from now on."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def release() -> None:
    """Let them through; one that waited comes now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let hang-ups wait until the block ends."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Ending:
    """A clock that ends this process, once it is started and not stopped again."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def start(self, seconds: float) -> None:
        """End the process after so many seconds, unless it has ended before."""
        if self._timer is None:
            self._timer = threading.Timer(seconds, _end, [seconds])
            self._timer.daemon = True
            self._timer.start()

    def stop(self) -> None:
        """Everything has ended by itself."""
        if self._timer is not None:
            self._timer.cancel()


@contextlib.contextmanager
def ending() -> Iterator[Ending]:
    """A clock for the length of a block, in which it may be started."""
    clock = Ending()
    try:
        yield clock
    finally:
        clock.stop()


def _end(seconds: float) -> None:
    # No decision that was answered in durable mode is lost by it: those are on the disk.
    _logger.error("something did not end within %.0f s: the process is ended", seconds)
    os._exit(_EXIT)
