"""`log`: every logged decision made again, or written as a table."""

import os
import tempfile
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.amounts import read_moment
from compagnon.arguments import CommandFunction, Force, flag, optional
from compagnon.cli.stores import DB, Db, Since, Until, opened
from compagnon.errors import InputError


def replay(
    models: Annotated[
        tuple[Path, ...],
        Positional,
        optional(
            "POLICY...",
            "exported policies that decided, beside those in the registry, and rules (expert:NAME)",
        ),
    ] = (),
    /,
    db: Db = DB,
    verify: Annotated[
        bool, flag("also look whether anything was changed; exit with 1 unless all is well")
    ] = False,
    head: Annotated[
        str | None, optional("HEAD", "printed by `db check` or `db backup`, and kept elsewhere")
    ] = None,
) -> int:
    """Make every logged decision again with the model that made it, and compare bit for bit.

    $ compagnon log replay --verify
    $ compagnon log replay runs/workshop-tight --db sqlite:///decisions.db
    """
    from compagnon.serving.replaying import loader
    from compagnon.store import chaining, verifying
    from compagnon.store.replay import replay as play_again

    wanted = None if head is None else chaining.read_heads(head)
    with opened(db) as store, output.busy("replaying") as tell:
        found = play_again(
            store, loader(store, models), watch=lambda count: tell(f"{count:,} decisions")
        )
        chained = verifying.verify(store, wanted) if verify or wanted is not None else None
    out = output.console()
    out.print(f"{found.checked:,} decisions made again, {found.same:,} the same bit for bit")
    for one in found.differences:
        out.print(f"decision {one.id}: {one.field} differs (model {one.model_sha256[:12]})")
    for sha256, (reason, count) in found.unknown.items():
        out.print(f"{count:,} decisions of model {sha256[:12]} were not: {reason}", soft_wrap=True)
    for fault in () if chained is None else chained.faults:
        out.print(fault, soft_wrap=True)
    good = found.good and (chained is None or not chained.faults)
    return 0 if good or not (verify or wanted) else 1


def export(
    out: Annotated[Path, Positional, arg(metavar="FILE", help="ends with .csv or .parquet")],
    /,
    arrays: Annotated[
        bool, flag("the features, the possible actions and the probabilities, too")
    ] = False,
    policy: Annotated[
        Path | None, optional("POLICY", "whose fields the features are called by")
    ] = None,
    application: Annotated[str | None, optional("NAME", "of this application alone")] = None,
    since: Since = None,
    until: Until = None,
    db: Db = DB,
    force: Force = False,
) -> int:
    """Write the log as a table, a row a decision, with what people and time made of it.

    $ compagnon log export decisions.csv
    $ compagnon log export decisions.parquet --arrays --policy runs/workshop-tight
    """
    from compagnon.operations import log_export
    from compagnon.policy.artefact import load_manifest
    from compagnon.policy.loading import artefact_directory

    writers = {".csv": log_export.write_csv, ".parquet": log_export.write_parquet}
    output.claim(force, out, text=False)
    if out.suffix.lower() not in writers:
        raise InputError(f"{out}: give a file that ends with .csv or .parquet")
    fields: tuple[str, ...] = ()
    if policy is not None:
        manifest = load_manifest(artefact_directory(policy))
        fields = tuple(manifest.schema_.observation.names)
    target = Path(os.path.realpath(out))  # what a link points at is written, and the link stays
    if not target.parent.is_dir():
        raise InputError(f"{out}: the folder {target.parent} is not there")
    with opened(db) as store, output.busy("writing") as tell:
        pages = log_export.table_rows(
            store,
            application=application,
            since=0.0 if since is None else read_moment(since, "--since"),
            until=None if until is None else read_moment(until, "--until"),
            fields=fields,
            arrays=arrays or policy is not None,
        )
        descriptor, name = tempfile.mkstemp(prefix=".export-", dir=target.parent)
        os.close(descriptor)
        draft = Path(name)
        try:
            count = writers[out.suffix.lower()](pages, draft, lambda n: tell(f"{n:,} decisions"))
            if not count:
                raise InputError("no decision was logged in that time; nothing was written")
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    output.console().print(f"wrote {count:,} decisions to {out}", soft_wrap=True)
    return 0


COMMANDS: dict[str, CommandFunction] = {"replay": replay, "export": export}
