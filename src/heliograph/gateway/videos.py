"""OpenAI's `/v1/videos` over native jobs: create, poll, list, fetch, remix and delete, for its official clients.

A video is a job that makes one clip, and has the job's id. OpenAI's four states have none for a cancelled job: it is
`failed` with the error code `cancelled`. Deleting a video that is being made stops its worker within a step.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from heliograph.delivery.ladder import Wish
from heliograph.domain.accounts import Caller
from heliograph.domain.errors import Conflict, InvalidRequest, NotFound
from heliograph.domain.ids import JobId
from heliograph.domain.job import Job, JobState
from heliograph.domain.request import OutputFormat
from heliograph.domain.views import JobStatus
from heliograph.gateway import openapi
from heliograph.gateway.context import Context
from heliograph.gateway.errors import JOB_ID_HEADER
from heliograph.gateway.form_body import FormBody, is_form, read_form
from heliograph.gateway.json_body import JsonBody, read_json
from heliograph.gateway.outputs import file_answer
from heliograph.gateway.submissions import refuse_unknown, submission
from heliograph.gateway.video_request import REMIX_FIELDS, read_video, remix
from heliograph.gateway.wire import adjustments_json, size_text, to_json

TASK, TASK_WITH_PICTURE = "t2v", "i2v"
POLL_HEADER = "openai-poll-after-ms"
"""How long official clients wait before they ask again; without it, a second."""

LIST_MAX = 100
_SCANNED_AT_ONCE = 200
SCANNED_MAX = 2_000
"""Most of a tenant's jobs that one call looks through for videos."""

_POLL_MS_MIN, _POLL_MS_MAX = 200, 5_000
_FOREVER = "private, max-age=31536000, immutable"

_STATUS_OF: dict[JobState, str] = {
    JobState.PENDING: "queued",
    JobState.DISPATCHED: "in_progress",
    JobState.RUNNING: "in_progress",
    JobState.POST_PROCESSING: "in_progress",
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "failed",
    JobState.EXPIRED: "failed",
}


