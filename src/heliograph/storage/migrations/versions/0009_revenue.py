"""Charges and refunds in order, for whoever reads usage page by page."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_REVENUE = sa.text("account = 'revenue'")


def upgrade() -> None:
    """Make the index; only one line of a posting is on `revenue`."""
    op.create_index(
        "ledger_lines_of_revenue",
        "ledger_lines",
        ["at_s", "posting_id"],
        sqlite_where=_REVENUE,
        postgresql_where=_REVENUE,
    )
