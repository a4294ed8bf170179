import json
import random
import shutil
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from training import tokenizer as training_tokenizer
from training.captions import caption
from training.scenes import sample_scene

from heliograph.domain.errors import EngineError, EngineErrorKind
from heliograph.inference.onnx import OnnxEngine
from heliograph.inference.tokenizer import Tokenizer
from tests.inference.test_engines import BUILT_IN, ORDER, run


@pytest.fixture(scope="module")
def engine() -> OnnxEngine:
    engine = OnnxEngine(BUILT_IN)
    engine.load()
    return engine


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


def test_a_size_the_model_cannot_draw_is_refused(engine: OnnxEngine) -> None:
    with pytest.raises(EngineError) as caught:
        picture(engine, width_px=60)
    assert caught.value.kind is EngineErrorKind.BAD_INPUT


def test_the_shipped_tokenizer_reads_captions_as_training_did() -> None:
    theirs, ours = training_tokenizer.Tokenizer(BUILT_IN), Tokenizer.from_files(BUILT_IN, 32)
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
    assert not caught.value.retryable
    assert "install" in caught.value.message


@pytest.mark.parametrize(
    "golden", json.loads((BUILT_IN / "model.json").read_text())["golden"], ids=itemgetter("prompt")
)
def test_it_draws_what_the_trained_networks_draw(engine: OnnxEngine, golden: dict[str, Any]) -> None:
    """Mean colours, in levels of 255, were recorded with the original networks when the files were exported."""
    made_with = {name: golden[name] for name in ("prompt", "width_px", "height_px", "steps", "guidance")}
    pixels = run(engine, replace(ORDER, seeds=(golden["seed"],), **made_with))[1].pixels
    np.testing.assert_allclose(pixels.mean(axis=(0, 1, 2)), golden["mean_rgb"], atol=1.0)


def test_a_sunset_is_warm_and_a_night_is_dark(engine: OnnxEngine) -> None:
    """The model answers to the prompt: mean colours over four seeds, far apart."""

    def mean_rgb(prompt: str) -> NDArray[np.float64]:
        order = replace(ORDER, prompt=prompt, steps=4, seeds=(1, 2, 3, 4), width_px=128, height_px=128, preview_every=0)
        return run(engine, order)[1].pixels.mean(axis=(0, 1, 2))

    day, sunset, night = (mean_rgb(f"the sea {when}") for when in ("at noon", "at sunset", "at night"))
    assert night.mean() < 0.7 * day.mean()
    red_over_blue = sunset[0] - sunset[2]
    assert red_over_blue > day[0] - day[2] + 30
