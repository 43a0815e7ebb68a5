"""What came of decisions: each outcome once, flagged when late, counted only when it is time."""

import math
import time as clock
from collections.abc import Sequence
from typing import Literal, NamedTuple

import sqlalchemy
from sqlalchemy import Connection, case, func

from compagnon.errors import InputError
from compagnon.store import chaining, events, recorded
from compagnon.store.chaining import Tip
from compagnon.store.database import Store
from compagnon.store.decision_row import ID_LENGTH
from compagnon.store.tables import decisions, metrics, outcomes
from compagnon.store.upsert import insert_new

MATURES_AFTER = 7 * 86_400.0  # seconds: the window of a name that nobody defined before
LATEST = 1e11  # seconds since 1970, the year 5138; no later time is one of an outcome


class UnknownDecision(InputError):  # noqa: N818 (as in `StoreUnavailable`)
    """There is no decision of this id."""


class WrongTime(InputError):  # noqa: N818 (as in `StoreUnavailable`)
    """No outcome can have come then."""


class Outcome(NamedTuple):
    """An outcome as it stands; `late` when it came after its metric's window."""

    decision_id: str
    name: str
    value: float
    time: float
    late: bool


_OUTCOME = [outcomes.c[name] for name in Outcome._fields]


class Given(NamedTuple):
    """An outcome that somebody brings.

    Attributes:
        time: when it came, seconds since 1970; now if it is None.
        application: whose decision it must be; anybody's if it is None.
    """

    decision_id: str
    name: str
    value: float
    time: float | None = None
    application: str | None = None


class Put(NamedTuple):
    """``created``, ``same`` (it stood there already), or ``conflict`` (another value did).

    `outcome` is what stands there.
    """

    status: Literal["created", "same", "conflict"]
    outcome: Outcome


class OutcomeSummary(NamedTuple):
    """What a metric says of an arm, from mature decisions alone.

    Attributes:
        decisions: mature ones. immature: too young, left out of everything else here.
        observed: mature decisions with an outcome in time; `mean` is over these.
        late: those whose outcome came too late; `missing`: those without any.
        mean: None where nothing was observed; what is missing is never counted as 0.
    """

    arm: str | None
    decisions: int
    immature: int
    observed: int
    late: int
    missing: int
    mean: float | None


def define(store: Store, name: str, matures_after: float) -> float:
    """Say how many seconds after a decision its outcome of this name may come.

    Returns:
        The window.

    Raises:
        InputError: no positive number, or outcomes of this name came under another window.
    """
    _check_name(name)
    if not 0 < matures_after < math.inf:
        raise InputError(f"matures_after={matures_after}: give a number of seconds above 0")
    with store.write() as connection:
        found = _window(connection, name, matures_after)
        if found != matures_after:
            used = connection.scalar(
                sqlalchemy.select(func.count()).select_from(outcomes).where(outcomes.c.name == name)
            )
            if used:
                raise InputError(
                    f"{name} has {used} outcomes that were judged by a window of {found:g} s; "
                    "it stays. Give the metric another name"
                )
            connection.execute(
                metrics.update().where(metrics.c.name == name).values(matures_after=matures_after)
            )
            _tell(connection, name)
    return matures_after


def defined(store: Store) -> set[str]:
    """The names that a window is known of."""
    with store.read() as connection:
        return set(connection.scalars(sqlalchemy.select(metrics.c.name)))


def put(store: Store, decision_id: str, name: str, value: float, time: float | None = None) -> Put:
    """Record an outcome, once; see `put_many`."""
    return put_many(store, [(decision_id, name, value)], time)[0]


def put_many(
    store: Store, given: Sequence[tuple[str, str, float]], time: float | None = None
) -> list[Put]:
    """Record outcomes (decision's id, name, value) in one transaction.

    A name that was not defined before gets a window of a week.

    Args:
        time: when they came, seconds since 1970; now without it.

    Raises:
        UnknownDecision: no decision has this id; nothing was recorded.
        WrongTime: not from 0 to `LATEST`.
        InputError: a value that is no finite number, or a name too long.
    """
    for one in given:
        check(Given(*one, time))
    with store.write() as connection:
        results = _put_all(connection, [Given(*one, time) for one in given])
        for result in results:
            if isinstance(result, UnknownDecision):
                raise result
        return [result for result in results if isinstance(result, Put)]


def put_each(store: Store, given: Sequence[Given]) -> list[Put | UnknownDecision]:
    """Record outcomes in one transaction, each for itself.

    Returns:
        What became of each; `UnknownDecision` for those whose decision is not there.

    Raises:
        InputError: as `put_many`, by one of them; nothing was recorded.
    """
    for one in given:
        check(one)
    with store.write() as connection:
        return _put_all(connection, given)


def check(given: Given) -> None:
    """Raise InputError for what no outcome can be, WrongTime for when none can have come."""
    if given.time is not None and not 0 <= given.time <= LATEST:
        raise WrongTime(f"time={given.time}: give seconds since 1970, from 0 to {LATEST:.0f}")
    _check_name(given.name)
    if not math.isfinite(given.value):
        raise InputError(f"{given.name}={given.value}: an outcome is a finite number")


def of_decision(store: Store, decision_id: str) -> list[Outcome]:
    """The outcomes of a decision, by name."""
    query = sqlalchemy.select(*_OUTCOME).where(outcomes.c.decision_id == decision_id)
    with store.read() as connection:
        return [Outcome(*row) for row in connection.execute(query.order_by(outcomes.c.name))]


