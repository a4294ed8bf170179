"""429 before it is too much, and how callers are told."""

import asyncio

import httpx
import pytest

from heliograph.domain.ids import JobId, TenantId
from heliograph.domain.tiers import Tier
from heliograph.gateway.keys import KeyRing, mint
from heliograph.settings import LimitSettings
from tests.gateway.conftest import Gateway

SECRET, KEY = mint(entropy=bytes(32), tenant_id=TenantId("acme"), tier=Tier.PRO, name="a", now_s=0.0)
OTHER_SECRET, OTHER_KEY = mint(entropy=b"x" * 32, tenant_id=TenantId("other"), tier=Tier.PRO, name="b", now_s=0.0)
OWN, OTHER = ({"Authorization": f"Bearer {secret}"} for secret in (SECRET, OTHER_SECRET))
JOB = {"prompt": "a cat"}


def gateway_with(**limits: object) -> Gateway:
    return Gateway(keys=KeyRing([KEY, OTHER_KEY]), limits=LimitSettings.model_validate(limits))


async def test_a_tenant_is_told_its_rate_and_refused_beyond_it() -> None:
    gateway = gateway_with(submissions_per_minute={"pro": 2}, requests_per_minute={"pro": 100})
    async with gateway.client() as client:
        first = await client.post("/v1/jobs", json=JOB, headers=OWN)
        assert first.status_code == 201
        assert first.headers["ratelimit-policy"] == '"requests";q=100;w=60, "submissions";q=2;w=60'
        assert first.headers["ratelimit"] == '"requests";r=99;t=1, "submissions";r=1;t=30'
        await client.post("/v1/images/generations", json=JOB, headers=OWN)
        refused = await client.post("/v1/jobs", json=JOB, headers=OWN)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert refused.json()["type"].endswith("#quota-exceeded")
        assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("30", "30000")
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert "x-should-retry" not in refused.headers
        looked = await client.get("/v1/jobs/job_1", headers=OWN)
        assert (looked.status_code, looked.headers["ratelimit"]) == (200, '"requests";r=96;t=3')
        assert (await client.post("/v1/jobs", json=JOB, headers=OTHER)).status_code == 201
        gateway.now_s += 30.0
        assert (await client.post("/v1/jobs", json=JOB, headers=OWN)).status_code == 201
    assert len(gateway.service.submissions) == 4


@pytest.mark.parametrize("path", ["/v1/predictions", "/v1/models/acme/painter/predictions"])
async def test_predictions_count_as_submissions(path: str) -> None:
    gateway = gateway_with(submissions_per_minute={"pro": 1})
    async with gateway.client() as client:
        body = {"input": JOB} if "models" in path else {"version": "painter", "input": JOB}
        assert (await client.post(path, json=body, headers=OWN)).status_code == 201
        assert (await client.post(path, json=body, headers=OWN)).status_code == 429


async def test_without_a_limit_nothing_is_told() -> None:
    async with gateway_with(requests_per_minute={"free": 1}).client() as client:
        for _ in range(3):
            answer = await client.get("/v1/models", headers=OWN)
            assert answer.status_code == 200
            assert not [name for name in answer.headers if "ratelimit" in name]


async def test_a_wrong_key_is_a_401_and_no_tenants_call() -> None:
    gateway = gateway_with(requests_per_minute={"pro": 1})
    async with gateway.client() as client:
        assert (await client.get("/v1/models", headers={"Authorization": "Bearer hg_wrong"})).status_code == 401
        assert (await client.get("/v1/models", headers=OWN)).status_code == 200


async def test_a_tenant_has_only_so_many_calls_open_and_others_go_on() -> None:
    gateway = gateway_with(open_calls_max_per_tenant=2)
    gateway.service.is_instant = False
    async with gateway.client() as client, asyncio.TaskGroup() as tasks:
        held = [
            tasks.create_task(client.post("/v1/jobs", json=JOB, headers={**OWN, "Prefer": "wait=30"})) for _ in range(2)
        ]
        await gateway.service.until(lambda: len(gateway.service.feed.watched()) == 2)
        refused = await client.get("/v1/models", headers=OWN)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_calls")
        assert refused.headers["retry-after"] == "1"
        assert (await client.get("/v1/models", headers=OTHER)).status_code == 200
        gateway.service.complete(JobId("job_1"))
        await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
        assert (await client.get("/v1/models", headers=OWN)).status_code == 200
        gateway.service.complete(JobId("job_2"))


async def test_the_server_has_only_so_many_calls_open_and_says_that_it_lives() -> None:
    gateway = gateway_with(open_calls_max=1)
    gateway.service.is_instant = False
    async with gateway.client() as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(client.post("/v1/jobs", json=JOB, headers={**OWN, "Prefer": "wait=30"}))
        await gateway.service.first_watched()
        refused = await client.get("/v1/models", headers=OTHER)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_calls")
        for path in ("/healthz", "/readyz"):
            assert (await client.get(path)).status_code == 200
        gateway.service.complete(JobId("job_1"))


async def test_bodies_held_together_are_bounded() -> None:
    gateway = gateway_with(body_bytes_held_max=4_000)
    gateway.service.is_instant = False
    long = {"prompt": "x" * 2_500}
    async with gateway.client() as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(client.post("/v1/jobs", json=long, headers={**OWN, "Prefer": "wait=30"}))
        await gateway.service.first_watched()
        refused = await client.post("/v1/jobs", json=long, headers=OTHER)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_bodies")
        assert (await client.post("/v1/jobs", json=JOB, headers=OTHER)).status_code == 201
        gateway.service.complete(JobId("job_1"))
    async with gateway.client() as client:
        assert (await client.post("/v1/jobs", json=long, headers=OTHER)).status_code == 201


async def test_a_stream_counts_until_it_ends() -> None:
    gateway = gateway_with(open_calls_max_per_tenant=1)
    gateway.service.is_instant = False
    async with gateway.server() as url, httpx.AsyncClient(base_url=url, headers=OWN) as client:
        await client.post("/v1/jobs", json=JOB)
        async with client.stream("GET", "/v1/jobs/job_1/events") as stream:
            assert stream.status_code == 200
            assert (await client.get("/v1/models")).status_code == 429
            gateway.service.complete(JobId("job_1"))
            await stream.aread()
        assert (await client.get("/v1/models")).status_code == 200
