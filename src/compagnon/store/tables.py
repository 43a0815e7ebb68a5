"""The tables, as one description for SQLite and PostgreSQL; migrations must lead to exactly it.

Times are seconds since 1970 in UTC, as float64. Hashes are SHA-256 in 64 hexadecimal digits.
Arrays are bytes: float32 features and float64 probabilities, both little-endian; packed bits for
masks.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from compagnon.store.decision_row import ID_LENGTH, table_columns

VERSION = "0007"  # of the database: the last of migrations/versions
# As a text, since SQLite uses an index of some rows only where it sees that they are meant.
EXPLORED_ROWS = "mode = 'explored'"
RUNNING_ROWS = "state = 'running'"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# SQLite counts up by itself only in a column that is called exactly INTEGER.
_COUNTED = BigInteger().with_variant(Integer, "sqlite")
_ID = String(ID_LENGTH)
_HASH = String(64)

decisions = Table(
    "decisions",
    metadata,
    Column("seq", _COUNTED, primary_key=True, autoincrement=True),
    *table_columns(),
    # See `chaining`; none in rows from before there were chains.
    Column("chain", BigInteger),
    Column("place", BigInteger),
    Column("link", LargeBinary),
    # SQLite looks at no length by itself, and PostgreSQL takes NaN, the largest number to it.
    CheckConstraint(f"length(id) between 1 and {ID_LENGTH}", name="id"),
    CheckConstraint("probability between 0 and 1e300", name="probability"),
    CheckConstraint("time between 0 and 1e300", name="time"),
    Index(None, "time"),
    # Few rows explore, and these alone are counted again when a service starts.
    Index(
        "ix_decisions_explored",
        "application",
        "episode",
        sqlite_where=text(EXPLORED_ROWS),
        postgresql_where=text(EXPLORED_ROWS),
    ),
)

# What draws are made with, so that nobody can tell from an id what will be drawn. None is ever
# changed or removed: a row of the log names the one that it was drawn with.
secrets = Table(
    "secrets",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("value", LargeBinary, nullable=False),
    Column("created", Double, nullable=False),
    CheckConstraint("length(value) = 32", name="value"),
)

# How long after a decision an outcome of this name may come; after that it is late.
metrics = Table(
    "metrics",
    metadata,
    Column("name", _ID, primary_key=True),
    Column("matures_after", Double, nullable=False),
    Column("time", Double, nullable=False),
    CheckConstraint("matures_after > 0", name="positive"),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("decision_id", ForeignKey("decisions.id"), primary_key=True),
    Column("name", ForeignKey("metrics.name"), primary_key=True),
    Column("value", Double, nullable=False),
    Column("time", Double, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("chain", BigInteger),
    Column("place", BigInteger),
    Column("link", LargeBinary),
    Index(None, "name"),
)

# What people made of decisions; see `overrides`.
overrides = Table(
    "overrides",
    metadata,
    Column("decision_id", ForeignKey("decisions.id"), primary_key=True),
    Column("verdict", String(20), nullable=False),
    Column("action", BigInteger),
    Column("action_vector", LargeBinary),
    Column("reason", Text, nullable=False),
    Column("person", _ID, nullable=False),
    Column("time", Double, nullable=False),
    Column("chain", BigInteger, nullable=False),
    Column("place", BigInteger, nullable=False),
    Column("link", LargeBinary, nullable=False),
    CheckConstraint("verdict in ('accepted', 'overridden', 'locked')", name="verdict"),
)

# How long each chain of decisions, outcomes or overrides is, and where it ends; see `chaining`.
chains = Table(
    "chains",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(20), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("link", LargeBinary, nullable=False),
    Column("created", Double, nullable=False),
)

models = Table(
    "models",
    metadata,
    Column("name", _ID, primary_key=True),
    Column("time", Double, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("id", _COUNTED, primary_key=True, autoincrement=True),
    Column("model", ForeignKey("models.name"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("sha256", _HASH, nullable=False),
    Column("schema_sha256", _HASH, nullable=False),
    Column("parent_sha256", _HASH),
    Column("data_sha256", _HASH),
    Column("files", Text, nullable=False),
    Column("metrics", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("time", Double, nullable=False),
    Column("provenance", Text),  # JSON; none in rows from before it was kept
    UniqueConstraint("model", "number", name="uq_versions_number"),
    UniqueConstraint("model", "sha256", name="uq_versions_sha256"),
)

pointers = Table(
    "pointers",
    metadata,
    Column("model", ForeignKey("models.name"), primary_key=True),
    Column("role", String(20), primary_key=True),
    Column("sha256", _HASH),
    Column("revision", BigInteger, nullable=False),
    Column("time", Double, nullable=False),
    CheckConstraint("role in ('champion', 'challenger')", name="role"),
)

events = Table(
    "events",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("time", Double, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("model", _ID),
    Column("actor", _ID, nullable=False),
    Column("body", Text, nullable=False),
    Column("previous", _HASH, nullable=False),
    Column("hash", _HASH, nullable=False, unique=True),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", _ID, nullable=False),
    Column("scope", String(20), nullable=False),
    Column("hash", _HASH, nullable=False),
    Column("created", Double, nullable=False),
    Column("revoked", Double),
    CheckConstraint("scope in ('decide', 'outcomes', 'admin')", name="scope"),
)

job_slots = Table(
    "job_slots",
    metadata,
    Column("id", _COUNTED, primary_key=True, autoincrement=True),
    Column("job", _ID, nullable=False),
    Column("slot", _ID, nullable=False),
    Column("state", String(20), nullable=False),
    Column("holder", _ID),
    Column("lease_until", Double),
    Column("fence", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("result", Text),
    Column("created", Double, nullable=False),
    Column("finished", Double),
    UniqueConstraint("job", "slot", name="uq_job_slots_slot"),
    CheckConstraint("state in ('running', 'done', 'failed')", name="state"),
)

# What is being compared on real decisions; see `experiments`. Of an application at most one runs.
experiments = Table(
    "experiments",
    metadata,
    Column("name", _ID, primary_key=True),
    Column("application", _ID, nullable=False),
    Column("plan", Text, nullable=False),
    Column("sha256", _HASH, nullable=False),
    Column("state", String(20), nullable=False),
    Column("created", Double, nullable=False),
    Column("started", Double),
    Column("stopped", Double),
    Column("reason", Text),
    CheckConstraint("state in ('planned', 'running', 'stopped')", name="state"),
    Index(
        "ix_experiments_running",
        "application",
        unique=True,
        sqlite_where=text(RUNNING_ROWS),
        postgresql_where=text(RUNNING_ROWS),
    ),
)

looks = Table(
    "looks",
    metadata,
    Column("experiment", ForeignKey("experiments.name"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("taken", Double, nullable=False),
    Column("text", Text, nullable=False),
    CheckConstraint("number > 0", name="number"),
)
