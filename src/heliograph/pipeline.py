"""The asynchronous loop: take events, ask for decisions, store what changed, then act.

Theory of operation. One task owns the scheduler and works in turns. A turn takes every event that has arrived, folds
each into the scheduler, asks the fleet plan, makes all changed records durable in one transaction (concurrent callers
share an fsync), and only then carries the commands out and answers the submitters. Everybody else talks to it through
`emit` and `submit`, both bounded.

When the store fails, the turn's submissions are refused, everything else of the turn is retried until the store is
back, and new submissions are refused at once meanwhile: memory never runs ahead of what is durable by more than a turn.
Post-processing runs beside the loop, one task per job; a full disk parks it there until there is room.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, assert_never

import structlog

from heliograph.billing.fleet_meter import closing_of
from heliograph.billing.ledger import charge, record_cost
from heliograph.billing.meters import Meters
from heliograph.billing.prices import PriceBook
from heliograph.delivery.blobs import BlobStore
from heliograph.delivery.provenance import SOFTWARE, Stamp, StampPolicy
from heliograph.domain.accounts import Refusal
from heliograph.domain.billing_records import Account, Component, LedgerLine
from heliograph.domain.commands import (
    AbortRun,
    Command,
    Dispatch,
    PauseRun,
    PostProcess,
    RecordJob,
    RefuseJob,
    SaveJob,
    StartReplica,
    StopReplica,
)
from heliograph.domain.errors import HeliographError, Overloaded, Unavailable
from heliograph.domain.events import (
    CancelRequested,
    CheckpointKept,
    ClockTicked,
    DrainRequested,
    Event,
    GateRejected,
    HaltsSet,
    ImagesReady,
    JobRecovered,
    JobSubmitted,
    OutputsStored,
    PostProcessingFailed,
    ReplicaRequested,
    ReplicaStopRequested,
    RunFailed,
    RunPaused,
    RunStarted,
    StepDone,
    SubmissionAbandoned,
    WorkerLost,
    WorkerReady,
)
from heliograph.domain.ids import JobId, ModelId, OutputId, TenantId, WorkerId
from heliograph.domain.job import Job, JobState
from heliograph.domain.lifecycle import (
    CaseOpened,
    JobMoved,
    JobStepped,
    LateEventIgnored,
    LifecycleEvent,
    ReplicaLoaded,
    ReplicaLost,
    ReplicaStarted,
    RequestRefused,
    StoreCommitted,
)
from heliograph.domain.making import EngineFacts, Making
from heliograph.domain.model_card import ModelCard
from heliograph.domain.moderation import Case, ReviewPolicy, case_of_blocked, case_of_picture, opening
from heliograph.domain.money import Micros
from heliograph.domain.orders import Halt, Orders, Scope
from heliograph.domain.pictures import Availability, Decision, Output, RawImage, Safety, Verdict
from heliograph.domain.request import GenerationRequest
from heliograph.domain.run import RunOrder
from heliograph.domain.views import FleetStatus, Gpu, JobStatus, JobView, Phase
from heliograph.domain.webhooks import WebhookMessage
from heliograph.fleet.demand import Demand
from heliograph.fleet.driver import EmitEvent, FleetDriver
from heliograph.fleet.orders import plan_under_orders
from heliograph.fleet.plan import FleetPolicy
from heliograph.fleet.status import fleet_status
from heliograph.live import LiveFeed, ProgressUpdate, StatusUpdate
from heliograph.postprocess import FinishedPicture, without_repeats
from heliograph.quality.safety import SafetyLimits, SafetyPolicy
from heliograph.scheduling import Scheduler
from heliograph.storage.case_writes import ForgetCases, OpenCase
from heliograph.storage.store import (
    Forget,
    IdempotencyRecord,
    PostLedger,
    PutAttempt,
    PutIdempotency,
    PutJob,
    PutOutput,
    PutRefusal,
    PutWebhookMessage,
    Store,
    TakeBack,
    Write,
)
from heliograph.variant_making import Pixels

INBOX_MAX = 4_096
TURN_MAX = 512
TICK_S = 0.2
TICK_BEHIND_S = 0.01
"""Between ticks while more jobs are overdue than one tick deals with."""
STORE_RETRY_S = 0.5
STORE_RETRY_HINT_S = 5.0
CANCEL_S_MAX = 3.0
PAUSE_S_MAX = 2.0
FORGET_EVERY_S = 3_600.0
SETTLE_EVERY_S = 300.0
"""Between two postings of what GPUs cost while no attempt holds them, and of everything else that is used."""
DISOWNED_MAX = 10_000
DEFERRED_MAX = 1_024

_log = structlog.get_logger()

LifecycleSink = Callable[[LifecycleEvent], None]


class PostProcessor(Protocol):
    """Judges and encodes pictures somewhere else than on the loop."""

    async def finish(
        self,
        raw: RawImage,
        request: GenerationRequest,
        *,
        reseeds: int,
        alignment_judge: str | None = None,
        safety: SafetyLimits | None = None,
        stamp: Stamp | None = None,
        spent: Callable[[int], None] | None = None,
    ) -> FinishedPicture | Verdict:
        """The picture's files, or the verdict that stands in their way. Raises `HeliographError`."""
        ...


