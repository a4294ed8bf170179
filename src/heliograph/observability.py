"""Lifecycle events become metrics and log lines. Neither ever holds a prompt, a key or a job's pictures.

Metric names and units follow Prometheus' conventions; labels are bounded by the catalogue, the tiers and the code's own
enumerations, never by what a user sends. `docs/reference/metrics.md` lists them; a test keeps it complete.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from heliograph.domain.events import LossReason, StepDone
from heliograph.domain.ids import GpuId, ModelId
from heliograph.domain.job import Job, JobState
from heliograph.domain.lifecycle import (
    BlobHandled,
    CaseMoved,
    CaseOpened,
    JobMoved,
    JobStepped,
    LateEventIgnored,
    LifecycleEvent,
    ReplicaLoaded,
    ReplicaLost,
    ReplicaStarted,
    RequestRefused,
    SoftLimitPassed,
    StoreCommitted,
    WebhookTried,
)
from heliograph.domain.moderation import DECISIONS, CaseCount, DeedCount
from heliograph.domain.views import FleetView, Gpu, QueueView
from heliograph.monitoring import GpuReading
from heliograph.monitoring.families import OTHER, Counter, Gauge, Histogram, Snapshot, snapshot
from heliograph.tracing import TraceBook

SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Histogram bounds of what lies between 0 and 1."""

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
"""Histogram bounds in seconds, from a cache-warm toy model to a long video."""


WAITS = (60, 300, 900, 3_600, 14_400, 43_200, 86_400, 259_200, 604_800)
"""Histogram bounds in seconds, from a reviewer who sits there to a week."""


def configure_logging(*, level: str, json_lines: bool) -> None:
    """Send log lines to stderr from `level` up, as text for people or as one JSON object per line."""
    renderer = structlog.processors.JSONRenderer() if json_lines else _line_for_people
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _line_for_people(_logger: object, _method: str, event: EventDict) -> str:
    """Time, level, what happened, then the rest as name=value; a traceback stands below."""
    exception = event.pop("exception", None)
    head = f"{event.pop('timestamp')} {event.pop('level'):<7} {event.pop('event'):<24}"
    line = " ".join((head, *(f"{name}={value}" for name, value in event.items())))
    return line if exception is None else f"{line}\n{exception}"


