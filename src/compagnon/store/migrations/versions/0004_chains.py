"""Chains of hashes, which show what was changed by hand; `migrating` seals the rows that stand."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Columns that are empty in every row that stands there, and a table without a row."""
    for table in ("decisions", "outcomes"):
        op.add_column(table, sa.Column("chain", sa.BigInteger(), nullable=True))
        op.add_column(table, sa.Column("place", sa.BigInteger(), nullable=True))
        op.add_column(table, sa.Column("link", sa.LargeBinary(), nullable=True))
    op.create_table(
        "chains",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("link", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chains")),
    )
