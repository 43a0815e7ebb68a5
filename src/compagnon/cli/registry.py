"""`registry`: models, their versions, and which of them decides."""

import json
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.arguments import CommandFunction, optional
from compagnon.cli.stores import DB, Db, Model, Models, day, me, opened
from compagnon.errors import InputError


def add(
    policy: Annotated[
        Path, Positional, arg(metavar="POLICY", help="a folder that `compagnon export` wrote to")
    ],
    /,
    model: Annotated[str | None, optional("NAME", "its name; the policy's own without it")] = None,
    parent: Annotated[str | None, optional("VERSION", "the version that it was made from")] = None,
    data: Annotated[str | None, optional("SHA256", "of the data that it was trained on")] = None,
    db: Db = DB,
    models: Models = None,
) -> int:
    """Take an exported policy into the registry, under the hash of its ONNX file.

    $ compagnon registry add runs/mine/best --model shop
    """
    with opened(db, models) as store:
        from compagnon.store import registry

        made = registry.add(store, policy, model=model, parent=parent, data_sha256=data, actor=me())
    output.console().print(f"{made.model} version {made.number}: {made.sha256}", soft_wrap=True)
    return 0


def list_(db: Db = DB, models: Models = None) -> int:
    """Every version of every model, and which of them decide.

    $ compagnon registry list
    """
    with opened(db, models) as store:
        from compagnon.store import registry

        found = registry.listed(store)
        rows = []
        for one in found:
            roles = []
            for role in ("champion", "challenger"):
                pointer = registry.pointer(store, one.model, role)
                if pointer.sha256 == one.sha256:
                    roles.append(f"{role} (revision {pointer.revision})")
            when = day(one.time)
            rows.append((one.model, str(one.number), one.sha256[:12], when, ", ".join(roles)))
    screen = output.console()
    if not rows:
        screen.print("no models; compagnon registry add takes one in")
    else:
        columns = ("model", "version", "sha256", "added", "role")
        screen.print(output.table(columns, rows, numbers=False))
    return 0


def show(
    model: Model,
    version: Annotated[
        str, Positional, arg(metavar="VERSION", help="a number, a hash, champion or challenger")
    ] = "champion",
    /,
    db: Db = DB,
    models: Models = None,
) -> int:
    """One version with its files, figures and inputs, and what happened to its model, as JSON.

    $ compagnon registry show shop champion
    """
    with opened(db, models) as store:
        from compagnon.store import events, registry

        found = registry.version(store, model, version)
        with store.read() as connection:
            happened = [event._asdict() for event in events.read(connection, model)]
    print(json.dumps({**found._asdict(), "events": happened}, indent=1))
    return 0


def promote(
    model: Model,
    version: Annotated[
        str, Positional, arg(metavar="VERSION", help="a number, a hash, a role; `none` for nobody")
    ],
    /,
    role: Annotated[Literal["champion", "challenger"], arg(help="what it becomes")] = "champion",
    expect: Annotated[
        int | None, optional("REVISION", "of the pointer, as `registry list` showed it")
    ] = None,
    why: Annotated[str, arg(metavar="TEXT", help="kept with the event")] = "",
    db: Db = DB,
    models: Models = None,
) -> int:
    """Make a version champion or challenger; services take it up by themselves.

    It is loaded and tried first, in a process with little time and memory.

    $ compagnon registry promote shop 2
    $ compagnon registry promote shop 3 --role challenger --expect 4 --why "passed the gate"
    """
    with opened(db, models) as store:
        from compagnon.store import registry

        if version != "none":
            _try(registry.checked_files(store, registry.version(store, model, version)))
        evidence = {"why": why} if why else {}
        moved = registry.move(
            store, model, role, version, expected=expect, actor=me(), evidence=evidence
        )
    _say_pointer(moved.model, moved.role, moved.sha256, moved.revision)
    return 0


def rollback(model: Model, /, db: Db = DB, models: Models = None) -> int:
    """Make the champion before this one champion again.

    $ compagnon registry rollback shop
    """
    with opened(db, models) as store:
        from compagnon.store import registry

        moved = registry.rollback(store, model, actor=me())
    _say_pointer(moved.model, moved.role, moved.sha256, moved.revision)
    return 0


def verify(
    head: Annotated[
        str | None,
        optional("HASH", "printed by an earlier run; shows whether events are missing"),
    ] = None,
    db: Db = DB,
    models: Models = None,
) -> int:
    """Walk the chain of events and hash every model file; the first fault is named.

    $ compagnon registry verify
    """
    with opened(db, models) as store:
        from compagnon.store import registry

        found = registry.verify(store, head)
        if found.fault is not None:
            raise InputError(f"{store.where}: {found.fault}")
    output.console().print(
        f"{found.versions} versions and {found.events} events are as they were written\n"
        f"last event {found.head}",
        soft_wrap=True,
    )
    return 0


def _try(folder: Path) -> None:
    """Refuse a version that could not be served, in each precision that it has."""
    from compagnon.policy.exported import ONNX_FILES
    from compagnon.serving.trial import require_tried

    for precision in ONNX_FILES:
        require_tried(folder, precision)


def _say_pointer(model: str, role: str, sha256: str | None, revision: int) -> None:
    who = "nobody" if sha256 is None else sha256[:12]
    output.console().print(f"{role} of {model}: {who} (revision {revision})")


COMMANDS: dict[str, CommandFunction] = {
    "add": add,
    "list": list_,
    "show": show,
    "promote": promote,
    "rollback": rollback,
    "verify": verify,
}
