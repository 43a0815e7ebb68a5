"""Writes the log of decisions as a table for data scientists: CSV, or Parquet where pyarrow is."""

import csv
import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import sqlalchemy
from sqlalchemy import Select

from compagnon.errors import InputError
from compagnon.store import Store
from compagnon.store.decisions import COLUMNS, DecisionRow, as_row
from compagnon.store.paging import pages
from compagnon.store.tables import decisions, outcomes, overrides

_WIDTH: Final = 1 + len(COLUMNS)  # of a page: the place in the log, and a decision
# What a row tells as it is: the name in the table, and the column of the log.
_PLAIN: Final = {
    "id": "id", "time": "time", "application": "application", "key": "key", "unit": "unit",
    "experiment": "experiment", "arm": "arm", "episode": "episode", "model": "model_sha256",
    "schema": "schema_sha256", "play": "play", "mode": "mode", "explore": "epsilon",
    "action": "action", "probability": "probability", "latency_us": "latency_us",
}  # fmt: skip
_HUMAN: Final = ("human", "human_action", "human_reason", "human_person")


def table_rows(
    store: Store,
    *,
    application: str | None = None,
    since: float = 0.0,
    until: float | None = None,
    fields: Sequence[str] = (),
    arrays: bool = False,
) -> Iterator[list[dict[str, Any]]]:
    """The log in its order, a thousand rows at a time, with what came of each decision.

    Every row has the same names: those of the decision, of what a person made of it, one for each
    outcome that ever came (``outcome_NAME``) with ``late_NAME``, and with `arrays` the features,
    the possible actions and the probabilities.

    Args:
        application: whose decisions; everybody's if it is None.
        since, until: times of the decisions, seconds since 1970; `until` itself is not in it.
        fields: what the features are called, in their order, each after ``feature_``; numbers
            without.
        arrays: write the arrays as well.

    Raises:
        InputError: decisions that have another number of features than there are names.
    """
    with store.read() as connection:
        names = list(connection.scalars(sqlalchemy.select(outcomes.c.name).distinct()))
    names.sort()
    columns: list[str] = []
    for rows in pages(store, _query(application, since, until)):
        page = [(as_row(row[1:_WIDTH]), tuple(row[_WIDTH:])) for row in rows]
        came = _outcomes(store, [row.id for row, _ in page])
        found = []
        for row, human in page:
            made = {name: getattr(row, column) for name, column in _PLAIN.items()}
            made |= dict(zip(_HUMAN, human, strict=True))
            for name in names:
                value, late = came.get((row.id, name), (None, None))
                made[f"outcome_{name}"], made[f"late_{name}"] = value, late
            found.append(made | (_arrays(row, fields) if arrays else {}))
        columns = columns or list(found[0])
        for made in found:
            if list(made) != columns:
                raise InputError(
                    f"decision {made['id']} was made by a policy of another schema than the first "
                    "one: give --since or --until, or leave the arrays out"
                )
        yield found


def _query(application: str | None, since: float, until: float | None) -> Select[Any]:
    """Decisions, and what people made of them."""
    said = (overrides.c.verdict, overrides.c.action, overrides.c.reason, overrides.c.person)
    query = (
        sqlalchemy.select(decisions.c.seq, *COLUMNS, *said)
        .select_from(decisions.outerjoin(overrides, overrides.c.decision_id == decisions.c.id))
        .where(decisions.c.time >= since)
    )
    if application is not None:
        query = query.where(decisions.c.application == application)
    return query if until is None else query.where(decisions.c.time < until)


def _outcomes(store: Store, ids: Sequence[str]) -> dict[tuple[str, str], tuple[float, bool]]:
    query = sqlalchemy.select(
        outcomes.c.decision_id, outcomes.c.name, outcomes.c.value, outcomes.c.late
    ).where(outcomes.c.decision_id.in_(ids))
    with store.read() as connection:
        return {(row[0], row[1]): (row[2], bool(row[3])) for row in connection.execute(query)}


def _arrays(row: DecisionRow, fields: Sequence[str]) -> dict[str, Any]:
    features = np.frombuffer(row.features, "<f4").tolist()
    # A field may be called as a column of the decision is.
    names = [f"feature_{name}" for name in fields or range(len(features))]
    if len(names) != len(features):
        raise InputError(
            f"decision {row.id} has {len(features)} features, and the policy {len(names)} fields: "
            "it was made by another one; give --since or --until"
        )
    made: dict[str, Any] = dict(zip(names, features, strict=True))
    if row.mask is not None:
        probabilities = np.frombuffer(row.probabilities, "<f8")
        packed = np.frombuffer(row.mask, np.uint8)
        possible = np.unpackbits(packed, count=len(probabilities))
        made["possible"] = np.flatnonzero(possible).tolist()
        made["probabilities"] = probabilities.tolist()
    else:
        made["action_vector"] = np.frombuffer(row.action_vector or b"", "<f4").tolist()
    return made


def write_csv(
    pages: Iterator[list[dict[str, Any]]], path: Path, watch: Callable[[int], object]
) -> int:
    """Write pages as CSV with a header; lists are written with spaces between. How many rows."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer: csv.DictWriter[str] | None = None
        for page in pages:
            if writer is None:
                writer = csv.DictWriter(file, list(page[0]))
                writer.writeheader()
            for row in page:
                writer.writerow({name: _cell(value) for name, value in row.items()})
            count += len(page)
            watch(count)
    return count


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return " ".join(repr(one) for one in value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value  # a spreadsheet would take it for a formula
    return value


def write_parquet(
    pages: Iterator[list[dict[str, Any]]], path: Path, watch: Callable[[int], object]
) -> int:
    """The same as Parquet, arrays as lists.

    Raises:
        InputError: pyarrow is not installed.
    """
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise InputError(
            "Parquet needs pyarrow: pip install pyarrow, or write a file that ends with .csv"
        ) from None
    count, writer, schema = 0, None, None
    try:
        for page in pages:
            if writer is None:
                schema = _schema(arrow, page[0])
                writer = parquet.ParquetWriter(path, schema)
            writer.write_table(arrow.Table.from_pylist(page, schema=schema))
            count += len(page)
            watch(count)
    finally:
        if writer is not None:
            writer.close()
    return count


def _schema(arrow: Any, row: dict[str, Any]) -> Any:
    kinds = {
        "time": arrow.float64(), "explore": arrow.float64(), "probability": arrow.float64(),
        "action": arrow.int64(), "latency_us": arrow.int64(), "human_action": arrow.int64(),
        "possible": arrow.list_(arrow.int64()), "probabilities": arrow.list_(arrow.float64()),
        "action_vector": arrow.list_(arrow.float32()),
    }  # fmt: skip

    def kind(name: str, value: Any) -> Any:
        if name in kinds:
            return kinds[name]
        if name.startswith("outcome_"):
            return arrow.float64()
        if name.startswith("late_"):
            return arrow.bool_()
        return arrow.float32() if isinstance(value, float) else arrow.string()

    return arrow.schema([(name, kind(name, value)) for name, value in row.items()])
