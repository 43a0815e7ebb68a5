"""`db`, `registry`, `keys` and `outcomes`: what the store of decisions holds, by hand."""

import contextlib
import getpass
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from compagnon.cli import output
from compagnon.cli.options import Verb, optional
from compagnon.errors import InputError

if TYPE_CHECKING:
    from compagnon.store import Store

_Db = Annotated[str, arg(metavar="DB", help="sqlite:///FILE or postgresql://...")]
_DB = "sqlite:///decisions.db"
_Models = Annotated[
    Path | None, optional("DIR", "model files; `models` beside a database file without it")
]
_Model = Annotated[str, Positional, arg(metavar="MODEL", help="its name")]
_Json = Annotated[Path | None, optional("FILE", "also write it here")]
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def upgrade(db: _Db = _DB) -> int:
    """Make the tables of a database, or bring them to this version.

    $ compagnon db upgrade --db sqlite:///decisions.db
    $ compagnon db upgrade --db postgresql://me@host/decisions
    """
    with _opened(db, create=True, check=False) as store:
        from compagnon.store.migrating import upgrade as migrate

        before, after = migrate(store)
        said = "is at version" if before == after else "was brought to version"
        output.console().print(f"{store.where} {said} {after}", soft_wrap=True)
    return 0


def check(db: _Db = _DB, models: _Models = None) -> int:
    """Look for damage: the version, pages, rows that point at nothing, models, events.

    $ compagnon db check --db sqlite:///decisions.db
    """
    with _opened(db, models) as store:
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
    db: _Db = _DB,
    models: _Models = None,
) -> int:
    """Copy the database, which may be in use, and the model files into a folder.

    $ compagnon db backup backups/monday --db postgresql://me@host/decisions
    """
    with _opened(db, models) as store:
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
    db: _Db = _DB,
    models: _Models = None,
) -> int:
    """Fill an empty database from a backup, of either kind into either kind.

    $ compagnon db restore backups/monday --db sqlite:///copy/decisions.db
    """
    with _opened(db, models, create=True, check=False) as store:
        from compagnon.store.backup import restore as fill

        copied = fill(store, folder)
        output.console().print(
            f"{store.where} holds {sum(copied.rows.values()):,} rows and {copied.files} model "
            "files",
            soft_wrap=True,
        )
    return 0


def add(
    policy: Annotated[
        Path, Positional, arg(metavar="POLICY", help="a folder that `compagnon export` wrote to")
    ],
    /,
    model: Annotated[str | None, optional("NAME", "its name; the policy's own without it")] = None,
    parent: Annotated[str | None, optional("VERSION", "the version that it was made from")] = None,
    data: Annotated[str | None, optional("SHA256", "of the data that it was trained on")] = None,
    db: _Db = _DB,
    models: _Models = None,
) -> int:
    """Take an exported policy into the registry, under the hash of its ONNX file.

    $ compagnon registry add runs/mine/best --model shop
    """
    with _opened(db, models) as store:
        from compagnon.store import registry

        made = registry.add(
            store, policy, model=model, parent=parent, data_sha256=data, actor=_me()
        )
    output.console().print(f"{made.model} version {made.number}: {made.sha256}", soft_wrap=True)
    return 0


def list_(db: _Db = _DB, models: _Models = None) -> int:
    """Every version of every model, and which of them decide.

    $ compagnon registry list
    """
    with _opened(db, models) as store:
        from compagnon.store import registry

        found = registry.listed(store)
        rows = []
        for one in found:
            roles = []
            for role in ("champion", "challenger"):
                pointer = registry.pointer(store, one.model, role)
                if pointer.sha256 == one.sha256:
                    roles.append(f"{role} (revision {pointer.revision})")
            when = _day(one.time)
            rows.append((one.model, str(one.number), one.sha256[:12], when, ", ".join(roles)))
    screen = output.console()
    if not rows:
        screen.print("no models; compagnon registry add takes one in")
    else:
        columns = ("model", "version", "sha256", "added", "role")
        screen.print(output.table(columns, rows, numbers=False))
    return 0


def show(
    model: _Model,
    version: Annotated[
        str, Positional, arg(metavar="VERSION", help="a number, a hash, champion or challenger")
    ] = "champion",
    /,
    db: _Db = _DB,
    models: _Models = None,
) -> int:
    """One version with its files, figures and inputs, and what happened to its model, as JSON.

    $ compagnon registry show shop champion
    """
    with _opened(db, models) as store:
        from compagnon.store import events, registry

        found = registry.version(store, model, version)
        with store.read() as connection:
            happened = [event._asdict() for event in events.read(connection, model)]
    print(json.dumps({**found._asdict(), "events": happened}, indent=1))
    return 0


def promote(
    model: _Model,
    version: Annotated[
        str, Positional, arg(metavar="VERSION", help="a number, a hash, a role; `none` for nobody")
    ],
    /,
    role: Annotated[Literal["champion", "challenger"], arg(help="what it becomes")] = "champion",
    expect: Annotated[
        int | None, optional("REVISION", "of the pointer, as `registry list` showed it")
    ] = None,
    why: Annotated[str, arg(metavar="TEXT", help="kept with the event")] = "",
    db: _Db = _DB,
    models: _Models = None,
) -> int:
    """Make a version champion or challenger; services take it up by themselves.

    $ compagnon registry promote shop 2
    $ compagnon registry promote shop 3 --role challenger --expect 4 --why "passed the gate"
    """
    with _opened(db, models) as store:
        from compagnon.store import registry

        evidence = {"why": why} if why else {}
        moved = registry.move(
            store, model, role, version, expected=expect, actor=_me(), evidence=evidence
        )
    _say_pointer(moved.model, moved.role, moved.sha256, moved.revision)
    return 0


