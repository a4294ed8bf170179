"""Webhooks: endpoints, the outbox of messages on their way, and every try to deliver one."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SECONDS = sa.Double[float]()
_WAITING = sa.text("state = 'waiting'")


def upgrade() -> None:
    """Make the three tables. Secrets are in none of them: they are derived from a key beside the database."""
    op.create_table(
        "webhook_endpoints",
        sa.Column("endpoint_id", sa.Text(), primary_key=True),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at_s", _SECONDS, nullable=False),
        sa.Column("secret_generation", sa.BigInteger(), nullable=False),
        sa.Column("old_secret_until_s", _SECONDS, nullable=False),
        sa.Column("disabled_at_s", _SECONDS),
        sa.Column("disabled_reason", sa.Text()),
    )
    # `entry` is the order of the events. Jobs are named without a foreign key: the log may outlive them.
    op.create_table(
        "webhook_messages",
        sa.Column("entry", _ROW_NUMBER, primary_key=True),
        sa.Column("message_id", sa.Text(), nullable=False, unique=True),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("at_s", _SECONDS, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("next_at_s", _SECONDS, nullable=False),
        sa.Column("ended_at_s", _SECONDS),
        sa.Column("last_error", sa.Text()),
    )
    op.create_index(
        "webhook_messages_waiting",
        "webhook_messages",
        ["target", "next_at_s"],
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )
    op.create_index("webhook_messages_by_job", "webhook_messages", ["job_id", "target", "entry"])
    op.create_index("webhook_messages_by_tenant", "webhook_messages", ["tenant_id", "entry"])
    op.create_index("webhook_messages_by_target", "webhook_messages", ["target", "entry"])
    op.create_index("webhook_messages_by_age", "webhook_messages", ["at_s"])

    op.create_table(
        "webhook_tries",
        sa.Column("message_id", sa.Text(), primary_key=True),
        sa.Column("number", sa.BigInteger(), primary_key=True),
        sa.Column("at_s", _SECONDS, nullable=False),
        sa.Column("duration_s", _SECONDS, nullable=False),
        sa.Column("status", sa.BigInteger()),
        sa.Column("error", sa.Text()),
    )
