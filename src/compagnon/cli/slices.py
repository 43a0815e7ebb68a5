"""`slices`: decisions whose outcomes have come, frozen under a hash."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.amounts import read_moment
from compagnon.arguments import CommandFunction, optional
from compagnon.cli.stores import DB, Db, Since, Until, day, opened
from compagnon.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from compagnon.operations.slices import Slice

Outcomes = Annotated[
    tuple[str, ...],
    optional("NAME=WEIGHT...", "what the reward is a sum of, such as profit=1 late=-5"),
]
Zero = Annotated[
    tuple[str, ...],
    optional("NAME...", "outcomes that are 0 where none came: events told when they happen"),
]


def freeze(
    out: Annotated[Path, arg(metavar="FOLDER", help="a new one")],
    deployment: Annotated[
        Path | None,
        optional("FILE.toml", "whose application, outcomes and store, see `compagnon operate`"),
    ] = None,
    outcomes: Outcomes = (),
    zero: Zero = (),
    application: Annotated[str | None, optional("NAME", "whose decisions (default)")] = None,
    since: Since = None,
    until: Until = None,
    db: Db = DB,
) -> int:
    """Write the decisions whose outcomes have had their time into a folder, under a hash.

    $ compagnon slices freeze --deployment deployment.toml --out slices/monday
    $ compagnon slices freeze --outcomes profit=1 late=-5 --zero late --out slices/monday
    $ compagnon slices freeze --outcomes profit=1 --since 2026-03-02 --out slices/march
    """
    from compagnon.operations import slices

    if deployment is not None:
        from compagnon.operations.deployment import load_deployment

        if outcomes or zero or application is not None:
            raise InputError(
                "--deployment says whose decisions these are, and the outcomes: leave "
                "--application, --outcomes and --zero out"
            )
        found = load_deployment(deployment)
        objective, whose, db = found.objective, found.application, db or found.db
    else:
        if not outcomes:
            raise InputError("give --deployment FILE.toml, or --outcomes NAME=WEIGHT...")
        objective = slices.Objective.parse(outcomes, zero)
        whose = "default" if application is None else application
    begin = 0.0 if since is None else read_moment(since, "--since")
    end = None if until is None else read_moment(until, "--until")
    if end is not None and end <= begin:
        raise InputError(f"--until {until}: give a time after --since")
    output.claim_folder(out)
    with opened(db) as store, output.busy("collecting") as tell:
        content = slices.collect(
            store, objective.names, application=whose, since=begin, until=end,
            watch=lambda count: tell(f"{count:,} decisions"),
        )  # fmt: skip
    content = replace(content, manifest={**content.manifest, "objective": objective.as_json()})
    if out.is_dir():
        out.rmdir()  # it is empty, and is to appear whole
    sha256 = slices.freeze(content, out)
    console = output.console()
    console.print(f"{len(content):,} decisions to {out}, hash {sha256}", soft_wrap=True)
    _describe(content, console)
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


COMMANDS: dict[str, CommandFunction] = {"freeze": freeze, "check": check}
