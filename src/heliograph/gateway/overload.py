"""Says no before it is too much: bounds on open calls, on their rate, and on the bytes of bodies held at once.

Plain ASGI, like the rest of what surrounds the routes. An open call is one whose answer has not ended: a submission, a
call that is held until its job is done, a stream. Health checks are never refused.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heliograph.domain.accounts import Caller
from heliograph.domain.errors import AuthenticationError, HeliographError, Overloaded, PermissionDenied
from heliograph.domain.ids import TenantId
from heliograph.domain.tiers import Tier
from heliograph.gateway.keys import KeyRing
from heliograph.gateway.middleware import problem_response
from heliograph.gateway.rate_limit import RateLimiter, RatePolicy, Standing, rate_headers, refusal
from heliograph.settings import LimitSettings

_UNBOUNDED = frozenset({"/healthz", "/readyz", "/metrics"})
_SUBMISSIONS = re.compile(
    r"/v1/(?:jobs|images/generations|images/edits|predictions|models/[^/]+/[^/]+/predictions)", re.ASCII
)


class CallLimits:
    """Refuses calls beyond `limits` with 429, and tells each caller how it stands."""

    def __init__(self, app: ASGIApp, *, keys: KeyRing, limits: LimitSettings, clock: Callable[[], float]) -> None:
        self._app = app
        self._keys = keys
        self._limits = limits
        self._clock = clock
        self._limiter = RateLimiter()
        self._open = 0
        self._open_of: Counter[TenantId] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http" or scope["path"] in _UNBOUNDED:
            await self._app(scope, receive, send)
            return
        caller = self._caller(scope)
        standings: tuple[Standing, ...] = ()
        error = self._too_many(caller)
        if error is None and caller is not None:
            standings = self._standings(caller, scope)
            error = next((refusal(each) for each in standings if each.retry_after_s is not None), None)
        headers = rate_headers(standings)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        answer = send_with_headers if headers else send
        if error is not None:
            await problem_response(error, scope)(scope, receive, answer)
            return
        tenant_id = None if caller is None else caller.tenant_id
        self._enter(tenant_id)
        try:
            await self._app(scope, receive, answer)
        finally:
            self._leave(tenant_id)

    def _caller(self, scope: Scope) -> Caller | None:
        """Who calls; None for those without a key, whom the route will judge."""
        try:
            return self._keys.caller(Headers(scope=scope).get("authorization"))
        except (AuthenticationError, PermissionDenied):
            return None

    def _too_many(self, caller: Caller | None) -> HeliographError | None:
        if self._open >= self._limits.open_calls_max:
            return Overloaded(
                f"{self._open} calls are open, more than this server takes. Try again in a second.",
                code="too_many_calls",
                retry_after_s=1.0,
            )
        if caller is not None and self._open_of[caller.tenant_id] >= self._limits.open_calls_max_per_tenant:
            return Overloaded(
                f"Your tenant has {self._limits.open_calls_max_per_tenant} calls open. Wait for one of them to end.",
                code="too_many_calls",
                retry_after_s=1.0,
            )
        return None

    def _standings(self, caller: Caller, scope: Scope) -> tuple[Standing, ...]:
        """The policies that count this call, with the call counted."""
        is_submission = scope["method"] == "POST" and _SUBMISSIONS.fullmatch(scope["path"]) is not None
        policies = [_policy("requests", self._limits.requests_per_minute, caller)]
        if is_submission:
            policies.append(_policy("submissions", self._limits.submissions_per_minute, caller))
        now_s = self._clock()
        return tuple(
            self._limiter.take(caller.tenant_id, policy, now_s=now_s) for policy in policies if policy is not None
        )

    def _enter(self, tenant_id: TenantId | None) -> None:
        self._open += 1
        if tenant_id is not None:
            self._open_of[tenant_id] += 1

    def _leave(self, tenant_id: TenantId | None) -> None:
        self._open -= 1
        if tenant_id is not None:
            self._open_of[tenant_id] -= 1
            if not self._open_of[tenant_id]:
                del self._open_of[tenant_id]


def _policy(name: str, per_minute: Mapping[Tier, int], caller: Caller) -> RatePolicy | None:
    quota = per_minute.get(caller.tier)
    return None if quota is None else RatePolicy(name=name, quota=quota)
