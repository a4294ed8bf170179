"""What one try to deliver a message means for it: delivered, tried again later, or given up."""

from dataclasses import dataclass, replace
from http import HTTPStatus

from heliograph.domain.webhooks import MessageState, WebhookMessage, WebhookTry

_SAYS_WHEN = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
RETRY_AFTER_S_MAX = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """`delays_s`: seconds from a failed try to the next; after the last of them the message is given up. Up to a share
    of `jitter` is added, so that what failed together does not come back together."""

    delays_s: tuple[float, ...]
    jitter: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterTry:
    """The message as it is now. `is_gone`: the receiver wants to hear nothing ever again (410)."""

    message: WebhookMessage
    is_gone: bool = False


def after_try(
    message: WebhookMessage, tried: WebhookTry, policy: RetryPolicy, *, retry_after_s: float | None, luck: float
) -> AfterTry:
    """What becomes of `message` after `tried`. `luck` is a number from 0 to 1, `retry_after_s` what a receiver that is
    overloaded asked for."""
    ended_at_s = tried.at_s + tried.duration_s
    message = replace(message, tries=tried.number)
    if tried.status is not None and 200 <= tried.status < 300:
        return AfterTry(message=replace(message, state=MessageState.DELIVERED, ended_at_s=ended_at_s, last_error=None))
    failed = replace(message, failures=message.failures + 1, last_error=tried.error)
    is_gone = tried.status == HTTPStatus.GONE
    if is_gone or failed.failures > len(policy.delays_s):
        return AfterTry(message=replace(failed, state=MessageState.GIVEN_UP, ended_at_s=ended_at_s), is_gone=is_gone)
    wait_s = policy.delays_s[failed.failures - 1] * (1.0 + policy.jitter * luck)
    if retry_after_s is not None and tried.status in _SAYS_WHEN:
        wait_s = max(wait_s, min(retry_after_s, RETRY_AFTER_S_MAX))
    return AfterTry(message=replace(failed, next_at_s=ended_at_s + wait_s))


def error_of(status: int) -> str | None:
    """What a status means as an error of a delivery; None when it is none."""
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"{status}: redirects are not followed"
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
