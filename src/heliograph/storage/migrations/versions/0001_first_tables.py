"""The first tables: jobs with their attempts and pictures, the ledger, idempotency keys, API keys, refusals."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# SQLite makes only a column of type INTEGER its row number, which counts up by itself and costs no index of its own.
_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Since the Unix epoch, or a duration.
_SECONDS = sa.Double[float]()

_APPEND_ONLY = "the ledger is append only: post a correction instead"

_OPEN = sa.text("state IN ('pending', 'dispatched', 'running', 'post_processing')")


def upgrade() -> None:
    """Make every table, index and trigger of the first release."""
    op.create_table(
        "jobs",
        sa.Column("sequence", _ROW_NUMBER, primary_key=True, autoincrement=False),
        sa.Column("job_id", sa.Text(), nullable=False, unique=True),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("created_at_s", _SECONDS, nullable=False),
        sa.Column("finished_at_s", _SECONDS),
        sa.Column("data", sa.Text(), nullable=False),
    )
    op.create_index("jobs_by_tenant", "jobs", ["tenant_id", "sequence"])
    op.create_index("jobs_open", "jobs", ["sequence"], sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_index("jobs_by_finish", "jobs", ["finished_at_s"])

    op.create_table(
        "attempts",
        sa.Column("job_id", sa.Text(), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("worker_id", sa.Text(), nullable=False),
        sa.Column("gpu_id", sa.Text(), nullable=False),
        sa.Column("gpu_class", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("dispatched_at_s", _SECONDS, nullable=False),
        sa.Column("ended_at_s", _SECONDS, nullable=False),
        sa.Column("gpu_s", _SECONDS, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
    )

    op.create_table(
        "outputs",
        sa.Column("output_id", sa.Text(), primary_key=True),
        sa.Column("job_id", sa.Text(), sa.ForeignKey("jobs.job_id"), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("created_at_s", _SECONDS, nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
    )
    op.create_index("outputs_by_job", "outputs", ["job_id", "position"])

    # The ledger names jobs without a foreign key: accounts outlive the jobs they are about.
    op.create_table(
        "ledger_lines",
        sa.Column("entry", _ROW_NUMBER, primary_key=True),
        sa.Column("posting_id", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("component", sa.Text(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("at_s", _SECONDS, nullable=False),
        sa.UniqueConstraint("posting_id", "line"),
    )
    op.create_index("ledger_lines_by_job", "ledger_lines", ["job_id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION ledger_lines_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_APPEND_ONLY}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
    for change in ("UPDATE", "DELETE"):
        trigger = f"CREATE TRIGGER ledger_lines_refuse_{change.lower()} BEFORE {change} ON ledger_lines"
        if op.get_bind().dialect.name == "postgresql":
            op.execute(f"{trigger} EXECUTE FUNCTION ledger_lines_refuse()")
        else:
            op.execute(f"{trigger} BEGIN SELECT RAISE(ABORT, '{_APPEND_ONLY}'); END")

    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", sa.Text(), primary_key=True),
        sa.Column("route", sa.Text(), primary_key=True),
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("created_at_s", _SECONDS, nullable=False),
    )

    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text(), primary_key=True),
        sa.Column("secret_sha256", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at_s", _SECONDS, nullable=False),
        sa.Column("revoked_at_s", _SECONDS),
    )

    op.create_table(
        "refusals",
        sa.Column("refusal_id", sa.Text(), primary_key=True),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("param", sa.Text()),
        sa.Column("at_s", _SECONDS, nullable=False),
    )
    op.create_index("refusals_by_tenant", "refusals", ["tenant_id", "at_s"])
