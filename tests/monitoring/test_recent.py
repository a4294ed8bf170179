"""Lifecycle events and looks become evidence."""

from dataclasses import replace

from heliograph.domain.commands import RecordJob
from heliograph.domain.events import LossReason
from heliograph.domain.ids import GpuId, ModelId, TenantId, WorkerId
from heliograph.domain.job import Attempt, AttemptOutcome, Job, JobState
from heliograph.domain.lifecycle import JobMoved, ReplicaLoaded, ReplicaLost, ReplicaStarted, StoreCommitted
from heliograph.domain.views import FleetView, Gpu, Market, QueueView
from heliograph.monitoring import Cause, Monitor
from heliograph.monitoring.evidence import Evidence
from heliograph.monitoring.recent import BIN_S, BINS, NAMES_MAX, OTHER, RECENT_BINS, Recent
from tests.builders import MODEL, a_job

NOBODY = QueueView(models={})


class Clock:
    def __init__(self) -> None:
        self.now_s = 10_000.0

    def __call__(self) -> float:
        return self.now_s


def a_fleet(*gpus: str, market: Market = Market.RESERVED) -> FleetView:
    return FleetView(
        gpus=tuple(Gpu(gpu_id=GpuId(name), gpu_class="H100", memory_bytes=1, zone="b", market=market) for name in gpus),
        replicas=(),
    )


def seen(recent: Recent) -> Evidence:
    evidence = recent.evidence()
    assert evidence is not None
    return evidence


def moved(job: Job, previous: JobState | None, cause: str = "x", attempt: Attempt | None = None) -> JobMoved:
    record = RecordJob(job=job, cause=cause, ended_attempt=attempt)
    return JobMoved(record=record, previous=previous, cost_micros=0)


def an_attempt(job: Job, gpu: str, gpu_s: float, outcome: AttemptOutcome = AttemptOutcome.SUCCEEDED) -> Attempt:
    return Attempt(
        job_id=job.job_id,
        number=1,
        worker_id=WorkerId("w0"),
        gpu_id=GpuId(gpu),
        gpu_class="H100",
        model_id=job.request.model_id,
        dispatched_at_s=0.0,
        ended_at_s=gpu_s,
        gpu_s=gpu_s,
        outcome=outcome,
    )


def test_a_job_is_counted_from_its_arrival_to_its_end() -> None:
    clock = Clock()
    recent = Recent(clock)
    recent.look(a_fleet("gpu0"), NOBODY)
    job = a_job("cat").submitted(now_s=clock.now_s)
    recent(moved(job, None))
    running = job.moved(JobState.DISPATCHED, now_s=10_001.0).moved(JobState.RUNNING, now_s=10_001.0)
    finishing = running.moved(JobState.POST_PROCESSING, now_s=10_003.0)
    recent(moved(finishing, JobState.RUNNING, attempt=an_attempt(job, "gpu0", 2.0)))
    recent.look(a_fleet("gpu0"), NOBODY)
    assert seen(recent).last.finishing == 1
    recent(moved(finishing.moved(JobState.COMPLETED, now_s=10_003.5), JobState.POST_PROCESSING))
    window = seen(recent).recent
    assert window.of("arrived", MODEL) == 1
    assert window.by("asked_by") == {job.tenant_id: 1}
    assert window.of("run_ended", MODEL) == 1
    assert window.of("run_failed", MODEL) == 0
    assert window.mean("finish_s", "finished") == 0.5


def test_time_is_compared_with_what_the_same_work_usually_takes() -> None:
    recent = Recent(Clock())
    recent.look(a_fleet("gpu0"), NOBODY)
    job = a_job("cat")
    for gpu, gpu_s in [("gpu0", 2.0)] * 4 + [("gpu1", 6.0)]:
        ended = replace(job, state=JobState.POST_PROCESSING)
        recent(moved(ended, JobState.RUNNING, attempt=an_attempt(job, gpu, gpu_s)))
    window = seen(recent).recent
    assert window.by("slow_ratio") == {"gpu0": 1.0, "gpu1": 3.0}
    assert window.by("slow_runs") == {"gpu0": 1, "gpu1": 1}


def test_a_run_that_went_on_from_a_checkpoint_says_nothing_of_speed() -> None:
    recent = Recent(Clock())
    recent.look(a_fleet("gpu0"), NOBODY)
    job = replace(a_job("cat"), state=JobState.POST_PROCESSING, steps_done=3)
    for _ in range(6):
        recent(moved(job, JobState.RUNNING, attempt=an_attempt(job, "gpu0", 2.0)))
    assert seen(recent).recent.by("slow_runs") == {}


