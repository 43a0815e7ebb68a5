"""Opens a store from what a person types."""

from pathlib import Path

from compagnon.errors import InputError
from compagnon.store.database import Store

_SQLITE = "sqlite:///"


def open_store(
    address: str | Path, *, files: Path | None = None, create: bool = False, check: bool = True
) -> Store:
    """Open a database.

    Args:
        address: a file, ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``.
        files: the folder of model files; without it `models`, beside a database file or, with
            PostgreSQL, in the working directory.
        create: make a database file that is not there. Its tables come from `migrating.upgrade`.
        check: refuse a database that is not at this program's version.

    Raises:
        InputError: it cannot be opened, or is of another version.
    """
    text = str(address)
    store: Store
    if "://" in text and not text.startswith("sqlite:"):
        from compagnon.store.postgres import PostgresStore

        store = PostgresStore(text, files)
    else:
        from compagnon.store.sqlite import SqliteStore

        store = SqliteStore(_path(text), files, create)
    try:
        if check:
            store.require_version()
    except BaseException:
        store.close()
        raise
    return store


def _path(text: str) -> Path:
    if not text.startswith("sqlite:"):
        return Path(text)
    if not text.startswith(_SQLITE) or len(text) == len(_SQLITE):
        raise InputError(f"{text}: give sqlite:///FILE; sqlite:////FILE where it begins with /")
    return Path(text.removeprefix(_SQLITE))
