"""The loop and the service over it, with in-memory twins of everything outside: order, durability and exactly-once."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

import pytest

from heliograph.billing import ledger
from heliograph.billing.prices import PriceBook
from heliograph.delivery.memory import MemoryBlobStore
from heliograph.delivery.provenance import Stamp, StampPolicy
from heliograph.delivery.verification import Inspection
from heliograph.domain.accounts import Caller
from heliograph.domain.billing_records import Account
from heliograph.domain.commands import RecordJob
from heliograph.domain.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    Overloaded,
    PromptRefused,
    Timeout,
    Unavailable,
)
from heliograph.domain.events import (
    CheckpointKept,
    GateRejected,
    ImagesReady,
    OutputsStored,
    PostProcessingFailed,
    RunFailed,
    RunStarted,
    StepDone,
)
from heliograph.domain.ids import JobId, ModelId, TenantId
from heliograph.domain.job import AttemptOutcome, JobState
from heliograph.domain.lifecycle import JobMoved, JobStepped, LateEventIgnored, LifecycleEvent, RequestRefused
from heliograph.domain.model_card import EngineKind, ModelCard
from heliograph.domain.moderation import ReviewPolicy
from heliograph.domain.pictures import Alignment, Decision, RawImage, Safety, Verdict
from heliograph.domain.prompt_verdict import Category
from heliograph.domain.request import VIDEO_FORMATS, GenerationRequest, OutputFormat
from heliograph.domain.run import RunOrder
from heliograph.domain.tiers import Tier
from heliograph.domain.views import ReplicaState, ReplicaView
from heliograph.domain.webhooks import JOB_EVENTS, JobWebhook, WebhookEvent, WebhookMessage
from heliograph.fleet.demand import Demand
from heliograph.fleet.plan import FleetPolicy
from heliograph.live import LiveFeed, PreviewUpdate, ProgressUpdate, StatusUpdate
from heliograph.pipeline import Outbox, Pipeline
from heliograph.postprocess import FinishedPicture
from heliograph.prompts.policy import AllowAll, PolicyDecision, PolicyVerdict, PromptPolicy
from heliograph.prompts.raw import RawRequest
from heliograph.quality.likeness import Likeness
from heliograph.quality.safety import SafetyLimits, SafetyPolicy
from heliograph.scheduling import Profiles, Scheduler, SchedulerPolicy
from heliograph.service import PipelineService, Submission
from heliograph.storage.memory import MemoryStore
from heliograph.storage.store import IdempotencyRecord, PutIdempotency, PutJob, PutRefusal, PutWebhookMessage, Write
from heliograph.variant_desk import VariantDesk, VariantPolicy
from heliograph.webhooks import EndpointBook
from tests.builders import (
    MODEL,
    a_card,
    a_catalogue,
    a_gpu,
    a_job,
    a_request,
    checkpoint_kept,
    gate_rejected,
    outputs_stored,
    post_processing_failed,
    run_failed,
)
from tests.intakes import an_intake
from tests.scripted_fleet import ScriptedFleet
from tests.variant_makers import InThisProcess

ALICE = Caller(tenant_id=TenantId("alice"), tier=Tier.STANDARD)
BOB = Caller(tenant_id=TenantId("bob"), tier=Tier.PRO)
SMALL = RawRequest(prompt="a cat", model=MODEL, size="64x64", steps=2, seed=7)


class FailingStore(MemoryStore):
    """A store whose commits fail while `is_down`, and are carried out and fail all the same while `is_cut_off`.

    It can be made to pause before each commit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False
        self.is_cut_off = False
        self.fault: Exception | None = None
        self.may_commit = asyncio.Event()
        self.may_commit.set()
        self.commits: list[tuple[Write, ...]] = []

    async def commit(self, writes: Sequence[Write]) -> None:
        await self.may_commit.wait()
        if self.fault is not None:
            raise self.fault
        if self.is_down:
            raise Unavailable("the disk is full")
        await super().commit(writes)
        self.commits.append(tuple(writes))
        if self.is_cut_off:
            raise Unavailable("carried out, and nobody was told")


class FailingBlobs(MemoryBlobStore):
    is_down = False

    async def put(self, data: bytes, *, suffix: str, owner: TenantId | None = None) -> str:
        if self.is_down:
            raise Unavailable("no room for pictures")
        return await super().put(data, suffix=suffix, owner=owner)


async def look(data: bytes) -> Inspection:
    """Takes every file for an unsigned PNG."""
    return Inspection(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), mime_type="image/png")


def a_desk(store: MemoryStore, blobs: MemoryBlobStore) -> VariantDesk:
    """Makes no file of its own accord."""
    policy = VariantPolicy(backlog_max=0)
    return VariantDesk(
        store=store, blobs=blobs, maker=InThisProcess(), stamps=StampPolicy(), policy=policy, clock=lambda: 0.0
    )