class Metrics:
    """Prometheus metrics fed by lifecycle events and by what the HTTP server answers; gauges are read at each scrape.

    `tenants_max` tenants are told apart, in the order in which they come; the rest is counted together.
    """

    def __init__(self, *, tenants_max: int = 0) -> None:
        self._jobs = Counter("heliograph_jobs_ended", "Jobs that ended.", "model", "tier", "state")
        self._failed = Counter(
            "heliograph_jobs_failed", "Jobs that were given up, by the code of the error.", "model", "code"
        )
        self._submitted = Counter("heliograph_jobs_submitted", "Jobs accepted.", "model", "tier")
        self._tenant_jobs = Counter(
            "heliograph_tenant_jobs",
            "Jobs that ended, where metrics.tenants_max lets tenants be told apart.",
            "tenant",
            "state",
        )
        self._tenant_charged = Counter(
            "heliograph_tenant_charged_micros", "Micro-dollars charged to a tenant, likewise.", "tenant"
        )
        self._refused = Counter("heliograph_requests_refused", "Requests refused before they became a job.", "stage")
        self._problems = Counter("heliograph_http_problems", "Calls answered with an error, by its code.", "code")
        self._answers = Counter(
            "heliograph_http_requests", "Calls answered, by the class of their status.", "route", "method", "status"
        )
        self._answer_s = Histogram(
            "heliograph_http_seconds", "Time until the answer to a call began.", "route", bounds=SECONDS
        )
        self._retries = Counter("heliograph_job_retries", "Moves back to the queue.", "model", "cause")
        self._stage_s = Histogram(
            "heliograph_job_stage_seconds", "Time a job spent in a state.", "model", "state", bounds=SECONDS
        )
        self._total_s = Histogram(
            "heliograph_job_seconds", "Time from acceptance to completion.", "model", "tier", bounds=SECONDS
        )
        self._gpu_s = Counter("heliograph_gpu_seconds", "Seconds a GPU was held by an attempt.", "model", "outcome")
        self._charged = Counter("heliograph_charged_micros", "Micro-dollars charged to tenants.", "tier")
        self._steps = Counter("heliograph_steps", "Denoising steps done.", "model")
        self._outputs = Counter("heliograph_outputs", "Pictures delivered.", "model", "format", "verdict")
        self._alignment = Histogram(
            "heliograph_alignment_ratio", "How well pictures fit their prompts, from 0 to 1.", "model", bounds=SHARES
        )
        self._loads = Counter("heliograph_model_loads", "Loads of a model that were begun.", "model")
        self._swaps = Counter("heliograph_model_swaps", "Loads onto a GPU that held another model before.", "model")
        self._loads_s = Histogram(
            "heliograph_model_load_seconds", "Time a worker took to load its model.", "model", bounds=SECONDS
        )
        self._late = Counter("heliograph_late_events", "News of attempts that were over, ignored.", "event")
        self._lost = Counter("heliograph_workers_lost", "Workers gone, by reason.", "model", "reason")
        self._gone = Counter("heliograph_gpus_gone", "GPUs that left the fleet.", "pool", "market", "zone")
        self._webhooks = Counter("heliograph_webhook_tries", "Tries to deliver a webhook.", "event", "result")
        self._webhook_s = Histogram(
            "heliograph_webhook_seconds", "Time a receiver took to answer.", "result", bounds=SECONDS
        )
        self._commit_s = Histogram(
            "heliograph_store_commit_seconds",
            "Time the database took to make a turn's changes durable.",
            "result",
            bounds=SECONDS,
        )
        self._blob_s = Histogram(
            "heliograph_blob_seconds", "Time the medium of the pictures took.", "operation", "result", bounds=SECONDS
        )
        self._soft_limits = Counter("heliograph_account_soft_limits", "Tenants that passed their plan's soft limit.")
        self._pending = Gauge("heliograph_queue_jobs", "Jobs waiting.", "model")
        self._pending_s = Gauge("heliograph_queue_work_seconds", "Estimated GPU-seconds waiting.", "model")
        self._oldest_s = Gauge(
            "heliograph_queue_oldest_seconds", "How long the next in line has been waiting.", "model"
        )
        self._replicas = Gauge("heliograph_replicas", "Workers by state.", "model", "state")
        self._gpus = Gauge("heliograph_gpus", "GPUs in the fleet.", "pool", "market", "zone")
        self._cases = Counter("heliograph_moderation_cases", "Moderation cases opened.", "subject", "category")
        self._decisions = Counter(
            "heliograph_moderation_decisions", "Moderation cases decided.", "reviewer", "decision"
        )
        self._decision_s = Histogram(
            "heliograph_moderation_wait_seconds", "Time a case waited for its decision.", "subject", bounds=WAITS
        )
        self._backlog = Gauge("heliograph_moderation_backlog", "Cases that wait for a decision.", "state")
        self._backlog_s = Gauge(
            "heliograph_moderation_backlog_age_seconds", "How long the first of them has waited.", "state"
        )
        self._load = Gauge(
            "heliograph_moderation_reviewer_load", "Cases a reviewer decided within the last hour.", "reviewer"
        )
        self._findings = Gauge("heliograph_findings", "What the diagnosis finds wrong now.", "cause")
        self._objective_jobs = Counter(
            "heliograph_objective_jobs", "Jobs that count for an objective, by how they ended.", "objective", "result"
        )
        self._objective_target = Gauge(
            "heliograph_objective_target_ratio", "The share of them that should be good.", "objective"
        )
        self._user_signals = Counter(
            "heliograph_user_signals", "What people do: ask the same again within minutes, download.", "model", "signal"
        )
        self._held = Gauge("heliograph_quality_held", "1 where pictures have become worse than before.", "model")
        self._gpu_busy = Gauge("heliograph_gpu_utilization_ratio", "How busy a GPU of this machine is.", "gpu")
        self._gpu_used = Gauge("heliograph_gpu_memory_used_bytes", "Memory in use on it.", "gpu")
        self._gpu_size = Gauge("heliograph_gpu_memory_total_bytes", "Memory it has.", "gpu")
        self._gpu_heat = Gauge("heliograph_gpu_temperature_celsius", "How warm it is.", "gpu")
        self._tenants_max = tenants_max
        self._tenants: set[str] = set()
        self._models_of_gpus: dict[GpuId, ModelId] = {}
        self._present: dict[GpuId, Gpu] = {}

    @property
    def families(self) -> list[Counter | Gauge | Histogram]:
        """All of them, in the order of a scrape."""
        return [each for each in vars(self).values() if isinstance(each, Counter | Gauge | Histogram)]

    def __call__(self, event: LifecycleEvent) -> None:
        """Count one event."""
        match event:
            case JobMoved():
                self._count_move(event)
            case JobStepped(model_id=model_id):
                self._steps.add(model_id)
            case LateEventIgnored(event=name):
                self._late.add(name)
            case RequestRefused(refusal=refusal):
                self._refused.add(refusal.stage)
            case ReplicaStarted(gpu_id=gpu_id, model_id=model_id):
                self._loads.add(model_id)
                if self._models_of_gpus.get(gpu_id, model_id) != model_id:
                    self._swaps.add(model_id)
                self._models_of_gpus[gpu_id] = model_id
            case ReplicaLoaded(model_id=model_id, load_s=load_s):
                self._loads_s.observe(load_s, model_id)
            case ReplicaLost(model_id=model_id, reason=reason):
                self._lost.add(model_id, reason.value)
            case WebhookTried(event=news, state=state, duration_s=duration_s):
                self._webhooks.add(news.value, state.value)
                self._webhook_s.observe(duration_s, state.value)
            case StoreCommitted(duration_s=duration_s, has_failed=has_failed):
                self._commit_s.observe(duration_s, "failed" if has_failed else "stored")
            case BlobHandled(operation=operation, duration_s=duration_s, has_failed=has_failed):
                self._blob_s.observe(duration_s, operation, "failed" if has_failed else "done")
            case SoftLimitPassed():
                self._soft_limits.add()
            case CaseOpened(case=case):
                self._cases.add(case.subject.value, case.category)
            case CaseMoved(case=case, action=action, waited_s=waited_s):
                if action.deed in DECISIONS:
                    self._decisions.add(action.actor, action.deed.value)
                if waited_s is not None:
                    self._decision_s.observe(waited_s, case.subject.value)

    def answered(self, *, route: str, method: str, status: int, duration_s: float, code: str | None) -> None:
        """Count one call; `route` is the pattern it matched and `code` that of the problem it was answered with."""
        self._answers.add(route, method, f"{status // 100}xx")
        self._answer_s.observe(duration_s, route)
        if code is not None:
            self._problems.add(code)

    def judged(self, objective: str, is_good: bool) -> None:
        """Count a job that counts for an objective."""
        self._objective_jobs.add(objective, "good" if is_good else "bad")

    def signalled(self, signal: str, model_id: ModelId) -> None:
        """Count what somebody did about a picture."""
        self._user_signals.add(model_id, signal)

    def promise(self, targets: Mapping[str, float]) -> None:
        """What the objectives promise, by name."""
        self._objective_target.replace({(name,): target for name, target in targets.items()})
        for name in targets:
            self._objective_jobs.add(name, "good", amount=0)
            self._objective_jobs.add(name, "bad", amount=0)

    def read(self, gpus: Sequence[GpuReading], held: Iterable[ModelId]) -> None:
        """How this machine's GPUs are now, and which models' pictures have become worse."""
        self._held.replace({(model_id,): 1.0 for model_id in held})
        self._gpu_busy.replace({(gpu.name,): gpu.utilisation for gpu in gpus if gpu.utilisation is not None})
        self._gpu_used.replace({(gpu.name,): float(gpu.memory_used_bytes) for gpu in gpus})
        self._gpu_size.replace({(gpu.name,): float(gpu.memory_total_bytes) for gpu in gpus})
        self._gpu_heat.replace({(gpu.name,): gpu.temperature_c for gpu in gpus if gpu.temperature_c is not None})

    def show_backlog(self, waiting: Sequence[CaseCount], deeds: Sequence[DeedCount], *, now_s: float) -> None:
        """What waits for reviewers, and what each of them did within the last hour."""
        self._backlog.replace({(each.state.value,): float(each.count) for each in waiting})
        self._backlog_s.replace({(each.state.value,): max(0.0, now_s - each.oldest_s) for each in waiting})
        decided = [each for each in deeds if each.deed in DECISIONS]
        names = {each.actor for each in decided}
        self._load.replace(
            {(name,): float(sum(each.count for each in decided if each.actor == name)) for name in names}
        )

    def look(self, fleet: FleetView) -> None:
        """Count the GPUs that have gone since the look before."""
        present = {gpu.gpu_id: gpu for gpu in fleet.gpus}
        for gpu_id, gpu in self._present.items():
            if gpu_id not in present:
                self._gone.add(gpu.gpu_class, gpu.market.value, gpu.zone)
                self._models_of_gpus.pop(gpu_id, None)
        self._present = present

    def snapshot(
        self, fleet: FleetView, queue: QueueView, findings: Mapping[str, int] | None = None, *, now_s: float
    ) -> Snapshot:
        """All numbers as they are now; `findings` by cause. To be called on the loop, where events are counted."""
        lines = queue.models
        self._pending.replace({(model_id,): float(line.pending) for model_id, line in lines.items()})
        self._pending_s.replace({(model_id,): line.pending_s for model_id, line in lines.items()})
        self._oldest_s.replace(
            {
                (model_id,): 0.0 if line.waiting_since_s is None else max(now_s - line.waiting_since_s, 0.0)
                for model_id, line in lines.items()
            }
        )
        self._replicas.replace(_counted((each.model_id, each.state.value) for each in fleet.replicas))
        self._gpus.replace(_counted((gpu.gpu_class, gpu.market.value, gpu.zone) for gpu in fleet.gpus))
        self._findings.replace({(cause,): float(count) for cause, count in (findings or {}).items()})
        return snapshot(self.families)

    def _count_move(self, event: JobMoved) -> None:
        record = event.record
        job, model = record.job, record.job.request.model_id
        if event.previous is None:
            self._submitted.add(model, job.tier.value)
        if job.state is JobState.PENDING and event.previous not in (None, JobState.PENDING):
            self._retries.add(model, record.cause)
        if record.ended_attempt is not None:
            self._gpu_s.add(model, record.ended_attempt.outcome.value, amount=record.ended_attempt.gpu_s)
        if event.cost_micros:
            self._charged.add(job.tier.value, amount=event.cost_micros)
            if self._tenants_max:
                self._tenant_charged.add(self._tenant(job), amount=event.cost_micros)
        for output in record.outputs:
            self._outputs.add(model, output.output_format.value, output.verdict.decision.value)
            if output.alignment is not None:
                self._alignment.observe(output.alignment.score, model)
        if job.state.is_terminal:
            self._count_end(job, model)

    def _count_end(self, job: Job, model: ModelId) -> None:
        self._jobs.add(model, job.tier.value, job.state.value)
        if self._tenants_max:
            self._tenant_jobs.add(self._tenant(job), job.state.value)
        if job.state is JobState.FAILED and job.failure is not None:
            self._failed.add(model, job.failure.code)
        for state, seconds in job.stage_seconds().items():
            self._stage_s.observe(seconds, model, state.value)
        if job.state is JobState.COMPLETED:
            self._total_s.observe(job.timeline[-1].at_s - job.created_at_s, model, job.tier.value)

    def _tenant(self, job: Job) -> str:
        name = job.tenant_id
        if name not in self._tenants:
            if len(self._tenants) >= self._tenants_max:
                return OTHER
            self._tenants.add(name)
        return name


