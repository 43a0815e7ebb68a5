"""What the database itself must refuse is still refused: its triggers and checks are all there."""

import contextlib
import functools
import sqlite3

import sqlalchemy
from sqlalchemy import Connection

from compagnon.store.tables import metadata

_TRIGGER, _FUNCTION = "events_append_only", "events_are_append_only"


def faults(connection: Connection) -> list[str]:
    """Triggers, checks, keys and indexes that are missing, changed, or nobody's."""
    if connection.dialect.name == "sqlite":
        return _of_sqlite(connection)
    return _of_postgres(connection)


def _of_sqlite(connection: Connection) -> list[str]:
    """Every statement that made the database is one that the migrations give."""
    found = {
        (row[0], row[1]): row[2]
        for row in connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_schema")
    }
    wanted = _migrated()
    lines = [f"{kind} {name} is missing" for kind, name in sorted(wanted.keys() - found.keys())]
    lines += [f"{kind} {name} is not ours" for kind, name in sorted(found.keys() - wanted.keys())]
    same = wanted.keys() & found.keys()
    lines += [
        f"{k} {name} was changed" for k, name in sorted(same) if found[k, name] != wanted[k, name]
    ]
    return lines


@functools.cache
def _migrated() -> dict[tuple[str, str], str]:
    """What the migrations make of an empty database."""
    from alembic import command

    from compagnon.store.migrating import config_for

    with contextlib.closing(sqlite3.connect(":memory:")) as raw:
        engine = sqlalchemy.create_engine(
            "sqlite://", creator=lambda: raw, poolclass=sqlalchemy.StaticPool
        )
        with engine.begin() as connection:
            command.upgrade(config_for(connection), "head")
        rows = raw.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()
    return {(kind, name): sql for kind, name, sql in rows}


def _of_postgres(connection: Connection) -> list[str]:
    """PostgreSQL keeps no statements, so the triggers and the names of checks are compared."""
    lines = []
    triggers = connection.execute(
        sqlalchemy.text(
            "select t.tgname, c.relname, t.tgenabled::text, t.tgtype, p.proname, p.prosrc "
            "from pg_trigger t join pg_class c on c.oid = t.tgrelid "
            "join pg_proc p on p.oid = t.tgfoid join pg_namespace n on n.oid = c.relnamespace "
            "where not t.tgisinternal and n.nspname = current_schema()"
        )
    ).all()
    ours = [row for row in triggers if row.tgname == _TRIGGER]
    lines += [f"trigger {row.tgname} is not ours" for row in triggers if row.tgname != _TRIGGER]
    if not ours:
        lines.append(f"trigger {_TRIGGER} is missing")
    for row in ours:
        # 2: before, 8: delete, 16: update, 32: truncate; for each statement
        kept = (row.relname, row.tgenabled, row.tgtype, row.proname) == (
            "events", "O", 2 + 8 + 16 + 32, _FUNCTION,
        )  # fmt: skip
        if not kept or "RAISE EXCEPTION 'events are append-only'" not in row.prosrc:
            lines.append(f"trigger {_TRIGGER} was changed")
    look = sqlalchemy.inspect(connection)
    for table in metadata.sorted_tables:
        there = {check["name"] for check in look.get_check_constraints(table.name)}
        there |= {one["name"] for one in look.get_unique_constraints(table.name)}
        there |= {one["name"] for one in look.get_foreign_keys(table.name)}
        said = {
            str(one.name)
            for one in table.constraints
            if not isinstance(one, sqlalchemy.PrimaryKeyConstraint)
        }
        lines += [f"constraint {name} is missing" for name in sorted(said - there)]
        lines += [f"constraint {name} is not ours" for name in sorted(map(str, there - said))]
    return lines
