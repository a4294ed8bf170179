"""How jobs and models look on the wire; `docs/reference/api.md` is the contract."""

import json
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from heliograph.delivery.ladder import POSTER, PREVIEW, SHARED, widths
from heliograph.domain.ids import OutputId
from heliograph.domain.job import Job, JobState
from heliograph.domain.model_card import ModelCard
from heliograph.domain.pictures import Availability, Output, Variant
from heliograph.domain.request import Adjustment, GenerationRequest, Inputs
from heliograph.domain.views import Interval, JobStatus, ModelStatus

OutputUrl = Callable[[OutputId, bool], str]
"""The address of a picture, or of its thumbnail when the second argument is true."""

_STAGE_OF: Mapping[JobState, str] = {
    JobState.PENDING: "queue_s",
    JobState.DISPATCHED: "dispatch_s",
    JobState.RUNNING: "run_s",
    JobState.POST_PROCESSING: "post_processing_s",
}


def to_json(value: object, *, is_ascii: bool = False) -> bytes:
    """Compact JSON, with `is_ascii` in ASCII alone. A number that is not finite would be our bug."""
    return json.dumps(value, ensure_ascii=is_ascii, allow_nan=False, separators=(",", ":")).encode()


def job_json(status: JobStatus, *, output_url: OutputUrl) -> dict[str, object]:
    """The native job object."""
    view, job = status.view, status.view.job
    path = f"/v1/jobs/{job.job_id}"
    return {
        "id": job.job_id,
        "object": "job",
        "status": job.state.value,
        "phase": view.phase.value,
        "model": job.request.model_id,
        "created_at": job.created_at_s,
        "started_at": started_at_s(job),
        "completed_at": job.finished_at_s,
        "queue_position": view.queue_position,
        "eta_s": view.eta_s,
        "eta": eta_json(view.eta),
        "progress": _progress(status),
        "attempt": job.attempt,
        "retry": _retry(status),
        "reseeds": job.reseeds,
        "request": _request_json(job.request),
        "adjustments": adjustments_json(job.request.adjustments),
        "outputs": [output_json(output, output_url=output_url) for output in status.outputs],
        "error": None if job.failure is None else {"code": job.failure.code, "message": job.failure.message},
        "timings": stage_timings(job),
        "cost_micros": status.cost_micros,
        "urls": {"self": path, "events": f"{path}/events", "cancel": f"{path}/cancel"},
    }


def progress_json(status: JobStatus) -> dict[str, object]:
    """The data of a `progress` event."""
    view = status.view
    return _progress(status) | {
        "eta_s": view.eta_s,
        "eta": eta_json(view.eta),
        "phase": view.phase.value,
        "queue_position": view.queue_position,
    }


def eta_json(eta: Interval | None) -> dict[str, float] | None:
    """Seconds until delivery: what is expected, and what holds the truth between them in four of five cases."""
    if eta is None:
        return None
    seconds = {"low_s": eta.low_s, "expected_s": eta.expected_s, "high_s": eta.high_s}
    return {name: round(each, 3) for name, each in seconds.items()}


def _progress(status: JobStatus) -> dict[str, object]:
    view = status.view
    is_completed = view.job.state is JobState.COMPLETED
    fraction = 1.0 if is_completed else view.step / view.steps if view.steps else 0.0
    return {"step": view.step, "steps": view.steps, "fraction": fraction}


def _retry(status: JobStatus) -> dict[str, object] | None:
    """The attempt that is made, or will be, after others failed; None for a job that has ended or never failed."""
    job, setback = status.view.job, status.view.job.setback
    if setback is None or job.state.is_terminal:
        return None
    return {
        "attempt": job.failures + 1,
        "of": status.view.attempts_max,
        "code": setback.code,
        "message": setback.message,
    }


def _request_json(request: GenerationRequest) -> dict[str, object]:
    return {
        "prompt": request.raw_prompt,
        "negative_prompt": request.negative_prompt,
        "width": request.width_px,
        "height": request.height_px,
        "steps": request.steps,
        "guidance_scale": request.guidance,
        "seed": request.seed,
        "n": request.image_count,
        "frames": request.frames,
        "upscale": request.upscale,
        "quality": request.quality.value,
        "style": request.style,
        "output_format": request.output_format.value,
        "output_quality": request.output_quality,
        "inputs": _inputs_json(request.inputs),
    }


def _inputs_json(inputs: Inputs | None) -> dict[str, object] | None:
    """The pictures that it starts from, by their sizes; null where it is made from words alone."""
    if inputs is None:
        return None
    return {
        "images": [{"width": each.width_px, "height": each.height_px} for each in inputs.images],
        "has_mask": inputs.mask is not None,
        "strength": inputs.strength,
    }


def adjustments_json(adjustments: tuple[Adjustment, ...]) -> list[dict[str, object]]:
    """What differs from what was sent."""
    return [
        {"parameter": each.parameter, "requested": each.requested, "used": each.used, "reason": each.reason}
        for each in adjustments
    ]