def test_loads_and_losses_are_put_down_to_model_and_gpu() -> None:
    clock = Clock()
    recent = Recent(clock)
    recent.look(a_fleet("gpu0"), NOBODY)
    model = ModelId("sdxl")

    def lives(worker: str, reason: LossReason, *, loads: bool) -> None:
        clock.now_s += 3.0
        worker_id = WorkerId(worker)
        recent(ReplicaStarted(worker_id=worker_id, gpu_id=GpuId("gpu0"), model_id=model))
        if loads:
            recent(ReplicaLoaded(worker_id=worker_id, model_id=model, load_s=1.0, memory_bytes=1))
        recent(ReplicaLost(worker_id=worker_id, model_id=model, reason=reason, detail=""))

    lives("a", LossReason.LOAD_FAILED, loads=False)
    lives("b", LossReason.CRASHED, loads=True)
    lives("c", LossReason.STOPPED, loads=True)
    lives("d", LossReason.OUT_OF_MEMORY, loads=True)
    window = seen(recent).recent
    assert window.of("load_started", model) == 4
    assert window.of("load_done", model) == 3
    assert window.of("load_failed", model) == 1
    assert window.of("worker_lost_on", "gpu0") == 2
    assert window.of("memory_lost_on", model, "gpu0") == 1


def test_workers_of_a_gpu_that_end_together_ended_of_one_cause() -> None:
    clock = Clock()
    recent = Recent(clock)
    recent.look(a_fleet("gpu0", "gpu1"), NOBODY)
    for number, (gpu, wait_s) in enumerate([("gpu0", 0.0), ("gpu0", 0.5), ("gpu1", 0.0), ("gpu0", 60.0)]):
        clock.now_s += wait_s
        worker_id, model = WorkerId(f"w{number}"), ModelId("sdxl")
        recent(ReplicaStarted(worker_id=worker_id, gpu_id=GpuId(gpu), model_id=model))
        recent(ReplicaLoaded(worker_id=worker_id, model_id=model, load_s=1.0, memory_bytes=1))
        recent(ReplicaLost(worker_id=worker_id, model_id=model, reason=LossReason.CRASHED, detail=""))
    assert seen(recent).longer.by("worker_lost_on") == {"gpu0": 2, "gpu1": 1}


def test_what_is_old_moves_from_recent_to_before_and_is_forgotten_in_the_end() -> None:
    clock = Clock()
    recent = Recent(clock)
    recent.look(a_fleet("gpu0"), NOBODY)
    recent(StoreCommitted(duration_s=0.1, writes=1))
    assert seen(recent).recent.of("commits") == 1
    clock.now_s += (RECENT_BINS + 1) * BIN_S
    recent.look(a_fleet("gpu0"), NOBODY)
    assert (seen(recent).recent.of("commits"), seen(recent).before.of("commits")) == (0, 1)
    clock.now_s += BINS * BIN_S
    recent.look(a_fleet("gpu0"), NOBODY)
    assert seen(recent).before.of("commits") == 0


def test_a_clock_that_jumps_leaves_a_hole_that_counts_as_unobserved() -> None:
    clock = Clock()
    recent = Recent(clock)
    for passed_s in (0, 5, 5, 3_600, 5):
        clock.now_s += passed_s
        recent.look(a_fleet("gpu0"), NOBODY)
    evidence = seen(recent)
    assert len(evidence.looks) == 2, "looks before the hole say nothing of how things change"
    assert evidence.longer.seconds == 5
    clock.now_s -= 100.0
    recent.look(a_fleet("gpu0"), NOBODY)
    assert seen(recent).longer.seconds == 5


def test_gpus_that_vanish_are_counted_by_zone_and_market() -> None:
    recent = Recent(Clock())
    recent.look(a_fleet("gpu0", "gpu1", "gpu2", market=Market.SPOT), NOBODY)
    recent.look(a_fleet("gpu1", market=Market.SPOT), NOBODY)
    assert seen(recent).recent.of("gpu_gone", "b", "spot") == 2


def test_a_thousand_tenants_in_a_moment_are_counted_together_beyond_the_bound() -> None:
    recent = Recent(Clock())
    recent.look(a_fleet("gpu0"), NOBODY)
    for number in range(2 * NAMES_MAX):
        job = replace(a_job(f"j{number}"), tenant_id=TenantId(f"tenant {number}\n{{}}"))
        recent(moved(job.submitted(now_s=10_000.0), None))
    window = seen(recent).recent
    assert len(window.tally) <= NAMES_MAX + 2
    assert window.total("asked_by") == 2 * NAMES_MAX
    assert window.of("asked_by", OTHER) > NAMES_MAX


def test_a_finding_knows_since_when_it_is_made() -> None:
    clock = Clock()
    monitor = Monitor(clock)
    assert monitor.diagnosis().findings == ()
    assert monitor.diagnosis().summary == "Nothing was observed yet."
    monitor.look(a_fleet("gpu0"), NOBODY)
    assert "Too early to say" in monitor.diagnosis().summary
    for _ in range(2):
        found = monitor.diagnosis({"store": "disk full"})
        clock.now_s += 60.0
    ((finding, since_s),) = found.findings
    assert (finding.cause, finding.subject, since_s) == (Cause.PART_FAILING, "store", 10_000.0)
    clock.now_s += 3_600.0
    ((_, since_s),) = monitor.diagnosis({"store": "disk full"}).findings
    assert since_s == clock.now_s, "after an hour without it, it is a new one"
