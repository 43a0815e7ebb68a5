"""The decision log: many callers, one writer thread, a commit for many decisions at once."""

import collections
import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Literal, NamedTuple

from compagnon.errors import InputError
from compagnon.store.database import Store
from compagnon.store.decisions import COLUMNS, DecisionRow, Written, as_row, compare
from compagnon.store.errors import LogFull, StoreUnavailable
from compagnon.store.tables import decisions

__all__ = ["DecisionLog", "DecisionRow", "LogFull", "Store", "StoreUnavailable", "Written"]

BATCH = 64  # rows that are written without waiting for more
LINGER = 0.0  # seconds between the beginnings of two commits, unless a batch is full
BOUND = 2048  # rows that may wait, and so what a crash in fast mode can lose
_MOST = 512  # rows of one transaction: what has gathered while the last one ran
PULSE = 1.0  # seconds after which an idle log looks whether it could still write
_LINGERING = 1.0  # seconds, at most, that `close` waits for a store that does not answer
_RETRY = (0.05, 0.1, 0.2, 0.5)  # seconds between the tries of fast mode; the last for ever

Deliver = Callable[[Callable[[], None]], object]
Results = list[Written] | Exception
Done = Callable[[Results], object]

_logger = logging.getLogger("compagnon.store")


class _Given(NamedTuple):
    """What one call gave: its rows, and who is told what became of them."""

    rows: Sequence[DecisionRow]
    done: Done


