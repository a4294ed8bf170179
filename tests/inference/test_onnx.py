import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from training import tokenizer as training_tokenizer
from training.captions import caption
from training.scenes import sample_scene

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.inference.model_folder import describe_folder
from heliograph.inference.onnx import OnnxEngine
from heliograph.inference.tokenizer import Tokenizer
from tests.inference.test_engines import BUILT_IN, ORDER, run
from tests.inference.tiny_models import FRAMES, MOTION_STEPS


@pytest.fixture(scope="module")
def engine() -> OnnxEngine:
    engine = OnnxEngine(BUILT_IN)
    engine.load()
    return engine


def shipped_tokenizer() -> Tokenizer:
    folder = describe_folder(BUILT_IN)
    paths = {role: folder.part(role) for role in ("vocabulary", "merges", "known_words")}
    return Tokenizer.from_files(**paths, context_length=32)


def picture(engine: OnnxEngine, **changes: object) -> bytes:
    return run(engine, replace(ORDER, **changes))[1].pixels.tobytes()


def test_guidance_is_honoured_and_off_at_one_and_below(engine: OnnxEngine) -> None:
    assert picture(engine, guidance=1.0) == picture(engine, guidance=0.0)
    assert len({picture(engine, guidance=guidance) for guidance in (1.0, 2.0, 6.0)}) == 3


def test_a_negative_prompt_counts_only_with_guidance(engine: OnnxEngine) -> None:
    assert picture(engine, negative_prompt="night") != picture(engine)
    assert picture(engine, negative_prompt="night", guidance=1.0) == picture(engine, guidance=1.0)


def test_the_first_preview_is_made_without_guidance(engine: OnnxEngine) -> None:
    def preview(guidance: float, step: int) -> bytes:
        steps, _ = run(engine, replace(ORDER, guidance=guidance))
        previews = steps[step - 1].previews
        assert previews is not None
        return previews.tobytes()

    assert preview(1.0, step=1) == preview(5.0, step=1)
    assert preview(1.0, step=2) != preview(5.0, step=2)


def test_numbers_that_overflow_are_noticed(engine: OnnxEngine) -> None:
    with pytest.raises(EngineError) as caught:
        picture(engine, guidance=float("inf"))
    assert caught.value.kind is EngineErrorKind.NAN
    assert caught.value.retryable


@pytest.mark.parametrize("changes", [{"guidance": 7.0}, {"negative_prompt": "night"}, {"guidance": 0.0}], ids=str)
def test_a_model_with_guidance_baked_in_runs_the_prompt_alone(tiny: Path, changes: dict[str, object]) -> None:
    turbo = OnnxEngine(tiny / "tiny-turbo")
    turbo.load()
    assert picture(turbo, **changes) == picture(turbo)


@pytest.mark.parametrize(("name", "frames"), [("tiny", 2), ("tiny-motion", 1), ("tiny-motion", FRAMES + 1)])
def test_another_number_of_frames_is_refused(tiny: Path, name: str, frames: int) -> None:
    engine = OnnxEngine(tiny / name)
    engine.load()
    with pytest.raises(EngineError, match=f"not {frames}") as caught:
        picture(engine, frames=frames)
    assert caught.value.kind is EngineErrorKind.BAD_INPUT


def test_a_clip_begins_with_the_picture_that_its_still_model_draws(tiny: Path) -> None:
    """The seed of a still that was liked makes the clip that begins with it."""
    stills, clips = OnnxEngine(tiny / "tiny"), OnnxEngine(tiny / "tiny-motion")
    stills.load()
    clips.load()
    still = run(stills, ORDER)[1].pixels
    clip = run(clips, replace(ORDER, frames=FRAMES))[1].pixels
    assert np.array_equal(clip[:, 0], still[:, 0])


def test_the_previews_of_a_clip_go_through_its_frames(tiny: Path) -> None:
    """The last promise of the motion network is close to what it keeps, so each preview resembles another frame."""
    clips = OnnxEngine(tiny / "tiny-motion")
    clips.load()
    steps, images = run(clips, replace(ORDER, frames=FRAMES))
    last = steps[-2].previews
    assert last is not None
    distances = np.abs(images.pixels.astype(int) - last[:, None]).mean(axis=(0, 2, 3, 4))
    assert int(distances.argmin()) == 1 + (MOTION_STEPS - 2) * (FRAMES - 1) // MOTION_STEPS


def test_a_size_the_model_cannot_draw_is_refused(engine: OnnxEngine) -> None:
    with pytest.raises(EngineError) as caught:
        picture(engine, width_px=60)
    assert caught.value.kind is EngineErrorKind.BAD_INPUT


def test_the_shipped_tokenizer_reads_captions_as_training_did() -> None:
    theirs, ours = training_tokenizer.Tokenizer(BUILT_IN), shipped_tokenizer()
    rng = random.Random(1)
    captions = [caption(sample_scene(rng, 0), rng) for _ in range(300)]
    assert [ours.encode(text) for text in captions] == [theirs.encode(text) for text in captions]
    assert ours.count("a red boat on the sea at sunset") == 10
    assert ours.unknown_words("a red boat and a qwertz at Sunset, 4k") == ("qwertz",)


def break_a_graph(weights: Path) -> str:
    graph = weights / "decoder.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    return "decoder.onnx"


def lose_a_file(weights: Path) -> str:
    (weights / "merges.txt").unlink()
    return "FileNotFoundError"


def lose_the_description(weights: Path) -> str:
    (weights / "model.json").unlink()
    return "FileNotFoundError"


def garble_the_description(weights: Path) -> str:
    (weights / "model.json").write_text("[]")
    return "incomplete"


def empty_the_description(weights: Path) -> str:
    (weights / "model.json").write_text(json.dumps({"files": {}}))
    return "incomplete"


@pytest.mark.parametrize(
    "damage", [break_a_graph, lose_a_file, lose_the_description, garble_the_description, empty_the_description]
)
def test_damaged_weights_are_not_loaded(damage: object, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(BUILT_IN, weights)
    named = damage(weights)  # type: ignore[operator]
    with pytest.raises(EngineError, match=named) as caught:
        OnnxEngine(weights).load()
    assert caught.value.kind is EngineErrorKind.BAD_WEIGHTS
    assert "install" in caught.value.message


def test_a_sunset_is_warm_and_a_night_is_dark(engine: OnnxEngine) -> None:
    """The model answers to the prompt: mean colours over four seeds, far apart."""

    def mean_rgb(prompt: str) -> NDArray[np.float64]:
        order = replace(ORDER, prompt=prompt, steps=4, seeds=(1, 2, 3, 4), width_px=128, height_px=128, preview_every=0)
        return run(engine, order)[1].pixels.mean(axis=(0, 1, 2, 3))

    day, sunset, night = (mean_rgb(f"the sea {when}") for when in ("at noon", "at sunset", "at night"))
    assert night.mean() < 0.7 * day.mean()
    red_over_blue = sunset[0] - sunset[2]
    assert red_over_blue > day[0] - day[2] + 30
