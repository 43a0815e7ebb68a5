"""A store in PostgreSQL, for several services and machines at once."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import sqlalchemy
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from compagnon.database_url import shown, without_secrets
from compagnon.errors import InputError
from compagnon.store import chaining
from compagnon.store.chaining import Tip
from compagnon.store.database import MODELS, Store, reason
from compagnon.store.decisions import (
    FIELDS,
    SELECT,
    DecisionRow,
    Written,
    as_row,
    compare,
    postgres_insert,
)
from compagnon.store.errors import StoreUnavailable

if TYPE_CHECKING:
    from compagnon.store.postgres_deadlines import PatientConnection

_T = TypeVar("_T")
_DRIVER: Final = "postgresql+psycopg"
_TRIES: Final = (
    20  # to write a group; others may write some of its ids, or on its chain, in between
)
# A server that has gone is noticed after seconds, not after the minutes that TCP would take.
_CONNECT: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}
# What outsiders are told, by PostgreSQL's code; without one the connection itself failed.
_PUBLIC: Final = {
    "55P03": "the database is locked",
    "57014": "the database takes too long",
    "53100": "the database is full",
    "53300": "the database has too many connections",
    "25006": "the database may only be read",
}
_STOPPED: Final = ("55P03", "57014")  # a lock, a statement that took too long: no use trying again


class PostgresStore(Store):
    """See `Store`; made by `open_store`."""

    def __init__(self, address: str, files: Path | None, patience: float | None = None) -> None:
        url = _url(address)
        self._url = url
        self.where = shown(url)
        self.address = url.render_as_string(hide_password=False).replace(_DRIVER, "postgresql", 1)
        self.files = files or Path(MODELS)
        self._raw: PatientConnection | None = None
        self._insert = postgres_insert()
        self._chain: int | None = None  # of this writer; its end is in `_tip`
        self._tip: Tip | None = None
        try:
            from compagnon.store.postgres_deadlines import connect

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
        except SQLAlchemyError:
            raise InputError(f"{self.where} is no address that can be used") from None
        _, arguments = self._engine.dialect.create_connect_args(url)
        arguments.pop("context", None)  # how SQLAlchemy wants values; the log takes psycopg's
        self._connect_log = functools.partial(
            connect, patience, autocommit=True, **{**arguments, **_CONNECT}
        )
        sqlalchemy.event.listen(
            self._engine,
            "do_connect",
            lambda _dialect, _record, _args, options: connect(patience, **options),
        )
        self._readers = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        try:
            with self._engine.connect():
                pass
        except DBAPIError as error:
            raise InputError(
                f"{self.where} cannot be reached: {without_secrets(self._url, reason(error))}"
            ) from None

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
        return self._logged(lambda: self._append(rows))

    def probe(self, failed: bool) -> None:
        """See whether decisions can be logged, without logging any."""
        if failed:  # needs all that a decision needs, but room
            no_rows: list[Any] = [[] for _ in (*FIELDS, "place", "link")]
            no_chain = [0, b"", 0, 0]
            self._logged(lambda: self._connected().execute(self._insert, no_chain + no_rows))
        else:
            self._logged(lambda: self._connected().execute("SELECT 1"))

    def _logged(self, work: Callable[[], _T]) -> _T:
        """Do something with the log's own connection."""
        import psycopg

        from compagnon.store.postgres_deadlines import NoAnswer

        try:
            try:
                return work()
            except psycopg.OperationalError as error:
                if self._raw is None or error.sqlstate in _STOPPED or isinstance(error, NoAnswer):
                    raise
                # The server was started anew, perhaps long ago: only a fresh connection can tell.
                self._drop()
                return work()
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
        """What the server or the way to it said; only who runs the service hears where that is."""
        cause: Any = getattr(error, "orig", None) or error
        code = getattr(cause, "sqlstate", None)
        if code is not None:
            public = _PUBLIC.get(code, f"the database refuses it ({code})")
        elif type(cause).__name__ in ("NoAnswer", "ConnectionTimeout"):
            public = "the database does not answer"
        else:
            public = "the database cannot be reached"
        return StoreUnavailable(
            f"{self.where}: {without_secrets(self._url, reason(error))}", public
        )

    def _append(self, rows: Sequence[DecisionRow]) -> list[Written]:
        import psycopg

        raw = self._connected()
        first: dict[str, DecisionRow] = {}
        for row in rows:
            first.setdefault(row.id, row)
        fresh = dict(first)
        for _ in range(_TRIES):
            try:
                if self._insert_chained(raw, fresh):
                    break
            except psycopg.errors.UniqueViolation:  # some ids are there: who has them?
                cursor = raw.execute(f"{SELECT} WHERE id = ANY(%s)", [list(fresh)], binary=True)
                for stored in map(as_row, cursor.fetchall()):
                    first[stored.id] = stored
                    del fresh[stored.id]
        else:
            raise StoreUnavailable(f"{self.where}: others write the same ids again and again")
        if len(fresh) == len(rows):
            return [Written("stored", row) for row in rows]
        return [compare(row, first[row.id]) for row in rows]

    def _insert_chained(self, raw: "PatientConnection", fresh: dict[str, DecisionRow]) -> bool:
        """Go on with this writer's chain; False if it does not end where it should."""
        if not fresh:
            return True
        if self._tip is None:
            self._tip = self._claim(raw)
        tip = self._tip
        # In the order of their ids: two processes that meet wait for, and never block, each other.
        ordered = [fresh[name] for name in sorted(fresh)]
        link = chaining.next_link(tip.link, ordered)
        links = [*([None] * (len(ordered) - 1)), link]
        rows = tip.rows + len(ordered)
        columns = [list(column) for column in zip(*ordered, strict=True)]
        written = raw.execute(
            self._insert,
            [
                rows,
                link,
                tip.chain,
                tip.rows,
                *columns,
                list(range(tip.rows + 1, rows + 1)),
                links,
            ],
            prepare=True,
        ).rowcount
        self._tip = Tip(tip.chain, rows, link) if written else None
        return bool(written)

    def _claim(self, raw: "PatientConnection") -> Tip:
        """A chain that no other writer has, for as long as the log's connection lives."""
        lock = "SELECT pg_try_advisory_lock(hashtext('compagnon ' || current_schema()), %s)"
        if self._chain is None:
            with self.read() as connection:
                known = [tip.chain for tip in chaining.tips(connection, "decisions")]
            for chain in known:
                if raw.execute(lock, [chain]).fetchone() == (True,):
                    self._chain = chain
                    break
            else:
                with self.write() as connection:
                    self._chain = chaining.begin(connection, "decisions").chain
                raw.execute(lock, [self._chain])
        row = raw.execute("SELECT rows, link FROM chains WHERE id = %s", [self._chain]).fetchone()
        if row is None:
            raise StoreUnavailable(f"{self.where}: chain {self._chain} is gone")
        return Tip(self._chain, row[0], bytes(row[1]))

    @contextlib.contextmanager
    def only_log(self) -> Iterator[None]:
        """Any number of processes may log."""
        yield

    def close(self) -> None:
        """Let go of every connection."""
        self._drop()
        self._engine.dispose()

    def _connected(self) -> "PatientConnection":
        """The log's own connection, where each statement is a transaction of its own."""
        if self._raw is None:
            self._raw = self._connect_log()
        return self._raw

    def _drop(self) -> None:
        if self._raw is not None:
            self._raw.close()
            self._raw = None
        self._chain = self._tip = None


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
