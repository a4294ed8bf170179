"""Pictures from pictures on a real server: the built-in model, the official client, what is kept and what is not."""

import base64
import io
from collections.abc import Sequence

import numpy as np
import pytest
from openai import OpenAI
from PIL import Image, ImageDraw

from tests.e2e.server import Server

pytestmark = pytest.mark.e2e

SIZE = (128, 128)


def file_of(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int16)


@pytest.fixture(scope="module")
def landscape(built_in_server: Server) -> bytes:
    """A picture that the model itself made: what it starts from in these tests."""
    job = built_in_server.submit("a red boat on the sea at sunset", model="helio-base", seed=3, steps=8)
    done = built_in_server.finished(job["id"])
    return built_in_server.http.get(done["outputs"][0]["url"]).content


def upload(server: Server, data: bytes, purpose: str = "image") -> str:
    answer = server.http.post("/v1/inputs", files={"file": ("a.png", data)}, data={"purpose": purpose})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def made(server: Server, prompt: str, inputs: dict[str, object], **fields: object) -> np.ndarray:
    job = server.submit(prompt, model="helio-base", seed=4, steps=10, inputs=inputs, **fields)
    done = server.finished(job["id"])
    assert done["status"] == "completed", done["error"]
    return pixels(server.http.get(done["outputs"][0]["url"]).content)


def distances(made: Sequence[np.ndarray], from_: np.ndarray) -> list[float]:
    return [float(np.abs(each - from_).mean()) for each in made]


def test_the_more_strength_the_further_from_the_picture(built_in_server: Server, landscape: bytes) -> None:
    picture = upload(built_in_server, landscape)
    results = [
        made(built_in_server, "a red boat on the sea at night", {"image": picture, "strength": strength})
        for strength in (0.2, 0.6, 0.95)
    ]
    near, middle, far = distances(results, pixels(landscape))
    assert near < middle < far
    assert near < 12 < far


def test_outside_of_the_mask_not_a_bit_changes(built_in_server: Server, landscape: bytes) -> None:
    mask = Image.new("L", SIZE, 0)
    ImageDraw.Draw(mask).rectangle((0, 0, 127, 47), fill=255)
    inputs = {"image": upload(built_in_server, landscape), "mask": upload(built_in_server, file_of(mask), "mask")}
    result = made(built_in_server, "the sea at night with the moon", inputs)
    assert np.array_equal(result[48:], pixels(landscape)[48:])
    assert np.abs(result[:48] - pixels(landscape)[:48]).mean() > 10


def test_the_official_client_edits_a_photo_with_a_transparent_mask(built_in_server: Server) -> None:
    photo = Image.new("RGB", (640, 400), (150, 190, 230))
    ImageDraw.Draw(photo).rectangle((0, 250, 640, 400), fill=(40, 90, 140))
    mask = Image.new("RGBA", photo.size, (0, 0, 0, 255))
    ImageDraw.Draw(mask).rectangle((0, 0, 640, 250), fill=(0, 0, 0, 0))
    client = OpenAI(api_key="x", base_url=f"{built_in_server.url}/v1")
    answer = client.images.edit(
        model="gpt-image-1",
        image=("photo.jpg", file_of(photo, "JPEG", quality=95)),
        mask=("mask.png", file_of(mask)),
        prompt="the sea at sunset",
        n=2,
    )
    assert answer.data is not None
    assert answer.size == "160x96"
    for each in answer.data:
        result = pixels(base64.b64decode(each.b64_json or ""))
        assert np.abs(result[70:] - (40, 90, 140)).max() < 12


def test_a_delivered_picture_is_started_from_and_a_job_says_what_it_started_from(built_in_server: Server) -> None:
    first = built_in_server.finished(built_in_server.submit("mountains at dawn", model="helio-base")["id"])
    job = built_in_server.submit("mountains at night", model=None, inputs={"image": first["outputs"][0]["id"]})
    done = built_in_server.finished(job["id"])
    assert done["model"] == "helio-base"
    assert done["request"]["inputs"] == {
        "images": [{"width": 128, "height": 128}],
        "has_mask": False,
        "strength": 0.75,
    }


def test_a_model_that_cannot_is_refused_with_those_that_can(built_in_server: Server, landscape: bytes) -> None:
    answer = built_in_server.http.post(
        "/v1/jobs",
        json={"prompt": "x", "model": "helio-motion", "inputs": {"image": upload(built_in_server, landscape)}},
    )
    assert answer.status_code == 400
    assert "does not do i2i" in answer.json()["error"]["message"]
    assert "helio-base" in answer.json()["error"]["message"]
