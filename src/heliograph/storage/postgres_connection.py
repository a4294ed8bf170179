"""Sessions of PostgreSQL that come back by themselves, and what its errors mean."""

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row

from heliograph.domain.errors import InvalidRequest, Unavailable

STALL_S_MAX = 10.0
"""A server that has not answered one statement by then counts as gone."""

CONNECT_S_MAX = 5.0

_RETRY_AFTER_S = 5.0

_DEFAULTS = {
    "connect_timeout": f"{CONNECT_S_MAX:.0f}",
    "tcp_user_timeout": f"{STALL_S_MAX * 1000:.0f}",
    "keepalives_idle": "10",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    # The server's side of the same: a machine of ours that lost its power gives up its lock within 20 s.
    "options": "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3",
}
"""What the URL does not say."""

_NO_ANSWER = "it does not answer: see that it runs and that the address is right"

_MEDIUM_FAILURES = {
    "08": _NO_ANSWER,
    "25006": "it is read-only: the address must lead to the primary",
    "28": "it refuses the user or the password: look at the address",
    "3D": "there is no database of that name: create it",
    "40": "it broke the transaction off",
    "42501": "the user may not do this: make it the owner of the database or schema",
    "53": "it has run out of something: look at its log, its connections and its memory",
    "53100": "its disk is full: free some space",
    "55": "somebody keeps it locked: look at pg_stat_activity",
    "57": "it is starting, stopping or was told to break off",
    "58": "its disk or files failed: look at its log",
    "XX": "it reports a fault of its own: look at its log",
}
"""By SQLSTATE, or by its first two characters."""

Connection = psycopg.Connection[DictRow]

_Result = TypeVar("_Result")


def checked_url(url: str) -> str:
    """The connection string with our defaults under it. Raises `InvalidRequest` for one that libpq cannot read."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        # The message of libpq quotes the string, which may hold a password.
        raise InvalidRequest(
            "store.url is not a connection string of PostgreSQL (postgresql://user@host:5432/database)",
            param="store.url",
        ) from error.with_traceback(None)
    name = f"heliograph on {socket.gethostname()}, process {os.getpid()}"
    return make_conninfo("", **{**_DEFAULTS, "application_name": name, **given})


def spoken(url: str) -> str:
    """The database as messages name it: without user and password."""
    given = conninfo_to_dict(url)
    place = given.get("host") or given.get("hostaddr") or "localhost"
    port = f":{given['port']}" if "port" in given else ""
    return f"{given.get('dbname') or 'postgres'} at {place}{port}"


def is_medium_failure(error: BaseException) -> bool:
    """Whether the world is at fault (network, disk, a server that stops) and not the statement."""
    return isinstance(error, psycopg.Error) and _advice(error) is not None


def unavailable(error: psycopg.Error, database: str) -> Unavailable:
    """The same medium failure, said to the operator."""
    said = " ".join(str(error).split())
    return Unavailable(
        f"The database {database} cannot be used, {_advice(error)} ({said}).",
        code="store_unavailable",
        retry_after_s=_RETRY_AFTER_S,
    )


def _advice(error: psycopg.Error) -> str | None:
    if error.sqlstate is None:
        # A session that cannot be made or is gone; what the server says while it is being made comes without a code.
        if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return None
        said = str(error)
        if "FATAL" not in said:
            return _NO_ANSWER
        is_busy = "the database system is" in said  # starting up, shutting down, in recovery mode
        return _MEDIUM_FAILURES["57"] if is_busy else "it refuses the session: look at the address"
    return _MEDIUM_FAILURES.get(error.sqlstate) or _MEDIUM_FAILURES.get(error.sqlstate[:2])


class Session:
    """One connection, made when it is needed and anew after it broke; used from one thread at a time.

    `on_connect` is run on every new connection before anything else. Whatever is run must bear being run twice: where
    a connection turns out to have broken since its last use, it is made anew and the work is run again.
    """

    def __init__(self, url: str, *, on_connect: Callable[[Connection], None] | None = None) -> None:
        self._url = url
        self._database = spoken(url)
        self._on_connect = on_connect
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._busy_since_s: float | None = None
        self._is_severed = False

    def run(self, work: Callable[[Connection], _Result]) -> _Result:
        """What `work` makes of the connection. Raises `Unavailable` when the medium fails."""
        was_open = self._connection is not None
        try:
            return self._once(work)
        except psycopg.Error as error:
            if not is_medium_failure(error):
                raise
            if self._is_severed or self._connection is not None or not was_open:
                raise unavailable(error, self._database) from error
        try:
            return self._once(work)
        except psycopg.Error as error:
            if not is_medium_failure(error):
                raise
            raise unavailable(error, self._database) from error

    def touch(self) -> None:
        """The server has just answered: what comes next has its full time."""
        self._busy_since_s = time.monotonic()

    def sever_if_stalled(self) -> None:
        """Cut a connection whose server does not answer; whoever waits for it gets an error. From any thread."""
        with self._lock:
            since_s, connection = self._busy_since_s, self._connection
            if since_s is None or connection is None or time.monotonic() - since_s < STALL_S_MAX:
                return
            self._is_severed = True
            with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(psycopg.Error):
                    connection.close()

    def _once(self, work: Callable[[Connection], _Result]) -> _Result:
        self._is_severed = False
        try:
            connection = self._connection or self._connect()
            self.touch()
            return work(connection)
        except BaseException:
            self._busy_since_s = None
            self._tidy()
            raise
        finally:
            self._busy_since_s = None

    def _connect(self) -> Connection:
        connection = Connection.connect(self._url, autocommit=True, row_factory=dict_row)
        with self._lock:
            self._connection = connection
        self.touch()
        if self._on_connect is not None:
            try:
                self._on_connect(connection)
            except BaseException:
                self.close()
                raise
        return connection

    def _tidy(self) -> None:
        """After an error: out of the transaction, or away with the connection."""
        connection = self._connection
        if connection is None:
            return
        if not connection.closed and not self._is_severed:
            try:
                self.touch()
                if connection.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
                    connection.execute("ROLLBACK")
            except psycopg.Error:
                pass
            else:
                return
            finally:
                self._busy_since_s = None
        self.close()


class Watch:
    """A thread that severs sessions whose server is there and does not answer (stopped, swapped out, out of disk)."""

    def __init__(self, sessions: list[Session]) -> None:
        self._sessions = sessions
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heliograph-store-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(1.0):
            for session in self._sessions:
                session.sever_if_stalled()


def value_of(connection: Connection, query: str, *parameters: object) -> Any:  # noqa: ANN401 -- the query decides
    """The one value that a query gives, None without a row."""
    row = connection.execute(query.encode(), parameters).fetchone()
    return None if row is None else next(iter(row.values()))
