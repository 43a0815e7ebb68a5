"""Outcomes that many bring at once: a bounded queue, one writer, a commit for many of them.

Each in a transaction of its own, on as many threads as there are, would take turns with the
decision log at the database, and a decision would wait behind all of them.
"""

import collections
import logging
import threading
from collections.abc import Callable

from compagnon.store import outcomes
from compagnon.store.database import Store
from compagnon.store.errors import LogFull, StoreUnavailable
from compagnon.store.log import Deliver
from compagnon.store.outcomes import Given, Put

BOUND = 1024  # outcomes that may wait
_MOST = 64  # of one transaction: what a decision may have to wait for
_LINGERING = 1.0  # seconds, at most, that `close` waits for a store that does not answer

Result = Put | Exception
Done = Callable[[Result], object]
_logger = logging.getLogger("compagnon.store")


class OutcomeLog:
    """Writes outcomes in groups, after the decisions.

    Args:
        store: with the tables of this version.
        bound: outcomes that may wait; more are refused with `LogFull`.
        deliver: calls what it is given, where answers shall be made; see `DecisionLog`.
    """

    def __init__(self, store: Store, *, bound: int = BOUND, deliver: Deliver | None = None) -> None:
        self._store, self._bound, self._deliver = store, bound, deliver
        self._changed = threading.Condition()
        self._waiting: collections.deque[tuple[Given, Done]] = collections.deque()
        self._closing = False
        self._trouble: StoreUnavailable | None = None
        self._thread = threading.Thread(target=self._run, name="outcome-log", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Outcomes that were given and are not being written yet."""
        return len(self._waiting)

    def give(self, given: Given, done: Done) -> None:
        """Give one outcome.

        Args:
            done: is told what became of it, where `deliver` calls: a `Put`, or `UnknownDecision`,
                another `InputError`, or `StoreUnavailable`.

        Raises:
            LogFull: too many wait. StoreUnavailable: it is closed.
        """
        with self._changed:
            if self._closing:
                raise StoreUnavailable("the log of outcomes is closed", "the service is ending")
            if len(self._waiting) >= self._bound:
                raise LogFull(f"{len(self._waiting)} outcomes wait to be written")
            self._waiting.append((given, done))
            self._changed.notify()

    def close(self, timeout: float = 30.0) -> None:
        """Write what waits, then end; give up after `timeout` seconds, or a little more."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout + _LINGERING)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return
                count = min(_MOST, len(self._waiting))
                group = [self._waiting.popleft() for _ in range(count)]
            results = self._write(group)
            away = next((one for one in results if isinstance(one, StoreUnavailable)), None)
            if str(away) != str(self._trouble):
                self._trouble = away
                if away is not None:
                    _logger.error("outcomes cannot be written: %s", away)
            if away is not None:
                with self._changed:  # who came while this failed has waited as long
                    results += [away] * len(self._waiting)
                    group += self._waiting
                    self._waiting.clear()
            self._tell(group, results)

    def _write(self, group: list[tuple[Given, Done]]) -> list[Result]:
        try:
            return [*outcomes.put_each(self._store, [given for given, _ in group])]
        except StoreUnavailable as error:
            return [error] * len(group)
        except Exception as error:
            if len(group) > 1:  # the fault of one; the others shall not suffer for it
                return [result for one in group for result in self._write([one])]
            return [error]

    def _tell(self, group: list[tuple[Given, Done]], results: list[Result]) -> None:
        def tell() -> None:
            for (_, done), result in zip(group, results, strict=True):
                try:
                    done(result)
                except Exception:  # of one who waits; the others are told all the same
                    _logger.exception("what became of an outcome could not be delivered")

        if self._deliver is None:
            tell()
            return
        try:
            self._deliver(tell)
        except RuntimeError:  # an event loop that is closed takes nothing more
            tell()
