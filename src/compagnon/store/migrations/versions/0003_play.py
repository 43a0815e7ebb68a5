"""How a decision was played, and the secrets that draws are made with."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Columns that are empty in every row that stands there, and a table without a row."""
    op.add_column("decisions", sa.Column("play", sa.String(length=20), nullable=True))
    op.add_column("decisions", sa.Column("near", sa.Double(), nullable=True))
    op.add_column("decisions", sa.Column("episode", sa.String(length=200), nullable=True))
    op.add_column("decisions", sa.Column("others", sa.LargeBinary(), nullable=True))
    op.add_column("decisions", sa.Column("secret", sa.Integer(), nullable=True))
    explored = sa.text("mode = 'explored'")
    op.create_index(
        op.f("ix_decisions_explored"),
        "decisions",
        ["application", "episode"],
        unique=False,
        sqlite_where=explored,
        postgresql_where=explored,
    )
    op.create_table(
        "secrets",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.CheckConstraint("length(value) = 32", name=op.f("ck_secrets_value")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_secrets")),
    )