class Outbox(Protocol):
    """Knows who outside wants to hear of a job."""

    def messages(self, record: RecordJob) -> Sequence[WebhookMessage]:
        """What has to be told because of this move; it becomes durable together with it."""
        ...

    def committed(self) -> None:
        """New messages are durable."""
        ...


@dataclass(slots=True)
class _Letter:
    """An event on its way to the loop; whoever sent it may wait for `reply`, a submission brings records of its own."""

    event: Event
    reply: asyncio.Future[None] | None = None
    writes: tuple[Write, ...] = ()

    def answer(self, error: HeliographError | None = None) -> None:
        """Let a waiting submitter go on, or tell it why not; harmless when it has left or was answered."""
        if self.reply is None or self.reply.done():
            return
        if error is None:
            self.reply.set_result(None)
        else:
            self.reply.set_exception(error)


@dataclass(slots=True)
class _Turn:
    """What one turn decided. `submissions` are the letters whose job must become durable or be refused."""

    submissions: dict[JobId, _Letter]
    commands: list[Command] = field(default_factory=list[Command])

    def drop(self, job_ids: Iterable[JobId]) -> None:
        """Forget these submissions and every command about them."""
        dropped = frozenset(job_ids)
        self.submissions = {job_id: letter for job_id, letter in self.submissions.items() if job_id not in dropped}
        self.commands = [command for command in self.commands if _job_of(command) not in dropped]


