"""Models, their versions, and which of them decides: pointers that two cannot move at once."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import sqlalchemy
from sqlalchemy import Connection

from compagnon.errors import InputError
from compagnon.store import constraints, events, lineage, model_files, recorded
from compagnon.store.database import Store
from compagnon.store.decision_row import ID_LENGTH
from compagnon.store.lineage import Version
from compagnon.store.tables import models, pointers, versions
from compagnon.store.upsert import insert_new

Role = Literal["champion", "challenger"]
MOVED, ADDED = "pointer.moved", "version.added"
_NONE = ("none", "-")
_TEXTS = ("files", "metrics", "signature", "provenance")  # columns of JSON


class Moved(InputError):  # noqa: N818 (as in `StoreUnavailable`)
    """A pointer is not where the caller saw it: somebody else moved it in between."""


class Pointer(NamedTuple):
    """Which version has a role (None: none has), and how often the pointer was moved."""

    model: str
    role: Role
    sha256: str | None
    revision: int


class Verified(NamedTuple):
    """What `verify` found: the first fault or None, the chain's last hash, what was looked at."""

    fault: str | None
    head: str
    events: int
    versions: int


def add(
    store: Store,
    directory: Path,
    *,
    model: str | None = None,
    parent: str | None = None,
    data_sha256: str | None = None,
    metrics: Mapping[str, float] | None = None,
    actor: str = "",
) -> Version:
    """Take an exported artefact in; the same files again give the version that is there.

    Args:
        model: its name; the manifest's without it.
        parent: a version of the same model: a number, a hash or the beginning of one, a role. The
            one that the manifest names without it, if that is here; any other is only kept.
        data_sha256: of what it was trained on, where the manifest does not say.
        metrics: figures beside those of the manifest.

    Raises:
        InputError: the artefact is damaged or incomplete, its files stand there otherwise, or its
            manifest says otherwise what it was trained on.
    """
    exported = model_files.read_exported(directory)
    name = model or str(exported.manifest["name"])
    if not 0 < len(name) <= ID_LENGTH:
        raise InputError(f"model: give a name of 1 to {ID_LENGTH} characters")
    told = lineage.provenance_of(exported.manifest)
    data_sha256 = lineage.agreed_data(data_sha256, told)
    parent_sha256 = None if parent is None else version(store, name, parent).sha256
    known = _numbers(exported.manifest.get("figures")) | _numbers(dict(metrics or {}))
    model_files.keep(store.files, exported)
    with store.write() as connection:
        now = time.time()
        insert_new(connection, models, name=name, time=now)
        # Two that add to one model at once do so one after the other, and so get two numbers.
        connection.execute(
            sqlalchemy.select(models.c.name).where(models.c.name == name).with_for_update()
        )
        there = _versions(connection, name)
        for found in there:
            if found.sha256 == exported.sha256:
                return found
        if parent_sha256 is None and told.get("parent") is not None:
            others = [*there, *_versions(connection, None)]  # its own model's come first
            begun_with = lineage.parent_among(told["parent"]["sha256"], others)
            parent_sha256 = None if begun_with is None else begun_with.sha256
        made = Version(
            name,
            1 + max((found.number for found in there), default=0),
            exported.sha256,
            str(exported.manifest["schema_sha256"]),
            parent_sha256,
            data_sha256,
            exported.hashes(),
            known,
            _signature(exported.manifest["schema"]),
            now,
            told,
        )
        texts = {key: json.dumps(getattr(made, key)) for key in _TEXTS}
        connection.execute(versions.insert().values({**made._asdict(), **texts}))
        body = {"number": made.number, "sha256": made.sha256, "files": made.files}
        mine = (versions.c.model == name) & (versions.c.number == made.number)
        body |= recorded.of(connection, (models, models.c.name == name), (versions, mine))
        events.append(connection, ADDED, name, actor, body)
    return made


def listed(store: Store, model: str | None = None) -> list[Version]:
    """The versions of a model, or of all, by name and number."""
    with store.read() as connection:
        return _versions(connection, model)


