"""Lifecycle events as metrics and log lines: exact numbers, bounded labels, and never a prompt."""

import json

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from heliograph.domain.accounts import Refusal
from heliograph.domain.commands import RecordJob
from heliograph.domain.events import LossReason
from heliograph.domain.ids import GpuId, ModelId, TenantId, WorkerId
from heliograph.domain.job import Failure, Job, JobState, Moment
from heliograph.domain.lifecycle import (
    JobMoved,
    JobStepped,
    LifecycleEvent,
    ReplicaLoaded,
    ReplicaLost,
    ReplicaStarted,
    RequestRefused,
)
from heliograph.domain.pictures import Alignment
from heliograph.domain.views import ModelQueue, ReplicaState
from heliograph.monitoring import families
from heliograph.observability import Metrics, configure_logging, log_lifecycle
from heliograph.tracing import TraceBook
from tests.builders import MODEL, a_fleet, a_job, a_queue, a_replica, a_request, an_attempt, an_output, step_done

SECRET = "marker-of-a-secret-prompt"
MODEL_ID = ModelId(MODEL)


def job_in(state: JobState, **fields: object) -> Job:
    return a_job("job_marker", tenant="tenant_marker", state=state, request=a_request(prompt=SECRET), **fields)  # type: ignore[arg-type]


def moved(job: Job, previous: JobState | None, *, cause: str = "test", cost: int = 0, **record: object) -> JobMoved:
    return JobMoved(record=RecordJob(job=job, cause=cause, **record), previous=previous, cost_micros=cost)  # type: ignore[arg-type]


def a_life() -> list[LifecycleEvent]:
    """A job that is retried once and completes, another that fails, a refusal, and a worker that comes and goes."""
    done = job_in(
        JobState.COMPLETED,
        timeline=(
            Moment(state=JobState.PENDING, at_s=0.0),
            Moment(state=JobState.DISPATCHED, at_s=1.0),
            Moment(state=JobState.RUNNING, at_s=1.5),
            Moment(state=JobState.POST_PROCESSING, at_s=3.5),
            Moment(state=JobState.COMPLETED, at_s=4.0),
        ),
    )
    failed = a_job("other", state=JobState.FAILED, failure=Failure(code="engine_nan", message="not numbers"))
    refusal = Refusal(
        refusal_id="ref_marker",
        tenant_id=TenantId("tenant_marker"),
        stage="prompts",
        category="x",
        param=None,
        at_s=0.0,
    )
    return [
        ReplicaStarted(worker_id=WorkerId("w_marker"), gpu_id=GpuId("gpu0"), model_id=MODEL_ID),
        ReplicaLoaded(worker_id=WorkerId("w_marker"), model_id=MODEL_ID, load_s=2.0, memory_bytes=1),
        moved(job_in(JobState.PENDING), None),
        moved(job_in(JobState.DISPATCHED), JobState.PENDING),
        moved(
            job_in(JobState.PENDING), JobState.DISPATCHED, cause="worker_lost", ended_attempt=an_attempt("a", gpu_s=0.5)
        ),
        JobStepped(model_id=MODEL_ID, step=step_done("job_marker")),
        moved(job_in(JobState.POST_PROCESSING), JobState.RUNNING, ended_attempt=an_attempt("a", number=2, gpu_s=2.0)),
        moved(
            done,
            JobState.POST_PROCESSING,
            cost=7,
            outputs=(an_output(alignment=Alignment(score=0.75, missing=("marker",))), an_output()),
        ),
        moved(failed, JobState.RUNNING, cause="engine_nan"),
        RequestRefused(refusal=refusal),
        ReplicaLost(worker_id=WorkerId("w_marker"), model_id=MODEL_ID, reason=LossReason.CRASHED, detail="signal 9"),
    ]


def exposition(metrics: Metrics) -> str:
    fleet = a_fleet(a_replica("w0", state=ReplicaState.BUSY), a_replica("w1"), gpus=2)
    queue = a_queue(**{MODEL: ModelQueue(pending=3, pending_s=4.5, waiting_since_s=90.0)})
    return families.exposition(metrics.snapshot(fleet, queue, {"slow_gpu": 1}, now_s=100.0)).decode()


