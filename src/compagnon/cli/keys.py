"""`keys`: who may ask the service."""

from typing import Annotated, Literal

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.arguments import CommandFunction
from compagnon.cli.stores import DB, Db, day, me, opened


def create(
    scope: Annotated[
        Literal["decide", "outcomes", "admin"], arg(help="what it is for; admin is for all")
    ],
    name: Annotated[str, arg(metavar="TEXT", help="whose it is")] = "",
    db: Db = DB,
) -> int:
    """Make a key for the service; it is shown once and never again.

    $ compagnon keys create --scope decide --name "shop floor"
    """
    with opened(db) as store:
        from compagnon.store import keys

        key, text = keys.create(store, scope, name, actor=me())
    output.console().print(
        f"key {key.id} for {key.scope}; this is the only time that it is shown:\n{text}",
        soft_wrap=True,
    )
    return 0


def list_keys(db: Db = DB) -> int:
    """The keys, without their secrets.

    $ compagnon keys list
    """
    with opened(db) as store:
        from compagnon.store import keys

        rows = [
            (
                key.id,
                key.scope,
                day(key.created),
                "valid" if key.revoked is None else f"revoked {day(key.revoked)}",
                key.name,
            )
            for key in keys.listed(store)
        ]
    columns = ("key", "scope", "created", "state", "name")
    output.console().print(output.table(columns, rows, numbers=False))
    return 0


def revoke(
    key: Annotated[str, Positional, arg(metavar="KEY", help="its id, from `keys list`")],
    /,
    db: Db = DB,
) -> int:
    """End a key's life.

    $ compagnon keys revoke 0123456789abcdef
    """
    with opened(db) as store:
        from compagnon.store import keys

        found = keys.revoke(store, key, actor=me())
    output.console().print(f"key {found.id} is revoked")
    return 0


KEYS_COMMANDS: dict[str, CommandFunction] = {"create": create, "list": list_keys, "revoke": revoke}
