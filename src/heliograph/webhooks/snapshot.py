"""A job as it was when an event happened.

Messages are delivered later than that, perhaps a day, and repeatedly. What they say is made anew for each try from the
job as stored, so that links in it are fresh; the timeline says how the job stood then, so that each try says the same.
"""

from dataclasses import replace

from heliograph.domain.job import Job, JobState
from heliograph.domain.webhooks import WebhookEvent

_STATE_AT = {
    WebhookEvent.JOB_SUBMITTED: JobState.PENDING,
    WebhookEvent.JOB_STARTED: JobState.RUNNING,
    WebhookEvent.PREDICTION_START: JobState.RUNNING,
    WebhookEvent.PREDICTION_LOGS: JobState.POST_PROCESSING,
}


def as_of(job: Job, event: WebhookEvent) -> Job:
    """`job` when `event` happened. Of a prediction's `output` that is the moment before its end."""
    if event is WebhookEvent.PREDICTION_OUTPUT:
        return _cut(job, len(job.timeline) - 1)
    state = _STATE_AT.get(event)
    if state is None:
        return job
    entered = [number for number, moment in enumerate(job.timeline, start=1) if moment.state is state]
    return _cut(job, entered[0]) if entered else job


def _cut(job: Job, moments: int) -> Job:
    timeline = job.timeline[:moments]
    attempt = sum(moment.state is JobState.DISPATCHED for moment in timeline)
    return replace(job, timeline=timeline, state=timeline[-1].state, attempt=attempt, failure=None)
