"""What happened to the models: append only, each event with the hash of the one before it."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy import Connection

from compagnon.store.database import Store
from compagnon.store.tables import events

__all__ = ["GENESIS", "Event", "append", "first_fault", "last", "lock", "read"]

GENESIS = "0" * 64  # what stands before the first event
_LOCK = 7_265_003  # of PostgreSQL's advisory lock: any number that nobody else takes
_PAGE = 500


class Event(NamedTuple):
    """One event; `hash` is over everything else in it, `previous` included."""

    seq: int
    time: float
    kind: str
    model: str | None
    actor: str
    body: dict[str, Any]
    previous: str
    hash: str


def append(
    connection: Connection, kind: str, model: str | None, actor: str, body: Mapping[str, Any]
) -> Event:
    """Add an event within a transaction that writes, so that it stands there if that is committed.

    Args:
        body: the evidence, as JSON.
    """
    lock(connection)
    count, previous = last(connection)
    seq = count + 1
    text = _canonical(dict(body))
    now = time.time()
    digest = _digest(seq, now, kind, model, actor, text, previous)
    connection.execute(
        events.insert().values(
            seq=seq, time=now, kind=kind, model=model, actor=actor, body=text,
            previous=previous, hash=digest,
        )
    )  # fmt: skip
    return Event(seq, now, kind, model, actor, json.loads(text), previous, digest)


def lock(connection: Connection) -> None:
    """Be the only one who appends, until the transaction ends; in SQLite who writes is that."""
    if connection.dialect.name == "postgresql":
        connection.execute(sqlalchemy.text(f"select pg_advisory_xact_lock({_LOCK})"))


def last(connection: Connection) -> tuple[int, str]:
    """The number and the hash of the last event."""
    row = connection.execute(
        sqlalchemy.select(events.c.seq, events.c.hash).order_by(events.c.seq.desc()).limit(1)
    ).one_or_none()
    return (0, GENESIS) if row is None else (row.seq, row.hash)


def read(connection: Connection, model: str | None = None) -> Iterator[Event]:
    """The events, of a model or of all, from the first on."""
    for row in _rows(connection, model):
        seq, moment, kind, name, actor, body, before, digest = row
        yield Event(seq, moment, kind, name, actor, json.loads(body), before, digest)


def first_fault(store: Store, head: str | None = None) -> tuple[str | None, str, int]:
    """Walk the whole chain.

    Args:
        head: a hash that was noted down once; the chain must hold it. Only so is it seen that the
            last events are missing.

    Returns:
        The first fault (None: none), the hash of the last event, and how many there are.
    """
    previous, count, seen = GENESIS, 0, head is None or head == GENESIS
    with store.read() as connection:
        for row in _rows(connection, None):
            count += 1
            if row.seq != count:
                return f"event {count} is missing", previous, count - 1
            if row.previous != previous:
                return f"event {row.seq} does not follow the one before it", previous, count - 1
            found = _digest(*row[:7])
            if found != row.hash:
                return f"event {row.seq} ({row.kind}) was changed", previous, count - 1
            previous = row.hash
            seen = seen or previous == head
    if not seen:
        return f"no event has the hash {head}: the last ones are missing", previous, count
    return None, previous, count


def _rows(connection: Connection, model: str | None) -> Iterator[Any]:
    last = 0
    while True:
        query = sqlalchemy.select(events).where(events.c.seq > last)
        if model is not None:
            query = query.where(events.c.model == model)
        page = connection.execute(query.order_by(events.c.seq).limit(_PAGE)).all()
        yield from page
        if len(page) < _PAGE:
            return
        last = page[-1].seq


def _digest(
    seq: int, moment: float, kind: str, model: str | None, actor: str, body: str, previous: str
) -> str:
    text = _canonical([seq, moment, kind, model, actor, body, previous])
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
