"""A hang-up that comes before, or after, anybody can act on it waits instead of killing.

SIGHUP has a service look for another model. Until its handler stands, and once it is gone while the
last decisions are written, the signal would end the process. So it is blocked from the first line
on, and let through only while the handler stands. Processes that are started meanwhile inherit
that, until they let it through themselves.
"""

import contextlib
import signal
from collections.abc import Iterator


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
