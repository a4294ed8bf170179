"""Connections to the database file, and what its errors mean."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from heliograph.domain.errors import Unavailable

BUSY_TIMEOUT_S = 5.0
"""How long to wait for a lock of another process (a backup, a person at the prompt) before giving up."""

_RETRY_AFTER_S = 5.0

_MEDIUM_FAILURES = {
    sqlite3.SQLITE_FULL: "its disk is full: free some space",
    sqlite3.SQLITE_IOERR: "reading or writing it failed: look at the disk and its free space",
    sqlite3.SQLITE_READONLY: "it is read-only: make the file and its folder writable",
    sqlite3.SQLITE_PERM: "it may not be accessed: make the file and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: its folder must exist and be writable",
    sqlite3.SQLITE_BUSY: "another process keeps it locked: end that process",
    sqlite3.SQLITE_LOCKED: "another process keeps it locked: end that process",
    sqlite3.SQLITE_PROTOCOL: "another process keeps it locked: end that process",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore a backup",
    sqlite3.SQLITE_NOTADB: "it is not a database: restore a backup or move the file away",
}


def connect(path: Path) -> sqlite3.Connection:
    """A connection whose commits survive power loss. May be handed to another thread, but used by one at a time.

    Transactions begin and end where the code says so (`isolation_level=None`), and rows are read by column name.
    """
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    # Write-ahead log: readers never wait for the writer. FULL: every commit is synced before it returns; with NORMAL a
    # power cut loses the last ones.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def is_medium_failure(error: BaseException) -> bool:
    """Whether the world is at fault (disk, locks) and not the statement."""
    return _primary_code(error) in _MEDIUM_FAILURES


def unavailable(error: sqlite3.Error, path: Path) -> Unavailable:
    """The same medium failure, said to the operator."""
    return Unavailable(
        f"The database {path} cannot be used, {_MEDIUM_FAILURES[_primary_code(error)]} ({error}).",
        code="store_unavailable",
        retry_after_s=_RETRY_AFTER_S,
    )


@contextmanager
def medium_failures_as_unavailable(path: Path) -> Generator[None]:
    """Raise `Unavailable` for medium failures inside; every other error is a bug and passes as it is."""
    try:
        yield
    except sqlite3.Error as error:
        if is_medium_failure(error):
            raise unavailable(error, path) from error
        raise


def _primary_code(error: BaseException) -> int:
    """SQLite's code of the error's kind, without the detail in its upper bits; -1 where the driver itself complains."""
    code = getattr(error, "sqlite_errorcode", -1)
    return code & 0xFF if code >= 0 else -1
