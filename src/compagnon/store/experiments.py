"""Experiments as the store keeps them: a plan that never changes, its state, its looks.

A plan is here a text with a hash; what it says is for those who carry it out. It is planned, then
runs, then is stopped, and never goes back. Of an application at most one runs at a time, which the
database holds by itself: a decision belongs to one experiment or to none.
"""

import hashlib
import time as clock
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from compagnon.errors import InputError
from compagnon.store import events, recorded
from compagnon.store.database import Store
from compagnon.store.decision_row import ID_LENGTH
from compagnon.store.tables import RUNNING_ROWS, experiments, looks
from compagnon.store.upsert import insert_new

State = Literal["planned", "running", "stopped"]
PLANNED, STARTED = "experiment.planned", "experiment.started"
LOOKED, STOPPED = "experiment.looked", "experiment.stopped"
REASON_LENGTH: Final = 1000  # characters
Evidence = Mapping[str, Any] | None


class StoredExperiment(NamedTuple):
    """One experiment.

    Attributes:
        application: whose decisions it shares out among its arms.
        plan: canonical JSON. sha256: of that.
        created, started, stopped: seconds since 1970; None where it has not come so far.
        reason: why it was stopped.
    """

    name: str
    application: str
    plan: str
    sha256: str
    state: State
    created: float
    started: float | None
    stopped: float | None
    reason: str | None


class StoredLook(NamedTuple):
    """A look that was taken: its number from 1, when, and what it said, as JSON."""

    number: int
    taken: float
    text: str


_COLUMNS: Final = [experiments.c[name] for name in StoredExperiment._fields]
_LOOK: Final = [looks.c[name] for name in StoredLook._fields]
_RUNNING: Final = (
    sqlalchemy.select(*_COLUMNS)
    .where(experiments.c.application == sqlalchemy.bindparam("of"))
    .where(sqlalchemy.text(RUNNING_ROWS))
)


def add(
    store: Store, name: str, application: str, plan: str, *, actor: str = "",
    evidence: Evidence = None, now: float | None = None,
) -> StoredExperiment:  # fmt: skip
    """Take a plan in, once; the same plan again gives the experiment that is there.

    Args:
        plan: canonical JSON, the same for the same plan.
        evidence: what was known before, as JSON; it goes into the event.
        now: seconds since 1970; the clock's without it. So it is below.

    Raises:
        InputError: the name belongs to another plan or application, or is too long.
    """
    for what, given in (("name", name), ("application", application)):
        if not 0 < len(given) <= ID_LENGTH or not given.isprintable():
            raise InputError(f"experiment: {what}: give 1 to {ID_LENGTH} printable characters")
    sha256 = hashlib.sha256(plan.encode()).hexdigest()
    with store.write() as connection:
        if insert_new(
            connection, experiments, name=name, application=application, plan=plan, sha256=sha256,
            state="planned", created=_moment(now), started=None, stopped=None, reason=None,
        ):  # fmt: skip
            _tell(connection, PLANNED, name, actor, evidence)
        stands = _one(connection, name)
    if stands.sha256 != sha256:
        raise InputError(
            f"experiment {name} has another plan (sha256 {stands.sha256[:12]}, this one is "
            f"{sha256[:12]}); a plan does not change: give the new one a name of its own"
        )
    if stands.application != application:
        raise InputError(
            f"experiment {name} is one of application {stands.application!r}, not of "
            f"{application!r}; give it a name of its own"
        )
    return stands


def start(
    store: Store, name: str, *, actor: str = "", evidence: Evidence = None, now: float | None = None
) -> StoredExperiment:
    """Let a planned experiment run.

    Raises:
        InputError: there is none, it ran or runs already, or its application has another one that
            runs; nothing was changed.
    """
    wanted = get(store, name)
    try:
        with store.write() as connection:
            wanted = _locked(connection, name)
            _require(wanted, "planned", "only a planned one can be started")
            other = _running(connection, wanted.application)
            if other is not None:
                raise _taken(other)
            _change(connection, name, state="running", started=_moment(now))
            _tell(connection, STARTED, name, actor, evidence)
            return _one(connection, name)
    except IntegrityError:  # another one was started between the look and the change
        other = running(store, wanted.application)
        if other is None:
            raise
        raise _taken(other) from None


def stop(
    store: Store, name: str, reason: str, *, actor: str = "", evidence: Evidence = None,
    now: float | None = None,
) -> StoredExperiment:  # fmt: skip
    """End an experiment that runs, or one that never started.

    Raises:
        InputError: there is none, it was stopped before, or no reason is given.
    """
    if not reason.strip() or len(reason) > REASON_LENGTH or "\x00" in reason:
        raise InputError(f"reason: say why, in 1 to {REASON_LENGTH} characters, none of code 0")
    with store.write() as connection:
        before = _locked(connection, name)
        _require(before, ("planned", "running"), "it stays so")
        _change(connection, name, state="stopped", stopped=_moment(now), reason=reason)
        _tell(connection, STOPPED, name, actor, evidence)
        return _one(connection, name)


