"""The catalogue, and what operators and their machines ask: alive, ready, how much."""

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response

from heliograph.domain.errors import PermissionDenied
from heliograph.gateway import openapi
from heliograph.gateway.binding import is_loopback
from heliograph.gateway.context import Context
from heliograph.gateway.wire import model_json, to_json


def operations_router(context: Context) -> APIRouter:
    """`/v1/models`, `/healthz`, `/readyz` and `/metrics`."""
    router = APIRouter(default_response_class=Response)
    service = context.service

    @router.head("/v1/models", include_in_schema=False)
    @router.get("/v1/models", **openapi.MODELS)
    async def models(request: Request) -> Response:
        context.caller(request)
        data = [model_json(model, styles=service.style_names(model.card.model_id)) for model in service.models()]
        return Response(to_json({"object": "list", "data": data}), media_type="application/json")

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz", **openapi.HEALTHZ)
    async def healthz() -> Response:
        return Response(to_json({"status": "ok"}), media_type="application/json")

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz", **openapi.READYZ)
    async def readyz() -> Response:
        readiness = service.readiness()
        is_ready = readiness.is_ready and not context.closing.is_set()
        problems = dict(readiness.problems)
        if context.closing.is_set():
            problems["server"] = "shutting down"
        return Response(
            to_json({"status": "ready" if is_ready else "not_ready", "problems": problems}),
            status_code=HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE,
            media_type="application/json",
        )

    @router.get("/metrics", **openapi.METRICS)
    async def metrics(request: Request) -> Response:
        peer = request.client.host if request.client is not None else "localhost"
        # The Host header, too: a page in this machine's browser may have pointed a name of its own at this address.
        if not (is_loopback(peer) and is_loopback(request.url.hostname or "")):
            raise PermissionDenied("Metrics are for this machine: scrape from there, or through a tunnel.")
        body, content_type = await context.metrics()
        return Response(body, headers={"Content-Type": content_type})

    return router
