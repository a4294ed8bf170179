"""The contract of `Engine`, for every engine that ships and every kind of model that takes orders."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import heliograph
from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.ids import JobId, ModelId
from heliograph.domain.run import RunOrder
from heliograph.inference.checkpoint import Checkpoint
from heliograph.inference.engine import Engine, EngineImages, EngineStep
from heliograph.inference.fake import FakeEngine, FakeOptions
from heliograph.inference.onnx import OnnxEngine
from tests.inference import tiny_models

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An engine under test, the order it takes and how many steps it adds to those that are ordered."""

    engine: Engine
    order: RunOrder
    motion_steps: int = 0


def a_subject(name: str, tiny: Path) -> Subject:
    clip = replace(ORDER, frames=tiny_models.FRAMES)
    match name:
        case "fake":
            return Subject(engine=FakeEngine(FakeOptions()), order=ORDER)
        case "fake-clip":
            return Subject(engine=FakeEngine(FakeOptions()), order=clip)
        case "helio-base":
            return Subject(engine=OnnxEngine(BUILT_IN), order=ORDER)
        case "tiny-motion":
            engine = OnnxEngine(tiny / name)
            return Subject(engine=engine, order=clip, motion_steps=tiny_models.MOTION_STEPS)
        case _:
            return Subject(engine=OnnxEngine(tiny / name), order=ORDER)


@pytest.fixture(scope="module", params=["fake", "fake-clip", "helio-base", "tiny", "tiny-turbo", "tiny-motion"])
def subject(request: pytest.FixtureRequest, tiny: Path) -> Subject:
    subject = a_subject(request.param, tiny)
    subject.engine.load()
    return subject


def run(engine: Engine, order: RunOrder, resume: Checkpoint | None = None) -> tuple[list[EngineStep], EngineImages]:
    *steps, images = engine.generate(order, resume)
    assert isinstance(images, EngineImages)
    assert all(isinstance(step, EngineStep) for step in steps)
    return steps, images


@pytest.mark.parametrize(("steps", "preview_every"), [(1, 1), (4, 0), (4, 1), (5, 2)])
def test_steps_come_in_order_then_the_pictures(subject: Subject, steps: int, preview_every: int) -> None:
    done, _ = run(subject.engine, replace(subject.order, steps=steps, preview_every=preview_every))
    total = steps + subject.motion_steps
    assert [(step.step, step.steps) for step in done] == [(number, total) for number in range(1, total + 1)]
    with_preview = [step.step for step in done if step.previews is not None]
    assert with_preview == [number for number in range(1, total) if preview_every and number % preview_every == 0]


@pytest.mark.parametrize("size", [(128, 128), (192, 64), (64, 96), (256, 144)])
@pytest.mark.parametrize("seeds", [(0,), (1, 2, 2**32 - 1)])
def test_pictures_have_the_size_that_was_ordered(
    subject: Subject, size: tuple[int, int], seeds: tuple[int, ...]
) -> None:
    width_px, height_px = size
    order = replace(subject.order, width_px=width_px, height_px=height_px, seeds=seeds, steps=2)
    steps, images = run(subject.engine, order)
    assert images.pixels.shape == (len(seeds), order.frames, height_px, width_px, 3)
    assert images.pixels.dtype == np.uint8
    assert {step.previews.shape for step in steps if step.previews is not None} == {steps[0].previews.shape}
    previews = steps[0].previews
    assert previews is not None
    assert previews.dtype == np.uint8
    count, preview_height, preview_width, channels = previews.shape
    assert (count, channels) == (len(seeds), 3)
    assert preview_width * height_px == preview_height * width_px


def test_the_same_order_gives_the_same_bytes(subject: Subject) -> None:
    steps, images = run(subject.engine, subject.order)
    again, images_again = run(subject.engine, subject.order)
    assert np.array_equal(images.pixels, images_again.pixels)
    for step, step_again in zip(steps, again, strict=True):
        assert np.array_equal(step.previews, step_again.previews)


def test_what_else_is_in_the_batch_does_not_matter(subject: Subject) -> None:
    _, batch = run(subject.engine, replace(subject.order, seeds=(3, 7, 9, 7)))
    _, alone = run(subject.engine, replace(subject.order, seeds=(7,)))
    assert np.array_equal(batch.pixels[1], alone.pixels[0])
    assert np.array_equal(batch.pixels[3], alone.pixels[0])
    assert not np.array_equal(batch.pixels[0], batch.pixels[1])


def test_sparing_memory_changes_nothing_that_is_seen(subject: Subject) -> None:
    order = replace(subject.order, seeds=(3, 7, 9), preview_every=1)
    steps, pictures = run(subject.engine, order)
    spared_steps, spared = run(subject.engine, replace(order, spares_memory=True))
    assert np.array_equal(pictures.pixels, spared.pixels)
    previews = [(step.previews, other.previews) for step, other in zip(steps, spared_steps, strict=True)]
    assert all(np.array_equal(one, other) for one, other in previews if one is not None and other is not None)


def test_previews_change_neither_pictures_nor_their_neighbours(subject: Subject) -> None:
    _, with_previews = run(subject.engine, subject.order)
    _, without = run(subject.engine, replace(subject.order, preview_every=0))
    assert np.array_equal(with_previews.pixels, without.pixels)


def test_the_same_bytes_on_several_threads_at_once(subject: Subject) -> None:
    _, alone = run(subject.engine, subject.order)
    with ThreadPoolExecutor(3) as threads:
        runs = [threads.submit(run, subject.engine, subject.order) for _ in range(3)]
    assert all(np.array_equal(each.result()[1].pixels, alone.pixels) for each in runs)


