"""What a store keeps, with every field that could get lost filled in. Built on the builders every test shares."""

from heliograph.domain.accounts import Refusal
from heliograph.domain.billing_records import Account, LedgerLine
from heliograph.domain.ids import CaseId, EndpointId, JobId, MessageId, OutputId, TenantId
from heliograph.domain.job import Attempt, Failure, Job, JobState, Moment
from heliograph.domain.keeping import Deletion, DeletionReason
from heliograph.domain.moderation import Case, CaseAction, CaseDeed, CaseSubject, Finding, moved, new_case, opening
from heliograph.domain.money import Micros
from heliograph.domain.pictures import Alignment, Decision, FileFormat, Output, Variant, Verdict
from heliograph.domain.request import Adjustment, InputPicture, Inputs, OutputFormat
from heliograph.domain.webhooks import JobWebhook, WebhookEndpoint, WebhookEvent, WebhookMessage, WebhookTry
from heliograph.storage.case_writes import MoveCase, OpenCase
from heliograph.storage.keeping import Regeneration
from heliograph.storage.store import IdempotencyRecord, PostLedger
from tests import builders

HOOK = JobWebhook(url="https://example.com/hook?order=17", events=(WebhookEvent.JOB_COMPLETED, WebhookEvent.JOB_FAILED))


def a_job(
    sequence: int, *, tenant: str = "ada", state: JobState = JobState.PENDING, prompt: str = "a lighthouse at dusk"
) -> Job:
    request = builders.a_request(
        prompt=prompt,
        raw_prompt=prompt.upper(),
        negative_prompt="fog",
        guidance=3.5,
        style="oil",
        upscale=2,
        inputs=Inputs(
            images=(InputPicture(blob="ab.png", width_px=640, height_px=480),),
            mask=InputPicture(blob="cd.png", width_px=64, height_px=48),
            strength=0.6,
        ),
        output_format=OutputFormat.WEBP,
        output_quality=90,
        adjustments=(Adjustment(parameter="size", requested="250x190", used="256x192", reason="multiple of 64"),),
    )
    return builders.a_job(
        f"job-{sequence}",
        tenant=tenant,
        end_user="user-1",
        tier="pro",
        request=request,
        sequence=sequence,
        created_at_s=1000.25,
        deadline_at_s=2000.5,
        state=state,
        failures=2,
        reseeds=1,
        not_before_s=1002.5,
        timeline=(Moment(state=JobState.PENDING, at_s=1000.25), Moment(state=state, at_s=1001.125)),
        failure=Failure(code="worker_lost", message="Try again.") if state is JobState.FAILED else None,
        webhook=HOOK,
    )


def an_attempt(job: Job, number: int = 1, *, gpu_s: float = 1.5) -> Attempt:
    return builders.an_attempt(job.job_id, number=number, gpu_s=gpu_s)


FITS = Alignment(score=0.9375, missing=("windmill", "at dusk"))


def an_output(job: Job, index: int = 0, *, sha256: str = "a" * 64, alignment: Alignment | None = FITS) -> Output:
    return builders.an_output(
        f"{job.job_id}-{index}",
        job=job.job_id,
        tenant=job.tenant_id,
        index=index,
        sha256=sha256,
        verdict=Verdict(decision=Decision.FLAG, reasons=("blank", "wrong_size")),
        alignment=alignment,
    )


def a_variant(output: Output, name: str = "avif", *, blob: str = "cc1.avif") -> Variant:
    return Variant(
        output_id=output.output_id,
        job_id=output.job_id,
        name=name,
        blob=blob,
        file_format=FileFormat.AVIF,
        width_px=output.width_px,
        height_px=output.height_px,
        size_bytes=700,
        created_at_s=1003.5,
    )


def a_posting(job: Job, posting_id: str, amount_micros: int, *, off_by_micros: int = 0) -> PostLedger:
    """The tenant pays `amount_micros`; the posting is wrong by `off_by_micros`."""
    sides = ((Account.TENANT, -amount_micros), (Account.REVENUE, amount_micros + off_by_micros))
    return PostLedger(
        lines=tuple(
            LedgerLine(
                posting_id=posting_id,
                line=number,
                job_id=job.job_id,
                tenant_id=job.tenant_id,
                account=account,
                component="gpu_run",
                amount_micros=Micros(amount),
                at_s=1002.0,
            )
            for number, (account, amount) in enumerate(sides)
        )
    )


