"""What decisions that are vectors were drawn from, and how dense that was where they fell."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Two columns, empty in every row that stands there: those decisions were no vectors."""
    op.add_column("decisions", sa.Column("distribution", sa.LargeBinary(), nullable=True))
    op.add_column("decisions", sa.Column("log_density", sa.Double(), nullable=True))