def test_the_frames_of_a_clip_differ_and_begin_with_the_still(subject: Subject) -> None:
    _, images = run(subject.engine, subject.order)
    frames = {frame.tobytes() for frame in images.pixels[0]}
    assert len(frames) == subject.order.frames


# --- checkpoints ----------------------------------------------------------------------------------------------------


def checkpoints_of(subject: Subject, order: RunOrder) -> tuple[list[Checkpoint], list[EngineStep], EngineImages]:
    """A checkpoint of every step, through its bytes as another process would get it."""
    checkpoints, steps = [], []
    for event in subject.engine.generate(order):
        if isinstance(event, EngineImages):
            return checkpoints, steps, event
        checkpoints.append(Checkpoint.from_bytes(event.checkpoint().to_bytes()))
        steps.append(event)
    raise AssertionError("a run ends with its pictures")


def test_resumed_at_any_step_it_makes_the_same_bytes(subject: Subject) -> None:
    order = replace(subject.order, steps=4, seeds=(7, 2**32 - 1, 7))
    checkpoints, steps, images = checkpoints_of(subject, order)
    assert [checkpoint.step for checkpoint in checkpoints] == list(range(1, 5 + subject.motion_steps))
    for checkpoint in checkpoints:
        later_steps, resumed = run(subject.engine, replace(order, attempt=2), checkpoint)
        assert [step.step for step in later_steps] == [step.step for step in steps[checkpoint.step :]]
        for later, uninterrupted in zip(later_steps, steps[checkpoint.step :], strict=True):
            assert np.array_equal(later.previews, uninterrupted.previews)
        assert np.array_equal(resumed.pixels, images.pixels)


def test_a_run_can_be_interrupted_again_and_again(subject: Subject) -> None:
    _, _, images = checkpoints_of(subject, subject.order)
    checkpoint: Checkpoint | None = None
    for _ in range(subject.order.steps + subject.motion_steps):
        progress = subject.engine.generate(subject.order, checkpoint)
        step = next(progress)
        assert isinstance(step, EngineStep)
        checkpoint = step.checkpoint()
        progress.close()
    assert np.array_equal(run(subject.engine, subject.order, checkpoint)[1].pixels, images.pixels)


def test_a_checkpoint_stays_as_it_was_while_the_run_goes_on(subject: Subject) -> None:
    progress = subject.engine.generate(subject.order)
    first = next(progress)
    assert isinstance(first, EngineStep)
    checkpoint = first.checkpoint()
    before = checkpoint.to_bytes()
    list(progress)
    assert checkpoint.to_bytes() == before


@pytest.mark.parametrize(
    "change",
    [{"prompt": "a castle"}, {"seeds": (8, 7)}, {"steps": 5}, {"width_px": 96}, {"guidance": 2.0}, {"seeds": (7,)}],
    ids=str,
)
def test_a_checkpoint_of_another_order_is_refused(subject: Subject, change: dict[str, object]) -> None:
    first = next(subject.engine.generate(subject.order))
    assert isinstance(first, EngineStep)
    with pytest.raises(EngineError, match="another order") as caught:
        run(subject.engine, replace(subject.order, **change), first.checkpoint())
    assert caught.value.kind is EngineErrorKind.BAD_CHECKPOINT
    assert caught.value.retryable


@pytest.mark.parametrize("step", [0, 99])
def test_a_checkpoint_of_a_step_that_is_not_there_is_refused(subject: Subject, step: int) -> None:
    first = next(subject.engine.generate(subject.order))
    assert isinstance(first, EngineStep)
    with pytest.raises(EngineError, match=f"after step {step}"):
        run(subject.engine, subject.order, replace(first.checkpoint(), step=step))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_a_checkpoint_of_other_arrays_is_refused(subject: Subject, kind: type) -> None:
    first = next(subject.engine.generate(subject.order))
    assert isinstance(first, EngineStep)
    taken = first.checkpoint()
    shapes = {name: (1,) if kind is np.float32 else array.shape for name, array in taken.arrays.items()}
    others = ({}, {name: np.zeros(shape, kind) for name, shape in shapes.items()})
    for arrays in others:
        with pytest.raises(EngineError, match="it holds"):
            run(subject.engine, subject.order, replace(taken, arrays=arrays))


# --- what makes a picture -------------------------------------------------------------------------------------------


def test_prompt_and_seed_make_the_picture(subject: Subject) -> None:
    changes = [{}, {"prompt": "a castle at night"}, {"seeds": (9, 8)}]
    pictures = [run(subject.engine, replace(subject.order, **change))[1].pixels[0].tobytes() for change in changes]
    assert len(set(pictures)) == 3


def test_previews_come_closer_to_the_picture(subject: Subject) -> None:
    steps, images = run(subject.engine, replace(subject.order, steps=8))
    distances = [
        np.abs(step.previews.astype(int) - images.pixels[:, 0].astype(int)).mean()
        for step in steps[:8]
        if step.previews is not None
    ]
    assert len(distances) == 7 + (subject.motion_steps > 0)
    assert distances[6] < 0.5 * distances[0]


def test_closing_stops_it_and_the_next_order_runs(subject: Subject) -> None:
    progress = subject.engine.generate(replace(subject.order, steps=50))
    assert [step.step for step in islice(progress, 2) if isinstance(step, EngineStep)] == [1, 2]
    assert isinstance(progress, Generator)
    progress.close()
    assert list(progress) == []
    run(subject.engine, subject.order)


@pytest.mark.parametrize("prompt", ["", "🚣 שלום \x00 \ud800", "boat " * 8000])
def test_any_text_can_be_drawn(subject: Subject, prompt: str) -> None:
    _, images = run(subject.engine, replace(subject.order, prompt=prompt, steps=1))
    assert images.pixels.shape == (2, subject.order.frames, 96, 128, 3)
