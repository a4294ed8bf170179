"""Who may write, as a number that rises with every server; and each picture's files as columns, to find unused ones."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the epoch, and move the names of the files out of `data`."""
    epoch = op.create_table("writer_epoch", sa.Column("epoch", sa.BigInteger(), nullable=False))
    op.bulk_insert(epoch, [{"epoch": 0}])

    is_postgres = op.get_bind().dialect.name == "postgresql"
    for name in ("blob", "thumbnail_blob"):
        op.add_column("outputs", sa.Column(name, sa.Text()))
        value = f"CAST(data AS json)->>'{name}'" if is_postgres else f"json_extract(data, '$.{name}')"
        op.execute(f"UPDATE outputs SET {name} = {value}")  # noqa: S608 -- names from two lines above
        op.create_index(f"outputs_by_{name}", "outputs", [name])
