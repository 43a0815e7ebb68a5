"""Moves what SQLite's write-ahead log holds into the database, beside the one who writes.

SQLite does this within a commit, once a thousand pages have gathered, and whoever waits for that
commit waits for all of them. Here a thread of its own does it, while commits go on.

SQLite up to 3.51.2 has a fault there: a writer that begins the log anew while pages are being moved
leaves a wrong mark of how much was moved, and pages can be lost. A writer begins the log anew only
where no reader needs it. So a reader, the guard, is opened in the log before the move begins, while
nobody writes, and closed after it has ended: until then the log can only grow. What has come
meanwhile is little; once the log is long it is moved while nobody writes, so that it begins anew.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final

EVERY: Final = 1000  # pages in the log, about, before they are moved
LONG: Final = 4000  # pages in the log at which it should begin anew: 16 MB
_PAUSE: Final = 1.0  # seconds after a move that failed
_MOVE: Final = "PRAGMA wal_checkpoint(PASSIVE)"

_logger = logging.getLogger("compagnon.store")


class WalCheckpointer:
    """Moves pages in a thread, from `start` to `stop`.

    Args:
        connect: opens a connection of its own to the database.
        alone: keeps every writer out, of all processes, for the length of a block.
        every, long: pages, see `EVERY` and `LONG`.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        alone: Callable[[], AbstractContextManager[None]],
        every: int = EVERY,
        long: int = LONG,
    ) -> None:
        self._alone = alone
        self._every = every
        self._long = long
        self._pages = 0
        self._ending = False
        self._wake = threading.Event()
        self._tried = threading.Event()  # set at the end alone
        self._connection, self._guard = connect(), connect()
        self._thread = threading.Thread(target=self._run, name="log-mover", daemon=True)

    def start(self) -> None:
        """Begin to move."""
        self._thread.start()

    def stop(self) -> None:
        """Move no more; what the log holds stays in it, and is read from there."""
        self._ending = True
        self._tried.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._connection.close()
        self._guard.close()

    def wrote(self, pages: int) -> None:
        """Count pages that were written to the log, about."""
        self._pages += pages
        if self._pages >= self._every and not self._wake.is_set():
            self._wake.set()

    def move(self) -> int:
        """Move what the log holds; how many pages it goes on to hold.

        Raises:
            sqlite3.Error: it cannot be done now; nothing is lost.
        """
        with self.guarded():
            _, held, moved = self._connection.execute(_MOVE).fetchone()
        if held >= self._long:
            with self._alone():
                _, held, moved = self._connection.execute(_MOVE).fetchone()
        return int(held - moved)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Keep the log from beginning anew until the block ends."""
        try:
            with self._alone():
                self._guard.execute("BEGIN")
                self._guard.execute("SELECT 1 FROM sqlite_schema").fetchone()
            yield
        finally:
            if self._guard.in_transaction:
                self._guard.execute("COMMIT")

    def _run(self) -> None:
        said = ""
        while True:
            self._wake.wait()
            if self._ending:
                return
            self._pages = 0
            self._wake.clear()
            try:
                self.move()
                said = ""
            except Exception as error:  # a full disk; until it is better the log grows
                if str(error) != said:
                    said = str(error)
                    _logger.warning("the write-ahead log cannot be moved now: %s", said)
                self._tried.wait(_PAUSE)
                self._wake.set()
