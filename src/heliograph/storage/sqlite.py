"""The store in one SQLite file: durable on a laptop, with nothing to install or configure."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from heliograph.storage import rows
from heliograph.storage.schema import ensure_sqlite_schema
from heliograph.storage.sql_store import Snapshot, SqlStore
from heliograph.storage.sqlite_connection import connect, is_medium_failure, medium_failures_as_unavailable
from heliograph.storage.statements import Statement

_Result = TypeVar("_Result")


class SqliteStore(SqlStore):
    """A `Store` on one database file. Made by `open`; used from the event loop that opened it.

    The file must be on a local disk. Another process may have it open too, as the command line does to manage keys
    while a server runs: they take turns at writing. Only the holder of the folder's `DataDirLock` may run jobs.
    """

    @classmethod
    async def open(cls, path: Path) -> "SqliteStore":
        """Open the database at `path`, creating or upgrading it where needed; its folder must exist.

        Raises `Unavailable` when it cannot be opened or belongs to a newer release.
        """
        return cls(await asyncio.to_thread(SqliteDatabase.open, path))


class SqliteDatabase:
    """A `Database` in one file, with a connection for writing and one for reading.

    In write-ahead mode the reader sees the last committed state and never waits for a commit.
    """

    readers_max = 1

    def __init__(self, path: Path, *, writing: sqlite3.Connection, reading: sqlite3.Connection) -> None:
        self._path = path
        self._writing = writing
        self._reading = reading

    @classmethod
    def open(cls, path: Path) -> "SqliteDatabase":
        """See `SqliteStore.open`."""
        with medium_failures_as_unavailable(path):
            ensure_sqlite_schema(path)
            return cls(path, writing=connect(path), reading=connect(path))

    def commit(self, groups: Sequence[Sequence[Statement]]) -> list[Exception | None]:
        """See `Transactions.commit`: every group under a savepoint, which is what a wrong one goes back to."""
        with medium_failures_as_unavailable(self._path):
            try:
                self._writing.execute("BEGIN IMMEDIATE")
                errors = [self._apply(group) for group in groups]
                self._writing.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._writing.execute("ROLLBACK")  # fails where SQLite has already rolled back by itself
                raise
        return errors

    def _apply(self, group: Sequence[Statement]) -> Exception | None:
        """Run one caller's statements; the caller's error, or None. Medium failures are raised."""
        self._writing.execute("SAVEPOINT caller")
        refused: Exception | None = None
        try:
            for query, parameters in group:
                self._writing.execute(query, parameters)
        except Exception as error:  # one caller's bug must not reach the others
            if is_medium_failure(error):
                raise
            self._writing.execute("ROLLBACK TO caller")
            refused = error
        self._writing.execute("RELEASE caller")
        if isinstance(refused, sqlite3.IntegrityError):
            contradiction = AssertionError(f"the writes contradict what is stored: {refused}")
            contradiction.__cause__ = refused
            return contradiction
        return refused

    def read(self, read: Callable[[Snapshot], _Result]) -> _Result:
        """See `Database.read`."""
        with medium_failures_as_unavailable(self._path):
            self._reading.execute("BEGIN")
            try:
                return read(_SqliteSnapshot(self._reading))
            finally:
                with suppress(sqlite3.Error):  # nothing was written, and the error that ends `read` matters more
                    self._reading.execute("ROLLBACK")

    def close(self) -> None:
        """See `Database.close`."""
        self._reading.close()
        self._writing.close()  # the last one out moves the write-ahead log into the database


class _SqliteSnapshot:
    """A `Snapshot` inside a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, query: str, **parameters: str | float) -> Iterable[rows.Row]:
        """See `Snapshot.rows`."""
        return self._connection.execute(query, parameters)
