"""Domain objects for tests: every builder fills what the test does not care about, so a test names only what matters.

Import it as `from tests.builders import a_job, submitted`. Times start at 0.0, the model is `MODEL`, workers are called
`w0`, `w1`, ... and sit on GPUs `gpu0`, `gpu1`, ...
"""

from collections.abc import Mapping, Sequence
from typing import Any

from heliograph.domain.accounts import ApiKey
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
from heliograph.domain.errors import EngineErrorKind
from heliograph.domain.events import (
    CancelRequested,
    CheckpointKept,
    ClockTicked,
    DrainRequested,
    Event,
    GateRejected,
    GpuArrived,
    GpuGone,
    GpuNotice,
    HaltsSet,
    ImagesReady,
    JobRecovered,
    JobSubmitted,
    LossReason,
    OutputsStored,
    PostProcessingFailed,
    ReplicaRequested,
    ReplicaStopRequested,
    RunAborted,
    RunFailed,
    RunPaused,
    RunStarted,
    StepDone,
    SubmissionAbandoned,
    WeightsProgressed,
    WorkerLost,
    WorkerReady,
)
from heliograph.domain.ids import GpuId, JobId, KeyId, ModelId, OutputId, TenantId, WorkerId
from heliograph.domain.job import Attempt, AttemptOutcome, Failure, Job, JobState, Moment
from heliograph.domain.model_card import (
    Catalogue,
    EngineKind,
    GuidanceRule,
    ModelCard,
    PromptDialect,
    SizeRule,
    StepRule,
    Timing,
)
from heliograph.domain.money import Micros
from heliograph.domain.orders import Halt
from heliograph.domain.pictures import Alignment, Availability, Decision, Output, RawImage, Verdict
from heliograph.domain.request import Adjustment, GenerationRequest, Inputs, OutputFormat, Quality
from heliograph.domain.run import RunOrder
from heliograph.domain.tiers import Tier
from heliograph.domain.views import (
    FleetView,
    Gpu,
    Interval,
    JobStatus,
    JobView,
    Market,
    ModelQueue,
    Phase,
    QueueView,
    ReplicaState,
    ReplicaView,
)
from heliograph.domain.webhooks import JobWebhook
from heliograph.domain.weights import Fetching
from heliograph.scheduling import Profiles, Scheduler, SchedulerPolicy
from heliograph.scheduling.fairness import Place

MODEL = "painter"
ACCEPT = Verdict(decision=Decision.ACCEPT)
GUIDANCE = GuidanceRule(minimum=1.0, maximum=10.0, default=5.0)
EMPTY_FLEET = FleetView(gpus=(), replicas=())
EMPTY_QUEUE = QueueView(models={})


_PATH = (JobState.PENDING, JobState.DISPATCHED, JobState.RUNNING, JobState.POST_PROCESSING, JobState.COMPLETED)


# --- requests, jobs, attempts ----------------------------------------------------------------------------------------


def a_request(
    *,
    model: str = MODEL,
    prompt: str = "a cat",
    raw_prompt: str | None = None,
    negative_prompt: str = "",
    width_px: int = 256,
    height_px: int = 256,
    steps: int = 10,
    guidance: float = 5.0,
    seed: int = 7,
    image_count: int = 1,
    quality: Quality = Quality.STANDARD,
    style: str | None = None,
    output_format: OutputFormat = OutputFormat.PNG,
    output_quality: int | None = None,
    prompt_tokens: int = 2,
    adjustments: tuple[Adjustment, ...] = (),
    frames: int = 1,
    frames_per_second: float | None = None,
    upscale: int = 1,
    inputs: Inputs | None = None,
) -> GenerationRequest:
    return GenerationRequest(
        model_id=ModelId(model),
        prompt=prompt,
        raw_prompt=prompt if raw_prompt is None else raw_prompt,
        negative_prompt=negative_prompt,
        width_px=width_px,
        height_px=height_px,
        steps=steps,
        guidance=guidance,
        seed=seed,
        image_count=image_count,
        quality=quality,
        style=style,
        output_format=output_format,
        output_quality=output_quality,
        prompt_tokens=prompt_tokens,
        adjustments=adjustments,
        frames=frames,
        frames_per_second=frames_per_second,
        upscale=upscale,
        inputs=inputs,
    )


