"""Lifecycle events become metrics and log lines. Neither ever holds a prompt, a key or a job's pictures.

Metric names and units follow Prometheus' conventions; labels are bounded by the catalogue, the tiers and the code's own
enumerations, never by what a user sends. `docs/reference/metrics.md` lists them; a test keeps it complete.
"""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from structlog.typing import EventDict, FilteringBoundLogger

from heliograph.domain.events import LossReason, StepDone
from heliograph.domain.job import JobState
from heliograph.domain.lifecycle import (
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
from heliograph.domain.views import FleetView, QueueView

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
    """Prometheus metrics fed by lifecycle events; gauges are read from the live views at each scrape."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._jobs = self._counter("jobs_ended", "Jobs that ended.", "model", "tier", "state")
        self._submitted = self._counter("jobs_submitted", "Jobs accepted.", "model", "tier")
        self._refused = self._counter("requests_refused", "Requests refused before they became a job.", "stage")
        self._retries = self._counter("job_retries", "Moves back to the queue.", "model", "cause")
        self._stage_s = self._histogram("job_stage_seconds", "Time a job spent in a state.", "model", "state")
        self._total_s = self._histogram("job_seconds", "Time from acceptance to completion.", "model", "tier")
        self._gpu_s = self._counter("gpu_seconds", "Seconds a GPU was held by an attempt.", "model", "outcome")
        self._charged = self._counter("charged_micros", "Micro-dollars charged to tenants.", "tier")
        self._steps = self._counter("steps", "Denoising steps done.", "model")
        self._outputs = self._counter("outputs", "Pictures delivered.", "model", "format", "verdict")
        self._alignment = self._histogram(
            "alignment_ratio", "How well pictures fit their prompts, from 0 to 1.", "model", bounds=SHARES
        )
        self._loads_s = self._histogram("model_load_seconds", "Time a worker took to load its model.", "model")
        self._late = self._counter("late_events", "News of attempts that were over, ignored.", "event")
        self._lost = self._counter("workers_lost", "Workers gone, by reason.", "model", "reason")
        self._webhooks = self._counter("webhook_tries", "Tries to deliver a webhook.", "event", "result")
        self._webhook_s = self._histogram("webhook_seconds", "Time a receiver took to answer.", "result")
        self._commit_s = self._histogram(
            "store_commit_seconds", "Time the database took to make a turn's changes durable.", "result"
        )
        self._soft_limits = self._counter("account_soft_limits", "Tenants that passed their plan's soft limit.")
        self._pending = self._gauge("queue_jobs", "Jobs waiting.", "model")
        self._pending_s = self._gauge("queue_work_seconds", "Estimated GPU-seconds waiting.", "model")
        self._replicas = self._gauge("replicas", "Workers by state.", "model", "state")
        self._cases = self._counter("moderation_cases", "Moderation cases opened.", "subject", "category")
        self._decisions = self._counter("moderation_decisions", "Moderation cases decided.", "reviewer", "decision")
        self._decision_s = self._histogram(
            "moderation_wait_seconds", "Time a case waited for its decision.", "subject", bounds=WAITS
        )
        self._backlog = self._gauge("moderation_backlog", "Cases that wait for a decision.", "state")
        self._backlog_s = self._gauge("moderation_backlog_age_seconds", "How long the first has waited.", "state")
        self._load = self._gauge("moderation_reviewer_load", "Cases decided within the last hour.", "reviewer")
        self._findings = self._gauge("findings", "What the diagnosis finds wrong now.", "cause")

    def __call__(self, event: LifecycleEvent) -> None:
        """Count one event."""
        match event:
            case JobMoved():
                self._count_move(event)
            case JobStepped(model_id=model_id):
                self._steps.labels(model_id).inc()
            case LateEventIgnored(event=name):
                self._late.labels(name).inc()
            case RequestRefused(refusal=refusal):
                self._refused.labels(refusal.stage).inc()
            case ReplicaLoaded(model_id=model_id, load_s=load_s):
                self._loads_s.labels(model_id).observe(load_s)
            case ReplicaLost(model_id=model_id, reason=reason):
                self._lost.labels(model_id, reason.value).inc()
            case WebhookTried(event=news, state=state, duration_s=duration_s):
                self._webhooks.labels(news.value, state.value).inc()
                self._webhook_s.labels(state.value).observe(duration_s)
            case StoreCommitted(duration_s=duration_s, has_failed=has_failed):
                self._commit_s.labels("failed" if has_failed else "stored").observe(duration_s)
            case CaseOpened(case=case):
                self._cases.labels(case.subject.value, case.category).inc()
            case CaseMoved(case=case, action=action, waited_s=waited_s):
                if action.deed in DECISIONS:
                    self._decisions.labels(action.actor, action.deed.value).inc()
                if waited_s is not None:
                    self._decision_s.labels(case.subject.value).observe(waited_s)
            case SoftLimitPassed():
                self._soft_limits.inc()
            case ReplicaStarted():
                pass

    def scrape(
        self, fleet: FleetView, queue: QueueView, findings: Mapping[str, int] | None = None
    ) -> tuple[bytes, str]:
        """The exposition and its content type; `findings` by cause."""
        for gauge in (self._pending, self._pending_s, self._replicas, self._findings):
            gauge.clear()
        for model_id, line in queue.models.items():
            self._pending.labels(model_id).set(line.pending)
            self._pending_s.labels(model_id).set(line.pending_s)
        for replica in fleet.replicas:
            self._replicas.labels(replica.model_id, replica.state.value).inc()
        for cause, count in (findings or {}).items():
            self._findings.labels(cause).set(count)
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def show_backlog(self, waiting: Sequence[CaseCount], deeds: Sequence[DeedCount], *, now_s: float) -> None:
        """Show what waits for reviewers, and what each of them did within the last hour."""
        for gauge in (self._backlog, self._backlog_s, self._load):
            gauge.clear()
        for each in waiting:
            self._backlog.labels(each.state.value).set(each.count)
            self._backlog_s.labels(each.state.value).set(max(0.0, now_s - each.oldest_s))
        for deed in deeds:
            if deed.deed in DECISIONS:
                self._load.labels(deed.actor).inc(deed.count)

    def _count_move(self, event: JobMoved) -> None:
        record = event.record
        job, model = record.job, record.job.request.model_id
        if event.previous is None:
            self._submitted.labels(model, job.tier.value).inc()
        if job.state is JobState.PENDING and event.previous not in (None, JobState.PENDING):
            self._retries.labels(model, record.cause).inc()
        if record.ended_attempt is not None:
            self._gpu_s.labels(model, record.ended_attempt.outcome.value).inc(record.ended_attempt.gpu_s)
        if event.cost_micros:
            self._charged.labels(job.tier.value).inc(event.cost_micros)
        for output in record.outputs:
            self._outputs.labels(model, output.output_format.value, output.verdict.decision.value).inc()
            if output.alignment is not None:
                self._alignment.labels(model).observe(output.alignment.score)
        if job.state.is_terminal:
            self._jobs.labels(model, job.tier.value, job.state.value).inc()
            for state, seconds in job.stage_seconds().items():
                self._stage_s.labels(model, state.value).observe(seconds)
            if job.state is JobState.COMPLETED:
                self._total_s.labels(model, job.tier.value).observe(job.timeline[-1].at_s - job.created_at_s)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"heliograph_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"heliograph_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str, bounds: Sequence[float] = SECONDS) -> Histogram:
        return Histogram(f"heliograph_{name}", text, labels, buckets=bounds, registry=self.registry)


def log_lifecycle(log: FilteringBoundLogger) -> Callable[[LifecycleEvent], None]:
    """A sink that writes one line per job move and worker change, without prompts."""

    def write(event: LifecycleEvent) -> None:
        match event:
            case JobMoved(record=record):
                job = record.job
                # Of a job that goes well its beginning and its end say enough; a retry is back at the beginning.
                says_enough = job.state.is_terminal or job.state is JobState.PENDING
                write_line = log.info if says_enough else log.debug
                if job.state is JobState.FAILED:
                    write_line = log.warning
                write_line(
                    f"job {job.state.value}",
                    job_id=job.job_id,
                    cause=record.cause,
                    model=job.request.model_id,
                    attempt=job.attempt,
                    **({} if job.failure is None else {"code": job.failure.code}),
                )
            case SoftLimitPassed(tenant_id=tenant_id):
                log.warning("soft limit passed", tenant=tenant_id)
            case StoreCommitted():
                pass  # too many to read; the metrics have them
            case JobStepped() | WebhookTried():
                pass  # of webhooks those that fail are logged where the reason is known
            case LateEventIgnored(event=name, job_id=job_id, attempt=attempt):
                # A run that was called off is likely to have made another step by then.
                write_line = log.debug if name == StepDone.__name__ else log.info
                write_line("late event ignored", event_name=name, job_id=job_id, attempt=attempt)
            case RequestRefused(refusal=refusal):
                log.info("request refused", stage=refusal.stage, category=refusal.category, param=refusal.param)
            case CaseOpened(case=case):
                log.info("case opened", case_id=case.case_id, subject=case.subject.value, category=case.category)
            case CaseMoved(case=case, action=action):
                log.info(f"case {action.deed.value}", case_id=case.case_id, actor=action.actor)
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
