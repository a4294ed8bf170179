"""How a job looks to Replicate's clients: a prediction.

The clients poll until `succeeded`, `failed` or `canceled` and would wait for ever on any other ending, `aborted` of the
official API included. They read progress from the last line of `logs` that looks like tqdm's bar. A prediction that is
answered with any state but `starting` after `Prefer: wait` counts as ended for them, so one that goes on says so.
"""

from collections.abc import Mapping

from heliograph.domain.held import delivered, why_none_is_delivered
from heliograph.domain.job import JobState
from heliograph.domain.views import JobStatus
from heliograph.gateway.picture_links import absolute
from heliograph.gateway.timestamps import iso, iso_or_none
from heliograph.gateway.wire import (
    OutputUrl,
    adjustments_json,
    stage_timings,
    started_at_s,
)

STATUS_OF: Mapping[JobState, str] = {
    JobState.PENDING: "starting",
    JobState.DISPATCHED: "starting",
    JobState.RUNNING: "processing",
    JobState.POST_PROCESSING: "processing",
    JobState.COMPLETED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "canceled",
    JobState.EXPIRED: "canceled",
}

_BAR_CHARS = 10


def prediction_json(
    status: JobStatus, *, base_url: str, output_url: OutputUrl, still_goes_on: bool = False
) -> dict[str, object]:
    """The prediction; with `still_goes_on` it is the answer to a client whose wait was too short."""
    job, request = status.view.job, status.view.job.request
    path = f"{base_url}/v1/predictions/{job.job_id}"
    timings = stage_timings(job)
    metrics = {"predict_time": timings["run_s"]} if "run_s" in timings else {}
    if "total_s" in timings:
        metrics["total_time"] = timings["total_s"]
    why = why_none_is_delivered(status.outputs)
    shown = STATUS_OF[job.state] if why is None else "failed"
    return {
        "id": job.job_id,
        "model": f"heliograph/{request.model_id}",
        "version": request.model_id,
        "status": "starting" if still_goes_on and not job.state.is_terminal else shown,
        "input": _input(status),
        "output": [absolute(base_url, output_url(each.output_id, False)) for each in delivered(status.outputs)] or None,
        "logs": _logs(status),
        "error": (None if why is None else why.message) if job.failure is None else job.failure.message,
        "metrics": metrics,
        "created_at": iso(job.created_at_s),
        "started_at": iso_or_none(started_at_s(job)),
        "completed_at": iso_or_none(job.finished_at_s),
        "data_removed": False,
        "source": "api",
        "urls": {"get": path, "cancel": f"{path}/cancel"},
        "heliograph": {
            "job_id": job.job_id,
            "adjustments": adjustments_json(request.adjustments),
            "cost_micros": status.cost_micros,
        },
    }


def _input(status: JobStatus) -> dict[str, object]:
    """What is being made, in the words of the input: values that were left out are filled in."""
    request = status.view.job.request
    return {
        "prompt": request.raw_prompt,
        "negative_prompt": request.negative_prompt,
        "width": request.width_px,
        "height": request.height_px,
        "num_outputs": request.image_count,
        "num_inference_steps": request.steps,
        "guidance_scale": request.guidance,
        "seed": request.seed,
        "output_format": request.output_format.value,
    }


def _logs(status: JobStatus) -> str:
    """The seed, and the progress as tqdm would show it."""
    view = status.view
    lines = [f"Using seed: {view.job.request.seed}"]
    step = view.steps if view.job.state in (JobState.POST_PROCESSING, JobState.COMPLETED) else view.step
    if view.steps and step:
        share = step / view.steps
        bar = ("█" * int(share * _BAR_CHARS)).ljust(_BAR_CHARS)
        lines.append(f"{share:4.0%}|{bar}| {step}/{view.steps}")
    return "\n".join(lines) + "\n"
