"""Replicate's official client against a real server of ours."""

import asyncio
import io
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
import replicate
from replicate.exceptions import ModelError, ReplicateError

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.ids import JobId
from heliograph.domain.job import JobState
from heliograph.domain.webhooks import PREDICTION_EVENTS, WebhookEvent
from heliograph.gateway.predictions import prediction_json
from heliograph.gateway.replicate_request import cancel_after_s, read_prediction
from tests.builders import a_job, a_status
from tests.gateway.conftest import Gateway
from tests.gateway.fake_service import PICTURE


@asynccontextmanager
async def client_of(gateway: Gateway) -> AsyncGenerator[replicate.Client]:
    """The client; by itself it polls every half second."""
    async with gateway.server() as url:
        client = replicate.Client(api_token="none", base_url=url)
        client.poll_interval = 0.01
        try:
            yield client
        finally:
            await client._async_client.aclose()


async def test_run_gives_the_addresses_of_the_pictures(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        output = await client.async_run("heliograph/painter", input={"prompt": "a cat", "num_outputs": 2, "seed": 7})
        assert [str(each).rpartition("/")[2] for each in output] == ["out_job_1_0", "out_job_1_1"]
        async with httpx.AsyncClient() as http:
            assert (await http.get(str(output[0]))).content == PICTURE
    raw = gateway.service.submissions[0].raw
    assert (raw.prompt, raw.model, raw.n, raw.seed) == ("a cat", "painter", 2, 7)


async def test_a_model_is_looked_at_and_run_by_its_version(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        model = await client.models.async_get("acme/painter")
        assert (model.owner, model.name, model.latest_version.id) == ("acme", "painter", "painter")
        schemas = model.latest_version.openapi_schema["components"]["schemas"]
        assert "num_outputs" in schemas["Input"]["properties"]
        output = await client.async_run("acme/painter:painter", input={"prompt": "a cat"})
        assert len(output) == 1
        with pytest.raises(ReplicateError, match="There is no model acme/sculptor"):
            await client.models.async_get("acme/sculptor")
    assert gateway.service.submissions[0].raw.model == "painter"


async def test_a_prediction_starts_from_a_picture(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        picture = io.BytesIO(b"a picture" * 300_000)
        picture.name = "a.png"
        wishes = {"prompt": "a cat", "image": picture, "prompt_strength": 0.4}
        await client.async_run("acme/painter:painter", input=wishes, file_encoding_strategy="base64")
    inputs = gateway.service.submissions[0].inputs
    assert inputs is not None
    assert (inputs.images[0].data, inputs.strength, inputs.mask) == (b"a picture" * 300_000, 0.4, None)


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"mask": "https://x.example/m.png"}, "image"),
        ({"prompt_strength": 0.5}, "image"),
        ({"image": "https://x.example/m.png", "strength": 0.5, "prompt_strength": 0.5}, "strength"),
        ({"image": "no address"}, "image"),
    ],
)
async def test_pictures_that_a_prediction_cannot_start_from_are_refused(
    gateway: Gateway, wishes: dict[str, object], param: str
) -> None:
    async with gateway.client() as http:
        body = {"version": "painter", "input": {"prompt": "a cat", **wishes}}
        answer = await http.post("/v1/predictions", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_prediction_is_made_looked_at_listed_and_waited_for(gateway: Gateway) -> None:
    gateway.service.is_instant = False
    async with client_of(gateway) as client:
        made = await client.predictions.async_create(version="painter", input={"prompt": "a cat"}, wait=False)
        assert (made.status, made.output, made.id) == ("starting", None, "job_1")
        gateway.service.move(JobId("job_1"), JobState.DISPATCHED)
        gateway.service.move(JobId("job_1"), JobState.RUNNING)
        gateway.service.step(JobId("job_1"), 5)
        await made.async_reload()
        assert (made.status, made.progress.current, made.progress.total) == ("processing", 5, 10)
        assert made.progress.percentage == pytest.approx(0.5)
        gateway.service.complete(JobId("job_1"))
        await made.async_wait()
        assert (made.status, len(made.output), made.error) == ("succeeded", 1, None)
        assert made.metrics["total_time"] == 2.0
        page = await client.predictions.async_list()
        assert [each.id for each in page.results] == ["job_1"]
        assert page.next is None
        assert (await client.predictions.async_get("job_1")).status == "succeeded"


async def test_a_wait_that_is_too_short_says_that_the_prediction_goes_on(gateway: Gateway) -> None:
    """Whatever is not `starting` after `Prefer: wait` counts as ended for the client, so `run` would give nothing."""
    gateway.service.is_instant = False

    async def work() -> None:
        await gateway.service.until(lambda: gateway.service.statuses)
        for state in (JobState.DISPATCHED, JobState.RUNNING):
            gateway.service.move(JobId("job_1"), state)
        await asyncio.sleep(1.2)
        gateway.service.complete(JobId("job_1"))

    async with client_of(gateway) as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(work())
        output = await client.async_run("heliograph/painter", input={"prompt": "a cat"}, wait=1)
        assert len(output) == 1


async def test_cancelling_ends_a_wait(gateway: Gateway) -> None:
    gateway.service.is_instant = False
    async with client_of(gateway) as client:
        made = await client.models.predictions.async_create(("heliograph", "painter"), input={"prompt": "a cat"})
        await made.async_cancel()
        await made.async_wait()
        assert (made.status, made.error) == ("canceled", "It ended early.")


@pytest.mark.parametrize("ending", [JobState.FAILED, JobState.EXPIRED, JobState.CANCELLED])
async def test_every_ending_ends_the_clients_wait(gateway: Gateway, ending: JobState) -> None:
    gateway.service.is_instant = False
    async with client_of(gateway) as client:
        made = await client.predictions.async_create(version="painter", input={"prompt": "a cat"})
        gateway.service.end(JobId("job_1"), ending, "x")
        async with asyncio.timeout(5):
            await made.async_wait()
        assert made.status == ("failed" if ending is JobState.FAILED else "canceled")


async def test_a_failure_reaches_the_caller_as_a_model_error(gateway: Gateway) -> None:
    gateway.service.is_instant = False

    async def fail() -> None:
        await gateway.service.first_watched()
        gateway.service.end(JobId("job_1"), JobState.FAILED, "engine_crash")

    async with client_of(gateway) as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(fail())
        with pytest.raises(ModelError, match="It ended early"):
            await client.async_run("heliograph/painter", input={"prompt": "a cat"})


async def test_a_refusal_reads_well_in_the_client(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        with pytest.raises(ReplicateError) as refused:
            await client.predictions.async_create(version="painter", input={"prompt": "a cat", "num_outputs": 99})
        assert (refused.value.status, refused.value.title) == (400, "Bad Request")
        assert "num_outputs" in (refused.value.detail or "")
        with pytest.raises(ReplicateError) as missing:
            await client.predictions.async_get("job_9")
        assert missing.value.status == 404


async def test_webhook_and_secret_are_asked_for_in_the_clients_words(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        await client.predictions.async_create(
            version="painter",
            input={"prompt": "a cat"},
            webhook="https://example.com/hook",
            webhook_events_filter=["completed", "start"],
        )
        secret = await client.webhooks.default.async_secret()
        assert secret.key.startswith("whsec_")
    hook = gateway.service.statuses[JobId("job_1")].view.job.webhook
    assert hook is not None
    assert hook.events == (WebhookEvent.PREDICTION_START, WebhookEvent.PREDICTION_COMPLETED)


async def test_idempotency_deadline_and_all_events_of_a_webhook(client: httpx.AsyncClient, gateway: Gateway) -> None:
    body = {"input": {"prompt": "a cat"}, "webhook": "https://example.com/hook"}
    headers = {"Idempotency-Key": "k1", "Cancel-After": "1m30s", "Prefer": "respond-async"}
    made = await client.post("/v1/models/heliograph/painter/predictions", json=body, headers=headers)
    assert (made.status_code, made.headers["x-heliograph-job-id"]) == (201, "job_1")
    (submission,) = gateway.service.submissions
    assert (submission.idempotency_key, submission.deadline_s) == ("k1", 90.0)
    assert submission.route == "/v1/models/heliograph/painter/predictions"
    assert submission.webhook is not None
    assert submission.webhook.events == PREDICTION_EVENTS


async def test_a_list_goes_on_where_a_page_ends(
    client: httpx.AsyncClient, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.gateway.replicate.PAGE_SIZE", 2)
    for _ in range(3):
        await client.post("/v1/predictions", json={"version": "painter", "input": {"prompt": "a cat"}})
    first = (await client.get("/v1/predictions")).json()
    assert [each["id"] for each in first["results"]] == ["job_3", "job_2"]
    second = (await client.get(first["next"])).json()
    assert ([each["id"] for each in second["results"]], second["next"]) == (["job_1"], None)


PROMPT = {"prompt": "a cat"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": PROMPT}, "version"),
        ({"version": 7, "input": PROMPT}, "version"),
        ({"version": "painter"}, "input"),
        ({"version": "painter", "input": []}, "input"),
        ({"version": "painter", "input": PROMPT, "stream": True}, "stream"),
        ({"version": "painter", "input": PROMPT, "webhooks": "x"}, "webhooks"),
        ({"version": "painter", "input": {**PROMPT, "go_fast": True}}, "go_fast"),
        ({"version": "painter", "input": {**PROMPT, "width": 64}}, "width"),
        ({"version": "painter", "input": {**PROMPT, "width": 64, "height": 64, "size": "64x64"}}, "size"),
        ({"version": "painter", "input": {**PROMPT, "steps": 3, "num_inference_steps": 3}}, "steps"),
        ({"version": "painter", "input": {**PROMPT, "disable_safety_checker": True}}, "disable_safety_checker"),
        ({"version": "painter", "input": {**PROMPT, "user": 7}}, "user"),
    ],
)
def test_what_is_wrong_with_a_prediction_is_named(body: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_prediction(body, model=None)
    assert refused.value.param == param


def test_inputs_are_taken_by_their_names_there() -> None:
    order = read_prediction(
        {
            "input": {
                "prompt": "a cat",
                "width": 64,
                "height": 32,
                "aspect_ratio": "custom",
                "num_outputs": 2,
                "num_inference_steps": 4,
                "guidance": 3.5,
                "output_format": "jpg",
                "output_quality": 80,
                "disable_safety_checker": False,
                "user": "ann",
            },
        },
        model="acme/painter",
    )
    raw = order.raw(lambda name: name.upper())
    assert (raw.model, raw.size, raw.aspect_ratio, raw.n) == ("ACME/PAINTER", "64x32", None, 2)
    assert (raw.steps, raw.guidance_scale, raw.output_format, raw.output_quality) == (4, 3.5, "jpeg", 80)
    assert order.end_user == "ann"


@pytest.mark.parametrize(("header", "seconds"), [(None, None), ("30", 30), ("90s", 90), ("5m", 300), ("1h30m5s", 5405)])
def test_cancel_after_is_read(header: str | None, seconds: float | None) -> None:
    assert cancel_after_s(header) == seconds


@pytest.mark.parametrize("header", ["", "4", "s", "soon", "-5", "1.5m", "٣m", "9" * 30])
def test_another_cancel_after_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest, match="Cancel-After"):
        cancel_after_s(header)


def test_the_logs_end_with_a_bar_the_client_reads() -> None:
    status = a_status(a_job(state=JobState.RUNNING), step=5)
    shown = prediction_json(status, base_url="", output_url=lambda *_: "")
    assert shown["logs"] == "Using seed: 7\n 50%|█████     | 5/10\n"
