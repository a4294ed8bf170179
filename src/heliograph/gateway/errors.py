"""From an exception to an HTTP answer: one table, one body that OpenAI, Replicate and RFC 9457 clients all read.

Official OpenAI clients retry 408, 409, 429 and every 5xx twice on their own, and a retried submission costs GPU time
again. So nothing permanent is a 409, and such an answer says `x-should-retry: false` unless a retry can help.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from heliograph.domain.errors import (
    AuthenticationError,
    CallerError,
    Conflict,
    EngineError,
    HeliographError,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    PromptRefused,
    Timeout,
    Unavailable,
    WorldError,
)
from heliograph.gateway.wire import eta_json

JOB_ID_HEADER = "X-Heliograph-Job-Id"
MEDIA_TYPE = "application/problem+json"

STATUS_OF: Mapping[type[HeliographError], HTTPStatus] = {
    InvalidRequest: HTTPStatus.BAD_REQUEST,
    AuthenticationError: HTTPStatus.UNAUTHORIZED,
    PermissionDenied: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.UNPROCESSABLE_ENTITY,
    Overloaded: HTTPStatus.TOO_MANY_REQUESTS,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    Timeout: HTTPStatus.GATEWAY_TIMEOUT,
    EngineError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

_TYPE_OF: Mapping[HTTPStatus, str] = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}

_TYPE_OF_CODE: Mapping[str, str] = {"moderation_blocked": "image_generation_user_error"}
"""As OpenAI's own answers name it, which its clients look for."""

_PROBLEM_TYPE_OF: Mapping[str, str] = {
    "rate_limit_exceeded": "https://iana.org/assignments/http-problem-types#quota-exceeded",
    "too_many_calls": "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
    "too_many_bodies": "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
}
"""As the IETF draft on rate limits names them."""

_RETRIED_BY_CLIENTS = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS})


class ProtocolError(CallerError):
    """The request breaks a rule of HTTP itself: no such path, wrong method, body too large or of the wrong type."""

    def __init__(
        self, status: HTTPStatus, message: str, *, code: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.headers = headers or {}


class JobNotCompleted(WorldError):
    """The call that waited for this job ends without pictures."""

    def __init__(self, status: HTTPStatus, message: str, *, code: str, job_id: str) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.job_id = job_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error as it goes over the wire."""

    status: HTTPStatus
    body: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def problem(error: Exception, *, instance: str, request_id: str) -> Problem:
    """The answer to a request for path `instance` that failed with `error`; of an unexpected one nothing is told."""
    if not isinstance(error, HeliographError):
        error = HeliographError(f"This is a fault in the server. Its operator finds it in the log under {request_id}.")
    status = status_of(error)
    return Problem(
        status=status,
        body={
            "error": error_object(error),
            "type": _PROBLEM_TYPE_OF.get(error.code, "about:blank"),
            "title": status.phrase,
            "status": status.value,
            "detail": error.message,
            "instance": instance,
            "request_id": request_id,
        },
        headers=_headers(error, status),
    )


def _alternatives(error: HeliographError) -> list[dict[str, object]]:
    return [{"model": each.model_id, "eta": eta_json(each.eta)} for each in error.alternatives]


def status_of(error: HeliographError) -> HTTPStatus:
    """The table, and 500 for what is not in it."""
    if isinstance(error, ProtocolError | JobNotCompleted):
        return error.status
    for kind in type(error).__mro__:
        if kind in STATUS_OF:
            return STATUS_OF[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def error_object(error: HeliographError) -> dict[str, object]:
    """OpenAI's error object, with `job_id` where a job is behind it."""
    status = status_of(error)
    default = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    body: dict[str, object] = {
        "message": error.message,
        "type": _TYPE_OF_CODE.get(error.code) or _TYPE_OF.get(status, default),
        "param": error.param,
        "code": error.code,
    }
    if isinstance(error, Timeout | JobNotCompleted):
        body["job_id"] = error.job_id
    if error.alternatives:
        body["alternatives"] = _alternatives(error)
    if isinstance(error, PromptRefused):
        body["moderation_details"] = moderation_details(error)
    return body


def moderation_details(error: PromptRefused) -> dict[str, object]:
    """Why a prompt was refused: OpenAI's `moderation_stage` and `categories`, and what else there is to say."""
    verdict = error.verdict
    span = verdict.span
    return {
        "moderation_stage": "input",
        "categories": [] if verdict.category is None else [verdict.category.value],
        "score": round(verdict.score, 4),
        "span": None if span is None else {"start": span.start, "end": span.end, "text": span.text},
        "evidence": list(verdict.evidence),
        "refusal_id": error.refusal_id,
        "appeal": error.appeal,
    }


def _headers(error: HeliographError, status: HTTPStatus) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, ProtocolError):
        headers |= error.headers
    if isinstance(error, AuthenticationError):
        headers["WWW-Authenticate"] = 'Bearer realm="heliograph"'
    if isinstance(error, Timeout | JobNotCompleted):
        headers[JOB_ID_HEADER] = error.job_id
    retry_after_s = error.retry_after_s if isinstance(error, WorldError) else None
    if retry_after_s is not None:
        # Retry-After counts whole seconds, and coming back too early earns a second refusal: round up.
        headers["Retry-After"] = str(math.ceil(retry_after_s))
        headers["retry-after-ms"] = str(math.ceil(retry_after_s * 1000))
    elif status in _RETRIED_BY_CLIENTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        headers["x-should-retry"] = "false"
    return headers
