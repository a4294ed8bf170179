"""The store in memory: for tests, demos and the simulator. It keeps everything until it is dropped.

Values are frozen, so what was put in is handed out again without copying. All or nothing is an undo log: every change
notes how to take itself back, and a failed call takes back what it had changed.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar, assert_never

from heliograph.domain.accounts import ApiKey, Refusal
from heliograph.domain.billing_records import Account, LedgerLine, LedgerTotal
from heliograph.domain.ids import CaseId, EndpointId, JobId, KeyId, MessageId, ModelId, OutputId, TenantId
from heliograph.domain.job import Attempt, Job
from heliograph.domain.keeping import Deletion, DeletionReason, Holding, Keeping, StorageTier
from heliograph.domain.moderation import Case, CaseAction, CaseCount, CaseState, DeedCount
from heliograph.domain.money import Micros
from heliograph.domain.pictures import Output
from heliograph.domain.tiers import Tier
from heliograph.domain.webhooks import MessageState, WebhookEndpoint, WebhookMessage, WebhookTry
from heliograph.storage.case_writes import CaseWrite, ForgetCases, MoveCase, OpenCase, SetAvailability
from heliograph.storage.keeping import (
    EndDeletion,
    EraseOutput,
    HoldOutput,
    KeepingWrite,
    MoveOutput,
    PutRegeneration,
    Regeneration,
    StarOutput,
)
from heliograph.storage.postings import postings
from heliograph.storage.store import (
    ALIKE_BITS,
    ALIKE_MAX,
    DropJob,
    DropWebhookEndpoint,
    Forget,
    ForgetWebhooks,
    IdempotencyRecord,
    MoveWebhookMessage,
    PostLedger,
    PutApiKey,
    PutAttempt,
    PutIdempotency,
    PutJob,
    PutOutput,
    PutRefusal,
    PutVariant,
    PutWebhookEndpoint,
    PutWebhookMessage,
    ReplayWebhooks,
    StoredJob,
    TakeBack,
    WebhookWrite,
    Write,
)

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class MemoryStore:
    """A `Store` that dies with its process. Closing it keeps its contents: a test can "restart" on it."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, Job] = {}
        self._job_at: dict[int, JobId] = {}
        self._attempts: dict[JobId, dict[int, Attempt]] = {}
        self._outputs: dict[OutputId, Output] = {}
        self._outputs_of: dict[JobId, tuple[Output, ...]] = {}
        self._keepings: dict[OutputId, Keeping] = {}
        self._deletions: dict[str, Deletion] = {}
        self._regenerations: dict[JobId, Regeneration] = {}
        self._ledger_of: dict[JobId, tuple[LedgerLine, ...]] = {}
        self._postings: dict[str, tuple[LedgerLine, ...]] = {}
        self._idempotency: dict[tuple[TenantId, str, str], IdempotencyRecord] = {}
        self._api_keys: dict[KeyId, ApiKey] = {}
        self._refusals: dict[str, Refusal] = {}
        self._endpoints: dict[EndpointId, WebhookEndpoint] = {}
        self._messages: dict[MessageId, WebhookMessage] = {}
        self._tries: dict[MessageId, tuple[WebhookTry, ...]] = {}
        self._cases: dict[CaseId, Case] = {}
        self._case_actions: dict[CaseId, dict[int, CaseAction]] = {}
        self._undo: list[Callable[[], object]] = []

    @property
    def cpu_s(self) -> float:
        """See `Store`; it has no thread."""
        return 0.0

    async def commit(self, writes: Sequence[Write]) -> None:
        """See `Store.commit`; durable means that the dictionaries have it."""
        self._undo.clear()
        try:
            for write in writes:
                self._apply(write)
        except BaseException:
            while self._undo:
                self._undo.pop()()
            raise

    def _apply(self, write: Write) -> None:
        match write:
            case PutJob(job=job):
                known = self._jobs.get(job.job_id)
                assert known is None or (known.sequence, known.tenant_id) == (job.sequence, job.tenant_id), (
                    f"the sequence or the tenant of job {job.job_id} changed"
                )
                holder = self._job_at.get(job.sequence, job.job_id)
                assert holder == job.job_id, f"jobs {holder} and {job.job_id} have the same sequence {job.sequence}"
                self._set(self._job_at, job.sequence, job.job_id)
                self._set(self._jobs, job.job_id, job)
            case PutAttempt(attempt=attempt):
                self._check_job(attempt.job_id)
                of_job = self._attempts.setdefault(attempt.job_id, {})
                if attempt.number not in of_job:
                    self._set(of_job, attempt.number, attempt)
            case PutOutput(output=output):
                self._check_job(output.job_id)
                if output.output_id not in self._outputs:
                    self._set(self._outputs, output.output_id, output)
                    self._set(self._outputs_of, output.job_id, (*self._outputs_of.get(output.job_id, ()), output))
                    self._set(self._keepings, output.output_id, _new_keeping(output, self._jobs[output.job_id]))
            case PutVariant(variant=variant):
                output = self._outputs.get(variant.output_id)
                names = {each.name for each in output.variants} if output is not None else set[str]()
                if output is not None and variant.name not in names:
                    ordered = tuple(sorted((*output.variants, variant), key=lambda each: each.name))
                    self._replace_output(replace(output, variants=ordered))
            case PostLedger(lines=lines):
                for posting_id, posting in postings(lines).items():
                    if posting_id not in self._postings:
                        self._post(posting_id, posting)
            case PutIdempotency(record=record):
                self._set(self._idempotency, (record.tenant_id, record.route, record.key), record)
            case PutApiKey(key=key):
                self._set(self._api_keys, key.key_id, key)
            case PutRefusal(refusal=refusal):
                if refusal.refusal_id not in self._refusals:
                    self._set(self._refusals, refusal.refusal_id, refusal)
            case Forget(before_s=before_s):
                for key, record in list(self._idempotency.items()):
                    if record.created_at_s < before_s:
                        self._drop(self._idempotency, key)
                for refusal_id, refusal in list(self._refusals.items()):
                    if refusal.at_s < before_s:
                        self._drop(self._refusals, refusal_id)
            case DropJob(job_id=job_id):
                job = self._jobs.get(job_id)
                if job is not None and job.state.is_terminal and not self._has_hold(job_id):
                    self._drop_job(job)
            case TakeBack(job_id=job_id, records=records):
                for record in records:
                    key = (record.tenant_id, record.route, record.key)
                    if key in self._idempotency and self._idempotency[key].job_id == job_id:
                        self._drop(self._idempotency, key)
                job = self._jobs.get(job_id)
                if job is not None and not job.state.is_terminal:
                    self._drop_cases(lambda case: case.job_id == job_id)
                    self._drop_job(job)
            case StarOutput() | HoldOutput() | MoveOutput() | EraseOutput() | EndDeletion() | PutRegeneration():
                self._apply_keeping(write)
            case OpenCase() | MoveCase() | SetAvailability() | ForgetCases():
                self._apply_case(write)
            case _:
                self._apply_webhook(write)

    def _apply_case(self, write: CaseWrite) -> None:
        match write:
            case OpenCase(case=case, action=action):
                if case.case_id not in self._cases:
                    self._set(self._cases, case.case_id, case)
                self._log_case(action)
            case MoveCase(case=case, action=action):
                if case.case_id in self._cases and self._cases[case.case_id].actions < case.actions:
                    self._set(self._cases, case.case_id, case)
                self._log_case(action)
            case SetAvailability(output_id=output_id, availability=availability):
                output = self._outputs.get(output_id)
                if output is not None:
                    changed = replace(output, availability=availability)
                    self._set(self._outputs, output_id, changed)
                    of_job = self._outputs_of[output.job_id]
                    of_job = tuple(changed if each.output_id == output_id else each for each in of_job)
                    self._set(self._outputs_of, output.job_id, of_job)
            case ForgetCases(before_s=before_s):
                self._drop_cases(lambda case: not case.state.is_waiting and case.since_s < before_s)
            case _:
                assert_never(write)

    def _log_case(self, action: CaseAction) -> None:
        lines = self._case_actions.setdefault(action.case_id, {})
        if action.number not in lines:
            self._set(lines, action.number, action)

    def _drop_cases(self, is_unwanted: Callable[[Case], bool]) -> None:
        for case in [case for case in self._cases.values() if is_unwanted(case)]:
            self._drop(self._cases, case.case_id)
            self._drop(self._case_actions, case.case_id)

    def _apply_keeping(self, write: KeepingWrite) -> None:
        match write:
            case StarOutput(output_id=output_id, at_s=at_s):
                if output_id in self._keepings:
                    self._set(self._keepings, output_id, replace(self._keepings[output_id], starred_at_s=at_s))
            case HoldOutput(output_id=output_id, at_s=at_s):
                if output_id in self._keepings:
                    self._set(self._keepings, output_id, replace(self._keepings[output_id], held_at_s=at_s))
            case MoveOutput(output_id=output_id, to=to, at_s=at_s):
                keeping = self._keepings.get(output_id)
                if keeping is not None and not (to is StorageTier.RECIPE and keeping.is_kept):
                    self._set(self._keepings, output_id, replace(keeping, storage_tier=to, moved_at_s=at_s))
                    if to is StorageTier.RECIPE:
                        self._replace_output(replace(self._outputs[output_id], variants=()))
            case EraseOutput(deletion=deletion):
                keeping, output = self._keepings.get(deletion.output_id), self._outputs.get(deletion.output_id)
                if keeping is None or output is None or keeping.held_at_s is not None:
                    return
                if keeping.starred_at_s is None or deletion.reason is not DeletionReason.RETENTION:
                    self._set(self._deletions, deletion.deletion_id, replace(deletion, done_at_s=None))
                    self._drop(self._keepings, deletion.output_id)
                    self._drop(self._outputs, deletion.output_id)
                    left = tuple(each for each in self._outputs_of[output.job_id] if each is not output)
                    self._set(self._outputs_of, output.job_id, left)
            case EndDeletion(deletion_id=deletion_id, at_s=at_s):
                deletion = self._deletions.get(deletion_id)
                if deletion is not None and deletion.done_at_s is None:
                    self._set(self._deletions, deletion_id, replace(deletion, done_at_s=at_s))
            case PutRegeneration(regeneration=regeneration):
                if regeneration.job_id not in self._regenerations:
                    self._set(self._regenerations, regeneration.job_id, regeneration)
            case _:
                assert_never(write)

    def _has_hold(self, job_id: JobId) -> bool:
        return any(each.job_id == job_id and each.held_at_s is not None for each in self._keepings.values())

    def _apply_webhook(self, write: WebhookWrite) -> None:
        match write:
            case PutWebhookEndpoint(endpoint=endpoint):
                self._set(self._endpoints, endpoint.endpoint_id, endpoint)
            case DropWebhookEndpoint(endpoint_id=endpoint_id):
                if endpoint_id in self._endpoints:
                    self._drop(self._endpoints, endpoint_id)
                self._drop_messages(lambda message: message.target == endpoint_id)
            case PutWebhookMessage(message=message):
                if message.message_id not in self._messages:
                    self._set(self._messages, message.message_id, message)
            case MoveWebhookMessage(message=message, tried=tried):
                if message.message_id not in self._messages:
                    return
                self._set(self._messages, message.message_id, message)
                if message.state is MessageState.WAITING:
                    self._postpone_lane(message)
                if tried is not None:
                    earlier = self._tries.get(message.message_id, ())
                    if tried.number not in {one.number for one in earlier}:
                        self._set(self._tries, message.message_id, (*earlier, tried))
            case ReplayWebhooks(tenant_id=tenant_id, target=target, since_s=since_s, now_s=now_s):
                for message in list(self._messages.values()):
                    is_meant = (message.tenant_id, message.target) == (tenant_id, target) and message.at_s >= since_s
                    if is_meant and message.state is not MessageState.DELIVERED:
                        again = replace(
                            message, state=MessageState.WAITING, failures=0, next_at_s=now_s, ended_at_s=None
                        )
                        self._set(self._messages, message.message_id, again)
            case ForgetWebhooks(before_s=before_s):
                self._drop_messages(lambda message: message.at_s < before_s)
            case _:
                assert_never(write)

    def _postpone_lane(self, head: WebhookMessage) -> None:
        for message in self._lane(head.job_id, head.target):
            if message.next_at_s < head.next_at_s:
                self._set(self._messages, message.message_id, replace(message, next_at_s=head.next_at_s))

    def _replace_output(self, output: Output) -> None:
        others = tuple(each for each in self._outputs_of[output.job_id] if each.output_id != output.output_id)
        self._set(self._outputs, output.output_id, output)
        self._set(self._outputs_of, output.job_id, (*others, output))

    def _drop_messages(self, is_unwanted: Callable[[WebhookMessage], bool]) -> None:
        for message in [message for message in self._messages.values() if is_unwanted(message)]:
            self._drop(self._messages, message.message_id)
            if message.message_id in self._tries:
                self._drop(self._tries, message.message_id)

    def _lane(self, job_id: JobId, target: str) -> list[WebhookMessage]:
        own = (message for message in self._messages.values() if (message.job_id, message.target) == (job_id, target))
        return [message for message in own if message.state is MessageState.WAITING]

    def _drop_job(self, job: Job) -> None:
        self._drop_messages(lambda message: message.job_id == job.job_id)
        for output in self._outputs_of.get(job.job_id, ()):
            self._drop(self._outputs, output.output_id)
            self._drop(self._keepings, output.output_id)
        if job.job_id in self._regenerations:
            self._drop(self._regenerations, job.job_id)
        if job.job_id in self._outputs_of:
            self._drop(self._outputs_of, job.job_id)
        if job.job_id in self._attempts:
            self._drop(self._attempts, job.job_id)
        self._drop(self._job_at, job.sequence)
        self._drop(self._jobs, job.job_id)

    def _post(self, posting_id: str, posting: tuple[LedgerLine, ...]) -> None:
        self._set(self._postings, posting_id, posting)
        for line in posting:
            self._set(self._ledger_of, line.job_id, (*self._ledger_of.get(line.job_id, ()), line))

    def _check_job(self, job_id: JobId) -> None:
        assert job_id in self._jobs, f"job {job_id} is written to before it exists"

    def _set(self, table: dict[_Key, _Value], key: _Key, value: _Value) -> None:
        """Put one value and note how to take it back."""
        undo = partial(table.__setitem__, key, table[key]) if key in table else partial(table.pop, key)
        table[key] = value
        self._undo.append(undo)

    def _drop(self, table: dict[_Key, _Value], key: _Key) -> None:
        """Take one value out and note how to put it back."""
        self._undo.append(partial(table.__setitem__, key, table.pop(key)))

    async def job(self, job_id: JobId) -> StoredJob | None:
        """See `Store.job`."""
        job = self._jobs.get(job_id)
        return job and self._stored(job)

    async def jobs(
        self, tenant_id: TenantId, *, limit: int, before_sequence: int | None = None
    ) -> tuple[StoredJob, ...]:
        """See `Store.jobs`. Looks at every job there is."""
        matching = (
            job
            for job in self._jobs.values()
            if job.tenant_id == tenant_id and (before_sequence is None or job.sequence < before_sequence)
        )
        return tuple(self._stored(job) for job in heapq.nlargest(limit, matching, key=lambda job: job.sequence))

    def _stored(self, job: Job) -> StoredJob:
        paid_micros = sum(
            line.amount_micros for line in self._ledger_of.get(job.job_id, ()) if line.account is Account.TENANT
        )
        outputs = sorted(self._outputs_of.get(job.job_id, ()), key=lambda output: output.index)
        return StoredJob(job=job, outputs=tuple(outputs), cost_micros=Micros(-paid_micros))

    async def open_jobs(self) -> tuple[Job, ...]:
        """See `Store.open_jobs`."""
        is_open = (job for job in self._jobs.values() if not job.state.is_terminal)
        return tuple(sorted(is_open, key=lambda job: job.sequence))

    async def ended_jobs(self, *, before_s: float, limit: int) -> tuple[JobId, ...]:
        """See `Store.ended_jobs`. Looks at every job there is."""
        kept = {each.job_id for each in self._keepings.values() if each.is_kept}
        ended = [(job.finished_at_s, job.sequence, job.job_id) for job in self._jobs.values() if job.finished_at_s]
        return tuple(job_id for at_s, _, job_id in sorted(ended) if at_s < before_s and job_id not in kept)[:limit]

    async def held_blobs(self, names: Sequence[str]) -> frozenset[str]:
        """See `Store.held_blobs`."""
        return frozenset(names) & self._named()

    async def named_blobs(self, digits: str) -> frozenset[str]:
        """See `Store.named_blobs`."""
        return frozenset(name for name in self._named() if name.startswith(digits))

    def _named(self) -> frozenset[str]:
        """Of a picture that is only a recipe there is the thumbnail and nothing else."""
        recipes = {name for name, each in self._keepings.items() if each.storage_tier is StorageTier.RECIPE}
        return frozenset(
            name
            for output in self._outputs.values()
            for name in ((output.thumbnail_blob,) if output.output_id in recipes else output.blobs)
        )

    async def last_sequence(self) -> int:
        """See `Store.last_sequence`."""
        return max(self._job_at, default=0)

    async def output(self, output_id: OutputId) -> Output | None:
        """See `Store.output`."""
        return self._outputs.get(output_id)

    async def keeping(self, output_id: OutputId) -> Keeping | None:
        """See `Store.keeping`."""
        return self._keepings.get(output_id)

    async def keepings(
        self, *, before_s: float, limit: int, after: tuple[float, OutputId] | None = None
    ) -> tuple[Keeping, ...]:
        """See `Store.keepings`. Looks at every picture there is."""
        older = [each for each in self._keepings.values() if each.created_at_s < before_s]
        ordered = sorted(older, key=lambda each: (each.created_at_s, each.output_id))
        return tuple(each for each in ordered if after is None or (each.created_at_s, each.output_id) > after)[:limit]

    async def holdings(self, *, now_s: float) -> tuple[Holding, ...]:
        """See `Store.holdings`."""
        groups: dict[tuple[TenantId, Tier, StorageTier, int, bool], list[Keeping]] = {}
        for each in self._keepings.values():
            age_days = max((days for days in (7, 30, 90) if each.created_at_s <= now_s - days * 86_400.0), default=0)
            group = (each.tenant_id, each.plan, each.storage_tier, age_days, each.is_kept)
            groups.setdefault(group, []).append(each)
        return tuple(
            Holding(
                tenant_id=tenant_id,
                plan=plan,
                storage_tier=storage_tier,
                age_days_min=age_days,
                is_kept=is_kept,
                outputs=len(found),
                size_bytes=sum(each.size_bytes + self._variant_bytes(each.output_id) for each in found),
            )
            for (tenant_id, plan, storage_tier, age_days, is_kept), found in sorted(groups.items())
        )

    def _variant_bytes(self, output_id: OutputId) -> int:
        return sum(variant.size_bytes for variant in self._outputs[output_id].variants)

    async def deletion(self, deletion_id: str) -> Deletion | None:
        """See `Store.deletion`."""
        return self._deletions.get(deletion_id)

    async def deletions(
        self, tenant_id: TenantId, *, limit: int, before_s: float | None = None
    ) -> tuple[Deletion, ...]:
        """See `Store.deletions`."""
        own = [
            each
            for each in self._deletions.values()
            if each.tenant_id == tenant_id and (before_s is None or each.at_s < before_s)
        ]
        return tuple(sorted(own, key=lambda each: (-each.at_s, each.deletion_id))[:limit])

    async def deletions_pending(self, *, limit: int) -> tuple[Deletion, ...]:
        """See `Store.deletions_pending`."""
        pending = [each for each in self._deletions.values() if each.done_at_s is None]
        return tuple(sorted(pending, key=lambda each: (each.at_s, each.deletion_id))[:limit])

    async def regenerations(self, output_id: OutputId, *, limit: int) -> tuple[Regeneration, ...]:
        """See `Store.regenerations`."""
        return _newest([each for each in self._regenerations.values() if each.output_id == output_id], limit)

    async def regenerations_of_model(self, model_id: ModelId, *, limit: int) -> tuple[Regeneration, ...]:
        """See `Store.regenerations_of_model`."""
        return _newest([each for each in self._regenerations.values() if each.model_id == model_id], limit)

    async def output_of_blob(self, names: Sequence[str]) -> Output | None:
        """See `Store.output_of_blob`. Looks at every picture there is."""
        found = [output for output in self._outputs.values() if set(names) & set(output.blobs)]
        return max(found, key=lambda output: output.created_at_s, default=None)

    async def outputs_alike(self, tenant_id: TenantId, perceptual_hash: str) -> tuple[Output, ...]:
        """See `Store.outputs_alike`. Looks at every picture there is."""
        alike = [
            output
            for output in self._outputs.values()
            if output.tenant_id == tenant_id
            and output.perceptual_hash is not None
            and (int(output.perceptual_hash, 16) ^ int(perceptual_hash, 16)).bit_count() <= ALIKE_BITS
        ]
        return tuple(sorted(alike, key=lambda output: -output.created_at_s)[:ALIKE_MAX])

    async def attempts(self, job_id: JobId) -> tuple[Attempt, ...]:
        """See `Store.attempts`."""
        return tuple(sorted(self._attempts.get(job_id, {}).values(), key=lambda attempt: attempt.number))

    async def ledger(self, job_id: JobId) -> tuple[LedgerLine, ...]:
        """See `Store.ledger`."""
        return self._ledger_of.get(job_id, ())

    async def posting(self, posting_id: str) -> tuple[LedgerLine, ...]:
        """See `Store.posting`."""
        return self._postings.get(posting_id, ())

    async def revenue_lines(self, *, after: tuple[float, str], until_s: float, limit: int) -> tuple[LedgerLine, ...]:
        """See `Store.revenue_lines`."""
        lines = [
            line
            for posting in self._postings.values()
            for line in posting
            if line.account is Account.REVENUE and after < (line.at_s, line.posting_id) and line.at_s < until_s
        ]
        return tuple(sorted(lines, key=lambda line: (line.at_s, line.posting_id))[:limit])

    async def ledger_balance(self, account: Account, *, before_s: float) -> Micros:
        """See `Store.ledger_balance`."""
        lines = (line for posting in self._postings.values() for line in posting)
        return Micros(sum(line.amount_micros for line in lines if line.account is account and line.at_s < before_s))

    async def ledger_totals(self, *, since_s: float, until_s: float) -> tuple[LedgerTotal, ...]:
        """See `Store.ledger_totals`."""
        groups: dict[tuple[str, ...], list[LedgerLine]] = {}
        for posting in self._postings.values():
            for line in posting:
                if since_s <= line.at_s < until_s:
                    group = (line.account.value, line.component, line.tenant_id, line.model_id or "", line.tier or "")
                    groups.setdefault((*group, line.gpu), []).append(line)
        return tuple(_total_of(lines) for _, lines in sorted(groups.items()))

    async def idempotency(self, tenant_id: TenantId, route: str, key: str) -> IdempotencyRecord | None:
        """See `Store.idempotency`."""
        return self._idempotency.get((tenant_id, route, key))

    async def refusals(self, tenant_id: TenantId, *, limit: int) -> tuple[Refusal, ...]:
        """See `Store.refusals`."""
        own = [refusal for refusal in self._refusals.values() if refusal.tenant_id == tenant_id]
        return tuple(sorted(own, key=lambda refusal: refusal.at_s, reverse=True)[:limit])

    async def api_keys(self) -> tuple[ApiKey, ...]:
        """See `Store.api_keys`."""
        return tuple(sorted(self._api_keys.values(), key=lambda key: (key.created_at_s, key.key_id)))

    async def webhook_endpoints(self) -> tuple[WebhookEndpoint, ...]:
        """See `Store.webhook_endpoints`."""
        return tuple(sorted(self._endpoints.values(), key=lambda each: (each.created_at_s, each.endpoint_id)))

    async def webhook_targets(self) -> tuple[tuple[str, float], ...]:
        """See `Store.webhook_targets`."""
        first: dict[str, float] = {}
        for message in self._messages.values():
            if message.state is MessageState.WAITING:
                first[message.target] = min(message.next_at_s, first.get(message.target, message.next_at_s))
        return tuple(sorted(first.items()))

    async def webhook_jobs_due(self, target: str, *, now_s: float, limit: int) -> tuple[JobId, ...]:
        """See `Store.webhook_jobs_due`."""
        due = [
            message
            for message in self._messages.values()
            if message.target == target and message.state is MessageState.WAITING and message.next_at_s <= now_s
        ]
        return tuple(message.job_id for message in sorted(due, key=lambda message: message.next_at_s)[:limit])

    async def webhook_lane(self, job_id: JobId, target: str) -> tuple[WebhookMessage, ...]:
        """See `Store.webhook_lane`."""
        return tuple(self._lane(job_id, target))

    async def webhook_message(self, message_id: MessageId) -> WebhookMessage | None:
        """See `Store.webhook_message`."""
        return self._messages.get(message_id)

    async def webhook_messages(
        self, tenant_id: TenantId, *, limit: int, target: str | None = None, before: MessageId | None = None
    ) -> tuple[WebhookMessage, ...]:
        """See `Store.webhook_messages`."""
        earlier = list(self._messages.values())
        if before is not None and before in self._messages:
            earlier = earlier[: list(self._messages).index(before)]
        own = [message for message in reversed(earlier) if message.tenant_id == tenant_id]
        return tuple(message for message in own if target in (None, message.target))[:limit]

    async def webhook_tries(self, message_id: MessageId) -> tuple[WebhookTry, ...]:
        """See `Store.webhook_tries`."""
        return self._tries.get(message_id, ())

    async def case(self, case_id: CaseId) -> Case | None:
        """See `Store.case`."""
        return self._cases.get(case_id)

    async def cases(self, state: CaseState, *, limit: int, after: CaseId | None = None) -> tuple[Case, ...]:
        """See `Store.cases`."""
        found = sorted((case.since_s, case.case_id) for case in self._cases.values() if case.state is state)
        if after is not None:
            place = self._cases.get(after)
            found = [] if place is None else [each for each in found if each > (place.since_s, place.case_id)]
        return tuple(self._cases[case_id] for _, case_id in found[:limit])

    async def cases_of_job(self, job_id: JobId) -> tuple[Case, ...]:
        """See `Store.cases_of_job`."""
        own = [case for case in self._cases.values() if case.job_id == job_id]
        return tuple(sorted(own, key=lambda case: (case.opened_at_s, case.case_id)))

    async def case_actions(self, case_id: CaseId) -> tuple[CaseAction, ...]:
        """See `Store.case_actions`."""
        return tuple(action for _, action in sorted(self._case_actions.get(case_id, {}).items()))

    async def case_counts(self) -> tuple[CaseCount, ...]:
        """See `Store.case_counts`."""
        since: dict[CaseState, list[float]] = {}
        for case in self._cases.values():
            if case.state.is_waiting:
                since.setdefault(case.state, []).append(case.since_s)
        return tuple(
            CaseCount(state=state, count=len(times), oldest_s=min(times)) for state, times in sorted(since.items())
        )

    async def deed_counts(self, *, since_s: float) -> tuple[DeedCount, ...]:
        """See `Store.deed_counts`."""
        done = [line for lines in self._case_actions.values() for line in lines.values() if line.at_s >= since_s]
        counts = Counter((line.actor, line.deed) for line in done)
        return tuple(DeedCount(actor=actor, deed=deed, count=count) for (actor, deed), count in sorted(counts.items()))

    async def close(self) -> None:
        """See `Store.close`."""


def _new_keeping(output: Output, job: Job) -> Keeping:
    return Keeping(
        output_id=output.output_id,
        job_id=job.job_id,
        tenant_id=job.tenant_id,
        plan=job.tier,
        model_id=job.request.model_id,
        created_at_s=output.created_at_s,
        size_bytes=output.size_bytes + output.thumbnail_bytes,
    )


def _newest(regenerations: Sequence[Regeneration], limit: int) -> tuple[Regeneration, ...]:
    return tuple(sorted(regenerations, key=lambda each: -each.at_s)[:limit])


def _total_of(lines: Sequence[LedgerLine]) -> LedgerTotal:
    first = lines[0]
    return LedgerTotal(
        account=first.account,
        component=first.component,
        tenant_id=first.tenant_id,
        model_id=first.model_id,
        tier=first.tier,
        gpu=first.gpu,
        amount_micros=Micros(sum(line.amount_micros for line in lines)),
        quantity=sum(line.quantity for line in lines),
        lines=len(lines),
    )
