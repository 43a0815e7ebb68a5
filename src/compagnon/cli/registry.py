"""`registry`: models, their versions, and which of them decides."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.arguments import CommandFunction, optional
from compagnon.cli.stores import DB, Db, Model, Models, day, me, opened
from compagnon.errors import InputError

if TYPE_CHECKING:
    from compagnon.store.lineage import Version


def add(
    policy: Annotated[
        Path, Positional, arg(metavar="POLICY", help="a folder that `compagnon export` wrote to")
    ],
    /,
    model: Annotated[str | None, optional("NAME", "its name; the policy's own without it")] = None,
    parent: Annotated[
        str | None, optional("VERSION", "that it was made from; the policy's own word without it")
    ] = None,
    data: Annotated[
        str | None, optional("SHA256", "of what it was trained on, where the policy does not say")
    ] = None,
    db: Db = DB,
    models: Models = None,
) -> int:
    """Take an exported policy into the registry, under the hash of its ONNX file.

    What the policy says of its recipe, its data and its parent is kept with it.

    $ compagnon registry add runs/mine/best --model shop
    """
    with opened(db, models) as store:
        from compagnon.store import registry

        made = registry.add(store, policy, model=model, parent=parent, data_sha256=data, actor=me())
        there = registry.listed(store)
    screen = output.console()
    screen.print(f"{made.model} version {made.number}: {made.sha256}", soft_wrap=True)
    for line in _origin(made, there):
        screen.print(line, soft_wrap=True)
    return 0


def list_(db: Db = DB, models: Models = None) -> int:
    """Every version of every model, which of them decide, and what they were made from.

    $ compagnon registry list
    """
    with opened(db, models) as store:
        from compagnon.store import lineage, registry

        found = registry.listed(store)
        rows = []
        for one in found:
            roles = []
            for role in ("champion", "challenger"):
                pointer = registry.pointer(store, one.model, role)
                if pointer.sha256 == one.sha256:
                    roles.append(f"{role} (revision {pointer.revision})")
            recipe, trained_on = one.provenance.get("recipe", ""), (one.data_sha256 or "")[:12]
            made_from = lineage.parent_words(one, found)
            about = (one.sha256[:12], day(one.time), ", ".join(roles))
            rows.append((one.model, str(one.number), *about, recipe, trained_on, made_from))
    screen = output.console()
    if not rows:
        screen.print("no models; compagnon registry add takes one in")
    else:
        columns = ("model", "version", "sha256", "added", "role", "recipe", "data", "parent")
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
    """One version, where it comes from, and what happened to its model, as JSON.

    $ compagnon registry show shop champion
    """
    with opened(db, models) as store:
        from compagnon.store import events, lineage, registry

        found = registry.version(store, model, version)
        made_from = lineage.parent_words(found, registry.listed(store)) or None
        with store.read() as connection:
            happened = [event._asdict() for event in events.read(connection, model)]
    print(json.dumps({**found._asdict(), "parent": made_from, "events": happened}, indent=1))
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


def _origin(made: "Version", there: "Sequence[Version]") -> "Iterator[str]":
    """What a version says of where it comes from, a line each."""
    from compagnon.store import lineage

    told = made.provenance
    if told.get("recipe_sha256"):
        changed = ", changed on the way" if told.get("recipe_changes") else ""
        yield f"recipe {told.get('recipe')} {told['recipe_sha256'][:12]}{changed}"
    for one in told.get("data", ()):
        yield f"trained on {one.get('path')} {one['sha256'][:12]} ({one.get('role')})"
    parent = lineage.parent_words(made, there)
    if parent:
        yield f"made from {parent}"


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
