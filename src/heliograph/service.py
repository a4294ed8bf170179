"""What callers can ask for, whatever protocol they speak: the HTTP façades and the command line both stand on this.

It joins the stages for one request (prepare, route, submit) and answers questions about jobs. Tenants are kept apart
here: a job or picture of another tenant is `NotFound`, exactly like one that never was.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from heliograph.billing.accounts import AccountBook
from heliograph.billing.quote import Quote, free
from heliograph.delivery.blobs import BlobStore
from heliograph.delivery.ladder import Answer, Wish
from heliograph.delivery.verification import Verification
from heliograph.domain.accounts import Caller, Refusal
from heliograph.domain.errors import (
    CallerError,
    Conflict,
    HeliographError,
    InvalidRequest,
    NotFound,
    Overloaded,
    PromptRefused,
    Timeout,
    Unavailable,
)
from heliograph.domain.held import refuse_held
from heliograph.domain.ids import CaseId, JobId, ModelId, OutputId
from heliograph.domain.intake import GivenInputs, PictureRole, TakenInputs, UploadedPicture
from heliograph.domain.job import Job, JobState
from heliograph.domain.model_card import Catalogue, EngineKind, ModelCard
from heliograph.domain.moderation import CaseSubject, ReviewPolicy, findings_of, new_case, opening
from heliograph.domain.orders import Orders, Scope
from heliograph.domain.pictures import Output
from heliograph.domain.request import SEED_MAX, Adjustment, GenerationRequest, OutputFormat, Quality
from heliograph.domain.tiers import Tier
from heliograph.domain.views import Alternative, FleetStatus, JobStatus, ModelStatus
from heliograph.domain.webhooks import JobWebhook
from heliograph.intake import PictureIntake
from heliograph.live import StatusUpdate, Update, Watcher
from heliograph.pipeline import Pipeline, closed_view
from heliograph.prompts.fitting import Imported, settings_in
from heliograph.prompts.pictures import refuse_surplus
from heliograph.prompts.policy import PolicyDecision, PolicyVerdict, PromptPolicy
from heliograph.prompts.prepare import prepare
from heliograph.prompts.presets import StylePreset, styles_for
from heliograph.prompts.raw import RawRequest
from heliograph.provenance_desk import Inspect, verified
from heliograph.quality.likeness import Likeness
from heliograph.quality.reproduction import PictureAgain, Reproduction, reproduction, same_pixels
from heliograph.routing.references import model_named
from heliograph.routing.route import NoRoute, Route, Wants, expected_wait_s, route, why_not
from heliograph.routing.tasks import OFFERED, suitable_tasks, task_for
from heliograph.scheduling.admission import RETRY_AFTER_S_MAX, RETRY_AFTER_S_MIN
from heliograph.storage.case_writes import OpenCase
from heliograph.storage.store import DropJob, IdempotencyRecord, PutIdempotency, Store, StoredJob, Write
from heliograph.variant_desk import VariantDesk

CONTACT_SHEETS_AT_ONCE = 2
DEADLINE_S_MAX = 7 * 86_400.0
ANOTHER_MODEL_HELPS = frozenset({"deadline_unreachable", "wait_too_long"})
"""Codes of refusals for which a model with a shorter line is a way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One request as it arrived: unchecked parameters and where they came from.

    `deadline_s`, `wait_s_max` (how long it may wait for a worker), `may_substitute` (another model will do when the
    named one is not there in time) and `task` (what is to be done, None where that is up to the model) are unchecked
    too. `idempotency_key` is the header's value; `fingerprint` the SHA-256 hex of the canonical body and `route` the
    path it was sent to. `webhook` is checked. `remixed_from` is the job whose request this one repeats.
    `inputs` are the pictures to start from, unread.
    """

    raw: RawRequest
    deadline_s: object | None = None
    wait_s_max: object | None = None
    may_substitute: object | None = None
    end_user: str | None = None
    route: str = "cli"
    idempotency_key: str | None = None
    fingerprint: str = ""
    task: object | None = None
    webhook: JobWebhook | None = None
    remixed_from: JobId | None = None
    inputs: GivenInputs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptReader:
    """A model's own way of reading: how many tokens a text is, and which of its words the model never saw."""

    count_tokens: Callable[[str], int]
    unknown_words: Callable[[str], tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What a request would be and cost; `why_not` says what of the tenant's account does not cover it."""

    request: GenerationRequest
    quote: Quote
    why_not: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether jobs can be taken now, and what is wrong otherwise, by part."""

    is_ready: bool
    problems: Mapping[str, str]


Compare = Callable[[bytes, bytes, OutputFormat], Awaitable[tuple[Likeness, float]]]
"""How alike two delivered files look, and their distance from 0 to 1."""


class Service(Protocol):
    """Raises the errors of `domain.errors`."""

    async def submit(self, submission: Submission, *, caller: Caller) -> JobStatus:
        """A durable job (or the earlier one of the same idempotency key)."""
        ...

    def price(self, submission: Submission, *, caller: Caller) -> Priced:
        """What the submission would cost; nothing is made and nothing held."""
        ...

    def refuse(self, error: CallerError, *, caller: Caller) -> None:
        """Record a request that was refused before it could be submitted."""
        ...

    async def status(self, job_id: JobId, *, caller: Caller) -> JobStatus:
        """The job as it is now."""
        ...

    async def jobs(self, *, caller: Caller, limit: int, before: int | None) -> tuple[JobStatus, ...]:
        """The tenant's jobs, newest first, with a sequence below `before`."""
        ...

    async def cancel(self, job_id: JobId, *, caller: Caller) -> JobStatus:
        """The job after cancelling; one that has ended is left as it is."""
        ...

    async def remove(self, job_id: JobId, *, caller: Caller) -> None:
        """Stop the job if it goes on, and delete it with its outputs; what it cost stays in the ledger."""
        ...

    def watch(self, job_id: JobId, *, caller: Caller) -> AbstractAsyncContextManager[AsyncIterator[Update]]:
        """Updates from now on: first a `StatusUpdate` with the present state; ends after the terminal one."""
        ...

    async def wait(self, job_id: JobId, *, caller: Caller, timeout_s: float) -> JobStatus:
        """The job once it has ended. Raises `Timeout` when that takes longer."""
        ...

    async def output(self, output_id: OutputId, *, caller: Caller | None) -> Output:
        """A delivered picture's record; `caller` is None when a signed link stands in for a key."""
        ...

    async def file_of(self, output: Output, wish: Wish, *, is_link: bool) -> Answer:
        """Which file of a picture answers; one that is missing is made. `is_link`: a link asks, not a key."""
        ...

    async def read_blob(self, name: str, *, start: int, length: int | None) -> bytes:
        """Bytes of a delivered picture or thumbnail."""
        ...

    async def blob_size(self, name: str) -> int:
        """Number of bytes of a delivered picture or thumbnail."""
        ...

    async def reproduce(self, job_id: JobId, *, caller: Caller) -> JobStatus:
        """A new job that makes the pictures of a completed one again."""
        ...

    async def reproduction(self, job_id: JobId, *, caller: Caller) -> Reproduction:
        """What came of a job that `reproduce` made. Raises `Conflict` before it has completed."""
        ...

    async def contact_sheet(self, output: Output) -> bytes:
        """A JPEG of a clip's frames, small, side by side."""
        ...

    def formats(self) -> frozenset[OutputFormat]:
        """What pictures and clips can be delivered in here."""
        ...

    async def upload(self, data: bytes, *, role: PictureRole, param: str, caller: Caller) -> UploadedPicture:
        """A picture stored for a later request of the same tenant, which names its id."""
        ...

    async def imported(self, picture: bytes | None, text: str, *, model: str | None) -> Imported:
        """The settings in a picture's file, or in `text` where there is none, fitted to the model they name.

        Or to `model`, where theirs is not here.
        """
        ...

    async def verify(self, data: bytes, *, caller: Caller) -> Verification:
        """What a file says about its origin, and what of it can be believed."""
        ...

    def models(self) -> tuple[ModelStatus, ...]:
        """The catalogue as this installation sees it."""
        ...

    def style_names(self, model_id: str) -> tuple[str, ...]:
        """Names of the style presets that suit a model."""
        ...

    def model_named(self, reference: str) -> str:
        """The catalogue's name of a model for another service's, which may not exist."""
        ...

    def readiness(self) -> Readiness:
        """Whether jobs can be taken now."""
        ...

    def fleet(self) -> FleetStatus:
        """What there is, why it is there, and what the operator ordered."""
        ...

    async def order(self, change: Callable[[Orders], Orders]) -> FleetStatus:
        """The fleet once the operator's order is in effect."""
        ...

    def card_of(self, name: str) -> ModelCard:
        """The model of this name or alias. Raises `NotFound`."""
        ...

    def runnable(self, name: str) -> ModelCard:
        """The same, if it can run here. Raises `InvalidRequest` that says why it cannot."""
        ...


class PipelineService:
    """`Service` over a pipeline in the same process. `note_call` is told of each job while its call is answered."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        store: Store,
        blobs: BlobStore,
        intake: PictureIntake,
        catalogue: Catalogue,
        engines: frozenset[EngineKind],
        presets: Mapping[str, StylePreset],
        policy: PromptPolicy,
        readers: Mapping[ModelId, PromptReader],
        formats: frozenset[OutputFormat],
        draw_contact_sheet: Callable[[bytes, OutputFormat], bytes],
        compare: Compare,
        last_sequence: int,
        idempotency_ttl_s: float,
        inspect: Inspect,
        files: VariantDesk,
        random_int: Callable[[int], int],
        new_id: Callable[[], str],
        reviews: ReviewPolicy | None = None,
        note_call: Callable[[JobId], None] | None = None,
        accounts: AccountBook | None = None,
        quote: Callable[[GenerationRequest, Tier], Quote] = free,
    ) -> None:
        self._pipeline = pipeline
        self._note_call = note_call
        self._store = store
        self._blobs = blobs
        self._intake = intake
        self._catalogue = catalogue
        self._engines = engines
        self._presets = presets
        self._policy = policy
        self._readers = readers
        self._formats = formats
        self._draw_contact_sheet = draw_contact_sheet
        self._compare = compare
        self._drawing = asyncio.Semaphore(CONTACT_SHEETS_AT_ONCE)
        self._sequence = last_sequence
        self._idempotency_ttl_s = idempotency_ttl_s
        self._inspect = inspect
        self._files = files
        self._random_int = random_int
        self._new_id = new_id
        self._reviews = reviews or ReviewPolicy()
        self._accounts = accounts or AccountBook()
        self._quote = quote
        self._in_flight: dict[tuple[str, str, str], asyncio.Future[JobId]] = {}

    async def submit(self, submission: Submission, *, caller: Caller) -> JobStatus:
        """A durable job (or the earlier one of the same idempotency key)."""
        if submission.idempotency_key is None:
            return await self._accept(submission, caller)
        scope = (caller.tenant_id, submission.route, submission.idempotency_key)
        earlier = await self._earlier(submission, caller)
        if earlier is not None:
            return earlier
        if scope in self._in_flight:
            await asyncio.wait([self._in_flight[scope]])
            return await self.submit(submission, caller=caller)
        self._in_flight[scope] = asyncio.get_running_loop().create_future()
        try:
            return await self._accept(submission, caller)
        finally:
            self._in_flight.pop(scope).cancel()

    async def _earlier(self, submission: Submission, caller: Caller) -> JobStatus | None:
        """The job this idempotency key made within its lifetime, unless it was deleted since.

        Raises `Conflict` when the body was another.
        """
        assert submission.idempotency_key is not None
        record = await self._store.idempotency(caller.tenant_id, submission.route, submission.idempotency_key)
        if record is None or self._pipeline.now_s() - record.created_at_s > self._idempotency_ttl_s:
            return None
        if record.fingerprint != submission.fingerprint:
            raise Conflict(
                "This Idempotency-Key was used with another request body; use a new key for a new request.",
                code="idempotency_mismatch",
                param="Idempotency-Key",
            )
        try:
            return await self.status(record.job_id, caller=caller)
        except NotFound:
            return None

    async def _accept(self, submission: Submission, caller: Caller) -> JobStatus:
        try:
            deadline_s = _checked_seconds(submission.deadline_s, "deadline_s", code="invalid_deadline")
            wants = self._wants(submission, caller, deadline_s)
            request, verdict = self._checked(submission, wants, caller)
            if submission.inputs is not None:
                # Only now, when all else was found good, is anything fetched and read.
                taken = await self._intake.take(submission.inputs, caller=caller)
                request, verdict = self._checked(submission, wants, caller, taken)
        except CallerError as error:
            self._pipeline.refuse(self._refusal(error, caller, stage=_stage_of(error)))
            raise
        now_s = self._pipeline.now_s()
        self._sequence += 1
        job = Job(
            job_id=JobId(f"job_{self._new_id()}"),
            tenant_id=caller.tenant_id,
            end_user=submission.end_user,
            tier=caller.tier,
            request=request,
            sequence=self._sequence,
            created_at_s=now_s,
            deadline_at_s=None if deadline_s is None else now_s + deadline_s,
            webhook=submission.webhook,
            on_review=self._waits_for_review(verdict, caller),
            remixed_from=submission.remixed_from,
        )
        writes = (*self._idempotency_writes(submission, job), *self._case_writes(job, verdict))
        return await self._take(job, writes, wants, caller)

    async def _take(self, job: Job, writes: tuple[Write, ...], wants: Wants, caller: Caller) -> JobStatus:
        """Hold the job's price and submit it."""
        request, now_s = job.request, job.created_at_s
        if self._note_call is not None:
            self._note_call(job.job_id)
        price = self._quote(request, caller.tier).expected
        self._accounts.hold(job.job_id, job.tenant_id, price=price, pictures=request.image_count, now_s=now_s)
        try:
            await self._pipeline.submit(job, writes=writes)
        except HeliographError as error:
            self._accounts.release(job.job_id, job.tenant_id)
            if isinstance(error, Overloaded) and error.code in ANOTHER_MODEL_HELPS:
                error.alternatives = self._others_in_time(request, wants)
            raise
        return await self.status(job.job_id, caller=caller)

    def price(self, submission: Submission, *, caller: Caller) -> Priced:
        """What the submission would cost; nothing is made and nothing held."""
        deadline_s = _checked_seconds(submission.deadline_s, "deadline_s", code="invalid_deadline")
        request, _ = self._checked(submission, self._wants(submission, caller, deadline_s), caller)
        found = self._quote(request, caller.tier)
        job_id, now_s, why_not = JobId("price"), self._pipeline.now_s(), None
        try:
            self._accounts.hold(
                job_id, caller.tenant_id, price=found.expected, pictures=request.image_count, now_s=now_s
            )
        except Overloaded as error:
            why_not = error.message
        else:
            self._accounts.release(job_id, caller.tenant_id)
        return Priced(request=request, quote=found, why_not=why_not)

    def refuse(self, error: CallerError, *, caller: Caller) -> None:
        """Record a request that was refused before it could be submitted."""
        self._pipeline.refuse(self._refusal(error, caller, stage="gateway"))

    def _checked(
        self, submission: Submission, wants: Wants, caller: Caller, taken: TakenInputs | None = None
    ) -> tuple[GenerationRequest, PolicyVerdict]:
        inputs = submission.inputs
        has_pictures, has_mask = inputs is not None, inputs is not None and inputs.mask is not None
        task = _checked_task(submission.task, has_pictures=has_pictures, has_mask=has_mask)
        if task is None:
            task = task_for(self._card_named(submission.raw.model), has_pictures=has_pictures, has_mask=has_mask)
        chosen = self._route(submission.raw.model, task=task, wants=wants)
        card = chosen.card
        if inputs is not None:
            refuse_surplus(inputs, card, task)
        reader = self._readers.get(card.model_id)
        request = prepare(
            submission.raw,
            card,
            presets=self._presets,
            count_tokens=None if reader is None else reader.count_tokens,
            unknown_words=None if reader is None else reader.unknown_words,
            draw_seed=lambda: self._random_int(SEED_MAX + 1),
            task=task,
            taken=taken,
        )
        if request.output_format not in self._formats:
            raise InvalidRequest(
                f"This installation cannot write {request.output_format.value}: its operator can install "
                "heliograph[video]. Use webp or gif.",
                param="output_format",
                code="unsupported_parameter",
            )
        verdict = self._allowed(request, caller)
        asked_for = chosen.stands_in_for or chosen.alias
        if asked_for is None:
            return request, verdict
        reason = "the operator maps this name"
        if chosen.stands_in_for is not None:
            reason = "the model is not there in time, and the request allows another"
        other = Adjustment(parameter="model", requested=asked_for, used=card.model_id, reason=reason)
        return replace(request, adjustments=(other, *request.adjustments)), verdict

    def _allowed(self, request: GenerationRequest, caller: Caller) -> PolicyVerdict:
        """The content policy's verdict, unless it blocks the request: then `PromptRefused`."""
        verdict = self._policy.judge(request.prompt, request.negative_prompt, tenant_id=caller.tenant_id)
        if verdict.decision is PolicyDecision.BLOCK:
            raise PromptRefused(verdict, refusal_id=self._refusal_id(), appeal=self._policy.appeal)
        return verdict

    def _waits_for_review(self, verdict: PolicyVerdict, caller: Caller) -> bool:
        return verdict.decision is PolicyDecision.FLAG and self._reviews.holds_for(caller.tenant_id)

    def _wants(self, submission: Submission, caller: Caller, deadline_s: float | None) -> Wants:
        """What the request asks for besides a model."""
        may_substitute = submission.may_substitute
        if may_substitute is not None and not isinstance(may_substitute, bool):
            raise InvalidRequest(
                "may_substitute must be true or false", param="may_substitute", code="invalid_may_substitute"
            )
        scheduler = self._pipeline.scheduler
        return Wants(
            deadline_s=deadline_s,
            wait_s_max=_checked_seconds(submission.wait_s_max, "wait_s_max", code="invalid_wait_s_max"),
            may_substitute=may_substitute is True,
            is_off_spot=caller.tier not in scheduler.spot_tiers,
            is_for_any=submission.task is not None,
            orders=self._pipeline.orders,
            delivery_s=lambda card: _shortened(scheduler.delivery_s(card), submission.raw, card),
        )

    def _others_in_time(self, request: GenerationRequest, wants: Wants) -> tuple[Alternative, ...]:
        """Models that could do it in time instead of the one that cannot."""
        card, inputs = self._catalogue.cards[request.model_id], request.inputs
        has_mask = inputs is not None and inputs.mask is not None
        task = task_for(card, has_pictures=inputs is not None, has_mask=has_mask)
        found = self._answer(card.model_id, task=task, wants=replace(wants, may_substitute=False))
        if isinstance(found, NoRoute) or found.offers:
            return found.offers
        # The router thinks that it is in time and the queue knows better: whoever would deliver sooner is offered.
        rest = [self._answer(each, task=task, wants=wants) for each in card.alternatives]
        return tuple(
            Alternative(model_id=each.card.model_id, eta=each.eta)
            for each in rest
            if isinstance(each, Route) and each.stands_in_for is None
        )

    def _card_named(self, name: object) -> ModelCard | None:
        return self._catalogue.resolve(name) if isinstance(name, str) else None

    def _route(self, name: object, *, task: str, wants: Wants) -> Route:
        if name is not None and not isinstance(name, str):
            raise InvalidRequest(
                "model must be a string; GET /v1/models lists the names", param="model", code="invalid_model"
            )
        found = self._answer(name, task=task, wants=wants)
        if isinstance(found, Route):
            return found
        raise _refused_route(found)

    def _answer(self, name: str | None, *, task: str, wants: Wants) -> Route | NoRoute:
        scheduler = self._pipeline.scheduler
        return route(
            name,
            task=task,
            catalogue=self._catalogue,
            engines=self._engines,
            fleet=scheduler.fleet_view(),
            queue=scheduler.queue_view(),
            wants=wants,
        )

    def _refusal(self, error: CallerError, caller: Caller, *, stage: str) -> Refusal:
        refusal_id, category = self._refusal_id(), error.code
        if isinstance(error, PromptRefused):
            refusal_id, category = error.refusal_id, error.verdict.category or error.code
        return Refusal(
            refusal_id=refusal_id,
            tenant_id=caller.tenant_id,
            stage=stage,
            category=category,
            param=error.param,
            at_s=self._pipeline.now_s(),
        )

    def _refusal_id(self) -> str:
        return f"ref_{self._new_id()}"

    def _idempotency_writes(self, submission: Submission, job: Job) -> tuple[PutIdempotency, ...]:
        if submission.idempotency_key is None:
            return ()
        record = IdempotencyRecord(
            tenant_id=job.tenant_id,
            route=submission.route,
            key=submission.idempotency_key,
            fingerprint=submission.fingerprint,
            job_id=job.job_id,
            created_at_s=job.created_at_s,
        )
        return (PutIdempotency(record=record),)

    def _case_writes(self, job: Job, verdict: PolicyVerdict) -> tuple[OpenCase, ...]:
        """The case of a flagged prompt, which becomes durable together with its job."""
        if verdict.decision is not PolicyDecision.FLAG:
            return ()
        case = new_case(
            case_id=CaseId(f"case_{self._new_id()}"),
            subject=CaseSubject.PROMPT,
            tenant_id=job.tenant_id,
            job_id=job.job_id,
            findings=findings_of(verdict),
            prompt=job.request.prompt,
            negative_prompt=job.request.negative_prompt,
            now_s=job.created_at_s,
            is_holding=job.on_review,
        )
        return (OpenCase(case=case, action=opening(case)),)

    async def status(self, job_id: JobId, *, caller: Caller) -> JobStatus:
        """The job as it is now."""
        status = self._pipeline.status_of_open(job_id)
        if status is None:
            stored = await self._store.job(job_id)
            status = None if stored is None else _status_of_stored(stored)
        if status is None or status.view.job.tenant_id != caller.tenant_id:
            raise NotFound(f"There is no job {job_id}.", param="job_id", code="job_not_found")
        return status

    async def jobs(self, *, caller: Caller, limit: int, before: int | None) -> tuple[JobStatus, ...]:
        """The tenant's jobs, newest first, with a sequence below `before`."""
        stored = await self._store.jobs(caller.tenant_id, limit=limit, before_sequence=before)
        return tuple(self._pipeline.status_of_open(row.job.job_id) or _status_of_stored(row) for row in stored)

    async def cancel(self, job_id: JobId, *, caller: Caller) -> JobStatus:
        """The job after cancelling; one that has ended is left as it is."""
        status = await self.status(job_id, caller=caller)
        if not status.view.job.state.is_terminal:
            await self._pipeline.cancel(job_id)
        return await self.status(job_id, caller=caller)

    async def remove(self, job_id: JobId, *, caller: Caller) -> None:
        """Stop the job if it goes on, and delete it with its outputs; what it cost stays in the ledger."""
        await self.cancel(job_id, caller=caller)
        self._pipeline.disown(job_id)
        await self._store.commit([DropJob(job_id=job_id)])

    @asynccontextmanager
    async def watch(self, job_id: JobId, *, caller: Caller) -> AsyncGenerator[AsyncIterator[Update]]:
        """Updates from now on: first a `StatusUpdate` with the present state; ends after the terminal one."""
        watcher = self._pipeline.feed.subscribe(job_id)
        try:
            yield _updates(await self.status(job_id, caller=caller), watcher)
        finally:
            self._pipeline.feed.unsubscribe(job_id, watcher)

    async def wait(self, job_id: JobId, *, caller: Caller, timeout_s: float) -> JobStatus:
        """The job once it has ended. Raises `Timeout` when that takes longer."""
        try:
            async with asyncio.timeout(timeout_s), self.watch(job_id, caller=caller) as updates:
                async for update in updates:
                    if isinstance(update, StatusUpdate) and update.status.view.job.state.is_terminal:
                        return update.status
        except TimeoutError:
            raise Timeout(
                f"The job is not done after {timeout_s:g} s; it goes on. Ask for it at /v1/jobs/{job_id}.",
                job_id=job_id,
            ) from None
        raise Unavailable(f"The server is going down; job {job_id} goes on when it is back.", code="shutting_down")

    async def output(self, output_id: OutputId, *, caller: Caller | None) -> Output:
        """A delivered picture's record; `caller` is None when a signed link stands in for a key."""
        output = await self._store.output(output_id)
        if output is None or (caller is not None and output.tenant_id != caller.tenant_id):
            raise NotFound(f"There is no output {output_id}.", param="output_id", code="output_not_found")
        return output

    async def file_of(self, output: Output, wish: Wish, *, is_link: bool) -> Answer:
        """Which file of a picture answers; one that is missing is made. `is_link`: a link asks, not a key."""
        return await self._files.file_of(output, wish, is_link=is_link)

    async def read_blob(self, name: str, *, start: int, length: int | None) -> bytes:
        """Bytes of a delivered picture or thumbnail."""
        return await self._blobs.read(name, start=start, length=length)

    async def blob_size(self, name: str) -> int:
        """Number of bytes of a delivered picture or thumbnail."""
        size = await self._blobs.size(name)
        if size is None:
            raise NotFound("The file of this output is gone.", param="output_id", code="output_gone")
        return size

    async def reproduce(self, job_id: JobId, *, caller: Caller) -> JobStatus:
        """A new job that makes the pictures of a completed one again."""
        first = (await self.status(job_id, caller=caller)).view.job
        if first.state is not JobState.COMPLETED:
            raise Conflict(f"Job {job_id} has no pictures to make again: it is {first.state}.", code="not_completed")
        request = first.request
        self.runnable(request.model_id)
        verdict = self._allowed(request, caller)
        self._sequence += 1
        job = Job(
            job_id=JobId(f"job_{self._new_id()}"),
            tenant_id=caller.tenant_id,
            end_user=first.end_user,
            tier=caller.tier,
            request=request,
            reseeds=first.reseeds,
            sequence=self._sequence,
            created_at_s=self._pipeline.now_s(),
            deadline_at_s=None,
            reproduces=first.job_id,
            on_review=self._waits_for_review(verdict, caller),
        )
        return await self._take(
            job, self._case_writes(job, verdict), self._wants(Submission(raw=RawRequest()), caller, None), caller
        )

    async def reproduction(self, job_id: JobId, *, caller: Caller) -> Reproduction:
        """What came of a job that `reproduce` made. Raises `Conflict` before it has completed."""
        again = await self.status(job_id, caller=caller)
        job = again.view.job
        if job.reproduces is None or job.state is not JobState.COMPLETED:
            raise Conflict(
                f"Job {job_id} is {job.state}: there is nothing to compare yet."
                if job.reproduces is not None
                else f"Job {job_id} makes nothing again; POST /v1/jobs/{job_id}/reproduce makes a job that does.",
                code="no_reproduction",
            )
        first = await self.status(job.reproduces, caller=caller)
        pairs = list(zip(first.outputs, again.outputs, strict=True))
        pictures = [await self._beside(one, other) for one, other in pairs]
        return reproduction(pairs[0][0].making, pairs[0][1].making, pictures)

    async def _beside(self, first: Output, again: Output) -> PictureAgain:
        if same_pixels(first.pixels_sha256, again.pixels_sha256):
            return PictureAgain(index=first.index, verdict=Likeness.IDENTICAL, distance=0.0)
        files = [await self.read_blob(output.blob, start=0, length=None) for output in (first, again)]
        verdict, distance = await self._compare(files[0], files[1], first.output_format)
        return PictureAgain(index=first.index, verdict=verdict, distance=distance)

    async def contact_sheet(self, output: Output) -> bytes:
        """A JPEG of a clip's frames, small, side by side."""
        refuse_held(output)
        async with self._drawing:
            clip = await self.read_blob(output.blob, start=0, length=None)
            return await asyncio.to_thread(self._draw_contact_sheet, clip, output.output_format)

    def formats(self) -> frozenset[OutputFormat]:
        """What pictures and clips can be delivered in here."""
        return self._formats

    async def upload(self, data: bytes, *, role: PictureRole, param: str, caller: Caller) -> UploadedPicture:
        """A picture stored for a later request of the same tenant, which names its id."""
        return await self._intake.upload(data, role=role, param=param, caller=caller)

    async def imported(self, picture: bytes | None, text: str, *, model: str | None) -> Imported:
        """The settings in a picture's file, or in `text` where there is none, fitted to a model."""
        notes = {"text": text} if picture is None else await self._intake.notes(picture, param="file")
        asked = None if model is None else self.card_of(model)
        return settings_in(notes, param="text" if picture is None else "file", asked=asked, find=self._usable_here)

    def _usable_here(self, name: str) -> ModelCard | None:
        """The model of another tool's name, if it can run here."""
        try:
            return self.runnable(model_named(name, self._catalogue))
        except CallerError:
            return None

    async def verify(self, data: bytes, *, caller: Caller) -> Verification:
        """What a file says about its origin, and what of it can be believed."""
        return await verified(data, caller, inspect=self._inspect, store=self._store)

    def models(self) -> tuple[ModelStatus, ...]:
        """The catalogue as this installation sees it."""
        fleet, queue = self._pipeline.scheduler.fleet_view(), self._pipeline.scheduler.queue_view()
        resident = {replica.model_id for replica in fleet.replicas}

        def status(card: ModelCard) -> ModelStatus:
            is_available = why_not(card, engines=self._engines, fleet=fleet, queue=queue) is None
            run_s = self._pipeline.scheduler.delivery_s(card)
            wait_s = None
            if is_available and run_s is not None:
                wait_s = expected_wait_s(card, fleet=fleet, queue=queue) + run_s
            is_resident = card.model_id in resident
            return ModelStatus(card=card, is_available=is_available, is_resident=is_resident, wait_s=wait_s)

        return tuple(status(card) for card in self._catalogue.cards.values())

    def style_names(self, model_id: str) -> tuple[str, ...]:
        """Names of the style presets that suit a model."""
        card = self._catalogue.resolve(model_id)
        return () if card is None else styles_for(card, self._presets)

    def model_named(self, reference: str) -> str:
        """The catalogue's name of a model for another service's, which may not exist."""
        return model_named(reference, self._catalogue)

    def readiness(self) -> Readiness:
        """Whether jobs can be taken now."""
        problems = {part: error.message for part, error in self._pipeline.problems.items()}
        if any(halt.scope is Scope.SYSTEM and halt.is_drain for halt in self._pipeline.orders.halts):
            problems["operator"] = "the operator has taken the system out of service"
        return Readiness(is_ready=not problems, problems=problems)

    def fleet(self) -> FleetStatus:
        """What there is, why it is there, and what the operator ordered."""
        return self._pipeline.fleet_status()

    async def order(self, change: Callable[[Orders], Orders]) -> FleetStatus:
        """The fleet once the operator's order is in effect."""
        await self._pipeline.order(change)
        return self._pipeline.fleet_status()

    def card_of(self, name: str) -> ModelCard:
        """The model of this name or alias. Raises `NotFound`."""
        card = self._catalogue.resolve(name)
        if card is None:
            raise NotFound(f"There is no model called {name!r}.", param="model", code="model_not_found")
        return card

    def runnable(self, name: str) -> ModelCard:
        """The same, if it can run here. Raises `InvalidRequest` that says why it cannot."""
        card, scheduler = self.card_of(name), self._pipeline.scheduler
        fleet, queue = scheduler.fleet_view(), scheduler.queue_view()
        problem = why_not(card, engines=self._engines, fleet=fleet, queue=queue)
        if problem is not None:
            raise InvalidRequest(problem, param="model", code="model_unavailable")
        return card


async def _updates(present: JobStatus, watcher: Watcher) -> AsyncGenerator[Update]:
    yield StatusUpdate(status=present)
    if not present.view.job.state.is_terminal:
        async for update in watcher:
            yield update


def _status_of_stored(stored: StoredJob) -> JobStatus:
    return JobStatus(view=closed_view(stored.job), outputs=stored.outputs, cost_micros=stored.cost_micros)


def _stage_of(error: CallerError) -> str:
    if isinstance(error, PromptRefused):
        return "policy"
    return "routing" if error.param == "model" else "prompts"


def _checked_seconds(seconds: object | None, param: str, *, code: str) -> float | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= DEADLINE_S_MAX:
        raise InvalidRequest(
            f"{param} must be a number of seconds above 0 and at most {DEADLINE_S_MAX:.0f}", param=param, code=code
        )
    return float(seconds)


def _shortened(delivery_s: float | None, raw: RawRequest, card: ModelCard) -> float | None:
    """The time of a picture as the card's defaults have it, less where the request plainly asks for less.

    Only what is certain before the request is checked counts: fewer steps. What takes longer the scheduler knows.
    """
    steps = card.steps.draft if raw.quality == Quality.DRAFT and raw.steps is None else raw.steps
    if delivery_s is None or isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        return delivery_s
    return delivery_s * min(steps / card.steps.standard, 1.0)


def _checked_task(task: object | None, *, has_pictures: bool, has_mask: bool) -> str | None:
    if task is None:
        return None
    if not isinstance(task, str) or task not in OFFERED:
        raise InvalidRequest(f"task must be one of {', '.join(OFFERED)}", param="task", code="invalid_task")
    suitable = suitable_tasks(has_pictures=has_pictures, has_mask=has_mask)
    if task not in suitable:
        given = "a mask" if has_mask else "pictures to start from" if has_pictures else "words alone"
        raise InvalidRequest(
            f"task {task} does not fit the request, which has {given}: that is {' or '.join(suitable)}.",
            param="task",
            code="invalid_task",
        )
    return task


def _refused_route(refused: NoRoute) -> HeliographError:
    """The router's no as an error: what never works here is the caller's to change, the rest may work later."""
    offers = ", ".join(refused.alternatives)
    message = f"{refused.reason} You can use: {offers}." if offers else refused.reason
    error: HeliographError
    retry_after_s = refused.retry_after_s and min(max(refused.retry_after_s, RETRY_AFTER_S_MIN), RETRY_AFTER_S_MAX)
    match refused.code:
        case "model_not_found":
            error = NotFound(message, param="model", code=refused.code)
        case "deadline_unreachable" | "wait_too_long":
            error = Overloaded(message, param="model", code=refused.code, retry_after_s=retry_after_s)
        case "model_drained":
            error = Unavailable(message, param="model", code=refused.code, retry_after_s=retry_after_s)
        case _:
            error = InvalidRequest(message, param="model", code=refused.code)
    error.alternatives = refused.offers
    return error
