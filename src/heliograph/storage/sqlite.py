"""The store in one SQLite file: durable on a laptop, with nothing to install or configure.

Writes go through one thread with group commit (`sqlite_writer.py`). Reads have a connection and a thread of their own:
in write-ahead mode they see the last committed state and never wait for a commit.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from heliograph.domain.accounts import ApiKey, Refusal
from heliograph.domain.billing_records import LedgerLine
from heliograph.domain.errors import Unavailable
from heliograph.domain.ids import JobId, MessageId, OutputId, TenantId
from heliograph.domain.job import Attempt, Job
from heliograph.domain.money import Micros
from heliograph.domain.pictures import Output
from heliograph.domain.webhooks import WebhookEndpoint, WebhookMessage, WebhookTry
from heliograph.storage import queries, rows
from heliograph.storage.schema import ensure_schema
from heliograph.storage.sqlite_connection import connect, medium_failures_as_unavailable
from heliograph.storage.sqlite_writer import GroupCommitWriter
from heliograph.storage.store import IdempotencyRecord, StoredJob, Write

_Result = TypeVar("_Result")

_AFTER_EVERY_SEQUENCE = 2**63 - 1


class SqliteStore:
    """A `Store` on one database file. Made by `open`; used from the event loop that opened it.

    The file must be on a local disk. Another process may have it open too, as the command line does to manage keys
    while a server runs: they take turns at writing. Only the holder of the folder's `DataDirLock` may run jobs.
    """

    def __init__(self, path: Path, *, writing: sqlite3.Connection, reading: sqlite3.Connection) -> None:
        self._path = path
        self._writing = writing
        self._reading = reading
        self._writer = GroupCommitWriter(writing, path)
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="heliograph-store-reader")
        self._is_closed = False

    @classmethod
    async def open(cls, path: Path) -> "SqliteStore":
        """Open the database at `path`, creating or upgrading it where needed; its folder must exist.

        Raises `Unavailable` when it cannot be opened or belongs to a newer release.
        """
        writing, reading = await asyncio.to_thread(_open_connections, path)
        return cls(path, writing=writing, reading=reading)

    @property
    def transaction_count(self) -> int:
        """Transactions committed since opening: under load far fewer than calls of `commit`."""
        return self._writer.transaction_count

    async def commit(self, writes: Sequence[Write]) -> None:
        """See `Store.commit`. A call that is cancelled while it waits may or may not be carried out."""
        self._check_open()
        if writes:
            await self._writer.commit(writes)

    async def job(self, job_id: JobId) -> StoredJob | None:
        """See `Store.job`."""

        def read(connection: sqlite3.Connection) -> StoredJob | None:
            row = connection.execute(queries.JOB, {"job_id": job_id}).fetchone()
            if row is None:
                return None
            outputs = connection.execute(queries.OUTPUTS_OF_JOB, {"job_id": job_id})
            return _stored_job(row, tuple(map(rows.output_of_row, outputs)))

        return await self._read(read)

    async def jobs(
        self, tenant_id: TenantId, *, limit: int, before_sequence: int | None = None
    ) -> tuple[StoredJob, ...]:
        """See `Store.jobs`."""
        before = _AFTER_EVERY_SEQUENCE if before_sequence is None else before_sequence

        def read(connection: sqlite3.Connection) -> tuple[StoredJob, ...]:
            page = connection.execute(
                queries.JOBS_OF_TENANT, {"tenant_id": tenant_id, "before_sequence": before, "limit": limit}
            ).fetchall()
            if not page:
                return ()
            outputs: dict[str, list[Output]] = {row["job_id"]: [] for row in page}
            span = {"tenant_id": tenant_id, "oldest": page[-1]["sequence"], "newest": page[0]["sequence"]}
            for output in map(rows.output_of_row, connection.execute(queries.OUTPUTS_OF_JOBS, span)):
                outputs[output.job_id].append(output)
            return tuple(_stored_job(row, tuple(outputs[row["job_id"]])) for row in page)

        return await self._read(read)

    async def open_jobs(self) -> tuple[Job, ...]:
        """See `Store.open_jobs`."""
        return await self._read(lambda connection: _all(connection, queries.OPEN_JOBS, rows.job_of_row))

    async def last_sequence(self) -> int:
        """See `Store.last_sequence`."""
        return await self._read(lambda connection: connection.execute(queries.LAST_SEQUENCE).fetchone()[0])

    async def output(self, output_id: OutputId) -> Output | None:
        """See `Store.output`."""
        found = await self._read(
            lambda connection: _all(connection, queries.OUTPUT, rows.output_of_row, output_id=output_id)
        )
        return found[0] if found else None

    async def attempts(self, job_id: JobId) -> tuple[Attempt, ...]:
        """See `Store.attempts`."""
        return await self._read(
            lambda connection: _all(connection, queries.ATTEMPTS_OF_JOB, rows.attempt_of_row, job_id=job_id)
        )

    async def ledger(self, job_id: JobId) -> tuple[LedgerLine, ...]:
        """See `Store.ledger`."""
        return await self._read(
            lambda connection: _all(connection, queries.LEDGER_OF_JOB, rows.ledger_line_of_row, job_id=job_id)
        )

    async def idempotency(self, tenant_id: TenantId, route: str, key: str) -> IdempotencyRecord | None:
        """See `Store.idempotency`."""
        found = await self._read(
            lambda connection: _all(
                connection, queries.IDEMPOTENCY, rows.idempotency_of_row, tenant_id=tenant_id, route=route, key=key
            )
        )
        return found[0] if found else None

    async def refusals(self, tenant_id: TenantId, *, limit: int) -> tuple[Refusal, ...]:
        """See `Store.refusals`."""
        return await self._read(
            lambda connection: _all(connection, queries.REFUSALS, rows.refusal_of_row, tenant_id=tenant_id, limit=limit)
        )

    async def api_keys(self) -> tuple[ApiKey, ...]:
        """See `Store.api_keys`."""
        return await self._read(lambda connection: _all(connection, queries.API_KEYS, rows.api_key_of_row))

    async def webhook_endpoints(self) -> tuple[WebhookEndpoint, ...]:
        """See `Store.webhook_endpoints`."""
        return await self._read(
            lambda connection: _all(connection, queries.WEBHOOK_ENDPOINTS, rows.webhook_endpoint_of_row)
        )

    async def webhook_targets(self) -> tuple[tuple[str, float], ...]:
        """See `Store.webhook_targets`."""
        return await self._read(
            lambda connection: _all(
                connection, queries.WEBHOOK_TARGETS, lambda row: (str(row["target"]), float(row["next_at_s"]))
            )
        )

    async def webhook_jobs_due(self, target: str, *, now_s: float, limit: int) -> tuple[JobId, ...]:
        """See `Store.webhook_jobs_due`."""
        return await self._read(
            lambda connection: _all(
                connection,
                queries.WEBHOOK_JOBS_DUE,
                lambda row: JobId(row["job_id"]),
                target=target,
                now_s=now_s,
                limit=limit,
            )
        )

    async def webhook_lane(self, job_id: JobId, target: str) -> tuple[WebhookMessage, ...]:
        """See `Store.webhook_lane`."""
        return await self._read(
            lambda connection: _all(
                connection, queries.WEBHOOK_LANE, rows.webhook_message_of_row, job_id=job_id, target=target
            )
        )

    async def webhook_message(self, message_id: MessageId) -> WebhookMessage | None:
        """See `Store.webhook_message`."""
        found = await self._read(
            lambda connection: _all(
                connection, queries.WEBHOOK_MESSAGE, rows.webhook_message_of_row, message_id=message_id
            )
        )
        return found[0] if found else None

    async def webhook_messages(
        self, tenant_id: TenantId, *, limit: int, target: str | None = None, before: MessageId | None = None
    ) -> tuple[WebhookMessage, ...]:
        """See `Store.webhook_messages`."""
        parameters = {"tenant_id": tenant_id, "limit": limit, "before": before or ""}
        query = queries.WEBHOOK_MESSAGES_OF_TENANT
        if target is not None:
            query = queries.WEBHOOK_MESSAGES_OF_TARGET
            parameters["target"] = target
        return await self._read(lambda connection: _all(connection, query, rows.webhook_message_of_row, **parameters))

    async def webhook_tries(self, message_id: MessageId) -> tuple[WebhookTry, ...]:
        """See `Store.webhook_tries`."""
        return await self._read(
            lambda connection: _all(connection, queries.WEBHOOK_TRIES, rows.webhook_try_of_row, message_id=message_id)
        )

    async def close(self) -> None:
        """See `Store.close`. Calls that began before are finished, later ones get `Unavailable`."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._writer.drain()
        await asyncio.to_thread(self._close_connections)

    def _close_connections(self) -> None:
        self._reader.shutdown()
        self._reading.close()
        self._writing.close()  # the last one out moves the write-ahead log into the database

    async def _read(self, read: Callable[[sqlite3.Connection], _Result]) -> _Result:
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._in_snapshot, read)

    def _in_snapshot(self, read: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Let `read` see one committed state, however many queries it makes."""
        with medium_failures_as_unavailable(self._path):
            self._reading.execute("BEGIN")
            try:
                return read(self._reading)
            finally:
                with suppress(sqlite3.Error):  # nothing was written, and the error that ends `read` matters more
                    self._reading.execute("ROLLBACK")

    def _check_open(self) -> None:
        if self._is_closed:
            raise Unavailable("The store is closed because the server is shutting down.", code="shutting_down")


def _open_connections(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    with medium_failures_as_unavailable(path):
        ensure_schema(path)
        return connect(path), connect(path)


def _stored_job(row: rows.Row, outputs: tuple[Output, ...]) -> StoredJob:
    return StoredJob(job=rows.job_of_row(row), outputs=outputs, cost_micros=Micros(row["cost_micros"]))


def _all(
    connection: sqlite3.Connection, query: str, value_of_row: Callable[[rows.Row], _Result], **parameters: str | float
) -> tuple[_Result, ...]:
    return tuple(map(value_of_row, connection.execute(query, parameters)))
