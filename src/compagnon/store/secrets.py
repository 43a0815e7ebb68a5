"""What a service draws with and tells nobody: without it an id would say what it will draw.

A client may choose the id of a decision. Were the draw's seed a hash of the id alone, anybody could
try ids at home until one gives the action that he wants. So the seed is made with 32 random bytes
that are made once and stay in the store: shared by all processes on it, and part of every backup,
so that each logged decision can be made again.
"""

import secrets as random
import time
from typing import NamedTuple

import sqlalchemy

from compagnon.store import events, recorded
from compagnon.store.database import Store
from compagnon.store.tables import secrets
from compagnon.store.upsert import insert_new

_BYTES = 32


class Secret(NamedTuple):
    """One of them; a row of the log names it by its number."""

    number: int
    value: bytes


def current(store: Store) -> Secret:
    """The newest secret; the first one is made when there is none yet.

    Raises:
        StoreUnavailable: the store cannot be read, or not be written.
    """
    newest = _newest(store)
    if newest is not None:
        return newest
    with store.write() as connection:
        # Another process may be doing the same: one of the two is kept, and both use that one.
        value = random.token_bytes(_BYTES)
        if insert_new(connection, secrets, number=1, value=value, created=time.time()):
            body = recorded.of(connection, (secrets, secrets.c.number == 1))  # its hash alone
            events.append(connection, "secret.made", None, "", body)
    made = _newest(store)
    assert made is not None
    return made


def known(store: Store) -> dict[int, bytes]:
    """All of them, by number."""
    with store.read() as connection:
        rows = connection.execute(sqlalchemy.select(secrets.c.number, secrets.c.value)).all()
    return {row.number: bytes(row.value) for row in rows}


def _newest(store: Store) -> Secret | None:
    values = known(store)
    return Secret(max(values), values[max(values)]) if values else None