def videos_router(context: Context) -> APIRouter:
    """`/v1/videos`."""
    router = APIRouter(prefix="/v1/videos", tags=["OpenAI"], default_response_class=Response)
    service = context.service

    async def video_of(video_id: str, caller: Caller) -> JobStatus:
        try:
            status = await service.status(JobId(video_id), caller=caller)
        except NotFound:
            status = None
        if status is None or not _is_video(status.view.job):
            raise NotFound(f"There is no video {video_id}.", param="video_id", code="video_not_found")
        return status

    async def submitted(request: Request, caller: Caller, body: JsonBody | FormBody) -> JobStatus:
        formats = service.formats()
        default = OutputFormat.MP4 if OutputFormat.MP4 in formats else OutputFormat.WEBP
        files = body.files if isinstance(body, FormBody) else ()
        order = read_video(body.fields, files=files, default_format=default.value)
        task = TASK if order.inputs is None else TASK_WITH_PICTURE
        ordered = submission(request, body, raw=order.raw, end_user=order.end_user, task=task, inputs=order.inputs)
        return await service.submit(ordered, caller=caller)

    @router.post("", **openapi.CREATE_VIDEO)
    async def create(request: Request) -> Response:
        caller = context.caller(request)
        with context.recording_refusals(caller):
            body = await (read_form(request) if is_form(request) else read_json(request))
        return _answer(await submitted(request, caller, body))

    @router.get("", **openapi.LIST_VIDEOS)
    async def list_videos(
        request: Request,
        after: Annotated[str | None, Query(max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 20,
        order: Annotated[Literal["asc", "desc"], Query()] = "desc",
    ) -> Response:
        caller = context.caller(request)
        edge = None if after is None else (await video_of(after, caller)).view.job.sequence
        if order == "desc":
            page, has_more = await _newest(context, caller, before=edge, limit=limit)
        else:
            page, has_more = await _oldest(context, caller, after=edge, limit=limit)
        data = [video_json(status) for status in page]
        body = {
            "object": "list",
            "data": data,
            "first_id": page[0].view.job.job_id if page else None,
            "last_id": page[-1].view.job.job_id if page else None,
            "has_more": has_more,
        }
        return Response(to_json(body), media_type="application/json")

    @router.get("/{video_id}", **openapi.GET_VIDEO)
    async def retrieve(request: Request, video_id: str) -> Response:
        return _answer(await video_of(video_id, context.caller(request)))

    @router.delete("/{video_id}", **openapi.DELETE_VIDEO)
    async def delete(request: Request, video_id: str) -> Response:
        caller = context.caller(request)
        job_id = (await video_of(video_id, caller)).view.job.job_id
        await service.remove(job_id, caller=caller)
        body = {"id": job_id, "object": "video.deleted", "deleted": True}
        return Response(to_json(body), media_type="application/json")

    @router.get("/{video_id}/content", **openapi.VIDEO_CONTENT)
    async def content(
        request: Request,
        video_id: str,
        variant: Annotated[Literal["video", "thumbnail", "spritesheet"], Query()] = "video",
    ) -> Response:
        status = await video_of(video_id, context.caller(request))
        if not status.outputs:
            state = _STATUS_OF[status.view.job.state]
            raise Conflict(f"The video is {state}; it has no content.", code="video_not_ready", param="video_id")
        output = status.outputs[0]
        if variant == "spritesheet":
            sheet = await service.contact_sheet(output)
            return Response(sheet, media_type="image/jpeg", headers={"Cache-Control": _FOREVER})
        wish = Wish(name="thumbnail" if variant == "thumbnail" else None)
        return await file_answer(context, request, output, wish=wish, cache_control=_FOREVER)

    @router.post("/{video_id}/remix", **openapi.REMIX_VIDEO)
    async def remix_video(request: Request, video_id: str) -> Response:
        caller = context.caller(request)
        with context.recording_refusals(caller):
            body = await read_json(request)
            refuse_unknown(body.fields, REMIX_FIELDS)
            job = (await video_of(video_id, caller)).view.job
            again = submission(
                request,
                body,
                raw=remix(job, body.fields.get("prompt")),
                end_user=job.end_user,
                task=TASK,
                remixed_from=job.job_id,
            )
        return _answer(await service.submit(again, caller=caller))

    return router


def video_json(status: JobStatus) -> dict[str, object]:
    """OpenAI's video object, with what a job knows beyond it."""
    view, job = status.view, status.view.job
    request = job.request
    assert request.frames_per_second is not None, "a clip has its frames per second"
    failure = job.failure
    return {
        "id": job.job_id,
        "object": "video",
        "model": request.model_id,
        "status": _STATUS_OF[job.state],
        "progress": _progress(status),
        "created_at": int(job.created_at_s),
        "completed_at": int(job.finished_at_s or 0) if job.state is JobState.COMPLETED else None,
        "expires_at": None,
        "prompt": request.raw_prompt,
        "size": size_text((request.width_px, request.height_px)),
        "seconds": f"{request.frames / request.frames_per_second:g}",
        "remixed_from_video_id": job.remixed_from,
        "error": None if failure is None else {"code": failure.code, "message": failure.message},
        "queue_position": view.queue_position,
        "eta_seconds": view.eta_s,
        "heliograph": {
            "job_id": job.job_id,
            "seed": request.seed,
            "frames": request.frames,
            "step": view.step,
            "steps": view.steps,
            "output_format": request.output_format.value,
            "adjustments": adjustments_json(request.adjustments),
            "cost_micros": status.cost_micros,
        },
    }


def _is_video(job: Job) -> bool:
    return job.request.frames > 1 and job.request.frames_per_second is not None


def _progress(status: JobStatus) -> int:
    """0 to 100; 100 once it is there and not before."""
    view = status.view
    if view.job.state is JobState.COMPLETED:
        return 100
    return min(99, 100 * view.step // view.steps) if view.steps else 0


def _answer(status: JobStatus) -> Response:
    job = status.view.job
    headers: dict[str, str] = {JOB_ID_HEADER: job.job_id}
    if not job.state.is_terminal:
        headers[POLL_HEADER] = str(poll_ms(status.view.eta_s))
    return Response(to_json(video_json(status)), headers=headers, media_type="application/json")


def poll_ms(eta_s: float | None) -> int:
    """When to ask again: a quarter of what is left, from a fifth of a second to five."""
    if eta_s is None:
        return 1_000
    return int(min(max(250 * eta_s, _POLL_MS_MIN), _POLL_MS_MAX))


async def _newest(context: Context, caller: Caller, *, before: int | None, limit: int) -> tuple[list[JobStatus], bool]:
    """A page of videos, newest first, and whether there are more. Beyond `SCANNED_MAX` jobs the page ends early."""
    found: list[JobStatus] = []
    for _ in range(SCANNED_MAX // _SCANNED_AT_ONCE):
        some = await context.service.jobs(caller=caller, limit=_SCANNED_AT_ONCE, before=before)
        found += [status for status in some if _is_video(status.view.job)]
        if len(found) > limit or len(some) < _SCANNED_AT_ONCE:
            return found[:limit], len(found) > limit
        before = some[-1].view.job.sequence
    return found, True


async def _oldest(context: Context, caller: Caller, *, after: int | None, limit: int) -> tuple[list[JobStatus], bool]:
    """A page of videos, oldest first. There is no way to it but through the newer ones: with too many it is refused."""
    found: list[JobStatus] = []
    before: int | None = None
    for _ in range(SCANNED_MAX // _SCANNED_AT_ONCE):
        some = await context.service.jobs(caller=caller, limit=_SCANNED_AT_ONCE, before=before)
        newer = [status for status in some if after is None or status.view.job.sequence > after]
        found += [status for status in newer if _is_video(status.view.job)]
        if len(newer) < _SCANNED_AT_ONCE:
            return found[::-1][:limit], len(found) > limit
        before = some[-1].view.job.sequence
    raise InvalidRequest(
        f"order=asc looks through {SCANNED_MAX} jobs at most, and there are more. Use order=desc.",
        param="order",
        code="invalid_order",
    )
