"""A connection to PostgreSQL that waits only so long for an answer.

A server that is gone is noticed by TCP, and one that waits for a lock ends the statement itself
(`lock_timeout`). But whatever stands between may take what we send, and answer nothing: then only
a clock on our side ends the wait. All that psycopg waits for goes through `Connection.wait`.
"""

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg

_T = TypeVar("_T")
LOCK_SECONDS = 60.0  # for a lock, where nobody set a limit
# Of the limit, what the server gets for a lock and for a statement: it then says which it was.
_LOCK_SHARE, _STATEMENT_SHARE = 0.6, 0.8


class NoAnswer(psycopg.OperationalError):
    """The server did not answer in time; the connection is closed."""


class PatientConnection(psycopg.Connection[Any]):
    """psycopg's, with a limit on each wait: a statement, a commit, a ping.

    Attributes:
        patience: seconds, or None for no limit.
    """

    patience: float | None = None

    def wait(self, gen: Generator[Any, Any, _T], *args: Any, **options: Any) -> _T:
        """Wait until a step is done."""
        if self.patience is None:
            return super().wait(gen, *args, **options)
        try:
            return super().wait(_limited(gen, self.patience), *args, **options)
        except NoAnswer:
            self.pgconn.finish()  # nobody knows what it would say next
            raise


def connect(
    patience: float | None, autocommit: bool = False, **arguments: Any
) -> PatientConnection:
    """Open a connection.

    Args:
        patience: seconds that each wait may take; None for no limit.
        arguments: of `psycopg.connect`.
    """
    made = PatientConnection.connect(autocommit=True, **arguments)
    made.patience = patience
    try:
        lock = LOCK_SECONDS if patience is None else patience * _LOCK_SHARE
        limit = 0 if patience is None else patience * _STATEMENT_SHARE
        # A server may be set to answer before its disk has the commit; the log may not.
        made.execute(
            "SET synchronous_commit = on; "
            f"SET lock_timeout = {lock * 1000:.0f}; SET statement_timeout = {limit * 1000:.0f}"
        )
        made.autocommit = autocommit
    except BaseException:
        made.close()
        raise
    return made


def _limited(gen: Generator[Any, Any, _T], patience: float) -> Generator[Any, Any, _T]:
    """The same steps, until the time is over. psycopg looks every 0.1 s while nothing comes."""
    until = time.monotonic() + patience
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > until:
                raise NoAnswer(f"no answer within {patience:g} s")
            wanted = gen.send(ready)
    except StopIteration as end:
        found: _T = end.value
        return found
