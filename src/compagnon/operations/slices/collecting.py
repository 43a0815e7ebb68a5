"""Reads a slice from the store: decisions that are mature, with what came of them."""

import time as clock
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sqlalchemy
from numpy.typing import NDArray
from sqlalchemy import Connection

from compagnon.errors import InputError
from compagnon.operations.slices.slice import Slice, texts
from compagnon.store import Store, chaining
from compagnon.store.decisions import COLUMNS, DecisionRow, as_row
from compagnon.store.paging import pages
from compagnon.store.tables import decisions, metrics, outcomes, overrides

Row = tuple[DecisionRow, str | None]  # and the verdict of a person


def collect(
    store: Store,
    names: Sequence[str],
    *,
    application: str = "default",
    since: float = 0.0,
    until: float | None = None,
    now: float | None = None,
    watch: Callable[[int], object] = lambda _: None,
) -> Slice:
    """The decisions of an application whose outcomes have had their time.

    A decision is mature once the slowest of the metrics has had its time. An episode that goes on
    in one that is not mature, or outside of the window, is left out whole. What came too late
    counts as missing, and is flagged: of two slices the later one would have more of it.

    Args:
        names: of the outcomes.
        since, until: times of the decisions, seconds since 1970; `until` itself is not in it.
        now: the time to judge by; the clock's without it.
        watch: is told how many decisions were read.

    Raises:
        InputError: an outcome that no metric has, no mature decision, or decisions of several
            schemas, or of vectors.
    """
    moment = clock.time() if now is None else now
    with store.read() as connection:
        windows = windows_of(connection, names)
        mature = moment - max(windows.values())
        end = mature if until is None else min(until, mature)
        head = chaining.written(chaining.heads(connection))
    split = _cut_episodes(store, application, since, end)
    rows, came, cut = _read(store, names, application, since, end, split, watch)
    immature = _count(store, application, max(since, end), until)
    if not rows:
        raise InputError(_nothing(application, immature, windows))
    schema = _one_schema(rows)
    manifest = {
        "application": application,
        "schema_sha256": schema,
        "outcomes": [{"name": name, "matures_after": windows[name]} for name in names],
        "since": since,
        "until": end,
        "left_out": {"immature": immature, "of_cut_episodes": cut},
        "head": head,
    }
    return _as_slice(rows, came, manifest)


def windows_of(connection: Connection, names: Sequence[str]) -> dict[str, float]:
    """How long after a decision its outcomes may come, s, by name.

    Raises:
        InputError: no name, or one that no metric has.
    """
    known = {
        name: float(after)
        for name, after in connection.execute(
            sqlalchemy.select(metrics.c.name, metrics.c.matures_after)
        )
    }
    for name in names:
        if name not in known:
            there = ", ".join(sorted(known)) or "none yet"
            raise InputError(
                f"no outcome {name!r} has come, and none is defined (there are: {there}): "
                f"`compagnon outcomes define {name} --matures-after 2h`, then let a client send it"
            )
    if not names:
        raise InputError("outcomes: name at least one")
    return {name: known[name] for name in names}


def _of(application: str, since: float, until: float | None) -> Any:
    clause = (decisions.c.application == application) & (decisions.c.time >= since)
    return clause if until is None else clause & (decisions.c.time < until)


def _count(store: Store, application: str, since: float, until: float | None) -> int:
    query = sqlalchemy.select(sqlalchemy.func.count()).select_from(decisions)
    with store.read() as connection:
        return int(connection.scalar(query.where(_of(application, since, until))) or 0)


def _cut_episodes(store: Store, application: str, since: float, end: float) -> frozenset[str]:
    """Episodes that have decisions before the window, or behind it."""
    outside = (decisions.c.time < since) | (decisions.c.time >= end)
    query = (
        sqlalchemy.select(decisions.c.episode)
        .where(decisions.c.application == application, decisions.c.episode.is_not(None), outside)
        .distinct()
    )
    with store.read() as connection:
        return frozenset(connection.scalars(query))


