"""One decision as the log keeps it: the one list of its columns, from which the others follow.

The table, the statements that write and read it, what a chain hashes, what a replay compares and
what the service shows of a decision are made from `DecisionRow`. A column is added here, with a
migration that brings it into the databases that stand.
"""

from typing import Annotated, Any, Final, NamedTuple, get_args, get_type_hints

from sqlalchemy import BigInteger, Column, Double, Integer, LargeBinary, String
from sqlalchemy.types import TypeEngine

ID_LENGTH: Final = 200  # characters, at most, of an id or a name that comes from outside


class Stored(NamedTuple):
    """How a column is kept, and what it is for.

    Attributes:
        kind: of SQL.
        replayed: a decision that is computed again must give it to the last bit.
        shown: the name under which a service shows the value as it is; None where it shows
            something that is made of it, or nothing.
        unique: no two rows have the same.
    """

    kind: TypeEngine[Any]
    replayed: bool = False
    shown: str | None = None
    unique: bool = False


_ID = String(ID_LENGTH)
_HASH = String(64)
_MODE = String(20)
_BYTES = LargeBinary()
_WHOLE = BigInteger()
_FLOAT: TypeEngine[float] = Double()


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
        log_density: of `action_vector`, see `policy.vector_sampling`; None likewise.
        play: ``greedy`` or ``sampled``, see `policy.action_selection`. None in rows from before
            this was told apart: those were drawn from the policy and explored all that was
            possible.
        near: how near to the best an action must have been to be explored; None likewise.
        episode: that this decision belongs to, or None where nobody said.
        others: of the likeliest actions the policy's own preference, see
            `policy.action_selection.packed`; None where actions are vectors, and in rows from
            before.
        secret: number of the secret that `seed` was made with; None in rows from before there was
            one.
        unit: what an experiment gave an arm to (a customer, or a zone for some hours); None where
            there is no experiment.
    """

    id: Annotated[str, Stored(_ID, shown="id", unique=True)]
    application: Annotated[str, Stored(_ID, shown="application")]
    key: Annotated[str | None, Stored(_ID, shown="key")]
    arm: Annotated[str | None, Stored(_ID, shown="arm")]
    experiment: Annotated[str | None, Stored(_ID, shown="experiment")]
    model_sha256: Annotated[str, Stored(_HASH, shown="model")]
    schema_sha256: Annotated[str, Stored(_HASH, shown="schema")]
    features: Annotated[bytes, Stored(_BYTES)]
    mask: Annotated[bytes | None, Stored(_BYTES, replayed=True)]
    probabilities: Annotated[bytes, Stored(_BYTES, replayed=True)]
    action: Annotated[int | None, Stored(_WHOLE, replayed=True)]
    action_vector: Annotated[bytes | None, Stored(_BYTES, replayed=True)]
    probability: Annotated[float, Stored(_FLOAT, replayed=True)]
    seed: Annotated[int, Stored(_WHOLE, replayed=True, shown="seed")]
    mode: Annotated[str, Stored(_MODE, replayed=True, shown="mode")]
    epsilon: Annotated[float, Stored(_FLOAT, replayed=True, shown="explore")]
    time: Annotated[float, Stored(_FLOAT, shown="time")]
    latency_us: Annotated[int, Stored(_WHOLE, shown="latency_us")]
    request_sha256: Annotated[str, Stored(_HASH)]
    # What later versions added is at the end and may be missing, so that the chains of earlier
    # rows hold, see `chaining.encoded`.
    shadow: Annotated[bytes | None, Stored(_BYTES, replayed=True)] = None
    shadow_sha256: Annotated[str | None, Stored(_HASH)] = None
    distribution: Annotated[bytes | None, Stored(_BYTES, replayed=True)] = None
    log_density: Annotated[float | None, Stored(_FLOAT, replayed=True)] = None
    play: Annotated[str | None, Stored(_MODE, shown="play")] = None
    near: Annotated[float | None, Stored(_FLOAT, shown="near")] = None
    episode: Annotated[str | None, Stored(_ID, shown="episode")] = None
    others: Annotated[bytes | None, Stored(_BYTES, replayed=True)] = None
    secret: Annotated[int | None, Stored(Integer())] = None
    unit: Annotated[str | None, Stored(_ID, shown="unit")] = None


def _described() -> dict[str, tuple[Any, Stored]]:
    """Each column's Python type, and how it is kept."""
    hints = get_type_hints(DecisionRow, include_extras=True)
    return {name: get_args(hints[name]) for name in DecisionRow._fields}


_DESCRIBED: Final = _described()
FIELDS: Final = DecisionRow._fields
# The seed first: where that is another, everything else may be.
REPLAYED: Final = tuple(
    sorted((name for name in FIELDS if _DESCRIBED[name][1].replayed), key=lambda one: one != "seed")
)
FLOATS: Final = tuple(
    name for name in FIELDS if float in (_DESCRIBED[name][0], *get_args(_DESCRIBED[name][0]))
)
# What a service shows as it is: the name there, the column, and the Python type.
SHOWN: Final = tuple(
    (stored.shown, name, kind) for name, (kind, stored) in _DESCRIBED.items() if stored.shown
)


def table_columns() -> list[Column[Any]]:
    """The columns as a table declares them, in their order."""
    return [
        Column(
            name,
            stored.kind,
            nullable=type(None) in get_args(kind),
            unique=stored.unique or None,
        )
        for name, (kind, stored) in _DESCRIBED.items()
    ]
