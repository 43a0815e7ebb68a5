"""Brings a database to the version of this program, by the migrations that ship with it."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from compagnon.errors import InputError
from compagnon.store import chaining, recorded
from compagnon.store.database import Store
from compagnon.store.tables import VERSION, metadata

FOLDER = Path(__file__).with_name("migrations")
CHAINED = "0004"  # the version from which on every row is chained as it comes
_LOCK = 7_265_002  # of PostgreSQL's advisory lock: any number that nobody else takes


def upgrade(store: Store) -> tuple[str | None, str]:
    """Bring the tables to this program's version, all of it or nothing.

    Two programs that upgrade at once do so one after the other.

    Returns:
        The version before (None: no tables) and after.

    Raises:
        InputError: the database is newer than this program.
        StoreUnavailable: it cannot be written.
    """
    before = store.version()
    if before is not None and before > VERSION:
        store.require_version()
    with store.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"select pg_advisory_xact_lock({_LOCK})"))
        command.upgrade(config_for(connection), "head")
        if before is not None and before < CHAINED:
            chaining.seal_rows_before(connection)
            recorded.seal(connection)
    return before, VERSION


def drift(store: Store) -> list[Any]:
    """What differs between the tables and their description; nothing when all is well."""
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))


def require_no_drift(store: Store) -> None:
    """Raise InputError when the tables of a database at this version were changed by hand."""
    found = drift(store)
    if found:
        first = found[0][0] if isinstance(found[0], list) else found[0]
        raise InputError(
            f"{store.where} was changed by hand: {len(found)} differences from version {VERSION}, "
            f"the first is {first[0]} of {first[-1]}"
        )


def config_for(connection: Connection) -> Config:
    """What Alembic needs to work on a connection."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
