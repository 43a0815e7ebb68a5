"""API keys: shown once, kept as hashes, compared in constant time.

A key holds 256 random bits. One round of SHA-256 is right for it: slow hashes (scrypt, argon2)
protect passwords, which can be guessed; nobody guesses 256 random bits, and a slow hash would let
anybody keep a service busy with wrong keys.
"""

import hashlib
import hmac
import secrets
import time
from typing import Literal, NamedTuple, get_args

import sqlalchemy
from sqlalchemy import Connection

from compagnon.errors import InputError
from compagnon.store import events, recorded
from compagnon.store.database import Store
from compagnon.store.decision_row import ID_LENGTH
from compagnon.store.tables import events as events_table
from compagnon.store.tables import keys

Scope = Literal["decide", "outcomes", "admin"]
CREATED, REVOKED = "key.created", "key.revoked"
_PREFIX = "compagnon"  # so that a key that leaked into a file can be searched for
_NOBODY = hashlib.sha256(b"").hexdigest()


class Key(NamedTuple):
    """A key without its secret; `revoked` is when, or None."""

    id: str
    name: str
    scope: Scope
    created: float
    revoked: float | None


class Keyring:
    """The keys that were valid when it was read; asking it takes no database.

    Attributes:
        ever: whether the store ever had a key, valid, revoked or removed by hand. Such a store is
            never again open to whoever asks without one.
    """

    def __init__(self, known: dict[str, tuple[str, Key]], ever: bool = False) -> None:
        self._known = known
        self.ever = ever or bool(known)

    def __len__(self) -> int:
        return len(self._known)

    def check(self, presented: str, scope: Scope) -> Key | None:
        """The key that somebody presented, if it is valid for a scope; `admin` is for all.

        It takes as long for a wrong secret as for a right one, and for an unknown key.
        """
        key_id, _, secret = presented.removeprefix(f"{_PREFIX}_").partition("_")
        found = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        stored, key = self._known.get(key_id, (_NOBODY, None))
        same = hmac.compare_digest(found, stored)
        return key if same and key is not None and key.scope in (scope, "admin") else None


def create(store: Store, scope: Scope, name: str = "", actor: str = "") -> tuple[Key, str]:
    """Make a key.

    Returns:
        The key, and the text to present, which is nowhere kept.
    """
    if scope not in get_args(Scope):
        raise InputError(f"scope {scope!r}: give decide, outcomes or admin")
    if len(name) > ID_LENGTH:
        raise InputError(f"name: give at most {ID_LENGTH} characters")
    key = Key(secrets.token_hex(8), name, scope, time.time(), None)
    secret = secrets.token_urlsafe(32)
    with store.write() as connection:
        hashed = hashlib.sha256(secret.encode()).hexdigest()
        connection.execute(keys.insert().values(**key._asdict(), hash=hashed))
        body = {"id": key.id, "scope": scope, "name": name}
        body |= recorded.of(connection, (keys, keys.c.id == key.id))
        events.append(connection, CREATED, None, actor, body)
    return key, f"{_PREFIX}_{key.id}_{secret}"


def revoke(store: Store, key_id: str, actor: str = "") -> Key:
    """End a key's life; a second time changes nothing.

    Raises:
        InputError: there is no such key.
    """
    with store.write() as connection:
        now = time.time()
        query = sqlalchemy.select(*(keys.c[name] for name in Key._fields)).where(
            keys.c.id == key_id
        )
        row = connection.execute(query).one_or_none()
        if row is None:
            raise InputError(f"there is no key {key_id!r}; compagnon keys list shows them")
        if row.revoked is None:
            connection.execute(keys.update().where(keys.c.id == key_id).values(revoked=now))
            body = {"id": key_id, **recorded.of(connection, (keys, keys.c.id == key_id))}
            events.append(connection, REVOKED, None, actor, body)
            return Key(*row)._replace(revoked=now)
        return Key(*row)


def listed(store: Store) -> list[Key]:
    """All keys, the revoked ones too, by their age."""
    query = sqlalchemy.select(*(keys.c[name] for name in Key._fields)).order_by(keys.c.created)
    with store.read() as connection:
        return [Key(*row) for row in connection.execute(query)]


def keyring(store: Store) -> Keyring:
    """The keys that are valid now."""
    query = sqlalchemy.select(keys).where(keys.c.revoked.is_(None))
    with store.read() as connection:
        rows = connection.execute(query).all()
        ever = bool(rows) or _ever(connection)
    known = {
        row.id: (row.hash, Key(row.id, row.name, row.scope, row.created, None)) for row in rows
    }
    return Keyring(known, ever)


def _ever(connection: Connection) -> bool:
    """Whether a key was ever made: rows may have been removed, events are append-only."""
    told = sqlalchemy.select(events_table.c.seq).where(events_table.c.kind.in_([CREATED, REVOKED]))
    for query in (sqlalchemy.select(keys.c.id), told):
        if connection.execute(query.limit(1)).one_or_none() is not None:
            return True
    return False