def a_job(
    name: str = "cat",
    *,
    tenant: str = "acme",
    end_user: str | None = None,
    tier: str = "standard",
    request: GenerationRequest | None = None,
    model: str = MODEL,
    sequence: int = 0,
    created_at_s: float = 0.0,
    deadline_at_s: float | None = None,
    state: JobState = JobState.PENDING,
    attempt: int = 0,
    failures: int = 0,
    reseeds: int = 0,
    not_before_s: float = 0.0,
    timeline: tuple[Moment, ...] | None = None,
    failure: Failure | None = None,
    webhook: JobWebhook | None = None,
    on_review: bool = False,
    remixed_from: JobId | None = None,
) -> Job:
    """A job called `name`; `model` is used when no `request` is given, the timeline leads to `state` in no time."""
    path = _PATH[: _PATH.index(state) + 1] if state in _PATH else (JobState.PENDING, state)
    entered = tuple(Moment(state=passed, at_s=created_at_s) for passed in path)
    return Job(
        job_id=JobId(name),
        tenant_id=TenantId(tenant),
        end_user=end_user,
        tier=Tier(tier),
        request=a_request(model=model) if request is None else request,
        sequence=sequence,
        created_at_s=created_at_s,
        deadline_at_s=deadline_at_s,
        state=state,
        attempt=attempt,
        failures=failures,
        reseeds=reseeds,
        not_before_s=not_before_s,
        timeline=entered if timeline is None else timeline,
        failure=failure,
        webhook=webhook,
        on_review=on_review,
        remixed_from=remixed_from,
    )


def a_place(
    name: str = "cat",
    *,
    tier: str = "standard",
    tenant: str = "acme",
    end_user: str | None = None,
    sequence: int = 0,
    created_at_s: float = 0.0,
    offset_s: float = 0.0,
    estimate_s: float = 1.0,
    latest_start_s: float | None = None,
    weight: float = 1.0,
) -> Place:
    """A waiting job as its line sees it."""
    return Place(
        job_id=JobId(name),
        tier=Tier(tier),
        tenant_id=TenantId(tenant),
        end_user=end_user,
        sequence=sequence,
        created_at_s=created_at_s,
        offset_s=offset_s,
        estimate_s=estimate_s,
        latest_start_s=latest_start_s,
        weight=weight,
    )


def an_attempt(
    name: str = "cat",
    *,
    number: int = 1,
    worker: str = "w0",
    gpu: str = "gpu0",
    gpu_class: str = "cpu",
    model: str = MODEL,
    dispatched_at_s: float = 0.0,
    ended_at_s: float = 2.0,
    gpu_s: float | None = None,
    outcome: AttemptOutcome = AttemptOutcome.SUCCEEDED,
) -> Attempt:
    return Attempt(
        job_id=JobId(name),
        number=number,
        worker_id=WorkerId(worker),
        gpu_id=GpuId(gpu),
        gpu_class=gpu_class,
        model_id=ModelId(model),
        dispatched_at_s=dispatched_at_s,
        ended_at_s=ended_at_s,
        gpu_s=ended_at_s - dispatched_at_s if gpu_s is None else gpu_s,
        outcome=outcome,
    )


def an_order(
    name: str = "cat",
    *,
    attempt: int = 1,
    model: str = MODEL,
    prompt: str = "a cat",
    negative_prompt: str = "",
    width_px: int = 256,
    height_px: int = 256,
    steps: int = 10,
    guidance: float = 5.0,
    seeds: tuple[int, ...] = (7,),
    preview_every: int = 1,
) -> RunOrder:
    return RunOrder(
        job_id=JobId(name),
        attempt=attempt,
        model_id=ModelId(model),
        prompt=prompt,
        negative_prompt=negative_prompt,
        width_px=width_px,
        height_px=height_px,
        steps=steps,
        guidance=guidance,
        seeds=seeds,
        preview_every=preview_every,
    )


