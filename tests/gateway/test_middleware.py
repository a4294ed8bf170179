import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from structlog.testing import capture_logs

from heliograph.domain.ids import TenantId
from heliograph.domain.tiers import Tier
from heliograph.gateway.keys import mint
from heliograph.settings import GatewaySettings
from tests.gateway.conftest import Gateway

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [
        ("abc-123", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("a b", False),
        ("-a", False),
        ("é", False),
        ("", False),
    ],
)
async def test_every_answer_has_a_request_id(client: httpx.AsyncClient, sent: str, is_kept: bool) -> None:
    headers = [(b"x-request-id", sent.encode("latin-1"))]
    for path in ("/healthz", "/v1/jobs/job_9", "/nothing", "/"):
        answer = await client.get(path, headers=headers)
        assert (answer.headers["x-request-id"] == sent) is is_kept
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await client.get("/healthz")).headers["x-request-id"].startswith("req_")


async def test_a_fault_is_logged_under_the_id_the_client_is_told(gateway: Gateway, client: httpx.AsyncClient) -> None:
    gateway.service.error = ZeroDivisionError("the secret")
    with capture_logs() as logs:
        answer = await client.get("/v1/jobs/job_1")
    assert answer.status_code == 500
    assert answer.headers["x-should-retry"] == "false"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    (entry,) = logs
    assert entry["log_level"] == "error"
    assert entry["request_id"] == answer.headers["x-request-id"]
    assert "ZeroDivisionError: the secret" in entry["exception"]


@pytest.mark.parametrize("host", ["evil.example", "192.168.1.5:8000"])
async def test_an_open_server_answers_to_loopback_names_only(
    gateway: Gateway, client: httpx.AsyncClient, host: str
) -> None:
    for path in ("/", "/healthz", "/v1/jobs", "/openapi.json"):
        answer = await client.get(path, headers={"Host": host})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "host_not_allowed"), path
        assert answer.headers["x-request-id"]
    _, key = mint(entropy=bytes(32), tenant_id=TenantId("acme"), tier=Tier.PRO, name="a", now_s=0.0)
    gateway.keys.replace([key])
    assert (await client.get("/healthz", headers={"Host": host})).status_code == 200


async def test_an_open_server_takes_nothing_from_other_sites(gateway: Gateway, client: httpx.AsyncClient) -> None:
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    for path in ("/v1/jobs", "/v1/images/generations", "/v1/jobs/job_1/cancel"):
        answer = await client.post(path, json={"prompt": "a cat"}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_site_request")
    assert gateway.service.submissions == []
    own = {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}
    assert (await client.post("/v1/jobs", json={"prompt": "a cat"}, headers=own)).status_code == 201


def padded(size: int) -> bytes:
    return b'{"prompt": "a cat"}'.ljust(size)


@pytest.mark.parametrize(("size", "status"), [(1000, 201), (1001, 413)])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_over_the_limit_is_refused(size: int, status: int, is_chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, size, 100):
            yield padded(size)[start : start + 100]

    gateway = Gateway(settings=GatewaySettings(body_bytes_max=1000))
    async with gateway.client() as client:
        content = chunks() if is_chunked else padded(size)
        answer = await client.post("/v1/jobs", content=content, headers=JSON)
        assert answer.status_code == status
        if status == 413:
            assert answer.json()["error"]["code"] == "body_too_large"
            assert gateway.service.submissions == []


async def test_a_client_sees_the_refusal_of_a_body_it_is_still_sending(gateway: Gateway) -> None:
    async def fifty_megabytes() -> AsyncIterator[bytes]:
        for _ in range(800):
            yield bytes(64 * 1024)

    async with gateway.server() as url, httpx.AsyncClient(base_url=url) as client:
        for content in (fifty_megabytes(), bytes(50_000_000)):
            answer = await client.post("/v1/jobs", content=content, headers=JSON)
            assert answer.status_code == 413
            assert answer.json()["error"]["message"] == "The body is larger than 1048576 bytes."
        assert (await client.get("/healthz")).status_code == 200


async def test_a_client_that_asks_first_is_refused_before_it_sends(gateway: Gateway) -> None:
    async with gateway.server() as url:
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 50000000\r\nExpect: 100-continue\r\n\r\n"
        )
        async with asyncio.timeout(2):
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 413")
