"""`keys` and `outcomes`: who may ask the service, and what came of its decisions."""

from typing import Annotated, Literal

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.amounts import read_time
from compagnon.arguments import CommandFunction, Force, Json, optional
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


def define(
    name: Annotated[str, Positional, arg(metavar="NAME", help="of the outcome")],
    /,
    matures_after: Annotated[
        str, arg(metavar="90s|20m|2h|7d", help="how long after a decision it may come")
    ],
    db: Db = DB,
) -> int:
    """Say how long after a decision an outcome may come; later ones count as late.

    $ compagnon outcomes define profit --matures-after 2h
    """
    seconds = read_time(matures_after, "--matures-after")
    with opened(db) as store:
        from compagnon.store import outcomes

        outcomes.define(store, name, seconds)
    output.console().print(f"{name} matures {matures_after} after its decision")
    return 0


def show_outcomes(
    name: Annotated[str, Positional, arg(metavar="NAME", help="of the outcome")],
    /,
    experiment: Annotated[str | None, optional("NAME", "of this experiment alone")] = None,
    db: Db = DB,
    json: Json = None,
    force: Force = False,
) -> int:
    """What an outcome says by arm, from decisions that are old enough.

    $ compagnon outcomes show profit
    """
    output.claim(force, json)
    with opened(db) as store:
        from compagnon.store import outcomes

        found = outcomes.summarise(store, name, experiment=experiment)
    rows = [
        (
            one.arm or "-",
            "-" if one.mean is None else output.number(one.mean),
            *(f"{count:,}" for count in one[1:6]),
        )
        for one in found
    ]
    columns = ("arm", "mean", "decisions", "immature", "observed", "late", "missing")
    output.console().print(output.table(columns, rows))
    if json is not None:
        output.write_json(json, [one._asdict() for one in found])
    return 0


KEYS_COMMANDS: dict[str, CommandFunction] = {"create": create, "list": list_keys, "revoke": revoke}
OUTCOMES_COMMANDS: dict[str, CommandFunction] = {"define": define, "show": show_outcomes}
