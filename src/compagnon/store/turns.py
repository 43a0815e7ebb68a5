"""Who may write next, among the threads of a process: decisions first, but nobody for ever last."""

import collections
import contextlib
import threading
import time
from collections.abc import Iterator

AGED = 1.0  # seconds after which somebody who is not urgent goes before those who are


class Turns:
    """A lock with a deadline that lets the urgent go first.

    Args:
        aged: seconds of waiting after which the others go first, once.
    """

    def __init__(self, aged: float = AGED) -> None:
        self._aged = aged
        self._changed = threading.Condition()
        self._holder: int | None = None
        self._urgent: collections.deque[object] = collections.deque()
        self._others: collections.deque[tuple[float, object]] = collections.deque()

    @contextlib.contextmanager
    def turn(self, until: float, urgent: bool = False) -> Iterator[None]:
        """Have the lock for as long as the block lasts.

        Args:
            until: of `time.monotonic`, the last moment at which it may begin.

        Raises:
            TimeoutError: it did not come.
            RuntimeError: this thread has it already.
        """
        self._take(until, urgent)
        try:
            yield
        finally:
            with self._changed:
                self._holder = None
                self._changed.notify_all()

    def _take(self, until: float, urgent: bool) -> None:
        me, mine = threading.get_ident(), object()
        with self._changed:
            if self._holder == me:
                raise RuntimeError("a transaction within a transaction of the same thread")
            if urgent:
                self._urgent.append(mine)
            else:
                self._others.append((time.monotonic(), mine))
            try:
                while self._holder is not None or self._next() is not mine:
                    rest = until - time.monotonic()
                    if rest <= 0:
                        raise TimeoutError
                    self._changed.wait(rest)
                self._holder = me
            finally:
                self._forget(mine)
                if self._holder is None:  # gave up: who comes after may be the next now
                    self._changed.notify_all()

    def _next(self) -> object:
        aged = self._others and time.monotonic() - self._others[0][0] > self._aged
        if self._urgent and not aged:
            return self._urgent[0]
        return self._others[0][1]

    def _forget(self, mine: object) -> None:
        with contextlib.suppress(ValueError):
            self._urgent.remove(mine)
            return
        for one in self._others:
            if one[1] is mine:
                self._others.remove(one)
                return
