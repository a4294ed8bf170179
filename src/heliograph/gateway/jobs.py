"""The native API: submit, look, list, watch and cancel jobs."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Annotated, assert_never

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from heliograph.domain.accounts import Caller
from heliograph.domain.ids import JobId
from heliograph.domain.views import JobStatus
from heliograph.gateway import openapi
from heliograph.gateway.context import Context
from heliograph.gateway.errors import JOB_ID_HEADER
from heliograph.gateway.event_stream import (
    EventStream,
    Frame,
    Weight,
    abandon,
    base64_text,
    departures,
    frame,
)
from heliograph.gateway.submissions import read_submission
from heliograph.gateway.wire import OutputUrl, job_json, progress_json, to_json
from heliograph.live import PreviewUpdate, ProgressUpdate, StatusUpdate, Update

_FAREWELL = b": the server is shutting down; watch again\n\n"

LIST_MAX = 100


def jobs_router(context: Context) -> APIRouter:
    """Routes below `/v1/jobs`."""
    router = APIRouter(prefix="/v1/jobs", tags=["Jobs"], default_response_class=Response)
    service = context.service

    def answer(status: JobStatus, code: HTTPStatus = HTTPStatus.OK) -> Response:
        job_id = status.view.job.job_id
        headers: dict[str, str] = {JOB_ID_HEADER: job_id}
        if code is HTTPStatus.CREATED:
            headers["Location"] = f"/v1/jobs/{job_id}"
        body = to_json(job_json(status, output_url=context.output_url))
        return Response(body, status_code=code, headers=headers, media_type="application/json")

    @router.post("", **openapi.SUBMIT)
    async def submit(request: Request) -> Response:
        caller = context.caller(request)
        with context.recording_refusals(caller):
            submission = await read_submission(request, desk=context.desk, pictures_max=context.settings.pictures_max)
        status = await service.submit(submission, caller=caller)
        wait_s = preferred_wait_s(request.headers.get("prefer", ""), hold_s_max=context.settings.hold_s_max)
        if wait_s is None:
            return answer(status, HTTPStatus.CREATED)
        ended = await held(context, request, status.view.job.job_id, wait_s, caller=caller)
        waited = answer(ended, HTTPStatus.CREATED)
        waited.headers["Preference-Applied"] = f"wait={wait_s:g}"
        return waited

    @router.get("", **openapi.LIST)
    async def list_jobs(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 20,
        before: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
    ) -> Response:
        found = await service.jobs(caller=context.caller(request), limit=limit + 1, before=before)
        page = found[:limit]
        has_more = len(found) > limit
        body = {
            "object": "list",
            "data": [job_json(status, output_url=context.output_url) for status in page],
            "has_more": has_more,
            "next_before": str(page[-1].view.job.sequence) if has_more else None,
        }
        return Response(to_json(body), media_type="application/json")

    @router.head("/{job_id}", include_in_schema=False)
    @router.get("/{job_id}", **openapi.GET)
    async def get_job(request: Request, job_id: str) -> Response:
        return answer(await service.status(JobId(job_id), caller=context.caller(request)))

    @router.post("/{job_id}/cancel", **openapi.CANCEL)
    async def cancel(request: Request, job_id: str) -> Response:
        return answer(await service.cancel(JobId(job_id), caller=context.caller(request)))

    @router.get("/{job_id}/events", **openapi.EVENTS)
    async def events(request: Request, job_id: str) -> Response:
        caller = context.caller(request)
        stack = AsyncExitStack()
        updates = await stack.enter_async_context(service.watch(JobId(job_id), caller=caller))
        return EventStream(
            job_frames(updates, output_url=context.output_url),
            heartbeat_s=context.settings.heartbeat_s,
            progress_interval_s=context.settings.progress_interval_s,
            closing=context.closing,
            farewell=_FAREWELL,
            check_key=lambda: context.caller(request),
            release=stack.aclose,
            headers={JOB_ID_HEADER: job_id},
        )

    return router


def preferred_wait_s(prefer: str, *, hold_s_max: float) -> float | None:
    """How long a client would like to wait for the job to end: `Prefer: wait=N` of RFC 7240, or bare `wait`.

    Never longer than `hold_s_max`; None when it does not ask, or asks for what is not a number of seconds.
    """
    for preference in prefer.split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            seconds = value.strip().strip('"')
            if not seconds:
                return hold_s_max
            return min(float(seconds), hold_s_max) if seconds.isdecimal() else None
    return None


async def held(context: Context, request: Request, job_id: JobId, wait_s: float, *, caller: Caller) -> JobStatus:
    """The job once it has ended, or as it is when the time is up, the server closes or the client leaves."""
    waiting = asyncio.create_task(context.service.wait(job_id, caller=caller, timeout_s=wait_s))
    try:
        async with departures(request.receive, context.closing) as departure:
            await asyncio.wait({waiting, departure}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done() and waiting.exception() is None:
            return waiting.result()
        return await context.service.status(job_id, caller=caller)
    finally:
        await abandon(waiting)


async def job_frames(updates: AsyncIterator[Update], *, output_url: OutputUrl) -> AsyncGenerator[Frame]:
    """The native events of a job: the snapshot first, `done` last."""
    is_first = True
    async for update in updates:
        if is_first and not isinstance(update, StatusUpdate):
            continue  # older than the snapshot
        match update:
            case StatusUpdate(status=status):
                job = job_json(status, output_url=output_url)
                has_ended = status.view.job.state.is_terminal
                if is_first:
                    yield frame("snapshot", job)
                elif not has_ended:
                    yield frame("status", job)
                if has_ended:
                    yield frame("done", job)
                is_first = False
            case ProgressUpdate(status=status):
                yield frame("progress", progress_json(status), Weight.PROGRESS)
            case PreviewUpdate():
                yield frame("preview", _preview(update), Weight.PICTURE)
            case _:
                assert_never(update)


def _preview(update: PreviewUpdate) -> dict[str, object]:
    return {
        "index": update.index,
        "step": update.step,
        "mime_type": "image/jpeg",
        "b64": base64_text(update.jpeg),
    }
