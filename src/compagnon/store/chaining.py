"""Chains: what is kept of decisions and what came of them holds hashes of all that came before.

A `link` is the SHA-256 of the link before it and of every value of an outcome or an override, or of
the decisions that were written together; it stands in the last of these. So a row that was changed,
added, removed or put elsewhere no longer fits its neighbours. The table `chains` says how long each
chain is and where it ends, so that rows missing at its end are seen as well. One writer goes on
with one chain; several writers at once have several chains and wait for no other.

Whoever may write the whole database can also compute all of this anew. That shows only against a
`head` that was noted down elsewhere: how long every chain was, and its last link.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from math import copysign
from operator import itemgetter
from typing import Any, Literal, NamedTuple

import msgspec
import sqlalchemy
from sqlalchemy import Connection

from compagnon.errors import InputError
from compagnon.store import events
from compagnon.store.decision_row import FLOATS
from compagnon.store.decisions import COLUMNS, DecisionRow
from compagnon.store.tables import chains, decisions, outcomes

Kind = Literal[
    "events", "decisions", "outcomes", "overrides", "decisions before", "outcomes before"
]
BEGUN, SEALED = "chain.begun", "store.sealed"
OUTCOME_FIELDS = ("decision_id", "name", "value", "time", "late")
OUTCOME_COLUMNS = [outcomes.c[name] for name in OUTCOME_FIELDS]
_SHOWN = 32  # hexadecimal digits of a link in a head: 128 bits
_floats = itemgetter(*(DecisionRow._fields.index(name) for name in FLOATS))
_encode = msgspec.msgpack.Encoder().encode


class Tip(NamedTuple):
    """Where a chain ends: its number, how many rows it has, its last link."""

    chain: int
    rows: int
    link: bytes


def genesis(kind: str, chain: int) -> bytes:
    """What stands before the first row of a chain."""
    return hashlib.sha256(f"compagnon {kind} {chain}".encode()).digest()


def encoded(values: Sequence[Any]) -> bytes:
    """A row, the same bytes when it is written as when it is read back, from either database.

    Values that are missing at the end are left out, so that columns which later versions add there
    change nothing of the rows that stand.

    Raises:
        ValueError: a value that no column can hold.
    """
    return _encoded(_plain(values))


def _plain(values: Sequence[Any]) -> list[Any]:
    """SQLite keeps no minus before a zero, and NaN as nothing."""
    plain = [
        value if type(value) is not float else value + 0.0 if value == value else None
        for value in values
    ]
    while plain and plain[-1] is None:
        plain.pop()
    return plain


def _encoded(value: Any) -> bytes:
    try:
        return _encode(value)
    except (TypeError, OverflowError) as error:
        raise ValueError(str(error)) from None


def _as_kept(row: DecisionRow) -> Sequence[Any]:
    """A decision that is to be written, as `_plain` makes it of the row that is read back."""
    for value in _floats(row):
        # Nearly all stay as they are, and need no second look.
        if value is not None and not (value.__class__ is float and (value > 0.0 or _stays(value))):
            integers: dict[str, Any] = {
                name: float(given)
                for name in FLOATS
                if isinstance(given := getattr(row, name), int)
            }
            return _plain(row._replace(**integers))
    if row[-1] is not None:
        return row
    end = len(row) - 1
    while end and row[end - 1] is None:
        end -= 1
    return row[:end]


def _stays(value: float) -> bool:
    """Whether a column gives back a number as it was given: no NaN, no minus before a zero."""
    return value < 0.0 or value > 0.0 or (value == 0.0 and copysign(1.0, value) > 0.0)


def group_link(previous: bytes, rows: Sequence[Sequence[Any]]) -> bytes:
    """The link of decisions that were written together: it stands in the last of them.

    Args:
        rows: as they were read back.
    """
    return _group(previous, [_plain(row) for row in rows])


def next_link(previous: bytes, rows: Sequence[DecisionRow]) -> bytes:
    """The same of decisions that are to be written, with less work."""
    return _group(previous, [_as_kept(row) for row in rows])


def _group(previous: bytes, rows: list[Any]) -> bytes:
    # Of one long text the hash is made while other threads run.
    hashed = hashlib.sha256(previous)
    hashed.update(_encoded(rows))
    return hashed.digest()


def links(previous: bytes, rows: Iterable[Sequence[Any]]) -> list[bytes]:
    """The link of each row, from the one before the first."""
    made = []
    sha256 = hashlib.sha256
    for row in rows:
        previous = sha256(previous + encoded(row)).digest()
        made.append(previous)
    return made


def begin(connection: Connection, kind: Kind, actor: str = "") -> Tip:
    """A new chain; the events say that there is one."""
    events.lock(connection)  # of two that begin at once, one waits
    chain = 1 + (connection.scalar(sqlalchemy.select(sqlalchemy.func.max(chains.c.id))) or 0)
    link = genesis(kind, chain)
    connection.execute(
        chains.insert().values(id=chain, kind=kind, rows=0, link=link, created=time.time())
    )
    events.append(connection, BEGUN, None, actor, {"chain": chain, "kind": kind})
    return Tip(chain, 0, link)


def tips(connection: Connection, kind: Kind) -> list[Tip]:
    """The chains of a kind, as the table has them."""
    query = sqlalchemy.select(chains.c.id, chains.c.rows, chains.c.link)
    rows = connection.execute(query.where(chains.c.kind == kind).order_by(chains.c.id))
    return [Tip(row.id, row.rows, bytes(row.link)) for row in rows]


def advance(connection: Connection, tip: Tip) -> None:
    """Write down where a chain ends now."""
    connection.execute(
        chains.update().where(chains.c.id == tip.chain).values(rows=tip.rows, link=tip.link)
    )


def last_decision(connection: Connection, tip: Tip) -> Tip:
    """Where a chain of decisions really ends: SQLite's is written down once a second."""
    row = connection.execute(
        sqlalchemy.select(decisions.c.place, decisions.c.link)
        .where(decisions.c.chain == tip.chain, decisions.c.link.is_not(None))
        .order_by(decisions.c.seq.desc())
        .limit(1)
    ).one_or_none()
    # Fewer rows than were written down: the gap stays to be seen.
    if row is None or row.place is None or row.place <= tip.rows:
        return tip
    return Tip(tip.chain, row.place, bytes(row.link))


