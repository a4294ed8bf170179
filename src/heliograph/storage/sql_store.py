"""The store over named SQL, whichever database carries it out.

Writes go through one thread with group commit (`group_commit.py`). Reads have threads of their own: they see the last
committed state and never wait for a commit.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol, TypeVar

from heliograph.domain.accounts import ApiKey, Refusal
from heliograph.domain.billing_records import Account, LedgerLine, LedgerTotal
from heliograph.domain.errors import Unavailable
from heliograph.domain.ids import CaseId, JobId, MessageId, ModelId, OutputId, TenantId
from heliograph.domain.job import Attempt, Job
from heliograph.domain.keeping import Deletion, Holding, Keeping
from heliograph.domain.moderation import Case, CaseAction, CaseCount, CaseState, DeedCount
from heliograph.domain.money import Micros
from heliograph.domain.pictures import Output, Variant
from heliograph.domain.webhooks import WebhookEndpoint, WebhookMessage, WebhookTry
from heliograph.storage import case_rows, keeping_queries, keeping_rows, queries, rows
from heliograph.storage.group_commit import GroupCommitWriter, Transactions
from heliograph.storage.keeping import Regeneration
from heliograph.storage.store import ALIKE_MAX, IdempotencyRecord, StoredJob, Write

_Result = TypeVar("_Result")

_AFTER_EVERY_SEQUENCE = 2**63 - 1
_AFTER_EVERY_TIME_S = 1e300
DAY_S = 86_400.0

_OPEN_JOBS_AT_ONCE = 10_000
"""However many there are, no query runs for long and no more than these are in memory twice."""


class Snapshot(Protocol):
    """One committed state of the database, however many queries are made of it."""

    def rows(self, query: str, **parameters: str | float) -> Iterable[rows.Row]:
        """The rows of one query of `queries.py`, to be read before the next query."""
        ...


class Database(Transactions, Protocol):
    """What a technology file brings: transactions for the writer's thread, snapshots for the readers'.

    Both raise `Unavailable` when the medium fails, and work again once it does.
    """

    readers_max: int
    """Threads that may read at once."""

    def read(self, read: Callable[[Snapshot], _Result]) -> _Result:
        """What `read` makes of a snapshot; called from a reader's thread."""
        ...

    def close(self) -> None:
        """Let go of the medium; nothing is under way any more."""
        ...


