"""The contract of `Engine` on real diffusers pipelines with random weights."""

import io
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.domain.pipeline_options import PIPELINES, SCHEDULERS, Prediction, schedulers_of
from heliograph.domain.run import RunInputs, RunOrder
from heliograph.inference.checkpoint import Checkpoint
from heliograph.inference.diffusers import DiffusersEngine, share_of
from heliograph.inference.engine import EngineImages, EngineStep
from tests.engines.subjects import SUBJECTS, an_engine, run, the_order

PAIRS = [(name, scheduler) for name, each in SUBJECTS.items() for scheduler in schedulers_of(each.pipeline)]
LEVELS_MAX = 1
"""What a batch of another size may change: nobody sees one level in 255."""


@pytest.fixture(scope="module", params=SUBJECTS)
def subject(request: pytest.FixtureRequest, pipelines: Path) -> tuple[str, DiffusersEngine]:
    engine = an_engine(pipelines, request.param)
    engine.load()
    return request.param, engine


def checkpoints_of(engine: DiffusersEngine, order: RunOrder) -> tuple[list[Checkpoint], list[EngineStep], EngineImages]:
    """A checkpoint of every step, through its bytes as another process would get it."""
    checkpoints, steps = [], []
    for event in engine.generate(order):
        if isinstance(event, EngineImages):
            return checkpoints, steps, event
        checkpoints.append(Checkpoint.from_bytes(event.checkpoint().to_bytes()))
        steps.append(event)
    raise AssertionError("a run ends with its pictures")


def test_every_pipeline_that_is_known_is_tried() -> None:
    asked = {each.pipeline for each in SUBJECTS.values()} | {"StableDiffusionInpaintPipeline"}
    assert asked == set(PIPELINES)
    assert {prediction: sum(1 for _, s in PAIRS if SCHEDULERS[s].prediction is prediction) for prediction in Prediction}
    assert len(PAIRS) > 60


