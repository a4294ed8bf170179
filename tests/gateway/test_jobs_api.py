import asyncio

import httpx
import pytest

from heliograph.domain.errors import (
    AuthenticationError,
    Conflict,
    EngineError,
    EngineErrorKind,
    InvalidRequest,
    Overloaded,
    PermissionDenied,
    Timeout,
    Unavailable,
)
from heliograph.domain.ids import JobId, TenantId
from heliograph.domain.job import JobState
from heliograph.domain.tiers import Tier
from heliograph.gateway.jobs import preferred_wait_s
from heliograph.gateway.keys import KeyRing, mint
from tests.gateway.conftest import Gateway, frames
from tests.gateway.fake_service import JPEG

SECRET, KEY = mint(entropy=bytes(32), tenant_id=TenantId("acme"), tier=Tier.PRO, name="a", now_s=0.0)
OTHER_SECRET, OTHER_KEY = mint(entropy=b"x" * 32, tenant_id=TenantId("other"), tier=Tier.FREE, name="b", now_s=0.0)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def test_a_job_is_submitted_looked_at_and_listed(gateway: Gateway, client: httpx.AsyncClient) -> None:
    gateway.service.is_instant = False
    created = await client.post("/v1/jobs", json={"prompt": "a cat", "seed": 3, "user": "ann", "deadline_s": 60})
    assert created.status_code == 201
    job = created.json()
    assert (job["id"], job["status"], job["queue_position"]) == ("job_1", "pending", 1)
    assert created.headers["location"] == "/v1/jobs/job_1"
    assert created.headers["x-heliograph-job-id"] == "job_1"
    assert created.headers["cache-control"] == "no-store"
    submission = gateway.service.submissions[0]
    assert (submission.raw.prompt, submission.raw.seed, submission.end_user) == ("a cat", 3, "ann")
    assert (submission.deadline_s, submission.route, submission.idempotency_key) == (60, "/v1/jobs", None)

    gateway.service.complete(JobId("job_1"))
    looked = await client.get(job["urls"]["self"])
    assert looked.json()["status"] == "completed"
    assert looked.headers["x-heliograph-job-id"] == "job_1"
    listed = (await client.get("/v1/jobs")).json()
    assert listed == {"object": "list", "data": [looked.json()], "has_more": False, "next_before": None}


async def test_what_the_body_refuses_is_recorded(gateway: Gateway, client: httpx.AsyncClient) -> None:
    await client.post("/v1/jobs", json={"prompt": "a cat", "colour": 1})
    await client.post("/v1/images/generations", json={"prompt": "a cat", "background": "transparent"})
    assert [(code, param) for code, param, _ in gateway.service.refusals] == [
        ("unsupported_parameter", "colour"),
        ("unsupported_parameter", "background"),
    ]


async def test_a_body_that_does_not_come_is_not_waited_for(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.gateway.json_body.BODY_S_MAX", 0.05)

    async with gateway.server() as url, httpx.AsyncClient(base_url=url) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = (
            "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
        )
        writer.write(head.encode())
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert b" 408 " in answer.splitlines()[0]
        assert b"request_timeout" in answer
        assert (await client.get("/healthz")).status_code == 200


async def test_a_submission_may_wait_for_its_end(gateway: Gateway, client: httpx.AsyncClient) -> None:
    gateway.service.is_instant = False
    ask = asyncio.create_task(client.post("/v1/jobs", json={"prompt": "a cat"}, headers={"Prefer": "wait=20"}))
    while not gateway.service.submissions:
        await asyncio.sleep(0.001)
    gateway.service.complete(JobId("job_1"))
    answer = await ask
    assert (answer.status_code, answer.json()["status"]) == (201, "completed")
    assert answer.headers["preference-applied"] == "wait=20"
    assert answer.json()["outputs"]


async def test_a_submission_that_waited_long_enough_says_how_far_it_is(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    gateway.service.is_instant = False
    answer = await client.post("/v1/jobs", json={"prompt": "a cat"}, headers={"Prefer": "respond-async, wait=0"})
    assert (answer.status_code, answer.json()["status"]) == (201, "pending")


@pytest.mark.parametrize(
    ("prefer", "wait_s"),
    [
        ("", None),
        ("respond-async", None),
        ("wait", 95.0),
        ("wait=10", 10.0),
        ('return=minimal, WAIT="7"; foo', 7.0),
        ("wait=1000000", 95.0),
        ("wait=soon", None),
        ("wait=-1", None),
    ],
)
def test_how_long_a_client_prefers_to_wait(prefer: str, wait_s: float | None) -> None:
    assert preferred_wait_s(prefer, hold_s_max=95.0) == wait_s


async def test_pages_follow_one_another(client: httpx.AsyncClient) -> None:
    for _ in range(5):
        await client.post("/v1/jobs", json={"prompt": "a cat"})
    seen: list[str] = []
    query = "limit=2"
    while True:
        page = (await client.get(f"/v1/jobs?{query}")).json()
        seen += [job["id"] for job in page["data"]]
        if not page["has_more"]:
            break
        query = f"limit=2&before={page['next_before']}"
    assert seen == ["job_5", "job_4", "job_3", "job_2", "job_1"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=many", "before=-1", "before=x"])
async def test_a_wrong_query_parameter_is_named(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/v1/jobs?{query}")
    name = query.partition("=")[0]
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == name
    assert answer.json()["error"]["code"] == f"invalid_{name}"


async def test_cancelling_twice_is_cancelling_once(gateway: Gateway, client: httpx.AsyncClient) -> None:
    gateway.service.is_instant = False
    await client.post("/v1/jobs", json={"prompt": "a cat"})
    first, second = [await client.post("/v1/jobs/job_1/cancel") for _ in range(2)]
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert first.json()["error"]["code"] == "cancelled"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "prompt", "invalid_prompt"),
        ({"prompt": ""}, "prompt", "invalid_prompt"),
        ({"prompt": "a cat", "seed": "abc"}, "seed", "invalid_seed"),
        ({"prompt": "a cat", "steps": 0}, "steps", "invalid_steps"),
        ({"prompt": "a cat", "colour": "red"}, "colour", "unsupported_parameter"),
        ({"prompt": "a cat", "user": 5}, "user", "invalid_user"),
    ],
)
async def test_a_wrong_field_is_named(
    client: httpx.AsyncClient, body: dict[str, object], param: str, code: str
) -> None:
    answer = await client.post("/v1/jobs", json=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    error = answer.json()["error"]
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error")
    assert answer.json()["instance"] == "/v1/jobs"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ("application/vnd.api+json", 201),
        ("text/plain", 415),
        ("text/json", 415),
        ("multipart/form-data; boundary=x", 415),
        ("", 415),
    ],
)
async def test_a_body_must_be_labelled_json(client: httpx.AsyncClient, content_type: str, status: int) -> None:
    answer = await client.post("/v1/jobs", content=b'{"prompt": "a cat"}', headers={"Content-Type": content_type})
    assert answer.status_code == status