def a_status(
    job: Job | None = None,
    *,
    phase: Phase | None = None,
    queue_position: int | None = None,
    eta_s: float | None = None,
    eta: Interval | None = None,
    step: int = 0,
    outputs: tuple[Output, ...] = (),
    cost_micros: int = 0,
    attempts_max: int = 3,
) -> JobStatus:
    """What the API shows of `job`."""
    job = a_job() if job is None else job
    if phase is None:
        phase = Phase.DONE if job.state.is_terminal else Phase.WAITING
    view = JobView(
        job=job,
        phase=phase,
        queue_position=queue_position,
        eta_s=eta_s,
        eta=eta,
        step=step,
        steps=job.request.steps,
        attempts_max=attempts_max,
    )
    return JobStatus(view=view, outputs=outputs, cost_micros=Micros(cost_micros))


# --- models, GPUs, pictures, keys ------------------------------------------------------------------------------------


def a_card(
    model: str = MODEL,
    *,
    family: str = "painter",
    tasks: Sequence[str] = ("t2i",),
    licence: str | None = "Apache-2.0",
    engine: EngineKind | None = EngineKind.FAKE,
    sizes: SizeRule | None = None,
    steps: StepRule | None = None,
    guidance: GuidanceRule | None = GUIDANCE,
    supports_negative_prompt: bool = True,
    prompt_dialect: PromptDialect = PromptDialect.CLIP_TAGS,
    token_limit: int | None = 77,
    vram_bytes: int | None = 1_000,
    load_s: float | None = None,
    timings: tuple[Timing, ...] = (),
    alternatives: Sequence[str] = (),
    weights: str | None = None,
    **others: Any,
) -> ModelCard:
    """A model that the fake engine runs on `a_gpu()`; `others` are the card's optional facts by name."""
    return ModelCard(
        model_id=ModelId(model),
        name=model.capitalize(),
        family=family,
        tasks=frozenset(tasks),
        licence=licence,
        engine=engine,
        sizes=sizes or SizeRule(default=(256, 256), multiple=64, side_min=64, side_max=1024, pixels_max=1024 * 1024),
        steps=steps or StepRule(minimum=1, maximum=50, draft=4, standard=10, high=20),
        guidance=guidance,
        supports_negative_prompt=supports_negative_prompt,
        prompt_dialect=prompt_dialect,
        token_limit=token_limit,
        vram_bytes=vram_bytes,
        load_s=load_s,
        timings=timings,
        alternatives=tuple(ModelId(name) for name in alternatives),
        weights=weights,
        **others,
    )


def a_timing(
    *, seconds: float, gpu: str = "cpu", width_px: int = 1_000, height_px: int = 1_000, frames: int = 1, steps: int = 10
) -> Timing:
    """`seconds` for one picture; the default is ten steps on one megapixel."""
    return Timing(
        gpu=gpu,
        gpu_count=1,
        width_px=width_px,
        height_px=height_px,
        frames=frames,
        steps=steps,
        seconds=seconds,
        source="test",
    )


def a_catalogue(*cards: ModelCard, aliases: Mapping[str, str] | None = None) -> Catalogue:
    return Catalogue(
        cards={card.model_id: card for card in cards},
        aliases={alias: ModelId(model) for alias, model in (aliases or {}).items()},
    )


def a_gpu(
    gpu: str = "gpu0",
    *,
    gpu_class: str = "cpu",
    memory_bytes: int = 10_000,
    node: str = "",
    market: Market = Market.RESERVED,
) -> Gpu:
    return Gpu(gpu_id=GpuId(gpu), gpu_class=gpu_class, memory_bytes=memory_bytes, node_id=node, market=market)


