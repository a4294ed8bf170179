"""Streams and held calls through a real server: order, heartbeats, throttling, and what happens when a side leaves."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from heliograph.domain.ids import JobId, TenantId
from heliograph.domain.job import JobState
from heliograph.domain.tiers import Tier
from heliograph.gateway.keys import mint
from heliograph.gateway.openai_images import hold_s
from heliograph.settings import GatewaySettings
from tests.gateway.conftest import Gateway, frames
from tests.gateway.fake_service import JPEG, PICTURE, FakeService

JOB = JobId("job_1")
ASK = {"prompt": "a cat"}


def slow_gateway(**settings: object) -> Gateway:
    """Jobs wait for the test; progress is not throttled unless the test says so."""
    defaults: dict[str, object] = {"progress_interval_s": 0.0}
    return Gateway(service=FakeService(is_instant=False), settings=GatewaySettings(**{**defaults, **settings}))


async def events_of(answer: httpx.Response) -> AsyncIterator[tuple[str, dict]]:
    """Events as they arrive; a comment is the event `:`."""
    block = ""
    async for text in answer.aiter_text():
        block += text
        while "\n\n" in block:
            one, _, block = block.partition("\n\n")
            if one.startswith(":"):
                yield ":", {"comment": one}
            else:
                (event, data) = frames(one)[0]
                yield event, json.loads(data)


async def test_a_job_is_followed_from_snapshot_to_done() -> None:
    gateway = slow_gateway()
    service = gateway.service
    async with gateway.server() as url, httpx.AsyncClient(base_url=url) as client:
        await client.post("/v1/jobs", json=ASK | {"n": 2})
        async with client.stream("GET", "/v1/jobs/job_1/events") as answer:
            assert answer.headers["x-heliograph-job-id"] == "job_1"
            events = events_of(answer)
            event, job = await anext(events)
            assert (event, job["status"], job["queue_position"]) == ("snapshot", "pending", 1)
            service.move(JOB, JobState.DISPATCHED)
            assert (await anext(events))[1]["status"] == "dispatched"
            service.move(JOB, JobState.RUNNING)
            event, job = await anext(events)
            assert (event, job["status"], job["started_at"]) == ("status", "running", job["started_at"])
            service.step(JOB, 3)
            assert await anext(events) == (
                "progress",
                {
                    "step": 3,
                    "steps": 10,
                    "fraction": 0.3,
                    "eta_s": 2.0,
                    "eta": None,
                    "phase": "generating",
                    "queue_position": None,
                },
            )
            for index in (0, 1):
                b64 = base64.b64encode(JPEG).decode()
                expected = {"index": index, "step": 3, "mime_type": "image/jpeg", "b64": b64}
                assert await anext(events) == ("preview", expected)
            service.complete(JOB)
            event, job = await anext(events)
            assert (event, job["status"], len(job["outputs"])) == ("done", "completed", 2)
            assert [event async for event in events] == []
        await service.until(lambda: not service.feed.is_watched(JOB))


async def test_a_quiet_stream_is_kept_alive() -> None:
    gateway = slow_gateway(heartbeat_s=0.02)
    async with gateway.server() as url, httpx.AsyncClient(base_url=url) as client:
        await client.post("/v1/jobs", json=ASK)
        async with client.stream("GET", "/v1/jobs/job_1/events") as answer:
            events = events_of(answer)
            assert (await anext(events))[0] == "snapshot"
            assert await anext(events) == (":", {"comment": ": keep-alive"})
            assert await anext(events) == (":", {"comment": ": keep-alive"})
            gateway.service.step(JOB, 1, preview=None)
            assert [event async for event, _ in _until(events, "progress")][-1] == "progress"
            gateway.service.complete(JOB)
            assert [event async for event, _ in events][-1] == "done"


async def _until(events: AsyncIterator[tuple[str, dict]], name: str) -> AsyncIterator[tuple[str, dict]]:
    async for event, data in events:
        yield event, data
        if event == name:
            return


async def test_progress_is_thinned_and_its_newest_still_arrives() -> None:
    gateway = slow_gateway(progress_interval_s=0.3)
    async with gateway.server() as url, httpx.AsyncClient(base_url=url) as client:
        await client.post("/v1/jobs", json=ASK)
        async with client.stream("GET", "/v1/jobs/job_1/events") as answer:
            events = events_of(answer)
            assert (await anext(events))[0] == "snapshot"
            steps: list[int] = []
            for step in range(1, 8):
                gateway.service.step(JOB, step, preview=None)
                await asyncio.sleep(0)
            async for event, data in events:
                assert event == "progress"
                steps.append(data["step"])
                if data["step"] == 7:
                    break
            assert len(steps) <= 2
            gateway.service.complete(JOB)


async def test_a_stream_that_is_left_is_cleaned_up_and_the_job_goes_on() -> None:
    gateway = slow_gateway()
    service = gateway.service
    async with gateway.server() as url, httpx.AsyncClient(base_url=url) as client:
        await client.post("/v1/jobs", json=ASK)
        async with client.stream("GET", "/v1/jobs/job_1/events") as answer:
            assert (await anext(events_of(answer)))[0] == "snapshot"
            assert service.feed.is_watched(JOB)
        await service.until(lambda: not service.feed.is_watched(JOB))
        assert service.cancelled == []


async def test_a_closing_server_says_good_bye_to_its_streams() -> None:
    gateway = slow_gateway()
    async with gateway.server() as url, httpx.AsyncClient(base_url=url) as client:
        await client.post("/v1/jobs", json=ASK)
        async with (
            client.stream("GET", "/v1/jobs/job_1/events") as native,
            client.stream("POST", "/v1/images/generations", json=ASK | {"stream": True}) as facade,
        ):
            native_events, facade_events = events_of(native), events_of(facade)
            assert (await anext(native_events))[0] == "snapshot"
            held = asyncio.create_task(client.post("/v1/images/generations", json=ASK))
            await gateway.service.until(lambda: gateway.service.feed.is_watched(JobId("job_3")))
            gateway.closing.set()
            assert [event async for event in native_events] == [
                (":", {"comment": ": the server is shutting down; watch again"})
            ]
            (event, data) = await anext(facade_events)
            assert (event, data["error"]["code"], data["error"]["job_id"]) == ("error", "shutting_down", "job_2")
            assert [event async for event in facade_events] == []
            answer = await held
            assert answer.status_code == 503
            assert answer.headers["x-should-retry"] == "false"
            assert answer.json()["error"].items() >= {"code": "shutting_down", "job_id": "job_3"}.items()
        assert gateway.service.cancelled == []


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/jobs/job_1/events"), ("POST", "/v1/images/generations")])
async def test_a_stream_ends_with_its_key(method: str, path: str) -> None:
    secret, key = mint(entropy=bytes(32), tenant_id=TenantId("acme"), tier=Tier.PRO, name="ci", now_s=0.0)
    gateway = slow_gateway(heartbeat_s=0.02)
    gateway.keys.replace([key])
    headers = {"Authorization": f"Bearer {secret}"}
    server = gateway.server()
    async with asyncio.timeout(5), server as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        await client.post("/v1/jobs", json=ASK)
        body = ASK | {"stream": True} if method == "POST" else None
        async with client.stream(method, path, json=body) as answer:
            events = events_of(answer)
            await anext(events)
            gateway.keys.replace([replace(key, revoked_at_s=1.0)])
            event, data = [each async for each in events if each[0] != ":"][-1]
            assert (event, data["error"]["code"]) == ("error", "invalid_api_key")
    assert gateway.service.cancelled == []


# --- OpenAI: held calls ----------------------------------------------------------------------------------------------


async def test_a_held_call_answers_with_the_pictures() -> None:
    async with Gateway().client() as client:
        answer = await client.post("/v1/images/generations", json=ASK | {"n": 2, "quality": "hd", "style": "vivid"})
    assert answer.status_code == 200
    assert answer.headers["x-heliograph-job-id"] == "job_1"
    body = answer.json()
    assert [base64.b64decode(picture["b64_json"]) for picture in body["data"]] == [PICTURE, PICTURE]
    assert [picture["seed"] for picture in body["data"]] == [7, 8]
    assert [(picture["alignment"], picture["missing"]) for picture in body["data"]] == [(0.75, ["boat"])] * 2
    assert (
        body.items()
        >= {
            "created": 1_000_000,
            "quality": "high",
            "background": "opaque",
            "output_format": "png",
            "usage": {
                "input_tokens": 5,
                "input_tokens_details": {"text_tokens": 5, "image_tokens": 0},
                "output_tokens": 0,
                "total_tokens": 5,
            },
        }.items()
    )
    assert body["heliograph"]["job_id"] == "job_1"
    assert body["heliograph"]["cost_micros"] == 12
    assert [change["parameter"] for change in body["heliograph"]["adjustments"]] == ["style", "size", "seed"]


async def test_pictures_may_come_as_links() -> None:
    async with Gateway().client() as client:
        answer = await client.post("/v1/images/generations", json=ASK | {"response_format": "url"})
        (picture,) = answer.json()["data"]
        assert picture["url"] == "http://127.0.0.1/v1/outputs/out_job_1_0"
        assert (await client.get(picture["url"])).content == PICTURE


@pytest.mark.parametrize(
    ("state", "status"), [(JobState.FAILED, 500), (JobState.CANCELLED, 410), (JobState.EXPIRED, 504)]
)
async def test_a_job_without_pictures_is_an_error_that_is_not_retried(state: JobState, status: int) -> None:
    gateway = slow_gateway()
    async with gateway.client() as client, asyncio.TaskGroup() as tasks:
        call = tasks.create_task(client.post("/v1/images/generations", json=ASK))
        gateway.service.end(await gateway.service.first_watched(), state, "some_code")
        answer = await call
    assert answer.status_code == status
    assert (
        answer.json()["error"].items() >= {"code": "some_code", "message": "It ended early.", "job_id": "job_1"}.items()
    )
    assert answer.headers.get("x-should-retry") == (None if status == 410 else "false")
    assert answer.headers["x-heliograph-job-id"] == "job_1"


async def test_a_call_that_takes_too_long_ends_and_its_job_goes_on() -> None:
    gateway = slow_gateway(hold_s_max=0.01)
    async with gateway.client() as client:
        answer = await client.post("/v1/images/generations", json=ASK)
    assert answer.status_code == 504
    assert answer.json()["error"].items() >= {"code": "wait_timeout", "job_id": "job_1"}.items()
    assert answer.headers["x-heliograph-job-id"] == "job_1"
    assert answer.headers["x-should-retry"] == "false"
    assert gateway.service.cancelled == []


async def test_a_client_that_waits_less_hears_in_time() -> None:
    gateway = slow_gateway()
    async with gateway.client() as client:
        headers = {"x-stainless-read-timeout": "0.01"}
        assert (await client.post("/v1/images/generations", json=ASK, headers=headers)).status_code == 504


@pytest.mark.parametrize(("read_timeout_s", "held_s"), [(None, 95), (600.0, 95), (60.0, 58.0), (10.0, 9.0), (1.0, 0.9)])
def test_a_call_is_held_a_little_shorter_than_its_client_waits(read_timeout_s: float | None, held_s: float) -> None:
    assert hold_s(read_timeout_s, hold_s_max=95) == pytest.approx(held_s)


@pytest.mark.parametrize(
    ("settings", "headers", "is_cancelled"),
    [
        ({}, {}, True),
        ({}, {"Idempotency-Key": "k"}, False),
        ({"cancel_on_disconnect": False}, {}, False),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_hangs_up_takes_its_job_along(
    settings: dict[str, object], headers: dict[str, str], is_cancelled: bool, stream: bool
) -> None:
    gateway = slow_gateway(**settings)
    service = gateway.service
    async with gateway.server() as url, httpx.AsyncClient(base_url=url) as client:
        call = asyncio.create_task(
            client.post("/v1/images/generations", json=ASK | {"stream": stream}, headers=headers)
        )
        await service.first_watched()
        call.cancel()
        await asyncio.wait({call})
        await service.until(lambda: not service.feed.is_watched(JOB))
        if is_cancelled:
            await service.until(lambda: service.cancelled)
    assert service.cancelled == ([JOB] if is_cancelled else [])


async def test_a_client_that_reads_nothing_gets_the_newest_and_not_a_backlog() -> None:
    """Forty previews of a megabyte each are shown while it does not read; the server keeps hardly any of them."""
    gateway = slow_gateway()
    service = gateway.service
    async with gateway.server() as url, httpx.AsyncClient(base_url=url) as client:
        await client.post("/v1/jobs", json=ASK)
        port = int(url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000)
        writer.write(b"GET /v1/jobs/job_1/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await service.first_watched()
        for number in range(40):
            service.step(JOB, 1 + number % 9, preview=b"%03d" % number + bytes(750_000))
            await service.settle()
        service.complete(JOB)
        text = (await reader.read(-1)).decode()
        writer.close()
    previews = [base64.b64decode(part[:4]).decode() for part in text.split('"b64":"')[1:]]
    assert 1 <= len(previews) < 25, "what the network's own buffers held, and the newest"
    assert previews[-1] == "039"
    assert text.rindex("event: done") > text.rindex("event: preview")


# --- OpenAI: streams -------------------------------------------------------------------------------------------------


async def streamed(gateway: Gateway, body: dict[str, object], headers: dict[str, str] | None = None) -> list:
    """All events of a streamed call whose job makes ten steps and completes."""
    service = gateway.service
    async with gateway.server() as url, httpx.AsyncClient(base_url=url) as client, asyncio.TaskGroup() as tasks:

        async def run() -> None:
            job_id = await service.first_watched()
            for step in range(1, 11):
                service.step(job_id, step)
                await service.settle()
            service.complete(job_id)

        tasks.create_task(run())
        request = client.stream("POST", "/v1/images/generations", json=ASK | {"stream": True} | body, headers=headers)
        async with request as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["x-heliograph-job-id"] == "job_1"
            return [(event, data) async for event, data in events_of(answer)]


async def test_partial_images_come_before_the_completed_ones() -> None:
    events = await streamed(slow_gateway(), {"partial_images": 2, "output_format": "jpeg"})
    assert [event for event, _ in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert all(data["type"] == event for event, data in events)
    first, second, last = [data for _, data in events]
    assert [each["partial_image_index"] for each in (first, second)] == [0, 1]
    assert [each["heliograph"]["step"] for each in (first, second)] == [4, 7]
    assert base64.b64decode(first["b64_json"]) == JPEG
    assert first["output_format"] == "jpeg"
    assert base64.b64decode(last["b64_json"]) == PICTURE
    assert last.items() >= {"output_format": "jpeg", "quality": "medium", "background": "opaque"}.items()
    assert last["usage"]["total_tokens"] == 5
    assert last["heliograph"].items() >= {"job_id": "job_1", "index": 0, "seed": 7, "alignment": 0.75}.items()


async def test_every_picture_of_a_batch_is_completed_and_tokens_count_once() -> None:
    events = await streamed(slow_gateway(), {"n": 3})
    assert [event for event, _ in events] == ["image_generation.completed"] * 3
    assert [data["heliograph"]["index"] for _, data in events] == [0, 1, 2]
    assert [data["usage"]["total_tokens"] for _, data in events] == [5, 0, 0]


async def test_own_events_come_only_when_asked_for() -> None:
    events = await streamed(slow_gateway(), {}, {"X-Heliograph-Events": "1"})
    assert {event for event, _ in events} == {"heliograph.progress", "image_generation.completed"}
    own = next(data for event, data in events if event == "heliograph.progress")
    assert own.items() >= {"type": "heliograph.progress", "job_id": "job_1", "steps": 10}.items()


async def test_a_failure_in_mid_stream_is_an_error_event() -> None:
    gateway = slow_gateway()
    async with (
        gateway.server() as url,
        httpx.AsyncClient(base_url=url) as client,
        client.stream("POST", "/v1/images/generations", json=ASK | {"stream": True}) as answer,
    ):
        gateway.service.end(await gateway.service.first_watched(), JobState.FAILED, "engine_crash")
        events = [each async for each in events_of(answer)]
    assert events == [
        (
            "error",
            {
                "type": "error",
                "error": {
                    "message": "It ended early.",
                    "type": "server_error",
                    "param": None,
                    "code": "engine_crash",
                    "job_id": "job_1",
                },
            },
        )
    ]


async def test_an_error_before_the_stream_is_a_plain_answer() -> None:
    async with Gateway().client() as client:
        answer = await client.post("/v1/images/generations", json=ASK | {"stream": True, "seed": "abc"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "seed"


async def test_errors_speak_of_openais_parameters() -> None:
    async with Gateway().client() as client:
        answer = await client.post("/v1/images/generations", json=ASK | {"output_compression": 50})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "output_compression"
    assert "output_quality" not in answer.text
