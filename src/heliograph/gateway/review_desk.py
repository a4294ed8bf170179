"""What reviewers and users do about moderation cases: look, decide, appeal.

A decision takes effect at once. Upholding a finding withholds the pictures it is about, and calls off a job that is
still on its way; overturning it delivers them, and so does releasing, which says that the finding is right all the
same. Who paid for pictures that were held and are all withheld gets the money back.

An appeal says "this was fine" and puts a case before a person. Of a job's cases each can be appealed once. A refused
prompt never became a case, and nothing was kept of it: whoever appeals sends it again.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from heliograph.billing.ledger import refund
from heliograph.domain.accounts import Caller
from heliograph.domain.billing_records import Account
from heliograph.domain.errors import InvalidRequest, NotFound, Overloaded, Unavailable
from heliograph.domain.ids import CaseId, JobId, OutputId, TenantId
from heliograph.domain.lifecycle import CaseMoved, CaseOpened, JobMoved, LifecycleEvent
from heliograph.domain.moderation import (
    Case,
    CaseAction,
    CaseCount,
    CaseDeed,
    CaseState,
    CaseSubject,
    DeedCount,
    appeal_of,
    findings_of,
    moved,
    new_case,
)
from heliograph.domain.money import Micros
from heliograph.domain.pictures import Availability, Output
from heliograph.domain.prompt_verdict import PolicyDecision
from heliograph.prompts.policy import PromptPolicy
from heliograph.storage.case_writes import MoveCase, OpenCase, SetAvailability
from heliograph.storage.store import PostLedger, Store, StoredJob, Write

APPEALS_MAX = 50
"""Appeals of one tenant that may wait at once."""
APPEALED_MAX = 10_000
"""How many waiting appeals are looked through for a tenant's own."""
LOAD_S = 3_600.0
"""The time over which a reviewer's load is counted."""
COUNT_EVERY_S = 10.0

