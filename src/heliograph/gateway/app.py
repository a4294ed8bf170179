"""The HTTP API as one ASGI application, built from what `heliograph.app` hands over."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Lifespan

import heliograph
from heliograph.account_desk import AccountDesk
from heliograph.domain.errors import HeliographError, InvalidRequest
from heliograph.gateway import openapi_keeping, openapi_provenance
from heliograph.gateway.accounts import accounts_router
from heliograph.gateway.admin import admin_router
from heliograph.gateway.audit import Audited, audit_router
from heliograph.gateway.context import Audit, Context
from heliograph.gateway.diagnosis import diagnosis_router
from heliograph.gateway.egress import CountEgress, EgressMeter
from heliograph.gateway.errors import ProtocolError
from heliograph.gateway.importing import import_router
from heliograph.gateway.inputs import inputs_router
from heliograph.gateway.insight import insight_router
from heliograph.gateway.jobs import jobs_router
from heliograph.gateway.keeping import keeping_router
from heliograph.gateway.keys import KeyRing
from heliograph.gateway.middleware import Answered, BodyLimit, Envelope, OpenDoorGuard, problem_response
from heliograph.gateway.moderation import appeals_router, moderation_router
from heliograph.gateway.openai_images import openai_images_router
from heliograph.gateway.openapi import describe
from heliograph.gateway.operations import operations_router
from heliograph.gateway.outputs import outputs_router
from heliograph.gateway.overload import CallLimits
from heliograph.gateway.picture_links import PictureLinks
from heliograph.gateway.provenance import provenance_router
from heliograph.gateway.replicate import replicate_router
from heliograph.gateway.reproductions import reproductions_router
from heliograph.gateway.review_desk import ReviewDesk
from heliograph.gateway.videos import videos_router
from heliograph.gateway.web_page import add_page
from heliograph.gateway.webhook_desk import WebhookDesk
from heliograph.gateway.webhooks import webhooks_router
from heliograph.insight import Insight
from heliograph.keeper import Keeper
from heliograph.service import Service
from heliograph.settings import GatewaySettings, LimitSettings

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

_DOCS_HEADERS = {
    # Swagger UI is a page of its own making: a script from its CDN, started by an inline one.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline' https://cdn.jsdelivr.net; "
        "style-src 'unsafe-inline' https://cdn.jsdelivr.net; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


def create_app(
    service: Service,
    *,
    keys: KeyRing,
    settings: GatewaySettings,
    limits: LimitSettings,
    metrics: Callable[[], Awaitable[tuple[bytes, str]]],
    links: PictureLinks,
    desk: WebhookDesk,
    keeper: Keeper,
    page_dir: Path | None,
    clock: Callable[[], float],
    new_id: Callable[[], str],
    closing: asyncio.Event,
    operator_key: str,
    review: ReviewDesk,
    insight: Insight,
    audit: Audit,
    accounts: AccountDesk,
    observe: Callable[[Answered], None] | None = None,
    public_url: str | None = None,
    count_egress: CountEgress = lambda _tenant_id, _count: None,
    lifespan: Lifespan[FastAPI] | None = None,
) -> FastAPI:
    """The application.

    `metrics` gives Prometheus's text and its content type, `clock` seconds since the epoch, `new_id` letters and digits
    that never come twice. `operator_key` opens what only the operator may do; `insight` knows how things are, `audit`
    what was ordered, `accounts` what tenants may order, `review` what people look at, and `observe` is told of each
    answer. `page_dir` holds the built page; `public_url` is what the outside calls this server.
    Setting `closing` ends event streams and held calls politely: set it a moment after jobs have been drained, so that
    the last pictures get out, and before the HTTP server waits for its connections.
    """
    app = FastAPI(
        title="Heliograph",
        version=heliograph.__version__,
        summary="Prompt in, delivered picture out.",
        description="`docs/reference/api.md` tells the same in prose.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    context = Context(
        service=service,
        keys=keys,
        settings=settings,
        metrics=metrics,
        links=links,
        desk=desk,
        clock=clock,
        closing=closing,
        public_url=public_url,
        operator_key=operator_key,
        review=review,
        insight=insight,
        audit=audit,
        accounts=accounts,
    )
    for router in (
        jobs_router(context),
        reproductions_router(context),
        outputs_router(context),
        keeping_router(context, keeper),
        provenance_router(context),
        openai_images_router(context),
        videos_router(context),
        inputs_router(context),
        import_router(context),
        webhooks_router(context),
        replicate_router(context),
        operations_router(context),
        admin_router(context),
        diagnosis_router(context),
        moderation_router(context),
        appeals_router(context),
        insight_router(context),
        audit_router(context),
        accounts_router(context),
    ):
        app.include_router(router)
    add_page(app, page_dir, pictures_at=None if links.edge is None else links.edge.base_url)
    app.add_route("/docs", _docs, include_in_schema=False)
    app.openapi = partial(describe, app, openapi_keeping.SCHEMAS | openapi_provenance.SCHEMAS)
    app.add_exception_handler(HeliographError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_bad_parameter)
    app.add_exception_handler(HTTPException, _answer_http_error)
    # Added last is outermost.
    app.add_middleware(Audited, audit=audit, clock=clock)
    app.add_middleware(
        BodyLimit,
        bytes_max=settings.body_bytes_max,
        upload_bytes_max=settings.upload_bytes_max,
        bytes_held_max=limits.body_bytes_held_max,
    )
    app.add_middleware(CallLimits, keys=keys, limits=limits, clock=clock)
    app.add_middleware(OpenDoorGuard, keys=keys)
    app.add_middleware(EgressMeter, keys=keys, count=count_egress)
    app.add_middleware(Envelope, new_id=new_id, clock=clock, observe=observe)
    return app


async def _docs(_request: Request) -> Response:
    page = get_swagger_ui_html(openapi_url="/openapi.json", title="Heliograph API", swagger_favicon_url="data:,")
    page.headers.update(_DOCS_HEADERS)
    return page


async def _answer_error(request: Request, error: Exception) -> Response:
    return problem_response(error, request.scope)


async def _answer_bad_parameter(request: Request, error: Exception) -> Response:
    first = cast(RequestValidationError, error).errors()[0]
    name = str(first["loc"][-1])
    message = f"{name} in the {first['loc'][0]} is not valid: {first['msg']}."
    return problem_response(InvalidRequest(message, param=name, code=f"invalid_{name}"), request.scope)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    """What the router says: no such path, or another method."""
    status = HTTPStatus(cast(HTTPException, error).status_code)
    what = f"{request.method} {request.url.path}"
    match status:
        case HTTPStatus.NOT_FOUND:
            refusal = ProtocolError(
                status, f"There is no {what}. /openapi.json lists what there is.", code="no_such_path"
            )
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(_methods_of(request))
            refusal = ProtocolError(
                status, f"{what} is not possible; {allowed} is.", code="method_not_allowed", headers={"Allow": allowed}
            )
        case _:
            refusal = ProtocolError(status, status.phrase, code=status.name.lower())
    return problem_response(refusal, request.scope)


def _methods_of(request: Request) -> list[str]:
    routes = cast(FastAPI, request.app).routes
    return [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]
