"""Domain objects as table rows and back.

What a query selects, joins or orders by is a column; what is only carried along is in one JSON column, `data`. A field
is in exactly one of the two. Reading is tolerant, so that releases can be mixed during an upgrade or a rollback: JSON
fields that a newer release added are ignored, and a field missing from an older row gets the default written here.

JSON is ASCII with escapes, so any text survives, lone surrogates and NUL included; floats come back bit for bit.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

from heliograph.domain.accounts import ApiKey, Refusal, Role
from heliograph.domain.billing_records import Account, LedgerLine, LedgerTotal
from heliograph.domain.ids import EndpointId, GpuId, JobId, KeyId, MessageId, ModelId, OutputId, TenantId, WorkerId
from heliograph.domain.job import Attempt, AttemptOutcome, Failure, Job, JobState, Moment
from heliograph.domain.making import EngineFacts, Making
from heliograph.domain.money import Micros
from heliograph.domain.pictures import (
    Alignment,
    Availability,
    Decision,
    FileFormat,
    Output,
    ParametersMode,
    Safety,
    Technical,
    Variant,
    Verdict,
)
from heliograph.domain.request import Adjustment, GenerationRequest, InputPicture, Inputs, OutputFormat, Quality
from heliograph.domain.tiers import Tier
from heliograph.domain.webhooks import (
    JobWebhook,
    MessageState,
    WebhookEndpoint,
    WebhookEvent,
    WebhookMessage,
    WebhookTry,
)
from heliograph.storage.store import IdempotencyRecord

Parameters = dict[str, str | int | float | None]
"""A row to write, by column name: the named parameters of one query in `queries.py`."""


class Row(Protocol):
    """A row as a database driver returns it."""

    def __getitem__(self, column: str, /) -> Any:  # noqa: ANN401 -- the column decides
        """The value in `column`."""
        ...


_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().decode

# A table is four times as fast as asking the class, and a restart reads every open job.
_TIERS = {tier.value: tier for tier in Tier}
_STATES = {state.value: state for state in JobState}
_QUALITIES = {quality.value: quality for quality in Quality}
_FORMATS = {output_format.value: output_format for output_format in OutputFormat}
_EVENTS = {event.value: event for event in WebhookEvent}


def row_of_job(job: Job) -> Parameters:
    """A row of `jobs`."""
    request = job.request
    data: dict[str, object] = {
        "end_user": job.end_user,
        "deadline_at_s": job.deadline_at_s,
        "failures": job.failures,
        "reseeds": job.reseeds,
        "not_before_s": job.not_before_s,
        "checkpoint": job.checkpoint,
        "steps_done": job.steps_done,
        "setback": job.setback and {"code": job.setback.code, "message": job.setback.message},
        "spares_memory": job.spares_memory,
        "timeline": [(moment.state, moment.at_s) for moment in job.timeline],
        "failure": job.failure and {"code": job.failure.code, "message": job.failure.message},
        "on_review": job.on_review,
        "webhook": job.webhook and {"url": job.webhook.url, "events": job.webhook.events},
        "remixed_from": job.remixed_from,
        "reproduces": job.reproduces,
    }
    wanted: dict[str, object] = {
        "raw_prompt": None if request.raw_prompt == request.prompt else request.raw_prompt,
        "negative_prompt": request.negative_prompt,
        "frames": request.frames,
        "frames_per_second": request.frames_per_second,
        "upscale": request.upscale,
        "quality": request.quality,
        "style": request.style,
        "output_format": request.output_format,
        "output_quality": request.output_quality,
        "prompt_tokens": request.prompt_tokens,
        "adjustments": [(item.parameter, item.requested, item.used, item.reason) for item in request.adjustments],
        "inputs": request.inputs and _data_of_inputs(request.inputs),
    }
    data = _said(data, _JOB_DEFAULTS)
    data["request"] = {
        "prompt": request.prompt,
        "width_px": request.width_px,
        "height_px": request.height_px,
        "steps": request.steps,
        "guidance": request.guidance,
        "seed": request.seed,
        "image_count": request.image_count,
        **_said(wanted, _REQUEST_DEFAULTS),
    }
    return {
        "sequence": job.sequence,
        "job_id": job.job_id,
        "tenant_id": job.tenant_id,
        "tier": job.tier.value,
        "model_id": request.model_id,
        "state": job.state.value,
        "attempt": job.attempt,
        "created_at_s": job.created_at_s,
        "finished_at_s": job.finished_at_s,
        "data": _encode(data),
    }


_JOB_DEFAULTS: dict[str, object] = {
    "end_user": None,
    "deadline_at_s": None,
    "failures": 0,
    "reseeds": 0,
    "not_before_s": 0.0,
    "checkpoint": None,
    "steps_done": 0,
    "setback": None,
    "spares_memory": False,
    "timeline": [],
    "failure": None,
    "webhook": None,
    "on_review": False,
    "remixed_from": None,
    "reproduces": None,
}
_REQUEST_DEFAULTS: dict[str, object] = {
    "raw_prompt": None,
    "negative_prompt": "",
    "frames": 1,
    "frames_per_second": None,
    "upscale": 1,
    "quality": Quality.STANDARD,
    "style": None,
    "output_format": OutputFormat.PNG,
    "output_quality": None,
    "prompt_tokens": 0,
    "adjustments": [],
    "inputs": None,
}
"""What `job_of_row` takes for a field that is not there. Most are not: that halves a row and the time to read it."""


def _data_of_inputs(inputs: Inputs) -> dict[str, object]:
    images = [(each.blob, each.width_px, each.height_px) for each in inputs.images]
    mask = inputs.mask and (inputs.mask.blob, inputs.mask.width_px, inputs.mask.height_px)
    return {"images": images, "mask": mask, "strength": inputs.strength}


def _inputs(data: dict[str, Any] | None) -> Inputs | None:
    if data is None:
        return None
    images = [InputPicture(blob=blob, width_px=width, height_px=height) for blob, width, height, *_ in data["images"]]
    mask = data.get("mask")
    return Inputs(
        images=tuple(images),
        mask=InputPicture(blob=mask[0], width_px=mask[1], height_px=mask[2]) if mask else None,
        strength=data.get("strength"),
    )


def _said(fields: dict[str, object], defaults: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value != defaults[name]}


def job_of_row(row: Row) -> Job:
    """The job in a row of `jobs`."""
    data: dict[str, Any] = _decode(row["data"])
    has = data.get
    webhook = has("webhook")
    return Job(
        job_id=row["job_id"],
        tenant_id=row["tenant_id"],
        end_user=has("end_user"),
        tier=_TIERS[row["tier"]],
        request=_request(data["request"], model_id=row["model_id"]),
        sequence=row["sequence"],
        created_at_s=row["created_at_s"],
        deadline_at_s=has("deadline_at_s"),
        state=_STATES[row["state"]],
        attempt=row["attempt"],
        failures=has("failures", 0),
        reseeds=has("reseeds", 0),
        not_before_s=has("not_before_s", 0.0),
        checkpoint=has("checkpoint"),
        steps_done=has("steps_done", 0),
        setback=_failure(has("setback")),
        spares_memory=has("spares_memory", False),
        timeline=tuple([Moment(state=_STATES[state], at_s=at_s) for state, at_s, *_ in has("timeline", ())]),
        failure=_failure(has("failure")),
        webhook=JobWebhook(url=webhook["url"], events=_events(webhook["events"])) if webhook else None,
        on_review=has("on_review", False),
        remixed_from=has("remixed_from"),
        reproduces=has("reproduces"),
    )


def _events(names: list[str]) -> tuple[WebhookEvent, ...]:
    """Those of them that this release knows."""
    return tuple(_EVENTS[name] for name in names if name in _EVENTS)


def _failure(data: dict[str, Any] | None) -> Failure | None:
    return Failure(code=data["code"], message=data["message"]) if data else None


def _request(data: dict[str, Any], *, model_id: ModelId) -> GenerationRequest:
    has = data.get
    return GenerationRequest(
        model_id=model_id,
        prompt=data["prompt"],
        raw_prompt=has("raw_prompt", data["prompt"]),
        negative_prompt=has("negative_prompt", ""),
        width_px=data["width_px"],
        height_px=data["height_px"],
        steps=data["steps"],
        guidance=data["guidance"],
        seed=data["seed"],
        image_count=data["image_count"],
        frames=has("frames", 1),
        frames_per_second=has("frames_per_second"),
        upscale=has("upscale", 1),
        quality=_QUALITIES[has("quality", "standard")],
        style=has("style"),
        output_format=_FORMATS[has("output_format", "png")],
        output_quality=has("output_quality"),
        prompt_tokens=has("prompt_tokens", 0),
        adjustments=tuple(
            [
                Adjustment(parameter=parameter, requested=requested, used=used, reason=reason)
                for parameter, requested, used, reason, *_ in has("adjustments", ())
            ]
        ),
        inputs=_inputs(has("inputs")),
    )


def row_of_attempt(attempt: Attempt) -> Parameters:
    """A row of `attempts`."""
    return {
        "job_id": attempt.job_id,
        "number": attempt.number,
        "worker_id": attempt.worker_id,
        "gpu_id": attempt.gpu_id,
        "gpu_class": attempt.gpu_class,
        "model_id": attempt.model_id,
        "dispatched_at_s": attempt.dispatched_at_s,
        "ended_at_s": attempt.ended_at_s,
        "gpu_s": attempt.gpu_s,
        "outcome": attempt.outcome.value,
        "market": attempt.market,
        "zone": attempt.zone,
    }


def attempt_of_row(row: Row) -> Attempt:
    """The attempt in a row of `attempts`."""
    return Attempt(
        job_id=JobId(row["job_id"]),
        number=row["number"],
        worker_id=WorkerId(row["worker_id"]),
        gpu_id=GpuId(row["gpu_id"]),
        gpu_class=row["gpu_class"],
        model_id=ModelId(row["model_id"]),
        dispatched_at_s=row["dispatched_at_s"],
        ended_at_s=row["ended_at_s"],
        gpu_s=row["gpu_s"],
        outcome=AttemptOutcome(row["outcome"]),
        market=row["market"],
        zone=row["zone"],
    )


def row_of_output(output: Output) -> Parameters:
    """A row of `outputs`. The picture's index is `position` there, because INDEX is a word of SQL."""
    data = {
        "sha256": output.sha256,
        "size_bytes": output.size_bytes,
        "output_format": output.output_format,
        "width_px": output.width_px,
        "height_px": output.height_px,
        "seed": output.seed,
        "frames": output.frames,
        "duration_s": output.duration_s,
        "thumbhash": output.thumbhash,
        "verdict": _data_of_verdict(output.verdict),
        **({} if output.thumbnail_bytes == 0 else {"thumbnail_bytes": output.thumbnail_bytes}),
        "parameters": output.parameters,
        **({"signed": True} if output.is_signed else {}),
        **({} if output.pixels_sha256 is None else {"pixels_sha256": output.pixels_sha256}),
        **({} if output.alignment is None else {"missing": output.alignment.missing}),
        **({} if output.technical is None else {"technical": asdict(output.technical)}),
        **({} if output.making is None else {"making": asdict(output.making)}),
        **({} if output.safety is None else {"safety": asdict(output.safety)}),
    }
    return {
        "output_id": output.output_id,
        "job_id": output.job_id,
        "tenant_id": output.tenant_id,
        "position": output.index,
        "created_at_s": output.created_at_s,
        "alignment": None if output.alignment is None else output.alignment.score,
        "blob": output.blob,
        "thumbnail_blob": output.thumbnail_blob,
        "perceptual_hash": output.perceptual_hash,
        "availability": output.availability.value,
        "data": _encode(data),
    }


