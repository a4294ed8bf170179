"""Uploads and OpenAI's edits: what is read from forms and JSON, and what the official client sends."""

import base64
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from heliograph.domain.intake import GivenInputs, PictureRole, PictureSource
from heliograph.gateway.keys import KeyRing
from heliograph.service import Submission
from heliograph.settings import GatewaySettings
from tests.builders import an_api_key
from tests.gateway.conftest import Gateway
from tests.gateway.fake_service import PICTURE

A_PICTURE, ANOTHER = ("a.png", b"one", "image/png"), ("b.png", b"two", "image/png")


def last(gateway: Gateway) -> tuple[Submission, GivenInputs]:
    submission = gateway.service.submissions[-1]
    assert submission.inputs is not None
    return submission, submission.inputs


# --- uploads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", ["image", "mask"])
async def test_a_picture_is_uploaded_for_a_purpose(gateway: Gateway, client: httpx.AsyncClient, purpose: str) -> None:
    answer = await client.post("/v1/inputs", files={"file": A_PICTURE}, data={"purpose": purpose})
    assert answer.status_code == 201
    body = answer.json()
    assert (body["id"], body["purpose"], body["width"], body["bytes"]) == ("in_1", purpose, 60, 3)
    assert gateway.service.uploads == [(b"one", PictureRole(purpose), "local")]


@pytest.mark.parametrize(
    ("files", "data", "param", "status"),
    [
        ([], {"purpose": "image"}, "file", 400),
        ([("file", A_PICTURE), ("file", ANOTHER)], {}, "file", 400),
        ([("picture", A_PICTURE)], {}, "picture", 400),
        ([("file", A_PICTURE)], {"purpose": "fun"}, "purpose", 400),
        ([("file", A_PICTURE)], {"size": "1"}, "size", 400),
    ],
)
async def test_what_is_no_upload_is_refused(
    gateway: Gateway, client: httpx.AsyncClient, files: list[Any], data: dict[str, str], param: str, status: int
) -> None:
    fields = [(name, (None, value)) for name, value in data.items()]
    answer = await client.post("/v1/inputs", files=[*files, *fields])
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert gateway.service.uploads == []


