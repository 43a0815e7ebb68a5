"""Backup and restore: the whole store in one folder, the same for both databases.

The copy is a file of SQLite, whatever the database: it needs no tool beside this program, fits any
version of PostgreSQL's server, and a small installation moves to PostgreSQL by a backup and a
restore. The model files lie beside it.
"""

import contextlib
import hashlib
import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy import Connection, func, select

from compagnon.errors import InputError
from compagnon.files import copy_regular, read_file, replace_directory, write_file
from compagnon.store import chaining, registry, verifying
from compagnon.store.database import MODELS, Store
from compagnon.store.factory import open_store
from compagnon.store.migrating import upgrade
from compagnon.store.sqlite import SqliteStore
from compagnon.store.tables import VERSION, metadata

DATABASE, RECORD = "store.db", "backup.json"
_PAGE = 1000
_MAX_RECORD = 1_000_000


class Copied(NamedTuple):
    """What a backup or a restore copied: rows by table, files of models, and the head.

    The head says how long each chain is and where it ends (`chaining.written`). Noted down where
    whoever can write to the backup cannot, it shows whether anything was changed there.
    """

    rows: dict[str, int]
    files: int
    head: str


def backup(store: Store, folder: Path) -> Copied:
    """Copy a store that may be in use; the copy is one moment of it.

    Raises:
        InputError: the folder is there already, or cannot be written.
        StoreUnavailable: the database cannot be read.
    """
    if folder.exists():
        raise InputError(f"{folder} is there already; give a new folder")
    try:
        with replace_directory(folder, private=True) as fresh:
            rows = _copy_out(store, fresh / DATABASE)
            with contextlib.closing(open_store(fresh / DATABASE)) as made:
                known = _known_files(made)
                with made.read() as connection:
                    head = chaining.written(chaining.heads(connection))
            _plain_file(fresh / DATABASE)
            # After the database: a version's files are there before its row is.
            files = _copy_files(store.files, fresh / MODELS, known)
            record = {
                "format": 2,
                "version": VERSION,
                "created": time.time(),
                "rows": rows,
                "sha256": _sha256(fresh / DATABASE),
            }
            write_file(fresh / RECORD, json.dumps(record, indent=1) + "\n", private=True)
    except (OSError, sqlite3.Error) as error:
        raise InputError(f"{folder} cannot be written ({error})") from None
    return Copied(rows, files, head)


def restore(store: Store, folder: Path, head: str | None) -> Copied:
    """Fill an empty store from a backup, in one transaction.

    Every row of the backup is checked against the chains in it, and every model file against its
    version. Whoever can write to the backup can compute all of that anew, add a key of his own,
    and change what decides; only the head tells.

    Args:
        head: what `backup` returned, kept elsewhere. None trusts whoever can write to the folder.

    Raises:
        InputError: the backup is damaged, is not the one of the head, or is of another version, or
            the store holds something.
        StoreUnavailable: the database cannot be written; it is still empty.
    """
    wanted = None if head is None else chaining.read_heads(head)
    check_backup(folder)
    upgrade(store)
    with _opened(folder) as source:
        found = verifying.verify(source, wanted)
        if found.faults:
            raise InputError(f"{folder} was changed: " + "; ".join(found.faults))
        if wanted is not None and wanted != chaining.read_heads(found.head):
            raise InputError(f"{folder} holds more than the backup of that head")
        return _fill(store, source, folder)


def _fill(store: Store, source: Store, folder: Path) -> Copied:
    known = _known_files(source)
    with source.read() as given, store.write() as connection:
        for table in metadata.sorted_tables:
            if connection.scalar(select(func.count()).select_from(table)):
                raise InputError(f"{store.where} holds {table.name}; restore into an empty one")
        rows = {t.name: _copy_table(given, connection, t) for t in metadata.sorted_tables}
        if connection.dialect.name == "postgresql":
            _count_on(connection)
        head = chaining.written(chaining.heads(connection))
        files = _copy_files(folder / MODELS, store.files, known)
    return Copied(rows, files, head)