class Pipeline:
    """Owns the scheduler; everything it needs from the world is handed in.

    Idempotency keys and refusals are deleted once they are `remembered_s` seconds old. `demand` learns from every
    submission and tells the fleet plan what is likely to come; without it idle models stay for a fixed time. `meters`
    account for what no attempt costs. `orders` are an operator's from earlier; `keep_orders` makes new ones durable.
    `stamps` says what is written into files, `safety` how pictures are judged (None: they are not), `reviews` whose
    wait for a person; decided cases are deleted after `keep_cases_s` seconds. `on_delivered` is told of every picture
    whose files are stored, with its pixels, or its file where that holds them all.
    """

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        store: Store,
        blobs: BlobStore,
        post: PostProcessor,
        make_fleet: Callable[[EmitEvent], FleetDriver],
        gpus: Sequence[Gpu],
        cards: Mapping[ModelId, ModelCard],
        fleet_policy: FleetPolicy,
        prices: PriceBook,
        feed: LiveFeed,
        sinks: Sequence[LifecycleSink],
        clock: Callable[[], float],
        new_id: Callable[[], str],
        demand: Demand | None = None,
        outbox: Outbox | None = None,
        orders: Orders | None = None,
        keep_orders: Callable[[Orders], Awaitable[None]] | None = None,
        meters: Meters | None = None,
        remembered_s: float = 86_400.0,
        safety: SafetyPolicy | None = None,
        reviews: ReviewPolicy | None = None,
        keep_cases_s: float | None = None,
        stamps: StampPolicy | None = None,
        on_delivered: Callable[[Job, Output, Pixels | bytes], None] | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.feed = feed
        self.now_s = clock
        self._store = store
        self._blobs = blobs
        self._post = post
        self._fleet = make_fleet(self.emit)
        self._gpus = {gpu.gpu_id: gpu for gpu in gpus}
        self._cards = cards
        self._fleet_policy = fleet_policy
        self._demand = demand
        self._prices = prices
        self._sinks = list(sinks)
        self._new_id = new_id
        self._outbox = outbox
        self._meters = meters
        self._remembered_s = remembered_s
        self._safety = safety
        self._reviews = reviews or ReviewPolicy()
        self._keep_cases_s = keep_cases_s
        self._stamps = stamps or StampPolicy()
        self._on_delivered = on_delivered
        self._inbox: asyncio.Queue[_Letter] = asyncio.Queue(maxsize=INBOX_MAX)
        self._deferred: list[Write] = []
        self._disowned: dict[JobId, None] = {}
        self._states: dict[JobId, JobState] = {}
        self._images: dict[tuple[JobId, int], tuple[RawImage, ...]] = {}
        self._models_of_workers: dict[WorkerId, ModelId] = {}
        self._classes_of_workers: dict[WorkerId, str] = {}
        self._facts_of_workers: dict[WorkerId, EngineFacts] = {}
        self._makings: dict[JobId, Making] = {}
        self._finishing: set[asyncio.Task[None]] = set()
        self._parked: set[JobId] = set()
        self._is_draining = False
        self._is_flush_due = False
        self._memory_of_workers: dict[WorkerId, int] = {}
        self._keep_orders = keep_orders
        self._ordering = asyncio.Lock()
        self.orders = orders or Orders()
        """What the operator ordered."""
        self.problems: dict[str, Unavailable] = {}
        """Parts that fail now, with the reason; while there are any, no job is taken."""
        self.is_recovered = asyncio.Event()
        """Set once the open jobs of an earlier process are back in line."""

    # --- what others call --------------------------------------------------------------------------------------------

    async def emit(self, event: Event) -> None:
        """Hand an event to the loop; waits while its inbox is full."""
        await self._inbox.put(_Letter(event=event))

    async def submit(self, job: Job, *, writes: tuple[Write, ...] = ()) -> None:
        """Return once the job is durable. Raises `Overloaded` or `Unavailable`; then the job never was."""
        if self.problems:
            first = next(iter(self.problems.values()))
            raise Unavailable(
                f"No job can be taken now: {first.message}", code=first.code, retry_after_s=STORE_RETRY_HINT_S
            )
        reply: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._inbox.put_nowait(_Letter(event=JobSubmitted(job=job), reply=reply, writes=writes))
        except asyncio.QueueFull:
            raise Overloaded("Too many requests at once; try again in a second.", retry_after_s=1) from None
        await reply
        for write in writes:
            if isinstance(write, OpenCase):
                self.publish(CaseOpened(case=write.case))

    async def cancel(self, job_id: JobId) -> None:
        """Return once the job's end is durable and its worker was told; a job that has ended stays as it is.

        Raises `Unavailable` when that takes longer than three seconds; the job ends all the same once it can.
        """
        if "loop" in self.problems:
            raise self.problems["loop"]
        reply: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(CANCEL_S_MAX):
                await self._inbox.put(_Letter(event=CancelRequested(job_id=job_id), reply=reply))
                await reply
        except TimeoutError:
            raise Unavailable(
                "The cancellation is noted; it takes effect as soon as it can be stored.", retry_after_s=CANCEL_S_MAX
            ) from None

    def disown(self, job_id: JobId) -> None:
        """Write nothing more of a job that has ended and is about to be deleted; what it cost is posted all the same.

        Its last run may still be ending on its worker. The newest `DISOWNED_MAX` are remembered, far more than can be.
        """
        self._disowned[job_id] = None
        if len(self._disowned) > DISOWNED_MAX:
            del self._disowned[next(iter(self._disowned))]

    async def order(self, change: Callable[[Orders], Orders]) -> None:
        """Change the orders; return once they are durable and every worker they are about was told.

        Raises `Unavailable` when they cannot be kept (then nothing has changed), or take longer than three seconds.
        """
        if "loop" in self.problems:
            raise self.problems["loop"]
        reply: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with self._ordering:
            orders = change(self.orders)
            if self._keep_orders is not None:
                await self._keep_orders(orders)
            self.orders = orders
            await self._inbox.put(_Letter(event=HaltsSet(halts=orders.halts), reply=reply))
        try:
            async with asyncio.timeout(CANCEL_S_MAX):
                await reply
        except TimeoutError:
            raise Unavailable(
                "The order is kept; it takes effect as soon as what runs now can be stored.", retry_after_s=CANCEL_S_MAX
            ) from None

    def fleet_status(self) -> FleetStatus:
        """What there is, why it is there, and what was ordered."""
        return fleet_status(
            self.scheduler.fleet_view(),
            self.scheduler.queue_view(),
            self._cards,
            self._fleet_policy,
            self.orders,
            memory_bytes=self._memory_of_workers,
            now_s=self.now_s(),
            demand=self._demand,
        )

    def refuse(self, refusal: Refusal) -> None:
        """Record a request that never became a job."""
        if len(self._deferred) < DEFERRED_MAX:
            self._deferred.append(PutRefusal(refusal=refusal))
        self.publish(RequestRefused(refusal=refusal))

    def status_of_open(self, job_id: JobId) -> JobStatus | None:
        """An open job now, or None."""
        view = self.scheduler.view(job_id, now_s=self.now_s())
        return None if view is None else JobStatus(view=view, outputs=(), cost_micros=Micros(0))

    def add_sink(self, sink: LifecycleSink) -> None:
        """Have somebody else hear of everything, too."""
        self._sinks.append(sink)

    async def run(self, *, recovers: bool = True, open_jobs: Awaitable[Sequence[Job]] | None = None) -> None:
        """Recover the open jobs the store holds (unless told not to), then work until cancelled.

        They are `open_jobs` where the caller has begun to read them. When this ends, however it ends, nobody is left
        waiting for an answer.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tick(), name="tick")
                if self._meters is not None:
                    group.create_task(self._close_books(self.now_s()), name="close books")
                jobs = await (open_jobs or self._store.open_jobs()) if recovers else ()
                if recovers:
                    await self._fleet.retain({job.job_id for job in jobs})
                self.scheduler.handle(HaltsSet(halts=self.orders.halts), now_s=self.now_s())
                await self._recover(jobs)
                await self._take_turn([_Letter(event=ClockTicked())])
                self.is_recovered.set()
                while True:
                    letters = [await self._inbox.get()]
                    with suppress(asyncio.QueueEmpty):
                        while len(letters) < TURN_MAX:
                            letters.append(self._inbox.get_nowait())
                    await self._take_turn(letters)
        finally:
            self._dismiss()
            for task in self._finishing:
                task.cancel()
            await asyncio.gather(*self._finishing, return_exceptions=True)
            await self._fleet.close()
            self._settle()
            if self._deferred:
                with suppress(Unavailable):
                    await self._store.commit(self._deferred)

    def _dismiss(self) -> None:
        """Tell everybody who waits for the loop that it is gone."""
        gone = Unavailable("the server has stopped working", code="shutting_down", retry_after_s=STORE_RETRY_HINT_S)
        self.problems["loop"] = gone
        while not self._inbox.empty():
            self._inbox.get_nowait().answer(gone)
        self.feed.close()

    def hold(self) -> None:
        """Take nothing new, dispatch nothing, load nothing: before `run`, or on the way out."""
        self._is_draining = True
        self.problems["server"] = Unavailable("the server is shutting down", code="shutting_down")
        self.scheduler.handle(DrainRequested(), now_s=self.now_s())

    async def drain(self, *, timeout_s: float) -> bool:
        """Take nothing new, let what runs finish; True when all of it did within `timeout_s` seconds.

        What has not pauses, where it can, so that the next process takes it up; for that there are another
        `PAUSE_S_MAX` seconds.
        """
        self.hold()
        if await self._has_nothing_left(within_s=timeout_s):
            return True
        await self.emit(HaltsSet(halts=(Halt(scope=Scope.SYSTEM),)))
        await self._has_nothing_left(within_s=PAUSE_S_MAX)
        return False

    async def _has_nothing_left(self, *, within_s: float) -> bool:
        """Nothing runs and nothing is being finished any more; False when there still is after `within_s` seconds."""
        deadline_s = self.now_s() + within_s
        while self.scheduler.running_jobs() or self._finishing:
            if self.now_s() >= deadline_s:
                return False
            await asyncio.sleep(0.05)
        return True

    # --- one turn ----------------------------------------------------------------------------------------------------

    async def _recover(self, jobs: Sequence[Job]) -> None:
        """A turn of nothing but open jobs, of which there may be very many: nobody waits for answers or watches."""
        self._states = {job.job_id: job.state for job in jobs}
        turn, now_s = _Turn({}), self.now_s()
        for job in jobs:
            turn.commands += self._handled(JobRecovered(job=job), now_s)
        await self._make_durable(turn)
        for command in turn.commands:
            await self._carry_out(command)

    def _decided(self, letters: Sequence[_Letter]) -> _Turn:
        """What the scheduler and the fleet plan make of the letters."""
        now_s = self.now_s()
        turn = _Turn({letter.event.job.job_id: letter for letter in letters if isinstance(letter.event, JobSubmitted)})
        for letter in letters:
            self._note(letter.event, now_s)
            self._tell_if_late(letter.event)
            turn.commands += self._handled(letter.event, now_s)
        if not all(isinstance(letter.event, StepDone) for letter in letters):
            turn.commands += self._planned(now_s)
        self._refuse_overload(turn)
        return turn

    async def _take_turn(self, letters: Sequence[_Letter]) -> None:
        with nullcontext() if self._meters is None else self._meters.deciding():
            turn = self._decided(letters)
        try:
            await self._make_durable(turn)
            for command in turn.commands:
                await self._carry_out(command)
        except BaseException:  # cancelled, or broken: the loop ends, and nobody may be left waiting
            for letter in letters:
                letter.answer(Unavailable("the server has stopped working", code="shutting_down"))
            raise
        for letter in letters:
            letter.answer()
            self._tell_watchers(letter.event)
            if isinstance(letter.event, CheckpointKept | RunPaused) and not self.scheduler.is_open(letter.event.job_id):
                await self._fleet.forget(letter.event.job_id)  # it came too late for anybody to use

    def _refuse_overload(self, turn: _Turn) -> None:
        refused = {command.job_id: command.error for command in turn.commands if isinstance(command, RefuseJob)}
        for job_id, error in refused.items():
            turn.submissions[job_id].answer(error)
        turn.drop(refused)

    def _planned(self, now_s: float) -> list[Command]:
        """The fleet plan's wishes; a worker that is busy is stopped by the scheduler once it is free."""
        if self._is_draining:
            return []
        wishes = plan_under_orders(
            self.scheduler.fleet_view(),
            self.scheduler.queue_view(),
            self._cards,
            self._fleet_policy,
            self.orders,
            now_s=now_s,
            demand=self._demand,
        )
        commands: list[Command] = []
        for wish in wishes:
            match wish:
                case StartReplica():
                    commands.append(wish)
                case StopReplica(worker_id=worker_id, reason=reason):
                    event = ReplicaStopRequested(worker_id=worker_id, reason=reason)
                    commands += self._handled(event, now_s)
                case _:
                    assert_never(wish)
        return commands

    def _handled(self, event: Event, now_s: float) -> list[Command]:
        """What the scheduler decides, with the meter looking on."""
        commands = self.scheduler.handle(event, now_s=now_s)
        if self._meters is not None:
            self._meters.fleet.note(event, commands, now_s=now_s)
        return commands

    async def _make_durable(self, turn: _Turn) -> None:
        """Commit what the turn changed; while the store is down, refuse the turn's submissions and retry the rest."""
        while True:
            deferred, self._deferred = self._deferred, []  # more may be deferred while this commit is under way
            records = [command for command in turn.commands if isinstance(command, RecordJob | SaveJob)]
            own = [write for letter in turn.submissions.values() for write in letter.writes]
            writes = _newest([*deferred, *_writes(records, self._prices), *self._news(records), *own])
            if self._disowned:
                writes = [write for write in writes if _job_of_write(write) not in self._disowned]
            if "store" in self.problems:
                writes.append(self._probe())
            must_wait = len(writes) > DEFERRED_MAX or any(
                record.must_wait for record in records if isinstance(record, RecordJob)
            )
            if not must_wait and not self._is_flush_due:
                self._deferred = writes
                return
            self._is_flush_due = False
            begun_s = self.now_s()
            try:
                if writes:
                    await self._store.commit(writes)
            except Unavailable as error:
                self.problems["store"] = error
                self.publish(StoreCommitted(duration_s=self.now_s() - begun_s, writes=len(writes), has_failed=True))
                # Whether the transaction was carried out is not always known: what is refused is taken back.
                self._deferred = [*deferred, *self._deferred, *_taken_back(turn)]
                self._refuse_submissions(turn, error)
                await asyncio.sleep(STORE_RETRY_S)
            else:
                self.problems.pop("store", None)
                if writes:
                    self.publish(StoreCommitted(duration_s=self.now_s() - begun_s, writes=len(writes)))
                if self._outbox is not None and any(isinstance(write, PutWebhookMessage) for write in writes):
                    self._outbox.committed()
                return

    def _news(self, records: Sequence[RecordJob | SaveJob]) -> list[Write]:
        """Messages to whoever outside wants to hear of the records."""
        if self._outbox is None:
            return []
        moves = [record for record in records if isinstance(record, RecordJob)]
        return [PutWebhookMessage(message=message) for move in moves for message in self._outbox.messages(move)]

    def _probe(self) -> Write:
        """A write that says nothing: that it can be made proves that the store works again."""
        record = IdempotencyRecord(
            tenant_id=TenantId(""),
            route="probe",
            key="probe",
            fingerprint="",
            job_id=JobId(""),
            created_at_s=self.now_s(),
        )
        return PutIdempotency(record=record)

    def _refuse_submissions(self, turn: _Turn, error: Unavailable) -> None:
        abandoned = tuple(turn.submissions)
        for letter in turn.submissions.values():
            letter.answer(Unavailable(error.message, code=error.code, retry_after_s=STORE_RETRY_HINT_S))
        turn.drop(abandoned)
        for job_id in abandoned:
            turn.commands += self._handled(SubmissionAbandoned(job_id=job_id), self.now_s())

    async def _carry_out(self, command: Command) -> None:
        match command:
            case RecordJob():
                self._announce(command)
                if command.job.state.is_terminal:
                    await self._fleet.forget(command.job.job_id)
            case SaveJob():
                pass  # nobody is told
            case RefuseJob():
                pass  # its submitter was told before anything became durable
            case Dispatch(worker_id=worker_id, order=order):
                self._note_making(worker_id, order)
                await self._fleet.run(worker_id, order)
            case AbortRun(worker_id=worker_id, job_id=job_id, attempt=attempt):
                await self._fleet.abort(worker_id, job_id, attempt)
            case PauseRun(worker_id=worker_id, job_id=job_id, attempt=attempt):
                await self._fleet.pause(worker_id, job_id, attempt)
            case PostProcess(job=job):
                images = self._images.pop((job.job_id, job.attempt))
                task = asyncio.create_task(self._finish(job, images), name=f"finish {job.job_id}")
                self._finishing.add(task)
                task.add_done_callback(self._finishing.discard)
            case StartReplica(gpu_id=gpu_id, model_id=model_id, more_gpu_ids=more_gpu_ids):
                worker_id = WorkerId(f"worker_{self._new_id()}")
                started = ReplicaRequested(
                    worker_id=worker_id, gpu_id=gpu_id, model_id=model_id, more_gpu_ids=more_gpu_ids
                )
                self._handled(started, self.now_s())
                self._models_of_workers[worker_id] = model_id
                self._classes_of_workers[worker_id] = self._gpus[gpu_id].gpu_class
                self.publish(ReplicaStarted(worker_id=worker_id, gpu_id=gpu_id, model_id=model_id))
                await self._fleet.start(worker_id, self._gpus[gpu_id], self._cards[model_id])
            case StopReplica(worker_id=worker_id):
                await self._fleet.stop(worker_id)
            case _:
                assert_never(command)

    # --- after the last step -----------------------------------------------------------------------------------------

    async def _finish(self, job: Job, images: tuple[RawImage, ...]) -> None:
        """Judge, encode and store the pictures, then report; a job that has ended meanwhile is dropped."""
        try:
            event = await self._finished(job, images)
        except Exception:  # the top of a task: whatever it is, the job must not wait for it for ever
            _log.error("post-processing broke", job_id=job.job_id, exception=traceback.format_exc())
            message = "The pictures could not be finished because of a fault in the server; its log says which."
            event = PostProcessingFailed(job_id=job.job_id, attempt=job.attempt, message=message, is_retryable=False)
        if event is not None:
            await self.emit(event)

    async def _finished(self, job: Job, images: tuple[RawImage, ...]) -> Event | None:
        job_id, attempt = job.job_id, job.attempt
        card = self._cards.get(job.request.model_id)
        is_edit = job.request.inputs is not None
        stamp = self._stamps.stamp(job.tenant_id, made_at_s=self.now_s(), is_edit=is_edit)
        alignment_judge = card and card.alignment
        try:
            results = await asyncio.gather(
                *(
                    self._post.finish(
                        image,
                        job.request,
                        reseeds=job.reseeds,
                        alignment_judge=alignment_judge,
                        safety=self._safety and self._safety.limits_for(job.tenant_id),
                        stamp=stamp,
                        spent=partial(meter_post_processing, self._meters, job),
                    )
                    for image in images
                )
            )
        except Unavailable as error:
            if self._is_draining:
                return None  # the pool has closed; the pictures are made again after the restart
            return PostProcessingFailed(job_id=job_id, attempt=attempt, message=error.message)
        except HeliographError as error:
            _log.error("pictures cannot be encoded", job_id=job_id, detail=getattr(error, "__notes__", []))
            return PostProcessingFailed(job_id=job_id, attempt=attempt, message=error.message, is_retryable=False)
        pictures = without_repeats([result for result in results if isinstance(result, FinishedPicture)])
        for problem in dict.fromkeys(problem for picture in pictures for problem in picture.problems):
            _log.warning("pictures are not as good as they could be", job_id=job_id, reason=problem)
        rejected = [result for result in results if isinstance(result, Verdict)]
        if rejected:
            worst = max(rejected, key=lambda verdict: verdict.decision is Decision.BLOCK)
            self._note_unsafe(job, [verdict.safety for verdict in rejected if verdict.safety is not None])
            return GateRejected(job_id=job_id, attempt=attempt, verdict=worst)
        try:
            outputs = [await self._deliver(job, index, picture) for index, picture in enumerate(pictures)]
        finally:
            self._unpark(job_id)
        stored = tuple(output for output in outputs if output is not None)
        if len(stored) < len(outputs):
            return None
        if self._on_delivered is not None:
            for image, picture, output in zip(images, pictures, stored, strict=True):
                self._on_delivered(job, output, _pixels_of(image, picture))
        return OutputsStored(job_id=job_id, attempt=attempt, outputs=stored)

    def _note_unsafe(self, job: Job, found: Sequence[Safety]) -> None:
        """Put on record that a picture was not even stored, with the next transaction."""
        if found:
            case, action = case_of_blocked(job, max(found, key=lambda each: each.score), now_s=self.now_s())
            self._deferred.append(OpenCase(case=case, action=action))
            self.publish(CaseOpened(case=case))

    def _is_held(self, job: Job, picture: FinishedPicture) -> bool:
        """Whether a person decides before the picture is delivered."""
        is_flagged = picture.safety is not None and picture.safety.decision is Decision.FLAG
        return job.on_review or (is_flagged and self._reviews.holds_for(job.tenant_id))

    async def _deliver(self, job: Job, index: int, picture: FinishedPicture) -> Output | None:
        """Store one picture; waits while there is no room for it. None when the job has ended meanwhile."""
        while self.scheduler.is_open(job.job_id):
            try:
                # At once: concurrent syncs share one commit of the file system's journal.
                blob, thumbnail_blob = await asyncio.gather(
                    self._blobs.put(picture.data, suffix=picture.output_format.value, owner=job.tenant_id),
                    self._blobs.put(picture.thumbnail, suffix="webp", owner=job.tenant_id),
                )
            except Unavailable as error:
                self._parked.add(job.job_id)
                self.problems["pictures"] = error
                await asyncio.sleep(STORE_RETRY_S)
                continue
            self._unpark(job.job_id)
            return Output(
                output_id=OutputId(f"out_{self._new_id()}"),
                job_id=job.job_id,
                tenant_id=job.tenant_id,
                index=index,
                blob=blob,
                sha256=picture.sha256,
                size_bytes=len(picture.data),
                output_format=picture.output_format,
                width_px=picture.width_px,
                height_px=picture.height_px,
                seed=picture.seed,
                frames=picture.frames,
                duration_s=picture.duration_s,
                thumbnail_blob=thumbnail_blob,
                thumbhash=picture.thumbhash,
                thumbnail_bytes=len(picture.thumbnail),
                verdict=picture.verdict,
                alignment=picture.alignment,
                technical=picture.technical,
                safety=picture.safety,
                availability=Availability.HELD if self._is_held(job, picture) else Availability.DELIVERED,
                pixels_sha256=picture.pixels_sha256,
                perceptual_hash=picture.perceptual_hash,
                parameters=picture.parameters,
                is_signed=picture.is_signed,
                making=self._makings.get(job.job_id),
                created_at_s=self.now_s(),
            )
        return None

    def _unpark(self, job_id: JobId) -> None:
        """The job no longer waits for room; the last one to go takes the problem with it."""
        self._parked.discard(job_id)
        if not self._parked:
            self.problems.pop("pictures", None)

    # --- telling others ----------------------------------------------------------------------------------------------

    def _note(self, event: Event, now_s: float) -> None:
        """Keep what the commands to come will need of the event."""
        match event:
            case JobSubmitted(job=job) if self._demand is not None:
                request = job.request
                asker = (job.tenant_id, job.end_user)
                self._demand.note(request.model_id, asker, now_s, images=request.image_count)
            case ImagesReady(job_id=job_id, attempt=attempt, images=images):
                self._images[(job_id, attempt)] = images
            case WorkerReady(worker_id=worker_id, facts=EngineFacts() as facts):
                self._facts_of_workers[worker_id] = facts
            case ClockTicked():
                self._is_flush_due = True
            case _:
                pass

    def _note_making(self, worker_id: WorkerId, order: RunOrder) -> None:
        """Keep what the pictures of a run are made with, until its job has ended."""
        facts, gpu_class = self._facts_of_workers.get(worker_id), self._classes_of_workers.get(worker_id)
        self._makings.pop(order.job_id, None)
        if facts is not None and gpu_class is not None and order.job_id in self._states:
            batch = len(order.seeds)
            self._makings[order.job_id] = Making(facts=facts, software=SOFTWARE, gpu_class=gpu_class, batch=batch)

    def _tell_if_late(self, event: Event) -> None:
        """Tell the operator of news that the scheduler will ignore, because its attempt is over."""
        match event:
            case (
                RunStarted(job_id=job_id, attempt=attempt)
                | StepDone(job_id=job_id, attempt=attempt)
                | CheckpointKept(job_id=job_id, attempt=attempt)
                | ImagesReady(job_id=job_id, attempt=attempt)
                | RunFailed(job_id=job_id, attempt=attempt)
                | OutputsStored(job_id=job_id, attempt=attempt)
                | GateRejected(job_id=job_id, attempt=attempt)
                | PostProcessingFailed(job_id=job_id, attempt=attempt)
            ) if not self.scheduler.is_current(job_id, attempt):
                self.publish(LateEventIgnored(event=type(event).__name__, job_id=job_id, attempt=attempt))
            case _:
                pass

    def _tell_watchers(self, event: Event) -> None:
        match event:
            case StepDone(job_id=job_id):
                status = self.status_of_open(job_id)
                if status is not None and status.view.job.attempt == event.attempt:
                    self.feed.publish(job_id, lambda: ProgressUpdate(status=status))
                    if not status.view.job.on_review:
                        self.feed.publish_previews(event)
                    self.publish(JobStepped(model_id=status.view.job.request.model_id, step=event))
            case WorkerReady(worker_id=worker_id, load_s=load_s, memory_bytes=memory_bytes):
                self._memory_of_workers[worker_id] = memory_bytes
                model_id = self._models_of_workers.get(worker_id)
                if model_id is not None:
                    loaded = ReplicaLoaded(
                        worker_id=worker_id, model_id=model_id, load_s=load_s, memory_bytes=memory_bytes
                    )
                    self.publish(loaded)
            case WorkerLost(worker_id=worker_id, reason=reason, detail=detail):
                self._memory_of_workers.pop(worker_id, None)
                self._facts_of_workers.pop(worker_id, None)
                self._classes_of_workers.pop(worker_id, None)
                model_id = self._models_of_workers.pop(worker_id, None)
                if model_id is not None:
                    self.publish(ReplicaLost(worker_id=worker_id, model_id=model_id, reason=reason, detail=detail))
            case ImagesReady(job_id=job_id, attempt=attempt):
                self._images.pop((job_id, attempt), None)
            case ClockTicked():
                for job_id in self.feed.watched():
                    status = self.status_of_open(job_id)
                    if status is not None and status.view.job.state is JobState.PENDING:
                        self.feed.publish(job_id, lambda status=status: ProgressUpdate(status=status))
            case _:
                pass

    def _announce(self, record: RecordJob) -> None:
        """Publish a state that is durable, or about to be where nothing depends on it."""
        job = record.job
        previous = self._states.get(job.job_id)
        if job.state.is_terminal:
            self._states.pop(job.job_id, None)
            self._makings.pop(job.job_id, None)
        else:
            self._states[job.job_id] = job.state
        cost_micros = _charged(record, self._prices)
        self.publish(JobMoved(record=record, previous=previous, cost_micros=cost_micros))
        for case in _cases(record):
            self.publish(CaseOpened(case=case))
        self.feed.publish(job.job_id, lambda: StatusUpdate(status=self._status_of(record, cost_micros)))

    def _status_of(self, record: RecordJob, cost_micros: Micros) -> JobStatus:
        status = self.status_of_open(record.job.job_id)
        if status is not None and status.view.job.state is record.job.state:
            return status
        return JobStatus(view=closed_view(record.job), outputs=record.outputs, cost_micros=cost_micros)

    def publish(self, event: LifecycleEvent) -> None:
        """Tell every sink of what happened."""
        for sink in self._sinks:
            sink(event)

    async def _close_books(self, meters_since_s: float) -> None:
        """Give an owner to what a process that was killed had bought and not accounted for."""
        while True:
            try:
                balance = await self._store.ledger_balance(Account.FLEET, before_s=meters_since_s)
                break
            except Unavailable:
                await asyncio.sleep(STORE_RETRY_S)
        closing = closing_of(balance, posting_id=f"closing:{self._new_id()}", now_s=self.now_s())
        if closing:
            self._deferred.append(PostLedger(lines=closing))

    def _settle(self) -> None:
        """Post what was used since the last time, with the next transaction."""
        if self._meters is not None:
            postings = self._meters.settle(name=self._new_id(), now_s=self.now_s())
            self._deferred += [PostLedger(lines=posting) for posting in postings]

    async def _tick(self) -> None:
        forgotten_at_s, settled_at_s = 0.0, self.now_s()
        while True:
            if self.now_s() - settled_at_s >= SETTLE_EVERY_S:
                settled_at_s = self.now_s()
                self._settle()
            if self.now_s() - forgotten_at_s >= FORGET_EVERY_S:
                forgotten_at_s = self.now_s()
                self._deferred.append(Forget(before_s=forgotten_at_s - self._remembered_s))
                if self._keep_cases_s is not None:
                    self._deferred.append(ForgetCases(before_s=forgotten_at_s - self._keep_cases_s))
            await asyncio.sleep(TICK_BEHIND_S if self.scheduler.is_behind() else TICK_S)
            await self.emit(ClockTicked())