def _counted(keys: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for key in keys:
        found[key] = found.get(key, 0.0) + 1.0
    return found


def log_lifecycle(log: FilteringBoundLogger, traces: TraceBook) -> Callable[[LifecycleEvent], None]:
    """A sink that writes one line per job move and worker change, without prompts; `traces` knows whose they are."""

    def write(event: LifecycleEvent) -> None:
        match event:
            case JobMoved(record=record):
                job = record.job
                # Of a job that goes well its beginning and its end say enough; a retry is back at the beginning.
                says_enough = job.state.is_terminal or job.state is JobState.PENDING
                write_line = log.info if says_enough else log.debug
                trace = traces.of(job.job_id)
                if job.state is JobState.FAILED:
                    write_line = log.warning
                write_line(
                    f"job {job.state.value}",
                    job_id=job.job_id,
                    trace_id=trace.trace_id,
                    cause=record.cause,
                    model=job.request.model_id,
                    attempt=job.attempt,
                    **({} if trace.request_id is None else {"request_id": trace.request_id}),
                    **({} if job.failure is None else {"code": job.failure.code}),
                )
            case SoftLimitPassed(tenant_id=tenant_id):
                log.warning("soft limit passed", tenant=tenant_id)
            case CaseOpened(case=case):
                log.info("case opened", case_id=case.case_id, subject=case.subject.value, category=case.category)
            case CaseMoved(case=case, action=action):
                log.info(f"case {action.deed.value}", case_id=case.case_id, actor=action.actor)
            case StoreCommitted() | BlobHandled():
                pass  # too many to read; the metrics have them
            case JobStepped() | WebhookTried():
                pass  # of webhooks those that fail are logged where the reason is known
            case LateEventIgnored(event=name, job_id=job_id, attempt=attempt):
                # A run that was called off is likely to have made another step by then.
                write_line = log.debug if name == StepDone.__name__ else log.info
                write_line("late event ignored", event_name=name, job_id=job_id, attempt=attempt)
            case RequestRefused(refusal=refusal):
                log.info("request refused", stage=refusal.stage, category=refusal.category, param=refusal.param)
            case ReplicaStarted(worker_id=worker_id, gpu_id=gpu_id, model_id=model_id):
                log.info("worker loading", worker_id=worker_id, gpu=gpu_id, model=model_id)
            case ReplicaLoaded(worker_id=worker_id, model_id=model_id, load_s=load_s, memory_bytes=memory_bytes):
                mib = memory_bytes // 2**20
                log.info("worker ready", worker_id=worker_id, model=model_id, load_s=round(load_s, 3), mib=mib)
            case ReplicaLost(worker_id=worker_id, model_id=model_id, reason=reason, detail=detail):
                if reason is LossReason.STOPPED:
                    log.info("worker stopped", worker_id=worker_id, model=model_id)
                else:
                    log.warning("worker lost", worker_id=worker_id, model=model_id, reason=reason.value, detail=detail)

    return write