def check(store: Store) -> list[str]:
    """What is wrong with a database: pages, keys between tables, tables changed by hand."""
    found = []
    if store.engine().dialect.name == "sqlite":
        with store.read() as connection:
            for row in connection.exec_driver_sql("PRAGMA integrity_check"):
                if row[0] != "ok":
                    found.append(str(row[0]))
            for row in connection.exec_driver_sql("PRAGMA foreign_key_check"):
                found.append(f"{row[0]}: row {row[1]} points at nothing in {row[2]}")
    return found


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[Store]:
    """A copy of a backup's database, brought to this version; the backup stays as it is."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / DATABASE
        copy_regular(folder / DATABASE, copy)
        source = open_store(copy, check=False)
        try:
            upgrade(source)
            yield source
        finally:
            source.close()


def _copy_out(store: Store, target: Path) -> dict[str, int]:
    if isinstance(store, SqliteStore):
        target.touch(0o600)
        with contextlib.closing(sqlite3.connect(target)) as made:
            store.copy_to(made)
    else:
        _copy_rows(store, target)
    with contextlib.closing(sqlite3.connect(target)) as raw:
        return {
            t.name: raw.execute(f"SELECT count(*) FROM {t.name}").fetchone()[0]
            for t in metadata.sorted_tables
        }


def _plain_file(database: Path) -> None:
    """Leave one file, with nothing beside it."""
    with contextlib.closing(sqlite3.connect(database)) as raw:
        raw.execute("PRAGMA journal_mode = DELETE")
    for rest in database.parent.glob(f"{database.name}-*"):
        rest.unlink()


def _known_files(store: Store) -> dict[str, dict[str, str]]:
    """The files of each version, by its hash: theirs by name."""
    return {version.sha256: version.files for version in registry.listed(store)}


def _copy_rows(store: Store, target: Path) -> None:
    made = open_store(target, create=True, check=False)
    try:
        upgrade(made)
        with store.read() as source, made.write() as connection:
            for table in metadata.sorted_tables:
                _copy_table(source, connection, table)
    finally:
        made.close()


def _copy_table(source: Connection, target: Connection, table: sqlalchemy.Table) -> int:
    count = 0
    query = select(table).order_by(*table.primary_key.columns)
    result = source.execution_options(stream_results=True).execute(query)
    for page in result.mappings().partitions(_PAGE):
        target.execute(table.insert(), [dict(row) for row in page])
        count += len(page)
    return count


def _count_on(connection: Connection) -> None:
    """Let PostgreSQL's counters go on where the copied rows end."""
    for table in metadata.sorted_tables:
        column: Any = table.autoincrement_column
        if column is not None:
            connection.execute(
                sqlalchemy.text(
                    f"select setval(pg_get_serial_sequence('{table.name}', '{column.name}'), "
                    f"coalesce(max({column.name}), 0) + 1, false) from {table.name}"
                )
            )


def _copy_files(source: Path, target: Path, known: dict[str, dict[str, str]]) -> int:
    """Copy the files of registered versions, and nothing else that lies there.

    Raises:
        InputError: a link or a file that is not a version's, or is not as it was registered.
    """
    count = 0
    for folder in _folders(source):
        if folder.name not in known or (target / folder.name).exists():
            continue
        with replace_directory(target / folder.name, private=True) as fresh:
            for path in sorted(folder.iterdir()):
                copy_regular(path, fresh / path.name)
                if known[folder.name].get(path.name) != _sha256(fresh / path.name):
                    raise InputError(f"{path} is not as it was registered")
                count += 1
    return count


def _folders(source: Path) -> Iterator[Path]:
    if source.is_dir():
        for path in sorted(source.iterdir()):
            if path.is_symlink():
                raise InputError(f"{path} is a link; it is not followed")
            if path.is_dir() and not path.name.startswith("."):
                yield path


def check_backup(folder: Path) -> None:
    """Refuse what is no whole backup.

    Raises:
        InputError: names what is missing, changed or of another version.
    """
    if not (folder / RECORD).is_file() or not (folder / DATABASE).is_file():
        raise InputError(f"{folder} is no backup: it should hold {RECORD} and {DATABASE}")
    try:
        record = json.loads(read_file(folder / RECORD, _MAX_RECORD))
        version, said = record["version"], record["sha256"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{folder / RECORD} is not what compagnon db backup writes") from None
    if str(version) > VERSION:
        raise InputError(
            f"{folder} is of version {version}, made by a newer compagnon; this one knows up to "
            f"{VERSION}: install the newer one"
        )
    if _sha256(folder / DATABASE) != said:
        raise InputError(f"{folder / DATABASE} was changed: it does not have the hash in {RECORD}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
