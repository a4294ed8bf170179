"""Every order is written down before it is answered: who, from where, what, and what came of it."""

import pytest

from heliograph.domain.errors import Unavailable
from tests.gateway.conftest import OPERATOR_KEY, Gateway

OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}", "X-Request-Id": "req-of-mine"}


async def test_an_order_is_written_down_and_found_again() -> None:
    gateway = Gateway()
    async with gateway.client() as client:
        await client.post("/v1/admin/pause", json={"model": "painter"}, headers=OPERATOR)
        body = (await client.get("/v1/admin/audit?limit=5", headers=OPERATOR)).json()
    assert body["data"] == [
        {
            "at": gateway.now_s,
            "request_id": "req-of-mine",
            "from": "127.0.0.1",
            "method": "POST",
            "path": "/v1/admin/pause",
            "body": {"model": "painter"},
            "status": 200,
        }
    ]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b'{"model": "painter", "api_key": "hg_1", "deep": [{"Secret": 1}]}',
         {"model": "painter", "api_key": "(secret)", "deep": [{"Secret": "(secret)"}]}),
        (b"{not json", {"bytes": 9}),
        (b"[" * 20_000, {"bytes": 20_000}),
        (b"", None),
    ],
)  # fmt: skip
async def test_what_is_kept_of_a_body(sent: bytes, kept: object) -> None:
    gateway = Gateway()
    async with gateway.client() as client:
        answer = await client.post(
            "/v1/admin/pause", content=sent, headers={**OPERATOR, "Content-Type": "application/json"}
        )
    (entry,) = gateway.audit.entries
    assert entry["status"] == answer.status_code
    assert entry["body"] == kept


async def test_neither_looking_nor_knocking_is_an_order() -> None:
    gateway = Gateway()
    async with gateway.client() as client:
        await client.get("/v1/admin/fleet", headers=OPERATOR)
        assert (await client.post("/v1/admin/pause", json={})).status_code == 401
        stranger = {"Authorization": "Bearer hg_other"}
        assert (await client.post("/v1/admin/pause", json={}, headers=stranger)).status_code == 403
        await client.post("/v1/jobs", json={"prompt": "a cat"})
    assert gateway.audit.entries == []


async def test_a_disk_that_fails_does_not_undo_the_order() -> None:
    gateway = Gateway()
    gateway.audit.error = Unavailable("full")
    async with gateway.client() as client:
        answer = await client.post("/v1/admin/pause", json={"model": "painter"}, headers=OPERATOR)
        shown = (await client.get("/v1/admin/fleet", headers=OPERATOR)).json()
    assert answer.status_code == 200
    assert [halt["name"] for halt in shown["halts"]] == ["painter"]