async def test_an_upload_needs_a_form_and_a_key() -> None:
    gateway = Gateway(keys=KeyRing([an_api_key()]))
    async with gateway.client() as client:
        assert (await client.post("/v1/inputs", files={"file": A_PICTURE})).status_code == 401
    async with Gateway().client() as client:
        answer = await client.post("/v1/inputs", json={"file": "abc"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")


async def test_only_where_files_are_sent_a_body_may_be_larger() -> None:
    gateway = Gateway(settings=GatewaySettings(body_bytes_max=1000, upload_bytes_max=3000))
    async with gateway.client() as client:
        for path, size, status in [
            ("/v1/jobs", 1001, 413),
            ("/v1/images/generations", 1001, 413),
            ("/v1/images/edits", 2900, 400),
            ("/v1/images/edits", 3001, 413),
            ("/v1/inputs", 3001, 413),
        ]:
            is_form = path == "/v1/inputs"
            headers = {"Content-Type": "multipart/form-data; boundary=x" if is_form else "application/json"}
            answer = await client.post(path, content=b" " * size, headers=headers)
            assert answer.status_code == status, (path, size)


# --- edits -----------------------------------------------------------------------------------------------------------


def an_openai(client: httpx.AsyncClient) -> AsyncOpenAI:
    return AsyncOpenAI(api_key="x", base_url="http://127.0.0.1/v1", http_client=client, max_retries=0)


async def test_the_official_client_edits_one_picture(gateway: Gateway, client: httpx.AsyncClient) -> None:
    answer = await an_openai(client).images.edit(
        image=A_PICTURE, mask=("m.png", b"mask", "image/png"), prompt="a cat", model="painter", n=2, size="256x256",
        extra_body={"seed": 7, "strength": 0.4},
    )  # fmt: skip
    assert [base64.b64decode(each.b64_json or "") for each in answer.data or ()] == [PICTURE, PICTURE]
    submission, inputs = last(gateway)
    assert [(each.source, each.data, each.param) for each in inputs.images] == [(PictureSource.BYTES, b"one", "image")]
    assert inputs.mask is not None
    assert (inputs.mask.data, inputs.strength, inputs.is_wish) == (b"mask", 0.4, False)
    raw = submission.raw
    assert (raw.prompt, raw.n, raw.size, raw.seed, submission.task) == ("a cat", 2, "256x256", 7, "inpaint")


async def test_the_official_client_sends_several_pictures(gateway: Gateway, client: httpx.AsyncClient) -> None:
    await an_openai(client).images.edit(image=[A_PICTURE, ANOTHER], prompt="a cat", input_fidelity="high")
    submission, inputs = last(gateway)
    assert [each.data for each in inputs.images] == [b"one", b"two"]
    assert (inputs.mask, inputs.strength, inputs.is_wish, submission.task) == (None, 0.5, True, "i2i")


async def test_an_edit_streams_events_of_its_own_name(client: httpx.AsyncClient) -> None:
    stream = await an_openai(client).images.edit(image=A_PICTURE, prompt="a cat", stream=True, partial_images=1)
    assert [event.type async for event in stream] == ["image_edit.completed"]


JSON_FORMS: list[dict[str, Any]] = [
    {"images": [{"image_url": "https://example.com/a.png"}]},
    {"images": ["https://example.com/a.png"]},
    {"image": {"image_url": "https://example.com/a.png"}},
    {"image": "https://example.com/a.png"},
]


@pytest.mark.parametrize("picture", JSON_FORMS)
async def test_pictures_are_named_in_json_in_every_way_that_clients_have(
    gateway: Gateway, client: httpx.AsyncClient, picture: dict[str, Any]
) -> None:
    mask = {"mask": {"file_id": "in_abc"}}
    answer = await client.post("/v1/images/edits", json={"prompt": "a cat", **picture, **mask})
    assert answer.status_code == 200
    _, inputs = last(gateway)
    assert [(each.source, each.value) for each in inputs.images] == [(PictureSource.URL, "https://example.com/a.png")]
    assert inputs.mask is not None
    assert (inputs.mask.source, inputs.mask.value) == (PictureSource.UPLOAD, "in_abc")


async def test_equal_forms_with_one_key_are_one_request(gateway: Gateway, client: httpx.AsyncClient) -> None:
    for _ in range(2):
        await an_openai(client).images.edit(image=A_PICTURE, prompt="a cat", extra_headers={"Idempotency-Key": "once"})
    first, second = gateway.service.submissions
    assert first.idempotency_key == "once"
    assert first.fingerprint == second.fingerprint
    assert first.route == "/v1/images/edits"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "image"),
        ({"image": []}, "image"),
        ({"image": "no address"}, "image"),
        ({"images": [{"image_url": "https://x.example", "file_id": "in_a"}]}, "image"),
        ({"images": [{"url": "https://x.example"}]}, "image"),
        ({"image": "in_a", "images": ["in_a"]}, "image"),
        ({"image": ["in_a"] * 17}, "image"),
        ({"image": "in_a", "mask": 7}, "mask"),
        ({"image": "in_a", "markup": "in_b"}, "markup"),
        ({"image": "in_a", "input_fidelity": "medium"}, "input_fidelity"),
        ({"image": "in_a", "paint": "red"}, "paint"),
        ({"image": "in_a", "n": "two"}, "n"),
        ({"image": "in_a", "prompt": ""}, "prompt"),
    ],
)
async def test_what_is_no_edit_is_refused_by_the_name_of_the_field(
    gateway: Gateway, client: httpx.AsyncClient, fields: dict[str, Any], param: str
) -> None:
    answer = await client.post("/v1/images/edits", json={"prompt": "a cat", **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert gateway.service.submissions == []


async def test_files_in_other_fields_and_two_masks_are_refused(client: httpx.AsyncClient) -> None:
    for files, param in (
        ([("picture", A_PICTURE)], "picture"),
        ([("image", A_PICTURE), ("mask", A_PICTURE), ("mask", ANOTHER)], "mask"),
    ):
        answer = await client.post("/v1/images/edits", files=files, data={"prompt": "a cat"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_native_job_names_its_pictures(gateway: Gateway, client: httpx.AsyncClient) -> None:
    body = {"prompt": "a cat", "inputs": {"image": "in_a", "strength": 0.5}}
    assert (await client.post("/v1/jobs", json=body)).status_code == 201
    _, inputs = last(gateway)
    assert (inputs.images[0].value, inputs.strength, inputs.prefix) == ("in_a", 0.5, "inputs.")
    answer = await client.post("/v1/jobs", json={"prompt": "a cat", "inputs": {"image": ["in_a"] * 17}})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "inputs.image")


# --- settings ------------------------------------------------------------------------------------------------------

SETTINGS = (
    "a red boat\nNegative prompt: fog\nSteps: 500, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 300x200, Model: x"
)


async def test_settings_are_read_from_a_file_or_a_text_and_fitted_to_a_model(client: httpx.AsyncClient) -> None:
    sent = await client.post("/v1/import", files={"file": ("a.png", SETTINGS.encode())}, data={"model": "painter"})
    typed = await client.post("/v1/import", json={"text": SETTINGS, "model": "painter"})
    assert sent.status_code == typed.status_code == 200
    assert sent.json() == typed.json()
    body = sent.json()
    assert (body["source"], body["model"], body["found_model"]) == ("a1111", "painter", "x")
    assert body["settings"] == {
        "prompt": "a red boat", "negative_prompt": "fog", "steps": 50, "guidance_scale": 7, "seed": 5,
        "size": "320x192", "prompt_syntax": "a1111", "model": "painter",
    }  # fmt: skip
    assert body["left_out"] == [{"name": "Sampler", "value": "Euler"}]
    assert {change["parameter"] for change in body["adjustments"]} == {"steps", "size"}
    assert (await client.post("/v1/jobs", json=body["settings"])).status_code == 201


async def test_without_a_model_the_settings_stay_as_they_are(client: httpx.AsyncClient) -> None:
    body = (await client.post("/v1/import", json={"text": SETTINGS})).json()
    assert body["model"] is None
    assert (body["settings"]["steps"], body["adjustments"]) == (500, [])


@pytest.mark.parametrize(
    ("body", "param", "status"),
    [
        ({"text": "hello"}, "file", 400),
        ({}, "file", 400),
        ({"text": 7}, "text", 400),
        ({"text": SETTINGS, "model": 7}, "model", 400),
        ({"text": SETTINGS, "model": "nobody"}, "model", 404),
        ({"text": SETTINGS, "file": "x"}, "file", 400),
    ],
)
async def test_an_import_that_cannot_be_is_refused(
    client: httpx.AsyncClient, body: dict[str, Any], param: str, status: int
) -> None:
    answer = await client.post("/v1/import", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
