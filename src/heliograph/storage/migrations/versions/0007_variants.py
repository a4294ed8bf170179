"""Variants of pictures in a table of their own, and a hash by which a picture is found that lost everything it said."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add both. The hash is indexed in four bands: two that look alike agree in one of them but for a bit."""
    op.create_table(
        "output_variants",
        sa.Column("output_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("blob", sa.Text(), nullable=False),
        sa.Column("created_at_s", sa.Double[float](), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("output_id", "name"),
    )
    op.create_index("output_variants_by_job", "output_variants", ["job_id"])
    op.create_index("output_variants_by_blob", "output_variants", ["blob"])
    op.add_column("outputs", sa.Column("perceptual_hash", sa.Text()))
    for band in range(4):
        start = 4 * band + 1
        op.execute(f"CREATE INDEX outputs_by_hash_{band} ON outputs (substr(perceptual_hash, {start}, 4))")
