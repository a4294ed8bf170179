"""What a webhook says: the event with the job as it was when it happened, or a prediction for Replicate's receivers."""

from dataclasses import replace

from heliograph.billing.ledger import CHARGE_COMPONENT, charge_id
from heliograph.billing.usage_export import UsageFormat, openmeter_event, stripe_event
from heliograph.domain.billing_records import Account, LedgerLine
from heliograph.domain.job import Job, JobState
from heliograph.domain.money import Micros
from heliograph.domain.views import JobStatus, JobView, Phase
from heliograph.domain.webhooks import WebhookEvent, WebhookMessage
from heliograph.gateway.picture_links import absolute
from heliograph.gateway.predictions import prediction_json
from heliograph.gateway.timestamps import iso
from heliograph.gateway.wire import OutputUrl, job_json, to_json
from heliograph.storage.store import StoredJob
from heliograph.webhooks import as_of

BODY_BYTES_MAX = 20_000
_PROMPT_CHARS_CUT = 1_000
_PHASE_OF = {
    JobState.PENDING: Phase.WAITING,
    JobState.DISPATCHED: Phase.WAITING,
    JobState.RUNNING: Phase.GENERATING,
    JobState.POST_PROCESSING: Phase.FINISHING,
}


def body_of(
    message: WebhookMessage,
    stored: StoredJob,
    *,
    base_url: str,
    output_path: OutputUrl,
    usage_format: UsageFormat = UsageFormat.OPENMETER,
) -> bytes:
    """The body of one delivery; addresses in it are absolute and fresh.

    Where it would be longer than 20,000 bytes the prompts are cut to 1,000 characters.
    """
    if message.event is WebhookEvent.USAGE_RECORDED:
        return to_json(_usage(message, stored, usage_format))
    body = _body(message, stored, base_url, output_path)
    if len(body) <= BODY_BYTES_MAX:
        return body
    request = stored.job.request
    request = replace(
        request,
        raw_prompt=request.raw_prompt[:_PROMPT_CHARS_CUT],
        prompt=request.prompt[:_PROMPT_CHARS_CUT],
        negative_prompt=request.negative_prompt[:_PROMPT_CHARS_CUT],
    )
    return _body(message, replace(stored, job=replace(stored.job, request=request)), base_url, output_path)


def _usage(message: WebhookMessage, stored: StoredJob, usage_format: UsageFormat) -> dict[str, object]:
    """The job's charge, as the export of usage has it."""
    job = stored.job
    line = LedgerLine(
        posting_id=charge_id(job.job_id),
        line=1,
        job_id=job.job_id,
        tenant_id=job.tenant_id,
        account=Account.REVENUE,
        component=CHARGE_COMPONENT,
        amount_micros=stored.cost_micros,
        at_s=message.at_s,
        model_id=job.request.model_id,
        tier=job.tier,
        quantity=job.request.image_count,
    )
    if usage_format is UsageFormat.STRIPE:
        return stripe_event(line)
    return openmeter_event(line, at=iso(message.at_s))


def _body(message: WebhookMessage, stored: StoredJob, base_url: str, output_path: OutputUrl) -> bytes:
    job = as_of(stored.job, message.event)
    has_outputs = job.state is JobState.COMPLETED or message.event is WebhookEvent.PREDICTION_OUTPUT
    status = JobStatus(
        view=_view(job),
        # Further files come after the event; each try says the same.
        outputs=tuple(replace(output, variants=()) for output in stored.outputs) if has_outputs else (),
        cost_micros=stored.cost_micros if job.state.is_terminal else Micros(0),
    )
    if message.event.is_of_prediction:
        return to_json(prediction_json(status, base_url=base_url, output_url=output_path))
    return to_json(
        {
            "id": message.event_id,
            "object": "event",
            "type": message.event.value,
            "timestamp": iso(message.at_s),
            "created_at": int(message.at_s),
            "data": job_json(
                status, output_url=lambda output, is_thumbnail: absolute(base_url, output_path(output, is_thumbnail))
            ),
        }
    )


def _view(job: Job) -> JobView:
    """What can be said of a job in hindsight: nothing of its place in the queue."""
    steps = job.request.steps
    step = steps if job.state in (JobState.POST_PROCESSING, JobState.COMPLETED) else 0
    phase = _PHASE_OF.get(job.state, Phase.DONE)
    return JobView(job=job, phase=phase, queue_position=None, eta_s=None, step=step, steps=steps)