def closed_view(job: Job) -> JobView:
    """The view of a job that the scheduler no longer holds."""
    phase = Phase.DONE if job.state.is_terminal else Phase.FINISHING
    steps = job.request.steps
    step = steps if job.state in (JobState.COMPLETED, JobState.POST_PROCESSING) else 0
    return JobView(job=job, phase=phase, queue_position=None, eta_s=None, step=step, steps=steps)


def _writes(records: Sequence[RecordJob | SaveJob], prices: PriceBook) -> list[Write]:
    """What the records leave in the store; only a job's last state of the turn is written."""
    last = {record.job.job_id: record.job for record in records}
    writes: list[Write] = [PutJob(job=job) for job in last.values()]
    for record in records:
        if isinstance(record, SaveJob):
            continue
        if record.ended_attempt is not None:
            writes.append(PutAttempt(attempt=record.ended_attempt))
        writes += [PutOutput(output=output) for output in record.outputs]
        writes += [OpenCase(case=case, action=opening(case)) for case in _cases(record)]
        writes += [PostLedger(lines=posting) for posting in _postings(record, prices)]
    return writes


def _cases(record: RecordJob) -> list[Case]:
    """The cases that the record's pictures are."""
    found = (case_of_picture(record.job, output) for output in record.outputs)
    return [case for case in found if case is not None]


