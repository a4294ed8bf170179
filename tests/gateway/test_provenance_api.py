"""`POST /v1/provenance/verify`: the file is the body."""

import httpx
import pytest

from heliograph.settings import GatewaySettings
from tests.gateway.conftest import Gateway

PATH = "/v1/provenance/verify"
PNG = {"Content-Type": "image/png"}


async def test_a_file_is_answered_with_what_it_says(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, content=b"\x89PNG\r\n\x1a\n and more", headers=PNG)
    assert answer.status_code == 200
    said = answer.json()
    assert (said["object"], said["mime_type"], said["bytes"]) == ("verification", "image/png", 17)
    assert (said["integrity"], said["signature"], said["machine_made"]) == ("unsigned", None, None)
    assert said["lookalikes"] == []


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        ({"Content-Type": "application/json"}, b"{}", 415, "unsupported_media_type"),
        ({}, b"\x89PNG", 415, "unsupported_media_type"),
        ({"Content-Type": "application/octet-stream"}, b"", 400, "empty_file"),
    ],
)
async def test_what_is_no_file_is_refused(
    client: httpx.AsyncClient, headers: dict[str, str], content: bytes, status: int, code: str
) -> None:
    answer = await client.post(PATH, content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_it_takes_larger_bodies_than_other_calls_and_no_larger_ones_than_it_may(gateway: Gateway) -> None:
    gateway.settings = GatewaySettings(body_bytes_max=1_000, upload_bytes_max=3_000)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway.app()), base_url="http://127.0.0.1") as client:
        assert (await client.post(PATH, content=bytes(3_000), headers=PNG)).status_code == 200
        refused = await client.post(PATH, content=bytes(3_001), headers=PNG)
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "body_too_large")
