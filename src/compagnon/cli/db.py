"""`db`: the database of decisions and models, by hand."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.arguments import CommandFunction, flag, optional
from compagnon.cli.stores import DB, Db, Models, opened
from compagnon.errors import InputError

Head = Annotated[
    str | None, optional("HEAD", "printed by `db check` or `db backup`, and kept elsewhere")
]


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


def check(head: Head = None, db: Db = DB, models: Models = None) -> int:
    """Look for damage, and for anything that was changed by hand: every row, model file, trigger.

    $ compagnon db check --db sqlite:///decisions.db
    """
    with opened(db, models) as store:
        from compagnon.store import backup, chaining, registry, verifying
        from compagnon.store.migrating import require_no_drift

        wanted = None if head is None else chaining.read_heads(head)
        require_no_drift(store)
        faults = backup.check(store)
        with output.busy("checking") as tell:
            rows = verifying.verify(store, wanted, lambda count: tell(f"{count:,} decisions"))
        faults += rows.faults
        found = registry.verify(store)
        faults += [] if found.fault is None or found.fault in faults else [found.fault]
        if faults:
            raise InputError(f"{store.where}: " + "; ".join(faults[:20]))
        old = f", {rows.before:,} of them from before there were chains" if rows.before else ""
        total = rows.decisions + rows.outcomes + rows.before
        output.console().print(
            f"{store.where} is sound: {found.versions} versions, {found.events} events, "
            f"{total:,} decisions and outcomes{old}\nhead {rows.head}",
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
    output.claim_folder(out, "DIR")
    with opened(db, models) as store:
        from compagnon.store.backup import backup as copy

        copied = copy(store, out)
    output.console().print(
        f"wrote {sum(copied.rows.values()):,} rows ({copied.rows['decisions']:,} decisions) and "
        f"{copied.files} model files to {out}\nhead {copied.head}\n"
        "keep the head elsewhere: `db restore --head` tells by it whether the folder was changed",
        soft_wrap=True,
    )
    return 0


def restore(
    folder: Annotated[Path, Positional, arg(metavar="DIR", help="from `db backup`")],
    /,
    head: Head = None,
    trust: Annotated[
        bool, flag("without a head: take whatever stands there, keys and models too")
    ] = False,
    db: Db = DB,
    models: Models = None,
) -> int:
    """Fill an empty database from a backup, of either kind into either kind.

    $ compagnon db restore backups/monday --head HEAD --db sqlite:///copy/decisions.db
    """
    if (head is None) != trust:
        raise InputError(
            "give --head with what `db backup` printed, so that a changed backup is seen, or "
            "--trust if nobody else can have written to the folder"
        )
    from compagnon.store.backup import check_backup
    from compagnon.store.backup import restore as fill

    check_backup(folder)  # before an empty database is made for it
    with opened(db, models, create=True, check=False) as store:
        copied = fill(store, folder, head)
        output.console().print(
            f"{store.where} holds {sum(copied.rows.values()):,} rows and {copied.files} model "
            "files",
            soft_wrap=True,
        )
    return 0


COMMANDS: dict[str, CommandFunction] = {
    "upgrade": upgrade,
    "check": check,
    "backup": backup,
    "restore": restore,
}