async def test_broken_json_is_refused_with_its_position(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/jobs", content=b'{"prompt": ', headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"
    assert "column 12" in answer.json()["error"]["message"]


async def test_the_idempotency_key_and_the_fingerprint_are_passed_on(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    for body in ('{"prompt":"a cat","n":1}', '{"n": 1, "prompt": "a cat"}', '{"prompt":"a dog"}'):
        headers = {"Content-Type": "application/json", "Idempotency-Key": '"k-1"'}
        await client.post("/v1/jobs", content=body, headers=headers)
    first, second, third = gateway.service.submissions
    assert (
        (first.idempotency_key, first.fingerprint)
        == (second.idempotency_key, second.fingerprint)
        == ("k-1", first.fingerprint)
    )
    assert third.fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRequest("x", param="n"), 400),
        (AuthenticationError("x"), 401),
        (PermissionDenied("x"), 403),
        (Conflict("x"), 422),
        (Overloaded("x", retry_after_s=3), 429),
        (EngineError(EngineErrorKind.CRASH, "x"), 500),
        (Unavailable("x", retry_after_s=3), 503),
        (Timeout("x", job_id="job_9"), 504),
        (ZeroDivisionError("x"), 500),
    ],
)
async def test_each_error_of_the_service_has_its_status(
    gateway: Gateway, client: httpx.AsyncClient, error: Exception, status: int
) -> None:
    gateway.service.error = error
    for answer in (
        await client.post("/v1/jobs", json={"prompt": "a cat"}),
        await client.get("/v1/jobs/job_1"),
        await client.get("/v1/jobs/job_1/events"),
        await client.post("/v1/jobs/job_1/cancel"),
    ):
        assert answer.status_code == status
        assert answer.json()["status"] == status
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_with_keys_a_key_is_needed_and_tenants_are_apart() -> None:
    gateway = Gateway(keys=KeyRing([KEY, OTHER_KEY]))
    async with gateway.client() as client:
        refused = await client.post("/v1/jobs", json={"prompt": "a cat"})
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        for path in ("/v1/jobs", "/v1/jobs/job_1", "/v1/jobs/job_1/events", "/v1/models"):
            assert (await client.get(path)).status_code == 401, path
        assert (await client.post("/v1/jobs/job_1/cancel")).status_code == 401
        assert (await client.post("/v1/images/generations", json={"prompt": "a cat"})).status_code == 401
        assert (await client.get("/healthz")).status_code == 200

        created = await client.post("/v1/jobs", json={"prompt": "a cat"}, headers=bearer(SECRET))
        assert created.status_code == 201
        assert gateway.service.callers[0].tier is Tier.PRO
        assert (await client.get("/v1/jobs/job_1", headers=bearer(OTHER_SECRET))).status_code == 404
        assert (await client.get("/v1/jobs", headers=bearer(OTHER_SECRET))).json()["data"] == []

        gateway.keys.replace([OTHER_KEY])
        assert (await client.get("/v1/jobs/job_1", headers=bearer(SECRET))).status_code == 401


async def test_the_events_of_an_ended_job_are_its_snapshot_and_done(client: httpx.AsyncClient) -> None:
    await client.post("/v1/jobs", json={"prompt": "a cat"})
    answer = await client.get("/v1/jobs/job_1/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-accel-buffering"] == "no"
    assert "content-length" not in answer.headers
    assert [event for event, _ in frames(answer.text)] == ["snapshot", "done"]


async def test_nothing_comes_before_the_snapshot(gateway: Gateway, client: httpx.AsyncClient) -> None:
    service = gateway.service
    service.is_instant = False
    await client.post("/v1/jobs", json={"prompt": "a cat"})

    async def run() -> None:
        # All of it lands before the stream is read for the first time.
        job_id = await service.first_watched()
        service.step(job_id, 1, preview=JPEG)
        service.end(job_id, JobState.FAILED, "engine_crash")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run())
        answer = await client.get("/v1/jobs/job_1/events")
    names = [event for event, _ in frames(answer.text)]
    assert (names[0], names[-1]) == ("snapshot", "done")
