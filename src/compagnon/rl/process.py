"""What training asks of the process that it runs in: threads, signals, a device."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

import numba
import torch
from threadpoolctl import threadpool_limits

from compagnon.errors import InputError

ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def threads(wanted: int) -> Iterator[None]:
    """So many threads for numba and torch, one for numpy's products; as it was before, afterwards.

    What numpy multiplies in training is small, and up to ten times slower on two threads.
    """
    most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    count = min(wanted, most)
    of_torch, of_numba = torch.get_num_threads(), numba.get_num_threads()
    with threadpool_limits(1, user_api="blas"):
        # In this order: numba, when it first wakes its threads, sets OpenMP's count for torch too.
        numba.set_num_threads(count)
        torch.set_num_threads(count)
        try:
            yield
        finally:
            numba.set_num_threads(of_numba)
            torch.set_num_threads(of_torch)


@contextmanager
def handling(signals: Sequence[signal.Signals], ask: Callable[[], None]) -> Iterator[None]:
    """Call `ask` at each of the signals; in a thread that is not the main one, nothing."""

    def handle(_signal: int, _frame: FrameType | None) -> None:
        ask()

    previous = {}
    try:
        for number in signals:
            previous[number] = signal.signal(number, handle)
    except ValueError:  # not the main thread: whoever runs this one stops it
        previous = {}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def check_device(device: str) -> None:
    """Raise InputError unless torch can use `device` here."""
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device = {device!r} cannot be used here: {reason}") from None
