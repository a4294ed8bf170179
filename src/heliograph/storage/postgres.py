"""The store in PostgreSQL: the same tables and queries as in SQLite, on a server of its own.

A transaction is sent in one go (libpq's pipeline mode), so a commit costs one round trip and the server's sync, however
many callers are in it. Only when something in it is wrong it is sent again, each caller under a savepoint, to find out
whose it is.

One server process at a time may write jobs. Whoever opens the store to run jobs takes an advisory lock, which the
database gives up with the session, and raises the epoch by one. When a session breaks, the lock is taken again and the
epoch compared: if another server was here in between, this one has been overtaken, its memory is out of date, and it
must end (`Superseded`).
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from queue import SimpleQueue
from typing import TypeVar

import psycopg

from heliograph.domain.errors import Superseded, Unavailable
from heliograph.storage import rows
from heliograph.storage.postgres_connection import (
    Connection,
    Session,
    Watch,
    checked_url,
    is_medium_failure,
    spoken,
    value_of,
)
from heliograph.storage.schema import REVISION, is_behind, migrate
from heliograph.storage.sql_store import Snapshot, SqlStore
from heliograph.storage.statements import Statement

CLAIM_S_MAX = 3.0
"""How long to wait for an earlier server to let go: it may be ending just now."""

_LOCK_CLASS = 1751477356
_LOCK = f"{_LOCK_CLASS}, hashtext(current_schema())"
"""Our advisory lock, one for every schema of the database. The number means nothing."""

_HOLDER = f"""
SELECT application_name || ' (since ' || to_char(backend_start, 'YYYY-MM-DD HH24:MI:SS TZ') || ')' AS holder
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND classid = {_LOCK_CLASS} AND granted AND pg_locks.database =
    (SELECT oid FROM pg_database WHERE datname = current_database())
