"""The official OpenAI client against the built-in model: what an app developer's existing code does."""

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from heliograph.delivery.pyav import read_film
from tests.e2e.conftest import StartServer
from tests.e2e.server import Server

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def client(built_in_server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="unused", base_url=f"{built_in_server.url}/v1", max_retries=0) as client:
        yield client


def picture(b64: str | None) -> Image.Image:
    assert b64 is not None
    return Image.open(io.BytesIO(base64.b64decode(b64)))


def test_generate_gives_the_pictures_asked_for(client: openai.OpenAI) -> None:
    answer = client.images.generate(
        model="helio-base",
        prompt="a red boat on the sea at sunset",
        n=2,
        size="160x96",  # type: ignore[arg-type]
        output_format="webp",
        extra_body={"seed": 7, "steps": 4},
    )
    assert answer.data is not None
    assert [picture(data.b64_json).size for data in answer.data] == [(160, 96)] * 2
    assert [picture(data.b64_json).format for data in answer.data] == ["WEBP"] * 2
    assert [data.model_extra["seed"] for data in answer.data if data.model_extra] == [7, 8]
    assert answer.model_extra is not None
    assert answer.model_extra["heliograph"]["job_id"].startswith("job_")
    assert answer._request_id


def test_the_same_seed_gives_the_same_pixels(client: openai.OpenAI) -> None:
    def pixels_of(seed: int) -> bytes:
        request: dict[str, Any] = {"model": "helio-base", "prompt": "mountains at night"}
        answer = client.images.generate(**request, extra_body={"seed": seed, "steps": 4})
        assert answer.data is not None
        return picture(answer.data[0].b64_json).tobytes()

    assert pixels_of(11) == pixels_of(11)
    assert pixels_of(11) != pixels_of(12)


def test_an_openai_model_name_is_mapped_and_said(client: openai.OpenAI) -> None:
    answer = client.images.generate(model="gpt-image-1", prompt="hills", quality="low")
    assert answer.model_extra is not None
    changes = {change["parameter"]: change for change in answer.model_extra["heliograph"]["adjustments"]}
    assert (changes["model"]["requested"], changes["model"]["used"]) == ("gpt-image-1", "helio-base")


def test_a_url_can_be_fetched_in_ranges_and_from_cache(client: openai.OpenAI, built_in_server: Server) -> None:
    answer = client.images.generate(model="helio-base", prompt="a forest", response_format="url")
    assert answer.data is not None
    url = answer.data[0].url
    assert url is not None
    whole = httpx.get(url, trust_env=False)
    part = httpx.get(url, headers={"Range": "bytes=10-19"}, trust_env=False)
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    unchanged = httpx.get(url, headers={"If-None-Match": whole.headers["etag"]}, trust_env=False)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert "immutable" in whole.headers["cache-control"]


def test_streaming_shows_partial_images_and_then_the_picture(client: openai.OpenAI) -> None:
    stream = client.images.generate(
        model="helio-base", prompt="a castle at dawn", stream=True, partial_images=2, extra_body={"steps": 8}
    )
    with stream:
        events = list(stream)
    kinds = [event.type for event in events]
    assert kinds[-1] == "image_generation.completed"
    assert kinds.count("image_generation.partial_image") == 2
    partial = [event for event in events if event.type == "image_generation.partial_image"]
    assert [event.partial_image_index for event in partial] == [0, 1]
    assert all(picture(event.b64_json).size == (128, 128) for event in events)


