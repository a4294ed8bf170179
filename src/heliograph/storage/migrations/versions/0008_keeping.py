"""How long each picture stays and where it lies; the record of every deletion; pictures that were made again."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_SECONDS = sa.Double[float]()
_PENDING = sa.text("done_at_s IS NULL")


def upgrade() -> None:
    """Make the tables. Every picture there is lies where pictures lie, without a star or a hold."""
    op.create_table(
        "output_keeping",
        sa.Column("output_id", sa.Text(), primary_key=True),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("created_at_s", _SECONDS, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("storage_tier", sa.Text(), nullable=False),
        sa.Column("moved_at_s", _SECONDS),
        sa.Column("starred_at_s", _SECONDS),
        sa.Column("held_at_s", _SECONDS),
    )
    op.create_index("output_keeping_by_age", "output_keeping", ["created_at_s", "output_id"])
    op.create_index("output_keeping_by_job", "output_keeping", ["job_id"])
    is_postgres = op.get_bind().dialect.name == "postgresql"
    size = "CAST(data AS json)->>'size_bytes'" if is_postgres else "json_extract(data, '$.size_bytes')"
    op.add_column("output_variants", sa.Column("size_bytes", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(f"UPDATE output_variants SET size_bytes = CAST({size} AS BIGINT)")  # noqa: S608 -- one of two texts
    size = size.replace("data", "outputs.data")
    op.execute(
        f"""
        INSERT INTO output_keeping
            (output_id, job_id, tenant_id, plan, model_id, created_at_s, size_bytes, storage_tier)
        SELECT output_id, outputs.job_id, outputs.tenant_id, tier, model_id, outputs.created_at_s,
            CAST({size} AS BIGINT), 'hot'
        FROM outputs JOIN jobs ON jobs.job_id = outputs.job_id
        """  # noqa: S608 -- one of two texts from above
    )
    op.create_table(
        "deletions",
        sa.Column("deletion_id", sa.Text(), primary_key=True),
        sa.Column("output_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at_s", _SECONDS, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.Column("done_at_s", _SECONDS),
    )
    op.create_index("deletions_by_tenant", "deletions", ["tenant_id", "at_s"])
    op.create_index("deletions_pending", "deletions", ["at_s"], sqlite_where=_PENDING, postgresql_where=_PENDING)
    op.create_table(
        "regenerations",
        sa.Column("job_id", sa.Text(), primary_key=True),
        sa.Column("output_id", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("at_s", _SECONDS, nullable=False),
    )
    op.create_index("regenerations_by_output", "regenerations", ["output_id", "at_s"])
    op.create_index("regenerations_by_model", "regenerations", ["model_id", "at_s"])