_AVAILABILITY_AFTER: Mapping[CaseDeed, Availability] = {
    CaseDeed.UPHELD: Availability.WITHHELD,
    CaseDeed.OVERTURNED: Availability.DELIVERED,
    CaseDeed.RELEASED: Availability.DELIVERED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """A case with its log and, as long as that is kept, its job."""

    case: Case
    log: tuple[CaseAction, ...]
    job: StoredJob | None

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The pictures that it is about."""
        return () if self.job is None else pictures_of(self.case, self.job)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits, and who decided how much within the last hour."""

    waiting: tuple[CaseCount, ...] = ()
    deeds: tuple[DeedCount, ...] = ()


class ReviewDesk:
    """One decision at a time. It is a sink of lifecycle events, too: what was decided of a job that was still on its
    way takes effect when its pictures are there.

    `cancel` calls a job off, `publish` tells the metrics, `credited` the accounts what a
    tenant was given back, `show` the metrics what waits.
    """

    def __init__(
        self,
        *,
        store: Store,
        policy: PromptPolicy,
        cancel: Callable[[JobId], Awaitable[None]],
        publish: Callable[[LifecycleEvent], None],
        credited: Callable[[TenantId, Micros], object],
        show: Callable[["Backlog"], None],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._policy = policy
        self._cancel = cancel
        self._publish = publish
        self._credited = credited
        self._show = show
        self._clock = clock
        self._deciding = asyncio.Lock()
        self._late: set[asyncio.Task[None]] = set()

    # --- for reviewers -----------------------------------------------------------------------------------------------

    async def cases(self, state: CaseState, *, limit: int, after: CaseId | None) -> tuple[Case, ...]:
        """Cases in a state, those that came into it first first."""
        return await self._store.cases(state, limit=limit, after=after)

    async def file(self, case_id: CaseId) -> CaseFile:
        """One case with everything there is about it."""
        case = await self._store.case(case_id)
        if case is None:
            raise _not_found(case_id)
        job = None if case.job_id is None else await self._store.job(case.job_id)
        return CaseFile(case=case, log=await self._store.case_actions(case_id), job=job)

    async def picture(self, case_id: CaseId, *, index: int) -> Output:
        """One of the pictures that a case is about, whoever may have it."""
        found = [output for output in (await self.file(case_id)).outputs if output.index == index]
        if not found:
            raise NotFound(f"Case {case_id} has no picture {index}, or no longer.", code="output_not_found")
        return found[0]

    async def decide(self, case_id: CaseId, deed: CaseDeed, *, actor: str, reason: str) -> CaseFile:
        """The case after a reviewer's decision; a later one replaces it."""
        async with self._deciding:
            file = await self.file(case_id)
            now_s = self._clock()
            case, action = moved(file.case, deed, actor=actor, reason=reason, now_s=now_s)
            writes: list[Write] = [MoveCase(case=case, action=action)]
            if file.job is not None:
                writes += effect(file.case, file.job, deed, now_s=now_s)
            await self._commit(writes)
        waited_s = now_s - file.case.since_s if file.case.state.is_waiting else None
        self._publish(CaseMoved(case=case, action=action, waited_s=waited_s))
        if deed is CaseDeed.UPHELD and case.subject is CaseSubject.PROMPT and _is_open(file.job):
            assert file.job is not None
            await self._cancel(file.job.job.job_id)
        return await self.file(case_id)

    async def count(self) -> Backlog:
        """What waits now."""
        backlog = Backlog(
            waiting=await self._store.case_counts(),
            deeds=await self._store.deed_counts(since_s=self._clock() - LOAD_S),
        )
        self._show(backlog)
        return backlog

    # --- for users ---------------------------------------------------------------------------------------------------

    async def of_job(self, job_id: JobId) -> tuple[CaseFile, ...]:
        """A job's cases, oldest first."""
        cases = await self._store.cases_of_job(job_id)
        return tuple([await self.file(case.case_id) for case in cases])

    async def appeal_job(self, job_id: JobId, *, caller: Caller, reason: str) -> tuple[CaseFile, ...]:
        """The job's cases, those put before a person that somebody or something decided against it."""
        async with self._deciding:
            files = await self.of_job(job_id)
            if not files:
                raise InvalidRequest(
                    f"Nothing was found in job {job_id}: there is nothing to appeal.", code="nothing_to_appeal"
                )
            against = [file for file in files if file.case.state in (CaseState.OPEN, CaseState.UPHELD)]
            new = [file for file in against if all(line.deed is not CaseDeed.APPEALED for line in file.log)]
            if against and not new:
                raise InvalidRequest("This was appealed before, and decided.", code="appeal_decided")
            await self._check_appeals(caller)
            moves = [
                moved(file.case, CaseDeed.APPEALED, actor=_actor(caller), reason=reason, now_s=self._clock())
                for file in new
            ]
            await self._store.commit([MoveCase(case=case, action=action) for case, action in moves])
        for case, action in moves:
            self._publish(CaseMoved(case=case, action=action, waited_s=None))
        return await self.of_job(job_id)

    async def appeal_prompt(self, prompt: str, negative_prompt: str, *, caller: Caller, reason: str) -> CaseFile:
        """The case of a prompt that the filter refuses; of one that was appealed before, the same case."""
        verdict = self._policy.judge(prompt, negative_prompt, tenant_id=caller.tenant_id)
        if verdict.decision is not PolicyDecision.BLOCK:
            raise InvalidRequest(
                "The content policy does not refuse this prompt: there is nothing to appeal.",
                param="prompt",
                code="nothing_to_appeal",
            )
        case_id = _case_of_text(caller.tenant_id, prompt, negative_prompt)
        async with self._deciding:
            if await self._store.case(case_id) is None:
                await self._check_appeals(caller)
                opened = new_case(
                    case_id=case_id,
                    subject=CaseSubject.PROMPT,
                    tenant_id=caller.tenant_id,
                    job_id=None,
                    findings=findings_of(verdict),
                    prompt=prompt,
                    negative_prompt=negative_prompt,
                    now_s=self._clock(),
                )
                case, action = appeal_of(opened, actor=_actor(caller), reason=reason)
                await self._store.commit([OpenCase(case=case, action=action)])
                self._publish(CaseOpened(case=case))
        return await self.file(case_id)

    async def of_tenant(self, case_id: CaseId, *, caller: Caller) -> CaseFile:
        """One case of the caller's. Another tenant's is `NotFound`."""
        file = await self.file(case_id)
        if file.case.tenant_id != caller.tenant_id:
            raise _not_found(case_id)
        return file

    async def _check_appeals(self, caller: Caller) -> None:
        waiting = await self._store.cases(CaseState.APPEALED, limit=APPEALED_MAX)
        if sum(case.tenant_id == caller.tenant_id for case in waiting) >= APPEALS_MAX:
            raise Overloaded(
                f"{APPEALS_MAX} appeals of yours wait for an answer. Wait for one of them.",
                code="too_many_appeals",
                retry_after_s=600.0,
            )

    # --- what happens beside it --------------------------------------------------------------------------------------

    def __call__(self, event: LifecycleEvent) -> None:
        """Hear of jobs: what was decided while one was on its way is done now."""
        match event:
            case JobMoved(record=record) if record.outputs and record.job.on_review:
                task = asyncio.create_task(self._catch_up(record.job.job_id), name=f"review {record.job.job_id}")
                self._late.add(task)
                task.add_done_callback(self._late.discard)
            case _:
                pass

    async def _catch_up(self, job_id: JobId) -> None:
        async with self._deciding:
            for case in await self._store.cases_of_job(job_id):
                file = await self.file(case.case_id)
                decided = [line.deed for line in file.log if line.deed in _AVAILABILITY_AFTER]
                if (
                    case.subject is CaseSubject.PROMPT
                    and not case.state.is_waiting
                    and decided
                    and file.job is not None
                ):
                    await self._commit(effect(case, file.job, decided[-1], now_s=self._clock()))

    async def _commit(self, writes: list[Write]) -> None:
        await self._store.commit(writes)
        for write in writes:
            if isinstance(write, PostLedger):
                given = next(line for line in write.lines if line.account is Account.TENANT)
                self._credited(given.tenant_id, given.amount_micros)

    async def run(self) -> None:
        """Count what waits, every few seconds, until cancelled. While the store is missing the last count stays."""
        while True:
            with suppress(Unavailable):
                await self.count()
            await asyncio.sleep(COUNT_EVERY_S)


def pictures_of(case: Case, job: StoredJob) -> tuple[Output, ...]:
    """The pictures of its job that a case is about: one, or for a prompt all."""
    if case.output_id is not None:
        return tuple(output for output in job.outputs if output.output_id == case.output_id)
    return job.outputs if case.subject is CaseSubject.PROMPT else ()


def effect(case: Case, job: StoredJob, deed: CaseDeed, *, now_s: float) -> list[Write]:
    """What a decision about a case does to the pictures of its job, and to what was paid for them."""
    availability = _AVAILABILITY_AFTER[deed]
    changed: dict[OutputId, Availability] = {
        output.output_id: availability for output in pictures_of(case, job) if output.availability is not availability
    }
    writes: list[Write] = [
        SetAvailability(output_id=output_id, availability=availability) for output_id, availability in changed.items()
    ]
    was_held = any(output.availability is Availability.HELD for output in job.outputs)
    is_lost = job.outputs and all(
        changed.get(output.output_id, output.availability) is Availability.WITHHELD for output in job.outputs
    )
    if was_held and is_lost:
        lines = refund(job.job, job.cost_micros, at_s=now_s)
        writes += [PostLedger(lines=lines)] if lines else []
    return writes


def _actor(caller: Caller) -> str:
    return f"tenant:{caller.tenant_id}"


def _case_of_text(tenant_id: TenantId, prompt: str, negative_prompt: str) -> CaseId:
    """The same for the same text of the same tenant, so that appealing again opens nothing new."""
    digest = hashlib.sha256("\0".join((tenant_id, prompt, negative_prompt)).encode("utf-8", "surrogatepass"))
    return CaseId(f"case_{digest.hexdigest()[:24]}")


def _is_open(job: StoredJob | None) -> bool:
    return job is not None and not job.job.state.is_terminal


def _not_found(case_id: str) -> NotFound:
    return NotFound(f"There is no case {case_id}.", param="case_id", code="case_not_found")
