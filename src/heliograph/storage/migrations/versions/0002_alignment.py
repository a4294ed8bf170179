"""How well each picture fits its prompt, a column of its own so that drift can be queried; unknown for older ones."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the score, from 0 to 1 or null; the phrases that are missing travel in `data`."""
    op.add_column("outputs", sa.Column("alignment", sa.Double[float]()))
