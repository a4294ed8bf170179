"""`/v1/videos` through OpenAI's official client against a real server, and what the client does not show."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import openai
import pytest

from heliograph.domain.ids import TenantId
from heliograph.domain.intake import GivenPicture, PictureSource
from heliograph.domain.job import JobState
from heliograph.domain.model_card import FrameRule
from heliograph.domain.tiers import Tier
from heliograph.gateway.keys import KeyRing, mint
from heliograph.gateway.videos import poll_ms
from tests.builders import a_card
from tests.gateway.conftest import Gateway
from tests.gateway.fake_service import JPEG, PICTURE, THUMBNAIL, FakeService

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")

CLIPS = a_card(tasks=("t2v",), frames=FrameRule(minimum=8, maximum=64, default=16, per_second=8.0))


def a_gateway(*, is_instant: bool = True) -> Gateway:
    return Gateway(service=FakeService(is_instant=is_instant, card=CLIPS))


@asynccontextmanager
async def client_of(gateway: Gateway, key: str = "none") -> AsyncGenerator[openai.AsyncOpenAI]:
    async with (
        gateway.server() as url,
        openai.AsyncOpenAI(api_key=key, base_url=f"{url}/v1", max_retries=0) as client,
    ):
        yield client


async def test_a_video_is_created_polled_and_fetched() -> None:
    gateway = a_gateway(is_instant=False)
    service = gateway.service
    async with client_of(gateway) as client:
        video = await client.videos.create(prompt="a cat", model="painter", seconds="4", size="256x256")  # type: ignore[arg-type]
        assert (video.status, video.progress, video.seconds, video.size) == ("queued", 0, "4", "256x256")
        assert video.model_extra is not None
        assert video.model_extra["queue_position"] == 1
        with pytest.raises(openai.UnprocessableEntityError, match="The video is queued; it has no content"):
            await client.videos.download_content(video.id)
        service.move(video.id, JobState.DISPATCHED)  # type: ignore[arg-type]
        service.step(video.id, 4)  # type: ignore[arg-type]
        running = await client.videos.retrieve(video.id)
        assert (running.status, running.progress, running.completed_at) == ("in_progress", 40, None)

        async def finish() -> None:
            await asyncio.sleep(0.05)
            service.complete(video.id)  # type: ignore[arg-type]

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(finish())
            done = await client.videos.poll(video.id, poll_interval_ms=10)
        assert (done.status, done.progress, done.error) == ("completed", 100, None)
        assert (await client.videos.download_content(video.id)).content == PICTURE
        assert (await client.videos.download_content(video.id, variant="thumbnail")).content == THUMBNAIL
        assert (await client.videos.download_content(video.id, variant="spritesheet")).content == JPEG
    (submission,) = service.submissions
    raw = submission.raw
    assert (raw.prompt, raw.model, raw.seconds, raw.size, raw.output_format) == (
        "a cat",
        "painter",
        4,
        "256x256",
        "mp4",
    )
    assert submission.task == "t2v"


async def test_parameters_come_as_a_form_and_as_json() -> None:
    gateway = a_gateway()
    asked = {"prompt": "a cat", "seconds": "2", "seed": 41, "steps": 3, "guidance_scale": 2.5, "output_format": "webm"}
    async with client_of(gateway) as client, gateway.client() as http:
        extra = {name: value for name, value in asked.items() if name not in ("prompt", "seconds")}
        form = await client.videos.create(prompt="a cat", seconds="2", extra_body=extra)  # type: ignore[arg-type]
        json = (await http.post("/v1/videos", json=asked)).json()
    assert form.model_extra is not None
    assert form.model_extra["heliograph"]["seed"] == json["heliograph"]["seed"] == 41
    first, second = gateway.service.submissions
    assert first.raw == second.raw
    assert (first.raw.steps, first.raw.guidance_scale, first.raw.output_format) == (3, 2.5, "webm")


async def test_an_idempotency_key_arrives_with_a_fingerprint_of_the_form() -> None:
    gateway = a_gateway()
    async with client_of(gateway) as client:
        await client.videos.create(prompt="a cat", extra_headers={"Idempotency-Key": "order-17"})
    (submission,) = gateway.service.submissions
    assert (submission.idempotency_key, submission.route) == ("order-17", "/v1/videos")
    assert submission.fingerprint


async def test_deleting_stops_the_job_and_forgets_it() -> None:
    gateway = a_gateway(is_instant=False)
    async with client_of(gateway) as client:
        video = await client.videos.create(prompt="a cat")
        gone = await client.videos.delete(video.id)
        assert (gone.id, gone.deleted, gone.object) == (video.id, True, "video.deleted")
        assert gateway.service.cancelled == gateway.service.removed == [video.id]
        for call in (client.videos.retrieve, client.videos.delete, client.videos.download_content):
            with pytest.raises(openai.NotFoundError, match="There is no video job_1"):
                await call(video.id)


async def test_a_cancelled_video_has_failed_and_says_why() -> None:
    gateway = a_gateway(is_instant=False)
    async with client_of(gateway) as client:
        video = await client.videos.create(prompt="a cat")
        gateway.service.end(video.id, JobState.CANCELLED, "cancelled")  # type: ignore[arg-type]
        ended = await client.videos.poll(video.id)
        assert ended.status == "failed"
        assert ended.error is not None
        assert ended.error.code == "cancelled"


async def test_a_remix_repeats_everything_but_the_prompt() -> None:
    gateway = a_gateway()
    async with client_of(gateway) as client:
        video = await client.videos.create(prompt="a cat", seconds="2", extra_body={"seed": 9})  # type: ignore[arg-type]
        again = await client.videos.remix(video.id, prompt="a dog")
        assert (again.prompt, again.seconds, again.remixed_from_video_id) == ("a dog", "2", video.id)
        assert (await client.videos.retrieve(again.id)).remixed_from_video_id == video.id
        with pytest.raises(openai.NotFoundError):
            await client.videos.remix("job_9", prompt="a dog")
    _, second = gateway.service.submissions
    assert (second.raw.seed, second.raw.frames, second.raw.model, second.remixed_from) == (9, 16, "painter", video.id)


async def test_videos_are_listed_page_by_page_in_both_directions() -> None:
    gateway = a_gateway()
    async with client_of(gateway) as client:
        made = [(await client.videos.create(prompt=f"cat {number}")).id for number in range(5)]
        assert [video.id async for video in await client.videos.list(limit=2)] == made[::-1]
        assert [video.id async for video in await client.videos.list(limit=2, order="asc")] == made
        page = await client.videos.list(limit=2, after=made[2])
        assert ([video.id for video in page.data], page.has_more) == ([made[1], made[0]], False)


async def test_stills_are_no_videos() -> None:
    gateway = Gateway()
    async with gateway.client() as http:
        made = (await http.post("/v1/jobs", json={"prompt": "a cat"})).json()
        assert (await http.get(f"/v1/videos/{made['id']}")).status_code == 404
        assert (await http.delete(f"/v1/videos/{made['id']}")).status_code == 404
        assert (await http.get("/v1/videos")).json()["data"] == []
    assert gateway.service.cancelled == []


async def test_another_tenant_s_videos_do_not_exist() -> None:
    gateway = a_gateway()
    owner, stranger = (
        mint(entropy=bytes([number]) * 32, tenant_id=TenantId(tenant), tier=Tier.PRO, name="a", now_s=0.0)
        for number, tenant in enumerate(("acme", "other"))
    )
    gateway.keys = KeyRing([owner[1], stranger[1]])
    async with client_of(gateway, owner[0]) as client:
        video = await client.videos.create(prompt="a cat")
        other = client.with_options(api_key=stranger[0])
        for call in (other.videos.retrieve, other.videos.delete, other.videos.download_content):
            with pytest.raises(openai.NotFoundError):
                await call(video.id)
        assert [each async for each in await other.videos.list()] == []


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"prompt": "a cat", "seconds": "20"}, "seconds", "invalid_seconds"),
        ({"prompt": "a cat", "seconds": "long"}, "seconds", "invalid_seconds"),
        ({"prompt": "a cat", "seconds": 2, "frames": 16}, "seconds", "invalid_seconds"),
        ({"prompt": "a cat", "size": "5x5"}, "size", "invalid_size"),
        ({"prompt": "a cat", "output_format": "jpeg"}, "output_format", "unsupported_parameter"),
        ({"prompt": "a cat", "fps": 8}, "fps", "unsupported_parameter"),
        ({"prompt": "a cat", "input_reference": {"file_id": "x"}}, "input_reference", "invalid_inputs"),
        ({"prompt": "a cat", "input_reference": {"path": "x"}}, "path", "unsupported_parameter"),
        (
            {"prompt": "a cat", "input_reference": {"file_id": "in_1", "image_url": "https://example.com/a.png"}},
            "input_reference",
            "invalid_input_reference",
        ),
        ({"seconds": "2"}, "prompt", "invalid_prompt"),
    ],
)
async def test_what_cannot_be_honoured_is_refused_by_name(body: dict[str, object], param: str, code: str) -> None:
    async with a_gateway().client() as http:
        answer = await http.post("/v1/videos", json=body)
    assert answer.status_code == 400
    assert (answer.json()["error"]["param"], answer.json()["error"]["code"]) == (param, code)


async def test_a_video_begins_with_a_picture_that_is_sent_or_named() -> None:
    gateway = a_gateway()
    url = "https://example.com/a.png"
    nested = {"prompt": (None, "a cat"), "input_reference[image_url]": (None, url)}
    async with client_of(gateway) as client, gateway.client() as http:
        await client.videos.create(prompt="a cat", input_reference=b"\x89PNG")
        await http.post("/v1/videos", files=nested)
        await http.post("/v1/videos", json={"prompt": "a cat", "input_reference": {"file_id": "in_7"}})
    given = [(each.task, *each.inputs.images) for each in gateway.service.submissions if each.inputs is not None]
    assert given == [
        ("i2v", GivenPicture(param="input_reference", source=PictureSource.BYTES, data=b"\x89PNG")),
        ("i2v", GivenPicture(param="input_reference", source=PictureSource.URL, value=url)),
        ("i2v", GivenPicture(param="input_reference", source=PictureSource.UPLOAD, value="in_7")),
    ]


async def test_a_part_of_a_video_and_a_copy_that_is_still_good() -> None:
    gateway = a_gateway()
    async with gateway.client() as http:
        video = (await http.post("/v1/videos", json={"prompt": "a cat"})).json()
        path = f"/v1/videos/{video['id']}/content"
        part = await http.get(path, headers={"Range": "bytes=4-9"})
        assert (part.status_code, part.content, part.headers["content-type"]) == (206, PICTURE[4:10], "video/mp4")
        same = await http.get(path, headers={"If-None-Match": part.headers["etag"]})
        assert same.status_code == 304
        assert (await http.get(path, params={"variant": "poster"})).status_code == 400


async def test_the_client_is_told_when_to_ask_again() -> None:
    gateway = a_gateway(is_instant=False)
    async with gateway.client() as http:
        made: httpx.Response = await http.post("/v1/videos", json={"prompt": "a cat"})
        assert made.headers["openai-poll-after-ms"] == "500"
        gateway.service.complete(made.json()["id"])
        assert "openai-poll-after-ms" not in (await http.get(f"/v1/videos/{made.json()['id']}")).headers
    assert [poll_ms(eta_s) for eta_s in (None, 0.0, 4.0, 900.0)] == [1000, 200, 1000, 5000]
