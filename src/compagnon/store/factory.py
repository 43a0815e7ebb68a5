"""Opens a store from what a person types."""

from pathlib import Path

from compagnon.store.address import file_of, is_file
from compagnon.store.database import Store


def open_store(
    address: str | Path,
    *,
    files: Path | None = None,
    create: bool = False,
    check: bool = True,
    patience: float | None = None,
) -> Store:
    """Open a database.

    Args:
        address: a file, ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``.
        files: the folder of model files; without it `models`, beside a database file or, with
            PostgreSQL, in the working directory.
        create: make a database file that is not there. Its tables come from `migrating.upgrade`.
        check: refuse a database that is not at this program's version.
        patience: seconds that a statement of PostgreSQL may take, whatever stands between; None
            for no limit. SQLite has its own (`sqlite.BUSY_SECONDS`).

    Raises:
        InputError: it cannot be opened, or is of another version.
    """
    text = str(address)
    store: Store
    if is_file(text):
        from compagnon.store.sqlite import SqliteStore

        store = SqliteStore(file_of(text), files, create)
    else:
        from compagnon.store.postgres import PostgresStore

        store = PostgresStore(text, files, patience)
    try:
        if check:
            store.require_version()
    except BaseException:
        store.close()
        raise
    return store
