"""Servers that speak OpenAI's language: what they are told, what comes of it, and which of their traps spring."""

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.remote_options import RemoteOptions, ServerFamily
from heliograph.domain.run import RunInputs, RunOrder
from heliograph.inference.engine import EngineImages, EngineStep, EngineWaits
from heliograph.inference.remote import RemoteEngine
from tests.builders import an_order
from tests.inference.openai_server import MODEL, PaintServer, painted
from tests.inference.serving import served

ORDER = an_order(width_px=64, height_px=48, steps=4, guidance=4.0, seeds=(7, 8), negative_prompt="rain")
CLIP = replace(ORDER, frames=5, seeds=(7,))


@contextmanager
def an_engine(painter: PaintServer, **options: Any) -> Iterator[RemoteEngine]:
    with served(painter.app()) as url:
        given = {"server": ServerFamily.VLLM_OMNI, "urls": (url,), "model": MODEL, "timeout_s": 20.0, **options}
        with closing(RemoteEngine(RemoteOptions(**given), frames_per_second=8.0, poll_s=0.05)) as engine:
            engine.load()
            yield engine


def finished(engine: RemoteEngine, order: RunOrder) -> tuple[list[int], EngineImages]:
    """The steps that were told of, and the pictures."""
    *progress, images = engine.generate(order)
    assert isinstance(images, EngineImages)
    return [each.step for each in progress if isinstance(each, EngineStep)], images


def test_each_picture_is_ordered_with_its_own_seed_and_everything_that_is_read() -> None:
    server = PaintServer()
    with an_engine(server) as engine:
        steps, images = finished(engine, ORDER)
    for pixels, seed in zip(images.pixels, ORDER.seeds, strict=True):
        assert np.array_equal(pixels, painted("a cat", seed, width_px=64, height_px=48))
    assert steps == [2, 4], "half of two pictures is half of the steps"
    assert server.orders[0] == {
        "model": MODEL,
        "prompt": "a cat",
        "size": "64x48",
        "seed": 7,
        "num_inference_steps": 4,
        "guidance_scale": 4.0,
        "negative_prompt": "rain",
        "n": 1,
        "response_format": "b64_json",
    }


def test_a_server_gets_no_field_that_it_drops() -> None:
    server = PaintServer()
    with an_engine(server, server=ServerFamily.OPENAI) as engine, pytest.raises(EngineError):
        finished(engine, ORDER)  # OpenAI's own answer without being asked for base64; this one wants to be
    assert set(server.orders[0]) == {"model", "prompt", "size", "n"}


def test_a_size_that_is_rounded_in_silence_is_found_out() -> None:
    with an_engine(PaintServer(rounds_to=32)) as engine, pytest.raises(EngineError, match="made 64x32 ") as caught:
        finished(engine, ORDER)
    assert caught.value.message.startswith("size: ")
    assert caught.value.kind is EngineErrorKind.UNSUPPORTED_PARAMETER


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ((500, "Image generation failed: CUDA out of memory. Tried to allocate 2 GiB"), EngineErrorKind.OUT_OF_MEMORY),
        ((500, "CUDA error: an illegal memory access was encountered"), EngineErrorKind.DEVICE_LOST),
        ((500, "a cat is not what I draw"), EngineErrorKind.INTERNAL),
        ((400, "num_inference_steps: a cat"), EngineErrorKind.UNSUPPORTED_PARAMETER),
        ((404, "a cat"), EngineErrorKind.CRASH),
    ],
)
def test_failures_are_told_apart_and_the_servers_words_stay_here(
    failure: tuple[int, str], kind: EngineErrorKind
) -> None:
    with an_engine(PaintServer(failure=failure)) as engine, pytest.raises(EngineError) as caught:
        finished(engine, ORDER)
    assert caught.value.kind is kind
    assert "a cat" not in caught.value.message


def test_a_busy_server_is_asked_again() -> None:
    server = PaintServer(measures_progress=True)
    with an_engine(server) as engine:
        server.busy = 2
        assert finished(engine, CLIP)[1].pixels.shape == (1, 5, 48, 64, 3)


def test_a_server_that_is_gone_is_a_crash_and_one_that_is_late_a_timeout() -> None:
    server = PaintServer(step_s=1.0)
    with an_engine(server, timeout_s=0.5) as engine, pytest.raises(EngineError) as late:
        finished(engine, ORDER)
    assert late.value.kind is EngineErrorKind.TIMEOUT
    with served(PaintServer().app()) as url:
        options = RemoteOptions(server=ServerFamily.VLLM_OMNI, urls=(url,), model=MODEL)
    with closing(RemoteEngine(options, frames_per_second=1.0)) as engine, pytest.raises(EngineError) as gone:
        finished(engine, ORDER)
    assert gone.value.kind is EngineErrorKind.CRASH


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"model": "acme/other"}, f"serves {MODEL} and not acme/other"),
        ({"urls": ("http://127.0.0.1:1",)}, "did not answer"),
        ({"urls": ("ftp://127.0.0.1",)}, "must begin with https"),
        ({"urls": ("http://[::1]:1", "http://127.0.0.2:1")}, "did not answer"),
        ({"key_env": "HELIOGRAPH_NO_SUCH_KEY"}, "HELIOGRAPH_NO_SUCH_KEY"),
    ],
)
def test_a_model_that_cannot_be_had_is_not_loaded(options: dict[str, Any], named: str) -> None:
    with pytest.raises(EngineError, match=named), an_engine(PaintServer(), **options):
        pass