def output_json(output: Output, *, output_url: OutputUrl) -> dict[str, object]:
    """One delivered picture; a clip also says how many frames it has and how long it plays."""
    is_delivered = output.availability is Availability.DELIVERED
    picture: dict[str, object] = {
        "id": output.output_id,
        "index": output.index,
        "url": output_url(output.output_id, False) if is_delivered else None,
        "thumbnail_url": output_url(output.output_id, True) if is_delivered else None,
        "availability": output.availability.value,
        "sha256": output.sha256,
        "pixels_sha256": output.pixels_sha256,
        "bytes": output.size_bytes,
        "format": output.output_format.value,
        "width": output.width_px,
        "height": output.height_px,
        "seed": output.seed,
        "thumbhash": output.thumbhash if is_delivered else "",
        "verdict": {"decision": output.verdict.decision.value, "reasons": list(output.verdict.reasons)},
        **fit_json(output),
        "technical": technical_json(output),
        "safety": safety_json(output),
        "made_with": making_json(output),
        "variants": [
            _variant_json(output, variant, output_url)
            for variant in output.variants
            if is_delivered and variant.name != SHARED
        ],
    }
    address = output_url(output.output_id, False)
    if output.frames == 1:
        sizes = widths(output) if is_delivered else ()
        return picture | {"srcset": ", ".join(f"{_with(address, format='auto', w=w)} {w}w" for w in sizes)}
    return picture | {
        "frames": output.frames,
        "duration_s": output.duration_s,
        "poster_url": _with(address, variant=POSTER),
        "preview_url": _with(address, variant=PREVIEW),
    }


def _variant_json(output: Output, variant: Variant, output_url: OutputUrl) -> dict[str, object]:
    address = output_url(output.output_id, False)
    if variant.name in (POSTER, PREVIEW):
        url = _with(address, variant=variant.name)
    elif variant.width_px == output.width_px:
        url = _with(address, format=variant.file_format.value)
    else:
        url = _with(address, format=variant.file_format.value, w=variant.width_px)
    return {
        "name": variant.name,
        "url": url,
        "format": variant.file_format.value,
        "width": variant.width_px,
        "height": variant.height_px,
        "bytes": variant.size_bytes,
    }


def _with(address: str, **query: object) -> str:
    """The address with more in its query."""
    return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"


def fit_json(output: Output) -> dict[str, object]:
    """How well a picture fits its prompt; null and nothing where nothing judged it."""
    alignment = output.alignment
    return {
        "alignment": None if alignment is None else round(alignment.score, 4),
        "missing": [] if alignment is None else list(alignment.missing),
    }


def safety_json(output: Output) -> dict[str, object] | None:
    """How sure a classifier is that a picture is not safe for work; null where none judged it."""
    safety = output.safety
    if safety is None:
        return None
    return {"score": round(safety.score, 4), "decision": safety.decision.value, "judge": safety.judge}


def technical_json(output: Output) -> dict[str, object] | None:
    """How broken a picture looks beside its model's own ones; null where that is not known yet."""
    technical = output.technical
    if technical is None:
        return None
    return {"score": round(technical.score, 3), "limit": round(technical.limit, 3), "kind": technical.kind}


def making_json(output: Output) -> dict[str, str] | None:
    """What an output was made with; null for those of releases that did not keep it."""
    return None if output.making is None else output.making.components()


def started_at_s(job: Job) -> float | None:
    """When a worker began the current attempt; None before that, and again after a return to the queue."""
    started_at: float | None = None
    for moment in job.timeline:
        if moment.state is JobState.RUNNING:
            started_at = moment.at_s
        elif moment.state is JobState.PENDING:
            started_at = None
    return started_at


def stage_timings(job: Job) -> dict[str, float]:
    """Seconds spent in each stage passed so far, every stay counted, and `total_s` once the job has ended."""
    timings: dict[str, float] = {}
    state, since_s = JobState.PENDING, job.created_at_s
    for moment in job.timeline:
        if moment.state is not state:
            stage = _STAGE_OF[state]
            timings[stage] = round(timings.get(stage, 0.0) + moment.at_s - since_s, 6)
            state, since_s = moment.state, moment.at_s
    if job.finished_at_s is not None:
        timings["total_s"] = round(job.finished_at_s - job.created_at_s, 6)
    return timings


def model_json(model: ModelStatus, *, styles: tuple[str, ...]) -> dict[str, object]:
    """One catalogue entry, readable by OpenAI clients."""
    card = model.card
    return {
        "id": card.model_id,
        "object": "model",
        "created": 0,  # OpenAI's type wants a number; the catalogue does not know release dates
        "owned_by": card.repository.partition("/")[0] if card.repository else "heliograph",
        "name": card.name,
        "family": card.family,
        "tasks": sorted(card.tasks),
        "available": model.is_available,
        "resident": model.is_resident,
        "est_seconds": model.wait_s,
        "sizes": _sizes_json(card),
        "upscale": list(card.upscale),
        "alignment": card.alignment,
        "steps": {
            "min": card.steps.minimum,
            "max": card.steps.maximum,
            "draft": card.steps.draft,
            "standard": card.steps.standard,
            "high": card.steps.high,
        },
        "guidance": card.guidance
        and {"min": card.guidance.minimum, "max": card.guidance.maximum, "default": card.guidance.default},
        "frames": card.frames
        and {
            "min": card.frames.minimum,
            "max": card.frames.maximum,
            "default": card.frames.default,
            "per_second": card.frames.per_second,
        },
        "supports_negative_prompt": card.supports_negative_prompt,
        "token_limit": card.token_limit,
        "styles": list(styles),
        "licence": card.licence,
        "limits": card.limits,
        "domain": None if card.measured is None else card.measured.domain,
        "weaknesses": [] if card.measured is None else list(card.measured.weaknesses),
        "adherence": {} if card.measured is None else dict(card.measured.adherence),
        "alternatives": list(card.alternatives),
        "vram_bytes": card.vram_bytes,
        "load_s": card.load_s,
    }


def _sizes_json(card: ModelCard) -> dict[str, object]:
    rule = card.sizes
    return {
        "default": size_text(rule.default),
        "multiple": rule.multiple,
        "side_min": rule.side_min,
        "side_max": rule.side_max,
        "pixels_max": rule.pixels_max,
        "only": [size_text(size) for size in rule.only],
    }


def size_text(size: tuple[int, int]) -> str:
    """For example `128x96`: width, then height."""
    width, height = size
    return f"{width}x{height}"
