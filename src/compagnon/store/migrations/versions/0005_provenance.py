"""Where a version comes from: recipe, data, parent, as its manifest says."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """A column that is empty in every row that stands there."""
    op.add_column("versions", sa.Column("provenance", sa.Text(), nullable=True))
