"""A store in one file: SQLite with one writer at a time, in this process and among processes.

SQLite up to 3.51.2 can damage a WAL file when one connection writes while another, in its turn
after a commit, moves pages into the database. BEGIN IMMEDIATE does not keep them apart, since a
checkpoint runs after its lock is let go. So each transaction also holds a lock on a file beside
the database, from before its BEGIN until its checkpoint is over. Readers open the file read-only,
which never checkpoints. Where decisions are logged, `moving` does it beside the commits. Before
each transaction `place` sees whether the file is still there.
"""

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import Connection, Engine

from compagnon.errors import InputError
from compagnon.store import chaining
from compagnon.store.chaining import Tip
from compagnon.store.checkpointer import EVERY, WalCheckpointer
from compagnon.store.database import MODELS, Store, reason
from compagnon.store.decisions import SELECT, DecisionRow, Written, as_row, compare, sqlite_insert
from compagnon.store.errors import StoreUnavailable
from compagnon.store.place import DatabasePlace, LockFile, readable_by_others
from compagnon.store.tables import decisions
from compagnon.store.turns import Turns

BUSY_SECONDS = 5.0  # how long a transaction waits for another process's
_LOCK_POLL = 0.001
_PREPARED = 64  # rows, at most, of a statement; each number of rows has one of its own
_PAGES = 4  # that a commit writes beside its rows, about
_HEAD_SECONDS = 1.0  # between two times that the end of the chain is written down
_OWN_MOVES = 16_000  # pages after which a commit moves them itself: the mover could not

# As much as a group of decisions, so that a full disk says so; it leaves nothing behind.
_TRY_TO_WRITE = (
    "BEGIN IMMEDIATE",
    "CREATE TABLE compagnon_probe (bytes BLOB)",
    "INSERT INTO compagnon_probe VALUES (zeroblob(100000))",
    "DROP TABLE compagnon_probe",
    "COMMIT",
)
_left_open: list[sqlite3.Connection] = []
_logger = logging.getLogger("compagnon.store")


class _End(NamedTuple):
    """Where a chain of decisions ends, and the last number of a row, in this chain or another."""

    tip: Tip
    seq: int