def rollback(model: _Model, /, db: _Db = _DB, models: _Models = None) -> int:
    """Make the champion before this one champion again.

    $ compagnon registry rollback shop
    """
    with _opened(db, models) as store:
        from compagnon.store import registry

        moved = registry.rollback(store, model, actor=_me())
    _say_pointer(moved.model, moved.role, moved.sha256, moved.revision)
    return 0


def verify(
    head: Annotated[
        str | None,
        optional("HASH", "printed by an earlier run; shows whether events are missing"),
    ] = None,
    db: _Db = _DB,
    models: _Models = None,
) -> int:
    """Walk the chain of events and hash every model file; the first fault is named.

    $ compagnon registry verify
    """
    with _opened(db, models) as store:
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


def create(
    scope: Annotated[
        Literal["decide", "outcomes", "admin"], arg(help="what it is for; admin is for all")
    ],
    name: Annotated[str, arg(metavar="TEXT", help="whose it is")] = "",
    db: _Db = _DB,
) -> int:
    """Make a key for the service; it is shown once and never again.

    $ compagnon keys create --scope decide --name "shop floor"
    """
    with _opened(db) as store:
        from compagnon.store import keys

        key, text = keys.create(store, scope, name, actor=_me())
    output.console().print(
        f"key {key.id} for {key.scope}; this is the only time that it is shown:\n{text}",
        soft_wrap=True,
    )
    return 0


def list_keys(db: _Db = _DB) -> int:
    """The keys, without their secrets.

    $ compagnon keys list
    """
    with _opened(db) as store:
        from compagnon.store import keys

        rows = [
            (
                key.id,
                key.scope,
                _day(key.created),
                "valid" if key.revoked is None else f"revoked {_day(key.revoked)}",
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
    db: _Db = _DB,
) -> int:
    """End a key's life.

    $ compagnon keys revoke 0123456789abcdef
    """
    with _opened(db) as store:
        from compagnon.store import keys

        found = keys.revoke(store, key, actor=_me())
    output.console().print(f"key {found.id} is revoked")
    return 0


def define(
    name: Annotated[str, Positional, arg(metavar="NAME", help="of the outcome")],
    /,
    matures_after: Annotated[
        str, arg(metavar="90s|20m|2h|7d", help="how long after a decision it may come")
    ],
    db: _Db = _DB,
) -> int:
    """Say how long after a decision an outcome may come; later ones count as late.

    $ compagnon outcomes define profit --matures-after 2h
    """
    seconds = _duration(matures_after)
    with _opened(db) as store:
        from compagnon.store import outcomes

        outcomes.define(store, name, seconds)
    output.console().print(f"{name} matures {matures_after} after its decision")
    return 0


def show_outcomes(
    name: Annotated[str, Positional, arg(metavar="NAME", help="of the outcome")],
    /,
    experiment: Annotated[str | None, optional("NAME", "of this experiment alone")] = None,
    db: _Db = _DB,
    json: _Json = None,
) -> int:
    """What an outcome says by arm, from decisions that are old enough.

    $ compagnon outcomes show profit
    """
    with _opened(db) as store:
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


@contextlib.contextmanager
def _opened(
    db: str, models: Path | None = None, *, create: bool = False, check: bool = True
) -> "Iterator[Store]":
    """The store of `--db`; what goes wrong with it on the way is one sentence too."""
    try:
        from compagnon.store import StoreUnavailable, open_store
    except ImportError:
        raise InputError("the store needs SQLAlchemy: pip install 'compagnon[serve]'") from None
    try:
        store = open_store(db, files=models, create=create, check=check)
        with contextlib.closing(store):
            yield store
    except StoreUnavailable as error:
        raise InputError(str(error)) from None


def _say_pointer(model: str, role: str, sha256: str | None, revision: int) -> None:
    who = "nobody" if sha256 is None else sha256[:12]
    output.console().print(f"{role} of {model}: {who} (revision {revision})")


def _duration(text: str) -> float:
    try:
        return float(text[:-1]) * _SECONDS[text[-1:]]
    except (ValueError, KeyError):
        raise InputError(f"--matures-after {text}: give 90s, 20m, 2h or 7d") from None


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(moment))


def _me() -> str:
    """Who does it, for the events; a container may have no name for its user."""
    with contextlib.suppress(OSError, KeyError):
        return getpass.getuser()
    return ""


DB_VERBS: dict[str, Verb] = {
    "upgrade": upgrade,
    "check": check,
    "backup": backup,
    "restore": restore,
}
REGISTRY_VERBS: dict[str, Verb] = {
    "add": add,
    "list": list_,
    "show": show,
    "promote": promote,
    "rollback": rollback,
    "verify": verify,
}
KEYS_VERBS: dict[str, Verb] = {"create": create, "list": list_keys, "revoke": revoke}
OUTCOMES_VERBS: dict[str, Verb] = {"define": define, "show": show_outcomes}