def seal_rows_before(connection: Connection) -> None:
    """Hash, once and as they stand, the rows from before there were chains."""
    made: dict[Kind, tuple[int, bytes]] = {
        "decisions before": _fold_decisions(connection),
        "outcomes before": fold_outcomes(outcome_hashes(connection)),
    }
    for kind, (rows, link) in made.items():
        if rows:
            tip = begin(connection, kind)
            advance(connection, Tip(tip.chain, rows, link))


def _fold_decisions(connection: Connection) -> tuple[int, bytes]:
    count, link, after = 0, b"", 0
    while True:
        page = connection.execute(
            sqlalchemy.select(decisions.c.seq, *COLUMNS)
            .where(decisions.c.seq > after, decisions.c.chain.is_(None))
            .order_by(decisions.c.seq)
            .limit(1000)
        ).all()
        if not page:
            return count, link
        link = links(link, [row[1:] for row in page])[-1]
        count, after = count + len(page), page[-1].seq


def outcome_hashes(connection: Connection) -> list[bytes]:
    """Of the outcomes from before."""
    query = sqlalchemy.select(*OUTCOME_COLUMNS).where(outcomes.c.chain.is_(None))
    result = connection.execute(query.execution_options(yield_per=1000))
    return [hashlib.sha256(encoded(row)).digest() for row in result]


def fold_outcomes(hashes: list[bytes]) -> tuple[int, bytes]:
    """Outcomes from before have no order of their own, so their hashes are put in order."""
    return len(hashes), hashlib.sha256(b"".join(sorted(hashes))).digest()


def add_outcome_link(tip: Tip, values: Mapping[str, Any]) -> Tip:
    """The chain with one more outcome."""
    return add_link(tip, [values[name] for name in OUTCOME_FIELDS])


def add_link(tip: Tip, values: Sequence[Any]) -> Tip:
    """The chain with one more row, which has a link of its own."""
    return Tip(tip.chain, tip.rows + 1, links(tip.link, [values])[0])


def tip_of(connection: Connection, kind: Kind) -> Tip:
    """A chain of outcomes, or of overrides, that is this transaction's until it ends."""
    query = (
        sqlalchemy.select(chains.c.id, chains.c.rows, chains.c.link)
        .where(chains.c.kind == kind)
        .order_by(chains.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = connection.execute(query).one_or_none()
    return begin(connection, kind) if row is None else Tip(row.id, row.rows, bytes(row.link))


# ------------------------------------------------------------------ heads, to be noted elsewhere

Heads = dict[int, tuple[int, str]]


def heads(connection: Connection) -> Heads:
    """How long every chain is, and the beginning of its last link; chain 0 are the events."""
    found = {}
    for row in connection.execute(sqlalchemy.select(chains).order_by(chains.c.id)).all():
        tip = Tip(row.id, row.rows, bytes(row.link))
        tip = last_decision(connection, tip) if row.kind == "decisions" else tip
        found[row.id] = (tip.rows, tip.link.hex()[:_SHOWN])
    seq, digest = events.last(connection)
    return {0: (seq, digest[:_SHOWN]), **found}


def written(found: Heads) -> str:
    """Heads as one word that a person can note down."""
    return "-".join(f"{chain}.{rows}.{link}" for chain, (rows, link) in sorted(found.items()))


def read_heads(text: str) -> Heads:
    """What `written` gave.

    Raises:
        InputError: it is something else.
    """
    found: Heads = {}
    try:
        for part in text.strip().split("-"):
            chain, rows, link = part.split(".")
            if len(link) != _SHOWN or int(link, 16) < 0:
                raise ValueError
            found[int(chain)] = (int(rows), link.lower())
    except ValueError:
        raise InputError(
            "--head: give what `compagnon db check` or `db backup` printed after `head`"
        ) from None
    return found