def a_replica(
    worker: str = "w0",
    *,
    gpu: str | None = None,
    model: str = MODEL,
    state: ReplicaState = ReplicaState.READY,
    since_s: float = 0.0,
    job: str | None = None,
    loaded_at_s: float | None = None,
    more_gpus: Sequence[str] = (),
) -> ReplicaView:
    """A worker; `w3` sits on `gpu3` unless told otherwise."""
    return ReplicaView(
        worker_id=WorkerId(worker),
        gpu_id=GpuId(worker.replace("w", "gpu") if gpu is None else gpu),
        model_id=ModelId(model),
        state=state,
        since_s=since_s,
        job_id=None if job is None else JobId(job),
        loaded_at_s=loaded_at_s,
        more_gpu_ids=tuple(GpuId(name) for name in more_gpus),
    )


def a_fleet(*replicas: ReplicaView, gpus: int | Sequence[Gpu] = 1) -> FleetView:
    """GPUs `gpu0`... (a number of them, or those given) with these replicas."""
    cards = tuple(a_gpu(f"gpu{index}") for index in range(gpus)) if isinstance(gpus, int) else tuple(gpus)
    return FleetView(gpus=cards, replicas=replicas)


def a_queue(**models: ModelQueue) -> QueueView:
    """Open work by model name, for example `a_queue(painter=ModelQueue(pending=1))`."""
    return QueueView(models={ModelId(name): queue for name, queue in models.items()})


def an_image(*, width_px: int = 64, height_px: int = 64, seed: int = 7, rgb: bytes | None = None) -> RawImage:
    """One colour by default: not a picture that passes the gates."""
    pixels = bytes((200, 120, 40)) * (width_px * height_px) if rgb is None else rgb
    return RawImage(width_px=width_px, height_px=height_px, seed=seed, rgb=pixels)


def an_output(
    name: str = "out",
    *,
    job: str = "cat",
    tenant: str = "acme",
    index: int = 0,
    sha256: str = "0" * 64,
    size_bytes: int = 1_000,
    output_format: OutputFormat = OutputFormat.PNG,
    width_px: int = 256,
    height_px: int = 256,
    seed: int = 7,
    thumbhash: str = "3OcRJYB4d3h/iIeHeEh3eIhw+j2w",
    verdict: Verdict = ACCEPT,
    created_at_s: float = 0.0,
    frames: int = 1,
    duration_s: float | None = None,
    alignment: Alignment | None = None,
    availability: Availability = Availability.DELIVERED,
) -> Output:
    return Output(
        output_id=OutputId(name),
        job_id=JobId(job),
        tenant_id=TenantId(tenant),
        index=index,
        blob=f"{sha256}.{output_format.value}",
        sha256=sha256,
        size_bytes=size_bytes,
        output_format=output_format,
        width_px=width_px,
        height_px=height_px,
        seed=seed,
        thumbnail_blob=f"{sha256}.webp",
        thumbhash=thumbhash,
        verdict=verdict,
        created_at_s=created_at_s,
        frames=frames,
        duration_s=duration_s,
        alignment=alignment,
        availability=availability,
    )


def an_api_key(
    name: str = "key",
    *,
    tenant: str = "acme",
    tier: str = "standard",
    secret_sha256: str = "0" * 64,
    hint: str = "hg_0000",
    created_at_s: float = 0.0,
    revoked_at_s: float | None = None,
) -> ApiKey:
    return ApiKey(
        key_id=KeyId(name),
        secret_sha256=secret_sha256,
        hint=hint,
        tenant_id=TenantId(tenant),
        tier=Tier(tier),
        name=name,
        created_at_s=created_at_s,
        revoked_at_s=revoked_at_s,
    )


# --- events ----------------------------------------------------------------------------------------------------------


def submitted(job: str | Job = "cat", **fields: Any) -> JobSubmitted:
    """`submitted("cat", tier="pro")`: the fields are those of `a_job`."""
    return JobSubmitted(job=a_job(job, **fields) if isinstance(job, str) else job)


def recovered(job: str | Job = "cat", **fields: Any) -> JobRecovered:
    """`recovered("cat", state=JobState.RUNNING, attempt=1)`: the fields are those of `a_job`."""
    return JobRecovered(job=a_job(job, **fields) if isinstance(job, str) else job)


