"""A SQLite database out of and into a backup."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from heliograph.domain.errors import InvalidRequest, NotFound
from heliograph.storage.backup import tables_of
from heliograph.storage.schema import ensure_sqlite_schema
from heliograph.storage.sqlite_connection import connect, medium_failures_as_unavailable


def copy_out(database: Path, target: Path) -> None:
    """Write one committed state of `database` to the new file `target`, while others read and write it.

    The copy has this release's schema; `database` stays as it is. Raises `Unavailable` for one of a newer release.
    """
    with medium_failures_as_unavailable(database):
        if not database.exists():
            raise NotFound(f"There is nothing to back up: {database} is not there.", param="data_dir")
        target.touch(mode=0o600)
        with closing(connect(database)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
        upgraded(target)


def copy_in(source: Path, database: Path) -> None:
    """Make `database` of a backup's file, brought to this release's schema.

    Raises `InvalidRequest` when there is one with anything in it, `Unavailable` for a backup of a newer release.
    """
    with medium_failures_as_unavailable(database):
        if database.exists() and not _is_empty(database):
            raise InvalidRequest(f"{database} is there already: move it away first.", param="data_dir")
        draft = database.with_name(f".{database.name}.new")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        try:
            with source.open("rb") as original, draft.open("wb") as copy:
                shutil.copyfileobj(original, copy)
            upgraded(draft)
            for suffix in ("", "-wal", "-shm"):
                database.with_name(database.name + suffix).unlink(missing_ok=True)
            draft.rename(database)
        finally:
            draft.unlink(missing_ok=True)


def upgraded(copy: Path) -> None:
    """Check the copy of a backup's database and bring it to this release's schema."""
    with closing(sqlite3.connect(copy)) as connection:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise InvalidRequest(f"The database of the backup is damaged: {found}.", param="source")
    ensure_sqlite_schema(copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # one file, readable from a medium that is read-only


def _is_empty(database: Path) -> bool:
    if database.stat().st_size == 0:
        return True
    with closing(sqlite3.connect(database)) as connection:
        return all(
            connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is None  # noqa: S608 -- a table's own name
            for table in tables_of(connection)
        )
