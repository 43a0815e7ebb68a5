"""`outcomes`: how long they may take, what they say by arm, and those that a file brings."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.amounts import read_time
from compagnon.arguments import CommandFunction, Force, Json, optional
from compagnon.cli.stores import DB, Db, opened


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


def show(
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


def import_outcomes(
    file: Annotated[
        Path, Positional, arg(metavar="FILE.csv", help="decision_id, name, value, time")
    ],
    /,
    zone: Annotated[str, arg(metavar="ZONE", help="of times without one")] = "UTC",
    application: Annotated[str | None, optional("NAME", "whose decisions they must be of")] = None,
    db: Db = DB,
) -> int:
    """Record outcomes from a table; each is recorded once, in whatever order and however often.

    The file is looked at whole before anything is written. Ends with 1 where an outcome stands
    there with another value, or a decision is unknown.

    $ compagnon outcomes import profits.csv --zone Europe/Paris
    """
    from compagnon.operations import outcome_files

    given = outcome_files.read_outcomes(file, zone)
    with opened(db) as store, output.busy("recording") as tell:
        found = outcome_files.import_outcomes(
            store, given, application, lambda count: tell(f"{count:,} outcomes")
        )
    console = output.console()
    if found.fresh:
        console.print(f"new names, which nobody had defined: {', '.join(found.fresh)}")
    late = f", {found.late:,} of them too late to count" if found.late else ""
    console.print(
        f"{found.created:,} outcomes recorded{late}; {found.same:,} were there already",
        soft_wrap=True,
    )
    for fault in (*found.unknown, *found.conflicts):
        console.print(f"not recorded: {file}, {fault}", soft_wrap=True)
    named = len(found.unknown) + len(found.conflicts)
    if found.refused > named:
        console.print(f"not recorded: {found.refused - named:,} more")
    return 1 if found.refused else 0


COMMANDS: dict[str, CommandFunction] = {
    "define": define,
    "show": show,
    "import": import_outcomes,
}