class SqlStore:
    """A `Store` over a database; used from the event loop that made it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writer = GroupCommitWriter(database)
        self._readers = ThreadPoolExecutor(database.readers_max, thread_name_prefix="heliograph-store-reader")
        self._is_closed = False

    @property
    def transaction_count(self) -> int:
        """Transactions committed since opening: under load far fewer than calls of `commit`."""
        return self._writer.transaction_count

    @property
    def cpu_s(self) -> float:
        """See `Store`."""
        return self._writer.cpu_s

    async def commit(self, writes: Sequence[Write]) -> None:
        """See `Store.commit`. A call that is cancelled while it waits may or may not be carried out."""
        self._check_open()
        if writes:
            await self._writer.commit(writes)

    async def job(self, job_id: JobId) -> StoredJob | None:
        """See `Store.job`."""

        def read(snapshot: Snapshot) -> StoredJob | None:
            row = next(iter(snapshot.rows(queries.JOB, job_id=job_id)), None)
            if row is None:
                return None
            outputs = tuple(map(rows.output_of_row, snapshot.rows(queries.OUTPUTS_OF_JOB, job_id=job_id)))
            if outputs:
                outputs = _with_variants(outputs, snapshot.rows(queries.VARIANTS_OF_JOB, job_id=job_id))
            return _stored_job(row, outputs)

        return await self._read(read)

    async def jobs(
        self, tenant_id: TenantId, *, limit: int, before_sequence: int | None = None
    ) -> tuple[StoredJob, ...]:
        """See `Store.jobs`."""
        before = _AFTER_EVERY_SEQUENCE if before_sequence is None else before_sequence

        def read(snapshot: Snapshot) -> tuple[StoredJob, ...]:
            page = list(snapshot.rows(queries.JOBS_OF_TENANT, tenant_id=tenant_id, before_sequence=before, limit=limit))
            if not page:
                return ()
            outputs: dict[str, list[Output]] = {row["job_id"]: [] for row in page}
            oldest, newest = page[-1]["sequence"], page[0]["sequence"]
            span = {"tenant_id": tenant_id, "oldest": oldest, "newest": newest}
            made = tuple(map(rows.output_of_row, snapshot.rows(queries.OUTPUTS_OF_JOBS, **span)))
            for output in _with_variants(made, snapshot.rows(queries.VARIANTS_OF_JOBS, **span)):
                outputs[output.job_id].append(output)
            return tuple(_stored_job(row, tuple(outputs[row["job_id"]])) for row in page)

        return await self._read(read)

    async def open_jobs(self) -> tuple[Job, ...]:
        """See `Store.open_jobs`."""

        def read(snapshot: Snapshot) -> tuple[Job, ...]:
            jobs: list[Job] = []
            while True:
                after = jobs[-1].sequence if jobs else 0
                page = snapshot.rows(queries.OPEN_JOBS, after_sequence=after, limit=_OPEN_JOBS_AT_ONCE)
                count = len(jobs)
                jobs += map(rows.job_of_row, page)
                if len(jobs) < count + _OPEN_JOBS_AT_ONCE:
                    return tuple(jobs)

        return await self._read(read)

    async def ended_jobs(self, *, before_s: float, limit: int) -> tuple[JobId, ...]:
        """See `Store.ended_jobs`."""
        return await self._all(queries.ENDED_JOBS, lambda row: JobId(row["job_id"]), before_s=before_s, limit=limit)

    async def held_blobs(self, names: Sequence[str]) -> frozenset[str]:
        """See `Store.held_blobs`."""

        def read(snapshot: Snapshot) -> frozenset[str]:
            return frozenset(name for name in names if list(snapshot.rows(queries.HOLDS_BLOB, name=name)))

        return await self._read(read)

    async def named_blobs(self, digits: str) -> frozenset[str]:
        """See `Store.named_blobs`."""
        # After the two digits comes a third one, and all of them are below `g`.
        found = await self._all(queries.NAMED_BLOBS, lambda row: str(row["name"]), low=digits, high=f"{digits}g")
        return frozenset(found)

    async def last_sequence(self) -> int:
        """See `Store.last_sequence`."""
        return (await self._all(queries.LAST_SEQUENCE, lambda row: int(row["last_sequence"])))[0]

    async def output(self, output_id: OutputId) -> Output | None:
        """See `Store.output`."""

        def read(snapshot: Snapshot) -> Output | None:
            found = tuple(map(rows.output_of_row, snapshot.rows(queries.OUTPUT, output_id=output_id)))
            if not found:
                return None
            return _with_variants(found, snapshot.rows(queries.VARIANTS_OF_OUTPUT, output_id=output_id))[0]

        return await self._read(read)

    async def output_of_blob(self, names: Sequence[str]) -> Output | None:
        """See `Store.output_of_blob`."""

        def read(snapshot: Snapshot) -> Output | None:
            for name in names:
                for row in snapshot.rows(queries.OUTPUT_OF_BLOB, name=name):
                    return rows.output_of_row(row)
            return None

        return await self._read(read)

    async def outputs_alike(self, tenant_id: TenantId, perceptual_hash: str) -> tuple[Output, ...]:
        """See `Store.outputs_alike`. Two hashes 7 bits apart agree in one of 4 bands but for one bit."""
        near = [_near_bands(perceptual_hash[start : start + 4]) for start in range(0, len(perceptual_hash), 4)]
        values = {f"near_{band}_{i}": each for band, some in enumerate(near) for i, each in enumerate(some)}
        query = queries.outputs_alike(len(near), len(near[0]))
        return await self._all(query, rows.output_of_row, tenant_id=tenant_id, limit=ALIKE_MAX, **values)

    async def keeping(self, output_id: OutputId) -> Keeping | None:
        """See `Store.keeping`."""
        found = await self._all(keeping_queries.KEEPING, keeping_rows.keeping_of_row, output_id=output_id)
        return found[0] if found else None

    async def keepings(
        self, *, before_s: float, limit: int, after: tuple[float, OutputId] | None = None
    ) -> tuple[Keeping, ...]:
        """See `Store.keepings`."""
        after_s, after_id = after or (-_AFTER_EVERY_TIME_S, "")
        return await self._all(
            keeping_queries.KEEPINGS,
            keeping_rows.keeping_of_row,
            before_s=before_s,
            after_s=after_s,
            after_id=after_id,
            limit=limit,
        )

    async def holdings(self, *, now_s: float) -> tuple[Holding, ...]:
        """See `Store.holdings`."""
        return await self._all(
            keeping_queries.HOLDINGS,
            keeping_rows.holding_of_row,
            week_ago_s=now_s - 7 * DAY_S,
            month_ago_s=now_s - 30 * DAY_S,
            quarter_ago_s=now_s - 90 * DAY_S,
        )

    async def deletion(self, deletion_id: str) -> Deletion | None:
        """See `Store.deletion`."""
        found = await self._all(keeping_queries.DELETION, keeping_rows.deletion_of_row, deletion_id=deletion_id)
        return found[0] if found else None

    async def deletions(
        self, tenant_id: TenantId, *, limit: int, before_s: float | None = None
    ) -> tuple[Deletion, ...]:
        """See `Store.deletions`."""
        return await self._all(
            keeping_queries.DELETIONS_OF_TENANT,
            keeping_rows.deletion_of_row,
            tenant_id=tenant_id,
            limit=limit,
            before_s=_AFTER_EVERY_TIME_S if before_s is None else before_s,
        )

    async def deletions_pending(self, *, limit: int) -> tuple[Deletion, ...]:
        """See `Store.deletions_pending`."""
        return await self._all(keeping_queries.DELETIONS_PENDING, keeping_rows.deletion_of_row, limit=limit)

    async def regenerations(self, output_id: OutputId, *, limit: int) -> tuple[Regeneration, ...]:
        """See `Store.regenerations`."""
        return await self._all(
            keeping_queries.REGENERATIONS, keeping_rows.regeneration_of_row, output_id=output_id, limit=limit
        )

    async def regenerations_of_model(self, model_id: ModelId, *, limit: int) -> tuple[Regeneration, ...]:
        """See `Store.regenerations_of_model`."""
        return await self._all(
            keeping_queries.REGENERATIONS_OF_MODEL, keeping_rows.regeneration_of_row, model_id=model_id, limit=limit
        )

    async def attempts(self, job_id: JobId) -> tuple[Attempt, ...]:
        """See `Store.attempts`."""
        return await self._all(queries.ATTEMPTS_OF_JOB, rows.attempt_of_row, job_id=job_id)

    async def ledger(self, job_id: JobId) -> tuple[LedgerLine, ...]:
        """See `Store.ledger`."""
        return await self._all(queries.LEDGER_OF_JOB, rows.ledger_line_of_row, job_id=job_id)

    async def posting(self, posting_id: str) -> tuple[LedgerLine, ...]:
        """See `Store.posting`."""
        return await self._all(queries.POSTING, rows.ledger_line_of_row, posting_id=posting_id)

    async def revenue_lines(self, *, after: tuple[float, str], until_s: float, limit: int) -> tuple[LedgerLine, ...]:
        """See `Store.revenue_lines`."""
        return await self._all(
            queries.REVENUE_LINES,
            rows.ledger_line_of_row,
            after_s=after[0],
            after_id=after[1],
            until_s=until_s,
            limit=limit,
        )

    async def ledger_balance(self, account: Account, *, before_s: float) -> Micros:
        """See `Store.ledger_balance`."""
        found = await self._all(
            queries.LEDGER_BALANCE, lambda row: Micros(int(row["balance"])), account=account.value, before_s=before_s
        )
        return found[0]

    async def ledger_totals(self, *, since_s: float, until_s: float) -> tuple[LedgerTotal, ...]:
        """See `Store.ledger_totals`."""
        return await self._all(queries.LEDGER_TOTALS, rows.ledger_total_of_row, since_s=since_s, until_s=until_s)

    async def idempotency(self, tenant_id: TenantId, route: str, key: str) -> IdempotencyRecord | None:
        """See `Store.idempotency`."""
        found = await self._all(queries.IDEMPOTENCY, rows.idempotency_of_row, tenant_id=tenant_id, route=route, key=key)
        return found[0] if found else None

    async def refusals(self, tenant_id: TenantId, *, limit: int) -> tuple[Refusal, ...]:
        """See `Store.refusals`."""
        return await self._all(queries.REFUSALS, rows.refusal_of_row, tenant_id=tenant_id, limit=limit)

    async def api_keys(self) -> tuple[ApiKey, ...]:
        """See `Store.api_keys`."""
        return await self._all(queries.API_KEYS, rows.api_key_of_row)

    async def webhook_endpoints(self) -> tuple[WebhookEndpoint, ...]:
        """See `Store.webhook_endpoints`."""
        return await self._all(queries.WEBHOOK_ENDPOINTS, rows.webhook_endpoint_of_row)

    async def webhook_targets(self) -> tuple[tuple[str, float], ...]:
        """See `Store.webhook_targets`."""
        return await self._all(queries.WEBHOOK_TARGETS, lambda row: (str(row["target"]), float(row["next_at_s"])))

    async def webhook_jobs_due(self, target: str, *, now_s: float, limit: int) -> tuple[JobId, ...]:
        """See `Store.webhook_jobs_due`."""
        return await self._all(
            queries.WEBHOOK_JOBS_DUE,
            lambda row: JobId(row["job_id"]),
            target=target,
            now_s=now_s,
            limit=limit,
        )

    async def webhook_lane(self, job_id: JobId, target: str) -> tuple[WebhookMessage, ...]:
        """See `Store.webhook_lane`."""
        return await self._all(queries.WEBHOOK_LANE, rows.webhook_message_of_row, job_id=job_id, target=target)

    async def webhook_message(self, message_id: MessageId) -> WebhookMessage | None:
        """See `Store.webhook_message`."""
        found = await self._all(queries.WEBHOOK_MESSAGE, rows.webhook_message_of_row, message_id=message_id)
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
        return await self._all(query, rows.webhook_message_of_row, **parameters)

    async def webhook_tries(self, message_id: MessageId) -> tuple[WebhookTry, ...]:
        """See `Store.webhook_tries`."""
        return await self._all(queries.WEBHOOK_TRIES, rows.webhook_try_of_row, message_id=message_id)

    async def case(self, case_id: CaseId) -> Case | None:
        """See `Store.case`."""
        found = await self._all(queries.CASE, case_rows.case_of_row, case_id=case_id)
        return found[0] if found else None

    async def cases(self, state: CaseState, *, limit: int, after: CaseId | None = None) -> tuple[Case, ...]:
        """See `Store.cases`."""
        if after is None:
            return await self._all(queries.CASES, case_rows.case_of_row, state=state.value, limit=limit)
        parameters = {"state": state.value, "after": after, "limit": limit}
        return await self._all(queries.CASES_AFTER, case_rows.case_of_row, **parameters)

    async def cases_of_job(self, job_id: JobId) -> tuple[Case, ...]:
        """See `Store.cases_of_job`."""
        return await self._all(queries.CASES_OF_JOB, case_rows.case_of_row, job_id=job_id)

    async def case_actions(self, case_id: CaseId) -> tuple[CaseAction, ...]:
        """See `Store.case_actions`."""
        return await self._all(queries.CASE_ACTIONS, case_rows.case_action_of_row, case_id=case_id)

    async def case_counts(self) -> tuple[CaseCount, ...]:
        """See `Store.case_counts`."""
        return await self._all(queries.CASE_COUNTS, case_rows.case_count_of_row)

    async def deed_counts(self, *, since_s: float) -> tuple[DeedCount, ...]:
        """See `Store.deed_counts`."""
        return await self._all(queries.DEED_COUNTS, case_rows.deed_count_of_row, since_s=since_s)

    async def close(self) -> None:
        """See `Store.close`. Calls that began before are finished, later ones get `Unavailable`."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._writer.drain()
        await asyncio.to_thread(self._let_go)

    def _let_go(self) -> None:
        self._readers.shutdown()
        self._database.close()

    async def _all(
        self, query: str, value_of_row: Callable[[rows.Row], _Result], **parameters: str | float
    ) -> tuple[_Result, ...]:
        return await self._read(lambda snapshot: tuple(map(value_of_row, snapshot.rows(query, **parameters))))

    async def _read(self, read: Callable[[Snapshot], _Result]) -> _Result:
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._database.read, read)

    def _check_open(self) -> None:
        if self._is_closed:
            raise Unavailable("The store is closed because the server is shutting down.", code="shutting_down")


def _near_bands(digits: str) -> list[str]:
    """The hexadecimal number itself and all that differ from it in one bit."""
    width = len(digits)
    return [digits, *(f"{int(digits, 16) ^ 1 << bit:0{width}x}" for bit in range(4 * width))]


def _with_variants(outputs: tuple[Output, ...], found: Iterable[rows.Row]) -> tuple[Output, ...]:
    """The pictures, each with its own of the rows of `output_variants`."""
    variants: dict[str, list[Variant]] = {}
    for row in found:
        variants.setdefault(row["output_id"], []).append(rows.variant_of_row(row))
    if not variants:
        return outputs
    return tuple(
        replace(output, variants=tuple(sorted(variants.get(output.output_id, ()), key=lambda each: each.name)))
        for output in outputs
    )


def _stored_job(row: rows.Row, outputs: tuple[Output, ...]) -> StoredJob:
    return StoredJob(job=rows.job_of_row(row), outputs=outputs, cost_micros=Micros(row["cost_micros"]))
