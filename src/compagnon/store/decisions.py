"""The statements that write and read decisions, made from the one list of their columns."""

import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from compagnon.store.decision_row import FIELDS, DecisionRow
from compagnon.store.tables import decisions

__all__ = [
    "COLUMNS",
    "FIELDS",
    "SELECT",
    "DecisionRow",
    "Written",
    "as_row",
    "compare",
    "postgres_insert",
    "sqlite_insert",
]


class Written(NamedTuple):
    """What became of a decision that was given to the log.

    Attributes:
        status: ``stored``: the row is ours. ``repeated``: the id was there, for the same request.
            ``conflict``: the id was there, for another request or of another application.
        row: what stands in the log under this id; answer with this one, never with your own.
    """

    status: Literal["stored", "repeated", "conflict"]
    row: DecisionRow


COLUMNS = [decisions.c[name] for name in FIELDS]
_LIST = ", ".join(f'"{name}"' for name in FIELDS)
SELECT = f"SELECT {_LIST} FROM decisions"
_POSTGRES_TYPES = {
    "VARCHAR": "text",
    "BLOB": "bytea",
    "BIGINT": "bigint",
    "INTEGER": "integer",
    "DOUBLE": "float8",
}


@functools.cache
def sqlite_insert(rows: int) -> str:
    """One statement for several rows: one call into SQLite, so Python's lock changes hands once.

    It fails as a whole where a `seq` or an `id` is there already.
    """
    values = "(" + ", ".join("?" * (len(FIELDS) + 4)) + ")"
    return (
        f"INSERT INTO decisions (seq, {_LIST}, chain, place, link) "
        f"VALUES {', '.join([values] * rows)}"
    )


def postgres_insert() -> str:
    """One statement for any number of rows: an array a column, so it is planned once.

    It goes on with a chain if that still ends where the writer thinks, else it writes nothing; and
    it fails as a whole where an `id` is there already. Its parameters are the new end of the chain
    (rows, link), its number, where it should end now (rows), then `FIELDS`, places and links.
    """
    types = [_POSTGRES_TYPES[str(c.type.compile()).partition("(")[0]] for c in COLUMNS]
    arrays = ", ".join(f"%b::{kind}[]" for kind in (*types, "bigint", "bytea"))
    columns = ", ".join(f"c{k}" for k in range(len(FIELDS)))
    return (
        "WITH head AS (UPDATE chains SET rows = %b::bigint, link = %b::bytea "
        "WHERE id = %b::bigint AND rows = %b::bigint RETURNING id) "
        f"INSERT INTO decisions ({_LIST}, chain, place, link) "
        f"SELECT {columns}, head.id, place, link "
        f"FROM head, unnest({arrays}) AS given ({columns}, place, link) ORDER BY place"
    )


def as_row(values: Sequence[Any]) -> DecisionRow:
    """A row of a result, whose columns are `FIELDS`."""
    return DecisionRow._make(values)


def compare(given: DecisionRow, stored: DecisionRow) -> Written:
    """What became of `given`, when `stored` stands under its id."""
    if stored == given:
        return Written("stored", given)
    same = (stored.application, stored.request_sha256) == (given.application, given.request_sha256)
    return Written("repeated" if same else "conflict", stored)
