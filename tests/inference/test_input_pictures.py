"""Runs that start from a picture: fitted, kept where the mask says, and the same however often they are interrupted."""

import io
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.run import RunInputs, RunOrder
from heliograph.inference.checkpoint import Checkpoint, fingerprint
from heliograph.inference.engine import Engine, EngineImages, EngineStep
from heliograph.inference.fake import FakeEngine, FakeOptions
from heliograph.inference.input_pictures import composed, read_pictures
from heliograph.inference.onnx import OnnxEngine
from tests.inference.test_engines import BUILT_IN, ORDER


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def a_picture(width: int, height: int) -> NDArray[np.uint8]:
    """Sky over sea, as the built-in models know it."""
    rows = np.linspace(0, 1, height)[:, None, None]
    colours = np.where(rows < 0.5, [90, 150, 230], [20, 60, 120])
    return np.broadcast_to(colours, (height, width, 3)).astype(np.uint8)


def starting_from(
    order: RunOrder, image: NDArray[np.uint8], *, mask: NDArray[np.uint8] | None = None, strength: float | None = 0.5
) -> RunOrder:
    files = (png(image),) if mask is None else (png(image), png(mask))
    inputs = RunInputs(images=("image.png",), mask=None if mask is None else "mask.png", strength=strength, files=files)
    return replace(order, inputs=inputs)


@pytest.fixture(scope="module", params=["helio-base", "fake"])
def engine(request: pytest.FixtureRequest) -> Engine:
    engine: Engine = OnnxEngine(BUILT_IN) if request.param == "helio-base" else FakeEngine(FakeOptions())
    engine.load()
    return engine


def pictures_of(engine: Engine, order: RunOrder, resume: Checkpoint | None = None) -> NDArray[np.uint8]:
    *_, images = engine.generate(order, resume)
    assert isinstance(images, EngineImages)
    return images.pixels[:, 0]


def test_a_low_strength_stays_close_to_the_picture_and_a_high_one_leaves_it(engine: Engine) -> None:
    image = a_picture(ORDER.width_px, ORDER.height_px)
    order = replace(ORDER, prompt="a red boat on the sea at night", steps=8, seeds=(7,))
    distances = [
        np.abs(pictures_of(engine, starting_from(order, image, strength=strength))[0].astype(int) - image).mean()
        for strength in (0.1, 0.6, 1.0)
    ]
    assert distances == sorted(distances)
    assert distances[0] < 0.5 * distances[2]


def test_what_the_mask_leaves_out_stays_bit_for_bit(engine: Engine) -> None:
    image = a_picture(ORDER.width_px, ORDER.height_px)
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[:48] = 255
    made = pictures_of(engine, starting_from(ORDER, image, mask=mask, strength=1.0))
    assert np.array_equal(made[:, 48:], np.stack([image[48:]] * 2))
    assert not np.array_equal(made[:, :48], np.stack([image[:48]] * 2))


def test_it_resumes_to_the_same_bytes(engine: Engine) -> None:
    image = a_picture(200, 70)
    mask = np.tile(np.arange(200, dtype=np.uint8), (70, 1))
    order = starting_from(replace(ORDER, steps=6), image, mask=mask, strength=0.8)
    whole = pictures_of(engine, order)
    for event in engine.generate(order):
        if isinstance(event, EngineStep):
            kept = Checkpoint.from_bytes(event.checkpoint().to_bytes())
            assert np.array_equal(pictures_of(engine, order, kept), whole)


def test_fewer_steps_are_taken_from_a_picture() -> None:
    engine = OnnxEngine(BUILT_IN)
    engine.load()
    image = a_picture(ORDER.width_px, ORDER.height_px)
    for strength, steps in ((0.5, 5), (0.01, 1), (1.0, 10)):
        events = list(engine.generate(starting_from(replace(ORDER, steps=10), image, strength=strength)))
        assert len(events) == steps + 1


@pytest.mark.parametrize(
    "inputs",
    [
        RunInputs(images=("a.png",), strength=0.5),
        RunInputs(images=(), strength=0.5),
        RunInputs(images=("a.png",), strength=0.5, files=(b"\x89PNG no picture",)),
        RunInputs(images=("a.png",), strength=0.5, files=(png(a_picture(9, 9))[:-30],)),
    ],
    ids=["no file", "no picture", "not a picture", "cut off"],
)
def test_pictures_that_cannot_be_read_are_the_orders_fault(engine: Engine, inputs: RunInputs) -> None:
    with pytest.raises(EngineError) as caught:
        pictures_of(engine, replace(ORDER, inputs=inputs))
    assert caught.value.kind is EngineErrorKind.BAD_INPUT
    assert not caught.value.retryable


def test_the_built_in_model_says_that_it_takes_one_picture() -> None:
    engine = OnnxEngine(BUILT_IN)
    engine.load()
    file = png(a_picture(16, 16))
    inputs = RunInputs(images=("a.png", "b.png"), strength=0.5, files=(file, file))
    with pytest.raises(EngineError, match="one picture"):
        pictures_of(engine, replace(ORDER, inputs=inputs))


def test_the_first_picture_covers_the_order_and_is_cropped_at_the_middle() -> None:
    image = np.zeros((100, 400, 3), np.uint8)
    image[:, 200:] = 255
    given = read_pictures(starting_from(replace(ORDER, width_px=128, height_px=96), image))
    assert given is not None
    assert given.images[0].shape == (96, 128, 3)
    assert given.images[0][:, :60].max() == 0
    assert given.images[0][:, 68:].min() == 255


def test_composing_follows_a_soft_mask() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    mask = np.array([[0, 255], [51, 0]], np.uint8)
    given = read_pictures(starting_from(replace(ORDER, width_px=2, height_px=2), image, mask=mask))
    made = composed(np.full((1, 2, 2, 3), 200, np.uint8), given)
    assert made[0, :, :, 0].tolist() == [[100, 200], [120, 100]]


def test_what_a_run_starts_from_belongs_to_its_fingerprint() -> None:
    variants = [
        None,
        RunInputs(images=("a.png",), strength=0.5),
        RunInputs(images=("a.png",), strength=0.6),
        RunInputs(images=("b.png",), strength=0.5),
        RunInputs(images=("a.png",), mask="b.png", strength=0.5),
        RunInputs(images=("a.png", "b.png"), strength=0.5),
    ]
    prints = [fingerprint(replace(ORDER, inputs=inputs), revision="r") for inputs in variants]
    assert len(set(prints)) == len(variants)
    sent = replace(ORDER, inputs=RunInputs(images=("a.png",), strength=0.5, files=(b"bytes",)))
    assert fingerprint(sent, revision="r") == prints[1]
