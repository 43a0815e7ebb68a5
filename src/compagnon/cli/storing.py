"""`db`: the database of decisions and models, by hand."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from compagnon.cli import output
from compagnon.cli.options import Verb
from compagnon.cli.stores import DB, Db, Models, opened
from compagnon.errors import InputError


def upgrade(db: Db = DB) -> int:
    """Make the tables of a database, or bring them to this version.

    $ compagnon db upgrade --db sqlite:///decisions.db
    $ compagnon db upgrade --db postgresql://me@host/decisions
    """
    with opened(db, create=True, check=False) as store:
        from compagnon.store.migrating import upgrade as migrate

        before, after = migrate(store)
        said = "is at version" if before == after else "was brought to version"
        output.console().print(f"{store.where} {said} {after}", soft_wrap=True)
    return 0


def check(db: Db = DB, models: Models = None) -> int:
    """Look for damage: the version, pages, rows that point at nothing, models, events.

    $ compagnon db check --db sqlite:///decisions.db
    """
    with opened(db, models) as store:
        from compagnon.store import backup, registry
        from compagnon.store.migrating import require_no_drift

        require_no_drift(store)
        faults = backup.check(store)
        found = registry.verify(store)
        faults += [] if found.fault is None else [found.fault]
        if faults:
            raise InputError(f"{store.where}: " + "; ".join(faults[:20]))
        output.console().print(
            f"{store.where} is sound: {found.versions} versions, {found.events} events",
            soft_wrap=True,
        )
    return 0


def backup(
    out: Annotated[Path, Positional, arg(metavar="DIR", help="a new folder")],
    /,
    db: Db = DB,
    models: Models = None,
) -> int:
    """Copy the database, which may be in use, and the model files into a folder.

    $ compagnon db backup backups/monday --db postgresql://me@host/decisions
    """
    with opened(db, models) as store:
        from compagnon.store.backup import backup as copy

        copied = copy(store, out)
    output.console().print(
        f"wrote {sum(copied.rows.values()):,} rows ({copied.rows['decisions']:,} decisions) and "
        f"{copied.files} model files to {out}",
        soft_wrap=True,
    )
    return 0


def restore(
    folder: Annotated[Path, Positional, arg(metavar="DIR", help="from `db backup`")],
    /,
    db: Db = DB,
    models: Models = None,
) -> int:
    """Fill an empty database from a backup, of either kind into either kind.

    $ compagnon db restore backups/monday --db sqlite:///copy/decisions.db
    """
    with opened(db, models, create=True, check=False) as store:
        from compagnon.store.backup import restore as fill

        copied = fill(store, folder)
        output.console().print(
            f"{store.where} holds {sum(copied.rows.values()):,} rows and {copied.files} model "
            "files",
            soft_wrap=True,
        )
    return 0


VERBS: dict[str, Verb] = {
    "upgrade": upgrade,
    "check": check,
    "backup": backup,
    "restore": restore,
}