def abandoned(job: str = "cat") -> SubmissionAbandoned:
    return SubmissionAbandoned(job_id=JobId(job))


def cancelled(job: str = "cat") -> CancelRequested:
    return CancelRequested(job_id=JobId(job))


def replica_requested(
    worker: str = "w0", *, gpu: str | None = None, model: str = MODEL, more_gpus: Sequence[str] = ()
) -> ReplicaRequested:
    gpu_id = GpuId(worker.replace("w", "gpu") if gpu is None else gpu)
    more_gpu_ids = tuple(GpuId(name) for name in more_gpus)
    return ReplicaRequested(
        worker_id=WorkerId(worker), gpu_id=gpu_id, model_id=ModelId(model), more_gpu_ids=more_gpu_ids
    )


def replica_stop_requested(worker: str = "w0", *, reason: str = "test") -> ReplicaStopRequested:
    return ReplicaStopRequested(worker_id=WorkerId(worker), reason=reason)


def weights_progressed(
    worker: str = "w0", done_bytes: int = 1, *, of: int = 2, left_s: float | None = None
) -> WeightsProgressed:
    fetching = Fetching(done_bytes=done_bytes, total_bytes=of, left_s=left_s)
    return WeightsProgressed(worker_id=WorkerId(worker), fetching=fetching)


def worker_ready(
    worker: str = "w0", *, load_s: float = 1.0, memory_bytes: int = 1_000, can_resume: bool = False
) -> WorkerReady:
    return WorkerReady(worker_id=WorkerId(worker), load_s=load_s, memory_bytes=memory_bytes, can_resume=can_resume)


def worker_lost(worker: str = "w0", reason: LossReason = LossReason.CRASHED, *, detail: str = "") -> WorkerLost:
    return WorkerLost(worker_id=WorkerId(worker), reason=reason, detail=detail)


def run_started(job: str = "cat", *, attempt: int = 1) -> RunStarted:
    return RunStarted(job_id=JobId(job), attempt=attempt)


def step_done(
    job: str = "cat", step: int = 1, *, steps: int = 10, attempt: int = 1, previews: tuple[bytes, ...] = ()
) -> StepDone:
    return StepDone(job_id=JobId(job), attempt=attempt, step=step, steps=steps, previews=previews)


def images_ready(
    job: str = "cat", *, attempt: int = 1, run_s: float = 2.0, images: tuple[RawImage, ...] = ()
) -> ImagesReady:
    return ImagesReady(job_id=JobId(job), attempt=attempt, run_s=run_s, images=images)


def run_failed(
    job: str = "cat", kind: EngineErrorKind = EngineErrorKind.INTERNAL, *, attempt: int = 1, message: str = "It broke."
) -> RunFailed:
    return RunFailed(job_id=JobId(job), attempt=attempt, kind=kind, message=message)


def run_aborted(job: str = "cat", *, attempt: int = 1) -> RunAborted:
    return RunAborted(job_id=JobId(job), attempt=attempt)


def run_paused(job: str = "cat", step: int = 5, *, attempt: int = 1, checkpoint: str | None = None) -> RunPaused:
    kept = f"{job} after {step}" if checkpoint is None else checkpoint
    return RunPaused(job_id=JobId(job), attempt=attempt, step=step, checkpoint=kept)


def checkpoint_kept(job: str = "cat", step: int = 5, *, attempt: int = 1) -> CheckpointKept:
    return CheckpointKept(job_id=JobId(job), attempt=attempt, step=step, checkpoint=f"{job} after {step}")


def outputs_stored(job: str = "cat", *, attempt: int = 1, outputs: tuple[Output, ...] | None = None) -> OutputsStored:
    delivered = (an_output(job=job),) if outputs is None else outputs
    return OutputsStored(job_id=JobId(job), attempt=attempt, outputs=delivered)