def version(store: Store, model: str, which: str) -> Version:
    """One version, by its number, its hash or the beginning of one, or the role that it has.

    Raises:
        InputError: there is none, or the beginning fits several.
    """
    found = listed(store, model)
    if not found:
        raise InputError(f"there is no model {model!r}; {_names(store)}")
    wanted: str | None = which
    if which in get_args(Role):
        wanted = pointer(store, model, which).sha256  # type: ignore[arg-type]
        if wanted is None:
            raise InputError(f"{model} has no {which}: compagnon registry promote {model} VERSION")
    fits = [v for v in found if str(v.number) == wanted]
    fits = fits or [v for v in found if len(str(wanted)) >= 6 and v.sha256.startswith(str(wanted))]
    if len(fits) != 1:
        said = "several versions begin so" if fits else "there is no such version"
        numbers = ", ".join(str(v.number) for v in found)
        raise InputError(
            f"{model} {which}: {said}; give one of {numbers}, 6 or more digits of a hash, or a role"
        )
    return fits[0]


def version_of_file(store: Store, sha256: str) -> Version | None:
    """The version one of whose model files has a hash: `policy.onnx` or `policy.int8.onnx`."""
    for found in listed(store):
        if sha256 in (found.files.get(model_files.MODEL), found.files.get(model_files.SMALL)):
            return found
    return None


def checked_files(store: Store, found: Version) -> Path:
    """The folder of a version's files, each of which has its hash now.

    Raises:
        InputError: one is missing or was changed.
    """
    fault = model_files.first_fault(store.files, found.sha256, found.files)
    if fault is not None:
        raise InputError(fault)
    return store.files / found.sha256


def pointer(store: Store, model: str, role: Role) -> Pointer:
    """Where a pointer stands; revision 0 and no version where it was never moved."""
    with store.read() as connection:
        return _pointer(connection, model, role)


def move(
    store: Store,
    model: str,
    role: Role,
    to: str | None,
    *,
    expected: int | None = None,
    actor: str = "",
    evidence: Mapping[str, Any] | None = None,
) -> Pointer:
    """Give a role to a version, if the pointer is still where the caller saw it.

    Args:
        to: a number, a hash or the beginning of one, a role; None takes the role away.
        expected: the pointer's `revision` that the caller saw; None: whatever it is.
        evidence: why, as JSON; it goes into the event.

    Raises:
        Moved: the pointer has another revision.
        InputError: no such version, or its files were changed.
    """
    if role not in get_args(Role):
        raise InputError(f"role {role!r}: give champion or challenger")
    target = None if to is None or to in _NONE else version(store, model, to)
    if target is not None:
        checked_files(store, target)
    return _move(store, model, role, target and target.sha256, expected, actor, evidence, False)


def rollback(store: Store, model: str, *, actor: str = "", expected: int | None = None) -> Pointer:
    """Make the champion before this one champion again; twice goes back two.

    Raises:
        Moved: somebody else moved the pointer meanwhile.
        InputError: there was none before, or its files were changed.
    """
    with store.read() as connection:
        now = _pointer(connection, model, "champion")
        before = _champions(connection, model)[:-1]
    if expected is not None and expected != now.revision:
        raise _moved(now, expected)
    if not before:
        raise InputError(f"{model} had no champion before this one; there is nothing to go back to")
    checked_files(store, version(store, model, before[-1]))
    return _move(store, model, "champion", before[-1], now.revision, actor, None, True)


def verify(store: Store, head: str | None = None) -> Verified:
    """Walk the chain of events, compare every row of the small tables with it, hash every file.

    The small tables are keys, metrics, models, versions, pointers, secrets, experiments and looks.
    Triggers and checks of the database are looked at as well. The first fault is named. Decisions
    and outcomes are looked at by `verifying.verify`.

    Args:
        head: the last hash of an earlier verification, to see that nothing was cut off.
    """
    fault, last, count = events.first_fault(store, head)
    found = listed(store)
    if fault is None:
        fault = _unlike_events(store, found)
    if fault is None:
        with store.read() as connection:
            found_faults = recorded.faults(connection) + constraints.faults(connection)
        fault = found_faults[0] if found_faults else None
    for one in found:
        if fault is None:
            fault = model_files.first_fault(store.files, one.sha256, one.files)
    return Verified(fault, last, count, len(found))


