"""What a ledger line is about, so that costs add up by model, tier and GPU after the jobs themselves are gone."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns; older lines say nothing of them, and older attempts were all on GPUs of the operator's own."""
    op.add_column("ledger_lines", sa.Column("model_id", sa.Text()))
    op.add_column("ledger_lines", sa.Column("tier", sa.Text()))
    op.add_column("ledger_lines", sa.Column("gpu", sa.Text(), nullable=False, server_default=""))
    op.add_column("ledger_lines", sa.Column("quantity", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("ledger_lines_by_time", "ledger_lines", ["at_s"])
    op.add_column("attempts", sa.Column("market", sa.Text(), nullable=False, server_default="reserved"))
    op.add_column("attempts", sa.Column("zone", sa.Text(), nullable=False, server_default=""))
