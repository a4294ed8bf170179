"""Quantiles within one per cent of exact, told apart, within windows; and the slowest jobs with their lives."""

import random

import pytest

from heliograph.domain.events import LossReason
from heliograph.domain.ids import GpuId, ModelId, WorkerId
from heliograph.domain.job import JobState
from heliograph.domain.lifecycle import ReplicaLoaded, ReplicaLost, ReplicaStarted
from heliograph.monitoring import Dimension, Latency, Stage
from heliograph.monitoring.latency import NAMES_MAX, OTHER
from tests.builders import MODEL, a_job
from tests.monitoring.lives import Clock, a_life, moved

HOUR_S = 3_600.0


def live(latency: Latency, clock: Clock, name: str, **fields: object) -> None:
    at_s = clock.now_s
    for event in a_life(name, at_s=at_s, **fields):  # type: ignore[arg-type]
        latency(event)


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("spread", [0.1, 1.0, 2.5])
def test_quantiles_are_within_one_per_cent_of_the_exact_ones(share: float, spread: float) -> None:
    clock, dice = Clock(), random.Random(f"{share}/{spread}")
    latency = Latency(clock)
    runs = [dice.lognormvariate(1.0, spread) for _ in range(5_000)]
    for number, run_s in enumerate(runs):
        live(latency, clock, f"job{number}", run_s=run_s)
    (everybody,) = latency.groups(Dimension.ALL, HOUR_S)
    exact = sorted(runs)[-(-round(share * len(runs) * 1000) // 1000) - 1]
    assert everybody.stages[Stage.INFERENCE].quantile(share) == pytest.approx(exact, rel=0.01)
    totals = sorted(run + 1.5 for run in runs)
    assert everybody.stages[Stage.TOTAL].quantile(share) == pytest.approx(
        totals[round(share * len(runs)) - 1], rel=0.01
    )


def test_jobs_are_told_apart_and_the_busiest_comes_first() -> None:
    clock = Clock()
    latency = Latency(clock)
    for number, (model, tier, tenant) in enumerate([("a", "free", "x"), ("b", "pro", "x"), ("b", "pro", "y")]):
        live(latency, clock, f"job{number}", model=model, tier=tier, tenant=tenant)
    found = {by: [group.name for group in latency.groups(by, HOUR_S)] for by in Dimension}
    assert found == {
        Dimension.ALL: ["all"],
        Dimension.MODEL: ["b", "a"],
        Dimension.TIER: ["pro", "free"],
        Dimension.TENANT: ["x", "y"],
        Dimension.REGION: ["unnamed"],
    }


def test_stages_add_up_to_the_whole() -> None:
    clock = Clock()
    latency = Latency(clock)
    live(latency, clock, "cat", queue_s=4.0, run_s=3.0, finish_s=2.0)
    (job,) = latency.slowest(5)
    assert job.stages == {
        Stage.TOTAL: 9.0,
        Stage.INGEST: 0.0,
        Stage.QUEUE: 4.0,
        Stage.LOAD: 0.0,
        Stage.DISPATCH: 0.0,
        Stage.INFERENCE: 3.0,
        Stage.FINISHING: 2.0,
    }


def test_what_a_job_waits_for_its_model_to_load_is_part_of_its_waiting() -> None:
    clock = Clock()
    latency = Latency(clock)
    began_s = clock.now_s
    clock.now_s = began_s + 1.0
    latency(ReplicaStarted(worker_id=WorkerId("w0"), gpu_id=GpuId("g"), model_id=ModelId(MODEL)))
    clock.now_s = began_s + 7.0
    latency(ReplicaLoaded(worker_id=WorkerId("w0"), model_id=ModelId(MODEL), load_s=6.0, memory_bytes=1))
    clock.now_s = began_s
    live(latency, clock, "waits", queue_s=7.5)
    live(latency, clock, "elsewhere", queue_s=7.5, worker="w1")
    loads = {job.job_id: job.stages[Stage.LOAD] for job in latency.slowest(5)}
    assert loads == {"waits": 6.0, "elsewhere": 0.0}
    latency(ReplicaLost(worker_id=WorkerId("w0"), model_id=ModelId(MODEL), reason=LossReason.STOPPED, detail=""))
    live(latency, clock, "later", queue_s=7.5)
    assert {job.job_id: job.stages[Stage.LOAD] for job in latency.slowest(5)}["later"] == 0.0


def test_what_is_past_its_window_is_gone() -> None:
    clock = Clock()
    latency = Latency(clock)
    live(latency, clock, "old")
    clock.now_s += 1.5 * HOUR_S
    live(latency, clock, "new")
    assert [group.stages[Stage.TOTAL].count for group in latency.groups(Dimension.ALL, HOUR_S)] == [1]
    assert [group.stages[Stage.TOTAL].count for group in latency.groups(Dimension.ALL, 24 * HOUR_S)] == [2]
    assert [job.job_id for job in latency.slowest(5)] == ["new"]
    clock.now_s += 30 * HOUR_S
    assert latency.groups(Dimension.ALL, 24 * HOUR_S) == ()


def test_the_last_hour_has_a_history() -> None:
    clock = Clock(9_000.0)
    latency = Latency(clock)
    for run_s in (1.0, 2.0, 30.0):
        live(latency, clock, f"job{run_s}", run_s=run_s)
        clock.now_s += 300.0
    assert [(at_s, sketch.count) for at_s, sketch in latency.history()] == [(9_000, 1), (9_300, 1), (9_600, 1)]
    assert latency.history()[2][1].quantile(0.95) == pytest.approx(31.5, rel=0.01)


def test_a_clock_that_leaps_ahead_forgets_and_breaks_nothing() -> None:
    clock = Clock()
    latency = Latency(clock)
    live(latency, clock, "before")
    clock.now_s += 10 * 365 * 24 * HOUR_S
    live(latency, clock, "after")
    assert [job.job_id for job in latency.slowest(5)] == ["after"]


def test_names_are_bounded() -> None:
    clock = Clock()
    latency = Latency(clock)
    for number in range(NAMES_MAX + 50):
        live(latency, clock, f"job{number}", tenant=f"tenant{number}")
    groups = latency.groups(Dimension.TENANT, HOUR_S)
    assert len(groups) == NAMES_MAX + 1
    assert (groups[0].name, groups[0].stages[Stage.TOTAL].count) == (OTHER, 50)


def test_the_slowest_come_with_their_lives() -> None:
    clock = Clock()
    latency = Latency(clock)
    for number in range(40):
        live(latency, clock, f"job{number}", run_s=float(number))
    first, second, *_ = latency.slowest(10)
    assert (first.job_id, second.job_id) == ("job39", "job38")
    assert [moment.state for moment in first.timeline] == [
        JobState.PENDING,
        JobState.DISPATCHED,
        JobState.RUNNING,
        JobState.POST_PROCESSING,
        JobState.COMPLETED,
    ]
    assert [(stay.gpu_id, stay.seconds, stay.outcome) for stay in first.stays] == [("gpu0", 39.0, "succeeded")]


def test_a_job_that_went_back_says_why_and_one_that_failed_is_not_among_them() -> None:
    clock = Clock()
    latency = Latency(clock)
    events = list(a_life("back", at_s=clock.now_s))
    back = moved(a_job("back"), JobState.RUNNING, cause="worker_lost")
    for event in [*events[:3], back, *events[3:]]:
        latency(event)
    live(latency, clock, "bad", end=JobState.FAILED)
    (job,) = latency.slowest(5)
    assert (job.job_id, job.causes) == ("back", ("worker_lost",))
