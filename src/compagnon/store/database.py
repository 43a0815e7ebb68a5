"""What SQLite and PostgreSQL have in common here: one way to read, one to write, one to log."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from compagnon.errors import InputError
from compagnon.store.decisions import DecisionRow, Written
from compagnon.store.errors import StoreUnavailable
from compagnon.store.tables import VERSION

MODELS = "models"  # the folder of model files, beside a database file


class Store(ABC):
    """A database and the folder of model files that belongs to it.

    Attributes:
        where: what a person calls it, without a password.
        address: that opens it again, with a password if it has one.
        files: the folder of model files, by hash.
    """

    where: str
    address: str
    files: Path

    @abstractmethod
    def engine(self) -> Engine:
        """Connections that read."""

    @abstractmethod
    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that writes, committed when the block ends well.

        Raises:
            StoreUnavailable: the database cannot be written now; nothing was changed.
        """

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the database.

        Raises:
            StoreUnavailable: it cannot be read now.
        """
        with self.guarded(), self.engine().connect() as connection:
            yield connection

    @abstractmethod
    def append(self, rows: Sequence[DecisionRow]) -> list[Written]:
        """Write decisions in one transaction, ids that are there already left as they are.

        Meant for one thread, the log's; it may keep a connection of its own.

        Returns:
            What became of each, on disk when this returns.

        Raises:
            StoreUnavailable: nothing was written, or (a connection lost in the middle) it is not
                known; giving the same rows again is safe.
            ValueError: a row holds what no column can.
        """

    @abstractmethod
    def probe(self, failed: bool) -> None:
        """See whether decisions could be logged; for the log's thread, like `append`.

        Args:
            failed: they could not before, so that it costs nothing to try more thoroughly.

        Raises:
            StoreUnavailable: they could not.
        """

    @contextlib.contextmanager
    @abstractmethod
    def only_log(self) -> Iterator[None]:
        """Hold the right to be a process that logs decisions here.

        Raises:
            InputError: another process has it, and the database takes one alone.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of every connection."""

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Say what a driver says in the words of a store."""
        try:
            yield
        except DBAPIError as error:
            if broken_statement(error):
                raise
            raise self.unavailable(error) from None
        except PoolTimeout:
            raise StoreUnavailable(
                f"{self.where}: all connections are in use", "the database is busy"
            ) from None

    @abstractmethod
    def unavailable(self, error: BaseException) -> StoreUnavailable:
        """What a driver's error is, for who runs the service and for who asks it."""

    def version(self) -> str | None:
        """The version of the tables, None where there are none."""
        with self.read() as connection:
            if not sqlalchemy.inspect(connection).has_table("alembic_version"):
                return None
            found: str | None = connection.scalar(
                sqlalchemy.text("select version_num from alembic_version")
            )
            return found

    def require_version(self) -> None:
        """Raise InputError unless the database has exactly the tables that this program knows."""
        found = self.version()
        if found == VERSION:
            return
        if found is not None and found > VERSION:
            raise InputError(
                f"{self.where} is at version {found}, made by a newer compagnon; this one knows "
                f"up to {VERSION}: install the newer one"
            )
        state = "has no tables yet" if found is None else f"is at version {found}"
        raise InputError(
            f"{self.where} {state}, this program needs {VERSION}: "
            f"run compagnon db upgrade --db {self.where}"
        )


def broken_statement(error: DBAPIError) -> bool:
    """Whether a statement was refused for what it holds, not for the state of the database."""
    return isinstance(error, sqlalchemy.exc.IntegrityError | sqlalchemy.exc.DataError)


def reason(error: BaseException) -> str:
    """The first line of what a database said."""
    cause: Any = error
    if isinstance(error, SQLAlchemyError):
        cause = getattr(error, "orig", None) or error
    return str(cause).strip().partition("\n")[0].strip() or type(cause).__name__
