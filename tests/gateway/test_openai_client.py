"""The official client against a real server: what its users see."""

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import openai
import pytest

from heliograph.domain.errors import Overloaded, Unavailable
from heliograph.domain.ids import TenantId
from heliograph.domain.job import JobState
from heliograph.domain.tiers import Tier
from heliograph.gateway.keys import KeyRing, mint
from heliograph.settings import GatewaySettings
from tests.gateway.conftest import Gateway
from tests.gateway.fake_service import JPEG, PICTURE, FakeService

SECRET, KEY = mint(entropy=bytes(32), tenant_id=TenantId("acme"), tier=Tier.PRO, name="a", now_s=0.0)


@asynccontextmanager
async def official_client(gateway: Gateway, **options: object) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with gateway.server() as url:
        settings = {"api_key": "none", "base_url": f"{url}/v1", "max_retries": 0} | options
        async with openai.AsyncOpenAI(**settings) as client:
            yield client


async def test_pictures_as_base64_and_what_comes_along() -> None:
    async with official_client(Gateway()) as client:
        answer = await client.images.generate(
            model="painter",
            prompt="a cat",
            n=2,
            size="auto",
            quality="low",
            user="ann",
            extra_body={"seed": 41, "steps": 3, "negative_prompt": "fog"},
        )
        assert answer.data is not None
        assert [base64.b64decode(picture.b64_json or "") for picture in answer.data] == [PICTURE, PICTURE]
        assert [picture.seed for picture in answer.data] == [41, 42]
        assert answer.model_extra is not None
        assert answer.model_extra["heliograph"]["job_id"] == "job_1"
        assert answer._request_id is not None
        assert answer._request_id.startswith("req_")
        assert answer.usage is not None
        assert answer.usage.total_tokens == 5
        assert (answer.quality, answer.output_format, answer.background) == ("low", "png", "opaque")


async def test_pictures_as_links() -> None:
    async with official_client(Gateway()) as client:
        answer = await client.images.generate(prompt="a cat", response_format="url")
        assert answer.data is not None
        url = answer.data[0].url or ""
        assert url.endswith("/v1/outputs/out_job_1_0")
        assert (await client.get(url, cast_to=openai.HttpxBinaryResponseContent)).content == PICTURE  # type: ignore[attr-defined]


async def test_partial_images_stream_in() -> None:
    gateway = Gateway(service=FakeService(is_instant=False))
    service = gateway.service
    async with official_client(gateway) as client, asyncio.TaskGroup() as tasks:

        async def run() -> None:
            job_id = await service.first_watched()
            for step in range(1, 11):
                service.step(job_id, step)
                await service.settle()
            service.complete(job_id)

        tasks.create_task(run())
        stream = await client.images.generate(prompt="a cat", stream=True, partial_images=2)
        events = [event async for event in stream]
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [base64.b64decode(event.b64_json) for event in events] == [JPEG, JPEG, PICTURE]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    assert events[2].usage.total_tokens == 5


async def test_a_heartbeat_keeps_an_impatient_client() -> None:
    gateway = Gateway(service=FakeService(is_instant=False))
    async with official_client(gateway, timeout=0.5) as client:
        stream = await client.images.generate(prompt="a cat", stream=True)

        async def finish_late() -> None:
            await asyncio.sleep(0.8)
            gateway.service.complete(await gateway.service.first_watched())

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(finish_late())
            assert [event.type async for event in stream] == ["image_generation.completed"]


async def test_a_failure_in_mid_stream_is_raised() -> None:
    gateway = Gateway(service=FakeService(is_instant=False))
    async with official_client(gateway) as client:
        stream = await client.images.generate(prompt="a cat", stream=True)
        gateway.service.end(await gateway.service.first_watched(), JobState.FAILED, "engine_crash")
        with pytest.raises(openai.APIError, match=r"It ended early\.") as caught:
            async for _ in stream:
                pass
        assert caught.value.code == "engine_crash"


async def test_a_wrong_parameter_is_a_bad_request_with_its_name() -> None:
    async with official_client(Gateway()) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.images.generate(prompt="a cat", size="5x5")
        assert (caught.value.param, caught.value.code) == ("size", "invalid_size")
        assert caught.value.request_id is not None
        with pytest.raises(openai.BadRequestError) as caught:
            await client.images.generate(prompt="a cat", extra_body={"sampler": "euler"})
        assert (caught.value.param, caught.value.code) == ("sampler", "unsupported_parameter")
        assert "sampler" in caught.value.message


async def test_keys_are_checked() -> None:
    gateway = Gateway(keys=KeyRing([KEY]))
    async with official_client(gateway, api_key="hg_wrong") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.images.generate(prompt="a cat")
        assert caught.value.code == "invalid_api_key"
    async with official_client(gateway, api_key=SECRET) as client:
        answer = await client.images.generate(prompt="a cat", response_format="url")
        assert answer.data is not None
        assert "signature=" in (answer.data[0].url or "")


async def test_a_full_queue_is_a_rate_limit_that_is_retried() -> None:
    gateway = Gateway()
    gateway.service.error = Overloaded("Too many.", retry_after_s=0.01)
    async with official_client(gateway) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.images.generate(prompt="a cat")
        assert caught.value.code == "queue_full"

        gateway.service.error = Unavailable("Loading.", retry_after_s=0.2)
        patient = client.with_options(max_retries=1)
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(patient.images.generate(prompt="a cat"))
            await asyncio.sleep(0.1)
            gateway.service.error = None
        assert call.result().data


async def test_an_overrun_or_a_failure_is_not_tried_again() -> None:
    gateway = Gateway(service=FakeService(is_instant=False), settings=GatewaySettings(hold_s_max=0.01))
    async with official_client(gateway, max_retries=2) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.images.generate(prompt="a cat")
        assert caught.value.status_code == 504
        assert caught.value.body["job_id"] == "job_1"  # type: ignore[index]
    assert len(gateway.service.submissions) == 1


async def test_the_idempotency_key_of_a_header_arrives() -> None:
    gateway = Gateway()
    async with official_client(gateway) as client:
        await client.images.generate(prompt="a cat", extra_headers={"Idempotency-Key": "order-17"})
    assert gateway.service.submissions[0].idempotency_key == "order-17"


async def test_models_are_listed() -> None:
    async with official_client(Gateway()) as client:
        (model,) = (await client.models.list()).data
        assert (model.id, model.object) == ("painter", "model")
