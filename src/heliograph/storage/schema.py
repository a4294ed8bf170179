"""Brings a SQLite database to this release's schema, and refuses one that a newer release has already moved on.

The migrations are Alembic's scripts in `storage/migrations/`. Each start compares one row with `REVISIONS`; Alembic is
only loaded when something is to be migrated.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from heliograph.domain.errors import Unavailable

REVISIONS = ("0001", "0002", "0003")
"""Every migration in order. A test compares it with the scripts."""

_MIGRATIONS = Path(__file__).parent / "migrations"


def ensure_schema(path: Path) -> None:
    """Create or upgrade the database at `path`; does nothing to one that is up to date.

    An upgrade is one transaction: it happens wholly or not at all, and once if two processes ask for it together.
    Raises `Unavailable` for a database of a newer release, `sqlite3.Error` when the medium fails.
    """
    with closing(sqlite3.connect(path)) as connection:
        revision = _revision(connection)
    if revision == REVISIONS[-1]:
        return
    if revision is not None and revision not in REVISIONS:
        raise Unavailable(
            f"The database {path} has schema {revision}, which this release does not know (it knows up to "
            f"{REVISIONS[-1]}). Start the newer release of Heliograph that wrote it, or restore a backup.",
            code="database_too_new",
        )
    _migrate(path)


def _revision(connection: sqlite3.Connection) -> str | None:
    """The revision Alembic wrote down, None for a database it has never seen."""
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise
    return row[0] if row else None


def _migrate(path: Path) -> None:
    # Imported here and nowhere else: Alembic and SQLAlchemy take about half a second and 40 MB, and a server whose
    # database is up to date, which is nearly every start, never needs them.
    from alembic.command import upgrade
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    # isolation_level=None: otherwise the driver decides when a transaction begins, and it does so too late for DDL.
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(path, isolation_level=None), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            config.attributes["connection"] = connection
            upgrade(config, "head")
            connection.commit()
    except DBAPIError as error:
        raise error.orig or error from error
