"""OpenAI's `/v1/images/generations` and `/edits`: one call, answered when the pictures are there, or as they form.

A façade over jobs. The call is held no longer than the client or the proxies between wait; a client that hangs up takes
its job with it, unless an `Idempotency-Key` says that it will ask again.

Official clients repeat a failed call on their own and send no such key. Nothing is paid for twice all the same: where a
job goes on, or has failed for good, the answer says `x-should-retry: false`; a refused submission made no job; and a
connection that broke took its job along. Only with `cancel_on_disconnect` off does a repeated call make a second job.
Calls are never merged because they look alike: the same prompt twice is how people ask for another picture.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import assert_never

from fastapi import APIRouter, Request
from starlette.responses import Response

from heliograph.domain.accounts import Caller
from heliograph.domain.errors import HeliographError, InvalidRequest, NotFound
from heliograph.domain.held import delivered, why_none_is_delivered
from heliograph.domain.ids import JobId
from heliograph.domain.job import JobState
from heliograph.domain.pictures import Output
from heliograph.domain.views import JobStatus
from heliograph.gateway import openapi
from heliograph.gateway.context import Context
from heliograph.gateway.errors import JOB_ID_HEADER, JobNotCompleted
from heliograph.gateway.event_stream import (
    Departure,
    EventStream,
    Frame,
    Weight,
    abandon,
    base64_text,
    departures,
    error_frame,
    frame,
)
from heliograph.gateway.json_body import read_json
from heliograph.gateway.openai_edits import EditOrder, read_edit
from heliograph.gateway.openai_request import (
    QUALITY_IN_OPENAI_WORDS,
    ImageOrder,
    PartialImages,
    in_openai_words,
    read_order,
)
from heliograph.gateway.picture_links import absolute
from heliograph.gateway.submissions import positive_number, submission
from heliograph.gateway.wire import (
    adjustments_json,
    fit_json,
    progress_json,
    size_text,
    stage_timings,
    to_json,
)
from heliograph.live import PreviewUpdate, ProgressUpdate, StatusUpdate, Update
from heliograph.service import Submission

EVENTS_HEADER = "X-Heliograph-Events"
"""With the value 1 a stream carries Heliograph's own events too. Official clients crash on events they do not know."""

TASK = "t2i"
"""OpenAI's clients expect pictures: a model that makes clips is refused by name. The native API has them."""

_CLIENT_CLOSED_REQUEST = 499
_PREVIEW_FORMAT = "jpeg"