def add_look(
    store: Store, name: str, number: int, text: str, *, actor: str = "", evidence: Evidence = None,
    now: float | None = None,
) -> StoredLook:  # fmt: skip
    """Keep what a look said, once; the same again gives what is there.

    Raises:
        InputError: there is no such experiment, it doesn't run, or this look said something else.
    """
    with store.write() as connection:
        experiment = _locked(connection, name)
        stands = _look(connection, name, number)
        if stands is not None and stands.text == text:
            return stands
        if stands is not None:
            raise InputError(
                f"look {number} of {name} was taken before and said something else; that stands"
            )
        _require(experiment, "running", "only one that runs is looked at")
        connection.execute(
            looks.insert().values(experiment=name, number=number, taken=_moment(now), text=text)
        )
        mine = (looks.c.experiment == name) & (looks.c.number == number)
        body = recorded.of(connection, (looks, mine))
        _append(connection, LOOKED, name, actor, evidence, {"number": number, **body})
        return _look(connection, name, number) or StoredLook(number, _moment(now), text)


def running(store: Store, application: str) -> StoredExperiment | None:
    """The experiment of an application that runs; one row of an index, to be asked every second."""
    with store.read() as connection:
        return _running(connection, application)


def get(store: Store, name: str) -> StoredExperiment:
    """An experiment.

    Raises:
        InputError: there is none of this name; names those that are.
    """
    with store.read() as connection:
        return _one(connection, name)


def listed(store: Store, application: str | None = None) -> list[StoredExperiment]:
    """All experiments, or those of an application, in the order in which they were planned."""
    query = sqlalchemy.select(*_COLUMNS).order_by(experiments.c.created, experiments.c.name)
    if application is not None:
        query = query.where(experiments.c.application == application)
    with store.read() as connection:
        return [StoredExperiment(*row) for row in connection.execute(query)]


def looks_of(store: Store, name: str) -> list[StoredLook]:
    """The looks of an experiment, in their order."""
    query = sqlalchemy.select(*_LOOK).where(looks.c.experiment == name).order_by(looks.c.number)
    with store.read() as connection:
        return [StoredLook(*row) for row in connection.execute(query)]


def _moment(now: float | None) -> float:
    return clock.time() if now is None else float(now)


def _running(connection: Connection, application: str) -> StoredExperiment | None:
    row = connection.execute(_RUNNING, {"of": application}).one_or_none()
    return None if row is None else StoredExperiment(*row)


def _one(connection: Connection, name: str, lock: bool = False) -> StoredExperiment:
    query = sqlalchemy.select(*_COLUMNS).where(experiments.c.name == name)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is not None:
        return StoredExperiment(*row)
    names = connection.scalars(sqlalchemy.select(experiments.c.name).order_by(experiments.c.name))
    there = ", ".join(names) or "none yet: compagnon experiment plan FILE lays one down"
    raise InputError(f"there is no experiment {name!r}; there are: {there}")


def _locked(connection: Connection, name: str) -> StoredExperiment:
    """The same, for this transaction to change."""
    return _one(connection, name, lock=True)


def _look(connection: Connection, name: str, number: int) -> StoredLook | None:
    query = sqlalchemy.select(*_LOOK).where(looks.c.experiment == name, looks.c.number == number)
    row = connection.execute(query).one_or_none()
    return None if row is None else StoredLook(*row)


def _change(connection: Connection, name: str, **values: Any) -> None:
    connection.execute(experiments.update().where(experiments.c.name == name).values(**values))


def _require(one: StoredExperiment, states: State | tuple[State, ...], otherwise: str) -> None:
    if one.state in (states if isinstance(states, tuple) else (states,)):
        return
    state = {
        "planned": "was not started",
        "running": "runs already",
        "stopped": f"was stopped ({one.reason})",
    }[one.state]
    raise InputError(f"experiment {one.name} {state}; {otherwise}")


def _taken(other: StoredExperiment) -> InputError:
    return InputError(
        f"experiment {other.name} of application {other.application!r} runs; an application has "
        f"one at a time: stop it first (compagnon experiment stop {other.name} --reason TEXT)"
    )


def _tell(connection: Connection, kind: str, name: str, actor: str, evidence: Evidence) -> None:
    body = recorded.of(connection, (experiments, experiments.c.name == name))
    _append(connection, kind, name, actor, evidence, body)


def _append(
    connection: Connection, kind: str, name: str, actor: str, evidence: Evidence,
    body: Mapping[str, Any],
) -> None:  # fmt: skip
    told = {"experiment": name, "evidence": dict(evidence or {}), **body}
    events.append(connection, kind, None, actor, told)