def _unlike_events(store: Store, found: list[Version]) -> str | None:
    """A version or a pointer that is not what the events say: a table was changed by hand."""
    added: dict[tuple[str | None, int], Any] = {}
    moved: dict[tuple[str | None, str], Any] = {}
    with store.read() as connection:
        for event in events.read(connection):
            if event.kind == ADDED:
                added[event.model, event.body["number"]] = event.body
            elif event.kind == MOVED:
                moved[event.model, event.body["role"]] = event.body
        rows = connection.execute(sqlalchemy.select(pointers)).all()
    for one in found:
        body = added.pop((one.model, one.number), None)
        if body is None or (body["sha256"], body["files"]) != (one.sha256, one.files):
            return f"version {one.number} of {one.model} is not as its event says"
    for model, number in added:
        return f"version {number} of {model} was removed"
    for row in rows:
        body = moved.pop((row.model, row.role), None)
        if body is None or (body["to"], body["revision"]) != (row.sha256, row.revision):
            return f"the {row.role} of {row.model} is not as the events say"
    for model, role in moved:
        return f"the pointer {role} of {model} was removed"
    return None


def _move(
    store: Store, model: str, role: Role, to: str | None, expected: int | None, actor: str,
    evidence: Mapping[str, Any] | None, back: bool,
) -> Pointer:  # fmt: skip
    with store.write() as connection:
        if insert_new(
            connection, pointers, model=model, role=role, sha256=None, revision=0, time=time.time()
        ):
            now = Pointer(model, role, None, 0)
        else:
            now = _pointer(connection, model, role)
        seen = now.revision if expected is None else expected
        changed = connection.execute(
            pointers.update()
            .where(pointers.c.model == model, pointers.c.role == role)
            .where(pointers.c.revision == seen)
            .values(sha256=to, revision=seen + 1, time=time.time())
        ).rowcount
        if changed != 1:
            raise _moved(_pointer(connection, model, role), seen)
        body: dict[str, Any] = {
            "role": role,
            "from": now.sha256,
            "to": to,
            "revision": seen + 1,
            "rollback": back,
        }
        mine = (pointers.c.model == model) & (pointers.c.role == role)
        body |= {"evidence": dict(evidence or {}), **recorded.of(connection, (pointers, mine))}
        events.append(connection, MOVED, model, actor, body)
    return Pointer(model, role, to, seen + 1)


def _moved(now: Pointer, expected: int) -> Moved:
    return Moved(
        f"the {now.role} of {now.model} was moved meanwhile: it is at revision {now.revision}, "
        f"not {expected}; look at it again (compagnon registry list), then decide"
    )


def _pointer(connection: Connection, model: str, role: Role) -> Pointer:
    row = connection.execute(
        sqlalchemy.select(pointers).where(pointers.c.model == model, pointers.c.role == role)
    ).one_or_none()
    return (
        Pointer(model, role, None, 0)
        if row is None
        else Pointer(model, role, row.sha256, row.revision)
    )


def _champions(connection: Connection, model: str) -> list[str]:
    """The champions that one can go back through, the present one last."""
    stack: list[str] = []
    for event in events.read(connection, model):
        if event.kind == MOVED and event.body["role"] == "champion":
            if event.body["rollback"]:
                stack.pop()
            elif event.body["to"] is not None and stack[-1:] != [event.body["to"]]:
                stack.append(event.body["to"])
    return stack


def _versions(connection: Connection, model: str | None) -> list[Version]:
    query = sqlalchemy.select(*(versions.c[name] for name in Version._fields))
    if model is not None:
        query = query.where(versions.c.model == model)
    rows = connection.execute(query.order_by(versions.c.model, versions.c.number)).mappings()
    return [
        Version(**{**row, **{key: json.loads(row[key] or "{}") for key in _TEXTS}}) for row in rows
    ]


def _names(store: Store) -> str:
    names = sorted({found.model for found in listed(store)})
    return f"there are {', '.join(names)}" if names else "compagnon registry add takes one in"


def _numbers(given: Any) -> dict[str, float]:
    pairs = given.items() if isinstance(given, dict) else ()
    return {str(k): float(v) for k, v in pairs if isinstance(v, int | float) and v == v}


def _signature(schema: Any) -> dict[str, Any]:
    """The inputs by name and the kind of action, out of a manifest's schema."""
    if not isinstance(schema, dict):
        return {}
    observation, action = schema.get("observation"), schema.get("action")
    fields = observation.get("fields") if isinstance(observation, dict) else None
    names = [f.get("name") for f in fields or () if isinstance(f, dict)]
    return {"env_id": schema.get("env_id"), "fields": names, "action": action}