@pytest.mark.parametrize(
    ("request_fields", "param"),
    [
        ({"size": "513x513"}, "size"),
        ({"size": "0x0"}, "size"),
        ({"n": 11}, "n"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x" * 40_000}, "prompt"),
        ({"extra_body": {"steps": 10_000}}, "steps"),
        ({"extra_body": {"seed": -1}}, "seed"),
        ({"extra_body": {"seed": 2**64}}, "seed"),
        ({"extra_body": {"seed": "abc"}}, "seed"),
        ({"extra_body": {"nonsense": 1}}, "nonsense"),
        ({"background": "transparent"}, "background"),
    ],
)
def test_a_bad_parameter_is_a_bad_request_that_names_it(
    client: openai.OpenAI, request_fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(**{"model": "helio-base", "prompt": "x", **request_fields})
    assert caught.value.param == param
    assert caught.value.code
    assert "Traceback" not in caught.value.message


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.images.generate(model="nonsense", prompt="x")
    assert caught.value.code == "model_not_found"
    assert "helio-base" in caught.value.message, "what could be used instead is offered"


def test_a_catalogued_model_without_an_engine_offers_another(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model="sdxl-base", prompt="x")
    assert (caught.value.param, caught.value.code) == ("model", "model_unavailable")
    assert "helio-base" in caught.value.message


def test_a_model_that_makes_clips_is_refused_by_name(start_server: StartServer) -> None:
    client = openai.OpenAI(base_url=f"{start_server().url}/v1", api_key="unused", max_retries=0)
    with client, pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model="fake-clip", prompt="x")
    assert (caught.value.param, caught.value.code) == ("model", "model_unavailable")
    assert "does not do t2i; it does t2v" in caught.value.message
    assert "You can use: fake" in caught.value.message


@pytest.mark.parametrize("prompt", ["a boat ⛵ at sea 👩‍🚀", "سفينة في البحر", "ein Boot\tauf dem\nMeer"])
def test_prompts_of_every_script_are_taken(client: openai.OpenAI, prompt: str) -> None:
    answer = client.images.generate(model="helio-base", prompt=prompt, extra_body={"steps": 1})
    assert answer.data
    assert picture(answer.data[0].b64_json).size == (128, 128)


def test_the_model_list_is_openais_and_more(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert len(models) >= 30
    extra = models["helio-base"].model_extra
    assert extra is not None
    assert extra["available"] is True
    assert "128x128" in extra["sizes"]["only"]


def test_the_answer_to_the_prompt_is_in_the_picture(client: openai.OpenAI) -> None:
    """A sunset is warm, a night is dark: the model answers to words, seen over several seeds."""

    def mean_rgb(prompt: str) -> tuple[float, float, float]:
        answer = client.images.generate(model="helio-base", prompt=prompt, n=4, extra_body={"seed": 100})
        assert answer.data is not None
        pixels = [
            value
            for data in answer.data
            for value in picture(data.b64_json).convert("RGB").resize((1, 1), Image.Resampling.BOX).get_flattened_data()
        ]
        red, green, blue = (sum(pixel[channel] for pixel in pixels) / len(pixels) for channel in range(3))
        return red, green, blue

    sunset, day, night = (mean_rgb(f"mountains {when}") for when in ("at sunset", "during the day", "at night"))
    assert sunset[0] > sunset[2] + 20, f"a sunset is orange, not {sunset}"
    assert day[2] > day[0], f"a day is blue, not {day}"
    assert sum(night) < 0.6 * sum(day), f"a night is dark: {night} beside {day}"


@pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")
def test_a_video_is_made_polled_and_fetched(client: openai.OpenAI) -> None:
    video = client.videos.create_and_poll(
        model="helio-motion",
        prompt="a red boat on the sea",
        seconds="1.5",
        extra_body={"seed": 7, "steps": 4},  # type: ignore[arg-type]
    )
    assert (video.status, video.progress, video.seconds, video.size) == ("completed", 100, "1.5", "128x128")
    frames = read_film(client.videos.download_content(video.id).content, frames_max=100)
    assert (len(frames), frames[0].shape) == (12, (128, 128, 3))
    poster = Image.open(io.BytesIO(client.videos.download_content(video.id, variant="thumbnail").content))
    assert (poster.format, poster.size) == ("WEBP", (128, 128))
    assert np.abs(np.asarray(poster.convert("RGB"), int) - frames[0]).mean() < 8, "the poster is the first frame"
    sheet = Image.open(io.BytesIO(client.videos.download_content(video.id, variant="spritesheet").content))
    assert sheet.size == (4 * 128, 3 * 128)
    assert client.videos.list(limit=1).data[0].id == video.id
    assert client.videos.delete(video.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(video.id)


@pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")
def test_deleting_a_video_frees_its_worker_at_once(start_server: StartServer) -> None:
    server = start_server(fake='{"step_s": 0.2}')
    with openai.OpenAI(api_key="unused", base_url=f"{server.url}/v1", max_retries=0) as client:
        slow = client.videos.create(model="fake-clip", prompt="a slow one", extra_body={"frames": 5, "steps": 50})
        while client.videos.retrieve(slow.id).status == "queued":
            time.sleep(0.05)
        assert client.videos.delete(slow.id).deleted
        # One worker: were the first still running, this one would wait for ten seconds.
        quick = client.videos.create_and_poll(
            model="fake-clip", prompt="a quick one", extra_body={"frames": 5, "steps": 1}
        )
        assert quick.status == "completed"
        assert quick.model_extra is not None
        native = httpx.get(f"{server.url}/v1/jobs/{quick.id}", trust_env=False).json()
        assert native["timings"]["queue_s"] < 5.0
        with pytest.raises(openai.NotFoundError):
            client.videos.retrieve(slow.id)
    assert httpx.get(f"{server.url}/healthz", trust_env=False).status_code == 200