def row_of_variant(variant: Variant) -> Parameters:
    """A row of `output_variants`."""
    data = {
        "format": variant.file_format,
        "width_px": variant.width_px,
        "height_px": variant.height_px,
    }
    return {
        "output_id": variant.output_id,
        "job_id": variant.job_id,
        "name": variant.name,
        "blob": variant.blob,
        "created_at_s": variant.created_at_s,
        "size_bytes": variant.size_bytes,
        "data": _encode(data),
    }


def variant_of_row(row: Row) -> Variant:
    """The variant in a row of `output_variants`."""
    data: dict[str, Any] = json.loads(row["data"])
    return Variant(
        output_id=OutputId(row["output_id"]),
        job_id=JobId(row["job_id"]),
        name=row["name"],
        blob=row["blob"],
        file_format=FileFormat(data["format"]),
        width_px=data["width_px"],
        height_px=data["height_px"],
        size_bytes=row["size_bytes"],
        created_at_s=row["created_at_s"],
    )


def output_of_row(row: Row) -> Output:
    """The picture in a row of `outputs`, without its variants."""
    data: dict[str, Any] = json.loads(row["data"])
    verdict: dict[str, Any] = data["verdict"]
    score: float | None = row["alignment"]
    return Output(
        output_id=OutputId(row["output_id"]),
        job_id=JobId(row["job_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        index=row["position"],
        blob=row["blob"],
        sha256=data["sha256"],
        size_bytes=data["size_bytes"],
        output_format=OutputFormat(data["output_format"]),
        width_px=data["width_px"],
        height_px=data["height_px"],
        seed=data["seed"],
        frames=data.get("frames", 1),
        duration_s=data.get("duration_s"),
        thumbnail_blob=row["thumbnail_blob"],
        thumbhash=data.get("thumbhash", ""),
        verdict=Verdict(
            decision=Decision(verdict["decision"]),
            reasons=tuple(verdict.get("reasons", ())),
            safety=_safety(verdict.get("safety")),
        ),
        created_at_s=row["created_at_s"],
        alignment=None if score is None else Alignment(score=score, missing=tuple(data.get("missing", ()))),
        technical=None if "technical" not in data else Technical(**data["technical"]),
        thumbnail_bytes=data.get("thumbnail_bytes", 0),
        pixels_sha256=data.get("pixels_sha256"),
        perceptual_hash=row["perceptual_hash"],
        parameters=ParametersMode(data.get("parameters", "full")),
        is_signed=data.get("signed", False),
        safety=_safety(data.get("safety")),
        making=_making(data.get("making")),
        availability=Availability(row["availability"]),
    )


def _data_of_verdict(verdict: Verdict) -> dict[str, object]:
    data: dict[str, object] = {"decision": verdict.decision, "reasons": verdict.reasons}
    return data if verdict.safety is None else data | {"safety": asdict(verdict.safety)}


def _making(data: dict[str, Any] | None) -> Making | None:
    if data is None:
        return None
    facts: dict[str, Any] = dict(data["facts"])
    libraries = tuple((str(name), str(version)) for name, version in facts.pop("libraries"))
    return Making(
        facts=EngineFacts(libraries=libraries, **facts),
        software=data["software"],
        gpu_class=data["gpu_class"],
        batch=data["batch"],
    )


def _safety(data: dict[str, Any] | None) -> Safety | None:
    if data is None:
        return None
    return Safety(score=data["score"], decision=Decision(data["decision"]), judge=data["judge"])


def row_of_ledger_line(line: LedgerLine) -> Parameters:
    """A row of `ledger_lines`."""
    return {
        "posting_id": line.posting_id,
        "line": line.line,
        "job_id": line.job_id,
        "tenant_id": line.tenant_id,
        "account": line.account.value,
        "component": line.component,
        "amount_micros": line.amount_micros,
        "at_s": line.at_s,
        "model_id": line.model_id,
        "tier": line.tier and line.tier.value,
        "gpu": line.gpu,
        "quantity": line.quantity,
    }


def row_of_posting(lines: Sequence[LedgerLine]) -> Parameters:
    """The rows of one posting as the parameters of `queries.post_ledger`: each line's with its number at the end."""
    parameters: Parameters = {"posting_id": lines[0].posting_id}
    for number, line in enumerate(lines):
        for name, value in row_of_ledger_line(line).items():
            if name != "posting_id":
                parameters[f"{name}_{number}"] = value
    return parameters


def ledger_line_of_row(row: Row) -> LedgerLine:
    """The line in a row of `ledger_lines`."""
    return LedgerLine(
        posting_id=row["posting_id"],
        line=row["line"],
        job_id=JobId(row["job_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        account=Account(row["account"]),
        component=row["component"],
        amount_micros=Micros(row["amount_micros"]),
        at_s=row["at_s"],
        model_id=row["model_id"] and ModelId(row["model_id"]),
        tier=row["tier"] and Tier(row["tier"]),
        gpu=row["gpu"],
        quantity=row["quantity"],
    )


def ledger_total_of_row(row: Row) -> LedgerTotal:
    """The total in a row of `queries.LEDGER_TOTALS`."""
    return LedgerTotal(
        account=Account(row["account"]),
        component=row["component"],
        tenant_id=TenantId(row["tenant_id"]),
        model_id=row["model_id"] and ModelId(row["model_id"]),
        tier=row["tier"] and Tier(row["tier"]),
        gpu=row["gpu"],
        amount_micros=Micros(row["amount_micros"]),
        quantity=row["quantity"],
        lines=row["line_count"],
    )


def row_of_idempotency(record: IdempotencyRecord) -> Parameters:
    """A row of `idempotency_keys`."""
    return {
        "tenant_id": record.tenant_id,
        "route": record.route,
        "key": record.key,
        "fingerprint": record.fingerprint,
        "job_id": record.job_id,
        "created_at_s": record.created_at_s,
    }


def idempotency_of_row(row: Row) -> IdempotencyRecord:
    """The record in a row of `idempotency_keys`."""
    return IdempotencyRecord(
        tenant_id=TenantId(row["tenant_id"]),
        route=row["route"],
        key=row["key"],
        fingerprint=row["fingerprint"],
        job_id=JobId(row["job_id"]),
        created_at_s=row["created_at_s"],
    )


def row_of_api_key(key: ApiKey) -> Parameters:
    """A row of `api_keys`."""
    return {
        "key_id": key.key_id,
        "secret_sha256": key.secret_sha256,
        "hint": key.hint,
        "tenant_id": key.tenant_id,
        "tier": key.tier.value,
        "name": key.name,
        "created_at_s": key.created_at_s,
        "revoked_at_s": key.revoked_at_s,
        "role": key.role.value,
    }


def api_key_of_row(row: Row) -> ApiKey:
    """The key in a row of `api_keys`."""
    return ApiKey(
        key_id=KeyId(row["key_id"]),
        secret_sha256=row["secret_sha256"],
        hint=row["hint"],
        tenant_id=TenantId(row["tenant_id"]),
        tier=Tier(row["tier"]),
        name=row["name"],
        created_at_s=row["created_at_s"],
        revoked_at_s=row["revoked_at_s"],
        role=Role(row["role"]),
    )


def row_of_refusal(refusal: Refusal) -> Parameters:
    """A row of `refusals`."""
    return {
        "refusal_id": refusal.refusal_id,
        "tenant_id": refusal.tenant_id,
        "stage": refusal.stage,
        "category": refusal.category,
        "param": refusal.param,
        "at_s": refusal.at_s,
    }


def refusal_of_row(row: Row) -> Refusal:
    """The refusal in a row of `refusals`."""
    return Refusal(
        refusal_id=row["refusal_id"],
        tenant_id=TenantId(row["tenant_id"]),
        stage=row["stage"],
        category=row["category"],
        param=row["param"],
        at_s=row["at_s"],
    )


def row_of_webhook_endpoint(endpoint: WebhookEndpoint) -> Parameters:
    """A row of `webhook_endpoints`."""
    return {
        "endpoint_id": endpoint.endpoint_id,
        "tenant_id": endpoint.tenant_id,
        "url": endpoint.url,
        "events": _encode(endpoint.events),
        "description": endpoint.description,
        "created_at_s": endpoint.created_at_s,
        "secret_generation": endpoint.secret_generation,
        "old_secret_until_s": endpoint.old_secret_until_s,
        "disabled_at_s": endpoint.disabled_at_s,
        "disabled_reason": endpoint.disabled_reason,
    }


def webhook_endpoint_of_row(row: Row) -> WebhookEndpoint:
    """The endpoint in a row of `webhook_endpoints`."""
    return WebhookEndpoint(
        endpoint_id=EndpointId(row["endpoint_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        url=row["url"],
        events=_events(json.loads(row["events"])),
        description=row["description"],
        created_at_s=row["created_at_s"],
        secret_generation=row["secret_generation"],
        old_secret_until_s=row["old_secret_until_s"],
        disabled_at_s=row["disabled_at_s"],
        disabled_reason=row["disabled_reason"],
    )


def row_of_webhook_message(message: WebhookMessage) -> Parameters:
    """A row of `webhook_messages`."""
    return {
        "message_id": message.message_id,
        "event_id": message.event_id,
        "tenant_id": message.tenant_id,
        "job_id": message.job_id,
        "target": message.target,
        "event": message.event.value,
        "at_s": message.at_s,
        "state": message.state.value,
        "tries": message.tries,
        "failures": message.failures,
        "next_at_s": message.next_at_s,
        "ended_at_s": message.ended_at_s,
        "last_error": message.last_error,
    }


def webhook_message_of_row(row: Row) -> WebhookMessage:
    """The message in a row of `webhook_messages`."""
    return WebhookMessage(
        message_id=MessageId(row["message_id"]),
        event_id=row["event_id"],
        tenant_id=TenantId(row["tenant_id"]),
        job_id=JobId(row["job_id"]),
        target=row["target"],
        event=WebhookEvent(row["event"]),
        at_s=row["at_s"],
        state=MessageState(row["state"]),
        tries=row["tries"],
        failures=row["failures"],
        next_at_s=row["next_at_s"],
        ended_at_s=row["ended_at_s"],
        last_error=row["last_error"],
    )


def row_of_webhook_try(one: WebhookTry) -> Parameters:
    """A row of `webhook_tries`."""
    return {
        "message_id": one.message_id,
        "number": one.number,
        "at_s": one.at_s,
        "duration_s": one.duration_s,
        "status": one.status,
        "error": one.error,
    }


def webhook_try_of_row(row: Row) -> WebhookTry:
    """The try in a row of `webhook_tries`."""
    return WebhookTry(
        message_id=MessageId(row["message_id"]),
        number=row["number"],
        at_s=row["at_s"],
        duration_s=row["duration_s"],
        status=row["status"],
        error=row["error"],
    )
