"""Brings a database to this release's schema, and refuses one that a newer release has already moved on.

The migrations are Alembic's scripts in `storage/migrations/`, the same for SQLite and PostgreSQL. Each start compares
one row with `REVISIONS`; Alembic is only loaded when something is to be migrated.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from heliograph.domain.errors import Unavailable

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
"""Every migration in order. A test compares it with the scripts."""

REVISION = "SELECT version_num FROM alembic_version"

_MIGRATIONS = Path(__file__).parent / "migrations"


def ensure_sqlite_schema(path: Path) -> None:
    """Create or upgrade the database at `path`; does nothing to one that is up to date.

    An upgrade is one transaction: it happens wholly or not at all, and once if two processes ask for it together.
    Raises `Unavailable` for a database of a newer release, `sqlite3.Error` when the medium fails.
    """
    with closing(sqlite3.connect(path)) as connection:
        revision = _revision(connection)
    if is_behind(revision, database=str(path)):
        migrate_sqlite(path)


def migrate_sqlite(path: Path, *, revision: str = "head") -> None:
    """Run the migrations that the database at `path` lacks up to `revision`."""
    # isolation_level=None: otherwise the driver decides when a transaction begins, and it does so too late for DDL.
    connect = partial(sqlite3.connect, path, isolation_level=None)
    migrate("sqlite", connect, begin=("BEGIN IMMEDIATE",), revision=revision)


def is_behind(revision: str | None, *, database: str) -> bool:
    """Whether a database of `revision` (None: a new one) needs a migration.

    Raises `Unavailable` for one of a newer release.
    """
    if revision is not None and revision not in REVISIONS:
        raise Unavailable(
            f"The database {database} has schema {revision}, which this release does not know (it knows up to "
            f"{REVISIONS[-1]}). Start the newer release of Heliograph that wrote it, or restore a backup.",
            code="database_too_new",
        )
    return revision != REVISIONS[-1]


def migrate(dialect: str, connect: Callable[[], Any], *, begin: Sequence[str], revision: str = "head") -> None:
    """Run the migrations that are missing up to `revision`, in one transaction that the statements of `begin` begin.

    `connect` makes a connection of the database's driver; what that driver raises is raised.
    """
    # Imported here and nowhere else: Alembic and SQLAlchemy take about half a second and 40 MB, and a server whose
    # database is up to date, which is nearly every start, never needs them.
    from alembic.command import upgrade
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    engine = create_engine(f"{dialect}://", creator=connect, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            for statement in begin:
                connection.exec_driver_sql(statement)
            config.attributes["connection"] = connection
            upgrade(config, revision)
            connection.commit()
    except DBAPIError as error:
        raise error.orig or error from error


def _revision(connection: sqlite3.Connection) -> str | None:
    """The revision Alembic wrote down, None for a database it has never seen."""
    try:
        row = connection.execute(REVISION).fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise
    return row[0] if row else None
