"""How many calls a tenant may make: token buckets, and how they are told in headers.

A bucket holds at most `quota` tokens and fills evenly, `quota` in `window_s` seconds; a call takes one. So a tenant may
spend its quota in a burst and then goes on at the even pace, and there is no window whose end everybody waits for.
Buckets are kept for tenants with keys only, and dropped when they are full.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from heliograph.domain.errors import Overloaded
from heliograph.domain.ids import TenantId

SWEEP_EVERY = 1_024
"""Calls between two looks for buckets that are full again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePolicy:
    """`quota` calls in `window_s` seconds. `name` tells policies apart in headers and messages."""

    name: str
    quota: int
    window_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a tenant stands with a policy after a call. `retry_after_s` is None when the call may go on; `full_in_s` is
    when the whole quota is there again."""

    policy: RatePolicy
    remaining: int
    full_in_s: float
    retry_after_s: float | None


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


@dataclass(slots=True)
class RateLimiter:
    """The buckets of all tenants, for any number of policies. Owned by the event loop."""

    _buckets: dict[tuple[TenantId, str], _Bucket] = field(default_factory=dict[tuple[TenantId, str], _Bucket])
    _calls: int = 0

    def take(self, tenant_id: TenantId, policy: RatePolicy, *, now_s: float) -> Standing:
        """Count one call of a tenant; one that is refused takes nothing."""
        self._calls += 1
        if self._calls % SWEEP_EVERY == 0:
            self._sweep(now_s, policy)
        bucket = self._buckets.setdefault((tenant_id, policy.name), _Bucket(tokens=policy.quota, at_s=now_s))
        pace = policy.quota / policy.window_s
        bucket.tokens = min(policy.quota, bucket.tokens + max(0.0, now_s - bucket.at_s) * pace)
        bucket.at_s = now_s
        is_allowed = bucket.tokens >= 1.0
        if is_allowed:
            bucket.tokens -= 1.0
        return Standing(
            policy=policy,
            remaining=int(bucket.tokens),
            full_in_s=(policy.quota - bucket.tokens) / pace,
            retry_after_s=None if is_allowed else (1.0 - bucket.tokens) / pace,
        )

    def _sweep(self, now_s: float, policy: RatePolicy) -> None:
        """Drop what nobody has used for a whole window: it is full by now."""
        unused = [key for key, bucket in self._buckets.items() if now_s - bucket.at_s > policy.window_s]
        for key in unused:
            del self._buckets[key]


def refusal(standing: Standing) -> Overloaded:
    """The error for a call that is one too many."""
    policy = standing.policy
    return Overloaded(
        f"This key's tenant may make {policy.quota} {policy.name} in {policy.window_s:g} s and has made them. "
        f"The next one is possible in {standing.retry_after_s:.1f} s.",
        code="rate_limit_exceeded",
        retry_after_s=standing.retry_after_s,
    )


def rate_headers(standings: tuple[Standing, ...]) -> Mapping[str, str]:
    """The IETF draft's two headers for all policies, and OpenAI's three for the one that is nearest to its end."""
    if not standings:
        return {}
    nearest = min(standings, key=lambda each: each.remaining / each.policy.quota)
    return {
        "RateLimit-Policy": ", ".join(
            f'"{each.policy.name}";q={each.policy.quota};w={each.policy.window_s:.0f}' for each in standings
        ),
        "RateLimit": ", ".join(
            f'"{each.policy.name}";r={each.remaining};t={math.ceil(each.full_in_s)}' for each in standings
        ),
        "x-ratelimit-limit-requests": str(nearest.policy.quota),
        "x-ratelimit-remaining-requests": str(nearest.remaining),
        "x-ratelimit-reset-requests": f"{nearest.full_in_s:.3f}s",
    }
