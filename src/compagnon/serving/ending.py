"""An end that comes: whatever a thread may wait for, the process is gone in time."""

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from typing import Final

GRACE: Final = 5.0  # seconds beyond the drain time, for what should have ended by itself
_EXIT: Final = 70  # of sysexits.h: an internal fault
_logger = logging.getLogger("compagnon.serving")


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
