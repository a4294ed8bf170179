"""Group commit: one thread that makes the writes of many callers durable with one sync.

A sync takes milliseconds and costs the same for one row or a thousand, so committing every call by itself is some fifty
times slower under load than this:

    callers ──► queue (bounded) ──► writer thread: BEGIN
                                                   SAVEPOINT, one caller's writes, RELEASE   for everything waiting
                                                   COMMIT (the sync)
            ◄── futures resolved ◄──

While one transaction is being synced the next callers queue up, so the groups grow with the load by themselves and a
lone caller never waits for company. A caller whose writes are wrong is rolled back to its savepoint and alone gets the
error. When the medium fails, the whole transaction is rolled back and every caller in it gets `Unavailable`; nothing
else is remembered, so the next transaction works as soon as the medium does.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import assert_never

from heliograph.domain.webhooks import MessageState
from heliograph.storage import queries, rows
from heliograph.storage.postings import postings
from heliograph.storage.sqlite_connection import is_medium_failure, unavailable
from heliograph.storage.store import (
    DropWebhookEndpoint,
    Forget,
    ForgetWebhooks,
    MoveWebhookMessage,
    PostLedger,
    PutApiKey,
    PutAttempt,
    PutIdempotency,
    PutJob,
    PutOutput,
    PutRefusal,
    PutWebhookEndpoint,
    PutWebhookMessage,
    ReplayWebhooks,
    WebhookWrite,
    Write,
)

WAITING_MAX = 1024
"""Callers queued or being committed; more wait in `commit`, in order of arrival. Also the largest transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """What one caller wants written, all or nothing."""

    writes: Sequence[Write]
    done: asyncio.Future[None]