def gate_rejected(
    job: str = "cat",
    decision: Decision = Decision.REGENERATE,
    *,
    attempt: int = 1,
    reasons: tuple[str, ...] = ("blank",),
) -> GateRejected:
    verdict = Verdict(decision=decision, reasons=reasons)
    return GateRejected(job_id=JobId(job), attempt=attempt, verdict=verdict)


def post_processing_failed(
    job: str = "cat", *, attempt: int = 1, message: str = "The encoder broke.", is_retryable: bool = True
) -> PostProcessingFailed:
    return PostProcessingFailed(job_id=JobId(job), attempt=attempt, message=message, is_retryable=is_retryable)


def gpu_arrived(gpu: str = "gpu9", *, market: Market = Market.SPOT) -> GpuArrived:
    return GpuArrived(gpu=a_gpu(gpu, market=market))


def gpu_notice(gpu: str = "gpu0", *, leaves_at_s: float = 120.0) -> GpuNotice:
    return GpuNotice(gpu_id=GpuId(gpu), leaves_at_s=leaves_at_s)


def gpu_gone(gpu: str = "gpu0") -> GpuGone:
    return GpuGone(gpu_id=GpuId(gpu))


def drain_requested() -> DrainRequested:
    return DrainRequested()


def halts_set(*halts: Halt) -> HaltsSet:
    return HaltsSet(halts=halts)


def clock_ticked() -> ClockTicked:
    return ClockTicked()


# --- schedulers ------------------------------------------------------------------------------------------------------


def a_scheduler(
    *,
    workers: int = 1,
    gpus: int | Sequence[Gpu] = 8,
    model: str = MODEL,
    profiles: Profiles | None = None,
    **policy: Any,
) -> Scheduler:
    """A scheduler at time 0.0 with idle workers `w0`... that hold `model`; `policy` is fields of `SchedulerPolicy`."""
    scheduler = Scheduler(
        gpus=[a_gpu(f"gpu{index}") for index in range(gpus)] if isinstance(gpus, int) else gpus,
        policy=SchedulerPolicy(**policy),
        profiles=profiles or Profiles(),
    )
    events: list[Event] = []
    for index in range(workers):
        events += [replica_requested(f"w{index}", model=model), worker_ready(f"w{index}")]
    for event in events:
        assert scheduler.handle(event, now_s=0.0) == []
    return scheduler


def play(scheduler: Scheduler, *events: Event, now_s: float = 0.0) -> list[Command]:
    """Fold the events one after another, checking the invariants after each; gives the commands of all of them."""
    commands: list[Command] = []
    for event in events:
        commands += scheduler.handle(event, now_s=now_s)
        scheduler.check()
    return commands


def in_words(commands: Sequence[Command]) -> list[str]:
    """Commands as lines of a table: `cat pending (submitted)`, `w0 runs cat#1`, `w0 aborts cat#1`, `finish cat#1`..."""
    return [_in_words(command) for command in commands]


def _in_words(command: Command) -> str:
    match command:
        case RecordJob(job=job, cause=cause):
            return f"{job.job_id} {job.state} ({cause})"
        case SaveJob(job=job):
            return f"keep {job.checkpoint}"
        case RefuseJob(job_id=job_id, error=error):
            return f"refuse {job_id} ({error.code})"
        case Dispatch(worker_id=worker_id, order=order):
            return f"{worker_id} runs {order.job_id}#{order.attempt}"
        case AbortRun(worker_id=worker_id, job_id=job_id, attempt=attempt):
            return f"{worker_id} aborts {job_id}#{attempt}"
        case PauseRun(worker_id=worker_id, job_id=job_id, attempt=attempt):
            return f"{worker_id} pauses {job_id}#{attempt}"
        case PostProcess(job=job):
            return f"finish {job.job_id}#{job.attempt}"
        case StartReplica(gpu_id=gpu_id, model_id=model_id, more_gpu_ids=more_gpu_ids):
            return f"start {model_id} on {' and '.join((gpu_id, *more_gpu_ids))}"
        case StopReplica(worker_id=worker_id):
            return f"stop {worker_id}"
