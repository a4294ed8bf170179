"""The store's port: writes are values, committed together; reads are a few named queries.

One contract suite (`tests/storage/test_store_contract.py`) runs against every implementation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from heliograph.domain.accounts import ApiKey, Refusal
from heliograph.domain.billing_records import Account, LedgerLine, LedgerTotal
from heliograph.domain.ids import CaseId, EndpointId, JobId, MessageId, ModelId, OutputId, TenantId
from heliograph.domain.job import Attempt, Job
from heliograph.domain.keeping import Deletion, Holding, Keeping
from heliograph.domain.moderation import Case, CaseAction, CaseCount, CaseState, DeedCount
from heliograph.domain.money import Micros
from heliograph.domain.pictures import Output, Variant
from heliograph.domain.webhooks import WebhookEndpoint, WebhookMessage, WebhookTry
from heliograph.storage.case_writes import CaseWrite
from heliograph.storage.keeping import KeepingWrite, Regeneration


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
    """Insert a delivered picture, and how long it stays; a second write of the same id changes nothing."""

    """Insert a delivered picture without its variants; a second write of the same id changes nothing."""

    output: Output


@dataclass(frozen=True, slots=True, kw_only=True)
class PutVariant:
    """Insert a variant of a delivered picture.

    It changes nothing when there is one of that name already, or when its picture was deleted meanwhile.
    """

    variant: Variant


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
    """Delete idempotency records and refusals from before a time, in seconds since the epoch."""

    before_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DropJob:
    """Delete an ended job with its attempts, outputs and webhook messages; an open one stays as it is, and so does one
    with a picture that has a hold.

    Its ledger lines stay for ever: accounts outlive the jobs they are about.
    """

    job_id: JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBack:
    """Undo a submission that was refused because nobody could tell whether its commit was carried out.

    It deletes the job if it is there and has not ended, its webhook messages and cases, and those of `records` that
    name it. Nobody was told of the job, and what was decided for it was not carried out.
    """

    job_id: JobId
    records: tuple[IdempotencyRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PutWebhookEndpoint:
    """Insert the endpoint, or replace the row of the same id."""

    endpoint: WebhookEndpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class DropWebhookEndpoint:
    """Delete the endpoint with everything that was sent to it or waits for it."""

    endpoint_id: EndpointId


@dataclass(frozen=True, slots=True, kw_only=True)
class PutWebhookMessage:
    """Append a message to the outbox; a second write of the same id changes nothing."""

    message: WebhookMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveWebhookMessage:
    """Write down what became of a message: after a try, which is logged with it, or to send it again.

    While it waits, later messages of its lane wait at least as long.
    """

    message: WebhookMessage
    tried: WebhookTry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayWebhooks:
    """Make every message to a target due that was not delivered, from events at `since_s` on."""

    tenant_id: TenantId
    target: str
    since_s: float
    now_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetWebhooks:
    """Delete messages about events before a time, in seconds since the epoch, with their tries."""

    before_s: float


WebhookWrite = (
    PutWebhookEndpoint | DropWebhookEndpoint | PutWebhookMessage | MoveWebhookMessage | ReplayWebhooks | ForgetWebhooks
)

Write = (
    PutJob
    | PutAttempt
    | PutOutput
    | PutVariant
    | PostLedger
    | PutIdempotency
    | PutApiKey
    | PutRefusal
    | Forget
    | DropJob
    | TakeBack
    | CaseWrite
    | WebhookWrite
    | KeepingWrite
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """A job with what belongs to it. `cost_micros` is what the tenant was charged for it so far."""

    job: Job
    outputs: tuple[Output, ...]
    cost_micros: Micros


ALIKE_MAX = 200
ALIKE_BITS = 7
"""What `Store.outputs_alike` finds, and how many of it."""


class Store(Protocol):
    """Raises `Unavailable` when the medium fails (disk full, database gone); then nothing of the call was written."""

    @property
    def cpu_s(self) -> float:
        """CPU seconds that its writer's own thread took so far, 0 where there is none."""
        ...

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

    async def ended_jobs(self, *, before_s: float, limit: int) -> tuple[JobId, ...]:
        """At most `limit` of the jobs that ended before a time, in seconds since the epoch, longest ended first; none
        with a picture that has a star or a hold.
        """
        ...

    async def held_blobs(self, names: Sequence[str]) -> frozenset[str]:
        """Those of the names that an output has as its picture, thumbnail or a variant."""
        ...

    async def named_blobs(self, digits: str) -> frozenset[str]:
        """The names beginning with `digits`, two hexadecimal ones, that an output has as its picture or thumbnail."""
        ...

    async def last_sequence(self) -> int:
        """The highest sequence ever stored, 0 for an empty store."""
        ...

    async def output(self, output_id: OutputId) -> Output | None:
        """One delivered picture, or None."""
        ...

    async def keeping(self, output_id: OutputId) -> Keeping | None:
        """How long one picture stays and where it lies, or None."""
        ...

    async def keepings(
        self, *, before_s: float, limit: int, after: tuple[float, OutputId] | None = None
    ) -> tuple[Keeping, ...]:
        """At most `limit` of the pictures delivered before a time, oldest first; only those that come after the time
        and the id `after`."""
        ...

    async def holdings(self, *, now_s: float) -> tuple[Holding, ...]:
        """Every picture there is, counted by tenant, plan, place, age (0, 7, 30 or 90 days) and whether it must stay.
        Looks at every picture."""
        ...

    async def deletion(self, deletion_id: str) -> Deletion | None:
        """The record of one deletion, or None."""
        ...

    async def deletions(
        self, tenant_id: TenantId, *, limit: int, before_s: float | None = None
    ) -> tuple[Deletion, ...]:
        """A tenant's deletions, newest first: at most `limit` from before a time."""
        ...

    async def deletions_pending(self, *, limit: int) -> tuple[Deletion, ...]:
        """At most `limit` of the deletions of which something may still be there, oldest first."""
        ...

    async def regenerations(self, output_id: OutputId, *, limit: int) -> tuple[Regeneration, ...]:
        """The jobs that made a picture again, newest first, at most `limit`."""
        ...

    async def regenerations_of_model(self, model_id: ModelId, *, limit: int) -> tuple[Regeneration, ...]:
        """The jobs that made pictures of a model again, newest first, at most `limit`."""
        ...

    async def output_of_blob(self, names: Sequence[str]) -> Output | None:
        """A picture that has a file of one of these names, or None."""
        ...

    async def outputs_alike(self, tenant_id: TenantId, perceptual_hash: str) -> tuple[Output, ...]:
        """A tenant's pictures that may look alike, newest first, at most `ALIKE_MAX`.

        Those whose hash differs in up to `ALIKE_BITS` bits, and others beside them.
        """
        ...

    async def attempts(self, job_id: JobId) -> tuple[Attempt, ...]:
        """A job's finished attempts in order."""
        ...

    async def ledger(self, job_id: JobId) -> tuple[LedgerLine, ...]:
        """A job's ledger lines in order of posting."""
        ...

    async def posting(self, posting_id: str) -> tuple[LedgerLine, ...]:
        """A posting's lines in order; empty for one that was never made."""
        ...

    async def revenue_lines(self, *, after: tuple[float, str], until_s: float, limit: int) -> tuple[LedgerLine, ...]:
        """Lines on `revenue` behind a time and posting id and before `until_s`, in that order, at most `limit`."""
        ...

    async def ledger_balance(self, account: Account, *, before_s: float) -> Micros:
        """The sum of an account's lines from before a time. Looks at every line."""
        ...

    async def ledger_totals(self, *, since_s: float, until_s: float) -> tuple[LedgerTotal, ...]:
        """The sums of all lines from `since_s` on and before `until_s`. Looks at every line."""
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

    async def webhook_endpoints(self) -> tuple[WebhookEndpoint, ...]:
        """Every endpoint, oldest first."""
        ...

    async def webhook_targets(self) -> tuple[tuple[str, float], ...]:
        """Targets for which messages wait, each with the time when the first of them is due."""
        ...

    async def webhook_jobs_due(self, target: str, *, now_s: float, limit: int) -> tuple[JobId, ...]:
        """Jobs of the messages to a target that are due, longest due first, a job once for each of at most `limit`."""
        ...

    async def webhook_lane(self, job_id: JobId, target: str) -> tuple[WebhookMessage, ...]:
        """What waits to tell one target about one job, in the order of the events."""
        ...

    async def webhook_message(self, message_id: MessageId) -> WebhookMessage | None:
        """One message, or None."""
        ...

    async def webhook_messages(
        self, tenant_id: TenantId, *, limit: int, target: str | None = None, before: MessageId | None = None
    ) -> tuple[WebhookMessage, ...]:
        """A tenant's messages (to one target), newest first: at most `limit` from before the message `before`."""
        ...

    async def webhook_tries(self, message_id: MessageId) -> tuple[WebhookTry, ...]:
        """The tries to deliver a message, in order."""
        ...

    async def case(self, case_id: CaseId) -> Case | None:
        """One case, or None."""
        ...

    async def cases(self, state: CaseState, *, limit: int, after: CaseId | None = None) -> tuple[Case, ...]:
        """Cases in a state, the ones that came into it first first: at most `limit` from behind the case `after`."""
        ...

    async def cases_of_job(self, job_id: JobId) -> tuple[Case, ...]:
        """A job's cases, oldest first."""
        ...

    async def case_actions(self, case_id: CaseId) -> tuple[CaseAction, ...]:
        """A case's log, in order."""
        ...

    async def case_counts(self) -> tuple[CaseCount, ...]:
        """How many cases wait, by state; states without any are left out."""
        ...

    async def deed_counts(self, *, since_s: float) -> tuple[DeedCount, ...]:
        """Who did what how often since a time, in seconds since the epoch."""
        ...

    async def close(self) -> None:
        """Finish the writes under way and let go of the medium."""
        ...