def test_one_replica_of_two_is_enough_and_a_run_stays_with_it() -> None:
    with served(PaintServer().app()) as first, served(PaintServer().app()) as second:
        options = RemoteOptions(server=ServerFamily.VLLM_OMNI, urls=(first, second), model=MODEL)
        with closing(RemoteEngine(options, frames_per_second=8.0, poll_s=0.05)) as engine:
            engine.load()
            for _ in range(4):  # a video that was asked of the other one would not be found
                assert finished(engine, CLIP)[0] == [4]


def test_names_lead_nowhere_that_was_not_allowed() -> None:
    """`localhost` is a name: where it leads to must be allowed, an address that stands there is meant."""
    with served(PaintServer().app()) as url:
        named = url.replace("127.0.0.1", "localhost")
        options = RemoteOptions(server=ServerFamily.VLLM_OMNI, urls=(named,), model=MODEL, networks=("192.0.2.0/24",))
        engine = RemoteEngine(options, frames_per_second=1.0)
        with closing(engine), pytest.raises(EngineError, match="not called"):
            engine.load()
        allowed = replace(options, networks=("127.0.0.0/8", "::1/128"))
        with closing(RemoteEngine(allowed, frames_per_second=1.0)) as engine:
            engine.load()


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAINTER_KEY", "sesame")
    with an_engine(PaintServer(key="sesame"), key_env="PAINTER_KEY") as engine:
        assert finished(engine, ORDER)[0][-1] == 4
    monkeypatch.setenv("PAINTER_KEY", "wrong")
    painter = PaintServer(key="sesame")
    with pytest.raises(EngineError, match="does not accept the key"), an_engine(painter, key_env="PAINTER_KEY"):
        pass


def test_pictures_to_start_from_go_along() -> None:
    server = PaintServer()
    files = (a_png(200), a_png(100), a_png(0, mode="L"))
    inputs = RunInputs(images=("a", "b"), mask="m", strength=0.4, files=files)
    with an_engine(server) as engine:
        finished(engine, replace(ORDER, inputs=inputs, seeds=(7,)))
    (order,) = server.orders
    assert (order["image"], order["mask"], order["strength"]) == (files[1], files[2], "0.4")


def a_png(shade: int, *, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (64, 48), shade if mode == "L" else (shade,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


# --- cancelling ------------------------------------------------------------------------------------------------------


def cancelled(engine: RemoteEngine, order: RunOrder) -> None:
    """Begin the run and leave it once it waits."""
    run = engine.generate(order)
    assert isinstance(next(run), EngineWaits)
    run.close()


@pytest.mark.parametrize("order", [replace(ORDER, seeds=(7,)), CLIP], ids=["picture", "clip"])
def test_a_run_that_the_server_does_not_stop_is_waited_for_by_the_next(order: RunOrder) -> None:
    server = PaintServer(step_s=0.2)
    with an_engine(server) as engine:
        cancelled(engine, order)
        finished(engine, order)
        assert len(server.orders) == 2
    assert server.at_once_max == 1, "two runs shared the GPU"


def test_a_run_that_the_server_stops_holds_nobody_up() -> None:
    server = PaintServer(step_s=0.2, stops=True)
    with an_engine(server, stops_when_told=True) as engine:
        cancelled(engine, replace(CLIP, steps=100))
        finished(engine, replace(CLIP, steps=1))
    assert len(server.deleted) == 2


# --- videos ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [ServerFamily.VLLM_OMNI, ServerFamily.SGLANG])
def test_a_clip_is_ordered_polled_fetched_and_deleted(family: ServerFamily) -> None:
    server = PaintServer(takes_forms=family is ServerFamily.VLLM_OMNI)
    with an_engine(server, server=family) as engine:
        steps, images = finished(engine, CLIP)
    expected = painted("a cat", 7, width_px=64, height_px=48, frames=5)
    assert np.abs(images.pixels[0].astype(int) - expected).max() <= 8, "the codec loses a little"
    assert steps == [4]
    assert {key: str(value) for key, value in server.orders[0].items()} == {
        "model": MODEL,
        "prompt": "a cat",
        "size": "64x48",
        "seed": "7",
        "num_inference_steps": "4",
        "guidance_scale": "4.0",
        "negative_prompt": "rain",
        "num_frames": "5",
        "fps": "8",
    }
    assert server.deleted == list(server.tasks)


def test_progress_counts_only_where_it_is_measured() -> None:
    with an_engine(PaintServer(step_s=0.15, measures_progress=True), has_progress=True) as engine:
        measured_steps, _ = finished(engine, CLIP)
    assert measured_steps[-1] == 4
    assert len(measured_steps) > 2


def test_a_server_that_forgets_a_video_was_started_again() -> None:
    server = PaintServer(step_s=0.2)
    with an_engine(server) as engine:
        run = engine.generate(CLIP)
        assert isinstance(next(run), EngineWaits)
        server.videos.clear()
        with pytest.raises(EngineError) as caught:
            list(run)
    assert caught.value.kind is EngineErrorKind.CRASH


def test_a_video_that_fails_says_why_in_our_words() -> None:
    server = PaintServer(step_s=0.3)
    with an_engine(server) as engine:
        run = engine.generate(CLIP)
        assert isinstance(next(run), EngineWaits)
        (video,) = server.videos.values()
        video |= {"status": "failed", "error": {"message": "a cat: HIP out of memory"}}
        with pytest.raises(EngineError, match="says that the video failed") as caught:
            list(run)
    assert caught.value.kind is EngineErrorKind.OUT_OF_MEMORY