def _read(
    store: Store,
    names: Sequence[str],
    application: str,
    since: float,
    end: float,
    split: frozenset[str],
    watch: Callable[[int], object],
) -> tuple[list[Row], list[NDArray[Any]], int]:
    """The rows; values and lateness of their outcomes, (N, K) each; how many were cut."""
    rows: list[Row] = []
    parts: list[NDArray[Any]] = []
    lates: list[NDArray[Any]] = []
    cut = 0
    query = (
        sqlalchemy.select(decisions.c.seq, *COLUMNS, overrides.c.verdict)
        .select_from(decisions.outerjoin(overrides, overrides.c.decision_id == decisions.c.id))
        .where(_of(application, since, end))
    )
    for page in pages(store, query):
        # Each row is the place in the log, a decision, and a verdict.
        kept = [(as_row(row[1:-1]), row[-1]) for row in page if row.episode not in split]
        cut += len(page) - len(kept)
        with store.read() as connection:
            values, late = outcomes_of(connection, [row.id for row, _ in kept], names)
        rows += kept
        parts.append(values)
        lates.append(late)
        watch(len(rows))
    empty = np.zeros((0, len(names)))
    return rows, [np.concatenate([empty, *parts]), np.concatenate([empty > 0, *lates])], cut


def outcomes_of(
    connection: Connection, ids: Sequence[str], names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What came in time of n decisions, (n, K), NaN without; and what came too late."""
    values = np.full((len(ids), len(names)), np.nan)
    late = np.zeros(values.shape, np.bool_)
    row_of = {one: k for k, one in enumerate(ids)}
    column_of = {name: k for k, name in enumerate(names)}
    query = sqlalchemy.select(
        outcomes.c.decision_id, outcomes.c.name, outcomes.c.value, outcomes.c.late
    ).where(outcomes.c.decision_id.in_(ids), outcomes.c.name.in_(names))
    for decision_id, name, value, came_late in connection.execute(query):
        at = row_of[decision_id], column_of[name]
        late[at] = came_late
        if not came_late:
            values[at] = value
    return values, late


def _nothing(application: str, immature: int, windows: dict[str, float]) -> str:
    if not immature:
        return f"no decision of application {application!r} was logged in that time"
    slowest = max(windows, key=lambda name: windows[name])
    return (
        f"{immature:,} decisions of application {application!r} are too young: {slowest} may come "
        f"for {windows[slowest] / 3600:g} h after each"
    )


def _one_schema(rows: Sequence[Row]) -> str:
    schemas = sorted({row.schema_sha256 for row, _ in rows})
    if len(schemas) > 1:
        some = ", ".join(one[:12] for one in schemas)
        raise InputError(
            f"the decisions are of {len(schemas)} schemas ({some}): give --since or --until so "
            "that one is left"
        )
    if any(row.action is None for row, _ in rows):
        raise InputError("the actions are vectors; slices are of decisions among several actions")
    return schemas[0]


def _as_slice(rows: Sequence[Row], came: list[NDArray[Any]], manifest: dict[str, Any]) -> Slice:
    decided = [row for row, _ in rows]
    probabilities = np.stack([np.frombuffer(row.probabilities, "<f8") for row in decided])
    actions = probabilities.shape[1]
    packed = np.stack([np.frombuffer(row.mask or b"", np.uint8) for row in decided])
    return Slice(
        id=texts([row.id for row in decided]),
        key=texts([row.key for row in decided]),
        episode=texts([row.episode for row in decided]),
        unit=texts([row.unit for row in decided]),
        arm=texts([row.arm for row in decided]),
        experiment=texts([row.experiment for row in decided]),
        model=texts([row.model_sha256 for row in decided]),
        mode=texts([row.mode for row in decided]),
        human=texts([verdict for _, verdict in rows]),
        time=np.array([row.time for row in decided]),
        features=np.stack([np.frombuffer(row.features, "<f4") for row in decided]),
        mask=np.unpackbits(packed, axis=1, count=actions).astype(np.bool_),
        probabilities=probabilities,
        action=np.array([row.action for row in decided], np.int64),
        propensity=np.array([row.probability for row in decided]),
        outcomes=came[0],
        late=came[1],
        manifest=manifest,
    )
