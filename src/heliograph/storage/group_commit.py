"""Group commit: one thread that makes the writes of many callers durable with one sync.

A sync takes milliseconds and costs the same for one row or a thousand, so committing every call by itself is some fifty
times slower under load than this:

    callers ──► queue (bounded) ──► writer thread: one transaction of everything that waits ──► the sync
            ◄── futures resolved ◄──

While one transaction is being synced the next callers queue up, so the groups grow with the load by themselves and a
lone caller never waits for company. A caller whose writes are wrong alone gets the error. When the medium fails, the
whole transaction is rolled back and every caller in it gets `Unavailable`; nothing else is remembered, so the next
transaction works as soon as the medium does.

How a transaction is carried out is the database's (`sqlite.py`, `postgres.py`).
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol

from heliograph.domain.errors import HeliographError
from heliograph.storage.statements import Statement, statements_of
from heliograph.storage.store import Write

WAITING_MAX = 1024
"""Callers queued or being committed; more wait in `commit`, in order of arrival. Also the largest transaction."""


class Transactions(Protocol):
    """Carries transactions out, called from the writer's thread alone."""

    def commit(self, groups: Sequence[Sequence[Statement]]) -> list[Exception | None]:
        """Run every group, all or nothing each, in one transaction that survives power loss.

        For each group None, or what was wrong with it. Raises when the transaction as a whole came to nothing:
        `Unavailable` for the medium's fault.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """What one caller wants written, all or nothing."""

    writes: Sequence[Write]
    done: asyncio.Future[None]


class GroupCommitWriter:
    """The one that writes. Made in, and used from, one event loop.

    `transaction_count` counts the transactions committed so far, `cpu_s` the CPU seconds they took.
    """

    def __init__(self, transactions: Transactions) -> None:
        self.transaction_count = 0
        self.cpu_s = 0.0
        self._transactions = transactions
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
                errors = self._commit(groups)
                self.cpu_s = time.thread_time()
                self._loop.call_soon_threadsafe(self._resolve, groups, errors)

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
        errors: list[Exception | None] = [None] * len(groups)
        sound: dict[int, list[Statement]] = {}
        for number, group in enumerate(groups):
            try:
                sound[number] = [statement for write in group.writes for statement in statements_of(write)]
            except Exception as error:  # one caller's bug must not reach the others
                errors[number] = error
        try:
            outcomes = self._transactions.commit(list(sound.values()))
        except Exception as error:  # the top of a thread: whatever it is, the callers must hear of it
            outcomes = [_for_one_caller(error) for _ in sound]
        else:
            self.transaction_count += 1
        for number, outcome in zip(sound, outcomes, strict=True):
            errors[number] = outcome
        return errors


def _for_one_caller(error: Exception) -> Exception:
    """The error again: futures must not share an instance, because raising it writes to its traceback."""
    is_explained = isinstance(error, HeliographError)
    explained = copy(error) if is_explained else RuntimeError(f"the transaction was rolled back: {error}")
    explained.__cause__ = error
    return explained
