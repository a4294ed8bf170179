"""Webhooks over HTTP: endpoints, their secrets, deliveries, sending again."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.webhooks import MessageState, WebhookEndpoint, WebhookMessage, WebhookTry
from heliograph.gateway import openapi
from heliograph.gateway.context import Context
from heliograph.gateway.json_body import read_json
from heliograph.gateway.submissions import refuse_unknown
from heliograph.gateway.webhook_desk import Delivery
from heliograph.gateway.wire import to_json

LIST_MAX = 100

_ID = "^[A-Za-z0-9_]+$"
_NEW_FIELDS = ("url", "events", "description")
_CHANGE_FIELDS = (*_NEW_FIELDS, "disabled")


def webhooks_router(context: Context) -> APIRouter:
    """Routes below `/v1/webhooks`."""
    router = APIRouter(prefix="/v1/webhooks", tags=["Webhooks"], default_response_class=Response)
    desk = context.desk

    @router.post("/endpoints", **openapi.ADD_ENDPOINT)
    async def add(request: Request) -> Response:
        caller = context.caller(request)
        fields = (await read_json(request)).fields
        refuse_unknown(fields, _NEW_FIELDS)
        endpoint = await desk.add(
            url=fields.get("url"),
            events=fields.get("events"),
            description=fields.get("description"),
            caller=caller,
        )
        return _answer({**endpoint_json(endpoint), "secret": desk.secret(endpoint)}, HTTPStatus.CREATED)

    @router.get("/endpoints", **openapi.LIST_ENDPOINTS)
    async def list_endpoints(request: Request) -> Response:
        found = desk.endpoints(context.caller(request))
        return _answer({"object": "list", "data": [endpoint_json(endpoint) for endpoint in found]})

    @router.get("/endpoints/{endpoint_id}", **openapi.GET_ENDPOINT)
    async def get_endpoint(request: Request, endpoint_id: str) -> Response:
        return _answer(endpoint_json(desk.endpoint(endpoint_id, caller=context.caller(request))))

    @router.patch("/endpoints/{endpoint_id}", **openapi.CHANGE_ENDPOINT)
    async def change(request: Request, endpoint_id: str) -> Response:
        caller = context.caller(request)
        fields = (await read_json(request)).fields
        refuse_unknown(fields, _CHANGE_FIELDS)
        endpoint = await desk.change(
            endpoint_id,
            caller=caller,
            url=fields.get("url"),
            events=fields.get("events"),
            description=fields.get("description"),
            disabled=fields.get("disabled"),
        )
        return _answer(endpoint_json(endpoint))

    @router.delete("/endpoints/{endpoint_id}", **openapi.REMOVE_ENDPOINT)
    async def remove(request: Request, endpoint_id: str) -> Response:
        endpoint = await desk.remove(endpoint_id, caller=context.caller(request))
        return _answer({"id": endpoint.endpoint_id, "object": "webhook_endpoint.deleted", "deleted": True})

    @router.post("/endpoints/{endpoint_id}/rotate", **openapi.ROTATE_SECRET)
    async def rotate(request: Request, endpoint_id: str) -> Response:
        endpoint = await desk.rotate(endpoint_id, caller=context.caller(request))
        return _answer({**endpoint_json(endpoint), "secret": desk.secret(endpoint)})

    @router.post("/endpoints/{endpoint_id}/replay", **openapi.REPLAY_ENDPOINT)
    async def replay_all(request: Request, endpoint_id: str) -> Response:
        caller = context.caller(request)
        fields = (await read_json(request)).fields
        refuse_unknown(fields, ("since",))
        since_s = fields.get("since", 0)
        if isinstance(since_s, bool) or not isinstance(since_s, int | float) or not 0 <= since_s < 2**53:
            raise InvalidRequest(
                "since must be a time in seconds since the epoch.", param="since", code="invalid_since"
            )
        return _answer(endpoint_json(await desk.replay_all(endpoint_id, since_s=float(since_s), caller=caller)))

    @router.get("/deliveries", **openapi.LIST_DELIVERIES)
    async def list_deliveries(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 20,
        before: Annotated[str | None, Query(pattern=_ID, max_length=64)] = None,
        endpoint: Annotated[str | None, Query(pattern=_ID, max_length=64)] = None,
    ) -> Response:
        found = await desk.deliveries(
            caller=context.caller(request), limit=limit + 1, endpoint_id=endpoint, before=before
        )
        page, has_more = found[:limit], len(found) > limit
        body = {
            "object": "list",
            "data": [delivery_json(message) for message in page],
            "has_more": has_more,
            "next_before": page[-1].message_id if has_more else None,
        }
        return _answer(body)

    @router.get("/deliveries/{delivery_id}", **openapi.GET_DELIVERY)
    async def get_delivery(request: Request, delivery_id: str) -> Response:
        return _answer(_with_tries(await desk.delivery(delivery_id, caller=context.caller(request))))

    @router.post("/deliveries/{delivery_id}/replay", **openapi.REPLAY_DELIVERY)
    async def replay(request: Request, delivery_id: str) -> Response:
        return _answer(_with_tries(await desk.replay(delivery_id, caller=context.caller(request))))

    @router.get("/default/secret", **openapi.DEFAULT_SECRET)
    async def default_secret(request: Request) -> Response:
        return _answer({"key": desk.default_secret(context.caller(request))})

    return router


def endpoint_json(endpoint: WebhookEndpoint) -> dict[str, object]:
    """An endpoint without its secret."""
    return {
        "id": endpoint.endpoint_id,
        "object": "webhook_endpoint",
        "url": endpoint.url,
        "events": [event.value for event in endpoint.events],
        "description": endpoint.description,
        "created_at": endpoint.created_at_s,
        "disabled_at": endpoint.disabled_at_s,
        "disabled_reason": endpoint.disabled_reason,
    }


def delivery_json(message: WebhookMessage) -> dict[str, object]:
    """A message on its way, or arrived, or given up."""
    is_waiting = message.state is MessageState.WAITING
    return {
        "id": message.message_id,
        "object": "webhook_delivery",
        "event_id": message.event_id,
        "event": message.event.value,
        "job_id": message.job_id,
        "target": message.target,
        "state": message.state.value,
        "tries": message.tries,
        "created_at": message.at_s,
        "next_try_at": message.next_at_s if is_waiting else None,
        "ended_at": message.ended_at_s,
        "last_error": message.last_error,
    }


def _with_tries(delivery: Delivery) -> dict[str, object]:
    return {**delivery_json(delivery.message), "log": [_try_json(one) for one in delivery.tries]}


def _try_json(one: WebhookTry) -> dict[str, object]:
    return {
        "number": one.number,
        "at": one.at_s,
        "duration_s": round(one.duration_s, 3),
        "status": one.status,
        "error": one.error,
    }


def _answer(body: Mapping[str, object], code: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(to_json(body), status_code=code, media_type="application/json")
