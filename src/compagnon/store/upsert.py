"""The one statement that both databases have under names of their own."""

from typing import Any

from sqlalchemy import Connection, Table, literal_column
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(connection: Connection, table: Table, **values: Any) -> bool:
    """Insert a row unless one with its key is there; whether it was inserted.

    On PostgreSQL this waits for another transaction that is about to insert the same key.
    """
    postgres = connection.dialect.name == "postgresql"
    statement: Any = postgresql.insert(table) if postgres else sqlite.insert(table)
    statement = statement.values(**values).on_conflict_do_nothing().returning(literal_column("1"))
    return connection.execute(statement).one_or_none() is not None
