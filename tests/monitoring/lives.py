"""Whole lives of jobs as lifecycle events."""

from collections.abc import Iterator

from heliograph.domain.commands import RecordJob
from heliograph.domain.ids import TenantId
from heliograph.domain.job import Attempt, Job, JobState, Moment
from heliograph.domain.lifecycle import JobMoved
from heliograph.domain.pictures import Output
from tests.builders import MODEL, a_job, a_request, an_attempt


class Clock:
    def __init__(self, now_s: float = 10_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def moved(
    job: Job,
    previous: JobState | None,
    *,
    cause: str = "x",
    attempt: Attempt | None = None,
    outputs: tuple[Output, ...] = (),
) -> JobMoved:
    record = RecordJob(job=job, cause=cause, ended_attempt=attempt, outputs=outputs)
    return JobMoved(record=record, previous=previous, cost_micros=0)


def a_life(
    name: str,
    *,
    at_s: float,
    queue_s: float = 1.0,
    run_s: float = 2.0,
    finish_s: float = 0.5,
    end: JobState = JobState.COMPLETED,
    outputs: tuple[Output, ...] = (),
    worker: str = "w0",
    prompt: str = "a cat",
    **fields: str,
) -> Iterator[JobMoved]:
    """From its submission at `at_s` to its end; `fields` are those of `a_job`."""
    request = a_request(prompt=prompt, model=fields.pop("model", MODEL))

    def job(state: JobState, *moments: tuple[JobState, float]) -> Job:
        timeline = tuple(Moment(state=each, at_s=when_s) for each, when_s in moments)
        tenant = TenantId(fields.get("tenant", "acme"))
        return a_job(
            name,
            request=request,
            state=state,
            created_at_s=at_s,
            timeline=timeline,
            tenant=tenant,
            tier=fields.get("tier", "standard"),
        )

    pending = (JobState.PENDING, at_s)
    dispatched = (JobState.DISPATCHED, at_s + queue_s)
    running = (JobState.RUNNING, at_s + queue_s)
    finishing = (JobState.POST_PROCESSING, at_s + queue_s + run_s)
    ended = (end, at_s + queue_s + run_s + finish_s)
    attempt = an_attempt(name, worker=worker, dispatched_at_s=dispatched[1], ended_at_s=finishing[1])
    yield moved(job(JobState.PENDING, pending), None)
    yield moved(job(JobState.DISPATCHED, pending, dispatched), JobState.PENDING)
    yield moved(job(JobState.RUNNING, pending, dispatched, running), JobState.DISPATCHED)
    yield moved(
        job(JobState.POST_PROCESSING, pending, dispatched, running, finishing), JobState.RUNNING, attempt=attempt
    )
    yield moved(job(end, pending, dispatched, running, finishing, ended), JobState.POST_PROCESSING, outputs=outputs)