def samples(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Value by name and label values, in the order of the labels' names."""
    return {
        (
            sample.name.removeprefix("heliograph_"),
            ",".join(value for _, value in sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(exposition(metrics))
        for sample in family.samples
    }


def test_every_event_is_counted_once() -> None:
    metrics = Metrics()
    for event in a_life():
        metrics(event)
    found = samples(metrics)
    expected = {
        ("jobs_submitted_total", f"{MODEL},standard"): 1,
        ("jobs_ended_total", f"{MODEL},completed,standard"): 1,
        ("jobs_ended_total", f"{MODEL},failed,standard"): 1,
        ("job_retries_total", f"worker_lost,{MODEL}"): 1,
        ("requests_refused_total", "prompts"): 1,
        ("gpu_seconds_total", f"{MODEL},succeeded"): 2.5,
        ("charged_micros_total", "standard"): 7,
        ("steps_total", MODEL): 1,
        ("outputs_total", f"png,{MODEL},accept"): 2,
        ("alignment_ratio_sum", MODEL): 0.75,
        ("alignment_ratio_count", MODEL): 1,
        ("job_stage_seconds_sum", f"{MODEL},running"): 2.0,
        ("job_stage_seconds_sum", f"{MODEL},pending"): 1.0,
        ("job_seconds_sum", f"{MODEL},standard"): 4.0,
        ("model_load_seconds_sum", MODEL): 2.0,
        ("workers_lost_total", f"{MODEL},crashed"): 1,
        ("queue_jobs", MODEL): 3,
        ("queue_work_seconds", MODEL): 4.5,
        ("queue_oldest_seconds", MODEL): 10.0,
        ("findings", "slow_gpu"): 1,
        ("model_loads_total", MODEL): 1,
        ("jobs_failed_total", f"engine_nan,{MODEL}"): 1,
        ("gpus", "reserved,cpu,"): 2,
        ("replicas", f"{MODEL},busy"): 1,
        ("replicas", f"{MODEL},ready"): 1,
    }
    assert {key: found.get(key) for key in expected} == pytest.approx(expected)


def test_a_gauge_forgets_what_is_no_longer_there() -> None:
    metrics = Metrics()
    exposition(metrics)
    assert b"queue_jobs{" not in families.exposition(metrics.snapshot(a_fleet(), a_queue(), now_s=0.0))


def test_labels_name_nobody() -> None:
    metrics = Metrics()
    for event in a_life():
        metrics(event)
    assert "marker" not in exposition(metrics)


@pytest.mark.parametrize("json_lines", [True, False])
def test_logs_say_what_happened_and_never_a_prompt(json_lines: bool, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level="debug", json_lines=json_lines)
    try:
        write = log_lifecycle(structlog.get_logger(), TraceBook())
        for event in a_life():
            write(event)
    finally:
        structlog.reset_defaults()
    said = capsys.readouterr().err
    assert SECRET not in said
    assert "tenant_marker" not in said
    lines = said.splitlines()
    if json_lines:
        failed = next(line for line in map(json.loads, lines) if line["event"] == "job failed")
        assert (failed["level"], failed["code"], failed["job_id"]) == ("warning", "engine_nan", "other")
    else:
        assert any("job failed" in line and "code=engine_nan" in line for line in lines)
        assert all(line[:4].isdigit() for line in lines), "each line begins with its time"


def test_a_job_that_goes_well_takes_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level="info", json_lines=True)
    try:
        write = log_lifecycle(structlog.get_logger(), TraceBook())
        for previous, state in (
            (None, JobState.PENDING),
            (JobState.PENDING, JobState.DISPATCHED),
            (JobState.DISPATCHED, JobState.RUNNING),
            (JobState.RUNNING, JobState.POST_PROCESSING),
            (JobState.POST_PROCESSING, JobState.COMPLETED),
        ):
            write(moved(job_in(state), previous))
    finally:
        structlog.reset_defaults()
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["job pending", "job completed"]
