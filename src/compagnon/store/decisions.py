"""One decision as the log keeps it, and the statements that write and read it."""

import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from compagnon.store.tables import decisions


class DecisionRow(NamedTuple):
    """One row of the log. A named tuple: the fastest thing that a driver takes as it is.

    Attributes:
        id: UUIDv7, or the client's own; the log holds each once.
        application: whose decision it is; the draw's seed comes from it and the id.
        key: what an experiment splits by (a customer, a vehicle), or None.
        arm, experiment: of an A/B test, or None.
        model_sha256: of the model that decided.
        schema_sha256: of the schema that `features` are in.
        features: float32, little-endian.
        mask: `numpy.packbits` of the possible actions; None where actions are vectors.
        probabilities: float64, little-endian: the full masked vector that the draw was made from;
            empty where actions are vectors.
        action: its index; None where actions are vectors.
        action_vector: float32, little-endian; None where actions are indices.
        probability: of the action that was taken. Where actions are vectors, its density, which is
            `exp(log_density)`, at most 1e300.
        seed: of the draw, 0 to 2^63 - 1.
        mode: how the action was chosen: ``deterministic`` where nothing was left to chance,
            ``explored`` where chance said to explore, else ``sampled``.
        epsilon: share of exploration that applied to this decision; 0 once an episode has had its
            share of explored ones.
        time: seconds since 1970, UTC.
        latency_us: microseconds that the decision took.
        request_sha256: of what was asked, so that an id repeated with another question is seen.
        shadow: float64, the other arm's vector for the same question, or None.
        shadow_sha256: the model that gave `shadow`, or None.
        distribution: float64, little-endian, (2, D): means and deviations of the normal
            distributions that the policy drew a vector from, before bounds and exploration, in the
            units of the action; None where actions are indices.
        log_density: of `action_vector`, see `policy.vector_drawing`; None likewise.
        play: ``greedy`` or ``sampled``, see `policy.play`. None in rows from before this was told
            apart: those were drawn from the policy and explored everything that was possible.
        near: how near to the best an action must have been to be explored; None likewise.
        episode: that this decision belongs to, or None where nobody said.
        others: of the likeliest actions the policy's own preference, see `policy.play.packed`;
            None where actions are vectors, and in rows from before.
        secret: number of the secret that `seed` was made with; None in rows from before there was
            one.
    """

    id: str
    application: str
    key: str | None
    arm: str | None
    experiment: str | None
    model_sha256: str
    schema_sha256: str
    features: bytes
    mask: bytes | None
    probabilities: bytes
    action: int | None
    action_vector: bytes | None
    probability: float
    seed: int
    mode: str
    epsilon: float
    time: float
    latency_us: int
    request_sha256: str
    shadow: bytes | None = None
    shadow_sha256: str | None = None
    distribution: bytes | None = None
    log_density: float | None = None
    play: str | None = None
    near: float | None = None
    episode: str | None = None
    others: bytes | None = None
    secret: int | None = None


class Written(NamedTuple):
    """What became of a decision that was given to the log.

    Attributes:
        status: ``stored``: the row is ours. ``repeated``: the id was there, for the same request.
            ``conflict``: the id was there, for another request or of another application.
        row: what stands in the log under this id; answer with this one, never with your own.
    """

    status: Literal["stored", "repeated", "conflict"]
    row: DecisionRow


FIELDS = DecisionRow._fields
COLUMNS = [decisions.c[name] for name in FIELDS]
_LIST = ", ".join(f'"{name}"' for name in FIELDS)
SELECT = f"SELECT {_LIST} FROM decisions"
_POSTGRES_TYPES = {
    "VARCHAR": "text",
    "BLOB": "bytea",
    "BIGINT": "bigint",
    "INTEGER": "integer",
    "DOUBLE": "float8",
}


@functools.cache
def sqlite_insert(rows: int) -> str:
    """One statement for several rows: one call into SQLite, so Python's lock changes hands once.

    It fails as a whole where a `seq` or an `id` is there already.
    """
    values = "(" + ", ".join("?" * (len(FIELDS) + 4)) + ")"
    return (
        f"INSERT INTO decisions (seq, {_LIST}, chain, place, link) "
        f"VALUES {', '.join([values] * rows)}"
    )


def postgres_insert() -> str:
    """One statement for any number of rows: an array a column, so it is planned once.

    It goes on with a chain if that still ends where the writer thinks, else it writes nothing; and
    it fails as a whole where an `id` is there already. Its parameters are the new end of the chain
    (rows, link), its number, where it should end now (rows), then `FIELDS`, places and links.
    """
    types = [_POSTGRES_TYPES[str(c.type.compile()).partition("(")[0]] for c in COLUMNS]
    arrays = ", ".join(f"%b::{kind}[]" for kind in (*types, "bigint", "bytea"))
    columns = ", ".join(f"c{k}" for k in range(len(FIELDS)))
    return (
        "WITH head AS (UPDATE chains SET rows = %b::bigint, link = %b::bytea "
        "WHERE id = %b::bigint AND rows = %b::bigint RETURNING id) "
        f"INSERT INTO decisions ({_LIST}, chain, place, link) "
        f"SELECT {columns}, head.id, place, link "
        f"FROM head, unnest({arrays}) AS given ({columns}, place, link) ORDER BY place"
    )


def as_row(values: Sequence[Any]) -> DecisionRow:
    """A row of a result, whose columns are `FIELDS`."""
    return DecisionRow._make(values)


def compare(given: DecisionRow, stored: DecisionRow) -> Written:
    """What became of `given`, when `stored` stands under its id."""
    if stored == given:
        return Written("stored", given)
    same = (stored.application, stored.request_sha256) == (given.application, given.request_sha256)
    return Written("repeated" if same else "conflict", stored)
