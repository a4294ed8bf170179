"""Every order of an operator is written down: who, from where, what, and what came of it.

The middleware sees each call below `/v1/admin` that can change something. The entry is durable before the answer goes
out; where it cannot be, the order was carried out all the same, and the log says that its entry is missing.
"""

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heliograph.domain.errors import Unavailable
from heliograph.gateway import openapi
from heliograph.gateway.admin import check_operator_key
from heliograph.gateway.context import Audit, Context
from heliograph.gateway.insight import limit_of
from heliograph.gateway.middleware import request_id_of
from heliograph.gateway.wire import to_json

PREFIX = "/v1/admin"
BODY_BYTES_MAX = 16_384
"""Of a longer body the entry says how long it was, and no more."""
ENTRIES, ENTRIES_MAX = 100, 1_000
_LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})
_SECRET = re.compile(r"secret|token|password|key", re.IGNORECASE)
_NOBODY = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

_log = structlog.get_logger("heliograph.audit")


class Audited:
    """Writes an entry for each call of the operator that may change something."""

    def __init__(self, app: ASGIApp, *, audit: Audit, clock: Callable[[], float]) -> None:
        self._app = app
        self._audit = audit
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] in _LOOKING or not scope["path"].startswith(PREFIX + "/"):
            await self._app(scope, receive, send)
            return
        body = bytearray()
        length = 0

        async def receive_seen() -> Message:
            nonlocal length
            message = await receive()
            chunk = message.get("body", b"")
            length += len(chunk)
            body.extend(chunk[: BODY_BYTES_MAX + 1 - len(body)])
            return message

        async def send_after_entry(message: Message) -> None:
            # Whoever holds no operator's key orders nothing, and must not fill the log.
            if message["type"] == "http.response.start" and message["status"] not in _NOBODY:
                await self._write(scope, message["status"], bytes(body), length)
            await send(message)

        await self._app(scope, receive_seen, send_after_entry)

    async def _write(self, scope: Scope, status: int, body: bytes, length: int) -> None:
        client = cast("tuple[str, int] | None", scope.get("client"))
        entry = {
            "at": self._clock(),
            "request_id": request_id_of(scope),
            "from": None if client is None else client[0],
            "method": scope["method"],
            "path": scope["path"][:512],
            "body": _shown(body, length),
            "status": status,
        }
        try:
            await self._audit.append(entry)
        except Unavailable as error:
            _log.error("audit entry lost", reason=error.message, **entry)
        else:
            _log.info("operator's order", method=entry["method"], path=entry["path"], status=status)


def _shown(body: bytes, length: int) -> object:
    """The body without what is secret; a number of bytes for what is too long or no JSON."""
    if not length:
        return None
    if length > BODY_BYTES_MAX:
        return {"bytes": length}
    try:
        return _without_secrets(json.loads(body))
    except (ValueError, RecursionError):
        return {"bytes": length}


def _without_secrets(value: object) -> object:
    if isinstance(value, dict):
        return {
            name: "(secret)" if _SECRET.search(name) else _without_secrets(each)
            for name, each in cast("dict[str, object]", value).items()
        }
    if isinstance(value, list):
        return [_without_secrets(each) for each in cast("list[object]", value)]
    return value


def audit_router(context: Context) -> APIRouter:
    """`GET /v1/admin/audit`."""
    router = APIRouter(prefix=PREFIX, tags=["Operations"], default_response_class=Response)

    @router.get("/audit", **openapi.INSIGHT["audit"])
    async def audit(request: Request) -> Response:
        check_operator_key(request.headers.get("authorization"), context.operator_key)
        entries = await context.audit.latest(limit_of(request, default=ENTRIES, maximum=ENTRIES_MAX))
        return Response(to_json({"object": "list", "data": list(entries)}), media_type="application/json")

    return router
