"""Walks all that is chained, row by row, and says what was changed by hand."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy import Connection, Table

from compagnon.store import chaining, constraints, events, recorded
from compagnon.store.chaining import Heads, Kind
from compagnon.store.database import Store
from compagnon.store.decisions import COLUMNS
from compagnon.store.overrides import COLUMNS as OVERRIDE_COLUMNS
from compagnon.store.tables import chains, decisions, outcomes, overrides
from compagnon.store.tables import events as events_table

MOST = 20  # faults that are named
_PAGE = 1000
_SHOWN = 32


class Verification(NamedTuple):
    """What a verification found.

    Attributes:
        faults: the first `MOST` of them; none where all is as it was written.
        decisions, outcomes, overrides, events: that were looked at.
        before: decisions and outcomes from before there were chains, hashed when these came.
        head: to be noted down, see `chaining.written`.
    """

    faults: list[str]
    decisions: int
    outcomes: int
    overrides: int
    events: int
    before: int
    head: str


class _Chain:
    """One chain on the way through it."""

    def __init__(self, number: int, kind: str, rows: int, link: bytes, head: Heads | None) -> None:
        self.kind, self.number = kind, number
        self.rows, self.link = rows, link
        self.place, self.last = 0, chaining.genesis(kind, number)
        self.wanted = None if head is None else head.get(number)
        self.met = self.wanted is None or self.wanted[0] == 0
        self._ends = rows == 0 and link == self.last
        self._group: list[Any] = []  # rows since the last link
        self._begun = ""
        self._broken = False  # something of the group was named already

    def follow(self, what: str, row: Any, place: int, link: bytes | None) -> str | None:
        """Take the next row; what is wrong with it, or with those since the last link."""
        fault = None
        if place != self.place + 1:
            gone = place - self.place - 1
            fault = (
                f"{gone} {self.kind} before {what} are missing"
                if gone > 0
                else f"{what} stands where another should"
            )
            self._broken = True
        self.place = place
        self._begun = self._begun if self._group else what
        self._group.append(row)
        return fault if link is None else self._close(what, link) or fault

    def _close(self, what: str, link: bytes) -> str | None:
        """Compare what was gathered with its link."""
        if self.kind == "decisions":
            found = chaining.group_link(self.last, self._group)
        else:
            found = chaining.links(self.last, self._group)[-1]
        fault = None
        if found != link and not self._broken:
            whole = what if len(self._group) == 1 else f"one from {self._begun} to {what}"
            fault = f"{whole} is not as it was written, or does not follow the one before it"
        self.last, self._group, self._broken = link, [], False
        # What the table of chains, or a head noted down, says of this place.
        if self.wanted is not None and self.place == self.wanted[0]:
            self.met = link.hex()[:_SHOWN] == self.wanted[1]
        if self.place == self.rows:
            self._ends = link == self.link
        return fault

    def ended(self) -> Iterator[str]:
        """What is wrong once there are no more rows."""
        if self._group:
            yield f"the last {len(self._group)} {self.kind} of chain {self.number} have no link"
        if self.place < self.rows:
            gone = self.rows - self.place
            yield f"the last {gone} {self.kind} of chain {self.number} are missing"
        elif not self._ends:
            yield f"chain {self.number} of {self.kind} does not end as it was written down"
        if not self.met:
            yield f"chain {self.number} of {self.kind} is not the one of the head that was given"


def verify(
    store: Store, head: Heads | None = None, watch: Callable[[int], object] = lambda _: None
) -> Verification:
    """Look at every event, key, model, pointer, decision, outcome and override, in all columns.

    Model files are looked at by `registry.verify`, and whether decisions come out the same by
    `replay`.

    Args:
        head: noted down once; it shows that what stood there then still does.
        watch: is told how many rows were looked at.
    """
    faults: list[str] = []
    fault, _, count = events.first_fault(store)
    with store.read() as connection:
        now = chaining.heads(connection)
        # Events that were changed say nothing of the tables.
        faults += recorded.faults(connection) if fault is None else [fault]
        faults += _of_events(connection, head)
        faults += constraints.faults(connection)
        known = {
            row.id: _Chain(row.id, row.kind, row.rows, bytes(row.link), head)
            for row in connection.execute(sqlalchemy.select(chains))
        }
        decided, old = _walk_decisions(connection, known, faults, watch)
        came, older = _walk_outcomes(connection, known, faults)
        said = _walk_overrides(connection, known, faults)
        for chain in known.values():
            if chain.kind in ("decisions", "outcomes", "overrides"):
                faults += chain.ended()
        for number in (head or {}).keys() - known.keys() - {0}:
            faults.append(f"chain {number} of the head that was given is not there")
    return Verification(
        faults[:MOST], decided, came, said, count, old + older, chaining.written(now)
    )


def _of_events(connection: Connection, head: Heads | None) -> list[str]:
    """Whether the events hold the one of a head that was noted down."""
    seq, link = (head or {}).get(0, (0, ""))
    if seq == 0:
        return []
    query = sqlalchemy.select(events_table.c.hash).where(events_table.c.seq == seq)
    found = connection.scalar(query)
    if found is None:
        return [f"the events end before event {seq} of the head that was given"]
    good = found[:_SHOWN] == link
    return [] if good else [f"event {seq} is not the one of the head that was given"]


def _walk_decisions(
    connection: Connection,
    known: dict[int, _Chain],
    faults: list[str],
    watch: Callable[[int], object],
) -> tuple[int, int]:
    """How many there are on chains, and from before."""
    count = old = after = 0
    link = b""
    extra = [decisions.c[name] for name in ("seq", "chain", "place", "link")]
    while len(faults) < MOST:
        page = connection.execute(
            sqlalchemy.select(*extra, *COLUMNS)
            .where(decisions.c.seq > after)
            .order_by(decisions.c.seq)
            .limit(_PAGE)
        ).all()
        if not page:
            break
        for row in page:
            values = row[4:]
            if row.chain is None:
                old, link = old + 1, chaining.links(link, [values])[0]
            else:
                count += 1
                fault = _follow(known, "decisions", f"decision {row.id}", row, values)
                faults += [] if fault is None else [fault]
        after = page[-1].seq
        watch(count + old)
    else:
        return count, old
    faults += _of_before(known, "decisions before", old, link)
    return count, old


def _walk_outcomes(
    connection: Connection, known: dict[int, _Chain], faults: list[str]
) -> tuple[int, int]:
    """How many there are on chains, and from before."""

    def what(row: Any) -> str:
        return f"outcome {row.name} of {row.decision_id}"

    count = _walk(connection, known, faults, outcomes, chaining.OUTCOME_COLUMNS, what)
    old, link = chaining.fold_outcomes(chaining.outcome_hashes(connection))
    faults += _of_before(known, "outcomes before", old, link)
    return count, old


def _walk_overrides(connection: Connection, known: dict[int, _Chain], faults: list[str]) -> int:
    def what(row: Any) -> str:
        return f"what a person made of {row.decision_id}"

    return _walk(connection, known, faults, overrides, OVERRIDE_COLUMNS, what)


def _walk(
    connection: Connection,
    known: dict[int, _Chain],
    faults: list[str],
    table: Table,
    columns: Sequence[Any],
    what: Callable[[Any], str],
) -> int:
    """Follow the rows of a table whose chains bear its name, each with a link; how many."""
    extra = [table.c[name] for name in ("chain", "place", "link")]
    result = connection.execute(
        sqlalchemy.select(*extra, *columns)
        .where(table.c.chain.is_not(None))
        .order_by(table.c.chain, table.c.place)
        .execution_options(yield_per=_PAGE)
    )
    count = 0
    for row in result:
        count += 1
        fault = _follow(known, table.name, what(row), row, row[3:])
        faults += [] if fault is None else [fault]
    return count


def _follow(known: dict[int, _Chain], kind: str, what: str, row: Any, values: Any) -> str | None:
    chain = known.get(row.chain)
    if chain is None or chain.kind != kind or row.place is None:
        return f"{what} is on no chain; it was added or changed by hand"
    return chain.follow(what, values, row.place, None if row.link is None else bytes(row.link))


def _of_before(known: dict[int, _Chain], kind: Kind, rows: int, link: bytes) -> list[str]:
    """The rows without a chain are those that stood there when chains came, and no others."""
    sealed = [chain for chain in known.values() if chain.kind == kind]
    what = kind.partition(" ")[0]
    if not sealed:
        return [f"{rows} {what} are on no chain; they were added by hand"] if rows else []
    if sealed[0].rows != rows:
        return [f"{sealed[0].rows} {what} are from before there were chains; {rows} stand there"]
    good = sealed[0].link == link
    return [] if good else [f"one of the {rows} {what} from before there were chains was changed"]
