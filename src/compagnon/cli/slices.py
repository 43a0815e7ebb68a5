"""`slices`, `log export`, `outcomes import`: what was logged, and what came of it, as data."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.amounts import read_moment
from compagnon.arguments import CommandFunction, Force, flag, optional
from compagnon.cli.stores import DB, Db, day, opened
from compagnon.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from compagnon.operations.slices import Slice

Since = Annotated[
    str | None, optional("WHEN", "decisions from then on: 2026-03-02, 2026-03-02T06:00 (UTC)")
]
Until = Annotated[str | None, optional("WHEN", "and before then")]
Application = Annotated[str, arg(metavar="NAME", help="whose decisions")]
Outcomes = Annotated[
    tuple[str, ...],
    arg(metavar="NAME=WEIGHT...", help="what the reward is a sum of, such as profit=1 late=-5"),
]
Zero = Annotated[
    tuple[str, ...],
    optional("NAME...", "outcomes that are 0 where none came: events told when they happen"),
]


def freeze(
    outcomes: Outcomes,
    out: Annotated[Path, arg(metavar="FOLDER", help="a new one")],
    zero: Zero = (),
    application: Application = "default",
    since: Since = None,
    until: Until = None,
    db: Db = DB,
) -> int:
    """Write the decisions whose outcomes have had their time into a folder, under a hash.

    $ compagnon slices freeze --outcomes profit=1 late=-5 --zero late --out slices/monday
    $ compagnon slices freeze --outcomes profit=1 --since 2026-03-02 --out slices/march
    """
    from compagnon.operations import slices

    objective = slices.Objective.parse(outcomes, zero)
    begin = 0.0 if since is None else read_moment(since, "--since")
    end = None if until is None else read_moment(until, "--until")
    if end is not None and end <= begin:
        raise InputError(f"--until {until}: give a time after --since")
    output.claim_folder(out)
    with opened(db) as store, output.busy("collecting") as tell:
        found = slices.collect(
            store, objective.names, application=application, since=begin, until=end,
            watch=lambda count: tell(f"{count:,} decisions"),
        )  # fmt: skip
    found = replace(found, manifest={**found.manifest, "objective": objective.as_json()})
    if out.is_dir():
        out.rmdir()  # it is empty, and is to appear whole
    sha256 = slices.freeze(found, out)
    console = output.console()
    console.print(f"{len(found):,} decisions to {out}, hash {sha256}", soft_wrap=True)
    _describe(found, console)
    return 0


def check(
    folder: Annotated[Path, Positional, arg(metavar="FOLDER", help="a slice")],
    /,
    sha256: Annotated[str | None, optional("HASH", "that it must have; 12 digits will do")] = None,
) -> int:
    """Say what a slice holds, and refuse one of which a byte was changed.

    $ compagnon slices check slices/monday --sha256 0123456789ab
    """
    from compagnon.operations import slices
    from compagnon.operations.slices.slice import sha256_of

    found = slices.load(folder, sha256)
    console = output.console()
    console.print(f"{len(found):,} decisions, hash {sha256_of(folder)}", soft_wrap=True)
    _describe(found, console)
    return 0


def _describe(found: "Slice", console: "Console") -> None:
    """What was collected and what was not, in words."""
    import numpy as np

    told = found.manifest
    console.print(
        f"of application {told['application']}, from {day(float(found.time.min()))} to "
        f"{day(float(found.time.max()))}, {len(set(found.model))} models",
        soft_wrap=True,
    )
    rows = []
    for k, one in enumerate(told["outcomes"]):
        values, late = found.outcomes[:, k], int(found.late[:, k].sum())
        there = ~np.isnan(values)
        mean = output.number(float(values[there].mean())) if there.any() else "-"
        missing = len(values) - int(there.sum()) - late
        counts = (f"{count:,}" for count in (int(there.sum()), late, missing))
        rows.append((one["name"], mean, *counts, f"{one['matures_after']:g} s"))
    columns = ("outcome", "mean", "in time", "too late", "missing", "matures after")
    console.print(output.table(columns, rows))
    left = told["left_out"]
    console.print(
        f"left out: {left['immature']:,} that are too young, {left['of_cut_episodes']:,} of "
        "episodes that go on outside",
        soft_wrap=True,
    )
    overridden = found.human.count("overridden")
    if overridden:
        console.print(f"{overridden:,} were overridden by people, and are in no estimate")


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


SLICES_COMMANDS: dict[str, CommandFunction] = {"freeze": freeze, "check": check}
LOG_COMMANDS: dict[str, CommandFunction] = {"export": export}
OUTCOMES_COMMANDS: dict[str, CommandFunction] = {"import": import_outcomes}