class SqliteStore(Store):
    """See `Store`; made by `open_store`."""

    def __init__(self, path: Path, files: Path | None, create: bool) -> None:
        self.where = str(path)
        self.address = f"sqlite:///{path}"
        self._place = DatabasePlace(path, create)
        self.path = self._place.path
        self.files = files or self.path.parent / MODELS
        self._turns = Turns()
        self._mover: WalCheckpointer | None = None
        self._end: _End | None = None  # of the chain of decisions, where it is known
        self._head_due = 0.0
        self._ready = self._rescued = False
        try:
            self._lock = LockFile(self._place.beside("-writer"), self.path)
            try:
                with self._alone():
                    self._raw = self._connect()
                    self._place.remember()
            except BaseException:
                self._lock.close()
                raise
        except BaseException:
            self._place.close()
            raise
        self._ready = True
        self._engine = _engine(self._raw)
        self._readers = sqlalchemy.create_engine(
            "sqlite://",
            creator=self._connect_to_read,
            poolclass=sqlalchemy.QueuePool,
            pool_size=4,
            max_overflow=12,
            pool_timeout=BUSY_SECONDS,
        )
        _begin_by(self._readers, "BEGIN")

    def engine(self) -> Engine:
        """Readers."""
        return self._readers

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the database."""
        self._place.check()
        with super().read() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that writes."""
        with self._alone(), self.guarded(), self._engine.begin() as connection:
            yield connection

    def append(self, rows: Sequence[DecisionRow]) -> list[Written]:
        """Write decisions in one transaction."""
        with self._alone(urgent=True):
            try:
                return self._append(rows)
            except (
                sqlite3.IntegrityError,
                sqlite3.InterfaceError,
                sqlite3.ProgrammingError,
            ) as error:
                raise ValueError(reason(error)) from None
            except OverflowError as error:
                raise ValueError(str(error)) from None
            except sqlite3.Error as error:
                raise self.unavailable(error) from None
            finally:
                if self._raw.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._raw.execute("ROLLBACK")

    def _append(self, rows: Sequence[DecisionRow]) -> list[Written]:
        first: dict[str, DecisionRow] = {}
        for row in rows:
            first.setdefault(row.id, row)
        fresh = list(first.values())
        end = self._end or self._claim()
        self._end = None  # it is known again once all has gone well
        # One statement is a transaction of its own, and one call into SQLite: at each call Python's
        # lock changes hands, and may not come back for as long as a decision takes. So where the
        # chain ends is written down beside larger groups, and once a second.
        alone = len(fresh) <= _PREPARED and time.monotonic() < self._head_due
        try:
            end = self._insert(end, fresh) if alone else self._insert_with_head(end, fresh)
        except sqlite3.IntegrityError:
            # An id is there and stays there, or another program has written: what stands there?
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
            end = self._claim()
            ids = list(first)
            for start in range(0, len(ids), _PREPARED):
                part = ids[start : start + _PREPARED]
                query = f"{SELECT} WHERE id IN ({', '.join('?' * len(part))})"
                for stored in map(as_row, self._raw.execute(query, part).fetchall()):
                    first[stored.id] = stored
            fresh = [row for row in fresh if first[row.id] is row]
            end = self._insert_with_head(end, fresh)
        self._end = end
        if self._mover is not None:
            self._mover.wrote(_PAGES + len(fresh))
        if len(fresh) == len(rows):
            return [Written("stored", row) for row in rows]
        return [compare(row, first[row.id]) for row in rows]

    def _insert(self, end: _End, fresh: Sequence[DecisionRow]) -> _End:
        """Go on with the chain; its new end."""
        if not fresh:
            return end
        (chain, place, link), seq = end
        link = chaining.next_link(link, fresh)
        for start in range(0, len(fresh), _PREPARED):
            part = fresh[start : start + _PREPARED]
            values: list[Any] = []
            for k, row in enumerate(part, start + 1):
                values.append(seq + k)
                values += row
                values += (chain, place + k, link if k == len(fresh) else None)
            self._raw.execute(sqlite_insert(len(part)), values)
        return _End(Tip(chain, place + len(fresh), link), seq + len(fresh))

    def _insert_with_head(self, end: _End, fresh: Sequence[DecisionRow]) -> _End:
        """The same, and write down where the chain ends then."""
        self._raw.execute("BEGIN IMMEDIATE")
        end = self._insert(end, fresh)
        chain, rows, link = end.tip
        self._raw.execute("UPDATE chains SET rows = ?, link = ? WHERE id = ?", (rows, link, chain))
        self._raw.execute("COMMIT")
        self._head_due = time.monotonic() + _HEAD_SECONDS
        return end

    def _claim(self) -> _End:
        """Where the chain of decisions ends, which is begun if there is none."""
        with self.guarded(), self._engine.begin() as connection:
            known = chaining.tips(connection, "decisions")
            tip = known[0] if known else chaining.begin(connection, "decisions")
            tip = chaining.last_decision(connection, tip)
            seq = connection.scalar(sqlalchemy.select(sqlalchemy.func.max(decisions.c.seq)))
        return _End(tip, seq or 0)

    def _settle(self) -> None:
        """Write down where the chain ends, if that was not done with its last rows."""
        end, self._end = self._end, None
        if end is not None:
            with contextlib.suppress(sqlite3.Error):  # the next writer finds it all the same
                self._insert_with_head(end, ())

    def probe(self, failed: bool) -> None:
        """See whether decisions can be logged, without logging any."""
        if not failed:
            self._place.check()
            return
        with self._alone(urgent=True):
            try:
                for statement in _TRY_TO_WRITE:
                    self._raw.execute(statement)
            except sqlite3.Error as error:
                raise self.unavailable(error) from None
            finally:
                if self._raw.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._raw.execute("ROLLBACK")

    @contextlib.contextmanager
    def only_log(self) -> Iterator[None]:
        """Hold the lock of the one process that may log."""
        lock = LockFile(self._place.beside("-log"), self.path)
        try:
            if not lock.take():
                raise InputError(
                    f"{self.where} already takes the decisions of another service; one SQLite file "
                    "serves one: stop the other, give another --db, or use postgresql://..."
                )
            mode = readable_by_others(self.path)
            if mode is not None:
                _logger.warning(
                    "%s may be used by others than its owner (%s); chmod 600 keeps them out",
                    self.where, mode,
                )  # fmt: skip
            with self._place.held(), self._moving():
                yield
                with contextlib.suppress(StoreUnavailable), self._alone(urgent=True):
                    self._settle()
        finally:
            lock.close()

    @contextlib.contextmanager
    def _moving(self) -> Iterator[None]:
        """Let a thread move pages out of the log, instead of the commits."""
        with self._alone():
            mover = WalCheckpointer(self._connect, lambda: self._alone(urgent=True))
        try:
            self._move_after(_OWN_MOVES)
            mover.start()
            self._mover = mover
            yield
        finally:
            self._mover = None
            mover.stop()
            with contextlib.suppress(StoreUnavailable):  # the file may be gone
                self._move_after(EVERY)

    def _move_after(self, pages: int) -> None:
        with self._alone():
            self._raw.execute(f"PRAGMA wal_autocheckpoint = {pages}")

    def copy_to(self, target: sqlite3.Connection) -> None:
        """Copy the database as it is at one moment; who writes is not held up."""
        with self.read() as connection:
            source: Any = connection.connection.driver_connection
            source.backup(target)

    def close(self) -> None:
        """Let go of every connection."""
        self._readers.dispose()
        if self._lock.closed:
            return
        # The file may be somewhere else by now, and its lock another's: let go all the same.
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(StoreUnavailable):
                stack.enter_context(self._alone())
            if self._place.spoilt is not None:
                # Who closes last writes what the log holds into the file. That file is another's
                # now; one that may only read it, and stays open, keeps us from being the last.
                with contextlib.suppress(sqlite3.Error):
                    _left_open.append(self._connect_to_read())
                    _left_open[-1].execute("SELECT 1 FROM sqlite_schema").fetchone()
            self._engine.dispose()
            self._raw.close()
        self._lock.close()
        self._place.close()

    def unavailable(self, error: BaseException) -> StoreUnavailable:
        """What a driver said; SQLite names no path in it."""
        said = reason(error)
        return StoreUnavailable(f"{self.where}: {said}", said)

    def _connect_to_read(self) -> sqlite3.Connection:
        quoted = quote(os.fsencode(self.path))
        return sqlite3.connect(
            f"file://{quoted}?mode=ro",
            uri=True,
            timeout=BUSY_SECONDS,
            check_same_thread=False,
            isolation_level=None,
        )

    def _connect(self) -> sqlite3.Connection:
        try:
            raw = sqlite3.connect(
                self.path,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=_PREPARED + 16,
            )
            raw.execute("PRAGMA foreign_keys = ON")
            # Every commit waits for the disk, so that it also outlives a power cut.
            raw.execute("PRAGMA synchronous = FULL")
            mode = raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            raw.execute("BEGIN IMMEDIATE")
            raw.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            raise InputError(f"{self.where} cannot be used ({reason(error)})") from None
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{self.where} is not a database of SQLite ({reason(error)})"
            ) from None
        if mode != "wal":
            raw.close()
            raise InputError(f"{self.where}: this file system cannot keep a write-ahead log")
        return raw

    @contextlib.contextmanager
    def _alone(self, urgent: bool = False) -> Iterator[None]:
        """Keep every other writer out, threads and processes, until the block ends.

        Raises:
            StoreUnavailable: another keeps us out for too long, or the file is not the one that
                was opened.
        """
        until = time.monotonic() + BUSY_SECONDS
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._turns.turn(until, urgent))
            except TimeoutError:
                raise StoreUnavailable(
                    f"{self.where} is locked: other transactions take too long",
                    "the database is locked",
                ) from None
            self._lock_until(until)
            try:
                self._check_place()
                yield
            finally:
                self._lock.free()

    def _check_place(self) -> None:
        """See that the file is still there; if it is not, save what only its log has."""
        try:
            self._place.check()
        except StoreUnavailable:
            if self._ready and not self._rescued and self._place.spoilt is None:
                self._rescue()
            raise
        self._rescued = False

    def _rescue(self) -> None:
        """Move all pages into the file that was opened, wherever it is by now.

        SQLite itself leaves them in a write-ahead log under the old name, where the moved file
        misses them, and a file that took the old name would be mixed with them.
        """
        with self._place.exclusive() as ours:
            if ours:
                with contextlib.suppress(sqlite3.Error):
                    busy, *_ = self._raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                    self._rescued = not busy

    def _lock_until(self, until: float) -> None:
        while True:
            try:
                if self._lock.take():
                    return
            except OSError as error:
                raise StoreUnavailable(f"{self.where}: {error.strerror}") from None
            if time.monotonic() > until:
                raise StoreUnavailable(
                    f"{self.where}: another program holds its lock", "the database is locked"
                )
            time.sleep(_LOCK_POLL)


def _engine(raw: sqlite3.Connection) -> Engine:
    """SQLAlchemy over the one writing connection; it begins at once, not at the first write."""
    engine = sqlalchemy.create_engine(
        "sqlite://", creator=lambda: raw, poolclass=sqlalchemy.StaticPool
    )
    _begin_by(engine, "BEGIN IMMEDIATE")
    return engine


def _begin_by(engine: Engine, statement: str) -> None:
    """Begin transactions here; Python's driver would begin none before the first change."""

    @sqlalchemy.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)