def _job_of_write(write: Write) -> JobId | None:
    """The job whose record this is a part of."""
    match write:
        case PutJob(job=job):
            return job.job_id
        case PutAttempt(attempt=attempt):
            return attempt.job_id
        case PutOutput(output=output):
            return output.job_id
        case _:
            return None


def _taken_back(turn: _Turn) -> list[Write]:
    """What makes sure that nothing is left of the turn's submissions."""
    taken_back: list[Write] = []
    for job_id, letter in turn.submissions.items():
        records = tuple(write.record for write in letter.writes if isinstance(write, PutIdempotency))
        taken_back.append(TakeBack(job_id=job_id, records=records))
    return taken_back


def meter_post_processing(meters: Meters | None, job: Job, cpu_us: int) -> None:
    """So many microseconds of a core went into finishing pictures of the job."""
    if meters is not None:
        model_id, tier = job.request.model_id, job.tier
        meters.usage.add(Component.POSTPROCESS_CPU, cpu_us, tenant_id=job.tenant_id, model_id=model_id, tier=tier)


def _pixels_of(image: RawImage, picture: FinishedPicture) -> Pixels | bytes:
    """What further files of a delivered picture are best made of."""
    is_enlarged = (picture.width_px, picture.height_px) != (image.width_px, image.height_px)
    if is_enlarged and picture.enlarged is None:
        return picture.data
    return Pixels(
        rgb=picture.enlarged or image.rgb,
        width_px=picture.width_px,
        height_px=picture.height_px,
        frames=picture.frames,
    )


