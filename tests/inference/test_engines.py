"""The contract of `Engine`, for every engine that ships."""

from collections.abc import Generator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import heliograph
from heliograph.domain.ids import JobId, ModelId
from heliograph.domain.run import RunOrder
from heliograph.inference.engine import Engine, EngineImages, EngineStep
from heliograph.inference.fake import FakeEngine, FakeOptions
from heliograph.inference.onnx import OnnxEngine

BUILT_IN = Path(heliograph.__file__).parent / "weights" / "helio-base"
ORDER = RunOrder(
    job_id=JobId("job_1"),
    attempt=1,
    model_id=ModelId("any"),
    prompt="a red boat on the sea at sunset",
    negative_prompt="",
    width_px=128,
    height_px=96,
    steps=3,
    guidance=3.5,
    seeds=(7, 8),
    preview_every=1,
)


@pytest.fixture(scope="module", params=["fake", "onnx"])
def engine(request: pytest.FixtureRequest) -> Engine:
    engine = FakeEngine(FakeOptions()) if request.param == "fake" else OnnxEngine(BUILT_IN)
    engine.load()
    return engine


def run(engine: Engine, order: RunOrder) -> tuple[list[EngineStep], EngineImages]:
    *steps, images = engine.generate(order)
    assert isinstance(images, EngineImages)
    assert all(isinstance(step, EngineStep) for step in steps)
    return steps, images


@pytest.mark.parametrize(("steps", "preview_every"), [(1, 1), (4, 0), (4, 1), (5, 2)])
def test_steps_come_in_order_then_the_pictures(engine: Engine, steps: int, preview_every: int) -> None:
    done, _ = run(engine, replace(ORDER, steps=steps, preview_every=preview_every))
    assert [(step.step, step.steps) for step in done] == [(number, steps) for number in range(1, steps + 1)]
    with_preview = [step.step for step in done if step.previews is not None]
    assert with_preview == [number for number in range(1, steps) if preview_every and number % preview_every == 0]


@pytest.mark.parametrize("size", [(128, 128), (192, 64), (64, 96), (256, 144)])
@pytest.mark.parametrize("seeds", [(0,), (1, 2, 2**32 - 1)])
def test_pictures_have_the_size_that_was_ordered(engine: Engine, size: tuple[int, int], seeds: tuple[int, ...]) -> None:
    width_px, height_px = size
    steps, images = run(engine, replace(ORDER, width_px=width_px, height_px=height_px, seeds=seeds, steps=2))
    assert images.pixels.shape == (len(seeds), height_px, width_px, 3)
    assert images.pixels.dtype == np.uint8
    previews = steps[0].previews
    assert previews is not None
    assert previews.dtype == np.uint8
    count, preview_height, preview_width, channels = previews.shape
    assert (count, channels) == (len(seeds), 3)
    assert preview_width * height_px == preview_height * width_px


def test_the_same_order_gives_the_same_bytes(engine: Engine) -> None:
    steps, images = run(engine, ORDER)
    again, images_again = run(engine, ORDER)
    assert np.array_equal(images.pixels, images_again.pixels)
    for step, step_again in zip(steps, again, strict=True):
        assert np.array_equal(step.previews, step_again.previews)


def test_what_else_is_in_the_batch_does_not_matter(engine: Engine) -> None:
    _, batch = run(engine, replace(ORDER, seeds=(3, 7, 9, 7)))
    _, alone = run(engine, replace(ORDER, seeds=(7,)))
    assert np.array_equal(batch.pixels[1], alone.pixels[0])
    assert np.array_equal(batch.pixels[3], alone.pixels[0])
    assert not np.array_equal(batch.pixels[0], batch.pixels[1])


def test_previews_change_neither_pictures_nor_their_neighbours(engine: Engine) -> None:
    _, with_previews = run(engine, ORDER)
    _, without = run(engine, replace(ORDER, preview_every=0))
    assert np.array_equal(with_previews.pixels, without.pixels)


def test_prompt_and_seed_make_the_picture(engine: Engine) -> None:
    changes = [{}, {"prompt": "a castle at night"}, {"seeds": (9, 8)}]
    pictures = [run(engine, replace(ORDER, **change))[1].pixels[0].tobytes() for change in changes]
    assert len(set(pictures)) == 3


def test_previews_come_closer_to_the_picture(engine: Engine) -> None:
    steps, images = run(engine, replace(ORDER, steps=8))
    distances = [
        np.abs(step.previews.astype(int) - images.pixels.astype(int)).mean()
        for step in steps
        if step.previews is not None
    ]
    assert len(distances) == 7
    assert distances[-1] < 0.5 * distances[0]


def test_closing_stops_it_and_the_next_order_runs(engine: Engine) -> None:
    progress = engine.generate(replace(ORDER, steps=50))
    assert [step.step for step in islice(progress, 2) if isinstance(step, EngineStep)] == [1, 2]
    assert isinstance(progress, Generator)
    progress.close()
    assert list(progress) == []
    run(engine, ORDER)


@pytest.mark.parametrize("prompt", ["", "🚣 שלום \x00 \ud800", "boat " * 8000])
def test_any_text_can_be_drawn(engine: Engine, prompt: str) -> None:
    _, images = run(engine, replace(ORDER, prompt=prompt, steps=1))
    assert images.pixels.shape == (2, 96, 128, 3)