LIMIT 1
"""  # noqa: S608 -- what is filled in is a number of ours

_Result = TypeVar("_Result")


class PostgresStore(SqlStore):
    """A `Store` in a PostgreSQL database. Made by `open`; used from the event loop that opened it."""

    @classmethod
    async def open(cls, url: str, *, claims: bool) -> "PostgresStore":
        """Open the database that a libpq URL or connection string names, creating or upgrading our tables in it.

        With `claims` it is taken for a server that runs jobs. Raises `Unavailable` when it cannot be reached, belongs
        to a newer release or is claimed by another server, `InvalidRequest` for a string that names none.
        """
        return cls(await asyncio.to_thread(PostgresDatabase.open, url, claims=claims))


class PostgresDatabase:
    """A `Database` with a session for writing and a few for reading."""

    readers_max = 4

    def __init__(self, *, writer: Session, readers: Sequence[Session]) -> None:
        self._writer = writer
        self._readers: SimpleQueue[Session] = SimpleQueue()
        for reader in readers:
            self._readers.put(reader)
        self._sessions = [writer, *readers]
        self._watch = Watch(self._sessions)

    @classmethod
    def open(cls, url: str, *, claims: bool) -> "PostgresDatabase":
        """See `PostgresStore.open`."""
        target = checked_url(url)
        writer = Session(target, on_connect=_Claim(target) if claims else _prepare)
        try:
            writer.run(lambda connection: None if claims else _ensure_schema(connection, target))
        except BaseException:
            writer.close()
            raise
        return cls(writer=writer, readers=[Session(target) for _ in range(cls.readers_max)])

    def commit(self, groups: Sequence[Sequence[Statement]]) -> list[Exception | None]:
        """See `Transactions.commit`."""
        return self._writer.run(lambda connection: _commit(connection, groups))

    def read(self, read: Callable[[Snapshot], _Result]) -> _Result:
        """See `Database.read`."""
        session = self._readers.get()
        try:
            return session.run(lambda connection: _in_snapshot(session, connection, read))
        finally:
            self._readers.put(session)

    def close(self) -> None:
        """See `Database.close`."""
        self._watch.close()
        for session in self._sessions:
            session.close()


@cache
def spelled(query: str) -> bytes:
    """A query of ours as the driver wants it: `%(name)s` instead of `:name`."""
    return re.sub(r":(\w+)", r"%(\1)s", query).encode()


def _commit(connection: Connection, groups: Sequence[Sequence[Statement]]) -> list[Exception | None]:
    try:
        with connection.pipeline():
            connection.execute("BEGIN")
            for group in groups:
                for query, parameters in group:
                    connection.execute(spelled(query), parameters)
            ended = connection.execute("COMMIT")
    except Exception as error:  # whatever it is, it is some caller's: below it is found out whose
        if is_medium_failure(error):
            raise
    else:
        assert ended.statusmessage == "COMMIT", f"the transaction ended with {ended.statusmessage}"
        return [None] * len(groups)
    _roll_back(connection)
    connection.execute("BEGIN")
    errors = [_apply(connection, group) for group in groups]
    connection.execute("COMMIT")
    return errors


def _apply(connection: Connection, group: Sequence[Statement]) -> Exception | None:
    """Run one caller's statements under a savepoint; the caller's error, or None. Medium failures are raised."""
    connection.execute("SAVEPOINT caller")
    refused: Exception | None = None
    try:
        for query, parameters in group:
            connection.execute(spelled(query), parameters)
    except Exception as error:  # one caller's bug must not reach the others
        if is_medium_failure(error):
            raise
        connection.execute("ROLLBACK TO caller")
        refused = error
    connection.execute("RELEASE caller")
    if isinstance(refused, psycopg.IntegrityError):
        contradiction = AssertionError(f"the writes contradict what is stored: {refused}")
        contradiction.__cause__ = refused
        return contradiction
    return refused


def _roll_back(connection: Connection) -> None:
    if connection.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
        connection.execute("ROLLBACK")


def _in_snapshot(session: Session, connection: Connection, read: Callable[[Snapshot], _Result]) -> _Result:
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    found = read(_PostgresSnapshot(session, connection))
    connection.execute("ROLLBACK")
    return found


class _PostgresSnapshot:
    """A `Snapshot` inside a transaction."""

    def __init__(self, session: Session, connection: Connection) -> None:
        self._session = session
        self._connection = connection

    def rows(self, query: str, **parameters: str | float) -> Iterable[rows.Row]:
        """See `Snapshot.rows`."""
        self._session.touch()
        return self._connection.execute(spelled(query), parameters)


# --- who may write ---------------------------------------------------------------------------------------------------


class _Claim:
    """Takes the lock on every new session of the writer, and makes sure that nobody wrote between two of them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._epoch: int | None = None

    def __call__(self, connection: Connection) -> None:
        _prepare(connection)
        _lock(connection, self._url)
        if self._epoch is None:
            if _is_behind(connection, self._url):
                _migrate(self._url)
            self._epoch = value_of(connection, "UPDATE writer_epoch SET epoch = epoch + 1 RETURNING epoch")
        elif value_of(connection, "SELECT epoch FROM writer_epoch") != self._epoch:
            raise Superseded(
                f"Another Heliograph has taken over the database {spoken(self._url)} while this one was cut off from "
                "it. This one must end, so that no job is worked on by both."
            )


def _prepare(connection: Connection) -> None:
    """Make commits of this session survive power loss, whatever the server's default is."""
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )


def _lock(connection: Connection, url: str) -> None:
    give_up_s = time.monotonic() + CLAIM_S_MAX
    while not value_of(connection, f"SELECT pg_try_advisory_lock({_LOCK})"):
        if time.monotonic() > give_up_s:
            holder = value_of(connection, _HOLDER) or "unknown"
            raise Unavailable(
                f"The database {spoken(url)} is in use by another Heliograph: {holder}. Stop that one, or use another "
                "database or schema.",
                code="store_locked",
            )
        time.sleep(0.1)


def _ensure_schema(connection: Connection, url: str) -> None:
    """Bring the tables to this release's schema; where there is something to do, only while no server runs."""
    if _is_behind(connection, url):
        _lock(connection, url)
        _migrate(url)
        connection.execute(f"SELECT pg_advisory_unlock({_LOCK})".encode())


def _is_behind(connection: Connection, url: str) -> bool:
    is_new = value_of(connection, "SELECT to_regclass('alembic_version') IS NULL")
    return is_behind(None if is_new else value_of(connection, REVISION), database=spoken(url))


def _migrate(url: str) -> None:
    migrate("postgresql+psycopg", lambda: psycopg.connect(url), begin=())
