"""Builders of what a store keeps; each fills in what a test does not care about."""

from heliograph.domain.accounts import ApiKey, Refusal
from heliograph.domain.billing_records import Account, LedgerLine
from heliograph.domain.ids import GpuId, JobId, KeyId, ModelId, OutputId, TenantId, WorkerId
from heliograph.domain.job import Attempt, AttemptOutcome, Failure, Job, JobState, Moment
from heliograph.domain.money import Micros
from heliograph.domain.pictures import Decision, Output, Verdict
from heliograph.domain.request import Adjustment, GenerationRequest, OutputFormat, Quality
from heliograph.domain.tiers import Tier
from heliograph.storage.store import IdempotencyRecord, PostLedger


def a_job(
    sequence: int, *, tenant: str = "ada", state: JobState = JobState.PENDING, prompt: str = "a lighthouse at dusk"
) -> Job:
    request = GenerationRequest(
        model_id=ModelId("heliograph-tiny"),
        prompt=prompt,
        raw_prompt=prompt,
        negative_prompt="fog",
        width_px=256,
        height_px=192,
        steps=20,
        guidance=3.5,
        seed=7,
        image_count=2,
        quality=Quality.STANDARD,
        style="oil",
        output_format=OutputFormat.WEBP,
        output_quality=90,
        prompt_tokens=6,
        adjustments=(Adjustment(parameter="size", requested="250x190", used="256x192", reason="multiple of 64"),),
    )
    return Job(
        job_id=JobId(f"job-{sequence}"),
        tenant_id=TenantId(tenant),
        end_user="user-1",
        tier=Tier.PRO,
        request=request,
        sequence=sequence,
        created_at_s=1000.25,
        deadline_at_s=2000.5,
        state=state,
        timeline=(Moment(state=JobState.PENDING, at_s=1000.25), Moment(state=state, at_s=1001.125)),
        failure=Failure(code="worker_lost", message="Try again.") if state is JobState.FAILED else None,
    )


def an_attempt(job: Job, number: int = 1, *, gpu_s: float = 1.5) -> Attempt:
    return Attempt(
        job_id=job.job_id,
        number=number,
        worker_id=WorkerId("w0"),
        gpu_id=GpuId("cpu-0"),
        gpu_class="cpu",
        model_id=job.request.model_id,
        dispatched_at_s=1001.0,
        ended_at_s=1001.0 + gpu_s,
        gpu_s=gpu_s,
        outcome=AttemptOutcome.SUCCEEDED,
    )


def an_output(job: Job, index: int = 0, *, blob: str = "aa.webp") -> Output:
    return Output(
        output_id=OutputId(f"{job.job_id}-{index}"),
        job_id=job.job_id,
        tenant_id=job.tenant_id,
        index=index,
        blob=blob,
        sha256="a" * 64,
        size_bytes=1234,
        output_format=OutputFormat.WEBP,
        width_px=256,
        height_px=192,
        seed=7 + index,
        thumbnail_blob="bb.webp",
        thumbhash="1QcSHQRnh493V4dIh4eXh1h4kJUI",
        verdict=Verdict(decision=Decision.FLAG, reasons=("blank",)),
        created_at_s=1003.0,
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


def a_record(job: Job, *, key: str = "k1", fingerprint: str = "f" * 64) -> IdempotencyRecord:
    return IdempotencyRecord(
        tenant_id=job.tenant_id,
        route="/v1/jobs",
        key=key,
        fingerprint=fingerprint,
        job_id=job.job_id,
        created_at_s=1000.0,
    )


def an_api_key(key_id: str, *, created_at_s: float = 1.0, revoked_at_s: float | None = None) -> ApiKey:
    return ApiKey(
        key_id=KeyId(key_id),
        secret_sha256="c" * 64,
        hint="hg_abc",
        tenant_id=TenantId("ada"),
        tier=Tier.PRO,
        name="laptop",
        created_at_s=created_at_s,
        revoked_at_s=revoked_at_s,
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
