"""Webhooks: who wants to hear of what, and the messages on their way to them.

A *message* is one event for one target; it is written in the transaction that made the event true, and delivered later,
at least once. Messages of one job to one target form a *lane*: they are delivered in order, one at a time.
"""

from dataclasses import dataclass
from enum import StrEnum

from heliograph.domain.ids import EndpointId, JobId, MessageId, TenantId


class WebhookEvent(StrEnum):
    """What can be heard of. `job.*` are ours; the rest are the events of Replicate's predictions, and their names."""

    JOB_SUBMITTED = "job.submitted"
    """The job is accepted and durable."""
    JOB_STARTED = "job.started"
    """A worker began it for the first time."""
    JOB_COMPLETED = "job.completed"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    JOB_EXPIRED = "job.expired"
    PREDICTION_START = "start"
    PREDICTION_OUTPUT = "output"
    PREDICTION_LOGS = "logs"
    PREDICTION_COMPLETED = "completed"
    USAGE_RECORDED = "usage.recorded"
    """A tenant was charged; for the operator's billing system alone."""

    @property
    def is_of_prediction(self) -> bool:
        """It carries a prediction instead of a job."""
        return "." not in self.value


JOB_EVENTS = tuple(event for event in WebhookEvent if event.value.startswith("job."))
PREDICTION_EVENTS = tuple(event for event in WebhookEvent if event.is_of_prediction)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWebhook:
    """Where news of one job go: given with the job, besides the endpoints of its tenant."""

    url: str
    events: tuple[WebhookEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoint:
    """Where news of all jobs of a tenant go.

    Its secret is not here: it is derived from the installation's key, the id and `secret_generation`, which counts from
    1 and goes up with each rotation; until `old_secret_until_s` the generation before signs as well. A disabled
    endpoint gets nothing; `disabled_reason` says why.
    """

    endpoint_id: EndpointId
    tenant_id: TenantId
    url: str
    events: tuple[WebhookEvent, ...]
    description: str
    created_at_s: float
    secret_generation: int = 1
    old_secret_until_s: float = 0.0
    disabled_at_s: float | None = None
    disabled_reason: str | None = None


class MessageState(StrEnum):
    """Where a message is."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookMessage:
    """One event for one target.

    `event_id` is the same at every target and every try: receivers tell repetitions by it. `target` is the id of an
    endpoint, or the scheme, host and port of the job's own webhook. `tries` counts the tries ever made, `failures`
    those that failed since the message was made or replayed last. It is due at `next_at_s`. Times are seconds since
    the epoch.
    """

    message_id: MessageId
    event_id: str
    tenant_id: TenantId
    job_id: JobId
    target: str
    event: WebhookEvent
    at_s: float
    next_at_s: float
    state: MessageState = MessageState.WAITING
    tries: int = 0
    failures: int = 0
    ended_at_s: float | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTry:
    """One attempt to deliver a message. `status` is the HTTP status, None when there was no answer; then `error` says
    why."""

    message_id: MessageId
    number: int
    at_s: float
    duration_s: float
    status: int | None
    error: str | None