class Finisher:
    """Finishes pictures at once; `verdicts` are given out first, one per picture."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []
        self.fault: Exception | None = None
        self.alignment: Alignment | None = None
        self.problems: tuple[str, ...] = ()
        self.judges: list[str | None] = []
        self.limits: list[SafetyLimits | None] = []
        self.safety: Safety | None = None
        self.stamps: list[Stamp | None] = []

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
        if spent is not None:
            spent(1_500)
        self.judges.append(alignment_judge)
        self.limits.append(safety)
        self.stamps.append(stamp)
        if self.fault is not None:
            raise self.fault
        if self.verdicts:
            return self.verdicts.pop(0)
        return FinishedPicture(
            data=b"picture %d" % raw.seed,
            sha256="0" * 64,
            output_format=OutputFormat.PNG,
            width_px=raw.width_px,
            height_px=raw.height_px,
            seed=raw.seed,
            thumbnail=b"small",
            thumbhash="hash",
            verdict=Verdict(decision=Decision.ACCEPT),
            alignment=self.alignment,
            safety=self.safety,
            problems=self.problems,
        )


class World:
    """A pipeline and its service over twins; `events` is everything that was published."""

    def __init__(
        self,
        *,
        store: FailingStore | None = None,
        holds: bool = False,
        policy: SchedulerPolicy | None = None,
        clock: Callable[[], float] | None = None,
        policy_of_prompts: PromptPolicy | None = None,
        card: ModelCard | None = None,
        demand: Demand | None = None,
        outbox: Outbox | None = None,
        safety: SafetyPolicy | None = None,
        reviews: ReviewPolicy | None = None,
    ) -> None:
        self.store = store or FailingStore()
        self.blobs = FailingBlobs()
        self.finisher = Finisher()
        self.events: list[LifecycleEvent] = []
        self.fleet: ScriptedFleet | None = None
        self._holds = holds
        card = card or a_card()
        ids = count(1)
        self.pipeline = Pipeline(
            scheduler=Scheduler(
                gpus=[a_gpu()], policy=policy or SchedulerPolicy(backoff_s=(0.0,)), profiles=Profiles()
            ),
            store=self.store,
            blobs=self.blobs,
            post=self.finisher,
            make_fleet=self._make_fleet,
            gpus=[a_gpu()],
            cards={card.model_id: card},
            fleet_policy=FleetPolicy(),
            prices=PriceBook(),
            feed=LiveFeed(),
            sinks=[self.events.append],
            clock=clock or asyncio.get_running_loop().time,
            new_id=lambda: f"{next(ids):06d}",
            demand=demand,
            outbox=outbox,
            safety=safety,
            reviews=reviews,
        )
        self.service = PipelineService(
            pipeline=self.pipeline,
            store=self.store,
            blobs=self.blobs,
            intake=an_intake(store=self.store),
            catalogue=a_catalogue(card, aliases={"dall-e-3": MODEL}),
            engines=frozenset({EngineKind.FAKE}),
            presets={},
            policy=policy_of_prompts or AllowAll(),
            readers={},
            formats=frozenset(OutputFormat) - VIDEO_FORMATS,
            draw_contact_sheet=lambda _clip, _format: b"a sheet",
            compare=compared,
            last_sequence=1_000,
            idempotency_ttl_s=60.0,
            inspect=look,
            files=a_desk(self.store, self.blobs),
            random_int=lambda _bound: 5,
            new_id=lambda: f"{next(ids):06d}",
            reviews=reviews,
        )

    def _make_fleet(self, emit: Callable[..., object]) -> ScriptedFleet:
        self.fleet = ScriptedFleet(emit, holds=self._holds)  # type: ignore[arg-type]
        return self.fleet

    @property
    def orders(self) -> list[RunOrder]:
        assert self.fleet is not None
        return self.fleet.orders

    @property
    def replicas(self) -> tuple[ReplicaView, ...]:
        return self.pipeline.scheduler.fleet_view().replicas

    @asynccontextmanager
    async def running(self) -> AsyncIterator["World"]:
        task = asyncio.create_task(self.pipeline.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert task.cancelled(), task.exception()
        self.pipeline.scheduler.check()

    async def submit(self, caller: Caller = ALICE, raw: RawRequest = SMALL, **more: object) -> str:
        status = await self.service.submit(Submission(raw=raw, **more), caller=caller)  # type: ignore[arg-type]
        return status.view.job.job_id

    def states_of(self, job_id: str) -> list[JobState]:
        moves = [event for event in self.events if isinstance(event, JobMoved)]
        return [move.record.job.state for move in moves if move.record.job.job_id == job_id]


async def compared(first: bytes, again: bytes, _format: OutputFormat) -> tuple[Likeness, float]:
    return (Likeness.VISUALLY_IDENTICAL, 0.001) if first[:4] == again[:4] else (Likeness.DIFFERENT, 0.7)


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not look():
            await asyncio.sleep(0.005)


async def test_a_model_that_is_about_to_be_asked_for_is_loaded_before_anybody_asks() -> None:
    demand, now_s = Demand(), asyncio.get_running_loop().time()
    for number in range(20):
        demand.note(MODEL, f"user{number}", now_s - number)
    async with World(demand=demand).running() as world:
        await until(lambda: any(replica.state is ReplicaState.READY for replica in world.replicas))
        assert not world.orders
        await world.service.wait(await world.submit(), caller=ALICE, timeout_s=5)
        assert world.fleet is not None
        assert len(world.fleet.workers) == 1, "the job ran where the model was already"


async def test_a_job_goes_through_every_state_once_and_leaves_a_balanced_ledger() -> None:
    async with World().running() as world:
        job_id = await world.submit(raw=replace(SMALL, n=2))
        done = await world.service.wait(job_id, caller=ALICE, timeout_s=5)
        lines = await world.store.ledger(job_id)
        attempts = await world.store.attempts(job_id)
    assert world.states_of(job_id) == [
        JobState.PENDING,
        JobState.DISPATCHED,
        JobState.RUNNING,
        JobState.POST_PROCESSING,
        JobState.COMPLETED,
    ]
    assert [output.seed for output in done.outputs] == [7, 8]
    ledger.check(lines)
    assert [attempt.outcome for attempt in attempts] == [AttemptOutcome.SUCCEEDED]
    charged = -sum(line.amount_micros for line in lines if line.account is Account.TENANT)
    assert done.cost_micros == charged


async def test_a_picture_keeps_what_its_models_judge_says_of_it() -> None:
    world = World(card=a_card(alignment="helio-clip"))
    world.finisher.alignment = Alignment(score=0.75, missing=("boat",))
    async with world.running():
        job_id = await world.submit()
        done = await world.service.wait(job_id, caller=ALICE, timeout_s=5)
    assert world.finisher.judges == ["helio-clip"]
    assert [output.alignment for output in done.outputs] == [world.finisher.alignment]


async def test_a_tool_that_could_not_be_used_is_told_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    world.finisher.problems = ("helio-upscale cannot be used: it is lost",)
    async with world.running():
        job_id = await world.submit(raw=replace(SMALL, n=2))
        await world.service.wait(job_id, caller=ALICE, timeout_s=5)
    said = capsys.readouterr()
    assert (said.out + said.err).count("helio-upscale cannot be used: it is lost") == 1


async def test_watchers_see_progress_and_previews_and_end_with_the_job() -> None:
    async with World(holds=True).running() as world:
        job_id = await world.submit()
        async with world.service.watch(job_id, caller=ALICE) as updates:
            first = await anext(updates)
            await until(lambda: world.orders)
            assert world.fleet is not None
            world.fleet.finish(world.orders[0])
            rest = [update async for update in updates]
    assert isinstance(first, StatusUpdate)
    assert any(isinstance(update, ProgressUpdate) for update in rest)
    assert any(isinstance(update, PreviewUpdate) and update.jpeg == b"jpeg" for update in rest)
    last = rest[-1]
    assert isinstance(last, StatusUpdate)
    assert last.status.view.job.state is JobState.COMPLETED
    assert last.status.outputs, "the terminal status brings the pictures"


async def test_nothing_is_acknowledged_or_dispatched_before_it_is_durable() -> None:
    async with World().running() as world:
        await world.submit()  # the worker is warm from here on
        await until(lambda: world.pipeline.scheduler.open_jobs() == 0)
        world.store.may_commit.clear()
        pending = asyncio.create_task(world.submit())
        await asyncio.sleep(0.05)
        assert not pending.done(), "acknowledged before it was durable"
        assert len(world.orders) == 1, "dispatched before it was durable"
        world.store.may_commit.set()
        job_id = await pending
        await world.service.wait(job_id, caller=ALICE, timeout_s=5)
    assert len(world.orders) == 2


async def test_a_failing_store_refuses_submissions_and_keeps_what_runs() -> None:
    async with World(holds=True).running() as world:
        running = await world.submit()
        await until(lambda: world.orders)
        world.store.is_down = True
        with pytest.raises(Unavailable, match="disk is full"):
            await world.submit()
        assert not world.service.readiness().is_ready
        with pytest.raises(Unavailable, match="disk is full"):
            await world.submit()  # at once, from what is known
        assert world.fleet is not None
        world.fleet.finish(world.orders[0])
        await asyncio.sleep(0.1)
        world.store.is_down = False
        done = await world.service.wait(running, caller=ALICE, timeout_s=5)
        assert done.view.job.state is JobState.COMPLETED
        await until(lambda: world.service.readiness().is_ready)
        await world.submit()
    jobs = {write.job.job_id for commit in world.store.commits for write in commit if isinstance(write, PutJob)}
    assert len(jobs) == 2, "a refused submission left a job behind"


async def test_of_a_refused_submission_nothing_is_left_though_its_commit_was_carried_out() -> None:
    async with World().running() as world:
        await world.service.wait(await world.submit(), caller=ALICE, timeout_s=5)
        world.store.is_cut_off = True
        again = {"idempotency_key": "k", "fingerprint": "f", "route": "/v1/jobs"}
        with pytest.raises(Unavailable, match="nobody was told"):
            await world.submit(**again)
        assert len(await world.store.open_jobs()) == 1
        world.store.is_cut_off = False
        await until(lambda: world.service.readiness().is_ready)
        assert await world.store.open_jobs() == ()
        done = await world.service.wait(await world.submit(**again), caller=ALICE, timeout_s=5)
        assert done.view.job.state is JobState.COMPLETED, "the key is free again"
    assert len(world.orders) == 2


async def test_a_refused_submission_gives_its_worker_back() -> None:
    async with World().running() as world:
        await world.service.wait(await world.submit(), caller=ALICE, timeout_s=5)
        world.store.is_down = True
        with pytest.raises(Unavailable):
            await world.submit()
        world.store.is_down = False
        await until(lambda: world.service.readiness().is_ready)
        await world.service.wait(await world.submit(), caller=ALICE, timeout_s=5)
    assert len(world.orders) == 2, "the abandoned job was never handed to a worker"


async def test_full_picture_storage_parks_the_job_without_another_attempt() -> None:
    async with World().running() as world:
        world.blobs.is_down = True
        job_id = await world.submit()
        await until(lambda: "pictures" in world.pipeline.problems)
        with pytest.raises(Unavailable, match="no room"):
            await world.submit()
        world.blobs.is_down = False
        done = await world.service.wait(job_id, caller=ALICE, timeout_s=5)
        assert world.service.readiness().is_ready
    assert done.view.job.attempt == 1


async def test_a_picture_problem_ends_with_the_job_that_met_it() -> None:
    async with World().running() as world:
        world.blobs.is_down = True
        job_id = await world.submit()
        await until(lambda: "pictures" in world.pipeline.problems)
        await world.service.cancel(job_id, caller=ALICE)  # type: ignore[arg-type]
        world.blobs.is_down = False
        await until(lambda: world.service.readiness().is_ready)
        await world.submit()


async def test_an_idle_server_stays_unready_until_the_store_really_works_again() -> None:
    async with World().running() as world:
        world.store.is_down = True
        with pytest.raises(Unavailable):
            await world.submit()
        await asyncio.sleep(1.0)  # several ticks with nothing to write
        assert not world.service.readiness().is_ready
        world.store.is_down = False
        await until(lambda: world.service.readiness().is_ready)


async def test_a_refusal_recorded_during_a_commit_is_kept() -> None:
    async with World(holds=True).running() as world:
        world.store.may_commit.clear()
        pending = asyncio.create_task(world.submit())
        await asyncio.sleep(0.05)
        with pytest.raises(InvalidRequest):
            await world.submit(raw=replace(SMALL, steps=0))
        world.store.may_commit.set()
        await pending
    kept = [write for commit in world.store.commits for write in commit if isinstance(write, PutRefusal)]
    assert [write.refusal.param for write in kept] == ["steps"]


async def test_cancel_answers_although_the_store_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.pipeline.CANCEL_S_MAX", 0.1)
    async with World(holds=True).running() as world:
        job_id = await world.submit()
        await until(lambda: world.orders)
        world.store.is_down = True
        with pytest.raises(Unavailable, match="noted"):
            await world.service.cancel(job_id, caller=ALICE)  # type: ignore[arg-type]
        world.store.is_down = False
        done = await world.service.wait(job_id, caller=ALICE, timeout_s=5)  # type: ignore[arg-type]
    assert done.view.job.state is JobState.CANCELLED, "it took effect once it could"


async def test_a_fault_while_finishing_ends_the_job_and_not_the_server() -> None:
    async with World().running() as world:
        world.finisher.fault = ValueError("a bug")
        done = await world.service.wait(await world.submit(), caller=ALICE, timeout_s=5)  # type: ignore[arg-type]
        assert (done.view.job.state, done.view.job.attempt) == (JobState.FAILED, 1)
        world.finisher.fault = None
        again = await world.service.wait(await world.submit(), caller=ALICE, timeout_s=5)  # type: ignore[arg-type]
        assert again.view.job.state is JobState.COMPLETED


async def test_nobody_waits_for_a_loop_that_broke() -> None:
    world = World(holds=True)
    task = asyncio.create_task(world.pipeline.run())
    job_id = await world.submit()
    await until(lambda: world.orders)
    waiting = asyncio.create_task(world.service.wait(job_id, caller=ALICE, timeout_s=60))  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    world.store.fault = RuntimeError("no such table")
    for call in (world.service.cancel(job_id, caller=ALICE), waiting, world.submit()):  # type: ignore[arg-type]
        with pytest.raises(Unavailable):
            await asyncio.wait_for(call, 5)
    assert not world.service.readiness().is_ready
    with pytest.raises(ExceptionGroup):
        await task


async def test_without_recovery_the_jobs_of_others_stay_as_they_are() -> None:
    store = FailingStore()
    await store.commit([PutJob(job=a_job("waiting", tenant="alice", sequence=1))])
    world = World(store=store)
    task = asyncio.create_task(world.pipeline.run(recovers=False))
    job_id = await world.submit()
    await world.service.wait(job_id, caller=ALICE, timeout_s=5)  # type: ignore[arg-type]
    task.cancel()
    await asyncio.wait([task])
    assert [order.job_id for order in world.orders] == [job_id]
    assert [job.job_id for job in await store.open_jobs()] == ["waiting"]


async def test_a_gate_asks_for_other_seeds_a_bounded_number_of_times() -> None:
    async with World().running() as world:
        again = Verdict(decision=Decision.REGENERATE, reasons=("blank",))
        world.finisher.verdicts = [again]
        done = await world.service.wait(await world.submit(), caller=ALICE, timeout_s=5)
        assert (done.view.job.attempt, done.view.job.reseeds) == (2, 1)
        assert world.orders[0].seeds != world.orders[1].seeds
        assert done.outputs[0].seed == world.orders[1].seeds[0]

        world.finisher.verdicts = [again] * 3
        failed = await world.service.wait(await world.submit(), caller=ALICE, timeout_s=5)
        assert failed.view.job.failure is not None
        assert failed.view.job.failure.code == "quality_blocked"
        assert failed.cost_micros == 0


async def test_a_lost_worker_is_replaced_and_its_job_tried_again() -> None:
    async with World(holds=True).running() as world:
        job_id = await world.submit()
        await until(lambda: world.orders)
        assert world.fleet is not None
        world.fleet.lose(world.fleet.workers[0])
        await until(lambda: len(world.orders) == 2)
        world.fleet.finish(world.orders[0])  # late pictures of the first attempt change nothing
        world.fleet.finish(world.orders[1])
        done = await world.service.wait(job_id, caller=ALICE, timeout_s=5)
        attempts = await world.store.attempts(job_id)
    assert done.view.job.attempt == 2
    assert [attempt.outcome for attempt in attempts] == [AttemptOutcome.WORKER_LOST, AttemptOutcome.SUCCEEDED]


async def test_nothing_comes_of_an_attempt_that_is_over() -> None:
    """A worker that was given up comes back and tells of all it did; its job runs elsewhere by now."""
    loop = asyncio.get_running_loop()
    async with World(holds=True, clock=lambda: loop.time() * 1_000).running() as world:
        job_id = await world.submit()
        await until(lambda: world.orders)
        assert world.fleet is not None
        world.fleet.lose(world.fleet.workers[0])
        await until(lambda: len(world.orders) == 2)
        world.fleet.finish(world.orders[0])
        for late in (checkpoint_kept, run_failed, outputs_stored, gate_rejected, post_processing_failed):
            await world.pipeline.emit(late(job_id))
        ignored = [StepDone, StepDone, ImagesReady, CheckpointKept, RunFailed]
        ignored += [OutputsStored, GateRejected, PostProcessingFailed]
        await until(lambda: sum(isinstance(event, LateEventIgnored) for event in world.events) == len(ignored))
        status = await world.service.status(job_id, caller=ALICE)
        assert (status.view.job.state, status.view.job.attempt) == (JobState.RUNNING, 2)
        assert (status.view.step, status.view.job.checkpoint) == (0, None)
        world.fleet.finish(world.orders[1])
        done = await world.service.wait(job_id, caller=ALICE, timeout_s=5)
        attempts, lines = await world.store.attempts(job_id), await world.store.ledger(job_id)
    names = [event.event for event in world.events if isinstance(event, LateEventIgnored)]
    assert sorted(names) == sorted(kind.__name__ for kind in ignored)
    steps = [event.step for event in world.events if isinstance(event, JobStepped)]
    assert [step.attempt for step in steps] == [2, 2], "nobody is shown the steps of the older attempt"
    assert (done.view.job.state, len(done.outputs)) == (JobState.COMPLETED, 1)
    assert [attempt.outcome for attempt in attempts] == [AttemptOutcome.WORKER_LOST, AttemptOutcome.SUCCEEDED]
    ledger.check(lines)
    paid = {line.posting_id for line in lines if line.account is Account.TENANT}
    assert len(paid) == 1, "charged once"


async def test_cancel_is_durable_when_it_returns_and_reaches_the_worker() -> None:
    async with World(holds=True).running() as world:
        job_id = await world.submit()
        await until(lambda: world.orders)
        status = await world.service.cancel(job_id, caller=ALICE)
        assert status.view.job.state is JobState.CANCELLED
        stored = await world.store.job(status.view.job.job_id)
        assert stored is not None
        assert stored.job.state is JobState.CANCELLED
        assert world.fleet is not None
        assert world.fleet.aborted == [(job_id, 1)]
        again = await world.service.cancel(job_id, caller=ALICE)
        assert again.view.job.state is JobState.CANCELLED


async def test_a_job_that_is_removed_while_it_runs_stays_gone_when_its_run_ends() -> None:
    async with World(holds=True).running() as world:
        job_id = JobId(await world.submit())
        await until(lambda: world.orders)
        await world.service.remove(job_id, caller=ALICE)
        assert world.fleet is not None
        assert world.fleet.aborted == [(job_id, 1)]
        with pytest.raises(NotFound):
            await world.service.status(job_id, caller=ALICE)
        other = await world.submit()
        await until(lambda: len(world.orders) == 2)
        assert world.orders[1].job_id == other, "its worker is free again"
        assert await world.store.job(job_id) is None
        assert await world.store.attempts(job_id) == ()


async def test_pictures_are_made_again_and_compared() -> None:
    async with World().running() as world:
        first = await world.service.wait(await world.submit(raw=replace(SMALL, n=2)), caller=ALICE, timeout_s=5)
        first_id = first.view.job.job_id
        again = await world.service.reproduce(first_id, caller=ALICE)
        job = again.view.job
        with pytest.raises(Conflict, match="makes nothing again"):
            await world.service.reproduction(first_id, caller=ALICE)
        done = await world.service.wait(job.job_id, caller=ALICE, timeout_s=5)
        assert (job.reproduces, job.request) == (first_id, first.view.job.request)
        assert [output.seed for output in done.outputs] == [output.seed for output in first.outputs]
        making = done.outputs[0].making
        assert making is not None
        assert (making.facts, making.batch, making.gpu_class) == (world.fleet.facts, 2, "cpu")  # type: ignore[union-attr]
        found = await world.service.reproduction(job.job_id, caller=ALICE)
        assert (found.verdict, found.distance, len(found.pictures)) == (Likeness.VISUALLY_IDENTICAL, 0.001, 2)
        assert (found.changed, found.is_recorded) == ((), True)
        with pytest.raises(NotFound):
            await world.service.reproduce(first_id, caller=BOB)


async def test_only_what_was_completed_is_made_again() -> None:
    async with World(holds=True).running() as world:
        job_id = JobId(await world.submit())
        with pytest.raises(Conflict, match="no pictures to make again"):
            await world.service.reproduce(job_id, caller=ALICE)


async def test_open_jobs_of_an_earlier_process_are_finished() -> None:
    store = FailingStore()
    small = a_request(width_px=64, height_px=64, steps=2)
    left = [
        a_job("waiting", tenant="alice", sequence=1, request=small),
        a_job("running", tenant="alice", sequence=2, request=small, state=JobState.RUNNING, attempt=1),
        a_job("finishing", tenant="alice", sequence=3, request=small, state=JobState.POST_PROCESSING, attempt=1),
    ]
    await store.commit([PutJob(job=job) for job in left])
    async with World(store=store).running() as world:
        await until(lambda: world.pipeline.scheduler.open_jobs() == 0 and len(world.orders) == 3)
        statuses = [await world.service.status(job.job_id, caller=ALICE) for job in left]
        attempts = await store.attempts(left[1].job_id)
    assert [status.view.job.state for status in statuses] == [JobState.COMPLETED] * 3
    assert [status.view.job.attempt for status in statuses] == [1, 2, 2]
    assert [attempt.outcome for attempt in attempts] == [AttemptOutcome.SERVER_LOST, AttemptOutcome.SUCCEEDED]


async def test_what_is_kept_of_a_run_outlives_the_server_and_ends_with_the_job() -> None:
    store = FailingStore()
    async with World(store=store, holds=True).running() as world:
        job_id = await world.submit()
        await until(lambda: world.orders)
        await world.pipeline.emit(RunStarted(job_id=job_id, attempt=1))
        await world.pipeline.emit(CheckpointKept(job_id=job_id, attempt=1, step=1, checkpoint="kept"))
        await until(lambda: any(isinstance(w, PutJob) and w.job.checkpoint for c in store.commits for w in c))
        told = world.states_of(job_id)
    assert told == [JobState.PENDING, JobState.DISPATCHED, JobState.RUNNING], "keeping is no news"

    async with World(store=store).running() as world:
        await world.pipeline.is_recovered.wait()
        await until(lambda: world.pipeline.scheduler.open_jobs() == 0)
        assert world.fleet is not None
        assert world.fleet.retained == {job_id}
        assert [(order.resume_from, order.first_step) for order in world.orders] == [("kept", 1)]
        assert world.fleet.forgotten == [job_id]
        await world.pipeline.emit(CheckpointKept(job_id=job_id, attempt=1, step=2, checkpoint="kept"))
        await until(lambda: world.fleet and world.fleet.forgotten == [job_id, job_id])


async def test_draining_lets_running_work_finish_and_takes_nothing_new() -> None:
    async with World(holds=True).running() as world:
        running = await world.submit()
        waiting = await world.submit()
        await until(lambda: world.orders)
        draining = asyncio.create_task(world.pipeline.drain(timeout_s=5))
        await asyncio.sleep(0.01)
        with pytest.raises(Unavailable, match="shutting down"):
            await world.submit()
        assert world.fleet is not None
        world.fleet.finish(world.orders[0])
        assert await draining
        assert (await world.service.status(running, caller=ALICE)).view.job.state is JobState.COMPLETED  # type: ignore[arg-type]
        assert (await world.service.status(waiting, caller=ALICE)).view.job.state is JobState.PENDING  # type: ignore[arg-type]


async def test_records_that_nobody_waited_for_are_written_on_the_way_out() -> None:
    async with World(holds=True).running() as world:
        job_id = await world.submit()
        await until(lambda: world.states_of(job_id)[-1:] == [JobState.RUNNING])
    stored = await world.store.job(job_id)  # type: ignore[arg-type]
    assert stored is not None
    assert stored.job.state is JobState.RUNNING


async def test_an_idempotency_key_gives_one_job_also_to_simultaneous_requests() -> None:
    async with World(holds=True).running() as world:
        same = {"idempotency_key": "k", "fingerprint": "f", "route": "/v1/jobs"}
        first, second = await asyncio.gather(world.submit(**same), world.submit(**same))
        third = await world.submit(**same)
        assert first == second == third
        with pytest.raises(Conflict):
            await world.submit(**{**same, "fingerprint": "other"})
        assert await world.submit(**{**same, "route": "/v1/images/generations"}) != first
        assert await world.submit(BOB, **same) != first


async def test_an_idempotency_key_expires() -> None:
    now = [1_000.0]
    async with World(holds=True, clock=lambda: now[0]).running() as world:
        same = {"idempotency_key": "k", "fingerprint": "f"}
        first = await world.submit(**same)
        now[0] += 61
        assert await world.submit(**same) != first


async def test_an_idempotency_key_of_a_job_that_was_deleted_makes_a_new_one() -> None:
    async with World(holds=True).running() as world:
        record = IdempotencyRecord(
            tenant_id=ALICE.tenant_id,
            route="/v1/jobs",
            key="k",
            fingerprint="f",
            job_id=JobId("job_gone"),
            created_at_s=world.pipeline.now_s(),
        )
        await world.store.commit([PutIdempotency(record=record)])
        same = {"idempotency_key": "k", "fingerprint": "f", "route": "/v1/jobs"}
        first = await world.submit(**same)
        assert first != "job_gone"
        assert await world.submit(**same) == first


class CountingOutbox:
    """The real book, and how often it was told that something is durable."""

    def __init__(self) -> None:
        self.book = EndpointBook()
        self.told = 0

    def messages(self, record: RecordJob) -> Sequence[WebhookMessage]:
        return self.book.messages(record)

    def committed(self) -> None:
        self.told += 1


HOOK = JobWebhook(url="https://example.com/hook", events=JOB_EVENTS)


async def test_what_a_webhook_is_to_tell_is_committed_with_the_move_it_tells_of() -> None:
    outbox = CountingOutbox()
    async with World(outbox=outbox).running() as world:
        job_id = await world.submit(webhook=HOOK)
        await world.service.wait(job_id, caller=ALICE, timeout_s=5)  # type: ignore[arg-type]
        silent = await world.submit()
        await world.service.wait(silent, caller=ALICE, timeout_s=5)  # type: ignore[arg-type]
    messages = await world.store.webhook_messages(ALICE.tenant_id, limit=9)
    assert [message.event for message in reversed(messages)] == [
        WebhookEvent.JOB_SUBMITTED,
        WebhookEvent.JOB_STARTED,
        WebhookEvent.JOB_COMPLETED,
    ]
    assert {message.job_id for message in messages} == {job_id}
    for event, state in ((WebhookEvent.JOB_SUBMITTED, None), (WebhookEvent.JOB_COMPLETED, JobState.COMPLETED)):
        (group,) = (
            writes
            for writes in world.store.commits
            if any(isinstance(write, PutWebhookMessage) and write.message.event is event for write in writes)
        )
        states = {write.job.state for write in group if isinstance(write, PutJob) and write.job.job_id == job_id}
        assert states if state is None else states == {state}
    assert 1 <= outbox.told <= 3


async def test_a_submission_that_is_refused_tells_nobody() -> None:
    outbox = CountingOutbox()
    async with World(outbox=outbox).running() as world:
        world.store.is_down = True
        with pytest.raises(Unavailable):
            await world.submit(webhook=HOOK)
        world.store.is_down = False
        await until(lambda: not world.pipeline.problems)
    assert await world.store.webhook_messages(ALICE.tenant_id, limit=9) == ()
    assert outbox.told == 0


async def test_tenants_are_kept_apart() -> None:
    async with World().running() as world:
        job_id = await world.submit(ALICE)
        done = await world.service.wait(job_id, caller=ALICE, timeout_s=5)  # type: ignore[arg-type]
        output_id = done.outputs[0].output_id
        for question in (
            world.service.status(job_id, caller=BOB),  # type: ignore[arg-type]
            world.service.cancel(job_id, caller=BOB),  # type: ignore[arg-type]
            world.service.wait(job_id, caller=BOB, timeout_s=1),  # type: ignore[arg-type]
            world.service.output(output_id, caller=BOB),
        ):
            with pytest.raises(NotFound):
                await question
        assert await world.service.jobs(caller=BOB, limit=10, before=None) == ()
        assert (await world.service.output(output_id, caller=None)).output_id == output_id


async def test_refused_requests_are_recorded_without_their_text() -> None:
    async with World().running() as world:
        with pytest.raises(InvalidRequest):
            await world.submit(raw=replace(SMALL, prompt="a secret wish", steps=10_000))
        with pytest.raises(NotFound):
            await world.submit(raw=replace(SMALL, model="nonsense"))
        refusals = [event.refusal for event in world.events if isinstance(event, RequestRefused)]
    assert [(refusal.stage, refusal.param) for refusal in refusals] == [("prompts", "steps"), ("routing", "model")]
    assert "secret" not in repr(refusals)


class NoCats:
    appeal = "Ask the dog."

    def judge(self, prompt: str, negative_prompt: str, *, tenant_id: str | None = None) -> PolicyVerdict:
        assert tenant_id == ALICE.tenant_id
        decision = PolicyDecision.BLOCK if "cat" in prompt else PolicyDecision.ALLOW
        return PolicyVerdict(decision=decision, category=Category.VIOLENCE, score=1.0, evidence=("cat",))


async def test_a_blocked_prompt_is_refused_openly_with_its_category() -> None:
    async with World(policy_of_prompts=NoCats()).running() as world:
        with pytest.raises(PromptRefused, match=r"safety_violations=\[violence\] Ask the dog") as caught:
            await world.submit()
        assert (caught.value.code, caught.value.param) == ("moderation_blocked", "prompt")
        await world.submit(raw=replace(SMALL, prompt="a dog"))
        refusals = [event.refusal for event in world.events if isinstance(event, RequestRefused)]
    assert [(refusal.stage, refusal.category) for refusal in refusals] == [("policy", "violence")]
    assert [refusal.refusal_id for refusal in refusals] == [caught.value.refusal_id]


async def test_an_alias_is_followed_and_reported() -> None:
    async with World().running() as world:
        job_id = await world.submit(raw=replace(SMALL, model="dall-e-3"))
        status = await world.service.wait(job_id, caller=ALICE, timeout_s=5)  # type: ignore[arg-type]
    request = status.view.job.request
    assert request.model_id == ModelId(MODEL)
    assert [(change.parameter, change.requested) for change in request.adjustments][:1] == [("model", "dall-e-3")]


@pytest.mark.parametrize("deadline_s", [0, -1, "60", True, float("nan"), 1e9])
async def test_a_bad_deadline_is_refused_by_name(deadline_s: object) -> None:
    async with World().running() as world:
        with pytest.raises(InvalidRequest) as caught:
            await world.submit(deadline_s=deadline_s)
    assert caught.value.param == "deadline_s"


async def test_a_job_past_its_deadline_expires() -> None:
    async with World(holds=True).running() as world:
        job_id = await world.submit(deadline_s=0.05)
        status = await world.service.wait(job_id, caller=ALICE, timeout_s=5)  # type: ignore[arg-type]
    assert status.view.job.state is JobState.EXPIRED


async def test_waiting_too_long_names_the_job_that_goes_on() -> None:
    async with World(holds=True).running() as world:
        job_id = await world.submit()
        with pytest.raises(Timeout) as caught:
            await world.service.wait(job_id, caller=ALICE, timeout_s=0.05)  # type: ignore[arg-type]
    assert caught.value.job_id == job_id


async def test_a_full_queue_refuses_with_a_hint_when_to_come_back() -> None:
    async with World(holds=True, policy=SchedulerPolicy(pending_max=1)).running() as world:
        await world.submit()
        await until(lambda: world.orders)
        await world.submit()
        with pytest.raises(Overloaded) as caught:
            await world.submit()
        assert caught.value.retry_after_s is not None
        assert await world.store.jobs(ALICE.tenant_id, limit=10) != ()
    assert len(await world.store.jobs(ALICE.tenant_id, limit=10)) == 2, "a refused job was stored"
