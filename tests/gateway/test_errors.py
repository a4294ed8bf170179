from http import HTTPStatus

import pytest

from heliograph.domain.errors import (
    AuthenticationError,
    Conflict,
    EngineError,
    EngineErrorKind,
    HeliographError,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    Timeout,
    Unavailable,
)
from heliograph.gateway.errors import ProtocolError, problem

TABLE = [
    (InvalidRequest("Bad.", param="n", code="invalid_n"), 400, "invalid_request_error", "invalid_n", {}),
    (
        AuthenticationError("Who?"),
        401,
        "authentication_error",
        "invalid_api_key",
        {"WWW-Authenticate": 'Bearer realm="heliograph"'},
    ),
    (PermissionDenied("No."), 403, "permission_error", "permission_denied", {}),
    (NotFound("Where?"), 404, "invalid_request_error", "not_found", {}),
    (Conflict("Again?"), 422, "invalid_request_error", "conflict", {}),
    (
        Overloaded("Full.", retry_after_s=1.25),
        429,
        "rate_limit_error",
        "queue_full",
        {"Retry-After": "2", "retry-after-ms": "1250"},
    ),
    (Overloaded("Full for good."), 429, "rate_limit_error", "queue_full", {"x-should-retry": "false"}),
    (
        Unavailable("Disk full.", retry_after_s=30),
        503,
        "server_error",
        "unavailable",
        {"Retry-After": "30", "retry-after-ms": "30000"},
    ),
    (
        Timeout("Later.", job_id="job_1"),
        504,
        "server_error",
        "wait_timeout",
        {"X-Heliograph-Job-Id": "job_1", "x-should-retry": "false"},
    ),
    (
        EngineError(EngineErrorKind.OUT_OF_MEMORY, "Too big."),
        500,
        "server_error",
        "engine_out_of_memory",
        {"x-should-retry": "false"},
    ),
    (
        ProtocolError(HTTPStatus.METHOD_NOT_ALLOWED, "Not so.", code="method_not_allowed", headers={"Allow": "GET"}),
        405,
        "invalid_request_error",
        "method_not_allowed",
        {"Allow": "GET"},
    ),
    (HeliographError("Odd."), 500, "server_error", "internal_error", {"x-should-retry": "false"}),
]


@pytest.mark.parametrize(("error", "status", "kind", "code", "headers"), TABLE)
def test_every_error_has_its_answer(
    error: HeliographError, status: int, kind: str, code: str, headers: dict[str, str]
) -> None:
    answer = problem(error, instance="/v1/jobs", request_id="req_1")
    assert answer.status == status
    assert answer.headers == headers
    assert (
        answer.body["error"].items()
        >= {
            "message": error.message,
            "type": kind,
            "param": error.param,
            "code": code,
        }.items()
    )
    assert answer.body | {"error": None} == {
        "error": None,
        "type": "about:blank",
        "title": answer.status.phrase,
        "status": status,
        "detail": error.message,
        "instance": "/v1/jobs",
        "request_id": "req_1",
    }


def test_nothing_is_told_of_an_unexpected_error_but_where_to_look() -> None:
    answer = problem(ZeroDivisionError("the secret"), instance="/", request_id="req_9")
    assert answer.status == 500
    assert "secret" not in str(answer.body)
    assert "req_9" in answer.body["detail"]


def test_the_job_behind_an_error_is_named() -> None:
    answer = problem(Timeout("Later.", job_id="job_1"), instance="/", request_id="req_1")
    assert answer.body["error"]["job_id"] == "job_1"
