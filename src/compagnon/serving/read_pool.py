"""Threads of the store's own, so that a database that does not answer holds up nothing else."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from compagnon.store.errors import LogFull, StoreUnavailable

_T = TypeVar("_T")


class ReadPool:
    """Reads the store in a few threads that do nothing else.

    Args:
        name: of the threads.
        threads: how many read at a time.
        bound: how many reads may be under way or wait; more are refused.
    """

    def __init__(self, name: str, threads: int, bound: int) -> None:
        self._threads = ThreadPoolExecutor(threads, name)
        self._bound = bound
        self._reading = 0
        self._failed_at = float("-inf")  # of `time.monotonic`
        self._failure: StoreUnavailable | None = None

    async def read(self, function: Callable[..., _T], *args: object) -> _T:
        """What a function that reads the store gives.

        Whoever waits for a thread while another read finds that the store is away is told the same
        then, and waits no second time for a store that does not answer.

        Raises:
            StoreUnavailable: too many read, or as `function`.
        """
        if self._reading >= self._bound:
            raise LogFull(f"{self._reading} others wait to read")
        self._reading += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._read, time.monotonic(), function, args
            )
        finally:
            self._reading -= 1

    def _read(self, asked_at: float, function: Callable[..., _T], args: tuple[object, ...]) -> _T:
        failure = self._failure
        if failure is not None and asked_at <= self._failed_at:
            raise StoreUnavailable(str(failure), failure.public)
        try:
            return function(*args)
        except StoreUnavailable as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise

    def close(self) -> None:
        """Read no more; what is under way comes to its end by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
