"""Moderation: cases with their logs, who may have a picture, and which keys are reviewers'."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_SECONDS = sa.Double[float]()


def upgrade() -> None:
    """Make the two tables and add the columns; every picture so far was delivered, every key is a user's."""
    # Jobs and outputs are named without foreign keys: what was decided outlives the pictures it is about.
    op.create_table(
        "moderation_cases",
        sa.Column("case_id", sa.Text(), primary_key=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text()),
        sa.Column("output_id", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since_s", _SECONDS, nullable=False),
        sa.Column("opened_at_s", _SECONDS, nullable=False),
        sa.Column("actions", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
    )
    op.create_index("moderation_cases_by_state", "moderation_cases", ["state", "since_s", "case_id"])
    op.create_index("moderation_cases_by_job", "moderation_cases", ["job_id", "opened_at_s", "case_id"])
    op.create_table(
        "moderation_actions",
        sa.Column("case_id", sa.Text(), primary_key=True),
        sa.Column("number", sa.BigInteger(), primary_key=True),
        sa.Column("at_s", _SECONDS, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("deed", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
    )
    op.create_index("moderation_actions_by_time", "moderation_actions", ["at_s"])
    op.add_column("outputs", sa.Column("availability", sa.Text(), nullable=False, server_default="delivered"))
    op.add_column("api_keys", sa.Column("role", sa.Text(), nullable=False, server_default="user"))