def a_record(job: Job, *, fingerprint: str = "f" * 64) -> IdempotencyRecord:
    return IdempotencyRecord(
        tenant_id=job.tenant_id,
        route="/v1/jobs",
        key="k1",
        fingerprint=fingerprint,
        job_id=job.job_id,
        created_at_s=1000.0,
    )


def a_refusal(refusal_id: str = "r1", *, category: str = "violence") -> Refusal:
    return Refusal(
        refusal_id=refusal_id,
        tenant_id=TenantId("ada"),
        stage="prompts",
        category=category,
        param="prompt",
        at_s=1.0,
    )


def a_case(case_id: str = "case_1", *, job: str | None = "job-1", now_s: float = 5.0, tenant: str = "ada") -> Case:
    return new_case(
        case_id=CaseId(case_id),
        subject=CaseSubject.PICTURE,
        tenant_id=TenantId(tenant),
        job_id=None if job is None else JobId(job),
        output_id=OutputId("job-1-0"),
        findings=(
            Finding(category="sexual", score=0.75, evidence=("nude", "bare")),
            Finding(category="hate", score=0.5),
        ),
        prompt="a nude, after Titian",
        negative_prompt="fog",
        now_s=now_s,
        is_holding=True,
    )


def an_action(case: Case) -> CaseAction:
    return moved(case, CaseDeed.UPHELD, actor="key_1", reason="plain to see", now_s=9.5)[1]


def opened(case: Case) -> OpenCase:
    return OpenCase(case=case, action=opening(case))


def decided(case: Case, deed: CaseDeed, *, now_s: float, actor: str = "key_1", reason: str = "") -> MoveCase:
    after, action = moved(case, deed, actor=actor, reason=reason, now_s=now_s)
    return MoveCase(case=after, action=action)


def an_endpoint(endpoint_id: str = "we_1", *, tenant: str = "ada", created_at_s: float = 1.0) -> WebhookEndpoint:
    return WebhookEndpoint(
        endpoint_id=EndpointId(endpoint_id),
        tenant_id=TenantId(tenant),
        url="https://example.com/hook",
        events=(WebhookEvent.JOB_COMPLETED,),
        description="orders",
        created_at_s=created_at_s,
        secret_generation=2,
        old_secret_until_s=9.5,
        disabled_at_s=3.5,
        disabled_reason="410 Gone",
    )


def a_message(
    name: str = "m1",
    *,
    job: str = "job-1",
    target: str = "we_1",
    tenant: str = "ada",
    event: WebhookEvent = WebhookEvent.JOB_COMPLETED,
    at_s: float = 10.0,
    next_at_s: float = 10.0,
) -> WebhookMessage:
    return WebhookMessage(
        message_id=MessageId(name),
        event_id=f"evt-{job}-{event}",
        tenant_id=TenantId(tenant),
        job_id=JobId(job),
        target=target,
        event=event,
        at_s=at_s,
        next_at_s=next_at_s,
    )


def a_try(message: str = "m1", number: int = 1, *, status: int | None = 500) -> WebhookTry:
    return WebhookTry(
        message_id=MessageId(message), number=number, at_s=11.0, duration_s=0.25, status=status, error="it broke"
    )


def a_deletion(output: Output, *, reason: DeletionReason = DeletionReason.TENANT, at_s: float = 50.0) -> Deletion:
    return Deletion(
        deletion_id=f"del_{output.output_id}",
        output_id=output.output_id,
        job_id=output.job_id,
        tenant_id=output.tenant_id,
        reason=reason,
        at_s=at_s,
        sha256=output.sha256,
        size_bytes=output.size_bytes,
        files=output.blobs,
    )


def a_regeneration(job: Job, *, at_s: float = 60.0) -> Regeneration:
    return Regeneration(
        job_id=JobId("job-2"), output_id=an_output(job).output_id, model_id=job.request.model_id, at_s=at_s
    )
