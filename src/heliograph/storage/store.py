"""The store's port: writes are values, committed together; reads are a few named queries.

One contract suite (`tests/storage/test_store_contract.py`) runs against every implementation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from heliograph.domain.accounts import ApiKey, Refusal
from heliograph.domain.billing_records import LedgerLine
from heliograph.domain.ids import JobId, OutputId, TenantId
from heliograph.domain.job import Attempt, Job
from heliograph.domain.money import Micros
from heliograph.domain.pictures import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class PutJob:
    """Insert the job, or replace the row of the same id."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class PutAttempt:
    """Insert a finished attempt; a second write of the same (job, number) changes nothing."""

    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class PutOutput:
    """Insert a delivered picture; a second write of the same id changes nothing."""

    output: Output


@dataclass(frozen=True, slots=True, kw_only=True)
class PostLedger:
    """Append ledger lines that sum to zero; a posting id that exists already changes nothing."""

    lines: tuple[LedgerLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyRecord:
    """What an `Idempotency-Key` was used for. `fingerprint` is the hex SHA-256 of the canonical request body."""

    tenant_id: TenantId
    route: str
    key: str
    fingerprint: str
    job_id: JobId
    created_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PutIdempotency:
    """Insert the record, or replace an expired one with the same (tenant, route, key)."""

    record: IdempotencyRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class PutApiKey:
    """Insert the key, or replace the row of the same id (to revoke it)."""

    key: ApiKey


@dataclass(frozen=True, slots=True, kw_only=True)
class PutRefusal:
    """Insert a refusal."""

    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Delete idempotency records and refusals from before a time, in seconds since the epoch. Nothing else is ever."""

    before_s: float


Write = PutJob | PutAttempt | PutOutput | PostLedger | PutIdempotency | PutApiKey | PutRefusal | Forget


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """A job with what belongs to it. `cost_micros` is what the tenant was charged for it so far."""

    job: Job
    outputs: tuple[Output, ...]
    cost_micros: Micros


class Store(Protocol):
    """Raises `Unavailable` when the medium fails (disk full, database gone); then nothing of the call was written."""

    async def commit(self, writes: Sequence[Write]) -> None:
        """Apply `writes` in order, all or nothing, and return once they survive power loss.

        A write that contradicts what is stored (an output of an unknown job, a posting that does not sum to zero, one
        sequence for two jobs) is our bug: `AssertionError`, to this caller alone.
        """
        ...

    async def job(self, job_id: JobId) -> StoredJob | None:
        """One job, or None."""
        ...

    async def jobs(
        self, tenant_id: TenantId, *, limit: int, before_sequence: int | None = None
    ) -> tuple[StoredJob, ...]:
        """A tenant's jobs, newest first: at most `limit` with a sequence below `before_sequence`."""
        ...

    async def open_jobs(self) -> tuple[Job, ...]:
        """Every job that is not in a terminal state, in order of submission."""
        ...

    async def last_sequence(self) -> int:
        """The highest sequence ever stored, 0 for an empty store."""
        ...

    async def output(self, output_id: OutputId) -> Output | None:
        """One delivered picture, or None."""
        ...

    async def attempts(self, job_id: JobId) -> tuple[Attempt, ...]:
        """A job's finished attempts in order."""
        ...

    async def ledger(self, job_id: JobId) -> tuple[LedgerLine, ...]:
        """A job's ledger lines in order of posting."""
        ...

    async def idempotency(self, tenant_id: TenantId, route: str, key: str) -> IdempotencyRecord | None:
        """The record of a key, expired or not, or None."""
        ...

    async def refusals(self, tenant_id: TenantId, *, limit: int) -> tuple[Refusal, ...]:
        """A tenant's refusals, newest first, at most `limit`."""
        ...

    async def api_keys(self) -> tuple[ApiKey, ...]:
        """Every key ever made, revoked ones included, oldest first."""
        ...

    async def close(self) -> None:
        """Finish the writes under way and let go of the medium."""
        ...
