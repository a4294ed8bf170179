"""The built-in models that are there, each as it ships: they draw what was trained, and nothing around them matters."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from heliograph.domain.run import RunOrder
from heliograph.inference.engine import EngineStep
from heliograph.inference.onnx import OnnxEngine
from tests.inference.test_engines import BUILT_IN, ORDER, run

WEIGHTS = BUILT_IN.parent
FACTS: dict[str, dict[str, Any]] = {
    description.parent.name: json.loads(description.read_text()) for description in sorted(WEIGHTS.glob("*/model.json"))
}
PAINTERS = [name for name, facts in FACTS.items() if facts["kind"] in ("text_to_image", "text_to_video")]
GOLDEN = [(name, golden) for name in PAINTERS for golden in FACTS[name]["golden"]]


@pytest.fixture(scope="module")
def engines() -> dict[str, OnnxEngine]:
    """Opened when first needed and kept: tests of one model follow one another."""
    return {}


def opened(engines: dict[str, OnnxEngine], name: str) -> OnnxEngine:
    if name not in engines:
        engines[name] = OnnxEngine(WEIGHTS / name)
        engines[name].load()
    return engines[name]


def an_order(name: str, **changes: Any) -> RunOrder:
    return replace(ORDER, **{"frames": FACTS[name].get("frames", 1), "steps": 2, "preview_every": 0, **changes})


def test_the_first_of_the_family_is_there() -> None:
    assert "helio-base" in PAINTERS


@pytest.mark.parametrize(("name", "golden"), GOLDEN, ids=[f"{name}: {golden['prompt']}" for name, golden in GOLDEN])
def test_it_draws_what_the_trained_networks_draw(
    engines: dict[str, OnnxEngine], name: str, golden: dict[str, Any]
) -> None:
    """Mean colours, in levels of 255, were recorded when the files were exported."""
    made_with = {key: golden[key] for key in ("prompt", "width_px", "height_px", "steps")}
    order = an_order(name, seeds=(golden["seed"],), guidance=golden["guidance"] or 0.0, **made_with)
    pixels = run(opened(engines, name), order)[1].pixels
    np.testing.assert_allclose(pixels.mean(axis=(0, 1, 2, 3)), golden["mean_rgb"], atol=1.0)


@pytest.mark.parametrize("name", PAINTERS)
def test_what_else_is_in_the_batch_does_not_matter(engines: dict[str, OnnxEngine], name: str) -> None:
    engine = opened(engines, name)
    _, batch = run(engine, an_order(name, seeds=(3, 7, 9)))
    _, alone = run(engine, an_order(name, seeds=(7,)))
    assert np.array_equal(batch.pixels[1], alone.pixels[0])
    assert not np.array_equal(batch.pixels[0], batch.pixels[1])


@pytest.mark.parametrize("name", PAINTERS)
def test_the_same_bytes_on_several_threads_and_after_any_interruption(
    engines: dict[str, OnnxEngine], name: str
) -> None:
    engine, order = opened(engines, name), an_order(name, seeds=(7,))
    steps, images = run(engine, order)
    checkpoints = [step.checkpoint() for step in steps if isinstance(step, EngineStep)]
    with ThreadPoolExecutor(2) as threads:
        runs = threads.map(lambda checkpoint: run(engine, order, checkpoint)[1].pixels, [None, *checkpoints])
        assert all(np.array_equal(pixels, images.pixels) for pixels in runs)


def test_all_weights_together_fit_the_wheel() -> None:
    files = {path.resolve() for path in WEIGHTS.rglob("*") if path.is_file()}
    assert sum(path.stat().st_size for path in files) <= 30_000_000


def test_no_folder_lists_a_file_that_no_part_needs() -> None:
    for name, facts in FACTS.items():
        assert set(facts["files"]) == set(facts["parts"].values()), name
        own = {path.name for path in (WEIGHTS / name).iterdir()} - {"model.json"}
        assert own == {file for file in facts["files"] if not file.startswith("../")}, name