class DecisionLog:
    """Writes decisions in groups.

    In durable mode a future is done when its rows are on disk. In fast mode it is done at once,
    and a crash can lose what waits: `could_lose` rows now, `bound` at the most. In fast mode an id
    that is in the database already is only seen afterwards (it then counts in `conflicts`): ask
    `find` first for ids that are not freshly made.

    Args:
        store: with the tables of this version.
        mode: ``durable`` or ``fast``.
        bound: rows that may wait; more are refused with `LogFull`.
        linger: seconds between the beginnings of two commits, unless 64 rows wait.
        deliver: calls what it is given, in the thread where futures shall be resolved, for
            instance an event loop's `call_soon_threadsafe`: one wake-up a commit, not one a row.

    Raises:
        InputError: another process logs to the same SQLite file.
    """

    def __init__(
        self,
        store: Store,
        mode: Literal["durable", "fast"] = "durable",
        *,
        bound: int = BOUND,
        linger: float = LINGER,
        deliver: Deliver | None = None,
    ) -> None:
        if mode not in ("durable", "fast"):
            raise InputError(f"mode={mode!r}: give durable or fast")
        self.store, self.mode, self.bound = store, mode, bound
        self._linger, self._deliver = linger, deliver
        self._changed = threading.Condition()
        self._waiting: collections.deque[_Given] = collections.deque()
        self._unwritten: dict[str, DecisionRow] = {}  # in fast mode: acknowledged, not on disk
        self._pending = self._committed = self._conflicts = self._lost = 0
        self._trouble: StoreUnavailable | None = None
        self._committed_at: float | None = None  # of `time.monotonic`, as what follows
        self._asked_at: float | None = None
        self._closing = False
        self._give_up = float("inf")
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(store.only_log())
        self._thread = threading.Thread(target=self._run, name="decision-log", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Rows that were given and are not on disk yet."""
        return self._pending

    @property
    def committed(self) -> int:
        """Rows that this log has put on disk."""
        return self._committed

    @property
    def could_lose(self) -> int:
        """Acknowledged rows that a crash now would lose: 0 in durable mode, never over `bound`."""
        return self._pending if self.mode == "fast" else 0

    @property
    def conflicts(self) -> int:
        """Rows whose id stood in the database for another request."""
        return self._conflicts

    @property
    def lost(self) -> int:
        """Rows acknowledged in fast mode that could not be kept: closed without a database."""
        return self._lost

    @property
    def trouble(self) -> StoreUnavailable | None:
        """Why decisions cannot be written now; None when the last attempt went well."""
        return self._trouble

    @property
    def failure(self) -> str | None:
        """`trouble` in words, for who runs the service."""
        return None if self._trouble is None else str(self._trouble)

    @property
    def age(self) -> float | None:
        """Seconds since the last commit; None before the first."""
        then = self._committed_at
        return None if then is None else time.monotonic() - then

    @property
    def silence(self) -> float:
        """Seconds for which the database has not answered what it was asked; 0 when it has."""
        then = self._asked_at
        return 0.0 if then is None else time.monotonic() - then

    def submit(self, row: DecisionRow) -> "Future[Written]":
        """Give one decision; the future says what became of it.

        The future fails with `StoreUnavailable` when it cannot be kept: answer with an error, and
        let the client try again with the same id.
        """
        future: Future[Written] = Future()
        self.give((row,), functools.partial(_settle, future, True))
        return future

    def submit_many(self, rows: Sequence[DecisionRow]) -> "Future[list[Written]]":
        """Give several decisions; one future for all of them."""
        future: Future[list[Written]] = Future()
        self.give(rows, functools.partial(_settle, future, False))
        return future

    def give(self, rows: Sequence[DecisionRow], done: Done) -> None:
        """Give decisions without a future, which costs as much as writing one.

        Args:
            done: is told what became of each row, or why none of them is kept: in durable mode
                once they are on disk, where `deliver` calls; in fast mode, and where they are
                refused, before this returns.
        """
        results: Results | None = None
        with self._changed:
            if self._closing:
                results = StoreUnavailable("the decision log is closed")
            elif self._pending + len(rows) > self.bound:
                results = LogFull(f"{self._pending} decisions wait to be written, {self.bound} may")
            elif not rows:
                results = []
            else:
                results = self._acknowledge(rows) if self.mode == "fast" else None
                before, self._pending = self._pending, self._pending + len(rows)
                self._waiting.append(_Given(rows, done))
                if before == 0 or before < BATCH <= self._pending:
                    self._changed.notify()
        if results is not None:
            done(results)

    def find(self, decision_id: str) -> DecisionRow | None:
        """The acknowledged decision of an id, from what waits or from the database.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        waiting = self._unwritten.get(decision_id)
        return waiting if waiting is not None else find(self.store, decision_id)

    def close(self, timeout: float = 30.0) -> None:
        """Write what waits, then end; give up after `timeout` seconds, or a little more.

        What could not be written counts in `lost`.
        """
        with self._changed:
            self._closing = True
            self._give_up = time.monotonic() + timeout
            self._changed.notify()
        self._thread.join(timeout + _LINGERING)
        if self._thread.is_alive():  # within a call that never ends
            with self._changed:
                self._lost += self.could_lose
            _logger.error("the database does not answer; %d rows were not written", self._pending)
            return
        self._stack.close()

    def __enter__(self) -> "DecisionLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _acknowledge(self, rows: Sequence[DecisionRow]) -> list[Written]:
        """What fast mode says of rows at once: the first of an id among those that wait counts."""
        return [compare(row, self._unwritten.setdefault(row.id, row)) for row in rows]

    def _run(self) -> None:
        begun = float("-inf")
        while True:
            with self._changed:
                if not self._pending and not self._closing:
                    self._changed.wait(PULSE)
                if not self._pending and self._closing:
                    return
                while (
                    0 < self._pending < BATCH
                    and not self._closing
                    and (rest := begun + self._linger - time.monotonic()) > 0
                ):
                    self._changed.wait(rest)
                batch = self._take() if self._pending else []
            if not batch:
                self._look()
                continue
            begun = time.monotonic()
            self._commit(batch)

    def _look(self) -> None:
        """See, while nothing waits, whether decisions could be written."""
        self._asked_at = time.monotonic()
        try:
            self.store.probe(failed=self._trouble is not None)
        except StoreUnavailable as error:
            self._note(error)
        except Exception as error:  # whatever it is, the next decision shall find this thread
            self._note(StoreUnavailable(f"{type(error).__name__}: {error}"))
        else:
            self._note(None)
        finally:
            self._asked_at = None

    def _note(self, trouble: StoreUnavailable | None) -> None:
        """Take note of how it went; what changed is logged, with what outsiders are not told."""
        if str(trouble) != str(self._trouble):
            if trouble is None:
                _logger.warning("decisions are written again")
            else:
                _logger.error("decisions cannot be written: %s", trouble)
        self._trouble = trouble

    def _take(self) -> list[_Given]:
        batch = [self._waiting.popleft()]
        rows = len(batch[0].rows)
        while self._waiting and rows + len(self._waiting[0].rows) <= _MOST:
            batch.append(self._waiting.popleft())
            rows += len(batch[-1].rows)
        return batch

    def _commit(self, batch: list[_Given]) -> None:
        """Write a batch, whatever happens, and say of each of its rows what became of it."""
        rows = [row for given in batch for row in given.rows]
        try:
            results = self._append(rows)
        except StoreUnavailable as error:
            self._finish(batch, error, len(rows))
            return
        except ValueError as error:
            # One row holds what no column can; the others shall not suffer for it.
            if len(batch) > 1:
                for given in batch:
                    self._commit([given])
                return
            who = f"decision {rows[0].id!r}" if len(rows) == 1 else f"one of {len(rows)} decisions"
            self._finish(batch, InputError(f"{who} cannot be stored: {error}"), len(rows))
            return
        except Exception as error:  # whatever it is, nobody may wait for ever
            trouble = StoreUnavailable(f"{type(error).__name__}: {error}")
            self._note(trouble)
            self._finish(batch, trouble, len(rows))
            return
        self._committed += sum(result.status == "stored" for result in results)
        self._conflicts += sum(result.status == "conflict" for result in results)
        self._finish(batch, results, len(rows))

    def _append(self, rows: list[DecisionRow]) -> list[Written]:
        """Durable mode tries once. Fast mode, which has acknowledged them, tries until it can."""
        tries = 0
        while True:
            self._asked_at = time.monotonic()
            try:
                results = self.store.append(rows)
            except StoreUnavailable as error:
                self._note(error)
                if self.mode == "durable" or time.monotonic() >= self._give_up:
                    raise
                self._asked_at = None
                with self._changed:
                    self._changed.wait(_RETRY[min(tries, len(_RETRY) - 1)])
                tries += 1
            else:
                self._committed_at = time.monotonic()
                if self._trouble is not None:
                    self._note(None)
                return results
            finally:
                self._asked_at = None

    def _finish(self, batch: list[_Given], results: Results, rows: int) -> None:
        failed = isinstance(results, Exception)
        if failed and self.mode == "durable" and isinstance(results, StoreUnavailable):
            # Who came while this failed has waited as long; the next to come tries again.
            with self._changed:
                rows += sum(len(given.rows) for given in self._waiting)
                batch = batch + list(self._waiting)
                self._waiting.clear()
        with self._changed:
            self._pending -= rows
            if self.mode == "fast":
                self._lost += rows if failed else 0
                for given in batch:
                    for row in given.rows:
                        self._unwritten.pop(row.id, None)
        if self.mode == "durable":
            resolve = functools.partial(_resolve, batch, results)
            if self._deliver is None:
                resolve()
                return
            try:
                self._deliver(resolve)
            except RuntimeError:  # an event loop that is closed takes nothing more
                resolve()


def _resolve(batch: list[_Given], results: Results) -> None:
    start = 0
    for rows, done in batch:
        end = start + len(rows)
        try:
            done(results if isinstance(results, Exception) else results[start:end])
        except Exception:  # of one who waits; the others are told all the same
            _logger.exception("an answer of the log could not be delivered")
        start = end


def _settle(future: "Future[Any]", single: bool, results: Results) -> None:
    if not future.set_running_or_notify_cancel():
        return
    if isinstance(results, Exception):
        future.set_exception(results)
    else:
        future.set_result(results[0] if single else results)


def find(store: Store, decision_id: str) -> DecisionRow | None:
    """The decision of an id, from the database."""
    import sqlalchemy

    with store.read() as connection:
        row = connection.execute(
            sqlalchemy.select(*COLUMNS).where(decisions.c.id == decision_id)
        ).one_or_none()
    return None if row is None else as_row(row)