_STATUS_OF_ENDING: Mapping[JobState, HTTPStatus] = {
    JobState.FAILED: HTTPStatus.INTERNAL_SERVER_ERROR,
    JobState.CANCELLED: HTTPStatus.GONE,
    JobState.EXPIRED: HTTPStatus.GATEWAY_TIMEOUT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One call on its way: who asked for what, the job it became, and what the events of its stream are called."""

    context: Context
    request: Request
    caller: Caller
    order: ImageOrder
    job_id: JobId
    is_cancelled_with_client: bool
    event: str


def openai_images_router(context: Context) -> APIRouter:
    """Routes below `/v1/images`."""
    router = APIRouter(prefix="/v1/images", tags=["OpenAI"], default_response_class=Response)

    @router.post("/generations", **openapi.IMAGES)
    async def generate(request: Request) -> Response:
        caller = context.caller(request)
        with context.recording_refusals(caller):
            body = await read_json(request)
            order = read_order(body.fields)
            submitted = submission(request, body, raw=order.raw, end_user=order.end_user, task=TASK)
        return await answered(request, caller, order, submitted, event="image_generation")

    @router.post("/edits", **openapi.EDITS)
    async def edit(request: Request) -> Response:
        caller = context.caller(request)
        with context.recording_refusals(caller):
            found = await read_edit(request, pictures_max=context.settings.pictures_max)
            submitted = submission(
                request,
                found.body,
                raw=found.order.raw,
                end_user=found.order.end_user,
                task=_task_of_edit(context, found),
                inputs=found.inputs,
            )
        return await answered(request, caller, found.order, submitted, event="image_edit")

    async def answered(
        request: Request, caller: Caller, order: ImageOrder, submitted: Submission, *, event: str
    ) -> Response:
        try:
            status = await context.service.submit(submitted, caller=caller)
        except InvalidRequest as error:
            raise in_openai_words(error) from error
        call = _Call(
            context=context,
            request=request,
            caller=caller,
            order=order,
            job_id=status.view.job.job_id,
            is_cancelled_with_client=context.settings.cancel_on_disconnect and submitted.idempotency_key is None,
            event=event,
        )
        return await (_stream(call) if order.wants_stream else _hold(call))

    return router


def _task_of_edit(context: Context, found: EditOrder) -> str:
    """What is asked of the model that is named: a still, by whichever way the model makes one from pictures."""
    if found.inputs.mask is not None:
        return "inpaint"
    name = found.order.raw.model
    try:
        tasks = context.service.card_of(name).tasks if isinstance(name, str) else frozenset[str]()
    except NotFound:
        return "i2i"
    return "edit" if "edit" in tasks and "i2i" not in tasks else "i2i"


def hold_s(read_timeout_s: float | None, *, hold_s_max: float) -> float:
    """How long to hold the call of a client that waits `read_timeout_s`: a little less, so that it gets an answer."""
    if read_timeout_s is None:
        return hold_s_max
    return min(hold_s_max, max(read_timeout_s - 2.0, 0.9 * read_timeout_s))


async def _hold(call: _Call) -> Response:
    context = call.context
    read_timeout_s = positive_number(call.request.headers, "x-stainless-read-timeout")
    timeout_s = hold_s(read_timeout_s, hold_s_max=context.settings.hold_s_max)
    waiting = asyncio.create_task(context.service.wait(call.job_id, caller=call.caller, timeout_s=timeout_s))
    try:
        async with departures(call.request.receive, context.closing) as departure:
            await asyncio.wait({waiting, departure}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return await _answer(call, waiting.result())
            if departure.result() is Departure.SERVER:
                raise _closing(call.job_id)
        await _follow_client(call)
        return Response(status_code=_CLIENT_CLOSED_REQUEST)  # for the log; nobody is there to read it
    finally:
        await abandon(waiting)


async def _follow_client(call: _Call) -> None:
    if call.is_cancelled_with_client:
        await call.context.service.cancel(call.job_id, caller=call.caller)


async def _answer(call: _Call, status: JobStatus) -> Response:
    _refuse_unfinished(status)
    data = [await _picture(call, status, output) for output in delivered(status.outputs)]
    body = {
        "created": int(status.view.job.created_at_s),
        "data": data,
        **_picture_facts(status),
        "usage": _usage(status.view.job.request.prompt_tokens),
        "heliograph": _heliograph(call, status),
    }
    return Response(to_json(body), headers={JOB_ID_HEADER: call.job_id}, media_type="application/json")


def _refuse_unfinished(status: JobStatus) -> None:
    job = status.view.job
    why = why_none_is_delivered(status.outputs)
    if why is not None:
        raise JobNotCompleted(HTTPStatus.FORBIDDEN, why.message, code=why.code, job_id=job.job_id)
    if job.state is JobState.COMPLETED:
        return
    failure = job.failure
    raise JobNotCompleted(
        _STATUS_OF_ENDING[job.state],
        failure.message if failure else f"The job ended as {job.state}.",
        code=failure.code if failure else job.state.value,
        job_id=job.job_id,
    )


def _closing(job_id: JobId) -> JobNotCompleted:
    return JobNotCompleted(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"The server is shutting down. Job {job_id} goes on when it is back.",
        code="shutting_down",
        job_id=job_id,
    )


async def _picture(call: _Call, status: JobStatus, output: Output) -> dict[str, object]:
    request = status.view.job.request
    picture: dict[str, object] = {"seed": output.seed, **fit_json(output)}
    if call.order.wants_url:
        base_url = call.context.base_url(call.request)
        picture["url"] = absolute(base_url, call.context.output_url(output.output_id, False))
    else:
        picture["b64_json"] = await _base64(call.context, output)
    if request.prompt != request.raw_prompt:
        picture["revised_prompt"] = request.prompt
    return picture


async def _base64(context: Context, output: Output) -> str:
    return base64_text(await context.service.read_blob(output.blob, start=0, length=None))


def _picture_facts(status: JobStatus) -> dict[str, object]:
    request = status.view.job.request
    return {
        "size": size_text((request.width_px, request.height_px)),
        "quality": QUALITY_IN_OPENAI_WORDS[request.quality],
        "background": "opaque",
        "output_format": request.output_format.value,
    }


def _usage(text_tokens: int) -> dict[str, object]:
    """Tokens of the prompt as the model counted them. Pictures are metered in GPU-seconds, so they count none."""
    return {
        "input_tokens": text_tokens,
        "input_tokens_details": {"text_tokens": text_tokens, "image_tokens": 0},
        "output_tokens": 0,
        "total_tokens": text_tokens,
    }


def _heliograph(call: _Call, status: JobStatus) -> dict[str, object]:
    job = status.view.job
    return {
        "job_id": job.job_id,
        "model": job.request.model_id,
        "adjustments": adjustments_json((*call.order.adjustments, *job.request.adjustments)),
        "timings": stage_timings(job),
        "cost_micros": status.cost_micros,
    }


async def _stream(call: _Call) -> Response:
    context = call.context
    stack = AsyncExitStack()
    updates = await stack.enter_async_context(context.service.watch(call.job_id, caller=call.caller))
    read_timeout_s = positive_number(call.request.headers, "x-stainless-read-timeout")
    return EventStream(
        _image_frames(call, updates),
        heartbeat_s=min(context.settings.heartbeat_s, (read_timeout_s or float("inf")) / 2),
        progress_interval_s=context.settings.progress_interval_s,
        closing=context.closing,
        farewell=error_frame(_closing(call.job_id)).data,
        check_key=lambda: context.caller(call.request),
        release=stack.aclose,
        on_hang_up=lambda: _follow_client(call),
        headers={JOB_ID_HEADER: call.job_id},
    )


async def _image_frames(call: _Call, updates: AsyncIterator[Update]) -> AsyncGenerator[Frame]:
    """OpenAI's events: chosen partial images, then one `completed` per picture, or an error."""
    partials = PartialImages(call.order.partial_images)
    wants_more = call.request.headers.get(EVENTS_HEADER) == "1"
    status: JobStatus | None = None
    async for update in updates:
        match update:
            case PreviewUpdate():
                if status is None:
                    continue
                number = partials.take(picture=update.index, step=update.step, steps=update.steps)
                if number is not None:
                    yield _partial_frame(call, status, update, number)
            case StatusUpdate(status=status) | ProgressUpdate(status=status):
                if wants_more:
                    yield _progress_frame(status)
            case _:
                assert_never(update)
    assert status is not None, "a watch begins with a status"
    try:
        _refuse_unfinished(status)
        for output in delivered(status.outputs):
            yield await _completed_frame(call, status, output)
    except HeliographError as error:
        yield error_frame(error)


def _partial_frame(call: _Call, status: JobStatus, preview: PreviewUpdate, number: int) -> Frame:
    event = f"{call.event}.partial_image"
    return frame(
        event,
        {
            "type": event,
            "b64_json": base64_text(preview.jpeg),
            "partial_image_index": number,
            "created_at": int(call.context.clock()),
            **_picture_facts(status),
            "output_format": _PREVIEW_FORMAT,
            "heliograph": {"job_id": call.job_id, "index": preview.index, "step": preview.step},
        },
        Weight.PICTURE,
    )


async def _completed_frame(call: _Call, status: JobStatus, output: Output) -> Frame:
    event = f"{call.event}.completed"
    # The prompt was read once: later pictures count nothing, so that a client's sum is right.
    tokens = status.view.job.request.prompt_tokens if output.index == 0 else 0
    return frame(
        event,
        {
            "type": event,
            "b64_json": await _base64(call.context, output),
            "created_at": int(call.context.clock()),
            **_picture_facts(status),
            "usage": _usage(tokens),
            "heliograph": {**_heliograph(call, status), "index": output.index, "seed": output.seed, **fit_json(output)},
        },
    )


def _progress_frame(status: JobStatus) -> Frame:
    event = "heliograph.progress"
    data = {"type": event, "job_id": status.view.job.job_id, **progress_json(status)}
    return frame(event, data, Weight.PROGRESS)