def _newest(writes: Sequence[Write]) -> list[Write]:
    """The writes with only the newest state of each job, where its first stood: most pass three between two commits."""
    return list({write.job.job_id if isinstance(write, PutJob) else id(write): write for write in writes}.values())


def _postings(record: RecordJob, prices: PriceBook) -> list[tuple[LedgerLine, ...]]:
    """The ledger postings that follow from the record; an attempt that cost nothing leaves none."""
    postings: list[tuple[LedgerLine, ...]] = []
    if record.ended_attempt is not None:
        postings.append(record_cost(record.ended_attempt, record.job, prices))
    if record.charged_attempt is not None:
        postings.append(charge(record.charged_attempt, record.job, prices))
    return [posting for posting in postings if posting]


def _charged(record: RecordJob, prices: PriceBook) -> Micros:
    """What the record charges the tenant."""
    if record.charged_attempt is None:
        return Micros(0)
    lines = charge(record.charged_attempt, record.job, prices)
    return Micros(-sum(line.amount_micros for line in lines if line.account is Account.TENANT))


def _job_of(command: Command) -> JobId | None:
    match command:
        case RecordJob(job=job) | SaveJob(job=job) | PostProcess(job=job):
            return job.job_id
        case Dispatch(order=order):
            return order.job_id
        case RefuseJob(job_id=job_id) | AbortRun(job_id=job_id) | PauseRun(job_id=job_id):
            return job_id
        case StartReplica() | StopReplica():
            return None
        case _:
            assert_never(command)