class GroupCommitWriter:
    """Owns the writing connection. Made in, and used from, one event loop.

    `transaction_count` counts the transactions committed so far.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.transaction_count = 0
        self._connection = connection
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(WAITING_MAX)
        self._waiting: SimpleQueue[_Group | None] = SimpleQueue()
        # A daemon, so that a program that forgot to close its store can still end; what was acknowledged is safe.
        self._thread = threading.Thread(target=self._run, name="heliograph-store-writer", daemon=True)
        self._thread.start()

    async def commit(self, writes: Sequence[Write]) -> None:
        """Return once `writes` are durable. A call that is cancelled while it waits may or may not be carried out."""
        await self._room.acquire()
        done = self._loop.create_future()
        self._waiting.put(_Group(writes=writes, done=done))
        await done

    async def drain(self) -> None:
        """Commit everything that waits, then end the thread. There must be no `commit` after this."""
        await self._room.acquire()  # behind every commit that waits for room
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        is_open = True
        while is_open:
            groups, is_open = self._take()
            if groups:
                self._loop.call_soon_threadsafe(self._resolve, groups, self._commit(groups))

    def _take(self) -> tuple[list[_Group], bool]:
        """Everything that waits, at least one item; False once the end is reached."""
        groups: list[_Group] = []
        with suppress(Empty):
            item = self._waiting.get()
            while item is not None:
                groups.append(item)
                item = self._waiting.get_nowait()
            return groups, False
        return groups, True

    def _resolve(self, groups: list[_Group], errors: list[Exception | None]) -> None:
        """In the event loop: tell every caller how it went."""
        for group, error in zip(groups, errors, strict=True):
            self._room.release()
            if group.done.done():
                continue  # the caller went away
            if error is None:
                group.done.set_result(None)
            else:
                group.done.set_exception(error)

    def _commit(self, groups: list[_Group]) -> list[Exception | None]:
        """One transaction: for each group None when it is durable, or why it is not."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            errors = [self._apply(group) for group in groups]
            self._connection.execute("COMMIT")
        except Exception as error:  # the top of a thread: whatever it is, the callers must hear of it
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")  # fails where SQLite has already rolled back by itself
            return [self._explain(error) for _ in groups]
        self.transaction_count += 1
        return errors

    def _explain(self, error: Exception) -> Exception:
        """The error for one caller: futures must not share an instance, raising it writes to its traceback."""
        if isinstance(error, sqlite3.Error) and is_medium_failure(error):
            explained = unavailable(error, self._path)
        else:
            explained = RuntimeError(f"the transaction was rolled back: {error}")
        explained.__cause__ = error
        return explained

    def _apply(self, group: _Group) -> Exception | None:
        """Write one caller's group under a savepoint; the caller's error, or None. Medium failures are raised."""
        self._connection.execute("SAVEPOINT caller")
        refused: Exception | None = None
        try:
            for write in group.writes:
                self._write(write)
        except Exception as error:  # one caller's bug must not reach the others
            if is_medium_failure(error):
                raise
            self._connection.execute("ROLLBACK TO caller")
            refused = error
        self._connection.execute("RELEASE caller")
        if isinstance(refused, sqlite3.IntegrityError):
            contradiction = AssertionError(f"the writes contradict what is stored: {refused}")
            contradiction.__cause__ = refused
            return contradiction
        return refused

    def _write(self, write: Write) -> None:
        execute = self._connection.execute
        match write:
            case PutJob(job=job):
                execute(queries.PUT_JOB, rows.row_of_job(job))
            case PutAttempt(attempt=attempt):
                execute(queries.PUT_ATTEMPT, rows.row_of_attempt(attempt))
            case PutOutput(output=output):
                execute(queries.PUT_OUTPUT, rows.row_of_output(output))
            case PostLedger(lines=lines):
                for posting_id, posting in postings(lines).items():
                    if execute(queries.HAS_POSTING, {"posting_id": posting_id}).fetchone() is None:
                        self._connection.executemany(
                            queries.POST_LEDGER_LINE, [rows.row_of_ledger_line(line) for line in posting]
                        )
            case PutIdempotency(record=record):
                execute(queries.PUT_IDEMPOTENCY, rows.row_of_idempotency(record))
            case PutApiKey(key=key):
                execute(queries.PUT_API_KEY, rows.row_of_api_key(key))
            case PutRefusal(refusal=refusal):
                execute(queries.PUT_REFUSAL, rows.row_of_refusal(refusal))
            case Forget(before_s=before_s):
                execute(queries.FORGET_IDEMPOTENCY, {"before_s": before_s})
                execute(queries.FORGET_REFUSALS, {"before_s": before_s})
            case _:
                self._write_webhook(write)

    def _write_webhook(self, write: WebhookWrite) -> None:
        execute = self._connection.execute
        match write:
            case PutWebhookEndpoint(endpoint=endpoint):
                execute(queries.PUT_WEBHOOK_ENDPOINT, rows.row_of_webhook_endpoint(endpoint))
            case DropWebhookEndpoint(endpoint_id=endpoint_id):
                execute(queries.DROP_WEBHOOK_ENDPOINT, {"endpoint_id": endpoint_id})
                execute(queries.DROP_WEBHOOK_TRIES_OF_TARGET, {"target": endpoint_id})
                execute(queries.DROP_WEBHOOK_MESSAGES_OF_TARGET, {"target": endpoint_id})
            case PutWebhookMessage(message=message):
                execute(queries.PUT_WEBHOOK_MESSAGE, rows.row_of_webhook_message(message))
            case MoveWebhookMessage(message=message, tried=tried):
                row = rows.row_of_webhook_message(message)
                if execute(queries.MOVE_WEBHOOK_MESSAGE, row).rowcount == 0:
                    return  # it was dropped meanwhile
                if message.state is MessageState.WAITING:
                    execute(queries.POSTPONE_WEBHOOK_LANE, row)
                if tried is not None:
                    execute(queries.PUT_WEBHOOK_TRY, rows.row_of_webhook_try(tried))
            case ReplayWebhooks(tenant_id=tenant_id, target=target, since_s=since_s, now_s=now_s):
                parameters = {"tenant_id": tenant_id, "target": target, "since_s": since_s, "now_s": now_s}
                execute(queries.REPLAY_WEBHOOK_TARGET, parameters)
            case ForgetWebhooks(before_s=before_s):
                execute(queries.FORGET_WEBHOOK_TRIES, {"before_s": before_s})
                execute(queries.FORGET_WEBHOOK_MESSAGES, {"before_s": before_s})
            case _:
                assert_never(write)
