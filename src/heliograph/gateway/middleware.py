"""What surrounds every route, as plain ASGI: each answer's headers, the guard of an open server, the body limit.

Plain ASGI and not `BaseHTTPMiddleware`, which copies every body through a queue and hides the client's hang-up.
"""

import asyncio
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heliograph.domain.errors import HeliographError, Overloaded
from heliograph.gateway.binding import refuse_stranger
from heliograph.gateway.errors import MEDIA_TYPE, ProtocolError, problem
from heliograph.gateway.keys import KeyRing
from heliograph.gateway.wire import to_json
from heliograph.tracing import Call, current_call, parent_of

_log = structlog.get_logger("heliograph.gateway")

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", re.ASCII)

_UPLOADS = re.compile(
    r"/v1/(?:inputs|import|images/edits|(?:models/[^/]+/[^/]+/)?predictions|videos|provenance/verify)", re.ASCII
)
"""Where files are sent."""

DRAIN_BYTES_MAX = 64 * 1024**2
"""How much of a refused body is read and thrown away, so that a client still sending it gets to see the refusal."""
DRAIN_S_MAX = 5.0
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One call: the pattern its path matched, its status, and the code of the problem it was answered with."""

    route: str
    method: str
    status: int
    duration_s: float
    code: str | None


def request_id_of(scope: Scope) -> str:
    """The id that `Envelope` gave the request."""
    return scope["heliograph.request_id"]


def problem_response(error: Exception, scope: Scope) -> Response:
    """The answer for a request that failed with `error`."""
    answer = problem(error, instance=scope["path"], request_id=request_id_of(scope))
    scope["heliograph.problem"] = error.code if isinstance(error, HeliographError) else "server_fault"
    return Response(
        to_json(answer.body), status_code=answer.status, headers=dict(answer.headers), media_type=MEDIA_TYPE
    )


class Envelope:
    """Outermost: gives each request an id (the client's own when it is sane) and turns what nobody expected into a 500.

    Answers that say nothing else about caching are `no-store`: a cached job status would be a lie.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        new_id: Callable[[], str],
        clock: Callable[[], float],
        observe: Callable[[Answered], None] | None,
    ) -> None:
        self._app = app
        self._new_id = new_id
        self._clock = clock
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        incoming = Headers(scope=scope).get("x-request-id", "")
        request_id = incoming if _SANE_REQUEST_ID.fullmatch(incoming) else f"req_{self._new_id()}"
        scope["heliograph.request_id"] = request_id
        has_started = False
        begun_s = self._clock()
        call = Call(request_id=request_id, parent=parent_of(Headers(scope=scope).get("traceparent", "")))
        token = current_call.set(call)

        async def send_enveloped(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                if self._observe is not None:
                    self._observe(_answered(scope, message["status"], self._clock() - begun_s))
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers.setdefault("x-content-type-options", "nosniff")
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            if "\x00" in scope["path"]:  # in no path of ours, and no database takes it as text
                raise ProtocolError(HTTPStatus.NOT_FOUND, "No path holds a NUL.", code="no_such_path")
            await self._app(scope, receive, send_enveloped)
        except ProtocolError as error:
            await problem_response(error, scope)(scope, receive, send_enveloped)
        except Exception as error:
            # The top of the request's task. A bare traceback is logged: one with local variables would hold prompts.
            _log.error(
                "request_failed",
                request_id=request_id,
                method=scope["method"],
                path=scope["path"],
                exception="".join(traceback.format_exception(error)),
            )
            if has_started:
                raise  # half an answer is out; the server must cut the connection
            await problem_response(error, scope)(scope, receive, send_enveloped)
        finally:
            current_call.reset(token)


def _answered(scope: Scope, status: int, duration_s: float) -> Answered:
    route = scope.get("route")
    return Answered(
        route=getattr(route, "path", None) or "other",
        method=scope["method"] if scope["method"] in _METHODS else "OTHER",
        status=status,
        duration_s=duration_s,
        code=scope.get("heliograph.problem"),
    )


class OpenDoorGuard:
    """While there are no keys, only this machine's programs and the server's own page are served."""

    def __init__(self, app: ASGIApp, *, keys: KeyRing) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "http" and self._keys.is_open:
            headers = Headers(scope=scope)
            refusal = refuse_stranger(
                method=scope["method"],
                host=headers.get("host", ""),
                origin=headers.get("origin"),
                fetch_site=headers.get("sec-fetch-site"),
            )
            if refusal is not None:
                await problem_response(refusal, scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyLimit:
    """Refuses bodies over `bytes_max` (where files are sent: `upload_bytes_max`) as they are read, counting bytes: a
    length may be missing or a lie. A body that would bring those of all calls together over `bytes_held_max` is
    refused as well, with 429.

    The refusal is raised into whoever reads the body and becomes a 413 there. Before the answer ends, a bounded part of
    the rest is read and thrown away; closing at once would reset the connection of a client that sends first and reads
    later, and it would never see the answer.
    """

    def __init__(self, app: ASGIApp, *, bytes_max: int, upload_bytes_max: int, bytes_held_max: int) -> None:
        self._app = app
        self._bytes_max = bytes_max
        self._upload_bytes_max = max(bytes_max, upload_bytes_max)
        self._bytes_held_max = bytes_held_max
        self._bytes_held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        bytes_max = self._upload_bytes_max if _UPLOADS.fullmatch(scope["path"]) else self._bytes_max
        declared = headers.get("content-length", "")
        received = int(declared) if declared.isdecimal() and int(declared) > bytes_max else 0
        held = 0
        is_refused = False

        async def receive_counted() -> Message:
            nonlocal received, held, is_refused
            message: Message = {}
            if received <= bytes_max:
                message = await receive()
                length = len(message.get("body", b""))
                received += length
                held += length
                self._bytes_held += length
            if received > bytes_max:
                is_refused = True
                raise ProtocolError(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"The body is larger than {bytes_max} bytes.",
                    code="body_too_large",
                    headers={"Connection": "close"},
                )
            if self._bytes_held > self._bytes_held_max:
                is_refused = True
                raise Overloaded(
                    "The server is reading as many bodies as it has room for. Try again in a second.",
                    code="too_many_bodies",
                    retry_after_s=1.0,
                )
            return message

        async def send_after_draining(message: Message) -> None:
            is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
            # Who asked for permission first (Expect: 100-continue) has sent nothing and waits for this answer.
            if is_refused and is_last and "expect" not in headers:
                await send({**message, "more_body": True})
                await _discard(receive)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        try:
            await self._app(scope, receive_counted, send_after_draining)
        finally:
            self._bytes_held -= held


async def _discard(receive: Receive) -> None:
    discarded = 0
    try:
        async with asyncio.timeout(DRAIN_S_MAX):
            while discarded < DRAIN_BYTES_MAX:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                discarded += len(message.get("body", b""))
    except TimeoutError:
        return
