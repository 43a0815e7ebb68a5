"""What people made of decisions: accepted, overridden or locked, each once, with a reason.

A person's action is none of the policy's: it has no probability, so estimators leave such decisions
out, and it stands beside what the policy wanted, which the log keeps as it was.
"""

import time as clock
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy
from sqlalchemy import Connection

from compagnon.errors import InputError
from compagnon.store import chaining
from compagnon.store.database import Store
from compagnon.store.decision_row import ID_LENGTH
from compagnon.store.outcomes import LATEST, UnknownDecision, WrongTime
from compagnon.store.tables import decisions, overrides
from compagnon.store.upsert import insert_new

Verdict = Literal["accepted", "overridden", "locked"]
VERDICTS: Final[tuple[Verdict, ...]] = ("accepted", "overridden", "locked")
REASON_LENGTH: Final = 1000  # characters


class Override(NamedTuple):
    """What a person said of a decision.

    Attributes:
        verdict: ``accepted`` and ``locked`` (it shall not be changed any more) keep the action;
            ``overridden`` replaces it.
        action: what was done instead, its index; None where the action is kept, or a vector.
        action_vector: float32, little-endian, likewise.
        reason: why, in words; it may be empty where the action is kept.
        person: who said so, or "".
        time: when, seconds since 1970.
    """

    decision_id: str
    verdict: Verdict
    action: int | None
    action_vector: bytes | None
    reason: str
    person: str
    time: float


class PutOverride(NamedTuple):
    """``created``, ``same`` (it was said already), or ``conflict`` (another thing was).

    `override` is what stands there.
    """

    status: Literal["created", "same", "conflict"]
    override: Override


COLUMNS: Final = [overrides.c[name] for name in Override._fields]


def put(
    store: Store,
    decision_id: str,
    verdict: Verdict,
    *,
    action: int | None = None,
    action_vector: bytes | None = None,
    reason: str = "",
    person: str = "",
    time: float | None = None,
    application: str | None = None,
) -> PutOverride:
    """Record what a person made of a decision, once.

    Args:
        time: when it was said; now without it.
        application: whose decision it must be; anybody's if it is None.

    Raises:
        UnknownDecision: no decision has this id; nothing was recorded.
        WrongTime: not from 0 to `outcomes.LATEST`.
        InputError: an override without another action or without a reason, an action with another
            verdict, or a text too long.
    """
    came = clock.time() if time is None else time
    made = Override(decision_id, verdict, action, action_vector, reason, person, float(came) + 0.0)
    check(made)
    with store.write() as connection:
        decided = _decision(connection, decision_id)
        if decided is None or application not in (None, decided.application):
            raise UnknownDecision(f"there is no decision {decision_id!r}")
        _check_against(made, decided)
        stands = of_decision(connection, decision_id)
        if stands is not None:
            same = stands._replace(time=made.time) == made
            return PutOverride("same" if same else "conflict", stands)
        _insert(connection, made)
        return PutOverride("created", made)


def find(store: Store, decision_id: str) -> Override | None:
    """What a person made of a decision; None where nobody said anything."""
    with store.read() as connection:
        return of_decision(connection, decision_id)


def of_decision(connection: Connection, decision_id: str) -> Override | None:
    """`find`, within a transaction."""
    query = sqlalchemy.select(*COLUMNS).where(overrides.c.decision_id == decision_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else read(row)


def read(row: Any) -> Override:
    """An override from its row."""
    values = Override(*row)
    vector = values.action_vector
    return values._replace(action_vector=None if vector is None else bytes(vector))


def check(made: Override) -> None:
    """Raise InputError, or WrongTime, for what cannot be said of any decision."""
    if not 0 <= made.time <= LATEST:
        raise WrongTime(f"time={made.time}: give seconds since 1970, from 0 to {LATEST:.0f}")
    if made.verdict not in VERDICTS:
        raise InputError(f"verdict={made.verdict!r}: use {', '.join(VERDICTS)}")
    replaces = made.action is not None or made.action_vector is not None
    if replaces != (made.verdict == "overridden"):
        raise InputError(
            "action: say what was done instead"
            if made.verdict == "overridden"
            else f"action: {made.verdict} keeps the action; leave it out, or say overridden"
        )
    if made.verdict == "overridden" and not made.reason.strip():
        raise InputError("reason: say why another action was taken")
    for name, text, most in (
        ("reason", made.reason, REASON_LENGTH),
        ("person", made.person, ID_LENGTH),
    ):
        if len(text) > most or "\x00" in text:
            raise InputError(f"{name}: give at most {most} characters, none of code 0")


def _check_against(made: Override, decided: Any) -> None:
    """An action of the decision's own kind, and another one than the policy's."""
    if made.verdict != "overridden":
        return
    wants_vector = decided.action_vector is not None
    if wants_vector != (made.action_vector is not None):
        kind = "a vector" if wants_vector else "one of several"
        raise InputError(f"action: the decision's action is {kind}")
    if wants_vector and len(made.action_vector or b"") != len(decided.action_vector):
        raise InputError(f"action: give {len(decided.action_vector) // 4} numbers")
    if (made.action, made.action_vector) == (decided.action, decided.action_vector):
        raise InputError("action: that is what the policy chose; say accepted, or locked")


def _decision(connection: Connection, decision_id: str) -> Any:
    query = sqlalchemy.select(
        decisions.c.application, decisions.c.action, decisions.c.action_vector
    ).where(decisions.c.id == decision_id)
    return connection.execute(query).one_or_none()


def _insert(connection: Connection, made: Override) -> None:
    tip = chaining.tip_of(connection, "overrides")
    values = made._asdict()
    after = chaining.add_link(tip, tuple(made))
    chained = {"chain": after.chain, "place": after.rows, "link": after.link}
    if insert_new(connection, overrides, **values, **chained):
        chaining.advance(connection, after)