@pytest.mark.parametrize(("name", "scheduler"), PAIRS)
def test_every_pair_resumes_to_the_same_bits_in_another_engine(name: str, scheduler: str, pipelines: Path) -> None:
    order = the_order(name, steps=4, seeds=(7, 2**32 - 1), preview_every=1)
    engine = an_engine(pipelines, name, scheduler=scheduler)
    engine.load()
    checkpoints, steps, images = checkpoints_of(engine, order)
    assert len({images.pixels[0].tobytes(), images.pixels[1].tobytes()}) == 2
    other = an_engine(pipelines, name, scheduler=scheduler)
    other.load()
    for done in (1, len(steps) // 2, len(steps)):
        later, resumed = run(other, replace(order, attempt=2), checkpoints[done - 1])
        assert [step.step for step in later] == [step.step for step in steps[done:]]
        assert np.array_equal(resumed.pixels, images.pixels)
        for step, uninterrupted in zip(later, steps[done:], strict=True):
            assert np.array_equal(step.previews, uninterrupted.previews)


def test_the_same_order_gives_the_same_bytes(subject: tuple[str, DiffusersEngine]) -> None:
    name, engine = subject
    order = the_order(name, steps=3, seeds=(7, 8))
    steps, images = run(engine, order)
    _, again = run(engine, replace(order, preview_every=0))
    assert np.array_equal(images.pixels, again.pixels)
    assert [(step.step, step.steps) for step in steps] == [(1, 3), (2, 3), (3, 3)]
    assert [step.previews is not None for step in steps] == [True, True, False]
    assert images.pixels.shape == (2, order.frames, order.height_px, order.width_px, 3)


def test_previews_have_the_shape_of_the_pictures(subject: tuple[str, DiffusersEngine]) -> None:
    name, engine = subject
    order = the_order(name, steps=2, seeds=(7, 8))
    previews = run(engine, order)[0][0].previews
    assert previews is not None
    pictures, height, width, channels = previews.shape
    assert (pictures, channels, previews.dtype) == (2, 3, np.uint8)
    assert width * order.height_px == height * order.width_px
    assert len({preview.tobytes() for preview in previews}) == 2


def test_what_else_is_in_the_batch_is_not_seen(subject: tuple[str, DiffusersEngine]) -> None:
    name, engine = subject
    batch = run(engine, the_order(name, steps=3, seeds=(3, 7, 9)))[1].pixels.astype(int)
    alone = run(engine, the_order(name, steps=3, seeds=(7,)))[1].pixels.astype(int)
    assert np.abs(batch[1] - alone[0]).max() <= LEVELS_MAX
    assert np.abs(batch[0] - alone[0]).max() > LEVELS_MAX


def test_sparing_memory_is_not_seen(subject: tuple[str, DiffusersEngine]) -> None:
    name, engine = subject
    order = the_order(name, steps=3, seeds=(3, 7))
    pictures, spared = run(engine, order)[1].pixels, run(engine, replace(order, spares_memory=True))[1].pixels
    assert np.abs(pictures.astype(int) - spared.astype(int)).max() <= LEVELS_MAX


def test_prompt_and_seed_make_the_picture(subject: tuple[str, DiffusersEngine]) -> None:
    name, engine = subject
    order = the_order(name, steps=2)
    changes = [{}, {"prompt": "a castle at night"}, {"seeds": (9,)}]
    assert len({run(engine, replace(order, **change))[1].pixels.tobytes() for change in changes}) == 3


def test_closing_stops_it_at_once_and_the_next_order_is_untouched(subject: tuple[str, DiffusersEngine]) -> None:
    name, engine = subject
    order = the_order(name, steps=3)
    _, before = run(engine, order)
    progress = engine.generate(replace(order, steps=900))
    assert [step.step for step in islice(progress, 2) if isinstance(step, EngineStep)] == [1, 2]
    progress.close()
    assert list(progress) == []
    assert np.array_equal(run(engine, order)[1].pixels, before.pixels)


@pytest.mark.parametrize(
    "change", [{"prompt": "a castle"}, {"seeds": (8,)}, {"steps": 5}, {"guidance": 2.0}, {"seeds": (7, 8)}], ids=str
)
def test_a_checkpoint_of_another_order_is_refused(pipelines: Path, change: dict[str, object]) -> None:
    engine = an_engine(pipelines, "sd")
    engine.load()
    order = the_order("sd", seeds=(7,))
    first = next(engine.generate(order))
    assert isinstance(first, EngineStep)
    with pytest.raises(EngineError, match="another order") as caught:
        run(engine, replace(order, **change), first.checkpoint())
    assert caught.value.kind is EngineErrorKind.BAD_CHECKPOINT


def test_checkpoints_that_cannot_be_are_refused(pipelines: Path) -> None:
    engine = an_engine(pipelines, "sd", scheduler="euler")
    engine.load()
    order = the_order("sd", steps=3)
    taken, *_ = checkpoints_of(engine, order)[0]
    larger = {**taken.arrays, "latents": np.zeros((1, 4, 2, 2), np.float32)}
    seeds = {**taken.arrays, "generators": np.zeros((2, 5056), np.uint8)}
    damaged = [
        replace(taken, step=0),
        replace(taken, step=99),
        replace(taken, arrays={}),
        replace(taken, state=""),
        replace(taken, state="[1]"),
        replace(taken, state=taken.state.replace('"plain"', '"plane"')),
        replace(taken, state=taken.state.replace("[0, 1, 2, 3]", "[0, 1, 2, 2]")),
        replace(taken, arrays=larger),
        replace(taken, arrays=seeds),
        replace(taken, arrays={**taken.arrays, "latents": taken.arrays["latents"].astype(np.float64)}),
    ]
    for checkpoint in damaged:
        with pytest.raises(EngineError) as caught:
            run(engine, order, checkpoint)
        assert caught.value.kind is EngineErrorKind.BAD_CHECKPOINT
    run(engine, order, taken)


def test_a_scheduler_by_name_draws_another_picture(pipelines: Path) -> None:
    pictures = set()
    for scheduler in (None, "euler-a", "dpm++-2m-karras"):
        engine = an_engine(pipelines, "sd", scheduler=scheduler)
        engine.load()
        pictures.add(run(engine, the_order("sd", steps=3))[1].pixels.tobytes())
    assert len(pictures) == 3


# --- pictures from pictures -----------------------------------------------------------------------------------------


def a_png(size: tuple[int, int], mode: str, colour: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, "PNG")  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def with_picture(order: RunOrder, *, strength: float = 0.5, mask: bytes | None = None) -> RunOrder:
    files = (a_png((order.width_px, order.height_px), "RGB", (200, 40, 40)), *([] if mask is None else [mask]))
    inputs = RunInputs(images=("a",), mask=None if mask is None else "m", strength=strength, files=files)
    return replace(order, inputs=inputs)


STILLS = ("sd", "sdxl", "flux", "sd3")


@pytest.mark.parametrize("name", STILLS)
@pytest.mark.parametrize("is_masked", [False, True])
def test_pictures_from_pictures_resume_too(name: str, is_masked: bool, pipelines: Path) -> None:
    engine = an_engine(pipelines, name)
    engine.load()
    order = the_order(name, steps=6, seeds=(1, 2))
    size = (order.width_px, order.height_px)
    half = Image.new("L", size, 0)
    half.paste(255, (0, 0, size[0] // 2, size[1]))
    buffer = io.BytesIO()
    half.save(buffer, "PNG")
    order = with_picture(order, strength=0.5, mask=buffer.getvalue() if is_masked else None)
    checkpoints, steps, images = checkpoints_of(engine, order)
    assert [(step.step, step.steps) for step in steps] == [(1, 3), (2, 3), (3, 3)]
    for checkpoint in checkpoints:
        assert np.array_equal(run(engine, order, checkpoint)[1].pixels, images.pixels)
    if is_masked:
        kept = images.pixels[:, 0, :, size[0] // 2 :]
        assert (kept == (200, 40, 40)).all()
        assert not (images.pixels[:, 0, :, : size[0] // 2] == (200, 40, 40)).all()


def test_a_share_of_the_steps_is_exact_where_there_is_such_a_number() -> None:
    shares = [(part, whole) for whole in range(1, 151) for part in range(1, whole + 1)]
    assert all(abs(whole * share_of(part, whole) - part) < 1e-9 for part, whole in shares)
    assert sum(whole * share_of(part, whole) == part for part, whole in shares) > 0.95 * len(shares)


def test_a_model_made_for_inpainting_needs_no_sibling(pipelines: Path) -> None:
    engine = DiffusersEngine(
        pipelines / "sd-inpainting",
        replace(an_engine(pipelines, "sd")._options, pipeline="StableDiffusionInpaintPipeline"),
        warm_up=with_picture(the_order("sd"), strength=1.0, mask=a_png((64, 48), "L", 255)),
    )
    engine.load()
    order = with_picture(the_order("sd", steps=4), strength=1.0, mask=a_png((64, 48), "L", 255))
    checkpoints, _, images = checkpoints_of(engine, order)
    assert np.array_equal(run(engine, order, checkpoints[1])[1].pixels, images.pixels)


@pytest.mark.parametrize("name", ["wan", "ltx"])
def test_who_cannot_start_from_pictures_says_so(name: str, pipelines: Path) -> None:
    engine = an_engine(pipelines, name)
    engine.load()
    with pytest.raises(EngineError, match="cannot do i2i") as caught:
        run(engine, with_picture(the_order(name)))
    assert caught.value.kind is EngineErrorKind.BAD_INPUT


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_latents_that_are_no_numbers_are_told(pipelines: Path) -> None:
    engine = an_engine(pipelines, "sd")
    engine.load()
    with torch.no_grad():
        next(engine._pipe.unet.parameters()).fill_(float("nan"))
    with pytest.raises(EngineError, match="after step 1") as caught:
        run(engine, the_order("sd"))
    assert caught.value.kind is EngineErrorKind.NAN


def test_what_the_pipeline_refuses_is_bad_input_and_quotes_nothing(pipelines: Path) -> None:
    engine = an_engine(pipelines, "sd")
    engine.load()
    with pytest.raises(EngineError) as caught:
        run(engine, the_order("sd", width_px=63, prompt="a secret"))
    assert caught.value.kind is EngineErrorKind.BAD_INPUT
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory."),
    ],
)
def test_out_of_memory_is_told_and_the_next_run_works(error: Exception, pipelines: Path) -> None:
    engine = an_engine(pipelines, "sd")
    engine.load()
    forward = engine._pipe.unet.forward

    def fail(*_: object, **__: object) -> None:
        raise error

    engine._pipe.unet.forward = fail
    with pytest.raises(EngineError) as caught:
        run(engine, the_order("sd"))
    assert caught.value.kind is EngineErrorKind.OUT_OF_MEMORY
    engine._pipe.unet.forward = forward
    run(engine, the_order("sd"))


def test_a_still_pipeline_makes_no_clips(pipelines: Path) -> None:
    engine = an_engine(pipelines, "sd")
    engine.load()
    with pytest.raises(EngineError, match="makes stills"):
        run(engine, the_order("sd", frames=5))
