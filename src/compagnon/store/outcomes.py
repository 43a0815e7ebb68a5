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
from compagnon.store.tables import ID_LENGTH, decisions, metrics, outcomes
from compagnon.store.writing import insert_new

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


class Put(NamedTuple):
    """``created``, ``same`` (it stood there already), or ``conflict`` (another value did).

    `outcome` is what stands there.
    """

    status: Literal["created", "same", "conflict"]
    outcome: Outcome


class Summary(NamedTuple):
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
    now = clock.time() if time is None else time
    if not 0 <= now <= LATEST:
        raise WrongTime(f"time={now}: give seconds since 1970, from 0 to {LATEST:.0f}")
    for _, name, value in given:
        _check_name(name)
        if not math.isfinite(value):
            raise InputError(f"{name}={value}: an outcome is a finite number")
    with store.write() as connection:
        tip = begun = chaining.outcome_tip(connection)
        found = []
        for one in given:
            put_one, tip = _put(connection, *one, now, tip)
            found.append(put_one)
        if tip != begun:
            chaining.advance(connection, tip)
    return found


def of_decision(store: Store, decision_id: str) -> list[Outcome]:
    """The outcomes of a decision, by name."""
    query = sqlalchemy.select(*_OUTCOME).where(outcomes.c.decision_id == decision_id)
    with store.read() as connection:
        return [Outcome(*row) for row in connection.execute(query.order_by(outcomes.c.name))]


def summarise(
    store: Store, name: str, now: float | None = None, experiment: str | None = None
) -> list[Summary]:
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
        return [Summary(*row) for row in connection.execute(query)]


def _put(
    connection: Connection, decision_id: str, name: str, value: float, now: float, tip: Tip
) -> tuple[Put, Tip]:
    """What became of one outcome, and where the chain ends then."""
    decided = connection.scalar(
        sqlalchemy.select(decisions.c.time).where(decisions.c.id == decision_id)
    )
    if decided is None:
        raise UnknownDecision(f"there is no decision {decision_id!r}")
    late = now > decided + _window(connection, name, MATURES_AFTER)
    given = Outcome(decision_id, name, float(value) + 0.0, float(now) + 0.0, late)
    after = chaining.add_outcome_link(tip, given._asdict())
    chained = {"chain": after.chain, "place": after.rows, "link": after.link}
    if insert_new(connection, outcomes, **given._asdict(), **chained):
        return Put("created", given), after
    row = connection.execute(
        sqlalchemy.select(*_OUTCOME).where(
            outcomes.c.decision_id == decision_id, outcomes.c.name == name
        )
    ).one()
    stored = Outcome(*row)
    return Put("same" if stored.value == given.value else "conflict", stored), tip


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
