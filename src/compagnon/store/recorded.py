"""What the events say that the small tables hold: keys, models, pointers and their like.

Whoever changes a row of these tables has the event of it carry the row as it stands then. So the
events, which are chained, say what every row must be, in each of its columns.
"""

import hashlib
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Table

from compagnon.store import chaining, events
from compagnon.store.tables import (
    chains,
    experiments,
    keys,
    looks,
    metrics,
    models,
    pointers,
    secrets,
    versions,
)

ROWS = "rows"  # in the body of an event
_TABLES: dict[str, Table] = {
    table.name: table
    for table in (keys, metrics, models, versions, pointers, secrets, experiments, looks)
}


def of(connection: Connection, *asked: tuple[Table, Any]) -> dict[str, Any]:
    """Rows as they stand, for the body of an event: each table with a condition."""
    found = []
    for table, condition in asked:
        query = sqlalchemy.select(table)
        query = query if condition is None else query.where(condition)
        for row in connection.execute(query.order_by(*table.primary_key.columns)).mappings():
            found.append([table.name, _plain(row)])
    return {ROWS: found}


def seal(connection: Connection) -> None:
    """Let an event carry all rows that stand, from before events did."""
    body = of(connection, *((table, None) for table in _TABLES.values()))
    if body[ROWS]:
        events.append(connection, chaining.SEALED, None, "", body)


def faults(connection: Connection) -> list[str]:
    """Rows that are not as the events say, that no event tells of, or that are gone."""
    said: dict[tuple[str, tuple[Any, ...]], dict[str, Any]] = {}
    begun: dict[int, str] = {}
    for event in events.read(connection):
        for name, row in event.body.get(ROWS, ()):
            said[name, _key(_TABLES[name], row)] = row
        if event.kind == chaining.BEGUN:
            begun[event.body["chain"]] = event.body["kind"]
    found = []
    for name, table in _TABLES.items():
        for stands in connection.execute(sqlalchemy.select(table)).mappings():
            row = _plain(stands)
            key = _key(table, row)
            wanted = said.pop((name, key), None)
            if wanted is None:
                found.append(f"{name}: no event tells of {_called(key)}; it was added by hand")
                continue
            # A column that came later is in no earlier event, and empty in that event's row.
            columns = [c for c in row.keys() | wanted.keys() if row.get(c) != wanted.get(c)]
            if columns:
                said_of = ", ".join(sorted(columns))
                found.append(f"{name}: {_called(key)} is not as its event says ({said_of})")
    found += [f"{name}: {_called(key)} was removed" for name, key in said]
    for row in connection.execute(sqlalchemy.select(chains.c.id, chains.c.kind)):
        if begun.pop(row.id, None) != row.kind:
            found.append(f"chains: no event tells of chain {row.id} of {row.kind}")
    found += [f"chains: chain {chain} of {kind} was removed" for chain, kind in begun.items()]
    return found


def _plain(row: Any) -> dict[str, Any]:
    """A row as JSON; of bytes, which are secrets, the hash."""
    return {
        name: hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else value
        for name, value in row.items()
    }


def _key(table: Table, row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[column.name] for column in table.primary_key.columns)


def _called(key: tuple[Any, ...]) -> str:
    return " ".join(str(part) for part in key)
