"""What the API sends, counted by tenant: the bytes of every answer's body, streams included."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heliograph.domain.billing_records import NO_TENANT
from heliograph.domain.errors import AuthenticationError
from heliograph.domain.ids import TenantId
from heliograph.gateway.keys import KeyRing

CountEgress = Callable[[TenantId, int], None]
"""Tenant (`NO_TENANT` for nobody's) and bytes."""

TENANT, ELSEWHERE_BYTES = "egress_tenant", "egress_elsewhere_bytes"
"""What a route may write into the request's state: whose answer it is when no key says so, and how many bytes somebody
else sends in our name (an object store to which a reader is sent on)."""


class EgressMeter:
    """Middleware. An answer that breaks off counts as far as it came."""

    def __init__(self, app: ASGIApp, *, keys: KeyRing, count: CountEgress) -> None:
        self._app = app
        self._keys = keys
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything through and count."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state: dict[str, object] = scope.setdefault("state", {})
        sent_bytes = 0

        async def counting(message: Message) -> None:
            nonlocal sent_bytes
            await send(message)
            if message["type"] == "http.response.body" and scope["method"] != "HEAD":
                sent_bytes += len(message.get("body", b""))

        try:
            await self._app(scope, receive, counting)
        finally:
            elsewhere = state.get(ELSEWHERE_BYTES, 0)
            total = sent_bytes + (elsewhere if isinstance(elsewhere, int) else 0)
            if total:
                self._count(self._tenant(scope, state), total)

    def _tenant(self, scope: Scope, state: dict[str, object]) -> TenantId:
        said = state.get(TENANT)
        if isinstance(said, str):
            return TenantId(said)
        try:
            return self._keys.caller(Headers(scope=scope).get("authorization")).tenant_id
        except AuthenticationError:
            return NO_TENANT
