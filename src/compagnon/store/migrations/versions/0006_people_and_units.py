"""What people made of decisions, and the unit that an experiment gave an arm to."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """A column that is empty in every row that stands there, and a table without a row."""
    op.add_column("decisions", sa.Column("unit", sa.String(length=200), nullable=True))
    op.create_table(
        "overrides",
        sa.Column("decision_id", sa.String(length=200), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("action", sa.BigInteger(), nullable=True),
        sa.Column("action_vector", sa.LargeBinary(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("chain", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("link", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "verdict in ('accepted', 'overridden', 'locked')", name=op.f("ck_overrides_verdict")
        ),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["decisions.id"], name=op.f("fk_overrides_decision_id")
        ),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_overrides")),
    )
