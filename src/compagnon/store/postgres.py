"""A store in PostgreSQL, for several services and machines at once."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import sqlalchemy
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from compagnon.errors import InputError
from compagnon.store.database import MODELS, Store, reason
from compagnon.store.decisions import SELECT, DecisionRow, Written, as_row, compare, postgres_insert
from compagnon.store.errors import StoreUnavailable

if TYPE_CHECKING:
    import psycopg

_DRIVER = "postgresql+psycopg"
# A server that has gone is noticed after seconds, not after the minutes that TCP would take.
_CONNECT: dict[str, Any] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}


class PostgresStore(Store):
    """See `Store`; made by `open_store`."""

    def __init__(self, address: str, files: Path | None) -> None:
        url = _url(address)
        self.where = url.render_as_string(hide_password=True).replace(_DRIVER, "postgresql", 1)
        self.address = url.render_as_string(hide_password=False).replace(_DRIVER, "postgresql", 1)
        self.files = files or Path(MODELS)
        self._raw: psycopg.Connection[Any] | None = None
        self._insert = postgres_insert()
        try:
            self._engine = sqlalchemy.create_engine(
                url,
                pool_pre_ping=True,
                pool_size=4,
                max_overflow=12,
                pool_timeout=5,
                connect_args=_CONNECT,
            )
        except ImportError:
            raise InputError(
                "a postgresql:// address needs psycopg: pip install 'compagnon[serve]'"
            ) from None
        self._readers = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        try:
            with self._engine.connect():
                pass
        except DBAPIError as error:
            raise InputError(f"{self.where} cannot be reached: {reason(error)}") from None

    def engine(self) -> Engine:
        """Readers, each of which sees one moment of the database."""
        return self._readers

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that writes."""
        with self.guarded(), self._engine.begin() as connection:
            yield connection

    def append(self, rows: Sequence[DecisionRow]) -> list[Written]:
        """Write decisions in one transaction."""
        import psycopg

        try:
            try:
                return self._append(rows)
            except psycopg.OperationalError:
                if self._raw is None:
                    raise
                # The server was started anew, perhaps long ago: only a fresh connection can tell.
                self._drop()
                return self._append(rows)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            self._drop()
            raise ValueError(reason(error)) from None
        except (OverflowError, UnicodeError) as error:
            raise ValueError(str(error)) from None
        except psycopg.Error as error:
            self._drop()
            if error.sqlstate is None and isinstance(error, psycopg.ProgrammingError):
                raise ValueError(reason(error)) from None  # a value of a type that has no column
            raise self.unavailable(error) from None

    def unavailable(self, error: BaseException) -> StoreUnavailable:
        """What a driver said."""
        return StoreUnavailable(f"{self.where}: {reason(error)}")

    def _append(self, rows: Sequence[DecisionRow]) -> list[Written]:
        raw = self._connected()
        first: dict[str, DecisionRow] = {}
        for row in rows:
            first.setdefault(row.id, row)
        # In the order of their ids: two processes that meet wait for, and never block, each other.
        fresh = [first[name] for name in sorted(first)]
        columns = [list(column) for column in zip(*fresh, strict=True)]
        written = raw.execute(self._insert, columns, prepare=True).rowcount
        if written == len(rows):
            return [Written("stored", row) for row in rows]
        if written < len(fresh):  # some ids were there: who has them?
            cursor = raw.execute(f"{SELECT} WHERE id = ANY(%s)", [list(first)], binary=True)
            for row in cursor.fetchall():
                first[row[0]] = as_row(row)
        return [compare(row, first[row.id]) for row in rows]

    @contextlib.contextmanager
    def only_log(self) -> Iterator[None]:
        """Any number of processes may log."""
        yield

    def close(self) -> None:
        """Let go of every connection."""
        self._drop()
        self._engine.dispose()

    def _connected(self) -> "psycopg.Connection[Any]":
        """The log's own connection, where each statement is a transaction of its own."""
        import psycopg

        if self._raw is None:
            raw = psycopg.connect(self.address, autocommit=True, **_CONNECT)
            # A server may be set to answer before its disk has the commit; the log may not.
            raw.execute("SET synchronous_commit = on")
            self._raw = raw
        return self._raw

    def _drop(self) -> None:
        if self._raw is not None:
            self._raw.close()
            self._raw = None


def _url(text: str) -> sqlalchemy.URL:
    scheme, _, rest = text.partition("://")
    if scheme not in ("postgres", "postgresql", _DRIVER):
        raise InputError(f"{scheme}://...: give sqlite:///FILE or postgresql://USER@HOST/DATABASE")
    try:
        urlsplit(text)
        return sqlalchemy.make_url(f"{_DRIVER}://{rest}")
    except (ValueError, SQLAlchemyError):
        raise InputError(
            "this is no address; one is postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        ) from None
