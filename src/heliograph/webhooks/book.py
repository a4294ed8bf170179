"""Who wants to hear of a job, and the messages that follow from a move of it.

Messages are written in the transaction of the move. Their ids follow from the job, the event and the target, so a move
that is recorded again adds nothing, and the event keeps its id over every repetition.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from heliograph.domain.billing_records import NO_TENANT
from heliograph.domain.commands import RecordJob
from heliograph.domain.ids import EndpointId, MessageId, TenantId
from heliograph.domain.job import Job, JobState
from heliograph.domain.webhooks import WebhookEndpoint, WebhookEvent, WebhookMessage

_ENDINGS = {
    JobState.COMPLETED: WebhookEvent.JOB_COMPLETED,
    JobState.FAILED: WebhookEvent.JOB_FAILED,
    JobState.CANCELLED: WebhookEvent.JOB_CANCELLED,
    JobState.EXPIRED: WebhookEvent.JOB_EXPIRED,
}


class EndpointBook:
    """The endpoints of all tenants, in memory: every turn of the pipeline asks it. Owned by the event loop."""

    def __init__(self, endpoints: Iterable[WebhookEndpoint] = ()) -> None:
        self._by_tenant: dict[TenantId, dict[EndpointId, WebhookEndpoint]] = {}
        for endpoint in endpoints:
            self.put(endpoint)

    def put(self, endpoint: WebhookEndpoint) -> None:
        """Know this endpoint, or know it anew."""
        self._by_tenant.setdefault(endpoint.tenant_id, {})[endpoint.endpoint_id] = endpoint

    def drop(self, endpoint: WebhookEndpoint) -> None:
        """Forget the endpoint."""
        own = self._by_tenant.get(endpoint.tenant_id, {})
        own.pop(endpoint.endpoint_id, None)
        if not own:
            self._by_tenant.pop(endpoint.tenant_id, None)

    def of(self, tenant_id: TenantId) -> tuple[WebhookEndpoint, ...]:
        """A tenant's endpoints, oldest first."""
        return tuple(self._by_tenant.get(tenant_id, {}).values())

    def get(self, tenant_id: TenantId, endpoint_id: str) -> WebhookEndpoint | None:
        """One endpoint of a tenant, or None."""
        return self._by_tenant.get(tenant_id, {}).get(EndpointId(endpoint_id))

    def messages(self, record: RecordJob) -> tuple[WebhookMessage, ...]:
        """What has to be told because of this move, in the order in which it is to be heard.

        Endpoints of no tenant are the operator's: they hear of every charge, and of nothing else.
        """
        job = record.job
        own = self._by_tenant.get(job.tenant_id)
        operators = self._by_tenant.get(NO_TENANT) if record.charged_attempt is not None else None
        if own is None and job.webhook is None and operators is None:
            return ()
        events = events_of(job)
        at_s = job.timeline[-1].at_s
        made: list[WebhookMessage] = [
            replace(
                _message(job, WebhookEvent.USAGE_RECORDED, target=endpoint.endpoint_id, at_s=at_s), tenant_id=NO_TENANT
            )
            for endpoint in (operators or {}).values()
            if endpoint.disabled_at_s is None
        ]
        for endpoint in own.values() if own is not None else ():
            if endpoint.disabled_at_s is None:
                made += [
                    _message(job, event, target=endpoint.endpoint_id, at_s=at_s)
                    for event in events
                    if event in endpoint.events
                ]
        if job.webhook is not None:
            target = target_of(job.webhook.url)
            made += [_message(job, event, target=target, at_s=at_s) for event in events if event in job.webhook.events]
        return tuple(made)


def events_of(job: Job) -> tuple[WebhookEvent, ...]:
    """The events that happen as the job enters its present state."""
    entries = sum(moment.state is job.state for moment in job.timeline)
    match job.state:
        case JobState.PENDING if entries == 1:
            return (WebhookEvent.JOB_SUBMITTED,)
        case JobState.RUNNING if entries == 1:
            return (WebhookEvent.JOB_STARTED, WebhookEvent.PREDICTION_START)
        case JobState.POST_PROCESSING if entries == 1:
            return (WebhookEvent.PREDICTION_LOGS,)
        case JobState.COMPLETED:
            return (WebhookEvent.JOB_COMPLETED, WebhookEvent.PREDICTION_OUTPUT, WebhookEvent.PREDICTION_COMPLETED)
        case JobState.FAILED | JobState.CANCELLED | JobState.EXPIRED:
            return (_ENDINGS[job.state], WebhookEvent.PREDICTION_COMPLETED)
        case _:
            return ()


def target_of(url: str) -> str:
    """The name under which deliveries to a job's own webhook are counted: everything on one server together."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].partition('?')[0].lower()}"


def _message(job: Job, event: WebhookEvent, *, target: str, at_s: float) -> WebhookMessage:
    event_id = f"evt_{_digest(job.job_id, event)}"
    return WebhookMessage(
        message_id=MessageId(f"dlv_{_digest(event_id, target)}"),
        event_id=event_id,
        tenant_id=job.tenant_id,
        job_id=job.job_id,
        target=target,
        event=event,
        at_s=at_s,
        next_at_s=at_s,
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