def summarise(
    store: Store, name: str, now: float | None = None, experiment: str | None = None
) -> list[OutcomeSummary]:
    """A metric by arm, of all decisions or of an experiment's.

    A decision is mature once its metric's window is over, whether its outcome came or not: to
    count the quick ones first would favour the arm whose good news travels faster.

    Raises:
        InputError: no metric has this name.
    """
    moment = clock.time() if now is None else now
    with store.read() as connection:
        window = connection.scalar(
            sqlalchemy.select(metrics.c.matures_after).where(metrics.c.name == name)
        )
        if window is None:
            known = ", ".join(connection.scalars(sqlalchemy.select(metrics.c.name))) or "none yet"
            raise InputError(f"there is no metric {name!r}; there are: {known}")
        mature = decisions.c.time <= moment - window
        timely = mature & outcomes.c.value.is_not(None) & ~outcomes.c.late
        joined = decisions.outerjoin(
            outcomes, (outcomes.c.decision_id == decisions.c.id) & (outcomes.c.name == name)
        )
        query = (
            sqlalchemy.select(
                decisions.c.arm,
                func.count(case((mature, 1))),
                func.count(case((~mature, 1))),
                func.count(case((timely, 1))),
                func.count(case((mature & outcomes.c.late, 1))),
                func.count(case((mature & outcomes.c.value.is_(None), 1))),
                func.avg(case((timely, outcomes.c.value))),
            )
            .select_from(joined)
            .group_by(decisions.c.arm)
            .order_by(decisions.c.arm)
        )
        if experiment is not None:
            query = query.where(decisions.c.experiment == experiment)
        return [OutcomeSummary(*row) for row in connection.execute(query)]


def _put_all(connection: Connection, given: Sequence[Given]) -> list[Put | UnknownDecision]:
    """What becomes of each, of which those that are new go on with the chain of outcomes."""
    begun = chaining.tip_of(connection, "outcomes")
    wanted = _outcomes_of(connection, given)
    first: dict[tuple[str, str], Outcome] = {}
    for outcome in wanted:
        if outcome is not None:
            first.setdefault((outcome.decision_id, outcome.name), outcome)
    created = _insert(connection, first, begun)
    stored = dict(created)
    rest = [key for key in first if key not in created]
    if rest:
        both = sqlalchemy.tuple_(outcomes.c.decision_id, outcomes.c.name)
        found = connection.execute(sqlalchemy.select(*_OUTCOME).where(both.in_(rest)))
        stored |= {(there.decision_id, there.name): Outcome(*there) for there in found}
    results: list[Put | UnknownDecision] = []
    for one, outcome in zip(given, wanted, strict=True):
        if outcome is None:
            results.append(UnknownDecision(f"there is no decision {one.decision_id!r}"))
            continue
        stands = stored[outcome.decision_id, outcome.name]
        if created.get((outcome.decision_id, outcome.name)) is outcome:
            results.append(Put("created", stands))
        else:
            results.append(Put("same" if stands.value == outcome.value else "conflict", stands))
    return results


def _outcomes_of(connection: Connection, given: Sequence[Given]) -> list[Outcome | None]:
    """What each would be; None where its decision is not there, or another application's."""
    now = clock.time()
    known = sqlalchemy.select(decisions.c.id, decisions.c.time, decisions.c.application)
    ids = {one.decision_id for one in given}
    decided = {row.id: row for row in connection.execute(known.where(decisions.c.id.in_(ids)))}
    windows: dict[str, float] = {}
    wanted: list[Outcome | None] = []
    for one in sorted(given, key=lambda one: one.name):  # so that no two writers block each other
        row = decided.get(one.decision_id)
        if row is not None and one.name not in windows:
            windows[one.name] = _window(connection, one.name, MATURES_AFTER)
    for one in given:
        row = decided.get(one.decision_id)
        if row is None or one.application not in (None, row.application):
            wanted.append(None)
            continue
        came = float(now if one.time is None else one.time) + 0.0  # no minus before a zero
        late = came > row.time + windows[one.name]
        wanted.append(Outcome(one.decision_id, one.name, float(one.value) + 0.0, came, late))
    return wanted


def _insert(
    connection: Connection, wanted: dict[tuple[str, str], Outcome], begun: Tip
) -> dict[tuple[str, str], Outcome]:
    """Insert those that are not there, in the order of their keys; which they were."""
    created = {}
    tip = begun
    for key in sorted(wanted):
        values = wanted[key]._asdict()
        after = chaining.add_outcome_link(tip, values)
        chained = {"chain": after.chain, "place": after.rows, "link": after.link}
        if insert_new(connection, outcomes, **values, **chained):
            created[key], tip = wanted[key], after
    if tip != begun:
        chaining.advance(connection, tip)
    return created


def _window(connection: Connection, name: str, default: float) -> float:
    query = sqlalchemy.select(metrics.c.matures_after).where(metrics.c.name == name)
    found = connection.scalar(query)
    if found is None:
        if insert_new(connection, metrics, name=name, matures_after=default, time=clock.time()):
            _tell(connection, name)
        found = connection.scalar(query)
    return float(found or default)


def _tell(connection: Connection, name: str) -> None:
    body = recorded.of(connection, (metrics, metrics.c.name == name))
    events.append(connection, "metric.defined", None, "", body)


def _check_name(name: str) -> None:
    if not 0 < len(name) <= ID_LENGTH or not name.isprintable():
        raise InputError(f"outcome name: give 1 to {ID_LENGTH} printable characters")
