"""Replicate's predictions over native jobs, for its official clients."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from heliograph.domain.accounts import Caller
from heliograph.domain.errors import InvalidRequest, NotFound
from heliograph.domain.ids import JobId
from heliograph.domain.model_card import ModelCard
from heliograph.domain.views import JobStatus
from heliograph.domain.webhooks import PREDICTION_EVENTS, JobWebhook
from heliograph.gateway import openapi
from heliograph.gateway.context import Context
from heliograph.gateway.errors import JOB_ID_HEADER
from heliograph.gateway.jobs import held, preferred_wait_s
from heliograph.gateway.json_body import read_json
from heliograph.gateway.predictions import prediction_json
from heliograph.gateway.replicate_request import PredictionOrder, cancel_after_s, read_prediction
from heliograph.gateway.submissions import submission
from heliograph.gateway.timestamps import iso
from heliograph.gateway.wire import to_json

PAGE_SIZE = 100
WAIT_S_DEFAULT = 60.0
"""How long a bare `Prefer: wait` holds the answer; the official client gives up after 60.5 s."""


def replicate_router(context: Context) -> APIRouter:
    """`/v1/predictions`, and what Replicate has below `/v1/models/{owner}/{name}`."""
    router = APIRouter(prefix="/v1", tags=["Replicate"], default_response_class=Response)
    service = context.service

    def shown(request: Request, status: JobStatus, *, still_goes_on: bool = False) -> dict[str, object]:
        return prediction_json(
            status,
            base_url=context.base_url(request),
            output_url=context.output_url,
            still_goes_on=still_goes_on,
        )

    def answer(
        request: Request, status: JobStatus, code: HTTPStatus = HTTPStatus.OK, *, still_goes_on: bool = False
    ) -> Response:
        return Response(
            to_json(shown(request, status, still_goes_on=still_goes_on)),
            status_code=code,
            headers={JOB_ID_HEADER: status.view.job.job_id},
            media_type="application/json",
        )

    async def predict(request: Request, model: str | None) -> Response:
        caller = context.caller(request)
        with context.recording_refusals(caller):
            body = await read_json(request)
            order = read_prediction(body.fields, model=model)
            submitted = submission(
                request,
                body,
                raw=order.raw(service.model_named),
                end_user=order.end_user,
                deadline_s=cancel_after_s(request.headers.get("cancel-after")),
                webhook=webhook_of(order),
                inputs=order.inputs,
            )
        try:
            status = await service.submit(submitted, caller=caller)
        except InvalidRequest as error:
            raise in_replicate_words(error) from error
        return await wait_if_asked(request, status, caller)

    def webhook_of(order: PredictionOrder) -> JobWebhook | None:
        if order.webhook is None:
            return None
        return context.desk.job_webhook(
            order.webhook,
            order.events,
            known=PREDICTION_EVENTS,
            param="webhook",
            events_param="webhook_events_filter",
        )

    async def wait_if_asked(request: Request, status: JobStatus, caller: Caller) -> Response:
        hold_s_max = min(WAIT_S_DEFAULT, context.settings.hold_s_max)
        wait_s = preferred_wait_s(request.headers.get("prefer", ""), hold_s_max=hold_s_max)
        if wait_s is None:
            return answer(request, status, HTTPStatus.CREATED)
        ended = await held(context, request, status.view.job.job_id, wait_s, caller=caller)
        waited = answer(request, ended, HTTPStatus.CREATED, still_goes_on=True)
        waited.headers["Preference-Applied"] = f"wait={wait_s:g}"
        return waited

    @router.post("/predictions", **openapi.PREDICT)
    async def create(request: Request) -> Response:
        return await predict(request, None)

    @router.post("/models/{owner}/{name}/predictions", **openapi.PREDICT_WITH_MODEL)
    async def create_with_model(request: Request, owner: str, name: str) -> Response:
        return await predict(request, f"{owner}/{name}")

    def card_of(request: Request, owner: str, name: str) -> ModelCard:
        context.caller(request)
        model_id = service.model_named(f"{owner}/{name}")
        for model in service.models():
            if model.card.model_id == model_id:
                return model.card
        raise NotFound(f"There is no model {owner}/{name}.", param="model", code="model_not_found")

    @router.get("/models/{owner}/{name}", **openapi.GET_PREDICTION_MODEL)
    async def get_model(request: Request, owner: str, name: str) -> Response:
        card = card_of(request, owner, name)
        body = {
            "url": f"{context.base_url(request)}/v1/models/{owner}/{name}",
            "owner": owner,
            "name": name,
            "description": card.name,
            "visibility": "private",
            "run_count": 0,
            "latest_version": version_json(card.model_id),
        }
        return Response(to_json(body), media_type="application/json")

    @router.get("/models/{owner}/{name}/versions/{version_id}", **openapi.GET_PREDICTION_VERSION)
    async def get_version(request: Request, owner: str, name: str, version_id: str) -> Response:
        card_of(request, owner, name)
        return Response(to_json(version_json(version_id)), media_type="application/json")

    @router.get("/predictions", **openapi.LIST_PREDICTIONS)
    async def list_predictions(
        request: Request, cursor: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None
    ) -> Response:
        found = await service.jobs(caller=context.caller(request), limit=PAGE_SIZE + 1, before=cursor)
        page = found[:PAGE_SIZE]
        following = None
        if len(found) > PAGE_SIZE:
            following = f"{context.base_url(request)}/v1/predictions?cursor={page[-1].view.job.sequence}"
        body = {"previous": None, "next": following, "results": [shown(request, status) for status in page]}
        return Response(to_json(body), media_type="application/json")

    @router.get("/predictions/{prediction_id}", **openapi.GET_PREDICTION)
    async def get(request: Request, prediction_id: str) -> Response:
        return answer(request, await service.status(JobId(prediction_id), caller=context.caller(request)))

    @router.post("/predictions/{prediction_id}/cancel", **openapi.CANCEL_PREDICTION)
    async def cancel(request: Request, prediction_id: str) -> Response:
        return answer(request, await service.cancel(JobId(prediction_id), caller=context.caller(request)))

    return router


def version_json(version_id: str) -> dict[str, object]:
    """What a model takes and gives, as Cog describes it; of ours there is one version, which is always the newest."""
    output = {"type": "array", "items": {"type": "string", "format": "uri"}}
    return {
        "id": version_id,
        "created_at": iso(0.0),
        "cog_version": "0.9.0",
        "openapi_schema": {
            "openapi": "3.1.0",
            "info": {"title": "Heliograph", "version": version_id},
            "paths": {},
            "components": {"schemas": {"Input": openapi.PREDICTION_INPUT, "Output": output}},
        },
    }


_THEIR_NAMES = {"n": "num_outputs", "steps": "num_inference_steps", "model": "version"}


def in_replicate_words(error: InvalidRequest) -> InvalidRequest:
    """The same error by the name the parameter has here."""
    theirs = _THEIR_NAMES.get(error.param or "")
    if theirs is None:
        return error
    return InvalidRequest(f"{theirs}: {error.message}", code=error.code, param=theirs)
